/*
 * What can be chosen in events mode, to text and back. Pure.
 */

import type { EventsChoice, EventsSettings } from './wire';

export const DEFAULT_SAMPLE = { count: 100, bytes: 65536 } as const;
const UNITS = ['', 'k', 'm', 'g'];

/* 4096, 64k, 1.5 MiB: bytes by 1024; counts by 1000. Null: not a number that makes sense. */
export function parseNumber(text: string, step: 1000 | 1024): number | null {
	const match = /^(\d+(?:\.\d+)?)\s*([kmg]?)i?b?$/i.exec(text.trim());
	if (!match) return null;
	const value = Number(match[1]) * step ** UNITS.indexOf(match[2]!.toLowerCase());
	return Number.isSafeInteger(Math.round(value)) ? Math.round(value) : null;
}

/* The shortest text that means the same: 65536 is 64k. */
export function numberText(value: number, step: 1000 | 1024): string {
	let unit = 0;
	while (value > 0 && value % step === 0 && unit < UNITS.length - 1) {
		value /= step;
		unit++;
	}
	return value + UNITS[unit]!.replace('m', 'M').replace('g', 'G');
}

/* What has to be said to get these settings: all that are not at their default. */
export function choiceOf(settings: EventsSettings): EventsChoice {
	const { by, sample, min_bytes, max_bytes, tag, thread } = settings;
	return {
		by,
		sample,
		min_bytes,
		...(max_bytes !== null && { max_bytes }),
		...(tag !== null && { tag }),
		...(thread !== null && { thread }),
	};
}

export function isFiltered({ min_bytes, max_bytes, tag, thread }: EventsSettings): boolean {
	return min_bytes > 0 || max_bytes !== null || tag !== null || thread !== null;
}
