/* The heap map: every byte of an arena in address order, row by row. */

import { useEffect, useRef } from 'preact/hooks';
import { arena, choices, endPlace, layout, store } from '../app';
import { COLOURS, type Colour } from '../choices';
import * as format from '../format';
import { PLACE_BYTES, visiblePlaces } from '../layout';
import { AGE_BEFORE_ATTACH, BlockFlag, Kind, Life, NO_CONTEXT } from '../wire';
import { ageText } from './block';
import { blockIndexOf, hover, hoveredDetails, texelIndexOf } from './hover';
import { Pair, Segments, Swatch } from './parts';
import { startPointer } from './pointer';
import { Stage } from './stage';

const TABS_MAX = 3;
const KIND_NAMES: Record<number, string> = {
	[Kind.free]: 'free',
	[Kind.live]: 'live blocks',
	[Kind.cached]: 'freed, kept for reuse',
	[Kind.unused]: 'never used cells',
	[Kind.meta]: 'metadata',
	[Kind.untouched]: 'untouched',
};

const LIFE_NAMES: Record<number, string> = {
	[Life.cached]: 'freed, kept for reuse',
	[Life.returned]: 'freed by another thread, not collected yet',
};

function ArenaSwitch() {
	const arenas = store.arenas.value ?? [];
	const chosen = arena.value?.id ?? null;
	if (arenas.length === 1) return <h2 class="clip">{arenas[0]!.name}</h2>;
	if (arenas.length <= TABS_MAX) {
		return (
			<Segments
				label="Arena"
				chosen={chosen}
				choose={(id) => choices.chooseArena(id)}
				options={arenas.map(({ id, name }) => ({ value: id, text: name, title: name }))}
			/>
		);
	}
	return (
		<select
			aria-label="Arena"
			value={String(chosen)}
			onChange={({ currentTarget }) => choices.chooseArena(Number(currentTarget.value))}>
			{arenas.map(({ id, name, is_gone }) => (
				<option key={id} value={id}>
					{name}
					{is_gone ? ' (destroyed)' : ''}
				</option>
			))}
		</select>
	);
}

function MapBar() {
	const shown = arena.value;
	return (
		<div class="bar">
			{shown && (
				<>
					<ArenaSwitch />
					<span class="mono hide-narrow">{format.address(shown.base_addr)}</span>
					<span class="clip">
						{format.bytes(shown.committed_bytes)} committed of{' '}
						{format.bytes(shown.capacity_bytes)}
					</span>
				</>
			)}
			<span class="grow" />
			<span class="hide-narrow">colour</span>
			<Segments<Colour>
				label="Colour by"
				chosen={choices.colour.value}
				choose={(colour) => (choices.colour.value = colour)}
				options={COLOURS.map((value) => ({ value, text: value }))}
			/>
		</div>
	);
}

function Legend() {
	const colour = choices.colour.value;
	return (
		<div class="legend">
			{colour === 'context' && <span>live blocks by context</span>}
			{colour === 'state' && (
				<span>
					<i class="swatch live" />
					live
				</span>
			)}
			{colour === 'age' && (
				<>
					<span>
						new
						<i class="ramp age" />
						an hour
					</span>
					<span>
						<i class="swatch older" />
						older than attach
					</span>
				</>
			)}
			{colour === 'occupancy' && (
				<span>
					empty
					<i class="ramp occupancy" />
					full of live blocks
				</span>
			)}
			<span class="grow" />
			<span>
				<i class="swatch free" />
				free
			</span>
			<span>
				<i class="swatch cached" />
				cached
			</span>
			<span>
				<i class="swatch unused" />
				never used
			</span>
			<span>
				<i class="swatch meta" />
				metadata
			</span>
			<span>
				<i class="swatch untouched" />
				untouched
			</span>
		</div>
	);
}

/* One block, as far as the picture itself knows it; the rest comes when the collector answers. */
function BlockTip({ index }: { index: number }) {
	const blocks = store.blocks.value!;
	const details = hoveredDetails.value;
	const context = blocks.context[index]!;
	const cell_bytes = blocks.cell_places[index]! * PLACE_BYTES;
	if (blocks.life[index] !== Life.live) {
		return (
			<dl class="pairs">
				<Pair name="state">{LIFE_NAMES[blocks.life[index]!]}</Pair>
				<Pair name="cell">{format.count(cell_bytes)} B</Pair>
			</dl>
		);
	}
	const overhead = cell_bytes - blocks.bytes[index]!;
	const age = format.duration(blocks.age_ms[index]!);
	const isOlder = blocks.flags[index]! & BlockFlag.olderThanAttach;
	return (
		<dl class="pairs">
			<Pair name="context">
				<Swatch context={context} /> {store.nameOf(context)}
			</Pair>
			<Pair name="size">
				{format.count(blocks.bytes[index]!)} B + {format.count(overhead)} overhead
			</Pair>
			<Pair name="age">{isOlder ? 'older than attach' : age}</Pair>
			{details?.label && (
				<Pair name="label">
					<span class="mono">{details.label}</span>
				</Pair>
			)}
			{details && <Pair name="thread">{details.thread_id}</Pair>}
		</dl>
	);
}

