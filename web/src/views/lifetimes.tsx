/* How long blocks lived: for each tag, or each arena, a histogram by powers of two. */

import { useSignal } from '@preact/signals';
import { store } from '../app';
import * as format from '../format';
import {
	bucketText,
	type Lifetimes,
	type LifetimesAnswer,
	quantile,
	scaleMarks,
	usedBuckets,
} from '../lifetimes';
import { Segments, Swatch } from './parts';

const BAR_HEIGHT = 26;

type By = 'contexts' | 'arenas';
const BY: { value: By; text: string; title: string }[] = [
	{ value: 'contexts', text: 'By context', title: 'Tags and call sites' },
	{ value: 'arenas', text: 'By arena', title: 'Arenas that are there now' },
];

/* Each row by its own most: shapes are compared, not counts. */
function Histogram({ row, first, end }: { row: Lifetimes; first: number; end: number }) {
	const most = Math.max(1, ...row.histogram);
	const bars = row.histogram.slice(first, end);
	return (
		<svg
			class="lifetime-bars"
			viewBox={`0 0 ${end - first} ${BAR_HEIGHT}`}
			preserveAspectRatio="none"
			role="img"
			aria-label={`Most died at ${bucketText(row.histogram.indexOf(most))}`}>
			{bars.map((deaths, index) => {
				const height = deaths ? Math.max(1, (deaths / most) * BAR_HEIGHT) : 0;
				return (
					<rect
						key={index}
						x={index + 0.06}
						y={BAR_HEIGHT - height}
						width={0.88}
						height={height}>
						<title>
							{`${bucketText(first + index)}: ${format.count(deaths)}, ` +
								format.percent(deaths / (row.deaths || 1))}
						</title>
					</rect>
				);
			})}
		</svg>
	);
}

function Row({ row, by, first, end }: { row: Lifetimes; by: By; first: number; end: number }) {
	return (
		<tr>
			<td class="lifetime-name">
				{by === 'contexts' && <Swatch context={row.id} />}
				<span class="clip" title={row.name}>
					{row.name}
				</span>
			</td>
			<td>{format.compact(row.deaths)}</td>
			<td>{bucketText(quantile(row, 0.5))}</td>
			<td>{bucketText(quantile(row, 0.99))}</td>
			<td>{format.compact(row.live_blocks)}</td>
			<td title="Deaths of blocks that are older than the attach: nobody knows their age">
				{format.compact(row.older)}
			</td>
			<td class="lifetime-shape">
				<Histogram row={row} first={first} end={end} />
			</td>
		</tr>
	);
}

function Scale({ first, end }: { first: number; end: number }) {
	return (
		<div class="lifetime-scale">
			{scaleMarks(first, end).map(({ at, text }) => (
				<span key={text} style={{ left: `${at * 100}%` }}>
					{text}
				</span>
			))}
		</div>
	);
}

function Table({ answer, by }: { answer: LifetimesAnswer; by: By }) {
	const rows = answer[by];
	const [first, end] = usedBuckets(rows);
	if (!end) return <p class="none">No block whose birth was seen has died yet.</p>;
	return (
		<table class="wide lifetimes">
			<thead>
				<tr>
					<th scope="col">{by === 'contexts' ? 'context' : 'arena'}</th>
					<th scope="col">deaths</th>
					<th scope="col">half die before</th>
					<th scope="col">99 % die before</th>
					<th scope="col">alive</th>
					<th scope="col">older</th>
					<th scope="col" class="lifetime-shape">
						<Scale first={first} end={end} />
					</th>
				</tr>
			</thead>
			<tbody>
				{rows.map((row) => (
					<Row key={row.id} row={row} by={by} first={first} end={end} />
				))}
			</tbody>
		</table>
	);
}

export function LifetimesPage() {
	const by = useSignal<By>('contexts');
	const answer = store.lifetimes.value;
	return (
		<section class="page-shell" aria-label="Lifetimes">
			<div class="bar">
				<h2>Lifetimes</h2>
				<Segments
					label="Lifetimes by"
					options={BY}
					chosen={by.value}
					choose={(value) => (by.value = value)}
				/>
				{answer && (
					<span class="clip">
						<b>{format.count(answer.all.deaths)}</b> deaths since attach, ages by powers
						of two
					</span>
				)}
			</div>
			<div class="page" tabIndex={0} role="group" aria-label="Table of lifetimes">
				{answer ? (
					<Table answer={answer} by={by.value} />
				) : (
					<p class="none">Asking the collector …</p>
				)}
			</div>
		</section>
	);
}
