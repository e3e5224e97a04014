/*
 * The map without WebGL2: the same texels and blocks, painted pixel by pixel. Slower, not prettier,
 * and never wrong.
 */

import { type Layout, placesPerRow, rowsOf } from '../layout';
import type { Palette } from '../palette';
import { type Blocks, Kind, Life, NO_CONTEXT, type Texels } from '../wire';
import { Ink, LOOK_WIDTH, LookRow } from './look';
import type { Painter, Scene } from './painter';
import { SEGMENT_WORDS, Segments } from './segments';

type Row = (typeof LookRow)[keyof typeof LookRow];

export class Canvas2dPainter implements Painter {
	readonly name = '2D canvas';
	private look = new Uint32Array(0); /* RGBA, as ImageData holds it */
	private texels: Texels | null = null;
	private blocks: Blocks | null = null;
	private palette: Palette | null = null;
	private readonly segments = new Segments();

	constructor(private readonly context: CanvasRenderingContext2D) {}

	setLook(look: Uint8Array): void {
		this.look = new Uint32Array(look.slice().buffer);
	}
	setTexels(texels: Texels | null, palette: Palette): void {
		this.texels = texels;
		this.palette = palette;
	}
	setBlocks(blocks: Blocks | null, palette: Palette): void {
		this.blocks = blocks;
		this.palette = palette;
	}
	destroy(): void {}

	draw(scene: Scene): void {
		const { width, height } = this.context.canvas;
		if (!width || !height) return;
		const image = this.context.createImageData(width, height);
		const pixels = new Uint32Array(image.data.buffer);
		pixels.fill(this.colour(LookRow.ink, Ink.background));
		this.paintTexels(pixels, width, scene);
		if (scene.showsBlocks && this.blocks) this.paintBlocks(pixels, width, scene, this.blocks);
		this.context.putImageData(image, 0, 0);
	}

	private colour(row: Row, index: number): number {
		return this.look[row * LOOK_WIDTH + index]!;
	}

	private paintTexels(pixels: Uint32Array, width: number, scene: Scene): void {
		const { layout, end } = scene;
		const perRow = placesPerRow(layout);
		for (let row = 0; row < rowsOf(layout); row++) {
			for (let x = 0; x < width; x++) {
				const column = Math.floor((x * layout.scale.places) / layout.scale.pixels);
				const place = layout.first + row * perRow + column;
				if (column >= perRow || place >= end) break;
				this.paintColumn(pixels, width, scene, x, row, place);
			}
		}
	}

	private paintColumn(
		pixels: Uint32Array,
		width: number,
		scene: Scene,
		x: number,
		row: number,
		place: number,
	): void {
		const { layout } = scene;
		const { texels } = this;
		const index = texels
			? Math.floor((place - texels.first_place) / texels.places_per_texel)
			: -1;
		const known = texels && index >= 0 && index < texels.count;
		const kind = known ? texels.kind[index]! : Kind.free;
		const live = known ? this.liveColour(scene, texels, index) : null;
		const cover = known ? (texels.live[index]! + texels.header[index]!) / 255 : 0;
		const strength = kind === Kind.live ? 0.35 + 0.65 * cover : 0.7 * cover;
		const top = row * layout.pitch;
		for (let y = top; y < top + layout.pitch - layout.gap; y++) {
			const empty = this.emptyColour(kind, x, y);
			pixels[y * width + x] =
				live === null
					? empty
					: scene.lookRow === LookRow.occupancy
						? live
						: mix(empty, live, strength);
		}
	}

	private liveColour(scene: Scene, texels: Texels, index: number): number | null {
		const context = texels.context[index]!;
		if (context === NO_CONTEXT || !texels.live[index]) return null;
		const taken = Math.min(255, texels.live[index]! + texels.header[index]!);
		return this.liveColourOf(scene, context, texels.age[index]!, taken);
	}

	private liveColourOf(scene: Scene, context: number, age: number, taken: number): number {
		const index = [this.palette!.slotOf(context), age, Kind.live, taken][scene.lookRow]!;
		const colour = this.colour(scene.lookRow as Row, index);
		const isDimmed = scene.focus !== NO_CONTEXT && scene.focus !== context;
		return isDimmed ? mix(colour, this.colour(LookRow.ink, Ink.background), 0.78) : colour;
	}

	private emptyColour(kind: number, x: number, y: number): number {
		if (isInPattern(kind, x, y))
			return this.colour(LookRow.ink, kind === Kind.untouched ? Ink.line : Ink.mark);
		return this.colour(LookRow.state, kind === Kind.live ? Kind.free : kind);
	}

	private paintBlocks(pixels: Uint32Array, width: number, scene: Scene, blocks: Blocks): void {
		const { segments } = this;
		segments.build(blocks, scene.layout, this.palette!);
		for (let i = 0; i < segments.count; i++)
			this.paintPiece(pixels, width, scene, i * SEGMENT_WORDS);
	}

	private paintPiece(pixels: Uint32Array, width: number, scene: Scene, word: number): void {
		const { floats, words } = this.segments;
		const layout: Layout = scene.layout;
		const left = floats[word]!;
		const gap = floats[word + 2]! >= 3 ? 1 : 0;
		const info = words[word + 5]!;
		const isLive = ((info >> 16) & 0xff) === Life.live;
		const live = this.liveColourOf(scene, words[word + 4]!, (info >> 8) & 0xff, 255);
		const background = this.colour(LookRow.ink, Ink.background);
		const header = floats[word + 6]! >= 2 ? floats[word + 6]! - floats[word + 3]! : 0;
		const top = floats[word + 1]! * layout.pitch;
		for (let y = top; y < top + layout.pitch - layout.gap; y++) {
			for (let x = 0; x < floats[word + 2]!; x++) {
				const isGap = x >= floats[word + 2]! - gap;
				pixels[y * width + left + x] = isGap
					? background
					: !isLive
						? this.emptyColour(Kind.cached, left + x, y)
						: x < header
							? mix(live, background, 0.45)
							: live;
			}
		}
	}
}

function isInPattern(kind: number, x: number, y: number): boolean {
	switch (kind) {
		case Kind.cached:
			return x % 4 === 1 && y % 4 === 1;
		case Kind.unused:
			return y % 5 === 2 && x % 6 < 3;
		case Kind.meta:
			return x % 3 === 0;
		case Kind.untouched:
			return (x + y) % 7 === 0;
		default:
			return false;
	}
}

function mix(from: number, to: number, part: number): number {
	const channel = (shift: number) => {
		const a = (from >>> shift) & 0xff;
		const b = (to >>> shift) & 0xff;
		return Math.round(a + (b - a) * Math.min(part, 1)) << shift;
	};
	return (channel(0) | channel(8) | channel(16) | (0xff << 24)) >>> 0;
}
