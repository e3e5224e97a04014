import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from '../dev/bundle.mjs';
import * as encode from '../dev/encode.mjs';
import { random } from '../dev/heap.mjs';

const { wire } = await load(['wire']);
const AT = 1_750_000_000_123.5;

const decode = (bytes) => wire.decode(bytes.buffer);
const rowOf = (names, seed) => {
	const roll = random(seed);
	return Object.fromEntries(names.map((name) => [name, Math.floor(roll() * 2 ** 53)]));
};

test('hello, block and notice carry JSON', () => {
	const hello = {
		pid: 1,
		comm: 'naïve',
		mode: 'exact',
		version: '1',
		abi: 1,
		attached_at_ms: AT,
	};
	assert.deepEqual(decode(encode.json('hello', hello, AT)), { at_ms: AT, type: 'hello', hello });
	const block = { request: 3, found: false };
	assert.deepEqual(decode(encode.json('block', block)).block, block);
	const notice = { level: 'warning', text: '12 events lost – read anew' };
	assert.deepEqual(decode(encode.json('notice', notice)).notice, notice);
});

test('totals come back field by field, exact to 2^53', () => {
	const row = rowOf(wire.TOTALS, 1);
	assert.deepEqual(decode(encode.totals(wire.TOTALS, row, AT)), {
		at_ms: AT,
		type: 'totals',
		totals: row,
	});
});

test('totals of a newer collector may have more fields, never fewer', () => {
	const row = rowOf(wire.TOTALS, 2);
	const longer = [...wire.TOTALS, 'tomorrow'];
	assert.deepEqual(decode(encode.totals(longer, { ...row, tomorrow: 1 })).totals, row);
	assert.throws(() => decode(encode.totals(wire.TOTALS.slice(1), row)), /23 fields/);
});

test('arenas come back with their names, for every count around the padding', () => {
	for (const count of [0, 1, 2, 3, 8, 9]) {
		const rows = Array.from({ length: count }, (_, i) => ({
			...rowOf(wire.ARENA_COLUMNS, i + 3),
			name: 'arena '.repeat(i) + 'ä',
		}));
		assert.deepEqual(decode(encode.arenas(wire.ARENA_COLUMNS, rows, AT)).arenas, rows);
	}
});

test('contexts come back with ids and kinds', () => {
	for (const count of [0, 1, 2, 5]) {
		const rows = Array.from({ length: count }, (_, i) => ({
			...rowOf(wire.CONTEXT_COLUMNS, i + 30),
			id: 2 ** 24 - 1 - i,
			kind: i % 4,
		}));
		assert.deepEqual(decode(encode.contexts(wire.CONTEXT_COLUMNS, rows, AT)).contexts, rows);
	}
});

test('names and marks keep their texts apart, empty ones too', () => {
	const names = new Map([
		[7, 'a'],
		[1, ''],
		[90000, 'GET /ü'],
		[3, 'x'.repeat(4000)],
	]);
	assert.deepEqual(decode(encode.names(names)).names, names);
	const marks = [
		{ at_ms: 1.5, text: 'warm' },
		{ at_ms: 2, text: '' },
		{ at_ms: 3, text: 'läuft' },
	];
	assert.deepEqual(decode(encode.marks(marks)).marks, marks);
});

test('the timeline is columns', () => {
	const points = Array.from({ length: 5 }, (_, i) => rowOf(wire.TIMELINE_COLUMNS, i + 60));
	const { timeline } = decode(encode.timeline(wire.TIMELINE_COLUMNS, points, AT));
	for (const name of wire.TIMELINE_COLUMNS)
		assert.deepEqual(
			[...timeline[name]],
			points.map((point) => point[name]),
		);
});

const fill = (type, count, seed) => {
	const roll = random(seed);
	return type.from({ length: count }, () => Math.floor(roll() * 2 ** 32));
};

test('map texels come back as views into the message, for every count around the padding', () => {
	for (const count of [1, 3, 4, 7, 8, 1000]) {
		const columns = {
			context: fill(Uint32Array, count, 1),
			live: fill(Uint8Array, count, 2),
			header: fill(Uint8Array, count, 3),
			cached: fill(Uint8Array, count, 4),
			free: fill(Uint8Array, count, 5),
			kind: fill(Uint8Array, count, 6),
			age: fill(Uint8Array, count, 7),
			blocks: fill(Uint16Array, count, 8),
		};
		const window = { request: 9, arena_id: 2, first_place: 2 ** 32 - 1, places_per_texel: 77 };
		const bytes = encode.map(window, columns, AT);
		const { map } = decode(bytes);
		assert.deepEqual(map, { ...window, count, ...columns });
		assert.equal(map.context.buffer, bytes.buffer);
	}
});

test('blocks come back as views into the message', () => {
	for (const count of [0, 1, 5, 8]) {
		const columns = {
			cell_place: fill(Uint32Array, count, 1),
			cell_places: fill(Uint32Array, count, 2),
			bytes: fill(Uint32Array, count, 3),
			context: fill(Uint32Array, count, 4),
			age_ms: fill(Uint32Array, count, 5),
			life: fill(Uint8Array, count, 6),
			flags: fill(Uint8Array, count, 7),
		};
		const window = { request: 1, arena_id: 2, first_place: 3, places: 4 };
		assert.deepEqual(decode(encode.blocks(window, columns, AT)).blocks, {
			...window,
			count,
			...columns,
		});
	}
});

test('what is no message is refused by name', () => {
	assert.throws(() => wire.decode(new ArrayBuffer(15)), /no header/);
	assert.throws(() => decode(new Uint8Array(16)), /not an mmviz message/);
	const newer = encode.json('notice', {});
	newer[1] = 2;
	assert.throws(() => decode(newer), /protocol 2, this page 1/);
	const unknown = encode.json('notice', {});
	unknown[2] = 99;
	assert.throws(() => decode(unknown), /unknown message type 99/);
});

test('a message cut short anywhere is refused, never read in part', () => {
	const rows = [{ ...rowOf(wire.ARENA_COLUMNS, 1), name: 'requests' }];
	const whole = encode.arenas(wire.ARENA_COLUMNS, rows, AT);
	for (let bytes = 16; bytes < whole.length; bytes++)
		assert.throws(() => wire.decode(whole.slice(0, bytes).buffer), wire.WireError);
	const lying = encode.names(
		new Map([
			[1, 'ab'],
			[2, 'c'],
		]),
	);
	new DataView(lying.buffer).setUint32(24, 900, true);
	assert.throws(() => decode(lying), wire.WireError);
});
