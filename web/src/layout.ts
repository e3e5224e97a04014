/*
 * The geometry of the map: memory as rows of text, left to right, top to bottom. Pure.
 *
 * Places are 16-byte units from the arena's base. A pixel shows `places` places (zoomed out), or a
 * place takes `pixels` pixels (zoomed in); one of the two is always 1, so that every texel and
 * every place begins on a whole pixel. All lengths are device pixels.
 *
 *   first ->  |place|place|place| ... |   row 0, placesPerRow places
 *             |     |     |     |         row 1, one pitch below
 */

import { BLOCKS_BELOW_PLACES_PER_TEXEL, Kind, TEXELS_MAX, type Texels } from './wire';

export const PLACE_BYTES = 16;
const PIXELS_MAX = 64; /* the closest look: four pixels a byte */
const ROW_PITCH = 13; /* CSS pixels */
const ROW_PITCH_CLOSE = 22; /* room for names in blocks */
const ROW_GAP = 1;
const CLOSE_PIXELS = 4; /* a place, from which a look is close */

export interface Scale {
	places: number;
	pixels: number;
}
export interface Layout {
	width: number;
	height: number;
	ratio: number; /* device pixels in a CSS pixel */
	pitch: number; /* from one row to the next; higher in close looks */
	gap: number; /* of it, what stays empty below a row */
	first: number; /* place at the top left */
	scale: Scale;
}
/* A piece of one row. */
export interface Segment {
	row: number;
	x: number;
	width: number;
}
export interface Ruler {
	marks: { row: number; offset_bytes: number }[];
	step_bytes: number;
}
export interface Window {
	first_place: number;
	places_per_texel: number;
	texels: number;
}

export function createLayout(width: number, height: number, ratio: number): Layout {
	const gap = Math.max(1, Math.round(ROW_GAP * ratio));
	const scale = { places: 1, pixels: 1 };
	return withScale({ width, height, ratio, pitch: 0, gap, first: 0, scale }, scale);
}

export function withScale(layout: Layout, scale: Scale): Layout {
	const isClose = scale.pixels >= CLOSE_PIXELS * layout.ratio;
	const pitch = Math.round((isClose ? ROW_PITCH_CLOSE : ROW_PITCH) * layout.ratio);
	return { ...layout, scale, pitch };
}

export function placesPerRow({ width, scale }: Layout): number {
	return Math.max(1, Math.floor(width / scale.pixels)) * scale.places;
}

export function rowsOf({ height, pitch, gap }: Layout): number {
	return Math.max(1, Math.floor((height + gap) / pitch));
}

export function visiblePlaces(layout: Layout): number {
	return placesPerRow(layout) * rowsOf(layout);
}

/* The place under a pixel, or -1 between the rows' ends and the edge. */
export function placeAt(layout: Layout, x: number, y: number): number {
	const row = Math.floor(y / layout.pitch);
	const column = Math.floor((x * layout.scale.places) / layout.scale.pixels);
	if (x < 0 || y < 0 || row >= rowsOf(layout) || column >= placesPerRow(layout)) return -1;
	return layout.first + row * placesPerRow(layout) + column;
}

/* The pieces of [place, place + places) that are in sight, top to bottom. */
export function segmentsOf(layout: Layout, place: number, places: number): Segment[] {
	const perRow = placesPerRow(layout);
	const end = Math.min(place + places - layout.first, perRow * rowsOf(layout));
	const segments: Segment[] = [];
	for (let at = Math.max(0, place - layout.first); at < end;) {
		const row = Math.floor(at / perRow);
		const stop = Math.min(end, (row + 1) * perRow);
		const x = pixelsOf(layout, at - row * perRow);
		const width = Math.max(1, pixelsOf(layout, stop - row * perRow) - x);
		segments.push({ row, x, width });
		at = stop;
	}
	return segments;
}

export function pixelsOf({ scale }: Layout, places: number): number {
	return Math.floor((places * scale.pixels) / scale.places);
}

/* What to ask the collector for: never more texels than it gives. */
export function windowOf(layout: Layout): Window {
	const places = visiblePlaces(layout);
	const pixels_per_texel = Math.ceil(places / layout.scale.places / TEXELS_MAX);
	const places_per_texel = layout.scale.places * pixels_per_texel;
	return {
		first_place: layout.first,
		places_per_texel,
		texels: Math.ceil(places / places_per_texel),
	};
}

/* Below this, single blocks can be told apart and are drawn one by one. */
export function showsBlocks({ scale }: Layout): boolean {
	return scale.places <= BLOCKS_BELOW_PLACES_PER_TEXEL / 2;
}

