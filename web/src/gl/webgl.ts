/*
 * The map in WebGL2. Texels live in three integer textures of 512 columns; blocks are instanced
 * quads. A lost context is built anew from the last data.
 */

import { type Layout, placesPerRow, rowsOf } from '../layout';
import type { Palette } from '../palette';
import { type Blocks, TEXELS_MAX, type Texels } from '../wire';
import { LOOK_ROWS, LOOK_WIDTH } from './look';
import type { Painter, Scene } from './painter';
import { SEGMENT_BYTES, Segments } from './segments';
import { BLOCK_FRAGMENT, BLOCK_VERTEX, TEXEL_FRAGMENT, TEXEL_VERTEX } from './shaders';

const SIDE = 512;

function compile(gl: WebGL2RenderingContext, vertex: string, fragment: string): Program {
	const program = gl.createProgram()!;
	for (const [type, source] of [
		[gl.VERTEX_SHADER, vertex],
		[gl.FRAGMENT_SHADER, fragment],
	] as const) {
		const shader = gl.createShader(type)!;
		gl.shaderSource(shader, source);
		gl.compileShader(shader);
		gl.attachShader(program, shader);
	}
	gl.linkProgram(program);
	if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
		throw new Error(
			'the map cannot be drawn: ' +
				gl.getProgramInfoLog(program) +
				gl
					.getAttachedShaders(program)!
					.map((shader) => gl.getShaderInfoLog(shader))
					.join(),
		);
	return new Program(gl, program);
}

class Program {
	private readonly places = new Map<string, WebGLUniformLocation | null>();

	constructor(
		private readonly gl: WebGL2RenderingContext,
		private readonly program: WebGLProgram,
	) {}
	use(): void {
		this.gl.useProgram(this.program);
	}
	private at(name: string): WebGLUniformLocation | null {
		if (!this.places.has(name))
			this.places.set(name, this.gl.getUniformLocation(this.program, name));
		return this.places.get(name)!;
	}
	ints(values: Record<string, number>): void {
		for (const name in values) this.gl.uniform1i(this.at(name), values[name]!);
	}
	uints(values: Record<string, number>): void {
		for (const name in values) this.gl.uniform1ui(this.at(name), values[name]!);
	}
}

/* What has to be made again after the context was lost. */
interface Parts {
	texelProgram: Program;
	blockProgram: Program;
	look: WebGLTexture;
	context: WebGLTexture;
	shares: WebGLTexture;
	facts: WebGLTexture;
	pieces: WebGLBuffer;
	pieceArray: WebGLVertexArrayObject;
	emptyArray: WebGLVertexArrayObject;
}

export class WebglPainter implements Painter {
	readonly name = 'WebGL2';
	private parts!: Parts;
	private look: Uint8Array | null = null;
	private texels: Texels | null = null;
	private blocks: Blocks | null = null;
	private palette: Palette | null = null;
	private readonly segments = new Segments();
	private segmentsLayout: Layout | null = null;
	private readonly shareBytes = new Uint8Array(TEXELS_MAX * 4);
	private readonly factBytes = new Uint8Array(TEXELS_MAX * 4);
	private readonly contexts = new Uint32Array(TEXELS_MAX);

	constructor(
		private readonly canvas: HTMLCanvasElement,
		private readonly gl: WebGL2RenderingContext,
		private readonly onRestored: () => void,
	) {
		this.build();
		canvas.addEventListener('webglcontextlost', this.lost);
		canvas.addEventListener('webglcontextrestored', this.restored);
	}

	private readonly lost = (event: Event) => event.preventDefault();
	private readonly restored = () => {
		this.build();
		if (this.look) this.setLook(this.look);
		if (this.palette) this.setTexels(this.texels, this.palette);
		this.segmentsLayout = null;
		this.onRestored();
	};

	private build(): void {
		const { gl } = this;
		const texture = (format: number, width: number, height: number) => {
			const made = gl.createTexture()!;
			gl.bindTexture(gl.TEXTURE_2D, made);
			gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
			gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
			gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
			return made;
		};
		this.parts = {
			texelProgram: compile(gl, TEXEL_VERTEX, TEXEL_FRAGMENT),
			blockProgram: compile(gl, BLOCK_VERTEX, BLOCK_FRAGMENT),
			look: texture(gl.RGBA8, LOOK_WIDTH, LOOK_ROWS),
			context: texture(gl.R32UI, SIDE, SIDE),
			shares: texture(gl.RGBA8UI, SIDE, SIDE),
			facts: texture(gl.RGBA8UI, SIDE, SIDE),
			pieces: gl.createBuffer()!,
			pieceArray: gl.createVertexArray()!,
			emptyArray: gl.createVertexArray()!,
		};
		this.describePieces();
	}

	private describePieces(): void {
		const { gl, parts } = this;
		gl.bindVertexArray(parts.pieceArray);
		gl.bindBuffer(gl.ARRAY_BUFFER, parts.pieces);
		gl.vertexAttribPointer(0, 4, gl.FLOAT, false, SEGMENT_BYTES, 0);
		gl.vertexAttribIPointer(1, 2, gl.UNSIGNED_INT, SEGMENT_BYTES, 16);
		gl.vertexAttribPointer(2, 1, gl.FLOAT, false, SEGMENT_BYTES, 24);
		for (const location of [0, 1, 2]) {
			gl.enableVertexAttribArray(location);
			gl.vertexAttribDivisor(location, 1);
		}
	}

