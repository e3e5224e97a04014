/*
 * What lies over the map: the ruler, outlines of what is pointed at and selected, names in blocks
 * that are wide enough. A 2D canvas; only text and a few lines.
 */

import { arena, choices, endPlace, layout, stageSize, store } from '../app';
import * as format from '../format';
import { LOOK_WIDTH, LookRow } from '../gl/look';
import { blockAge } from '../gl/segments';
import { type Layout, PLACE_BYTES, rulerOf, segmentsOf, showsBlocks } from '../layout';
import { type Blocks, Kind, Life } from '../wire';
import { type Cell, hoveredCell, selectedCell } from './hover';

export const INSET = {
	left: 84,
	top: 10,
	right: 16,
	bottom: 4,
}; /* of the base canvas, CSS pixels */
const RULER_SPACING = 62;
const LABEL_MIN_PIXELS = 64;

export interface Inks {
	ink: string;
	dim: string;
	accent: string;
	warn: string;
	back: string;
	onBright: string;
	onDark: string;
	sans: string;
	mono: string;
}

interface Pen {
	g: CanvasRenderingContext2D;
	inks: Inks;
	look: Uint8Array;
	ratio: number;
	layout: Layout;
}

export function drawOverlay(g: CanvasRenderingContext2D, inks: Inks, look: Uint8Array): void {
	const { ratio } = stageSize.value;
	const pen: Pen = { g, inks, look, ratio, layout: layout.value };
	g.setTransform(1, 0, 0, 1, 0, 0);
	g.clearRect(0, 0, g.canvas.width, g.canvas.height);
	if (!arena.value || !pen.layout.width) return;
	drawRuler(pen);
	g.setTransform(1, 0, 0, 1, INSET.left * ratio, INSET.top * ratio);
	if (showsBlocks(pen.layout)) drawNames(pen);
	drawUntouched(pen, arena.value.frontier_bytes / PLACE_BYTES);
	drawRange(pen);
	outline(pen, hoveredCell.value, inks.ink, 1);
	outline(pen, selectedCell.value, inks.accent, 2);
}

function drawRuler({ g, inks, ratio, layout: shown }: Pen): void {
	g.font = `${11 * ratio}px ${inks.mono}`;
	g.fillStyle = inks.dim;
	g.textAlign = 'right';
	g.textBaseline = 'middle';
	const middle = (shown.pitch - shown.gap) / 2;
	const { marks, step_bytes } = rulerOf(shown, RULER_SPACING * ratio);
	for (const { row, offset_bytes } of marks) {
		if (offset_bytes / PLACE_BYTES >= endPlace.value) break;
		g.fillText(
			format.offset(offset_bytes, step_bytes),
			(INSET.left - 10) * ratio,
			INSET.top * ratio + row * shown.pitch + middle,
		);
	}
}

/* Black or white, whichever can be read on the block's colour; grey when the block is dimmed. */
function textColour(blocks: Blocks, i: number, look: Uint8Array, inks: Inks): string {
	const context = blocks.context[i]!;
	const { value: focus } = choices.focus;
	if (focus !== null && focus !== context) return inks.dim;
	const index = {
		context: store.palette.slotOf(context),
		age: blockAge(blocks, i),
		state: Kind.live,
		occupancy: 255,
	}[choices.colour.value];
	const at = (LookRow[choices.colour.value] * LOOK_WIDTH + index) * 4;
	const brightness = 0.299 * look[at]! + 0.587 * look[at + 1]! + 0.114 * look[at + 2]!;
	return brightness > 120 ? inks.onBright : inks.onDark;
}

/* Names inside live blocks, where there is room. */
function drawNames({ g, inks, look, ratio, layout: shown }: Pen): void {
	const blocks = store.blocks.value;
	if (!blocks) return;
	g.font = `${11 * ratio}px ${inks.sans}`;
	g.textAlign = 'left';
	g.textBaseline = 'middle';
	const least_places = (LABEL_MIN_PIXELS * ratio * shown.scale.places) / shown.scale.pixels;
	for (let i = 0; i < blocks.count; i++) {
		if (blocks.life[i] !== Life.live || blocks.cell_places[i]! < least_places) continue;
		const [first] = segmentsOf(shown, blocks.cell_place[i]!, blocks.cell_places[i]!);
		if (!first || first.width < LABEL_MIN_PIXELS * ratio) continue;
		const header = Math.floor(shown.scale.pixels / shown.scale.places);
		const room = first.width - header - 8 * ratio;
		const name = store.nameOf(blocks.context[i]!);
		const whole = `${name}  ${format.bytes(blocks.bytes[i]!)}`;
		const text =
			g.measureText(whole).width <= room ? whole : name; /* never a number cut short */
		g.fillStyle = textColour(blocks, i, look, inks);
		g.save();
		g.beginPath();
		g.rect(first.x, first.row * shown.pitch, header + 4 * ratio + room, shown.pitch);
		g.clip();
		g.fillText(
			text,
			first.x + header + 4 * ratio,
			first.row * shown.pitch + (shown.pitch - shown.gap) / 2 + 0.5 * ratio,
		);
		g.restore();
	}
}

function drawUntouched({ g, inks, ratio, layout: shown }: Pen, frontier: number): void {
	const [first, second] = segmentsOf(shown, frontier, Math.max(0, endPlace.value - frontier));
	const at = second ?? first;
	if (!at || at.width < 90 * ratio) return;
	g.font = `${11 * ratio}px ${inks.sans}`;
	g.textAlign = 'left';
	g.textBaseline = 'middle';
	const y = at.row * shown.pitch + (shown.pitch - shown.gap) / 2;
	const width = g.measureText('untouched').width;
	g.fillStyle = inks.back;
	g.fillRect(at.x + 4 * ratio, y - 7 * ratio, width + 8 * ratio, 14 * ratio);
	g.fillStyle = inks.dim;
	g.fillText('untouched', at.x + 8 * ratio, y);
}

/* The outline of a run of places: two long ends and everything between. */
function outline(
	{ g, ratio, layout: shown }: Pen,
	cell: Cell | null,
	colour: string,
	thickness: number,
): void {
	if (!cell) return;
	g.strokeStyle = colour;
	g.lineWidth = thickness * ratio;
	const half = (thickness * ratio) / 2;
	for (const { row, x, width } of segmentsOf(shown, cell.place, cell.places))
		g.strokeRect(
			x - half,
			row * shown.pitch - half,
			width + 2 * half,
			shown.pitch - shown.gap + 2 * half,
		);
}

function drawRange({ g, inks, ratio, layout: shown }: Pen): void {
	const range = choices.range.value;
	if (!range) return;
	g.fillStyle = inks.warn;
	g.globalAlpha = 0.28;
	const segments = segmentsOf(shown, range.place, range.places);
	for (const { row, x, width } of segments)
		g.fillRect(x, row * shown.pitch, width, shown.pitch - shown.gap);
	g.globalAlpha = 1;
	g.strokeStyle = inks.warn;
	g.lineWidth = 2 * ratio;
	for (const { row, x, width, isFirst, isLast } of ends(segments)) {
		g.beginPath();
		if (isFirst) (g.moveTo(x, row * shown.pitch), g.lineTo(x, (row + 1) * shown.pitch));
		if (isLast)
			(g.moveTo(x + width, row * shown.pitch), g.lineTo(x + width, (row + 1) * shown.pitch));
		g.stroke();
	}
}

function ends<T>(list: T[]): (T & { isFirst: boolean; isLast: boolean })[] {
	return list.map((item, i) => ({ ...item, isFirst: i === 0, isLast: i === list.length - 1 }));
}
