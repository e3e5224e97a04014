/*
 * What the user chose, as signals, and its text form in the URL's hash. Pure.
 *
 *   #v=1&view=map&arena=2&first=81920&scale=4&colour=age
 *
 * scale: places a pixel shows; /n: n pixels a place. Without first and scale the map fits.
 */

import { batch, signal } from '@preact/signals';
import type { Scale } from './layout';
import type { Measure } from './stacks';

export const VIEWS = ['map', 'contexts', 'arenas', 'stacks', 'lifetimes', 'events'] as const;
export const COLOURS = ['context', 'age', 'state', 'occupancy'] as const;
export type View = (typeof VIEWS)[number];
export type Colour = (typeof COLOURS)[number];
export type ContextSort =
	| 'name'
	| 'live_bytes'
	| 'live_blocks'
	| 'peak_live_bytes'
	| 'allocations'
	| 'frees'
	| 'allocated_bytes'
	| 'allocations_per_second'
	| 'growth_bytes_per_second';

/* Where the map looks. Null: the whole arena. */
export interface Spot {
	first: number;
	scale: Scale;
}
export interface Range {
	place: number;
	places: number;
}

export class Choices {
	readonly view = signal<View>('map');
	readonly arena = signal<number | null>(null); /* null: the first one */
	readonly spot = signal<Spot | null>(null);
	readonly colour = signal<Colour>('context');
	readonly focus = signal<number | null>(null); /* context that stands out */
	readonly filter = signal('');
	readonly sort = signal<{ by: ContextSort; down: boolean }>({ by: 'live_bytes', down: true });
	readonly isPaused = signal(false);
	readonly isHelpOpen = signal(false);
	readonly selectedPlace = signal<number | null>(null);
	readonly range = signal<Range | null>(null);
	readonly measure = signal<Measure>('live');
	readonly openStack = signal<number | null>(null); /* whose frames are listed */
	readonly stackPath = signal<readonly string[]>([]); /* functions that are zoomed into */

	chooseArena(id: number): void {
		batch(() => {
			this.arena.value = id;
			this.spot.value = this.selectedPlace.value = this.range.value = null;
		});
	}

	toggleFocus(id: number): void {
		this.focus.value = this.focus.value === id ? null : id;
	}

	sortBy(by: ContextSort): void {
		const { by: before, down } = this.sort.value;
		this.sort.value = { by, down: before === by ? !down : by !== 'name' };
	}

	toHash(): string {
		const hash = new URLSearchParams({ v: '1', view: this.view.value });
		if (this.arena.value !== null) hash.set('arena', String(this.arena.value));
		if (this.spot.value) {
			const { first, scale } = this.spot.value;
			hash.set('first', String(first));
			hash.set('scale', scale.pixels > 1 ? `/${scale.pixels}` : String(scale.places));
		}
		hash.set('colour', this.colour.value);
		return '#' + hash.toString().replaceAll('%2F', '/');
	}

	/* Whatever in it makes no sense is left out. */
	fromHash(text: string): void {
		const hash = new URLSearchParams(text.replace(/^#/, ''));
		const view = VIEWS.find((name) => name === hash.get('view'));
		const colour = COLOURS.find((name) => name === hash.get('colour'));
		const arena = wholeNumber(hash.get('arena'));
		const first = wholeNumber(hash.get('first'));
		const scale = scaleFrom(hash.get('scale'));
		batch(() => {
			if (view) this.view.value = view;
			if (colour) this.colour.value = colour;
			if (arena !== null) this.arena.value = arena;
			this.spot.value = first !== null && scale ? { first, scale } : null;
		});
	}
}

function wholeNumber(text: string | null): number | null {
	return text !== null && /^\d{1,10}$/.test(text) ? Number(text) : null;
}

function scaleFrom(text: string | null): Scale | null {
	const match = /^(\/?)([1-9]\d{0,8})$/.exec(text ?? '');
	if (!match) return null;
	return match[1]
		? { places: 1, pixels: Number(match[2]) }
		: { places: Number(match[2]), pixels: 1 };
}
