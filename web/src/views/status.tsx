/* The bottom line: how far the numbers can be trusted, and what watching costs. */

import { store } from '../app';
import * as format from '../format';

function Verified({ verified_at_ms, now_ms }: { verified_at_ms: number; now_ms: number }) {
	if (!verified_at_ms) return <span>not verified yet</span>;
	return (
		<span
			class="ok"
			title="The replica was compared with a fresh walk of the target and was equal.">
			✓ replica = walk, {format.duration(now_ms - verified_at_ms)} ago
		</span>
	);
}

export function Status() {
	const totals = store.totals.value;
	if (!totals) return <footer class="status" />;
	const ring = totals.ring_bytes ? totals.ring_used_bytes / totals.ring_bytes : 0;
	return (
		<footer class="status">
			<Verified verified_at_ms={totals.verified_at_ms} now_ms={store.totals_at_ms.value} />
			<span data-testid="seen">seen {format.count(totals.events_seen)}</span>
			<span class={totals.events_lost ? 'warn' : ''}>
				lost {format.count(totals.events_lost)}
			</span>
			<span>{format.perSecond(totals.events_per_second)} events</span>
			{totals.resyncs > 0 && <span>{format.plural(totals.resyncs, 'resync')}</span>}
			<span>ring {format.percent(ring)}</span>
			<span>collector {format.bytes(totals.collector_bytes)}</span>
			<span class="hints hide-narrow">
				WASD move · F fit · Space pause · / filter · ? keys
			</span>
		</footer>
	);
}
