/*
 * The mouse on the map: hover, click, drag, wheel. Turns what happens to the stage into choices;
 * draws nothing.
 *
 * Click selects a block; drag selects a range; Shift or the middle button moves the map; the wheel
 * moves it too, with Ctrl it zooms; a double click fits.
 */

import { askBlock, choices, endPlace, layout, stageSize } from '../app';
import {
	closer,
	farther,
	type Layout,
	panRows,
	placeAt,
	rowsOf,
	segmentsOf,
	zoomAt,
} from '../layout';
import { hover } from './hover';

const ASK_AFTER_MS = 60;
const DRAG_PIXELS = 5;
const WHEEL_STEP = 40; /* wheel units a row, and a zoom step */

interface Press {
	x: number;
	y: number;
	place: number;
	isMove: boolean;
	isDrag: boolean;
	layout: Layout;
}

export function look(next: Layout): void {
	choices.spot.value = { first: next.first, scale: next.scale };
}

export function startPointer(stage: HTMLElement, base: HTMLCanvasElement): () => void {
	let press: Press | null = null;
	let askTimer: ReturnType<typeof setTimeout> | undefined;
	let wheel = 0;

	const position = (event: MouseEvent) => {
		const box = base.getBoundingClientRect();
		const { ratio } = stageSize.value;
		return {
			x: Math.floor((event.clientX - box.left) * ratio),
			y: Math.floor((event.clientY - box.top) * ratio),
		};
	};

	const point = (event: MouseEvent) => {
		const { x, y } = position(event);
		const place = placeAt(layout.value, x, y);
		clearTimeout(askTimer);
		const box = stage.getBoundingClientRect();
		hover.value =
			place < 0 || place >= endPlace.value
				? null
				: { place, x: event.clientX - box.left, y: event.clientY - box.top };
		if (hover.value) askTimer = setTimeout(() => askBlock(place, 'hover'), ASK_AFTER_MS);
	};

	const drag = (held: Press, event: MouseEvent) => {
		const { x, y } = position(event);
		held.isDrag ||= Math.hypot(x - held.x, y - held.y) > DRAG_PIXELS * stageSize.value.ratio;
		if (!held.isDrag) return;
		hover.value = null;
		if (held.isMove) {
			const rows = Math.round((held.y - y) / held.layout.pitch);
			return look(panRows(held.layout, rows, endPlace.value));
		}
		const place = placeAt(layout.value, Math.max(0, x), Math.max(0, y));
		if (place < 0 || held.place < 0) return;
		choices.range.value = {
			place: Math.min(place, held.place),
			places: Math.abs(place - held.place) + 1,
		};
	};

	const pressed = (event: PointerEvent) => {
		if (event.button > 1) return;
		const { x, y } = position(event);
		const isMove = event.shiftKey || event.button === 1;
		press = {
			x,
			y,
			place: placeAt(layout.value, x, y),
			isMove,
			isDrag: false,
			layout: layout.value,
		};
		stage.setPointerCapture(event.pointerId);
		stage.classList.toggle('is-moving', isMove);
		if (isMove) event.preventDefault();
	};

	const moved = (event: PointerEvent) => (press ? drag(press, event) : point(event));

	const released = () => {
		stage.classList.remove('is-moving');
		if (press && !press.isDrag && !press.isMove) {
			choices.range.value = null;
			choices.selectedPlace.value =
				press.place >= 0 && press.place < endPlace.value ? press.place : null;
		}
		press = null;
	};

	const left = () => {
		clearTimeout(askTimer);
		hover.value = null;
	};

	const wheeled = (event: WheelEvent) => {
		event.preventDefault();
		const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : WHEEL_STEP;
		wheel += event.deltaY * unit;
		const steps = Math.trunc(wheel / WHEEL_STEP);
		if (!steps) return;
		wheel -= steps * WHEEL_STEP;
		if (!event.ctrlKey) return look(panRows(layout.value, steps, endPlace.value));
		const { x, y } = position(event);
		look(
			zoomAt(
				layout.value,
				(steps > 0 ? farther : closer)(layout.value.scale),
				x,
				y,
				endPlace.value,
			),
		);
		point(event);
	};

	const fitted = () => {
		choices.spot.value = choices.range.value = choices.selectedPlace.value = null;
	};

	const listeners: [string, (event: never) => void, AddEventListenerOptions?][] = [
		['pointerdown', pressed],
		['pointermove', moved],
		['pointerup', released],
		['pointercancel', released],
		['pointerleave', left],
		['dblclick', fitted],
		['wheel', wheeled, { passive: false }],
	];
	for (const [name, listener, how] of listeners)
		stage.addEventListener(name, listener as EventListener, how);
	return () => {
		left();
		for (const [name, listener] of listeners)
			stage.removeEventListener(name, listener as EventListener);
	};
}

/* Zoom by keyboard: at the pointer when it is on the map, else at the selection, else the middle. */
export function zoomByKey(direction: 'closer' | 'farther'): void {
	const { value } = layout;
	const scale = (direction === 'closer' ? closer : farther)(value.scale);
	const place = hover.value?.place ?? choices.selectedPlace.value;
	const at = place === null ? undefined : segmentsOf(value, place, 1)[0];
	const x = at ? at.x : Math.floor(value.width / 2);
	const row = at ? at.row : Math.floor(rowsOf(value) / 2);
	look(zoomAt(value, scale, x, row * value.pitch, endPlace.value));
}
