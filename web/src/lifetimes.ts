/*
 * How long blocks lived: the answer of /api/v1/lifetimes, checked, and what is read off its
 * histograms. Pure. Bucket i holds the deaths at an age from 2^i to 2^(i+1) ns.
 */

import * as format from './format';

const VERSION = 1;
const SPACE = '\u00a0';

export interface Lifetimes {
	name: string;
	id: number;
	live_blocks: number;
	deaths: number;
	older: number;
	histogram: readonly number[];
}
export interface LifetimesAnswer {
	all: Lifetimes;
	contexts: Lifetimes[];
	arenas: Lifetimes[];
}

export function readLifetimes(json: unknown): LifetimesAnswer {
	const answer = json as { version: number; all: unknown; contexts: unknown; arenas: unknown };
	const isAnswer =
		answer?.version === VERSION &&
		isRow(answer.all) &&
		isRows(answer.contexts) &&
		isRows(answer.arenas);
	if (!isAnswer) throw new Error('these are no lifetimes');
	return {
		all: named(answer.all as Told),
		contexts: (answer.contexts as Told[]).map(named),
		arenas: (answer.arenas as Told[]).map(named),
	};
}

type Told = Lifetimes & { tag?: string };

function isRow(value: unknown): boolean {
	const row = value as Told;
	return typeof row?.deaths === 'number' && Array.isArray(row.histogram);
}
function isRows(value: unknown): boolean {
	return Array.isArray(value) && value.every(isRow);
}
function named(row: Told): Lifetimes {
	return { ...row, id: row.id ?? 0, name: row.tag ?? row.name ?? 'all' };
}

/* The buckets that any of them uses: [first, end). */
export function usedBuckets(rows: readonly Lifetimes[]): [number, number] {
	let first = Infinity;
	let end = 0;
	for (const { histogram } of rows) {
		const least = histogram.findIndex((deaths) => deaths > 0);
		if (least < 0) continue;
		first = Math.min(first, least);
		end = Math.max(end, histogram.length);
	}
	return end ? [first, end] : [0, 0];
}

/* The bucket in which so much of all deaths has been passed; null without any. */
export function quantile(row: Lifetimes, share: number): number | null {
	let left = row.deaths * share;
	if (!row.deaths) return null;
	for (const [bucket, deaths] of row.histogram.entries()) {
		left -= deaths;
		if (left <= 0 && deaths > 0) return bucket;
	}
	return row.histogram.length - 1;
}

/* 512 ns · 33 µs · 4 ms · 2.1 s */
export function age(ns: number): string {
	if (ns < 1e3) return Math.round(ns) + SPACE + 'ns';
	if (ns < 999.5e3) return format.compact(ns / 1e3) + SPACE + 'µs';
	return format.duration(ns / 1e6);
}

export function bucketText(bucket: number | null): string {
	return bucket === null ? '–' : `${age(2 ** bucket)} – ${age(2 ** (bucket + 1))}`;
}

/* Round times for the scale above the bars, and where they lie in [first, end), as a share. */
const ROUND: readonly [number, string][] = [
	[1e3, '1 µs'],
	[1e4, '10 µs'],
	[1e5, '100 µs'],
	[1e6, '1 ms'],
	[1e7, '10 ms'],
	[1e8, '100 ms'],
	[1e9, '1 s'],
	[1e10, '10 s'],
	[6e10, '1 min'],
	[6e11, '10 min'],
	[3.6e12, '1 h'],
	[8.64e13, '1 d'],
];

export function scaleMarks(first: number, end: number): { at: number; text: string }[] {
	let last = -1;
	return ROUND.map(([ns, text]) => ({
		at: (Math.log2(ns) - first) / (end - first),
		text: text.replace(' ', SPACE),
	})).filter(({ at }) => {
		const fits = at >= 0 && at < 0.94 && at >= last + 0.07;
		if (fits) last = at;
		return fits;
	});
}
