/*
 * The canvases of the map. Follows their size, paints when something changed and then once a frame,
 * and tells the collector when a map was drawn, so that it sends the next.
 */

import { effect } from '@preact/signals';
import { arena, choices, endPlace, layout, mapDrawn, stageSize, store } from '../app';
import { LookRow, readLook } from '../gl/look';
import { createPainter, type Painter } from '../gl/painter';
import { showsBlocks } from '../layout';
import { theme } from '../theme';
import { NO_CONTEXT, type Texels } from '../wire';
import { hoveredCell, selectedCell } from './hover';
import { drawOverlay, INSET, type Inks } from './overlay';

function readInks(): Inks {
	const probe = document.body.appendChild(document.createElement('i'));
	probe.hidden = true;
	const style = getComputedStyle(document.documentElement);
	const colour = (name: string) => {
		probe.style.color = `var(${name})`;
		return getComputedStyle(probe).color;
	};
	const inks = {
		ink: colour('--ink'),
		dim: colour('--dim'),
		accent: colour('--accent'),
		warn: colour('--warn'),
		back: colour('--bg'),
		onBright: colour('--text-on-bright'),
		onDark: colour('--text-on-dark'),
		sans: style.getPropertyValue('--sans'),
		mono: style.getPropertyValue('--mono'),
	};
	probe.remove();
	return inks;
}

export class Stage {
	private frame = 0;
	private isBaseStale = true;
	private isOverlayStale = true;
	private inks = readInks();
	private look = readLook();
	private drawn: Texels | null = null; /* the last that was told to be drawn */
	private readonly painter: Painter;
	private readonly stops: (() => void)[] = [];

	constructor(
		stage: HTMLElement,
		private readonly base: HTMLCanvasElement,
		private readonly overlay: HTMLCanvasElement,
	) {
		this.painter = createPainter(base, () => this.invalidateBase());
		const resized = new ResizeObserver(() => this.resize(stage));
		resized.observe(stage);
		this.stops.push(() => resized.disconnect());
		this.follow();
	}

	get painterName(): string {
		return this.painter.name;
	}

	private follow(): void {
		const on = (react: () => void) => this.stops.push(effect(react));
		on(() => {
			void theme.value;
			this.inks = readInks();
			this.look = readLook();
			this.painter.setLook(this.look);
			this.invalidateBase();
		});
		on(() => {
			void store.names.value; /* a name may have given its context a colour */
			this.painter.setTexels(store.texels.value, store.palette);
			this.invalidateBase();
		});
		on(() => {
			this.painter.setBlocks(store.blocks.value, store.palette);
			this.invalidateBase();
		});
		on(() => {
			void [layout.value, choices.colour.value, choices.focus.value, endPlace.value];
			this.invalidateBase();
		});
		on(() => {
			void [hoveredCell.value, selectedCell.value, choices.range.value, arena.value];
			this.invalidateOverlay();
		});
	}

	private resize(stage: HTMLElement): void {
		const ratio = devicePixelRatio;
		const { clientWidth, clientHeight } = stage;
		const width = Math.max(1, Math.floor((clientWidth - INSET.left - INSET.right) * ratio));
		const height = Math.max(1, Math.floor((clientHeight - INSET.top - INSET.bottom) * ratio));
		this.base.width = width;
		this.base.height = height;
		this.overlay.width = Math.floor(clientWidth * ratio);
		this.overlay.height = Math.floor(clientHeight * ratio);
		stageSize.value = { width, height, ratio };
		this.invalidateBase();
	}

	private invalidateBase(): void {
		this.isBaseStale = true;
		this.invalidateOverlay();
	}

	private invalidateOverlay(): void {
		this.isOverlayStale = true;
		this.frame ||= requestAnimationFrame(() => this.draw());
	}

	private draw(): void {
		this.frame = 0;
		if (this.isBaseStale) this.drawBase();
		if (this.isOverlayStale) drawOverlay(this.overlay.getContext('2d')!, this.inks, this.look);
		this.isBaseStale = this.isOverlayStale = false;
	}

	private drawBase(): void {
		this.painter.draw({
			layout: layout.value,
			lookRow: LookRow[choices.colour.value],
			focus: choices.focus.value ?? NO_CONTEXT,
			showsBlocks: showsBlocks(layout.value),
			end: endPlace.value,
			pixelRatio: stageSize.value.ratio,
		});
		const texels = store.texels.value;
		if (texels && texels !== this.drawn) mapDrawn(texels.request);
		this.drawn = texels;
	}

	destroy(): void {
		cancelAnimationFrame(this.frame);
		for (const stop of this.stops) stop();
		this.painter.destroy();
	}
}
