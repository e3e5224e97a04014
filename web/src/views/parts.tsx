/* Small pieces that several views share. */

import type { ComponentChildren } from 'preact';
import { store } from '../app';

/* The colour of a context, everywhere the same. */
export function Swatch({ context }: { context: number }) {
	const slot = store.palette.slotOf(context);
	return <i class="swatch" style={{ background: slotColour(slot) }} aria-hidden="true" />;
}

export function contextColour(context: number): string {
	return slotColour(store.palette.slotOf(context));
}

function slotColour(slot: number): string {
	return slot > 20 ? 'var(--neutral)' : `var(--c${slot})`;
}

/* One of several, as a row of buttons. */
export function Segments<T extends string | number>(props: {
	label: string;
	options: readonly { value: T; text: ComponentChildren; title?: string }[];
	chosen: T | null;
	choose: (value: T) => void;
}) {
	return (
		<div class="segments" role="group" aria-label={props.label}>
			{props.options.map(({ value, text, title }) => (
				<button
					type="button"
					key={value}
					class="clip"
					title={title}
					aria-pressed={value === props.chosen}
					onClick={() => props.choose(value)}>
					{text}
				</button>
			))}
		</div>
	);
}

export function Pair({ name, children }: { name: string; children: ComponentChildren }) {
	return (
		<>
			<dt>{name}</dt>
			<dd>{children}</dd>
		</>
	);
}
