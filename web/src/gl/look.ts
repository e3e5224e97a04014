/*
 * The colours of the map as one table of bytes, read from the CSS variables of the current theme.
 * Rows of 256 RGBA entries: a painter looks up (row, index), so another colouring is another row.
 */

import { SLOTS } from '../palette';

export const LOOK_WIDTH = 256;
export const LookRow = { context: 0, age: 1, state: 2, occupancy: 3, ink: 4 } as const;
export const LOOK_ROWS = 5;
export const Ink = { background: 0, line: 1, mark: 2 } as const;

const OLDER_THAN_ATTACH = 255;
const AGE_YOUNG_LOG2 = 5; /* 32 ms and younger: the fresh end of the ramp */
const AGE_OLD_LOG2 = 22; /* 70 minutes and older: its far end */
const AGE_STOPS = ['--age0', '--age1', '--age2', '--age3', '--age4'];
const OCCUPANCY_STOPS = ['--occ0', '--occ1', '--occ2', '--occ3'];
const STATES = ['--free', '--state-live', '--cached', '--unused', '--meta', '--bg'];

type Rgb = readonly [number, number, number];

/* Resolves CSS variables to numbers, whatever notation they are in. */
function colourReader(): { read: (name: string) => Rgb; done: () => void } {
	const probe = document.body.appendChild(document.createElement('i'));
	probe.hidden = true;
	const read = (name: string): Rgb => {
		probe.style.color = `var(${name})`;
		const colour = getComputedStyle(probe).color; /* rgb(0 to 255) or color(srgb 0 to 1) */
		const unit = colour.startsWith('color(') ? 255 : 1;
		const [red, green, blue] = (colour.match(/[\d.]+/g) ?? []).map(Number);
		return [red! * unit, green! * unit, blue! * unit];
	};
	return { read, done: () => probe.remove() };
}

function along(stops: readonly Rgb[], position: number): Rgb {
	const at = Math.min(Math.max(position, 0), 1) * (stops.length - 1);
	const index = Math.min(Math.floor(at), stops.length - 2);
	const part = at - index;
	return [0, 1, 2].map(
		(channel) => stops[index]![channel]! * (1 - part) + stops[index + 1]![channel]! * part,
	) as unknown as Rgb;
}

export function readLook(): Uint8Array {
	const { read, done } = colourReader();
	const look = new Uint8Array(LOOK_WIDTH * LOOK_ROWS * 4);
	const put = (row: number, index: number, colour: Rgb) =>
		look.set([...colour, 255], (row * LOOK_WIDTH + index) * 4);

	for (let slot = 0; slot < SLOTS; slot++) put(LookRow.context, slot, read(`--c${slot}`));
	put(LookRow.context, SLOTS, read('--neutral'));
	const ages = AGE_STOPS.map(read);
	for (let log2 = 0; log2 < OLDER_THAN_ATTACH; log2++)
		put(
			LookRow.age,
			log2,
			along(ages, (log2 - AGE_YOUNG_LOG2) / (AGE_OLD_LOG2 - AGE_YOUNG_LOG2)),
		);
	put(LookRow.age, OLDER_THAN_ATTACH, read('--older'));
	STATES.forEach((name, kind) => put(LookRow.state, kind, read(name)));
	const occupancies = OCCUPANCY_STOPS.map(read);
	for (let share = 0; share < 256; share++)
		put(LookRow.occupancy, share, along(occupancies, share / 255));
	['--bg', '--line', '--mark'].forEach((name, ink) => put(LookRow.ink, ink, read(name)));
	done();
	return look;
}
