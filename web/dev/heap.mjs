// A synthetic heap for the development server: arenas of spans whose blocks come and go. It only has
// to look alive; whatever has to be right is tested against the collector.

const PLACE = 16;
const UNIT_PLACES = 256;
const LIVE = 1;
const CACHED = 2;
const KIND = { free: 0, live: 1, cached: 2, unused: 3, meta: 4, untouched: 5 };
const NO_CONTEXT = 0xffffffff;

export function random(seed) {
	let state = seed >>> 0;
	return () => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return state / 2 ** 32;
	};
}

export const CONTEXTS = new Map([
	[0, 'untagged'],
	[1, 'GET /api/data'],
	[2, 'session cache'],
	[3, 'response'],
	[4, 'route table'],
	[5, 'tls buffers'],
	[6, 'log lines'],
	[7, 'parse_row (table.c:118)'],
	[8, 'json_string'],
]);

// Kinds of spans: cell size in places, spans in a row, contexts with weights, share that is live.
const REGIMES = [
	{
		cell: [5, 9],
		mix: [
			[1, 0.66],
			[3, 0.28],
			[6, 0.06],
		],
		live: 0.88,
		share: 0.22,
		churn: 0.3,
	},
	{
		cell: [12, 30],
		mix: [
			[2, 0.72],
			[1, 0.12],
			[4, 0.1],
			[7, 0.06],
		],
		live: 0.86,
		share: 0.28,
		churn: 0.02,
	},
	{
		cell: [20, 70],
		mix: [
			[4, 0.6],
			[3, 0.25],
			[8, 0.15],
		],
		live: 0.72,
		share: 0.14,
		churn: 0.03,
	},
	{
		cell: [512, 4096],
		mix: [
			[5, 0.8],
			[7, 0.2],
		],
		live: 0.68,
		share: 0.16,
		churn: 0.01,
	},
	{
		cell: [3, 8],
		mix: [
			[6, 0.6],
			[8, 0.3],
			[0, 0.1],
		],
		live: 0.48,
		share: 0.2,
		churn: 0.5,
	},
];

function pick(mix, roll) {
	for (const [context, weight] of mix) if ((roll -= weight) < 0) return context;
	return mix[0][0];
}

export class Arena {
	constructor({ id, name, base, capacity_places, used_places, seed }) {
		Object.assign(this, { id, name, base, capacity_places });
		this.random = random(seed);
		this.starts = [];
		this.lengths = [];
		this.life = [];
		this.context = [];
		this.bytes = [];
		this.born_ms = [];
		this.churn = [];
		this.never = []; // [start, places] of cells never used
		this.frontier = UNIT_PLACES * 8; // the first units are metadata
		const now = Date.now();
		for (const regime of REGIMES) {
			const end = this.frontier + Math.floor(used_places * regime.share);
			while (this.frontier < end) this.addSpan(regime, now - 600_000 * this.random());
		}
	}

	addSpan(regime, at_ms) {
		const [least, most] = regime.cell;
		const cell = Math.floor(least + this.random() * (most - least));
		const units = cell > 255 ? Math.ceil((cell + 4) / UNIT_PLACES) : 16;
		const span = this.frontier;
		this.frontier += units * UNIT_PLACES;
		if (this.random() < 0.06) return; // a hole
		const cells = cell > 255 ? 1 : Math.floor((units * UNIT_PLACES - 4) / cell);
		const used = this.random() < 0.12 ? Math.floor(cells * this.random()) : cells;
		for (let i = 0; i < used; i++) this.addBlock(regime, span + 4 + i * cell, cell, at_ms);
		if (used < cells) this.never.push([span + 4 + used * cell, (cells - used) * cell]);
	}

	addBlock(regime, place, cell, at_ms) {
		const isLive = this.random() < regime.live;
		this.starts.push(place);
		this.lengths.push(cell);
		this.life.push(isLive ? LIVE : CACHED);
		this.context.push(pick(regime.mix, this.random()));
		this.bytes.push(cell * PLACE - 16 - Math.floor(this.random() * 16));
		this.born_ms.push(at_ms - 300_000 * this.random() ** 4);
		this.churn.push(regime.churn);
	}

	tick(now_ms) {
		const changes = Math.ceil(this.starts.length * 0.004);
		for (let i = 0; i < changes; i++) {
			const at = Math.floor(this.random() * this.starts.length);
			if (this.random() > this.churn[at]) continue;
			this.life[at] = this.life[at] === LIVE ? CACHED : LIVE;
			this.born_ms[at] = now_ms;
		}
	}

