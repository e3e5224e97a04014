/*
 * The one session of this page: the facts, the choices, the line to the collector, and the requests
 * that follow from them. Views import what they need from here.
 */

import { computed, effect, signal } from '@preact/signals';
import { Choices, VIEWS } from './choices';
import {
	clamp,
	createLayout,
	fit,
	type Layout,
	leadingMetaPlaces,
	PLACE_BYTES,
	windowOf,
	withScale,
} from './layout';
import { readLifetimes } from './lifetimes';
import { Socket } from './socket';
import { readStacks } from './stacks';
import { Store } from './store';
import type { Arena, EventsChoice } from './wire';

const MAP_REQUEST_EVERY_MS = 30;
const SELECTION_REFRESH_MS = 1000;
const STACKS_REFRESH_MS = 2000;
const STACKS_SOON_MS = 150;
const LIFETIMES_REFRESH_MS = 1000;
const TAIL = 1.06; /* of the used part: so much is in sight, to show where it ends */
const SMALLEST_PLACES = 4096;
const META_SHARE = 0.05; /* of the used part: more metadata than that at its start is skipped */

export const store = new Store();
export const choices = new Choices();

const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
const socket = new Socket(`${scheme}://${location.host}/ws`, {
	opened: () => (store.connection.value = { state: 'open' }),
	received: (message) => store.apply(message),
	lost: (reason, retry_in_ms) => {
		const now = Date.now();
		const before = store.connection.value;
		const since_ms = before.state === 'lost' ? before.since_ms : now;
		store.connection.value = {
			state: 'lost',
			since_ms,
			retry_at_ms: now + retry_in_ms,
			reason,
		};
	},
	failed: (error) =>
		store.notify({
			level: 'error',
			text: `A message from the collector could not be read: ${(error as Error).message}`,
		}),
});

/* ---------------------------------------------------------------- what the map shows */

export const arena = computed<Arena | null>(
	() => store.arenas.value?.find(({ id }) => id === choices.arena.value) ?? null,
);

/* Unless somebody chose: the arena that holds most, at that time. */
effect(() => {
	const arenas = store.arenas.value;
	if (!arenas?.length || arenas.some(({ id }) => id === choices.arena.value)) return;
	choices.arena.value = arenas.reduce((most, one) =>
		one.live_bytes > most.live_bytes ? one : most,
	).id;
});

/* Canvas size in device pixels. */
export const stageSize = signal({ width: 0, height: 0, ratio: 1 });

/* How far the map goes: a little behind the used part. Follows it in steps, so that the picture
 * does not crawl with every page. */
const usedPlaces = computed(() => Math.ceil((arena.value?.frontier_bytes ?? 0) / PLACE_BYTES));
const capacityPlaces = computed(() => Math.floor((arena.value?.capacity_bytes ?? 0) / PLACE_BYTES));
const arenaId = computed(() => arena.value?.id ?? null);
const reach = signal({ arena: null as number | null, places: SMALLEST_PLACES });
effect(() => {
	const used = Math.max(usedPlaces.value, SMALLEST_PLACES);
	const { arena: before, places } = reach.peek();
	const isTooFar = used < places * 0.7 && !choices.isPaused.peek();
	if (before === arenaId.value && used <= places && !isTooFar) return;
	reach.value = { arena: arenaId.value, places: Math.ceil(used * TAIL) };
});
export const endPlace = computed(() =>
	Math.min(reach.value.places, capacityPlaces.value || reach.value.places),
);

/* An arena begins with its metadata. Where that is much beside the rest, a fitting map begins behind
 * it, as soon as a first map has shown where it ends; one can always scroll up to it. */
const origin = signal({ arena: null as number | null, place: 0 });
effect(() => {
	const { value: texels } = store.texels;
	if (!texels || texels.arena_id !== arenaId.value || texels.arena_id === origin.peek().arena)
		return;
	const place = leadingMetaPlaces(texels);
	if (place > usedPlaces.peek() * META_SHARE) origin.value = { arena: texels.arena_id, place };
});
const originPlace = computed(() => (origin.value.arena === arenaId.value ? origin.value.place : 0));

export const layout = computed<Layout>(() => {
	const { width, height, ratio } = stageSize.value;
	const blank = createLayout(width, height, ratio);
	const spot = choices.spot.value;
	if (!spot) return fit(blank, endPlace.value - originPlace.value, originPlace.value);
	return clamp(withScale({ ...blank, first: spot.first }, spot.scale), endPlace.value);
});

/* ---------------------------------------------------------------- views */

