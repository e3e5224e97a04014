/*
 * Light or dark: what the system says, until the user says otherwise. Remembered in this browser.
 */

import { signal } from '@preact/signals';

export type Theme = 'light' | 'dark';
const KEY = 'mmviz.theme';
const system = matchMedia('(prefers-color-scheme: light)');
const systemTheme = (): Theme => (system.matches ? 'light' : 'dark');

function remembered(): Theme | null {
	const text = localStorage.getItem(KEY);
	return text === 'light' || text === 'dark' ? text : null;
}

export const theme = signal<Theme>(remembered() ?? systemTheme());

function show(next: Theme): void {
	document.documentElement.dataset['theme'] = next;
	theme.value = next;
}

export function startTheme(): void {
	show(theme.value);
	system.addEventListener('change', () => {
		if (!remembered()) show(systemTheme());
	});
}

export function toggleTheme(): void {
	const next = theme.value === 'dark' ? 'light' : 'dark';
	localStorage.setItem(KEY, next);
	show(next);
}
