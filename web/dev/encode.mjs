// Messages of the wire protocol (user/serve/WIRE.md), written. The round-trip partner of
// src/wire.ts in tests and the voice of the development server; the collector has its own, in C.

const TYPES = {
	hello: 1,
	totals: 2,
	arenas: 3,
	contexts: 4,
	names: 5,
	timeline: 6,
	marks: 7,
	map: 8,
	blocks: 9,
	block: 10,
	notice: 11,
	events: 12,
};
const utf8 = new TextEncoder();

/** A header, then columns (typed arrays), each from a multiple of 8 on. */
export function message(type, count, at_ms, columns) {
	const starts = [];
	let size = 16;
	for (const column of columns) {
		size = Math.ceil(size / 8) * 8;
		starts.push(size);
		size += column.byteLength;
	}
	const bytes = new Uint8Array(size);
	const header = new DataView(bytes.buffer);
	header.setUint8(0, 0x4d);
	header.setUint8(1, 1);
	header.setUint16(2, TYPES[type], true);
	header.setUint32(4, count, true);
	header.setFloat64(8, at_ms, true);
	columns.forEach((column, i) =>
		bytes.set(new Uint8Array(column.buffer, column.byteOffset, column.byteLength), starts[i]),
	);
	return bytes;
}

export function json(type, value, at_ms = 0) {
	const text = utf8.encode(JSON.stringify(value));
	return message(type, text.length, at_ms, [text]);
}

function texts(list) {
	const encoded = list.map((text) => utf8.encode(text));
	const ends = new Uint32Array(encoded.length);
	encoded.reduce((end, text, i) => (ends[i] = end + text.length), 0);
	return [ends, new Uint8Array(encoded.flatMap((text) => [...text]))];
}

const f64 = (rows, name) => Float64Array.from(rows, (row) => row[name]);

export function totals(names, row, at_ms) {
	return message('totals', names.length, at_ms, [Float64Array.from(names, (name) => row[name])]);
}
export function arenas(names, rows, at_ms) {
	return message('arenas', rows.length, at_ms, [
		...names.map((name) => f64(rows, name)),
		...texts(rows.map(({ name }) => name)),
	]);
}
export function contexts(names, rows, at_ms) {
	return message('contexts', rows.length, at_ms, [
		...names.map((name) => f64(rows, name)),
		Uint32Array.from(rows, ({ id }) => id),
		Uint32Array.from(rows, ({ kind }) => kind),
	]);
}
export function names(map, at_ms = 0) {
	return message('names', map.size, at_ms, [
		Uint32Array.from(map.keys()),
		...texts([...map.values()]),
	]);
}
export function timeline(columnNames, points, at_ms) {
	return message(
		'timeline',
		points.length,
		at_ms,
		columnNames.map((name) => f64(points, name)),
	);
}
export function marks(rows, at_ms = 0) {
	return message('marks', rows.length, at_ms, [
		f64(rows, 'at_ms'),
		...texts(rows.map(({ text }) => text)),
	]);
}
export function map(window, columns, at_ms) {
	const { request, arena_id, first_place, places_per_texel } = window;
	return message('map', columns.kind.length, at_ms, [
		Uint32Array.of(request, arena_id, first_place, places_per_texel),
		columns.context,
		columns.live,
		columns.header,
		columns.cached,
		columns.free,
		columns.kind,
		columns.age,
		columns.blocks,
	]);
}
export function blocks(window, columns, at_ms) {
	const { request, arena_id, first_place, places } = window;
	return message('blocks', columns.cell_place.length, at_ms, [
		Uint32Array.of(request, arena_id, first_place, places),
		columns.cell_place,
		columns.cell_places,
		columns.bytes,
		columns.context,
		columns.age_ms,
		columns.life,
		columns.flags,
	]);
}
