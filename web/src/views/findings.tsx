/* Three sentences about the heap and its four numbers. */

import type { ComponentChildren } from 'preact';
import { store } from '../app';
import { findFragmented, findGrowing, findWasted } from '../findings';
import * as format from '../format';

function Card(props: { title: string; class?: string; children: ComponentChildren }) {
	return (
		<section class={`finding ${props.class ?? ''}`}>
			<h2>{props.title}</h2>
			{props.children}
		</section>
	);
}

const TRAIL = { width: 84, height: 34 };

function Trail({ values }: { values: readonly number[] }) {
	const low = Math.min(...values);
	const span = Math.max(...values) - low || 1;
	const points = values.map(
		(value, index) =>
			`${((index / (values.length - 1)) * TRAIL.width).toFixed(1)},` +
			(TRAIL.height - 2 - ((value - low) / span) * (TRAIL.height - 4)).toFixed(1),
	);
	return (
		<svg width={TRAIL.width} height={TRAIL.height} aria-hidden="true">
			<polyline
				fill="none"
				stroke="var(--bad)"
				stroke-width="1.6"
				points={points.join(' ')}
			/>
		</svg>
	);
}

function Growing() {
	const found = findGrowing(store.contexts.value, store.totals.value?.live_bytes ?? 0);
	if (!found) {
		return (
			<Card title="Growing">
				<p>Nothing grows.</p>
				<p class="dim">No context gained memory lately</p>
			</Card>
		);
	}
	const { context, share } = found;
	const trail = store.trailOf(context.id);
	const name = store.nameOf(context.id);
	return (
		<Card title="Growing" class={trail.length > 2 ? 'has-trail' : ''}>
			<p title={name}>
				<strong class="bad">{name}</strong> {format.growth(context.growth_bytes_per_second)}
			</p>
			<p class="dim">
				holds {format.bytes(context.live_bytes)}, {format.percent(share)} of all live bytes
			</p>
			{trail.length > 2 && <Trail values={trail} />}
		</Card>
	);
}

function Fragmented() {
	const found = findFragmented(store.arenas.value ?? []);
	if (!found) {
		return (
			<Card title="Fragmented">
				<p>No holes.</p>
				<p class="dim">No free memory between blocks</p>
			</Card>
		);
	}
	const { arena, largest_bytes, free_bytes } = found;
	return (
		<Card title="Fragmented">
			<p>
				Largest hole <strong>{format.bytes(largest_bytes)}</strong> of{' '}
				<strong>{format.bytes(free_bytes)}</strong> free
			</p>
			<p class="dim">
				<b>{arena.name}</b>: {format.percent(arena.fragmentation_ratio)} lies in smaller
				holes
			</p>
		</Card>
	);
}

function Wasted() {
	const found = findWasted(store.arenas.value ?? []);
	if (!found) {
		return (
			<Card title="Wasted">
				<p>Nothing is live.</p>
			</Card>
		);
	}
	return (
		<Card title="Wasted">
			<p
				title={`Headers ${format.bytes(found.header_bytes)}, padding ${format.bytes(found.padding_bytes)}`}>
				<strong>{format.percent(found.share)}</strong> of block memory is overhead
			</p>
			<p class="dim">
				{format.count(found.split_blocks)} blocks cross a cache line needlessly
			</p>
		</Card>
	);
}

function Tile({ name, children }: { name: string; children: ComponentChildren }) {
	return (
		<div>
			<dt>{name}</dt>
			<dd data-testid={`tile-${name}`}>{children}</dd>
		</div>
	);
}

function Tiles() {
	const totals = store.totals.value;
	const show = (value: number | undefined, as: (value: number) => string) =>
		value === undefined ? '–' : as(value);
	return (
		<dl class="tiles" aria-label="Heap totals">
			<Tile name="live">{show(totals?.live_bytes, format.bytes)}</Tile>
			<Tile name="blocks">{show(totals?.live_blocks, format.count)}</Tile>
			<Tile name="resident">{show(totals?.resident_bytes, format.bytes)}</Tile>
			<Tile name="peak">{show(totals?.peak_live_bytes, format.bytes)}</Tile>
		</dl>
	);
}

const TITLES = ['Growing', 'Fragmented', 'Wasted'];

export function Findings() {
	const isKnown = store.arenas.value !== null;
	return (
		<section class="findings" aria-label="Findings">
			{isKnown ? (
				<>
					<Growing />
					<Fragmented />
					<Wasted />
				</>
			) : (
				TITLES.map((title) => (
					<Card key={title} title={title}>
						<p class="dim">–</p>
					</Card>
				))
			)}
			<Tiles />
		</section>
	);
}
