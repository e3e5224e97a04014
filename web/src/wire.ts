/*
 * The wire protocol (user/serve/WIRE.md), decoded. Owns the layout of every message and nothing
 * else: no state, no page.
 *
 * Columns are views into the received buffer, never copies; they stay valid as long as somebody
 * holds them. A message that does not fit its own counts is refused with a WireError: a decoded
 * message can be trusted to have all its rows.
 */

export const PROTOCOL = 'mmviz.1';
export const NO_CONTEXT = 0xffffffff;
export const AGE_BEFORE_ATTACH = 255;

export const Kind = { free: 0, live: 1, cached: 2, unused: 3, meta: 4, untouched: 5 } as const;
export const Life = { never: 0, live: 1, cached: 2, returned: 3 } as const;
export const ContextKind = { none: 0, tag: 1, site: 2, stack: 3 } as const;
export const BlockFlag = { large: 1, olderThanAttach: 2 } as const;

const MAGIC = 0x4d;
const VERSION = 1;
const HEADER_BYTES = 16;

export const TOTALS = [
	'live_blocks',
	'live_bytes',
	'peak_live_bytes',
	'allocations',
	'frees',
	'allocated_bytes',
	'freed_bytes',
	'events_seen',
	'events_lost',
	'resyncs',
	'events_per_second',
	'allocations_per_second',
	'resident_bytes',
	'collector_bytes',
	'ring_used_bytes',
	'ring_bytes',
	'verified_at_ms',
	'threads',
	'arenas',
	'contexts',
	'is_exact',
	'target_state',
	'exit_code',
	'fallback_since_ms',
] as const;
export const ARENA_COLUMNS = [
	'id',
	'base_addr',
	'capacity_bytes',
	'committed_bytes',
	'frontier_bytes',
	'live_blocks',
	'live_bytes',
	'header_bytes',
	'padding_bytes',
	'cached_bytes',
	'unused_bytes',
	'meta_bytes',
	'free_bytes',
	'largest_free_bytes',
	'committed_free_bytes',
	'fragmentation_ratio',
	'split_blocks',
	'is_gone',
] as const;
export const CONTEXT_COLUMNS = [
	'live_bytes',
	'live_blocks',
	'peak_live_bytes',
	'allocations',
	'frees',
	'allocated_bytes',
	'allocations_per_second',
	'growth_bytes_per_second',
] as const;
export const TIMELINE_COLUMNS = [
	'at_ms',
	'live_bytes',
	'live_blocks',
	'resident_bytes',
	'events_per_second',
	'events_lost',
] as const;

type Row<Names extends readonly string[]> = { [name in Names[number]]: number };
type Columns<Names extends readonly string[]> = { [name in Names[number]]: Float64Array };

export type Totals = Row<typeof TOTALS>;
export type Arena = Row<typeof ARENA_COLUMNS> & { name: string };
export type Context = Row<typeof CONTEXT_COLUMNS> & { id: number; kind: number };
export type TimelineColumns = Columns<typeof TIMELINE_COLUMNS>;

export interface Hello {
	pid: number;
	comm: string;
	mode: string;
	version: string;
	abi: number;
	attached_at_ms: number;
}
export interface Mark {
	at_ms: number;
	text: string;
}
/* A window of the map: `count` texels of `places_per_texel` places, from `first_place` on. */
export interface Texels {
	request: number;
	arena_id: number;
	first_place: number;
	places_per_texel: number;
	count: number;
	context: Uint32Array;
	live: Uint8Array;
	header: Uint8Array;
	cached: Uint8Array;
	free: Uint8Array;
	kind: Uint8Array;
	age: Uint8Array;
	blocks: Uint16Array;
}
/* The blocks that touch `places` places from `first_place` on, in address order. */
export interface Blocks {
	request: number;
	arena_id: number;
	first_place: number;
	places: number;
	count: number;
	cell_place: Uint32Array;
	cell_places: Uint32Array;
	bytes: Uint32Array;
	context: Uint32Array;
	age_ms: Uint32Array;
	life: Uint8Array;
	flags: Uint8Array;
}
export interface BlockDetails {
	request: number;
	found: boolean;
	arena_id: number;
	address: string;
	cell_address: string;
	cell_bytes: number;
	bytes: number;
	context: number;
	context_text: string;
	label: string;
	owner_heap: number;
	thread_id: number;
	age_ms: number;
	older_than_attach: boolean;
	state: string;
	front_bytes: number;
	padding_bytes: number;
}
export interface Notice {
	level: 'info' | 'warning' | 'error';
	text: string;
}

