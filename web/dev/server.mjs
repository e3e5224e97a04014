// A development server: the built dashboard, served with the collector's own strict policy, fed by a
// synthetic heap. Usage: node dev/server.mjs [--port N] [--scale F] [--arenas N]
//
// Tests start it in their own process: startServer(options) gives { url, heap, close, ... }.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';
import { load } from './bundle.mjs';
import * as encode from './encode.mjs';
import { Arena, CONTEXTS, random } from './heap.mjs';
import { stacks } from './stacks.mjs';

const DIST = new URL('../../build/web/dist/', import.meta.url);
const CONTENT = {
	'.html': 'text/html; charset=utf-8',
	'.js': 'text/javascript',
	'.css': 'text/css',
	'.svg': 'image/svg+xml',
};
export const POLICY =
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:";
const { wire } = await load(['wire']);

async function serveFile(request, response) {
	const path = new URL(request.url, 'http://localhost').pathname;
	if (path === '/api/v1/stacks') {
		response.writeHead(200, { 'content-type': 'application/json' });
		response.end(JSON.stringify(stacks()));
		return;
	}
	const name = path === '/' ? 'index.html' : path.slice(1);
	try {
		const body = await readFile(new URL(name, DIST));
		response.writeHead(200, {
			'content-type': CONTENT[extname(name)],
			'content-security-policy': POLICY,
		});
		response.end(body);
	} catch {
		response.writeHead(404).end();
	}
}

/* One synthetic target, and what the collector would say of it. */
class Target {
	constructor({ scale, arenas, historyMinutes, contexts }) {
		const roll = random(7);
		this.names = new Map(CONTEXTS);
		for (let id = CONTEXTS.size; id < contexts; id++) this.names.set(id, `handler ${id}`);
		this.attached_ms = Date.now();
		this.arenas = [
			['requests', 1],
			['cache', 0.35],
			['sessions', 0.12],
			['scratch', 0.05],
		]
			.slice(0, arenas)
			.map(
				([name, size], i) =>
					new Arena({
						id: i + 1,
						name,
						base: 0x7f3a40000000 + i * 2 ** 33,
						capacity_places: 2 ** 28,
						used_places: Math.floor(2 ** 20 * scale * size),
						seed: i + 1,
					}),
			);
		this.events = 1_204_881_316;
		this.lost = 0;
		this.state = 0;
		this.peak = 0;
		this.sums();
		this.history = Array.from({ length: historyMinutes * 60 }, (_, i) => {
			const part = i / (historyMinutes * 60);
			const wave = 0.55 + 0.4 * part + 0.05 * Math.sin(part * 40) + 0.01 * roll();
			return {
				at_ms: this.attached_ms - (1 - part) * historyMinutes * 60_000,
				live_bytes: this.live_bytes * wave,
				live_blocks: this.live_blocks * wave,
				resident_bytes: this.live_bytes * (wave + 0.25 + 0.05 * Math.sin(part * 9)),
				events_per_second: 3.6e6 + 5e5 * Math.sin(part * 60) + 4e5 * roll(),
				events_lost: 0,
			};
		});
		this.marks = historyMinutes
			? [
					{ at_ms: this.history[120].at_ms, text: 'warm' },
					{ at_ms: this.history[400].at_ms, text: 'deploy 2.3' },
				]
			: [];
	}

	// Time stands still for the dead.
	now() {
		return this.died_ms ?? Date.now();
	}

	die() {
		this.state = 1;
		this.died_ms = Date.now();
	}

	tick() {
		if (this.state) return;
		for (const arena of this.arenas) arena.tick(Date.now());
		this.events += 380_000;
		this.sums();
	}

