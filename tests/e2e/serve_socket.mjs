// serve_socket.mjs - a client of /ws that takes nothing on trust.
//
//	node serve_socket.mjs http://127.0.0.1:PORT/ TARGET-PID
//
// Decodes by WIRE.md alone (each message must be exactly as long as its counts say) and checks what the protocol
// promises. Prints a line for each promise; exit 1 at the first that is broken.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from '../../web/node_modules/ws/wrapper.mjs';

const [url, pid] = [process.argv[2].replace('http', 'ws') + 'ws', Number(process.argv[3])];
const NONE = 0xffffffff;
const aligned = (offset) => (offset + 7) & ~7;

const TABLES = {3: 18, 4: 8, 6: 6};

// Columns of a message, each a plain array; the length is checked to the byte.
function decode(data) {
	const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
	const count = view.getUint32(4, true);
	let at = 16;
	const column = (rows, bytes, read) => {
		const start = aligned(at);
		at = start + rows * bytes;
		return Array.from({length: rows}, (_, i) => read(start + i * bytes));
	};
	const f64 = (rows = count) => column(rows, 8, (o) => view.getFloat64(o, true));
	const u32 = (rows = count) => column(rows, 4, (o) => view.getUint32(o, true));
	const u16 = (rows = count) => column(rows, 2, (o) => view.getUint16(o, true));
	const u8 = (rows = count) => column(rows, 1, (o) => view.getUint8(o));
	const text = (bytes) => new TextDecoder('utf-8', {fatal: true}).decode(Uint8Array.from(u8(bytes)));
	const texts = () => {
		const ends = u32(), all = Uint8Array.from(u8(ends.at(-1) ?? 0));
		return ends.map((end, i) => new TextDecoder('utf-8', {fatal: true}).decode(all.subarray(ends[i - 1] ?? 0, end)));
	};
	const table = (columns) => Array.from({length: columns}, () => f64());
	const type = view.getUint16(2, true);
	const message = {type, count, at_ms: view.getFloat64(8, true), bytes: data.byteLength};

	assert.equal(view.getUint8(0), 0x4d);
	assert.equal(view.getUint8(1), 1);
	if (type === 1 || type === 10 || type === 11 || type === 12)
		message.json = JSON.parse(text(count));
	else if (type === 2)
		message.fields = f64();
	else if (type in TABLES)
		message.columns = table(TABLES[type]);
	if (type === 3)
		message.names = texts();
	if (type === 4)
		[message.ids, message.kinds] = [u32(), u32()];
	if (type === 5)
		[message.ids, message.texts] = [u32(), texts()];
	if (type === 7)
		[message.at, message.texts] = [f64(), texts()];
	if (type === 8 || type === 9)
		message.window = u32(4);
	if (type === 8)
		message.texels = {context: u32(), live: u8(), header: u8(), cached: u8(), free: u8(), kind: u8(), age: u8(), blocks: u16()};
	if (type === 9)
		message.blocks = {place: u32(), places: u32(), bytes: u32(), context: u32(), age: u32(), life: u8(), flags: u8()};
	assert.equal(at, data.byteLength, `message of type ${type} is ${data.byteLength} bytes long, its counts say ${at}`);
	assert.ok(type >= 1 && type <= 12, `type ${type}`);
	return message;
}

class Client {
	constructor() {
		this.messages = [];
		this.names = new Map();
		this.closed = null;
		this.socket = new WebSocket(url, 'mmviz.1');
		this.socket.binaryType = 'nodebuffer';
		this.socket.on('message', (data) => this.receive(decode(data)));
		this.socket.on('close', (code) => (this.closed = code));
		this.socket.on('error', (error) => (this.error = error));
		this.socket.on('unexpected-response', (_, response) => {
			this.refused = response.statusCode;
			response.resume();
			this.socket.terminate();
		});
	}

	// A context must have been named before it is used.
	receive(message) {
		if (message.type === 5)
			message.ids.forEach((id, i) => this.names.set(id, message.texts[i]));
		for (const id of message.ids ?? message.texels?.context ?? message.blocks?.context ?? [])
			assert.ok(id === NONE || this.names.has(id), `context ${id} is used in a message of type ${message.type} before it is named`);
		this.messages.push(message);
	}

	send(request) {
		this.socket.send(typeof request === 'string' || Buffer.isBuffer(request) ? request : JSON.stringify(request));
	}

	of(type, from = 0) {
		return this.messages.slice(from).filter((message) => message.type === type);
	}