/* Events mode: what is told, and what was. Rates are by the second; errors are one sigma. */
export interface EventsSettings {
	by: 'count' | 'bytes';
	sample: number; /* 1 in so many, or mean bytes in between */
	min_bytes: number;
	max_bytes: number | null;
	tag: string | null;
	tag_id: number | null;
	thread: number | null;
	is_waiting_for_tag: boolean;
}
/* Exact, counted in the kernel. */
export interface EventsCounted {
	hits: number; /* allocations and frees, all of them */
	allocations: number; /* that pass the filter, told or not */
	allocated_bytes: number;
	told: number;
	dropped: number;
}
export interface EventsRate {
	allocations_per_second: number;
	allocations_error: number;
	bytes_per_second: number;
	bytes_error: number;
	frees_per_second: number;
}
export interface HeapEvent {
	number: number;
	at_ns: number;
	event: 'alloc' | 'free';
	thread: number;
	comm: string;
	bytes: number;
	tag: string;
	tag_id: number;
	label?: string;
	address: string;
	arena: number;
	lifetime_ns: number | null;
	weight: number;
	allocated_by?: number;
}
/* Keys that are null stand for all that have no row of their own. */
export interface Events {
	settings: EventsSettings;
	counted: EventsCounted;
	counted_per_second: EventsCounted;
	estimates: EventsRate;
	window_s: number;
	remembered: number;
	remembered_max: number;
	tags: (EventsRate & { tag_id: number | null; tag: string })[];
	threads: (EventsRate & { thread: number | null; comm: string })[];
	sizes: (EventsRate & { min_bytes: number; max_bytes: number })[];
	events: HeapEvent[]; /* newest first */
}

export type Message = { at_ms: number } & (
	| { type: 'hello'; hello: Hello }
	| { type: 'totals'; totals: Totals }
	| { type: 'arenas'; arenas: Arena[] }
	| { type: 'contexts'; contexts: Context[] }
	| { type: 'names'; names: Map<number, string> }
	| { type: 'timeline'; timeline: TimelineColumns }
	| { type: 'marks'; marks: Mark[] }
	| { type: 'map'; map: Texels }
	| { type: 'blocks'; blocks: Blocks }
	| { type: 'block'; block: BlockDetails }
	| { type: 'notice'; notice: Notice }
	| { type: 'events'; events: Events }
);

export class WireError extends Error {}

/* Reads columns one after the other; each starts at a multiple of 8 bytes. */
class Reader {
	private at = HEADER_BYTES;

	constructor(
		private readonly buffer: ArrayBuffer,
		readonly count: number,
	) {}

	private take(bytes: number, align: number): number {
		const start = Math.ceil(this.at / align) * align;
		if (start + bytes > this.buffer.byteLength)
			throw new WireError(
				`message ends at byte ${this.buffer.byteLength}, ` +
					`but a column needs ${start + bytes}`,
			);
		this.at = start + bytes;
		return start;
	}
	f64(count = this.count): Float64Array {
		return new Float64Array(this.buffer, this.take(count * 8, 8), count);
	}
	u32(count = this.count): Uint32Array {
		return new Uint32Array(this.buffer, this.take(count * 4, 8), count);
	}
	u16(): Uint16Array {
		return new Uint16Array(this.buffer, this.take(this.count * 2, 8), this.count);
	}
	u8(count = this.count): Uint8Array {
		return new Uint8Array(this.buffer, this.take(count, 8), count);
	}
	text(bytes = this.count): string {
		return utf8.decode(this.u8(bytes));
	}
	/* A column of cumulative end offsets, then all the texts in one piece. */
	texts(): string[] {
		const ends = this.u32();
		const bytes = this.u8(ends.length ? ends[ends.length - 1]! : 0);
		return Array.from(ends, (end, i) => {
			const start = i ? ends[i - 1]! : 0;
			if (end < start) throw new WireError(`text ${i} ends before it starts`);
			return utf8.decode(bytes.subarray(start, end));
		});
	}
	columns<Names extends readonly string[]>(names: Names): Columns<Names> {
		return Object.fromEntries(names.map((name) => [name, this.f64()])) as Columns<Names>;
	}
}
const utf8 = new TextDecoder();

function rows<Names extends readonly string[]>(
	names: Names,
	columns: Columns<Names>,
	count: number,
): Row<Names>[] {
	return Array.from(
		{ length: count },
		(_, i) =>
			Object.fromEntries(
				names.map((name) => [name, columns[name as Names[number]][i]]),
			) as Row<Names>,
	);
}

function readTotals(reader: Reader): Totals {
	if (reader.count < TOTALS.length)
		throw new WireError(`totals have ${reader.count} fields, expected ${TOTALS.length}`);
	const values = reader.f64();
	return Object.fromEntries(TOTALS.map((name, i) => [name, values[i]])) as Totals;
}

