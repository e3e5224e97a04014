/* The history of the heap: live and resident bytes, events a second, marks, and losses. */

import { effect, signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { store } from '../app';
import * as format from '../format';
import { theme } from '../theme';

const LEFT = 84; /* as wide as the map's ruler */
const EVENT_HEADROOM = 3.2; /* events keep to the lowest third */
const POWERS_OF_TWO = Array.from({ length: 50 }, (_, power) => 2 ** power);

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const TIME_STEPS = [1, 2, 5, 10, 15, 30]
	.map((step) => step * SECOND)
	.concat(
		[1, 2, 5, 10, 15, 30].map((step) => step * MINUTE),
		[1, 2, 3, 6, 12, 24, 72, 168].map((step) => step * HOUR),
	);

interface Readout {
	at_ms: number;
	live_bytes: number;
	resident_bytes: number;
	events_per_second: number;
}
const pointed = signal<Readout | null>(null);

function css(name: string): string {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/* Resolves a variable to a colour that a canvas takes. */
function inkReader(element: HTMLElement): (name: string) => string {
	return (name) => {
		element.style.color = `var(${name})`;
		return getComputedStyle(element).color;
	};
}

function faded(colour: string, alpha: number): string {
	return colour.replace(/^rgba?\(([^,)]+),([^,)]+),([^,)]+).*$/, `rgba($1,$2,$3,${alpha})`);
}

function drawMarks(plot: uPlot, ink: (name: string) => string): void {
	const { ctx, bbox } = plot;
	const ratio = devicePixelRatio;
	ctx.save();
	ctx.strokeStyle = ctx.fillStyle = ink('--warn');
	ctx.lineWidth = ratio;
	ctx.font = `${11 * ratio}px ${css('--sans')}`;
	ctx.textAlign = 'left';
	ctx.textBaseline = 'top';
	let textEnd = -Infinity;
	for (const mark of store.marks.value) {
		const x = Math.round(plot.valToPos(mark.at_ms, 'x', true));
		if (x < bbox.left || x > bbox.left + bbox.width) continue;
		ctx.setLineDash([3 * ratio, 3 * ratio]);
		ctx.beginPath();
		ctx.moveTo(x, bbox.top);
		ctx.lineTo(x, bbox.top + bbox.height);
		ctx.stroke();
		const { width } = ctx.measureText(mark.text);
		const isRight = x + 5 * ratio + width < bbox.left + bbox.width;
		const left = isRight ? x + 5 * ratio : x - 5 * ratio - width;
		if (left < textEnd) continue;
		ctx.fillText(mark.text, left, bbox.top + 2 * ratio);
		textEnd = left + width + 9 * ratio;
	}
	ctx.restore();
}

/* A stretch in which events were lost is shaded: no number there is beyond doubt. */
function drawLosses(plot: uPlot, ink: (name: string) => string): void {
	const at = store.timeline.column('at_ms');
	const lost = store.timeline.column('events_lost');
	const { ctx, bbox } = plot;
	ctx.save();
	ctx.fillStyle = faded(ink('--bad'), 0.25);
	for (let i = 1; i < lost.length; i++) {
		if (lost[i] === lost[i - 1]) continue;
		const left = plot.valToPos(at[i - 1]!, 'x', true);
		const right = plot.valToPos(at[i]!, 'x', true);
		ctx.fillRect(left, bbox.top, Math.max(right - left, 2), bbox.height);
	}
	ctx.restore();
}