function TexelTip({ index }: { index: number }) {
	const texels = store.texels.value!;
	const details = hoveredDetails.value;
	const context = texels.context[index]!;
	const age = texels.age[index]!;
	return (
		<dl class="pairs">
			{details ? (
				<>
					<Pair name="context">
						<Swatch context={details.context} /> {store.nameOf(details.context)}
					</Pair>
					<Pair name="block">
						{format.count(details.bytes)} B, {details.state}
					</Pair>
					{details.label && (
						<Pair name="label">
							<span class="mono">{details.label}</span>
						</Pair>
					)}
					<Pair name="age">{ageText(details)}</Pair>
				</>
			) : (
				<Pair name="mostly">{KIND_NAMES[texels.kind[index]!]}</Pair>
			)}
			<Pair name={`these ${format.bytes(texels.places_per_texel * PLACE_BYTES)}`}>
				{format.plural(texels.blocks[index]!, 'block')},{' '}
				{format.percent(texels.live[index]! / 255)} live
			</Pair>
			{!details && context !== NO_CONTEXT && (
				<>
					<Pair name="most of">
						<Swatch context={context} /> {store.nameOf(context)}
					</Pair>
					<Pair name="youngest">
						{age === AGE_BEFORE_ATTACH
							? 'older than attach'
							: `about ${format.duration(2 ** age)}`}
					</Pair>
				</>
			)}
		</dl>
	);
}

const TIP = { width: 272, height: 150, away: 16 };

function Tip({ stage }: { stage: HTMLElement | null }) {
	const at = hover.value;
	if (!at || !stage || !arena.value) return null;
	const block = blockIndexOf(at.place);
	const texel = texelIndexOf(at.place);
	const isRight = at.x + TIP.away + TIP.width < stage.clientWidth;
	const isBelow = at.y + TIP.away + TIP.height < stage.clientHeight;
	const x = isRight ? at.x + TIP.away : at.x - TIP.away - TIP.width;
	const y = isBelow ? at.y + TIP.away : at.y - TIP.away - TIP.height;
	const address =
		hoveredDetails.value?.address ??
		format.address(arena.value.base_addr + at.place * PLACE_BYTES);
	return (
		<div
			class="tip"
			style={{ transform: `translate(${Math.max(0, x)}px, ${Math.max(0, y)}px)` }}>
			<span class="mono">{address}</span>
			{block >= 0 ? (
				<BlockTip index={block} />
			) : texel >= 0 ? (
				<TexelTip index={texel} />
			) : null}
		</div>
	);
}

function RangeNote() {
	const range = choices.range.value;
	if (!range) return null;
	const from = range.place * PLACE_BYTES;
	const bytes = range.places * PLACE_BYTES;
	return (
		<div class="range-note" role="status">
			{format.offset(from)} … {format.offset(from + bytes)} · <b>{format.bytes(bytes)}</b>
			<span class="dim"> · F zooms in, Esc clears</span>
		</div>
	);
}

/* Why there is no picture, and what would bring one. */
function Blank() {
	const connection = store.connection.value;
	if (arena.value) return null;
	const [title, text] =
		connection.state === 'connecting'
			? ['Connecting …', 'Waiting for the collector.']
			: connection.state === 'lost'
				? [
						'No connection to the collector',
						'Trying again by itself. Is mmviz-bpf still running?',
					]
				: store.arenas.value === null
					? ['Reading the heap …', 'The first picture is on its way.']
					: [
							'No arena',
							'The target has none now. One appears here as soon as it calls mmviz_arena_create().',
						];
	return (
		<div class="blank">
			<strong>{title}</strong>
			<span>{text}</span>
		</div>
	);
}

function mapSummary(): string {
	const shown = arena.value;
	if (!shown) return 'Map of the heap. No arena yet.';
	const from = layout.value.first * PLACE_BYTES;
	const to =
		Math.min(layout.value.first + visiblePlaces(layout.value), endPlace.value) * PLACE_BYTES;
	return (
		`Map of arena ${shown.name}: ${format.plural(shown.live_blocks, 'live block')}, ` +
		`${format.bytes(shown.live_bytes)}. Showing ${format.offset(from)} to ${format.offset(to)}. ` +
		'Arrow keys move the block cursor.'
	);
}

export function MapView() {
	const stage = useRef<HTMLDivElement>(null);
	const base = useRef<HTMLCanvasElement>(null);
	const overlay = useRef<HTMLCanvasElement>(null);
	useEffect(() => {
		const shown = new Stage(stage.current!, base.current!, overlay.current!);
		const stopPointer = startPointer(stage.current!, base.current!);
		stage.current!.dataset['painter'] = shown.painterName;
		return () => {
			stopPointer();
			shown.destroy();
		};
	}, []);
	return (
		<section class="map" aria-label="Heap map">
			<MapBar />
			<div class="stage" ref={stage}>
				<canvas class="base" ref={base} tabIndex={0} role="img" aria-label={mapSummary()} />
				<canvas class="overlay" ref={overlay} aria-hidden="true" />
				<Blank />
				<RangeNote />
				<Tip stage={stage.current} />
			</div>
			<Legend />
		</section>
	);
}
