import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from '../dev/bundle.mjs';
import * as encode from '../dev/encode.mjs';

const { events, wire, store: stores } = await load(['events', 'wire', 'store']);

test('numbers are read with and without units', () => {
	for (const [text, step, value] of [
		['100', 1000, 100],
		['64k', 1024, 65536],
		['1.5 MiB', 1024, 1572864],
		['2M', 1000, 2000000],
		['1G', 1024, 2 ** 30],
		['0', 1024, 0],
		['12 kB', 1024, 12288],
	])
		assert.equal(events.parseNumber(text, step), value, text);
	for (const text of ['', 'many', '-1', '1e3', '1k2', 'k', '99999999999999999999', '1.2.3'])
		assert.equal(events.parseNumber(text, 1024), null, text);
});

test('a number comes back from its text', () => {
	for (const step of [1000, 1024])
		for (const value of [0, 1, 20, 999, 1000, 1024, 65536, 1000000, 1 << 20, 3 * 1024 ** 3])
			assert.equal(events.parseNumber(events.numberText(value, step), step), value);
	assert.equal(events.numberText(65536, 1024), '64k');
	assert.equal(events.numberText(2000000, 1000), '2M');
});

test('what is at its default is not said', () => {
	const all = {
		by: 'count',
		sample: 10,
		min_bytes: 0,
		max_bytes: null,
		tag: null,
		tag_id: null,
		thread: null,
		is_waiting_for_tag: false,
	};
	assert.deepEqual(events.choiceOf(all), { by: 'count', sample: 10, min_bytes: 0 });
	assert.equal(events.isFiltered(all), false);
	const some = { ...all, tag: 'a', tag_id: 3, max_bytes: 0 };
	assert.deepEqual(events.choiceOf(some), {
		by: 'count',
		sample: 10,
		min_bytes: 0,
		max_bytes: 0,
		tag: 'a',
	});
	assert.equal(events.isFiltered(some), true);
});

test('events bring the names of their tags, and a new session forgets them', () => {
	const store = new stores.Store();
	const said = {
		tags: [
			{ tag_id: 5, tag: 'five' },
			{ tag_id: null, tag: 'others' },
		],
		events: [],
	};
	store.apply(wire.decode(encode.json('events', said, 1).buffer));
	assert.equal(store.nameOf(5), 'five');
	assert.deepEqual(store.events.value, said);
	for (const pid of [1, 2])
		store.apply(wire.decode(encode.json('hello', { pid, attached_at_ms: pid }, 1).buffer));
	assert.equal(store.events.value, null);
});
