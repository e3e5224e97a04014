/* Contexts as a table: beside the map in short, on a page of its own in full. */

import { useEffect, useRef, useState } from 'preact/hooks';
import { choices, store } from '../app';
import type { ContextSort } from '../choices';
import { isNotableGrowth } from '../findings';
import * as format from '../format';
import { type Context, ContextKind } from '../wire';
import { contextColour, Swatch } from './parts';

const ROW_HEIGHT = 28; /* as in style.css */
const ROWS_AROUND = 12;
const ROWS_STEP = 8;

interface Column {
	by: ContextSort;
	title: string;
	class?: string;
	cell: (context: Context) => preact.ComponentChildren;
	explain: string;
}

const KINDS: Record<number, string> = {
	[ContextKind.none]: '',
	[ContextKind.tag]: 'tag',
	[ContextKind.site]: 'site',
	[ContextKind.stack]: 'stack',
};

function Growth({ value, isShort }: { value: number; isShort?: boolean }) {
	const isNotable = isNotableGrowth(value, store.totals.value?.live_bytes ?? 0);
	const text = format.growth(value);
	return (
		<span class={isNotable ? 'bad' : 'dim'}>{isShort ? text.replace('/min', '') : text}</span>
	);
}

const LIVE: Column = {
	by: 'live_bytes',
	title: 'live',
	explain: 'Bytes in live blocks',
	cell: (context) => format.bytes(context.live_bytes),
};
const BLOCKS: Column = {
	by: 'live_blocks',
	title: 'blocks',
	explain: 'Live blocks',
	cell: (context) => format.count(context.live_blocks),
};
const RATE: Column = {
	by: 'allocations_per_second',
	title: '/s',
	explain: 'Allocations a second',
	cell: (context) => format.compact(context.allocations_per_second),
};
const GROWTH: Column = {
	by: 'growth_bytes_per_second',
	title: 'growth',
	explain: 'Change of live bytes, smoothed over about a minute',
	cell: (context) => <Growth value={context.growth_bytes_per_second} />,
};

const GROWTH_SHORT: Column = {
	...GROWTH,
	title: '/min',
	cell: (context) => <Growth value={context.growth_bytes_per_second} isShort />,
};

const SHORT = [LIVE, BLOCKS, RATE, GROWTH_SHORT];

function shareColumn(live_bytes: number): Column {
	return {
		by: 'live_bytes',
		title: 'share',
		class: 'share',
		explain: 'Of all live bytes',
		cell: (context) => {
			const share = live_bytes ? context.live_bytes / live_bytes : 0;
			return (
				<span>
					<span class="track">
						<i
							style={{
								width: `${share * 100}%`,
								background: contextColour(context.id),
							}}
						/>
					</span>
					<span class="number">{format.percent(share)}</span>
				</span>
			);
		},
	};
}

function fullColumns(): Column[] {
	return [
		LIVE,
		shareColumn(store.totals.value?.live_bytes ?? 0),
		BLOCKS,
		{
			by: 'peak_live_bytes',
			title: 'peak',
			explain: 'Most live bytes at one time',
			cell: (context) => format.bytes(context.peak_live_bytes),
		},
		GROWTH,
		RATE,
		{
			by: 'allocations',
			title: 'allocations',
			explain: 'Since attach',
			cell: (context) => format.count(context.allocations),
		},
		{
			by: 'frees',
			title: 'frees',
			explain: 'Since attach',
			cell: (context) => format.count(context.frees),
		},
		{
			by: 'allocated_bytes',
			title: 'allocated',
			explain: 'Bytes allocated since attach',
			cell: (context) => format.bytes(context.allocated_bytes),
		},
	];
}

function shownContexts(): Context[] {
	const { by, down } = choices.sort.value;
	const wanted = choices.filter.value.trim().toLowerCase();
	const rows = store.contexts.value.filter(
		({ id }) => !wanted || store.nameOf(id).toLowerCase().includes(wanted),
	);
	const order = (a: Context, b: Context) =>
		by === 'name' ? store.nameOf(a.id).localeCompare(store.nameOf(b.id)) : a[by] - b[by];
	return rows.sort((a, b) => (down ? order(b, a) : order(a, b)) || a.id - b.id);
}

function Heading({ by, title, explain, class: name }: Omit<Column, 'cell'>) {
	const { by: sorted, down } = choices.sort.value;
	const isSorted = by === sorted && title !== 'share';
	return (
		<th
			scope="col"
			class={name}
			aria-sort={isSorted ? (down ? 'descending' : 'ascending') : undefined}>
			<button type="button" title={explain} onClick={() => choices.sortBy(by)}>
				{title}
				{isSorted && <span aria-hidden="true">{down ? ' ↓' : ' ↑'}</span>}
			</button>
		</th>
	);
}

