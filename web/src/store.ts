/*
 * What the collector said, as signals. Pure: never touches the page. Owns the facts; every view
 * reads them here and computes none of its own. apply() takes one decoded message at a time.
 */

import { batch, signal } from '@preact/signals';
import type { LifetimesAnswer } from './lifetimes';
import { Palette } from './palette';
import type { Stacks } from './stacks';
import { Timeline } from './timeline';
import type {
	Arena,
	BlockDetails,
	Blocks,
	Context,
	Events,
	Hello,
	Mark,
	Message,
	Notice,
	Texels,
	Totals,
} from './wire';

const TRAIL_STEP_MS = 1000;
const TRAIL_POINTS = 90;
const NOTICES_MAX = 4;

export type Connection =
	| { state: 'connecting' }
	| { state: 'open' }
	| { state: 'lost'; since_ms: number; retry_at_ms: number; reason: string };
export interface ShownNotice extends Notice {
	key: number;
}
export type TargetState = 'unknown' | 'live' | 'exited' | 'execed';
const TARGET_STATES: TargetState[] = ['live', 'exited', 'execed'];

export class Store {
	readonly connection = signal<Connection>({ state: 'connecting' });
	readonly hello = signal<Hello | null>(null);
	readonly totals = signal<Totals | null>(null);
	readonly totals_at_ms = signal(0); /* the collector's clock */
	readonly arenas = signal<Arena[] | null>(null);
	readonly contexts = signal<Context[]>([]);
	readonly names = signal<ReadonlyMap<number, string>>(new Map());
	readonly marks = signal<Mark[]>([]);
	readonly timeline = new Timeline();
	readonly timelineVersion = signal(0);
	readonly texels = signal<Texels | null>(null);
	readonly blocks = signal<Blocks | null>(null);
	readonly details = signal<BlockDetails | null>(null); /* of the selected block */
	readonly hovered = signal<BlockDetails | null>(null);
	readonly events = signal<Events | null>(null); /* events mode */
	readonly stacks = signal<Stacks | null>(null); /* null: not asked for yet */
	readonly lifetimes = signal<LifetimesAnswer | null>(null); /* as stacks */
	readonly notices = signal<ShownNotice[]>([]);
	palette = new Palette();
	private trails = new Map<number, number[]>();
	private trailAt_ms = 0;
	private noticeKey = 0;

	apply(message: Message): void {
		batch(() => this.applyOne(message));
	}

	private applyOne(message: Message): void {
		switch (message.type) {
			case 'hello':
				return this.greet(message.hello);
			case 'totals':
				this.totals.value = message.totals;
				this.totals_at_ms.value = message.at_ms;
				return;
			case 'arenas':
				this.arenas.value = message.arenas;
				return;
			case 'contexts':
				this.contexts.value = message.contexts;
				return this.extendTrails(message.contexts, message.at_ms);
			case 'names':
				return this.learnNames(message.names);
			case 'timeline':
				this.timeline.append(message.timeline);
				this.timelineVersion.value++;
				return;
			case 'marks':
				this.marks.value = message.marks;
				return;
			case 'map':
				this.texels.value = message.map;
				return;
			case 'blocks':
				this.blocks.value = message.blocks;
				return;
			case 'block':
				(message.block.request % 2 ? this.hovered : this.details).value = message.block;
				return;
			case 'notice':
				return this.notify(message.notice);
			case 'events':
				this.learnTags(message.events);
				this.events.value = message.events;
				return;
		}
	}

	/* A new session means nothing that was known holds; the same one only goes on. */
	private greet(hello: Hello): void {
		const before = this.hello.value;
		this.hello.value = hello;
		this.timeline.clear();
		this.timelineVersion.value++;
		if (!before || (before.pid === hello.pid && before.attached_at_ms === hello.attached_at_ms))
			return;
		this.palette = new Palette();
		this.names.value = new Map();
		this.trails.clear();
		this.totals.value = null;
		this.arenas.value = null;
		this.contexts.value = [];
		this.marks.value = [];
		this.events.value = null;
		this.stacks.value = null;
		this.lifetimes.value = null;
		this.forgetMap();
	}

	forgetMap(): void {
		this.texels.value = this.blocks.value = this.details.value = this.hovered.value = null;
	}

	private learnNames(names: Map<number, string>): void {
		for (const [id, name] of names) this.palette.assign(id, name);
		this.names.value = new Map([...this.names.value, ...names]);
	}

	/* Contexts whose blocks did not live long enough to be named yet. */
	private learnTags({ tags, events }: Events): void {
		const names = new Map<number, string>();
		for (const { tag_id, tag } of [...tags, ...events])
			if (tag_id !== null && !this.names.value.has(tag_id)) names.set(tag_id, tag);
		if (names.size) this.learnNames(names);
	}

	nameOf(id: number): string {
		return this.names.value.get(id) ?? (id === 0 ? 'untagged' : `context ${id}`);
	}

	/* Live bytes of a context, one value a second, oldest first. */
	trailOf(id: number): readonly number[] {
		return this.trails.get(id) ?? [];
	}

	private extendTrails(contexts: readonly Context[], at_ms: number): void {
		if (at_ms - this.trailAt_ms < TRAIL_STEP_MS) return;
		this.trailAt_ms = at_ms;
		const before = this.trails;
		this.trails = new Map(
			contexts.map(({ id, live_bytes }) => [
				id,
				[...(before.get(id) ?? []), live_bytes].slice(-TRAIL_POINTS),
			]),
		);
	}

	/* The same text again takes the place of the older one. */
	notify(notice: Notice): void {
		const others = this.notices.value.filter(({ text }) => text !== notice.text);
		this.notices.value = [...others, { ...notice, key: ++this.noticeKey }].slice(-NOTICES_MAX);
	}

	dismiss(key: number): void {
		this.notices.value = this.notices.value.filter((notice) => notice.key !== key);
	}

	targetState(): TargetState {
		const totals = this.totals.value;
		return totals ? (TARGET_STATES[totals.target_state] ?? 'unknown') : 'unknown';
	}
}
