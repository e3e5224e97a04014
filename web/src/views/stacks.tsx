/* Who allocated, by call stack: a graph from the outermost function down, and a table. */

import { useSignal } from '@preact/signals';
import { choices, setSampleBytes, store } from '../app';
import * as format from '../format';
import { hashName, HUES } from '../palette';
import {
	type Amount,
	type Cell,
	flame,
	type Frame,
	isBelow,
	MEANS,
	type Measure,
	placeOf,
	type Row,
	sortRows,
	type Stacks,
} from '../stacks';
import { Segments } from './parts';

const ROWS_SHOWN = 100;
const CELL_HEIGHT = 21;
const MEASURES: { value: Measure; text: string; title: string }[] = [
	{ value: 'live', text: 'Live', title: 'What is held now, of what was allocated since attach' },
	{ value: 'allocated', text: 'Allocated', title: 'All that was allocated since attach' },
];

/* Of the default mean a target that allocates very fast is spared some samples. */
function MeanChoice({ stacks }: { stacks: Stacks }) {
	const { wanted_sample_bytes: mean, sample_bytes: now } = stacks;
	const means = MEANS.includes(mean) ? MEANS : [...MEANS, mean].sort((a, b) => a - b);
	return (
		<label>
			a sample for each{' '}
			<select
				aria-label="Mean bytes between samples"
				title="More often: narrower intervals, at about 2 µs a sample for the target"
				value={String(mean)}
				onChange={({ currentTarget }) => setSampleBytes(Number(currentTarget.value))}>
				{means.map((bytes) => (
					<option key={bytes} value={String(bytes)}>
						{format.bytes(bytes)}
					</option>
				))}
			</select>
			{now !== mean && (
				<span
					class="warn"
					title="The target allocates so fast that this would cost it much. Any other mean is kept to.">
					{' '}
					now {format.bytes(now)}
				</span>
			)}
		</label>
	);
}

function Bar({ stacks }: { stacks: Stacks }) {
	const by = choices.measure.value;
	const { bytes, bytes_low, bytes_high } = stacks[by];
	return (
		<div class="bar">
			<h2>Stacks</h2>
			<Segments
				label="Bytes that count"
				options={MEASURES}
				chosen={by}
				choose={(value) => (choices.measure.value = value)}
			/>
			<span class="clip">
				<b>{format.bytes(bytes)}</b>, 95 % sure: {format.bytes(bytes_low)} to{' '}
				{format.bytes(bytes_high)} · {format.plural(stacks.samples, 'sample')} since attach
				{stacks.without_stack > 0 &&
					`, ${format.count(stacks.without_stack)} of them without stack`}
				{stacks.unnamed > 0 && ` · ${format.plural(stacks.unnamed, 'name')} to come`}
			</span>
			<span class="grow" />
			<MeanChoice stacks={stacks} />
		</div>
	);
}

function FlameCell({ cell, isZoom, zoom }: { cell: Cell; isZoom: boolean; zoom: () => void }) {
	const text = `${cell.name}: ${format.bytes(cell.bytes)}, ${format.percent(cell.share)}`;
	return (
		<button
			type="button"
			class={isZoom ? 'flame-cell is-zoom' : 'flame-cell'}
			title={text}
			aria-label={text}
			onClick={zoom}
			style={{
				left: `${cell.start * 100}%`,
				width: `${cell.share * 100}%`,
				top: `${cell.depth * CELL_HEIGHT}px`,
				'--hue': `var(--c${hashName(cell.name) % HUES})`,
			}}>
			{cell.share > 0.012 && <span class="clip">{cell.name}</span>}
		</button>
	);
}

function Flame({ rows, by }: { rows: Row[]; by: Measure }) {
	const zoom = choices.stackPath.value;
	const cells = flame(rows, by, zoom);
	const depth = cells.reduce((most, cell) => Math.max(most, cell.depth + 1), 1);
	const choose = (cell: Cell) => {
		const isSame = cell.path.length === zoom.length;
		choices.stackPath.value = isSame ? [] : cell.path;
	};
	return (
		<div
			class="flame"
			tabIndex={0}
			role="group"
			aria-label="Graph of stacks, the outermost function on top">
			<div class="flame-cells" style={{ height: `${depth * CELL_HEIGHT}px` }}>
				{cells.map((cell) => (
					<FlameCell
						key={cell.path.join('\n')}
						cell={cell}
						isZoom={cell.depth + 1 === zoom.length}
						zoom={() => choose(cell)}
					/>
				))}
			</div>
		</div>
	);
}

function Name({ row }: { row: Row }) {
	if (row.kind === 'unknown') return <span class="clip dim">sampled without its stack</span>;
	if (row.kind === 'other') return <span class="clip dim">other stacks</span>;
	return (
		<span class="clip">
			<b>{row.frames[0]?.function}</b>
			{row.frames.slice(1).map((frame, index) => (
				<span class="dim" key={index}>
					{' ← '}
					{frame.function}
				</span>
			))}
		</span>
	);
}

