/* The top bar: what is watched, whether it can be trusted, where one is. */

import { choices, offeredViews, store } from '../app';
import type { View } from '../choices';
import * as format from '../format';
import { theme, toggleTheme } from '../theme';

const TITLES: Record<View, string> = {
	map: 'Map',
	contexts: 'Contexts',
	arenas: 'Arenas',
	stacks: 'Stacks',
	lifetimes: 'Lifetimes',
	events: 'Events',
};

function TargetPill() {
	const hello = store.hello.value;
	if (!hello) return null;
	const threads = store.totals.value?.threads ?? 0;
	return (
		<div class="pill">
			<b>{hello.comm}</b> · pid {hello.pid}
			{threads > 0 && <span class="hide-narrow"> · {format.plural(threads, 'thread')}</span>}
		</div>
	);
}

interface Trust {
	tone: 'ok' | 'warn' | 'bad';
	mark: string;
	text: string;
	title: string;
}

function trust(): Trust {
	const connection = store.connection.value;
	const totals = store.totals.value;
	const mode = store.hello.value?.mode ?? 'exact';
	if (connection.state === 'lost')
		return {
			tone: 'bad',
			mark: '◌',
			text: `frozen at ${format.clock(connection.since_ms)}`,
			title: 'The collector does not answer. What is shown is the last that it said.',
		};
	if (!totals)
		return { tone: 'warn', mark: '○', text: 'connecting', title: 'Waiting for the collector.' };
	switch (store.targetState()) {
		case 'exited':
			return {
				tone: 'warn',
				mark: '■',
				text: `post mortem: ${format.exitStatus(totals.exit_code)}`,
				title: 'The target is gone. This is its heap at the end.',
			};
		case 'execed':
			return {
				tone: 'warn',
				mark: '■',
				text: 'replaced by exec',
				title: 'The target became another program. This is its heap just before.',
			};
	}
	if (totals.fallback_since_ms)
		return {
			tone: 'warn',
			mark: '◐',
			text: 'sampled',
			title: 'The target makes events faster than they can be followed.',
		};
	if (mode !== 'exact')
		return {
			tone: 'warn',
			mark: '◐',
			text: mode,
			title: 'Not every event is seen: numbers are estimates.',
		};
	if (!totals.is_exact)
		return {
			tone: 'warn',
			mark: '◐',
			text: 'reading anew',
			title: 'A new baseline is being read; until then the picture is not exact.',
		};
	return {
		tone: 'ok',
		mark: '●',
		text: mode,
		title: 'Every event since the baseline is applied.',
	};
}

function TrustPills() {
	const state = trust();
	const lost = store.totals.value?.events_lost ?? 0;
	return (
		<>
			<div class={`pill ${state.tone}`} title={state.title} data-testid="trust">
				<span class="dot" aria-hidden="true">
					{state.mark}
				</span>
				{state.text}
			</div>
			{lost > 0 && (
				<div
					class="pill warn"
					title="These events never arrived: the ring was full, or they were not followed. The picture was read anew since.">
					{format.compact(lost)} lost
				</div>
			)}
			{choices.isPaused.value && (
				<div class="pill warn" title="Space goes on">
					❚❚ paused
				</div>
			)}
		</>
	);
}

function Views() {
	return (
		<nav class="views" aria-label="Views">
			{offeredViews.value.map((view, index) => (
				<button
					type="button"
					key={view}
					aria-current={choices.view.value === view ? 'page' : undefined}
					onClick={() => (choices.view.value = view)}>
					{TITLES[view]}
					<kbd aria-hidden="true">{index + 1}</kbd>
				</button>
			))}
		</nav>
	);
}

export function Top() {
	const { isPaused, isHelpOpen } = choices;
	return (
		<header class="top">
			<h1 class="logo">
				<img src="logo.svg" alt="" />
				mm<b>viz</b>
			</h1>
			<TargetPill />
			<TrustPills />
			<Views />
			<div class="tools">
				<button
					type="button"
					aria-pressed={isPaused.value}
					onClick={() => (isPaused.value = !isPaused.value)}>
					{isPaused.value ? 'Resume' : 'Pause'}
				</button>
				<button type="button" onClick={() => (isHelpOpen.value = true)}>
					<kbd aria-hidden="true">?</kbd> Keys
				</button>
				<button
					type="button"
					class="icon"
					onClick={toggleTheme}
					title="Light or dark (T)"
					aria-label={`Switch to ${theme.value === 'dark' ? 'light' : 'dark'} theme`}>
					◐
				</button>
			</div>
		</header>
	);
}