const isInEventsMode = computed(() => store.hello.value?.mode === 'events');
/* Whoever asked for events sees them first, unless the URL says otherwise. */
const wasViewChosen = location.hash !== '';
effect(() => {
	if (isInEventsMode.value && !wasViewChosen) choices.view.value = 'events';
});
export const offeredViews = computed(() =>
	/* Whoever sees some events sees no lives. */
	VIEWS.filter((view) => view !== (isInEventsMode.value ? 'lifetimes' : 'events')),
);

/* ---------------------------------------------------------------- requests */

export function chooseEvents(choice: EventsChoice): void {
	socket.send({ type: 'events', ...choice });
}

let request = 0;
let mapTimer: ReturnType<typeof setTimeout> | null = null;

function subscribeMap(): void {
	mapTimer = null;
	if (!arena.value || !stageSize.value.width) return;
	socket.send({
		type: 'map',
		request: ++request,
		arena: arena.value.id,
		...windowOf(layout.value),
	});
}

export function mapDrawn(mapRequest: number): void {
	socket.send({ type: 'ack', request: mapRequest });
}

/* The answer comes back as `hovered` when the number is odd, as `details` when it is even. */
export function askBlock(place: number, purpose: 'hover' | 'selection'): void {
	const id = arenaId.peek();
	if (id === null) return;
	request += 2 - (request % 2) + (purpose === 'hover' ? 1 : 0);
	socket.send({ type: 'block', request, arena: id, place });
}

/* ---------------------------------------------------------------- stacks */

let stacksTimer: ReturnType<typeof setTimeout> | null = null;

const wantsStacks = computed(
	() =>
		choices.view.value === 'stacks' &&
		store.connection.value.state === 'open' &&
		!choices.isPaused.value,
);

/* One question at a time, while somebody looks. */
async function askStacks(): Promise<void> {
	try {
		const answer = await fetch('api/v1/stacks');
		if (!answer.ok) throw new Error(`status ${answer.status}`);
		store.stacks.value = readStacks(await answer.json());
	} catch (error) {
		if (wantsStacks.peek())
			store.notify({
				level: 'error',
				text: `The stacks could not be read: ${(error as Error).message}`,
			});
	}
	if (wantsStacks.peek()) askStacksIn(STACKS_REFRESH_MS);
}

function askStacksIn(delay_ms: number): void {
	if (stacksTimer) clearTimeout(stacksTimer);
	stacksTimer = setTimeout(() => {
		stacksTimer = null;
		void askStacks();
	}, delay_ms);
}

export function setSampleBytes(bytes: number): void {
	socket.send({ type: 'sample', bytes });
	askStacksIn(STACKS_SOON_MS);
}

/* ---------------------------------------------------------------- lifetimes */

let isAskingLifetimes = false;

const wantsLifetimes = computed(
	() =>
		choices.view.value === 'lifetimes' &&
		store.connection.value.state === 'open' &&
		!choices.isPaused.value,
);

/* One question after the other, while somebody looks. */
async function askLifetimes(): Promise<void> {
	if (isAskingLifetimes) return;
	isAskingLifetimes = true;
	while (wantsLifetimes.peek()) {
		try {
			const answer = await fetch('api/v1/lifetimes');
			if (!answer.ok) throw new Error(`status ${answer.status}`);
			store.lifetimes.value = readLifetimes(await answer.json());
		} catch (error) {
			if (wantsLifetimes.peek())
				store.notify({
					level: 'error',
					text: `The lifetimes could not be read: ${(error as Error).message}`,
				});
		}
		await new Promise((resolve) => setTimeout(resolve, LIFETIMES_REFRESH_MS));
	}
	isAskingLifetimes = false;
}

export function startSession(): void {
	const window = computed(() => JSON.stringify([arenaId.value, windowOf(layout.value)]));
	effect(() => {
		void window.value;
		if (store.connection.value.state !== 'open' || choices.view.value !== 'map') return;
		mapTimer ??= setTimeout(subscribeMap, MAP_REQUEST_EVERY_MS);
	});
	effect(() => {
		if (wantsStacks.value) askStacksIn(0);
	});
	effect(() => {
		if (wantsLifetimes.value) void askLifetimes();
	});
	let toldPaused = false;
	effect(() => {
		if (store.connection.value.state !== 'open') toldPaused = false;
		else if (choices.isPaused.value !== toldPaused)
			socket.send({ type: 'pause', on: (toldPaused = choices.isPaused.value) });
	});
	effect(() => {
		void arenaId.value;
		store.forgetMap();
	});
	effect(() => {
		if (choices.selectedPlace.value === null) store.details.value = null;
		else askBlock(choices.selectedPlace.value, 'selection');
	});
	setInterval(() => {
		if (choices.selectedPlace.value !== null && !choices.isPaused.value)
			askBlock(choices.selectedPlace.value, 'selection');
	}, SELECTION_REFRESH_MS);
	socket.open();
}
