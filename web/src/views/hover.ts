/*
 * What is under the pointer, and what the picture knows of it without asking: the block whose cell
 * holds the place, or else the texel.
 */

import { computed, signal } from '@preact/signals';
import { arena, choices, layout, store } from '../app';
import { blockIndexAt, PLACE_BYTES, showsBlocks } from '../layout';

export interface Hover {
	place: number;
	x: number; /* CSS pixels in the stage */
	y: number;
}
export interface Cell {
	place: number;
	places: number;
}

export const hover = signal<Hover | null>(null);

/* Index into store.blocks, or -1 when blocks are not drawn one by one or none is there. */
export function blockIndexOf(place: number): number {
	const blocks = store.blocks.value;
	if (!blocks || !showsBlocks(layout.value)) return -1;
	return blockIndexAt(blocks.cell_place, blocks.cell_places, place);
}

export function texelIndexOf(place: number): number {
	const texels = store.texels.value;
	if (!texels) return -1;
	const index = Math.floor((place - texels.first_place) / texels.places_per_texel);
	return index >= 0 && index < texels.count ? index : -1;
}

function cellOfDetails(place: number, purpose: 'hovered' | 'details'): Cell | null {
	const block = store[purpose].value;
	if (!block?.found || !arena.value) return null;
	const start = (Number(block.cell_address) - arena.value.base_addr) / PLACE_BYTES;
	const cell = { place: start, places: block.cell_bytes / PLACE_BYTES };
	return place >= cell.place && place < cell.place + cell.places ? cell : null;
}

function cellAt(place: number, purpose: 'hovered' | 'details'): Cell | null {
	const index = blockIndexOf(place);
	if (index < 0) return cellOfDetails(place, purpose);
	const { cell_place, cell_places } = store.blocks.value!;
	return { place: cell_place[index]!, places: cell_places[index]! };
}

export const hoveredCell = computed(() => hover.value && cellAt(hover.value.place, 'hovered'));
export const selectedCell = computed<Cell | null>(() => {
	const place = choices.selectedPlace.value;
	if (place === null) return null;
	return cellAt(place, 'details') ?? { place, places: 1 };
});

/* Details that the collector gave for what is under the pointer now. */
export const hoveredDetails = computed(() => {
	const place = hover.value?.place;
	return place !== undefined && cellOfDetails(place, 'hovered') ? store.hovered.value : null;
});
