/*
 * The three sentences at the top: what grows, what is fragmented, what is wasted. Pure. They only
 * pick and compare what the collector counted.
 */

import type { Arena, Context } from './wire';

/* Below, growth is noise: of the smoothing, or beside the rest of the heap. */
const GROWING_BYTES_PER_SECOND = 1024;
const GROWING_SHARE_PER_SECOND = 0.01 / 60;

export interface Growing {
	context: Context;
	share: number; /* of all live bytes */
}
export interface Fragmented {
	arena: Arena;
	largest_bytes: number; /* hole below the frontier */
	free_bytes: number; /* all holes below the frontier */
}
export interface Wasted {
	taken_bytes: number; /* by live blocks: payload, headers, padding */
	header_bytes: number;
	padding_bytes: number;
	share: number;
	split_blocks: number;
}

export function isNotableGrowth(bytes_per_second: number, live_bytes: number): boolean {
	return (
		bytes_per_second >=
		Math.max(GROWING_BYTES_PER_SECOND, live_bytes * GROWING_SHARE_PER_SECOND)
	);
}

export function findGrowing(contexts: readonly Context[], live_bytes: number): Growing | null {
	let top: Context | null = null;
	for (const context of contexts)
		if (!top || context.growth_bytes_per_second > top.growth_bytes_per_second) top = context;
	if (!top || !isNotableGrowth(top.growth_bytes_per_second, live_bytes)) return null;
	return { context: top, share: live_bytes ? top.live_bytes / live_bytes : 0 };
}

/* The arena that has most free memory outside its largest hole. */
export function findFragmented(arenas: readonly Arena[]): Fragmented | null {
	const scattered = (arena: Arena) => arena.committed_free_bytes * arena.fragmentation_ratio;
	let top: Arena | null = null;
	for (const arena of arenas)
		if (!arena.is_gone && (!top || scattered(arena) > scattered(top))) top = arena;
	if (!top || !top.committed_free_bytes) return null;
	const free_bytes = top.committed_free_bytes;
	return { arena: top, free_bytes, largest_bytes: (1 - top.fragmentation_ratio) * free_bytes };
}

export function findWasted(arenas: readonly Arena[]): Wasted | null {
	const sum = (name: 'live_bytes' | 'header_bytes' | 'padding_bytes' | 'split_blocks') =>
		arenas.reduce((total, arena) => total + (arena.is_gone ? 0 : arena[name]), 0);
	const header_bytes = sum('header_bytes');
	const padding_bytes = sum('padding_bytes');
	const taken_bytes = sum('live_bytes') + header_bytes + padding_bytes;
	if (!taken_bytes) return null;
	return {
		taken_bytes,
		header_bytes,
		padding_bytes,
		share: (header_bytes + padding_bytes) / taken_bytes,
		split_blocks: sum('split_blocks'),
	};
}