function readArenas(reader: Reader): Arena[] {
	const columns = reader.columns(ARENA_COLUMNS);
	const names = reader.texts();
	return rows(ARENA_COLUMNS, columns, reader.count).map((row, i) => ({
		...row,
		name: names[i]!,
	}));
}

function readContexts(reader: Reader): Context[] {
	const columns = reader.columns(CONTEXT_COLUMNS);
	const id = reader.u32();
	const kind = reader.u32();
	return rows(CONTEXT_COLUMNS, columns, reader.count).map((row, i) => ({
		...row,
		id: id[i]!,
		kind: kind[i]!,
	}));
}

function readNames(reader: Reader): Map<number, string> {
	const ids = reader.u32();
	const texts = reader.texts();
	return new Map(texts.map((text, i) => [ids[i]!, text]));
}

function readMarks(reader: Reader): Mark[] {
	const at = reader.f64();
	return reader.texts().map((text, i) => ({ at_ms: at[i]!, text }));
}

function readMap(reader: Reader): Texels {
	const [request, arena_id, first_place, places_per_texel] = reader.u32(4);
	return {
		request: request!,
		arena_id: arena_id!,
		first_place: first_place!,
		places_per_texel: places_per_texel!,
		count: reader.count,
		context: reader.u32(),
		live: reader.u8(),
		header: reader.u8(),
		cached: reader.u8(),
		free: reader.u8(),
		kind: reader.u8(),
		age: reader.u8(),
		blocks: reader.u16(),
	};
}

function readBlocks(reader: Reader): Blocks {
	const [request, arena_id, first_place, places] = reader.u32(4);
	return {
		request: request!,
		arena_id: arena_id!,
		first_place: first_place!,
		places: places!,
		count: reader.count,
		cell_place: reader.u32(),
		cell_places: reader.u32(),
		bytes: reader.u32(),
		context: reader.u32(),
		age_ms: reader.u32(),
		life: reader.u8(),
		flags: reader.u8(),
	};
}

type Body<M = Message> = M extends Message ? Omit<M, 'at_ms'> : never;

const READERS: Record<number, (reader: Reader) => Body> = {
	1: (r) => ({ type: 'hello', hello: JSON.parse(r.text()) }),
	2: (r) => ({ type: 'totals', totals: readTotals(r) }),
	3: (r) => ({ type: 'arenas', arenas: readArenas(r) }),
	4: (r) => ({ type: 'contexts', contexts: readContexts(r) }),
	5: (r) => ({ type: 'names', names: readNames(r) }),
	6: (r) => ({ type: 'timeline', timeline: r.columns(TIMELINE_COLUMNS) }),
	7: (r) => ({ type: 'marks', marks: readMarks(r) }),
	8: (r) => ({ type: 'map', map: readMap(r) }),
	9: (r) => ({ type: 'blocks', blocks: readBlocks(r) }),
	10: (r) => ({ type: 'block', block: JSON.parse(r.text()) }),
	11: (r) => ({ type: 'notice', notice: JSON.parse(r.text()) }),
	12: (r) => ({ type: 'events', events: JSON.parse(r.text()) }),
};

export function decode(buffer: ArrayBuffer): Message {
	if (buffer.byteLength < HEADER_BYTES)
		throw new WireError(`message of ${buffer.byteLength} bytes has no header`);
	const header = new DataView(buffer);
	const version = header.getUint8(1);
	const type = header.getUint16(2, true);
	if (header.getUint8(0) !== MAGIC) throw new WireError('not an mmviz message');
	if (version !== VERSION)
		throw new WireError(
			`the collector speaks protocol ${version}, this page ${VERSION}: ` + 'reload the page',
		);
	const read = READERS[type];
	if (!read) throw new WireError(`unknown message type ${type}`);
	const body = read(new Reader(buffer, header.getUint32(4, true)));
	return { at_ms: header.getFloat64(8, true), ...body } as Message;
}

/* What the page asks for. */
export type Request =
	| {
			type: 'map';
			request: number;
			arena: number;
			first_place: number;
			places_per_texel: number;
			texels: number;
	  }
	| { type: 'ack'; request: number }
	| { type: 'block'; request: number; arena: number; place: number }
	| { type: 'sample'; bytes: number }
	| { type: 'pause'; on: boolean }
	| ({ type: 'events' } & EventsChoice);

/* All of them at once: what is left out is at its default, which is everything. */
export type EventsChoice = Partial<Omit<EventsSettings, 'tag_id' | 'is_waiting_for_tag'>>;

export const TEXELS_MAX = 262144;
export const BLOCKS_BELOW_PLACES_PER_TEXEL = 8;