function FrameLine({ frame }: { frame: Frame }) {
	return (
		<li title={[frame.file, frame.module].filter(Boolean).join(' · ')}>
			<span class="mono">{frame.function}</span>
			{frame.inlined && <span class="kind">inlined</span>}
			<span class="dim">{placeOf(frame)}</span>
		</li>
	);
}

function Interval({ amount }: { amount: Amount }) {
	return (
		<>
			{format.bytes(amount.bytes)}{' '}
			<span class="dim">
				({format.bytes(amount.bytes_low)} – {format.bytes(amount.bytes_high)})
			</span>
		</>
	);
}

function StackRow({ row, by, total }: { row: Row; by: Measure; total: number }) {
	const isOpen = choices.openStack.value === row.id;
	const toggle = () => (choices.openStack.value = isOpen ? null : row.id);
	const share = total > 0 ? row[by].bytes / total : 0;
	return (
		<>
			<tr class={isOpen ? 'is-focus' : ''} onClick={toggle}>
				<td>
					<button type="button" aria-expanded={isOpen}>
						<span aria-hidden="true" class="dim">
							{isOpen ? '▾' : '▸'}
						</span>
						<Name row={row} />
					</button>
				</td>
				<td>
					<Interval amount={row[by]} />
				</td>
				<td class="share">
					<span>
						<span class="track">
							<i style={{ width: `${share * 100}%`, background: 'var(--accent)' }} />
						</span>
						<span class="number">{format.percent(share)}</span>
					</span>
				</td>
				<td
					title={`${format.count(row[by].blocks_low)} to ${format.count(row[by].blocks_high)}`}>
					{format.compact(row[by].blocks)}
				</td>
				<td>{format.count(row[by].samples)}</td>
			</tr>
			{isOpen && (
				<tr class="frames">
					<td colSpan={5}>
						<ol>
							{row.frames.map((frame, index) => (
								<FrameLine key={index} frame={frame} />
							))}
							{row.frames.length === 0 && <li class="dim">nothing is known of it</li>}
							{row.kind === 'stack' && !row.complete && (
								<li class="dim">… the stack goes on: no more of it was copied</li>
							)}
						</ol>
					</td>
				</tr>
			)}
		</>
	);
}

function StackTable({ rows, by, total }: { rows: Row[]; by: Measure; total: number }) {
	const showsAll = useSignal(false);
	const below = rows.filter((row) => isBelow(row, choices.stackPath.value));
	const shown = showsAll.value ? below : below.slice(0, ROWS_SHOWN);
	return (
		<div class="page" tabIndex={0} role="group" aria-label="Table of stacks">
			<table class="wide stacks">
				<thead>
					<tr>
						<th scope="col">stack, the allocating function first</th>
						<th scope="col">{by} (95 % interval)</th>
						<th scope="col" class="share">
							share
						</th>
						<th scope="col">blocks</th>
						<th scope="col">samples</th>
					</tr>
				</thead>
				<tbody>
					{shown.map((row) => (
						<StackRow key={row.id} row={row} by={by} total={total} />
					))}
				</tbody>
			</table>
			{below.length > shown.length && (
				<p class="none">
					<button type="button" onClick={() => (showsAll.value = true)}>
						{format.plural(below.length - shown.length, 'stack')} more
					</button>
				</p>
			)}
		</div>
	);
}

function Off({ children }: { children: string }) {
	return (
		<section class="page-shell" aria-label="Stacks">
			<div class="bar">
				<h2>Stacks</h2>
			</div>
			<div class="page" tabIndex={0} role="group" aria-label="Table of stacks">
				<p class="none">{children}</p>
			</div>
		</section>
	);
}

export function StacksPage() {
	const stacks = store.stacks.value;
	const by = choices.measure.value;
	if (!stacks) return <Off>Asking the collector …</Off>;
	if (stacks.stacks === 'off')
		return <Off>No stacks are sampled: mmviz-bpf was started with --stacks off.</Off>;
	const rows = sortRows(stacks.rows, by);
	return (
		<section class="page-shell is-stacks" aria-label="Stacks">
			<Bar stacks={stacks} />
			<Flame rows={rows} by={by} />
			{rows.length ? (
				<StackTable rows={rows} by={by} total={stacks[by].bytes} />
			) : (
				<div class="page" tabIndex={0} role="group" aria-label="Table of stacks">
					<p class="none">
						No sample yet: they come once for about {format.bytes(stacks.sample_bytes)}{' '}
						of allocations.
					</p>
				</div>
			)}
		</section>
	);
}
