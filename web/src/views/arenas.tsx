/* Every arena: what its memory is made of, and how broken up the free part is. */

import { store } from '../app';
import * as format from '../format';
import type { Arena } from '../wire';

type Part = { name: string; swatch: string; bytes: (arena: Arena) => number };

const PARTS: Part[] = [
	{ name: 'live', swatch: 'live', bytes: (arena) => arena.live_bytes },
	{ name: 'headers', swatch: 'header', bytes: (arena) => arena.header_bytes },
	{ name: 'padding', swatch: 'padding', bytes: (arena) => arena.padding_bytes },
	{ name: 'cached', swatch: 'cached', bytes: (arena) => arena.cached_bytes },
	{ name: 'never used', swatch: 'unused', bytes: (arena) => arena.unused_bytes },
	{ name: 'free', swatch: 'free', bytes: (arena) => arena.committed_free_bytes },
	{ name: 'metadata', swatch: 'meta', bytes: (arena) => arena.meta_bytes },
];

function Split({ arena }: { arena: Arena }) {
	const total = PARTS.reduce((sum, part) => sum + part.bytes(arena), 0) || 1;
	const shares = PARTS.map((part) => ({ ...part, share: part.bytes(arena) / total }));
	const text = shares.map(({ name, share }) => `${name} ${format.percent(share)}`).join(', ');
	return (
		<div class="split" role="img" aria-label={`Arena ${arena.name}: ${text}`}>
			{shares.map(
				({ name, swatch, share }) =>
					share > 0 && (
						<i
							key={name}
							class={`swatch ${swatch}`}
							title={`${name} ${format.percent(share)}`}
							style={{ flexGrow: String(share), flexBasis: '0' }}
						/>
					),
			)}
		</div>
	);
}

function Fact(props: { name: string; value: string; note?: string; swatch?: string }) {
	return (
		<div>
			<dt>
				{props.swatch && <i class={`swatch ${props.swatch}`} aria-hidden="true" />}
				{props.name}
			</dt>
			<dd>
				{props.value}
				{props.note && <small>{props.note}</small>}
			</dd>
		</div>
	);
}

function Facts({ arena }: { arena: Arena }) {
	const total = PARTS.reduce((sum, part) => sum + part.bytes(arena), 0) || 1;
	const largest = (1 - arena.fragmentation_ratio) * arena.committed_free_bytes;
	return (
		<dl class="facts">
			{PARTS.map(({ name, swatch, bytes }) => (
				<Fact
					key={name}
					name={name}
					swatch={swatch}
					value={format.bytes(bytes(arena))}
					note={format.percent(bytes(arena) / total)}
				/>
			))}
			<Fact
				name="largest hole"
				value={arena.committed_free_bytes ? format.bytes(largest) : 'none'}
			/>
			<Fact name="fragmentation" value={format.percent(arena.fragmentation_ratio)} />
			<Fact name="live blocks" value={format.count(arena.live_blocks)} />
			<Fact
				name="split blocks"
				value={format.count(arena.split_blocks)}
				note={
					arena.live_blocks ? format.percent(arena.split_blocks / arena.live_blocks) : ''
				}
			/>
		</dl>
	);
}

function Card({ arena }: { arena: Arena }) {
	return (
		<section class="card" aria-label={`Arena ${arena.name}`}>
			<header>
				<b>{arena.name}</b>
				<span class="mono">{format.address(arena.base_addr)}</span>
				<span>
					{format.bytes(arena.committed_bytes)} committed of{' '}
					{format.bytes(arena.capacity_bytes)}
				</span>
				{arena.is_gone ? <span class="warn">destroyed</span> : null}
			</header>
			<Split arena={arena} />
			<Facts arena={arena} />
		</section>
	);
}

export function ArenasPage() {
	const arenas = store.arenas.value ?? [];
	return (
		<section class="page-shell" aria-label="Arenas">
			<div class="bar">
				<h2>Arenas</h2>
				<span>{format.count(arenas.length)}</span>
				<span class="clip">
					· fragmentation: the share of free memory, up to the last used page, that is not
					in the largest hole
				</span>
			</div>
			<div class="page" tabIndex={0} role="group" aria-label="All arenas">
				<div class="cards">
					{arenas.length ? (
						arenas.map((arena) => <Card key={arena.id} arena={arena} />)
					) : (
						<p class="none">The target has no arena yet.</p>
					)}
				</div>
			</div>
		</section>
	);
}
