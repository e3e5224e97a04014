/* What the keys do. */

import { computed, effect, signal } from '@preact/signals';
import { choices, endPlace, layout, offeredViews, store } from '../app';
import * as format from '../format';
import { type Command, commandOf } from '../keys';
import {
	center,
	fitRange,
	panRows,
	PLACE_BYTES,
	placesPerRow,
	rowsOf,
	visiblePlaces,
} from '../layout';
import { toggleTheme } from '../theme';
import { blockIndexOf, selectedCell } from './hover';
import { look, zoomByKey } from './pointer';

/* What a screen reader hears of the block cursor. */
export const announcement = signal('');
const ANNOUNCE_AFTER_MS = 500;

function pan(part: number): void {
	look(panRows(layout.value, Math.round(rowsOf(layout.value) * part), endPlace.value));
}

function showView(index: number): void {
	choices.view.value = offeredViews.value[index] ?? choices.view.value;
}

/* The selection fills the map; when it does already, or there is none, the whole arena. */
function fitSelection(): void {
	const range = choices.range.value ?? selectedCell.value;
	const spot = choices.spot.value;
	if (!range) {
		choices.spot.value = null;
		return;
	}
	const next = fitRange(layout.value, range.place, range.places);
	const isThere =
		spot?.first === next.first &&
		spot.scale.places === next.scale.places &&
		spot.scale.pixels === next.scale.pixels;
	if (isThere) choices.spot.value = choices.range.value = null;
	else look(next);
}

/* The neighbour in address order where blocks are drawn one by one, else a texel further. */
function neighbour(place: number, step: 1 | -1): number {
	const blocks = store.blocks.value;
	const index = blockIndexOf(place);
	if (blocks && index >= 0 && index + step >= 0 && index + step < blocks.count)
		return blocks.cell_place[index + step]!;
	return place + step * layout.value.scale.places;
}

function moveCursor(dx: -1 | 0 | 1, dy: -1 | 0 | 1): void {
	const { value } = layout;
	const from = choices.selectedPlace.value ?? value.first;
	const to = dx ? neighbour(from, dx) : from + dy * placesPerRow(value);
	const place = Math.min(Math.max(0, to), endPlace.value - 1);
	choices.selectedPlace.value = place;
	if (place < value.first || place >= value.first + visiblePlaces(value))
		look(center(value, place, endPlace.value));
}

function escape(): void {
	if (document.activeElement instanceof HTMLInputElement) document.activeElement.blur();
	choices.selectedPlace.value = choices.range.value = choices.focus.value = null;
	choices.filter.value = '';
}

const ACTIONS: Record<Command, () => void> = {
	'view-1': () => showView(0),
	'view-2': () => showView(1),
	'view-3': () => showView(2),
	'view-4': () => showView(3),
	'view-5': () => showView(4),
	closer: () => zoomByKey('closer'),
	farther: () => zoomByKey('farther'),
	up: () => pan(-0.5),
	down: () => pan(0.5),
	start: () => look({ ...layout.value, first: 0 }),
	fit: fitSelection,
	pause: () => (choices.isPaused.value = !choices.isPaused.value),
	theme: toggleTheme,
	filter: focusFilter,
	help: () => (choices.isHelpOpen.value = true),
	escape,
	'cursor-left': () => moveCursor(-1, 0),
	'cursor-right': () => moveCursor(1, 0),
	'cursor-up': () => moveCursor(0, -1),
	'cursor-down': () => moveCursor(0, 1),
};
const MAP_ONLY: Command[] = [
	'closer',
	'farther',
	'up',
	'down',
	'start',
	'fit',
	'cursor-left',
	'cursor-right',
	'cursor-up',
	'cursor-down',
];

function focusFilter(): void {
	const focus = () => document.querySelector<HTMLInputElement>('.search')?.focus();
	if (choices.view.value === 'map' || choices.view.value === 'contexts') return focus();
	choices.view.value = 'contexts';
	requestAnimationFrame(focus);
}

/* Whoever types into a field, works a list or presses a button means that, not a command. */
function belongsToElement(target: EventTarget | null, command: Command): boolean {
	if (!(target instanceof HTMLElement) || command === 'escape') return false;
	if (target.matches('input, select, textarea')) return true;
	if (command === 'pause') return target.matches('button');
	return command.startsWith('cursor') && target.matches('.side-body, .page');
}

function pressed(event: KeyboardEvent): void {
	const command = commandOf(event);
	if (!command || choices.isHelpOpen.value || belongsToElement(event.target, command)) return;
	if (MAP_ONLY.includes(command) && choices.view.value !== 'map') return;
	event.preventDefault();
	ACTIONS[command]();
}

function describeSelection(): string {
	const block = store.details.value;
	const place = choices.selectedPlace.value;
	if (place === null || !block) return '';
	if (!block.found) return `No block at ${format.offset(place * PLACE_BYTES)}`;
	return (
		`${block.address}, ${format.bytes(block.bytes)}, ${block.state}, ` +
		`${store.nameOf(block.context)}, ${format.duration(block.age_ms)}`
	);
}

export function startCommands(): void {
	let timer: ReturnType<typeof setTimeout> | undefined;
	document.addEventListener('keydown', pressed);
	/* A block that only grows older is not announced again. */
	const subject = computed(() => {
		const block = store.details.value;
		return (
			block && `${choices.selectedPlace.value} ${block.address} ${block.state} ${block.bytes}`
		);
	});
	effect(() => {
		void subject.value;
		clearTimeout(timer);
		timer = setTimeout(() => (announcement.value = describeSelection()), ANNOUNCE_AFTER_MS);
	});
}
