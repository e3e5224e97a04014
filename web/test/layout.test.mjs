import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from '../dev/bundle.mjs';
import { random } from '../dev/heap.mjs';

const { layout: L } = await load(['layout']);
const END = 1_000_000;

function* randomLayouts(count, seed) {
	const roll = random(seed);
	for (let i = 0; i < count; i++) {
		const blank = L.createLayout(
			128 + Math.floor(roll() * 2000),
			20 + Math.floor(roll() * 1200),
			1 + Math.floor(roll() * 2),
		);
		const scale =
			roll() < 0.5
				? { places: 1 + Math.floor(roll() * 300), pixels: 1 }
				: { places: 1, pixels: 1 + Math.floor(roll() * 64) };
		yield [
			L.clamp(L.withScale({ ...blank, first: Math.floor(roll() * END) }, scale), END),
			roll,
		];
	}
}

test('fit shows everything from the start, and no scale closer would', () => {
	for (const places of [1, 100, 4096, 65_537, 2 ** 28]) {
		const fitted = L.fit(L.createLayout(940, 510, 1), places);
		assert.equal(fitted.first, 0);
		assert.ok(L.visiblePlaces(fitted) >= places);
		const nearer = { ...fitted, scale: { places: fitted.scale.places - 1, pixels: 1 } };
		assert.ok(fitted.scale.places === 1 || L.visiblePlaces(nearer) < places);
	}
});

test('the pixels of a place lead back to the place', () => {
	for (const [layout, roll] of randomLayouts(300, 1)) {
		const place = layout.first + Math.floor(roll() * L.visiblePlaces(layout));
		const [at] = L.segmentsOf(layout, place, 1);
		const back = L.placeAt(layout, at.x, at.row * layout.pitch);
		assert.ok(back <= place && place < back + layout.scale.places, `${back} holds ${place}`);
	}
});

test('pieces of a run lie in rows, in order, and cover it without overlap', () => {
	for (const [layout, roll] of randomLayouts(300, 2)) {
		const place = layout.first + Math.floor((roll() * 1.2 - 0.1) * L.visiblePlaces(layout));
		const places = 1 + Math.floor(roll() * 3 * L.placesPerRow(layout));
		const pieces = L.segmentsOf(layout, place, places);
		let last = -1;
		for (const { row, x, width } of pieces) {
			assert.ok(row > last && row < L.rowsOf(layout) && x >= 0 && width >= 1);
			assert.ok(x + width <= layout.width);
			last = row;
		}
	}
});

test('zooming keeps the place under the pointer within one step of the coarser grid', () => {
	for (const [layout, roll] of randomLayouts(300, 3)) {
		const x = Math.floor(roll() * layout.width * 0.9);
		const y = Math.floor(roll() * layout.height * 0.9);
		const place = L.placeAt(layout, x, y);
		const zoomed = L.zoomAt(layout, L.closer(layout.scale), x, y, END);
		if (place < 0 || place >= END || zoomed.first === 0) continue;
		const atEnd = L.panRows(zoomed, 1, END).first === zoomed.first;
		const now = L.placeAt(zoomed, x, y);
		if (now < 0 || atEnd) continue;
		assert.ok(Math.abs(now - place) <= layout.scale.places, `${place} became ${now}`);
	}
});

test('closer and farther always move, by whole places and pixels, and meet at one', () => {
	let scale = { places: 5000, pixels: 1 };
	for (let steps = 0; scale.pixels < 64; steps++) {
		const next = L.closer(scale);
		assert.ok(next.places < scale.places || next.pixels > scale.pixels);
		assert.ok(Number.isInteger(next.places) && Number.isInteger(next.pixels));
		assert.ok(Math.min(next.places, next.pixels) === 1 && steps < 60);
		scale = next;
	}
	assert.deepEqual(L.closer(scale), scale);
	for (let steps = 0; steps < 40; steps++) scale = L.farther(scale);
	assert.ok(scale.places > 1000 && scale.pixels === 1);
});

test('clamp stays inside, on the grid of texels, and no farther out than the whole', () => {
	for (const [layout] of randomLayouts(300, 4)) {
		assert.ok(layout.first >= 0 && layout.first < END);
		assert.equal(layout.first % layout.scale.places, 0);
		assert.ok(layout.scale.places <= L.fit(layout, END).scale.places);
	}
});

test('a window never asks for more than the collector gives, and covers what is in sight', () => {
	for (const [width, height] of [
		[940, 510],
		[3840, 2160],
		[8000, 4000],
	]) {
		for (const places of [10_000, 2 ** 28]) {
			const layout = L.fit(L.createLayout(width, height, 1), places);
			const window = L.windowOf(layout);
			assert.ok(window.texels <= 262_144);
			assert.ok(window.texels * window.places_per_texel >= L.visiblePlaces(layout));
			assert.equal(window.places_per_texel % layout.scale.places, 0);
		}
	}
});

test('fitRange shows the range, as large as it goes', () => {
	const blank = L.createLayout(940, 510, 1);
	for (const places of [1, 18, 500, 40_000, 900_000]) {
		const fitted = L.fitRange(blank, 77, places);
		assert.equal(fitted.first, 77);
		assert.ok(L.visiblePlaces(fitted) >= places);
	}
	assert.equal(L.fitRange(blank, 0, 18).scale.pixels, 64);
});

test('the block of a place is found by its cell, gaps belong to none', () => {
	const starts = Uint32Array.of(4, 10, 20);
	const lengths = Uint32Array.of(6, 5, 1);
	const expected = { 0: -1, 3: -1, 4: 0, 9: 0, 10: 1, 14: 1, 15: -1, 19: -1, 20: 2, 21: -1 };
	for (const place in expected)
		assert.equal(
			L.blockIndexAt(starts, lengths, Number(place)),
			expected[place],
			`place ${place}`,
		);
	assert.equal(L.blockIndexAt(new Uint32Array(), new Uint32Array(), 5), -1);
});

test('metadata at the start is skipped up to the texel that ends it', () => {
	const texels = (first_place, ...kind) => ({
		first_place,
		places_per_texel: 100,
		kind: Uint8Array.from(kind),
	});
	assert.equal(L.leadingMetaPlaces(texels(0, 4, 4, 4, 1, 4)), 200);
	assert.equal(L.leadingMetaPlaces(texels(0, 1, 4, 4)), 0);
	assert.equal(L.leadingMetaPlaces(texels(0, 4, 4, 4)), 0);
	assert.equal(L.leadingMetaPlaces(texels(500, 4, 4, 1)), 0);
});

test('the ruler is evenly spaced and begins at the first row', () => {
	const layout = L.fit(L.createLayout(940, 510, 1), 2 ** 20);
	const { marks, step_bytes } = L.rulerOf(layout, 60);
	assert.deepEqual(marks[0], { row: 0, offset_bytes: 0 });
	for (let i = 1; i < marks.length; i++)
		assert.equal(marks[i].offset_bytes - marks[i - 1].offset_bytes, step_bytes);
});