	setLook(look: Uint8Array): void {
		const { gl } = this;
		this.look = look;
		gl.bindTexture(gl.TEXTURE_2D, this.parts.look);
		gl.texSubImage2D(
			gl.TEXTURE_2D,
			0,
			0,
			0,
			LOOK_WIDTH,
			LOOK_ROWS,
			gl.RGBA,
			gl.UNSIGNED_BYTE,
			look,
		);
	}

	setTexels(texels: Texels | null, palette: Palette): void {
		this.texels = texels;
		this.palette = palette;
		if (!texels) return;
		const count = Math.min(texels.count, TEXELS_MAX);
		this.interleave(texels, count, palette);
		this.upload(
			this.parts.context,
			this.gl.RED_INTEGER,
			this.gl.UNSIGNED_INT,
			this.contexts,
			count,
		);
		this.upload(
			this.parts.shares,
			this.gl.RGBA_INTEGER,
			this.gl.UNSIGNED_BYTE,
			this.shareBytes,
			count,
		);
		this.upload(
			this.parts.facts,
			this.gl.RGBA_INTEGER,
			this.gl.UNSIGNED_BYTE,
			this.factBytes,
			count,
		);
	}

	private interleave(texels: Texels, count: number, palette: Palette): void {
		const { shareBytes: shares, factBytes: facts } = this;
		this.contexts.set(texels.context.subarray(0, count));
		for (let i = 0, at = 0; i < count; i++, at += 4) {
			shares[at] = texels.live[i]!;
			shares[at + 1] = texels.header[i]!;
			shares[at + 2] = texels.cached[i]!;
			shares[at + 3] = texels.free[i]!;
			facts[at] = texels.kind[i]!;
			facts[at + 1] = texels.age[i]!;
			facts[at + 2] = palette.slotOf(texels.context[i]!);
		}
	}

	private upload(
		texture: WebGLTexture,
		format: number,
		type: number,
		data: Uint8Array | Uint32Array,
		count: number,
	): void {
		const { gl } = this;
		gl.bindTexture(gl.TEXTURE_2D, texture);
		gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, SIDE, Math.ceil(count / SIDE), format, type, data);
	}

	setBlocks(blocks: Blocks | null, palette: Palette): void {
		this.blocks = blocks;
		this.palette = palette;
		this.segmentsLayout = null;
	}

	draw(scene: Scene): void {
		const { gl, canvas } = this;
		gl.viewport(0, 0, canvas.width, canvas.height);
		this.drawTexels(scene);
		if (scene.showsBlocks && this.blocks) this.drawBlocks(scene, this.blocks);
	}

	private useProgram(program: Program, { layout, lookRow, focus, pixelRatio }: Scene): void {
		const { canvas } = this;
		program.use();
		program.ints({
			u_width: canvas.width,
			u_height: canvas.height,
			u_pitch: layout.pitch,
			u_gap: layout.gap,
			u_dot: Math.max(1, Math.round(pixelRatio)),
			u_look: 0,
		});
		program.uints({ u_focus: focus, u_look_row: lookRow });
		this.bind(0, this.parts.look);
	}

	private bind(unit: number, texture: WebGLTexture): void {
		this.gl.activeTexture(this.gl.TEXTURE0 + unit);
		this.gl.bindTexture(this.gl.TEXTURE_2D, texture);
	}

	private drawTexels(scene: Scene): void {
		const { gl, parts, texels } = this;
		const { layout } = scene;
		this.useProgram(parts.texelProgram, scene);
		this.bind(1, parts.context);
		this.bind(2, parts.shares);
		this.bind(3, parts.facts);
		gl.activeTexture(gl.TEXTURE0);
		parts.texelProgram.ints({ u_context: 1, u_shares: 2, u_facts: 3, u_rows: rowsOf(layout) });
		parts.texelProgram.uints({
			u_first: layout.first,
			u_end: scene.end,
			u_places: layout.scale.places,
			u_pixels: layout.scale.pixels,
			u_per_row: placesPerRow(layout),
			u_texels_first: texels?.first_place ?? 0,
			u_texels_places: texels?.places_per_texel ?? 1,
			u_texels_count: Math.min(texels?.count ?? 0, TEXELS_MAX),
		});
		gl.bindVertexArray(parts.emptyArray);
		gl.drawArrays(gl.TRIANGLES, 0, 3);
	}

	private drawBlocks(scene: Scene, blocks: Blocks): void {
		const { gl, parts, segments } = this;
		if (this.segmentsLayout !== scene.layout) {
			segments.build(blocks, scene.layout, this.palette!);
			this.segmentsLayout = scene.layout;
			gl.bindBuffer(gl.ARRAY_BUFFER, parts.pieces);
			gl.bufferData(
				gl.ARRAY_BUFFER,
				segments.floats.subarray(0, segments.count * 8),
				gl.DYNAMIC_DRAW,
			);
		}
		this.useProgram(parts.blockProgram, scene);
		gl.bindVertexArray(parts.pieceArray);
		gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, segments.count);
	}

	destroy(): void {
		this.canvas.removeEventListener('webglcontextlost', this.lost);
		this.canvas.removeEventListener('webglcontextrestored', this.restored);
		this.gl.getExtension('WEBGL_lose_context')?.loseContext();
	}
}
