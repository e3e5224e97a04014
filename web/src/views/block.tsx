/* What is known of the selected block. */

import { choices, store } from '../app';
import * as format from '../format';
import type { BlockDetails } from '../wire';
import { contextColour, Pair, Swatch } from './parts';

export function ageText(block: BlockDetails): string {
	return block.older_than_attach
		? `over ${format.duration(block.age_ms)}, older than attach`
		: format.duration(block.age_ms);
}

/* The cell to scale: header, payload, padding. */
function Cell({ block }: { block: BlockDetails }) {
	const isLive = block.state === 'live';
	const part = (bytes: number) => ({ flexGrow: String(bytes), flexBasis: '0' });
	if (!isLive) return null;
	const header = `color-mix(in srgb, ${contextColour(block.context)} 55%, var(--bg))`;
	return (
		<>
			<div class="cell" aria-hidden="true">
				<i style={{ ...part(block.front_bytes), background: header }} />
				<i style={{ ...part(block.bytes), background: contextColour(block.context) }} />
				{block.padding_bytes > 0 && (
					<i class="swatch padding" style={part(block.padding_bytes)} />
				)}
			</div>
			<div class="cell-legend">
				<span>
					<i class="swatch" style={{ background: header }} />
					header {format.bytes(block.front_bytes)}
				</span>
				<span>
					<Swatch context={block.context} />
					payload {format.bytes(block.bytes)}
				</span>
				<span>
					<i class="swatch padding" />
					padding {format.bytes(block.padding_bytes)}
				</span>
			</div>
		</>
	);
}

function Facts({ block }: { block: BlockDetails }) {
	return (
		<>
			<dl class="pairs">
				<Pair name="state">
					{block.state}, {block.state === 'live' && `${format.count(block.bytes)} B in `}a{' '}
					{format.count(block.cell_bytes)} B cell
				</Pair>
				<Pair name="context">
					<Swatch context={block.context} /> {store.nameOf(block.context)}
				</Pair>
				{block.label && (
					<Pair name="label">
						<span class="mono">{block.label}</span>
					</Pair>
				)}
				<Pair name="age">{ageText(block)}</Pair>
				<Pair name="owner">
					heap {block.owner_heap} · thread {block.thread_id}
				</Pair>
			</dl>
			<Cell block={block} />
		</>
	);
}

export function BlockPanel() {
	if (choices.selectedPlace.value === null) return null;
	const block = store.details.value;
	return (
		<section class="block" aria-label="Selected block">
			<h2>
				Block {block?.found && <span class="mono">{block.address}</span>}
				<button
					type="button"
					aria-label="Clear selection"
					onClick={() => (choices.selectedPlace.value = null)}>
					✕
				</button>
			</h2>
			{!block ? (
				<p class="dim">asking …</p>
			) : block.found ? (
				<Facts block={block} />
			) : (
				<p class="dim">No block here: free, never used, or metadata.</p>
			)}
		</section>
	);
}
