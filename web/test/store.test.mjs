import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from '../dev/bundle.mjs';
import * as encode from '../dev/encode.mjs';

const { wire, store: stores, timeline: timelines } = await load(['wire', 'store', 'timeline']);

const HELLO = { pid: 5, comm: 'x', mode: 'exact', version: '1', abi: 1, attached_at_ms: 100 };
const points = (...times) =>
	times.map((at_ms) => ({
		at_ms,
		live_bytes: at_ms * 2,
		live_blocks: 1,
		resident_bytes: 3,
		events_per_second: 4,
		events_lost: 0,
	}));
const columns = (rows) => wire.decode(encode.timeline(wire.TIMELINE_COLUMNS, rows).buffer).timeline;

function storeAfter(...messages) {
	const store = new stores.Store();
	for (const bytes of messages) store.apply(wire.decode(bytes.buffer));
	return store;
}

test('facts are kept as they came', () => {
	const row = Object.fromEntries(wire.TOTALS.map((name, i) => [name, i]));
	const store = storeAfter(encode.json('hello', HELLO), encode.totals(wire.TOTALS, row, 77));
	assert.deepEqual(store.totals.value, row);
	assert.equal(store.totals_at_ms.value, 77);
	assert.equal(store.hello.value.pid, 5);
});

test('names are learnt piece by piece; unknown ones say so', () => {
	const store = storeAfter(encode.names(new Map([[1, 'a']])), encode.names(new Map([[2, 'b']])));
	assert.equal(store.nameOf(1), 'a');
	assert.equal(store.nameOf(2), 'b');
	assert.equal(store.nameOf(3), 'context 3');
	assert.equal(store.nameOf(0), 'untagged');
});

test('the same session again keeps what is known, another one forgets it', () => {
	const store = storeAfter(
		encode.json('hello', HELLO),
		encode.names(new Map([[1, 'a']])),
		encode.timeline(wire.TIMELINE_COLUMNS, points(1, 2)),
	);
	store.apply(wire.decode(encode.json('hello', HELLO).buffer));
	assert.equal(store.nameOf(1), 'a');
	assert.equal(store.timeline.length, 0, 'the history comes again');
	store.apply(wire.decode(encode.json('hello', { ...HELLO, pid: 6 }).buffer));
	assert.equal(store.nameOf(1), 'context 1');
	assert.equal(store.totals.value, null);
});

test('answers go to whoever asked: odd numbers hover, even ones select', () => {
	const store = storeAfter(
		encode.json('block', { request: 7, found: true }),
		encode.json('block', { request: 8, found: false }),
	);
	assert.equal(store.hovered.value.request, 7);
	assert.equal(store.details.value.request, 8);
});

test('notices: the same text once, the newest few, dismissable', () => {
	const store = storeAfter(
		...['a', 'b', 'a', 'c', 'd', 'e'].map((text) =>
			encode.json('notice', { level: 'info', text }),
		),
	);
	assert.deepEqual(
		store.notices.value.map(({ text }) => text),
		['a', 'c', 'd', 'e'],
	);
	store.dismiss(store.notices.value[0].key);
	assert.deepEqual(
		store.notices.value.map(({ text }) => text),
		['c', 'd', 'e'],
	);
});

test('trails hold one value a second', () => {
	const store = new stores.Store();
	const row = (live_bytes) => [
		{
			...Object.fromEntries(wire.CONTEXT_COLUMNS.map((name) => [name, 0])),
			live_bytes,
			id: 4,
			kind: 1,
		},
	];
	for (let i = 0; i <= 12; i++)
		store.apply(
			wire.decode(encode.contexts(wire.CONTEXT_COLUMNS, row(i), 1000 + i * 250).buffer),
		);
	assert.deepEqual(store.trailOf(4), [0, 4, 8, 12]);
	assert.deepEqual(store.trailOf(5), []);
});

test('the timeline takes only newer points', () => {
	const timeline = new timelines.Timeline();
	timeline.append(columns(points(1, 2, 3)));
	timeline.append(columns(points(2, 3, 4)));
	assert.deepEqual([...timeline.column('at_ms')], [1, 2, 3, 4]);
	assert.deepEqual([...timeline.column('live_bytes')], [2, 4, 6, 8]);
});

test('a long timeline is thinned, keeps its ends and its order, and stays bounded', () => {
	const timeline = new timelines.Timeline();
	const all = points(...Array.from({ length: 3 * timelines.POINTS_MAX }, (_, i) => i + 1));
	timeline.append(columns(all));
	const at = timeline.column('at_ms');
	assert.ok(at.length <= timelines.POINTS_MAX && at.length > timelines.POINTS_MAX / 2);
	assert.equal(at[0], 1);
	assert.equal(at.at(-1), all.length);
	for (let i = 1; i < at.length; i++) assert.ok(at[i] > at[i - 1]);
	assert.equal(timeline.column('live_bytes').at(-1), 2 * all.length);
});