/* The closest look, of a pixel at most a place, that shows at least `places` from `first` on. */
export function fit(layout: Layout, places: number, first = 0): Layout {
	const far = withScale({ ...layout, first }, { places: 1, pixels: 1 });
	const cells = Math.max(1, far.width * rowsOf(far));
	return { ...far, scale: { places: Math.max(1, Math.ceil(places / cells)), pixels: 1 } };
}

/* The closest look that shows all of [place, place + places). */
export function fitRange(layout: Layout, place: number, places: number): Layout {
	let best = fit(layout, places, place);
	for (let pixels = 2; pixels <= PIXELS_MAX && best.scale.places === 1; pixels++) {
		const closer = withScale(best, { places: 1, pixels });
		if (visiblePlaces(closer) < places) break;
		best = closer;
	}
	return best;
}

/* One step is a factor of the square root of two, and at least one whole place or pixel. */
function stepOf(value: number, direction: 1 | -1): number {
	const next = Math.round(value * Math.SQRT2 ** direction);
	return next === value ? value + direction : next;
}
export function closer({ places, pixels }: Scale): Scale {
	if (places > 1) return { places: Math.max(1, stepOf(places, -1)), pixels: 1 };
	return { places: 1, pixels: Math.min(PIXELS_MAX, stepOf(pixels, 1)) };
}
export function farther({ places, pixels }: Scale): Scale {
	if (pixels > 1) return { places: 1, pixels: Math.max(1, stepOf(pixels, -1)) };
	return { places: stepOf(places, 1), pixels: 1 };
}

/* Another scale, with the place under (x, y) staying where it is. */
export function zoomAt(layout: Layout, scale: Scale, x: number, y: number, end: number): Layout {
	const anchor = placeAt(layout, x, y);
	const zoomed = withScale(layout, scale);
	if (anchor < 0) return clamp(zoomed, end);
	const before =
		Math.floor(y / zoomed.pitch) * placesPerRow(zoomed) +
		Math.floor((x * scale.places) / scale.pixels);
	return clamp({ ...zoomed, first: anchor - before }, end);
}

export function panRows(layout: Layout, rows: number, end: number): Layout {
	return clamp({ ...layout, first: layout.first + rows * placesPerRow(layout) }, end);
}

export function center(layout: Layout, place: number, end: number): Layout {
	const half = Math.floor(rowsOf(layout) / 2) * placesPerRow(layout);
	return clamp({ ...layout, first: place - half }, end);
}

/* Keeps the window inside [0, end) and on the grid of texels, and never farther out than needed. */
export function clamp(layout: Layout, end: number): Layout {
	const farthest = fit(layout, end).scale.places;
	const scale = layout.scale.places > farthest ? { places: farthest, pixels: 1 } : layout.scale;
	const clamped = withScale(layout, scale);
	const perRow = placesPerRow(clamped);
	const lastFirst = Math.max(0, Math.ceil(end / perRow) - rowsOf(clamped)) * perRow;
	const first = Math.min(Math.max(0, layout.first), lastFirst);
	return { ...clamped, first: first - (first % scale.places) };
}

/* Offsets for the ruler: every few rows, at least `spacing` pixels apart. */
export function rulerOf(layout: Layout, spacing: number): Ruler {
	const every = Math.max(1, Math.ceil(spacing / layout.pitch));
	const row_bytes = placesPerRow(layout) * PLACE_BYTES;
	const marks = [];
	for (let row = 0; row < rowsOf(layout); row += every)
		marks.push({ row, offset_bytes: layout.first * PLACE_BYTES + row * row_bytes });
	return { marks, step_bytes: every * row_bytes };
}

/*
 * Where the metadata at the start of an arena ends, as far as these texels tell; 0 unless they begin
 * at the start. The last texel of the run is not counted: other memory may begin in it.
 */
export function leadingMetaPlaces({ first_place, kind, places_per_texel }: Texels): number {
	if (first_place !== 0) return 0;
	const run = kind.findIndex((one) => one !== Kind.meta);
	return Math.max(0, run - 1) * places_per_texel;
}

/* The index of the block whose cell holds `place`, or -1. Starts are in rising order. */
export function blockIndexAt(starts: Uint32Array, lengths: Uint32Array, place: number): number {
	let low = 0;
	let high = starts.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (starts[middle]! <= place) low = middle + 1;
		else high = middle;
	}
	const index = low - 1;
	return index >= 0 && place < starts[index]! + lengths[index]! ? index : -1;
}