	// The next message (after `from`) for which `test` holds.
	async next(type, test = () => true, from = 0, seconds = 5) {
		for (let round = 0; round < seconds * 100; round++) {
			const found = this.of(type, from).find(test);
			if (found)
				return found;
			await sleep(10);
		}
		assert.fail(`no message of type ${type} within ${seconds} s`);
	}

	timeline() {
		return this.of(6).flatMap((message) => message.columns[0]);
	}
}

async function until(test, what, seconds = 5) {
	for (let round = 0; round < seconds * 100; round++) {
		if (test())
			return;
		await sleep(10);
	}
	assert.fail(what);
}

function assertIncreasing(times) {
	times.forEach((at, i) => assert.ok(i === 0 || at > times[i - 1], `time line: ${at} follows ${times[i - 1]}`));
}

const promises = {
	async 'hello comes first, then everything else'() {
		await client.next(7);
		assert.equal(client.messages[0].type, 1);
		assert.equal(client.messages[0].json.pid, pid);
		assert.equal(client.messages[0].json.mode, 'exact');
		assert.equal(client.of(1).length, 1);
		for (const type of [2, 3, 4, 5, 6])
			await client.next(type);
		assert.equal(client.of(2)[0].count, 24);
		assert.ok(client.of(2)[0].fields[0] > 0, 'nothing lives');
	},

	async 'rates: totals and time line 10/s at most, tables 4/s'() {
		const from = client.messages.length;
		await sleep(2000);
		const counts = [2, 6, 3, 4].map((type) => client.of(type, from).length);
		counts.forEach((count, i) => assert.ok(count <= (i < 2 ? 21 : 9), `${count} messages of one type in 2 s`));
		assert.ok(counts[0] >= 10, `only ${counts[0]} totals in 2 s of traffic`);
		assert.ok(counts[2] >= 4, `only ${counts[2]} arenas in 2 s of traffic`);
	},

	async 'a map is sent again only when the last one was drawn'() {
		const arenas = client.of(3).at(-1);
		const fullest = arenas.columns[5].indexOf(Math.max(...arenas.columns[5]));
		arena = {id: arenas.columns[0][fullest], base: arenas.columns[1][fullest],
			texel: Math.ceil(arenas.columns[4][fullest] / 16 / 4096)};
		const from = client.messages.length;
		client.send({type: 'map', request: 1, arena: arena.id, first_place: 0, places_per_texel: arena.texel, texels: 4096});
		const map = await client.next(8, (m) => m.window[0] === 1, from);
		assert.deepEqual(map.window, [1, arena.id, 0, arena.texel]);
		assert.equal(map.count, 4096);
		assert.ok(map.texels.blocks.some((n) => n > 0), 'an empty map');
		await sleep(600);
		assert.equal(client.of(8, from).length, 1);
		client.send({type: 'ack', request: 99});
		await sleep(300);
		assert.equal(client.of(8, from).length, 1, 'an ack of another request gave credit');
		client.send({type: 'ack', request: 1});
		await client.next(8, (m) => m !== map, from);
	},

	async 'a close look brings blocks, and each block is what it says'() {
		const busy = client.of(8).at(-1);
		const texel = busy.texels.blocks.findIndex((n) => n > 0);
		client.send({type: 'map', request: 2, arena: arena.id, first_place: texel * arena.texel, places_per_texel: 4, texels: 1024});
		const blocks = await client.next(9, (m) => m.window[0] === 2 && m.count > 0);
		assert.deepEqual(blocks.window, [2, arena.id, texel * arena.texel, 4096]);
		const {place, places, life} = blocks.blocks;
		place.forEach((at, i) => assert.ok(i === 0 || at >= place[i - 1] + places[i - 1], 'blocks overlap'));
		const live = life.findIndex((l) => l === 1);
		client.send({type: 'block', request: 3, arena: arena.id, place: place[live]});
		const {json} = await client.next(10, (m) => m.json.request === 3);
		if (json.found) {
			assert.equal(Number(json.cell_address), arena.base + place[live] * 16);
			assert.equal(Number(json.address) - Number(json.cell_address), json.front_bytes);
		}
		client.send({type: 'block', request: 4, arena: 4000000000, place: 0});
		assert.equal((await client.next(10, (m) => m.json.request === 4)).json.found, false);
	},

	async 'an arena that is not there is a warning, not the end'() {
		client.send({type: 'map', request: 5, arena: 4000000000, first_place: 0, places_per_texel: 1, texels: 1});
		const notice = await client.next(11);
		assert.equal(notice.json.level, 'warning');
		assert.equal(client.closed, null);
	},

	async 'pause stops tables and maps, and nothing else'() {
		client.send({type: 'pause', on: true});
		await sleep(300);
		const from = client.messages.length;
		await sleep(1000);
		assert.deepEqual([3, 4, 8].map((type) => client.of(type, from).length), [0, 0, 0]);
		assert.ok(client.of(2, from).length >= 5, 'totals stopped');
		client.send({type: 'pause', on: false});
		await client.next(3, undefined, from);
		await client.next(4, undefined, from);
	},

	async 'all views of a target at rest agree'() {
		process.kill(pid, 'SIGSTOP');
		await sleep(1000);
		const totals = client.of(2).at(-1).fields, arenas = client.of(3).at(-1), contexts = client.of(4).at(-1);
		const sum = (numbers) => numbers.reduce((all, n) => all + n, 0);
		const maps = [];
		for (const [i, id] of arenas.columns[0].entries()) {
			client.send({type: 'map', request: 100 + i, arena: id, first_place: 0,
				places_per_texel: Math.ceil(arenas.columns[4][i] / 16 / 65536), texels: 65536});
			maps.push(await client.next(8, (m) => m.window[0] === 100 + i));
		}
		const summary = await (await fetch(url.replace(/^ws(.*)ws$/, 'http$1api/v1/summary'))).json();
		process.kill(pid, 'SIGCONT');
		maps.forEach((map, i) => assert.equal(sum(map.texels.blocks), arenas.columns[5][i], `blocks of the map of arena ${i}`));
		assert.deepEqual([sum(arenas.columns[5]), sum(contexts.columns[1]), summary.live_blocks], Array(3).fill(totals[0]));
		assert.deepEqual([sum(arenas.columns[6]), sum(contexts.columns[0]), summary.live_bytes], Array(3).fill(totals[1]));
	},

	async 'the picture is compared with the heap while somebody looks'() {
		const verified = await client.next(2, (m) => m.fields[16] > 0);
		assert.ok(verified.fields[16] <= verified.at_ms && verified.at_ms - verified.fields[16] < 60000);
		assert.equal(verified.fields[20], 1);
		assert.equal(client.of(11).filter((m) => m.json.level === 'error').length, 0);
	},

	async 'a client that does not read misses no point of the time line'() {
		const slow = new Client();
		await slow.next(6);
		slow.send({type: 'map', request: 1, arena: arena.id, first_place: 0, places_per_texel: 16, texels: 262144});
		slow.socket.pause();
		await sleep(3000);
		slow.socket.resume();
		await sleep(1000);
		const own = slow.timeline(), other = client.timeline().filter((at) => at >= own[0] && at <= own.at(-1));
		assertIncreasing(own);
		assert.deepEqual(own, other);
		assert.ok(slow.of(2).length < client.of(2).length);
		slow.socket.close();
	},

	async 'a late client gets the whole time line, and nobody gets a point twice'() {
		const late = new Client();
		await sleep(1500);
		const times = late.timeline();
		assertIncreasing(times);
		assertIncreasing(client.timeline());
		assert.equal(times[0], client.timeline()[0]);
		late.socket.close();
	},

	async 'nonsense is answered by a notice and the end'() {
		const nonsense = ['x', '{"type":"quit"}', '{"type":"ack"}', `"${'x'.repeat(5000)}"`, Buffer.from([1, 2, 3])];
		for (const text of nonsense) {
			const bad = new Client();
			await bad.next(2);
			bad.send(text);
			await until(() => bad.closed !== null, 'the connection stays open');
			assert.equal(bad.closed, 1008);
			assert.equal(bad.messages.at(-1).json?.level, 'error');
		}
		assert.equal(client.closed, null);
	},

	async 'not more than 16 clients, and room again when one goes'() {
		const crowd = Array.from({length: 15}, () => new Client());
		await Promise.all(crowd.map((one) => one.next(2)));
		const last = new Client();
		await until(() => last.refused !== undefined, 'a seventeenth client is let in');
		assert.equal(last.refused, 503);
		crowd[0].socket.close();
		await until(() => crowd[0].closed !== null, 'a client cannot go');
		await new Client().next(2);
		crowd.forEach((one) => one.socket.terminate());
	},
};

let arena;
const client = new Client();
for (const [name, check] of Object.entries(promises)) {
	await check();
	console.log(`  ${name}`);
}
process.exit(0);