	sums() {
		const all = this.arenas.map((arena) => arena.sums());
		this.arenaRows = this.arenas.map((arena, i) => this.arenaRow(arena, all[i].sums));
		const contexts = new Map();
		for (const { byContext } of all) {
			for (const [id, { blocks, bytes }] of byContext) {
				const row = contexts.get(id) ?? { blocks: 0, bytes: 0 };
				contexts.set(id, { blocks: row.blocks + blocks, bytes: row.bytes + bytes });
			}
		}
		for (const id of this.names.keys())
			if (!contexts.has(id))
				contexts.set(id, { blocks: 1000 - id, bytes: 100 * (1000 - id) });
		this.contextRows = [...contexts]
			.map(([id, { blocks, bytes }]) => ({
				id,
				kind: id === 7 ? 2 : id ? 1 : 0,
				live_bytes: bytes,
				live_blocks: blocks,
				peak_live_bytes: bytes * 1.1,
				allocations: blocks * 91,
				frees: blocks * 90,
				allocated_bytes: bytes * 91,
				allocations_per_second: id === 5 ? 310 : blocks * 3.7,
				growth_bytes_per_second: id === 2 ? 206_700 : id === 6 ? -3400 : 0,
			}))
			.sort((a, b) => b.live_bytes - a.live_bytes);
		this.live_bytes = this.arenaRows.reduce((sum, row) => sum + row.live_bytes, 0);
		this.live_blocks = this.arenaRows.reduce((sum, row) => sum + row.live_blocks, 0);
		this.peak = Math.max(this.peak, this.live_bytes);
	}

	arenaRow(arena, sums) {
		const frontier_bytes = arena.frontier * 16;
		const meta_bytes = 8 * 4096;
		const unused_bytes = arena.never.reduce((sum, [, places]) => sum + places * 16, 0);
		const taken = sums.live_bytes + sums.header_bytes + sums.padding_bytes + sums.cached_bytes;
		const committed_free_bytes = Math.max(
			0,
			frontier_bytes - meta_bytes - unused_bytes - taken,
		);
		return {
			id: arena.id,
			name: arena.name,
			base_addr: arena.base,
			capacity_bytes: arena.capacity_places * 16,
			committed_bytes: frontier_bytes,
			frontier_bytes,
			...sums,
			unused_bytes,
			meta_bytes,
			free_bytes: arena.capacity_places * 16 - frontier_bytes,
			largest_free_bytes: arena.capacity_places * 16 - frontier_bytes,
			committed_free_bytes,
			fragmentation_ratio: 0.97,
			split_blocks: Math.floor(sums.live_blocks / 7),
			is_gone: 0,
		};
	}

	totals() {
		const now = Date.now();
		return {
			live_blocks: this.live_blocks,
			live_bytes: this.live_bytes,
			peak_live_bytes: this.peak,
			allocations: this.events / 2,
			frees: this.events / 2 - this.live_blocks,
			allocated_bytes: this.events * 90,
			freed_bytes: this.events * 89,
			events_seen: this.events,
			events_lost: this.lost,
			resyncs: this.lost ? 1 : 0,
			events_per_second: this.state ? 0 : 3.8e6,
			allocations_per_second: this.state ? 0 : 1.9e6,
			resident_bytes: this.live_bytes * 1.3,
			collector_bytes: 7.1e7,
			ring_used_bytes: 6e5,
			ring_bytes: 3.2e7,
			verified_at_ms: now - 3000,
			threads: 4,
			arenas: this.arenas.length,
			contexts: this.contextRows.length,
			is_exact: this.isResyncing ? 0 : 1,
			target_state: this.state,
			exit_code: this.state ? 9 : 0,
			fallback_since_ms: process.env.FALLBACK ? Date.now() - 5000 : 0,
		};
	}

	point() {
		return {
			at_ms: Date.now(),
			live_bytes: this.live_bytes,
			live_blocks: this.live_blocks,
			resident_bytes: this.live_bytes * 1.3,
			events_per_second: 3.6e6 + 4e5 * Math.random(),
			events_lost: this.lost,
		};
	}

	block(request, arena_id, place) {
		const arena = this.arenas.find(({ id }) => id === arena_id);
		const i = arena?.blockAt(place) ?? -1;
		if (i < 0) return { request, found: false };
		const cell = arena.base + arena.starts[i] * 16;
		const isLive = arena.life[i] === 1;
		return {
			request,
			found: true,
			arena_id,
			address: '0x' + (cell + 16).toString(16),
			cell_address: '0x' + cell.toString(16),
			cell_bytes: arena.lengths[i] * 16,
			bytes: arena.bytes[i],
			context: arena.context[i],
			context_text: CONTEXTS.get(arena.context[i]),
			label: i % 5 ? '' : `user=${i}`,
			owner_heap: 2,
			thread_id: 4244,
			age_ms: this.now() - arena.born_ms[i],
			older_than_attach: arena.churn[i] < 0.02,
			state: isLive ? 'live' : 'cached',
			front_bytes: 16,
			padding_bytes: arena.lengths[i] * 16 - 16 - arena.bytes[i],
		};
	}
}

