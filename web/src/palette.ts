/*
 * Which colour slot a context has. Pure: the colours themselves are CSS variables (--c0 ... in
 * style.css), so that both themes and the map share them.
 *
 * Slot = hash of the name, so the same program looks the same in every run; when the slot is taken
 * by another context, the next free one: plain hues first, and contexts come in with the biggest
 * first. Once given, a slot never changes. With more contexts than slots, names share.
 */

export const HUES = 7;
export const SLOTS = HUES * 3; /* each hue as it is, lighter, darker */
export const SLOT_NEUTRAL = SLOTS; /* untagged, or not known yet */

/* FNV-1a over UTF-16 units. */
export function hashName(name: string): number {
	let hash = 0x811c9dc5;
	for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
	return hash >>> 0;
}

export class Palette {
	private readonly slots = new Map<number, number>();
	private readonly taken = new Uint8Array(SLOTS);

	assign(id: number, name: string): void {
		if (this.slots.has(id)) return;
		if (id === 0) {
			this.slots.set(id, SLOT_NEUTRAL);
			return;
		}
		const slot = this.freeSlot(hashName(name));
		this.taken[slot] = 1;
		this.slots.set(id, slot);
	}

	slotOf(id: number): number {
		return this.slots.get(id) ?? SLOT_NEUTRAL;
	}

	/* Plain hues first: lighter and darker ones only when all hues are in use. */
	private freeSlot(hash: number): number {
		for (let shade = 0; shade < SLOTS; shade += HUES) {
			for (let step = 0; step < HUES; step++) {
				const slot = shade + ((hash + step) % HUES);
				if (!this.taken[slot]) return slot;
			}
		}
		return hash % SLOTS;
	}
}
