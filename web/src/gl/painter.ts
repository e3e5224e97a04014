/*
 * What paints the map: WebGL2, or the 2D canvas where there is none. Both are told the same things
 * and draw only when asked to.
 *
 * Texels carry their own window (first place, places per texel), and so does the layout: after a
 * pan or zoom the old texels are drawn where they belong until newer ones arrive.
 */

import type { Layout } from '../layout';
import type { Palette } from '../palette';
import type { Blocks, Texels } from '../wire';
import { Canvas2dPainter } from './canvas2d';
import { WebglPainter } from './webgl';

export interface Scene {
	layout: Layout;
	lookRow: number; /* LookRow of the colouring */
	focus: number; /* context that stands out; NO_CONTEXT: none */
	showsBlocks: boolean;
	end: number; /* place behind the arena's last */
	pixelRatio: number;
}

export interface Painter {
	readonly name: 'WebGL2' | '2D canvas';
	setLook(look: Uint8Array): void;
	setTexels(texels: Texels | null, palette: Palette): void;
	setBlocks(blocks: Blocks | null, palette: Palette): void;
	draw(scene: Scene): void;
	destroy(): void;
}

export function createPainter(canvas: HTMLCanvasElement, onRestored: () => void): Painter {
	const gl = canvas.getContext('webgl2', { alpha: false, antialias: false });
	if (gl) return new WebglPainter(canvas, gl, onRestored);
	const context = canvas.getContext('2d', { alpha: false });
	if (!context) throw new Error('this browser gives neither WebGL2 nor a 2D canvas');
	return new Canvas2dPainter(context);
}