/* One browser: what it looks at, and whether it has drawn the last map. */
class Client {
	constructor(socket, target) {
		Object.assign(this, { socket, target, window: null, isWaiting: false, isPaused: false });
		const now = Date.now();
		this.send(
			encode.json(
				'hello',
				{
					pid: 4242,
					comm: 'server_sim',
					mode: 'exact',
					version: 'dev',
					abi: 1,
					attached_at_ms: target.attached_ms,
				},
				now,
			),
		);
		this.send(encode.names(target.names, now));
		this.send(encode.timeline(wire.TIMELINE_COLUMNS, target.history, now));
		this.send(encode.marks(target.marks, now));
		this.tables();
		socket.on('message', (text) => this.receive(JSON.parse(text)));
	}

	send(bytes) {
		this.socket.send(bytes);
	}

	receive(message) {
		const { target } = this;
		if (message.type === 'map') {
			Object.assign(this, { window: message, isWaiting: false });
			this.map();
		}
		if (message.type === 'ack') this.isWaiting = false;
		if (message.type === 'pause') this.isPaused = message.on;
		if (message.type === 'block')
			this.send(
				encode.json('block', target.block(message.request, message.arena, message.place)),
			);
	}

	tables() {
		if (this.isPaused) return;
		this.send(encode.arenas(wire.ARENA_COLUMNS, this.target.arenaRows, Date.now()));
		this.send(encode.contexts(wire.CONTEXT_COLUMNS, this.target.contextRows, Date.now()));
	}

	numbers() {
		const now = Date.now();
		this.send(encode.totals(wire.TOTALS, this.target.totals(), now));
		this.send(encode.timeline(wire.TIMELINE_COLUMNS, [this.target.point()], now));
	}

	map() {
		const arena = this.target.arenas.find(({ id }) => id === this.window?.arena);
		if (!arena || this.isWaiting || this.isPaused) return;
		const { request, first_place, places_per_texel, texels } = this.window;
		const now = this.target.now();
		const window = {
			request,
			arena_id: arena.id,
			first_place,
			places_per_texel,
			places: texels * places_per_texel,
		};
		this.isWaiting = true;
		this.send(
			encode.map(window, arena.texels(first_place, places_per_texel, texels, now), now),
		);
		if (places_per_texel <= wire.BLOCKS_BELOW_PLACES_PER_TEXEL)
			this.send(encode.blocks(window, arena.blocksIn(first_place, window.places, now), now));
	}
}

export async function startServer({
	port = 0,
	scale = 1,
	arenas = 3,
	historyMinutes = 18,
	contexts = CONTEXTS.size,
} = {}) {
	const target = new Target({ scale, arenas, historyMinutes, contexts });
	const clients = new Set();
	const server = createServer(serveFile);
	const sockets = new WebSocketServer({ server, path: '/ws', perMessageDeflate: false });
	sockets.on('connection', (socket) => {
		const client = new Client(socket, target);
		clients.add(client);
		socket.on('close', () => clients.delete(client));
	});
	const each = (what) => clients.forEach((client) => client[what]());
	const timers = [
		setInterval(() => {
			target.tick();
			each('numbers');
			each('map');
		}, 100),
		setInterval(() => each('tables'), 250),
	];
	await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
	return {
		url: `http://127.0.0.1:${server.address().port}/`,
		target,
		send: (bytes) => clients.forEach((client) => client.send(bytes)),
		close: async () => {
			timers.forEach(clearInterval);
			clients.forEach(({ socket }) => socket.terminate());
			await new Promise((resolve) => {
				server.close(resolve);
				server.closeAllConnections();
			});
		},
	};
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const { values } = parseArgs({
		options: {
			port: { type: 'string', default: '7071' },
			scale: { type: 'string', default: '4' },
			arenas: { type: 'string', default: '3' },
		},
	});
	const { url } = await startServer({
		port: Number(values.port),
		scale: Number(values.scale),
		arenas: Number(values.arenas),
	});
	console.log(url);
}