function options(element: HTMLElement, ink: (name: string) => string): uPlot.Options {
	const accent = ink('--accent');
	const line = ink('--line');
	const font = `11px ${css('--sans')}`;
	const axis = { stroke: ink('--dim'), font, ticks: { show: false } };
	return {
		width: element.clientWidth,
		height: element.clientHeight,
		ms: 1,
		padding: [26, 18, 0, 0],
		legend: { show: false },
		cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false } },
		scales: {
			bytes: { range: (_, __, max) => [0, (max || 1) * 1.1] },
			events: { range: (_, __, max) => [0, (max || 1) * EVENT_HEADROOM] },
		},
		series: [
			{},
			{
				scale: 'bytes',
				stroke: accent,
				width: 1.6,
				fill: faded(accent, 0.08),
				points: { show: false },
			},
			{
				scale: 'bytes',
				stroke: ink('--faint'),
				width: 1,
				dash: [4, 3],
				points: { show: false },
			},
			{ scale: 'events', stroke: ink('--ok'), width: 1, points: { show: false } },
		],
		axes: [
			{
				...axis,
				grid: { show: false },
				size: 26,
				space: 110,
				incrs: TIME_STEPS,
				values: (_, splits) => splits.map((at) => format.clock(at)),
			},
			{
				...axis,
				scale: 'bytes',
				size: LEFT,
				grid: { stroke: line, width: 1 },
				space: 24,
				incrs: POWERS_OF_TWO,
				gap: 8,
				values: (_, splits) => splits.map((value) => format.bytes(value)),
			},
		],
		hooks: {
			drawClear: [(plot) => drawLosses(plot, ink)],
			draw: [(plot) => drawMarks(plot, ink)],
			setCursor: [({ cursor }) => (pointed.value = readAt(cursor.idx ?? null))],
		},
	};
}

function readAt(index: number | null): Readout | null {
	const { timeline } = store;
	if (index === null || index >= timeline.length) return null;
	return {
		at_ms: timeline.column('at_ms')[index]!,
		live_bytes: timeline.column('live_bytes')[index]!,
		resident_bytes: timeline.column('resident_bytes')[index]!,
		events_per_second: timeline.column('events_per_second')[index]!,
	};
}

function data(): uPlot.AlignedData {
	const { timeline } = store;
	return [
		timeline.column('at_ms'),
		timeline.column('live_bytes'),
		timeline.column('resident_bytes'),
		timeline.column('events_per_second'),
	];
}

/* Owns one plot; a drag zooms in and holds, a double click follows all of the history again. */
function startPlot(element: HTMLElement, probe: HTMLElement): () => void {
	let isZoomed = false;
	let frame = 0;
	const plot = new uPlot(options(element, inkReader(probe)), data(), element);
	plot.over.addEventListener('mouseup', () => (isZoomed ||= plot.select.width > 1));
	plot.over.addEventListener('dblclick', () => (isZoomed = false));
	const draw = () => {
		frame = 0;
		plot.setData(data(), !isZoomed);
		if (isZoomed) plot.redraw();
	};
	const stop = effect(() => {
		void store.timelineVersion.value;
		void store.marks.value;
		frame ||= requestAnimationFrame(draw);
	});
	const resized = new ResizeObserver(() =>
		plot.setSize({ width: element.clientWidth, height: element.clientHeight }),
	);
	resized.observe(element);
	return () => {
		stop();
		cancelAnimationFrame(frame);
		resized.disconnect();
		plot.destroy();
	};
}

function Readings() {
	void store.timelineVersion.value;
	const shown = pointed.value ?? readAt(store.timeline.length - 1);
	if (!shown) return null;
	return (
		<div class="time-legend">
			<span>
				<i class="stroke live" />
				live <b>{format.bytes(shown.live_bytes)}</b>
			</span>
			<span>
				<i class="stroke resident" />
				resident <b>{format.bytes(shown.resident_bytes)}</b>
			</span>
			<span>
				<i class="stroke events" />
				events <b>{format.perSecond(shown.events_per_second)}</b>
			</span>
			{pointed.value && (
				<span>
					<b>{format.clock(shown.at_ms, true)}</b>
				</span>
			)}
		</div>
	);
}

function Summary() {
	const marks = store.marks.value;
	return (
		<p class="unseen">
			Timeline of live bytes, resident bytes and events a second.
			{marks.length > 0 &&
				' Marks: ' +
					marks.map(({ at_ms, text }) => `${text} at ${format.clock(at_ms)}`).join(', ')}
		</p>
	);
}

export function TimelineView() {
	const element = useRef<HTMLDivElement>(null);
	const probe = useRef<HTMLElement>(null);
	const shown = theme.value;
	useEffect(() => startPlot(element.current!, probe.current!), [shown]);
	return (
		<section class="time" aria-label="Timeline">
			<Readings />
			<Summary />
			<i hidden ref={probe} />
			<div ref={element} class="plot" aria-hidden="true" />
		</section>
	);
}
