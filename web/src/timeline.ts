/*
 * The history of the heap, in columns that grow. Pure. Bounded: beyond POINTS_MAX the older half is
 * thinned to every second point, so an old session keeps its whole length.
 */

import { TIMELINE_COLUMNS, type TimelineColumns } from './wire';

export const POINTS_MAX = 32768;
type Name = (typeof TIMELINE_COLUMNS)[number];

export class Timeline {
	length = 0;
	private readonly columns = Object.fromEntries(
		TIMELINE_COLUMNS.map((name) => [name, new Float64Array(POINTS_MAX)]),
	) as TimelineColumns;

	column(name: Name): Float64Array {
		return this.columns[name].subarray(0, this.length);
	}

	clear(): void {
		this.length = 0;
	}

	/* Points that are not newer than the newest one are known already. */
	append(points: TimelineColumns): void {
		for (let i = 0; i < points.at_ms.length; i++) {
			if (this.length && points.at_ms[i]! <= this.columns.at_ms[this.length - 1]!) continue;
			if (this.length === POINTS_MAX) this.thin();
			for (const name of TIMELINE_COLUMNS) this.columns[name][this.length] = points[name][i]!;
			this.length++;
		}
	}

	private thin(): void {
		const half = this.length / 2;
		for (const name of TIMELINE_COLUMNS) {
			const column = this.columns[name];
			for (let i = 0; i < half / 2; i++) column[i] = column[2 * i]!;
			column.copyWithin(half / 2, half, this.length);
		}
		this.length -= half / 2;
	}
}