	// Index of the first block that ends behind `place`.
	firstBehind(place) {
		let low = 0;
		let high = this.starts.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (this.starts[middle] + this.lengths[middle] <= place) low = middle + 1;
			else high = middle;
		}
		return low;
	}

	texels(first, places_per_texel, count, now_ms) {
		const out = {
			context: new Uint32Array(count).fill(NO_CONTEXT),
			live: new Uint8Array(count),
			header: new Uint8Array(count),
			cached: new Uint8Array(count),
			free: new Uint8Array(count),
			kind: new Uint8Array(count),
			age: new Uint8Array(count).fill(255),
			blocks: new Uint16Array(count),
		};
		const live = new Float64Array(count);
		const cached = new Float64Array(count);
		const never = new Float64Array(count);
		const best = new Float64Array(count);
		const spread = (start, places, add) => {
			const end = Math.min(start + places - first, count * places_per_texel);
			for (let at = Math.max(0, start - first); at < end;) {
				const texel = Math.floor(at / places_per_texel);
				const stop = Math.min(end, (texel + 1) * places_per_texel);
				add(texel, stop - at);
				at = stop;
			}
		};
		const last = first + count * places_per_texel;
		for (
			let i = this.firstBehind(first);
			i < this.starts.length && this.starts[i] < last;
			i++
		) {
			const begins = Math.floor((this.starts[i] - first) / places_per_texel);
			if (begins >= 0) out.blocks[begins]++;
			const age = Math.floor(Math.log2(Math.max(1, now_ms - this.born_ms[i])));
			spread(this.starts[i], this.lengths[i], (texel, places) => {
				if (this.life[i] !== LIVE) return (cached[texel] += places);
				live[texel] += places;
				out.age[texel] = Math.min(out.age[texel], age);
				if (places > best[texel]) {
					best[texel] = places;
					out.context[texel] = this.context[i];
				}
			});
		}
		for (const [start, places] of this.never)
			if (start < last && start + places > first)
				spread(start, places, (texel, part) => (never[texel] += part));
		for (let i = 0; i < count; i++) {
			const place = first + i * places_per_texel;
			const share = (places) => Math.min(255, Math.round((places / places_per_texel) * 255));
			out.live[i] = share(live[i] * 0.9);
			out.header[i] = share(live[i] * 0.1);
			out.cached[i] = share(cached[i]);
			out.kind[i] =
				place >= this.frontier
					? KIND.untouched
					: place < UNIT_PLACES * 8
						? KIND.meta
						: live[i] && live[i] >= cached[i] && live[i] >= never[i]
							? KIND.live
							: cached[i] > never[i]
								? KIND.cached
								: never[i]
									? KIND.unused
									: KIND.free;
			if (out.kind[i] === KIND.free) out.free[i] = 255;
		}
		return out;
	}

	blocksIn(first, places, now_ms) {
		const from = this.firstBehind(first);
		let to = from;
		while (to < this.starts.length && this.starts[to] < first + places && to - from < 50_000)
			to++;
		const slice = (list, type, of = (value) => value) => type.from(list.slice(from, to), of);
		return {
			cell_place: slice(this.starts, Uint32Array),
			cell_places: slice(this.lengths, Uint32Array),
			bytes: slice(this.bytes, Uint32Array),
			context: slice(this.context, Uint32Array),
			age_ms: slice(this.born_ms, Uint32Array, (born) => Math.max(0, now_ms - born)),
			life: slice(this.life, Uint8Array),
			flags: slice(this.churn, Uint8Array, (churn) => (churn < 0.02 ? 2 : 0)),
		};
	}

	blockAt(place) {
		const i = this.firstBehind(place);
		return i < this.starts.length && this.starts[i] <= place ? i : -1;
	}

	// Sums over all blocks, for the arena table and the contexts.
	sums() {
		const sums = {
			live_blocks: 0,
			live_bytes: 0,
			header_bytes: 0,
			padding_bytes: 0,
			cached_bytes: 0,
		};
		const byContext = new Map();
		for (let i = 0; i < this.starts.length; i++) {
			if (this.life[i] !== LIVE) {
				sums.cached_bytes += this.lengths[i] * PLACE;
				continue;
			}
			sums.live_blocks++;
			sums.live_bytes += this.bytes[i];
			sums.header_bytes += 16;
			sums.padding_bytes += this.lengths[i] * PLACE - 16 - this.bytes[i];
			const context = byContext.get(this.context[i]) ?? { blocks: 0, bytes: 0 };
			context.blocks++;
			context.bytes += this.bytes[i];
			byContext.set(this.context[i], context);
		}
		return { sums, byContext };
	}
}