function Row({
	index,
	context,
	columns,
	isFull,
}: {
	index: number;
	context: Context;
	columns: Column[];
	isFull: boolean;
}) {
	const name = store.nameOf(context.id);
	const isFocus = choices.focus.value === context.id;
	return (
		<tr
			class={isFocus ? 'is-focus' : ''}
			aria-rowindex={index}
			onClick={() => choices.toggleFocus(context.id)}>
			<td>
				<button type="button" aria-pressed={isFocus} title={name}>
					<Swatch context={context.id} />
					<span class="clip">{name}</span>
					{isFull && <span class="kind">{KINDS[context.kind]}</span>}
				</button>
			</td>
			{columns.map(({ title, class: name, cell }) => (
				<td key={title} class={name}>
					{cell(context)}
				</td>
			))}
		</tr>
	);
}

/* Which rows are in sight, or nearly; only these are made. Steps of a few rows. */
function useRowsInSight() {
	const element = useRef<HTMLDivElement>(null);
	const [first, setFirst] = useState(0);
	const [count, setCount] = useState(2 * ROWS_AROUND);
	const look = () => {
		if (!element.current) return;
		const { scrollTop, clientHeight } = element.current;
		const top = Math.floor(scrollTop / ROW_HEIGHT / ROWS_STEP) * ROWS_STEP;
		setFirst(Math.max(0, top - ROWS_AROUND));
		setCount(Math.ceil(clientHeight / ROW_HEIGHT) + 2 * ROWS_AROUND + ROWS_STEP);
	};
	useEffect(() => {
		const resized = new ResizeObserver(look);
		resized.observe(element.current!);
		return () => resized.disconnect();
	}, []);
	return { element, look, first, count };
}

/* Stands for rows that are not made. */
function Spacer({ rows, columns }: { rows: number; columns: number }) {
	if (rows <= 0) return null;
	return (
		<tr class="spacer" aria-hidden="true">
			<td colSpan={columns} style={{ height: `${rows * ROW_HEIGHT}px` }} />
		</tr>
	);
}

function Table({
	rows,
	first,
	count,
	isFull,
}: {
	rows: Context[];
	first: number;
	count: number;
	isFull: boolean;
}) {
	const columns = isFull ? fullColumns() : SHORT;
	const start = Math.min(first, Math.max(0, rows.length - count));
	const shown = rows.slice(start, start + count);
	return (
		<table class={isFull ? 'wide' : ''} aria-rowcount={rows.length + 1}>
			<thead>
				<tr aria-rowindex={1}>
					<Heading
						by="name"
						title="context"
						explain="Tag, or call site of untagged blocks"
					/>
					{columns.map((column) => (
						<Heading {...column} key={column.title} />
					))}
				</tr>
			</thead>
			<tbody>
				<Spacer rows={start} columns={columns.length + 1} />
				{shown.map((context, index) => (
					<Row
						key={context.id}
						index={start + index + 2}
						context={context}
						columns={columns}
						isFull={isFull}
					/>
				))}
				<Spacer rows={rows.length - start - shown.length} columns={columns.length + 1} />
			</tbody>
		</table>
	);
}

export function ContextTable({ isFull }: { isFull: boolean }) {
	const { element, look, first, count } = useRowsInSight();
	const rows = shownContexts();
	return (
		<div
			class={isFull ? 'page' : 'side-body'}
			ref={element}
			onScroll={look}
			tabIndex={0}
			role="group"
			aria-label="Table of contexts">
			{rows.length ? (
				<Table rows={rows} first={first} count={count} isFull={isFull} />
			) : (
				<p class="none">
					{choices.filter.value
						? `No context matches “${choices.filter.value}”.`
						: 'No live blocks yet.'}
				</p>
			)}
		</div>
	);
}

export function ContextBar() {
	const all = store.totals.value?.contexts ?? 0;
	const shown = store.contexts.value.length;
	return (
		<div class="bar">
			<h2>Contexts</h2>
			<span class="clip">
				{shown < all ? `${shown} of ${format.count(all)}` : format.count(shown)}
			</span>
			<span class="grow" />
			<input
				class="search"
				type="search"
				placeholder="/ filter"
				aria-label="Filter contexts"
				value={choices.filter.value}
				onInput={({ currentTarget }) => (choices.filter.value = currentTarget.value)}
			/>
		</div>
	);
}

export function ContextsPage() {
	return (
		<section class="page-shell" aria-label="Contexts">
			<ContextBar />
			<ContextTable isFull />
		</section>
	);
}
