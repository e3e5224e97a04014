/*
 * Blocks as pieces of rows, packed for the painters. Pure. A block that goes on in the next row is
 * two pieces. Eight 32-bit words a piece:
 *
 *   0 x   1 row   2 width   3 pixels of the block left of this piece   (f32)
 *   4 context   5 colour slot | age << 8 | life << 16   6 pixels of the header (f32)   7 unused
 */

import { type Layout, pixelsOf, placesPerRow, rowsOf } from '../layout';
import type { Palette } from '../palette';
import { AGE_BEFORE_ATTACH, BlockFlag, type Blocks } from '../wire';

export const SEGMENT_WORDS = 8;
export const SEGMENT_BYTES = SEGMENT_WORDS * 4;

export class Segments {
	count = 0;
	private capacity = 1024;
	floats = new Float32Array(this.capacity * SEGMENT_WORDS);
	words = new Uint32Array(this.floats.buffer);

	build(blocks: Blocks, layout: Layout, palette: Palette): void {
		const perRow = placesPerRow(layout);
		const end = perRow * rowsOf(layout);
		const header = pixelsOf(layout, 1);
		this.count = 0;
		for (let i = 0; i < blocks.count; i++) {
			const start = blocks.cell_place[i]! - layout.first;
			const stop = Math.min(end, start + blocks.cell_places[i]!);
			const info = packInfo(blocks, i, palette);
			for (let at = Math.max(0, start); at < stop;) {
				const row = Math.floor(at / perRow);
				const rowStop = Math.min(stop, (row + 1) * perRow);
				const x = pixelsOf(layout, at - row * perRow);
				const width = pixelsOf(layout, rowStop - row * perRow) - x;
				if (width > 0) {
					const word = this.next();
					this.floats[word] = x;
					this.floats[word + 1] = row;
					this.floats[word + 2] = width;
					this.floats[word + 3] = pixelsOf(layout, at - start);
					this.words[word + 4] = blocks.context[i]!;
					this.words[word + 5] = info;
					this.floats[word + 6] = header;
				}
				at = rowStop;
			}
		}
	}

	private next(): number {
		if (this.count === this.capacity) this.grow();
		return this.count++ * SEGMENT_WORDS;
	}

	private grow(): void {
		const before = this.floats;
		this.capacity *= 2;
		this.floats = new Float32Array(this.capacity * SEGMENT_WORDS);
		this.floats.set(before);
		this.words = new Uint32Array(this.floats.buffer);
	}
}

/* As a texel says it: log2 of ms, or older than attach. */
export function blockAge(blocks: Blocks, i: number): number {
	const isOlder = blocks.flags[i]! & BlockFlag.olderThanAttach;
	return isOlder ? AGE_BEFORE_ATTACH : 31 - Math.clz32(blocks.age_ms[i]! | 1);
}

function packInfo(blocks: Blocks, i: number, palette: Palette): number {
	return (
		palette.slotOf(blocks.context[i]!) | (blockAge(blocks, i) << 8) | (blocks.life[i]! << 16)
	);
}
