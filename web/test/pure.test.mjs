import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from '../dev/bundle.mjs';
import { random } from '../dev/heap.mjs';

const modules = ['palette', 'choices', 'keys', 'findings', 'layout', 'gl/segments'];
const {
	palette: palettes,
	choices: choice,
	keys,
	findings,
	layout: L,
	segments: S,
} = await load(modules);

test('a colour is the same in every run, and names do not share while there is room', () => {
	const names = ['GET /', 'session cache', 'response', 'route table', 'tls', 'log', 'json'];
	const slots = () => {
		const palette = new palettes.Palette();
		names.forEach((name, i) => palette.assign(i + 1, name));
		return names.map((_, i) => palette.slotOf(i + 1));
	};
	assert.deepEqual(slots(), slots());
	assert.equal(new Set(slots()).size, names.length);
	assert.ok(
		slots().every((slot) => slot < palettes.HUES),
		'plain hues come first',
	);
});

test('a colour once given stays; untagged and unknown are neutral; there is no limit', () => {
	const palette = new palettes.Palette();
	palette.assign(0, 'untagged');
	for (let id = 1; id < 500; id++) palette.assign(id, `name ${id}`);
	const before = palette.slotOf(9);
	palette.assign(9, 'another name');
	assert.equal(palette.slotOf(9), before);
	assert.equal(palette.slotOf(0), palettes.SLOT_NEUTRAL);
	assert.equal(palette.slotOf(99999), palettes.SLOT_NEUTRAL);
	assert.ok(palette.slotOf(499) < palettes.SLOTS);
});

test('choices survive the way through the URL', () => {
	const made = new choice.Choices();
	made.view.value = 'contexts';
	made.arena.value = 7;
	made.spot.value = { first: 4_000_000_000, scale: { places: 1, pixels: 12 } };
	made.colour.value = 'age';
	const read = new choice.Choices();
	read.fromHash(made.toHash());
	assert.equal(read.toHash(), made.toHash());
	assert.deepEqual(read.spot.value, made.spot.value);
	assert.equal(read.arena.value, 7);
});

test('nonsense in the URL is left out', () => {
	const read = new choice.Choices();
	for (const hash of [
		'',
		'#',
		'#view=flame&colour=red&arena=-1&first=x&scale=0',
		'#scale=//2&first=1',
		'#%%%',
	])
		read.fromHash(hash);
	assert.equal(read.toHash(), new choice.Choices().toHash());
});

test('another arena starts from its whole', () => {
	const made = new choice.Choices();
	made.spot.value = { first: 1, scale: { places: 1, pixels: 1 } };
	made.selectedPlace.value = 4;
	made.chooseArena(2);
	assert.equal(made.spot.value, null);
	assert.equal(made.selectedPlace.value, null);
});

test('sorting by the same column turns it round; names begin at A', () => {
	const made = new choice.Choices();
	made.sortBy('live_blocks');
	assert.deepEqual(made.sort.value, { by: 'live_blocks', down: true });
	made.sortBy('live_blocks');
	assert.equal(made.sort.value.down, false);
	made.sortBy('name');
	assert.deepEqual(made.sort.value, { by: 'name', down: false });
});

test("keys mean commands, with the browser's own combinations left alone", () => {
	const press = (key, held = {}) =>
		keys.commandOf({ key, ctrlKey: false, metaKey: false, altKey: false, ...held });
	assert.equal(press('W'), 'closer');
	assert.equal(press('-'), 'farther');
	assert.equal(press('f', { ctrlKey: true }), 'filter');
	assert.equal(press('w', { ctrlKey: true }), null);
	assert.equal(press('t', { metaKey: true }), null);
	assert.equal(press('x'), null);
});

const context = (id, live_bytes, growth_bytes_per_second) => ({
	id,
	live_bytes,
	growth_bytes_per_second,
});
const arena = (name, live, header, padding, free, ratio) => ({
	name,
	live_bytes: live,
	header_bytes: header,
	padding_bytes: padding,
	committed_free_bytes: free,
	fragmentation_ratio: ratio,
	split_blocks: 2,
	is_gone: 0,
});

test('growing: the strongest growth, not the biggest context; dust is no growth', () => {
	const rows = [context(1, 900, 100), context(2, 100, 50_000), context(3, 10, -9e9)];
	assert.deepEqual(findings.findGrowing(rows, 1000), { context: rows[1], share: 0.1 });
	assert.equal(findings.findGrowing([context(1, 900, 500)], 900), null);
	assert.equal(findings.findGrowing([], 0), null);
});

test('fragmented: the arena with most free memory outside its largest hole', () => {
	const small = arena('small', 1, 1, 1, 100, 0.99);
	const large = arena('large', 1, 1, 1, 10_000, 0.5);
	const gone = { ...arena('gone', 1, 1, 1, 1e9, 1), is_gone: 1 };
	assert.deepEqual(findings.findFragmented([small, large, gone]), {
		arena: large,
		largest_bytes: 5000,
		free_bytes: 10_000,
	});
	assert.equal(findings.findFragmented([arena('full', 1, 1, 1, 0, 0)]), null);
});

test('wasted: headers and padding of all that blocks take', () => {
	const found = findings.findWasted([arena('a', 80, 10, 4, 0, 0), arena('b', 100, 4, 2, 0, 0)]);
	assert.deepEqual(found, {
		taken_bytes: 200,
		header_bytes: 14,
		padding_bytes: 6,
		share: 0.1,
		split_blocks: 4,
	});
	assert.equal(findings.findWasted([]), null);
});

test('blocks become pieces that lie where the layout says', () => {
	const roll = random(11);
	const count = 3000;
	const blocks = {
		count,
		cell_place: new Uint32Array(count),
		cell_places: new Uint32Array(count),
		context: new Uint32Array(count).fill(3),
		age_ms: new Uint32Array(count).fill(1000),
		life: new Uint8Array(count).fill(1),
		flags: new Uint8Array(count),
	};
	for (
		let i = 0, at = 500;
		i < count;
		i++, at += blocks.cell_places[i - 1] + Math.floor(roll() * 5)
	) {
		blocks.cell_place[i] = at;
		blocks.cell_places[i] = 1 + Math.floor(roll() * 40);
	}
	const layout = {
		...L.withScale(L.createLayout(400, 300, 1), { places: 1, pixels: 3 }),
		first: 1000,
	};
	const expected = [];
	for (let i = 0; i < count; i++)
		expected.push(...L.segmentsOf(layout, blocks.cell_place[i], blocks.cell_places[i]));
	const segments = new S.Segments();
	segments.build(blocks, layout, new palettes.Palette());
	assert.equal(segments.count, expected.length);
	expected.forEach(({ row, x, width }, i) => {
		const at = i * S.SEGMENT_WORDS;
		assert.deepEqual([...segments.floats.subarray(at, at + 3)], [x, row, width]);
		assert.equal(segments.words[at + 4], 3);
		assert.equal(segments.words[at + 5], palettes.SLOT_NEUTRAL | (9 << 8) | (1 << 16));
	});
});
