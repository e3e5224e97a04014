/* Events mode: the newest events as a list, what is chosen of them, and what they say of all. */

import { effect } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { chooseEvents, store } from '../app';
import { choiceOf, DEFAULT_SAMPLE, isFiltered, numberText, parseNumber } from '../events';
import * as format from '../format';
import type { Events, EventsChoice, EventsRate, EventsSettings, HeapEvent } from '../wire';
import { Segments, Swatch } from './parts';

/* ---------------------------------------------------------------- what is chosen */

/* What was asked for last counts until the collector had time to say that it is so. */
const ANSWER_MS = 1000;
let asked: EventsChoice = {};
let askedAt_ms = -Infinity;
effect(() => {
	void store.notices.value; /* it may have been refused */
	askedAt_ms = -Infinity;
});

function change(settings: EventsSettings, part: EventsChoice): void {
	const isFresh = performance.now() - askedAt_ms < ANSWER_MS;
	const choice = { ...(isFresh ? asked : choiceOf(settings)), ...part };
	for (const [name, value] of Object.entries(choice))
		if (value === null) delete choice[name as keyof EventsChoice];
	ask(choice);
}

function ask(choice: EventsChoice): void {
	asked = choice;
	askedAt_ms = performance.now();
	chooseEvents(choice);
}

/* A field that is taken when it is left, or with Enter. Whatever makes no sense stays, marked. */
function Field(props: {
	label: string;
	text: string;
	take: (text: string) => boolean;
	placeholder: string;
	list?: string;
	width?: 'wide';
}) {
	const [isWrong, setWrong] = useState(false);
	return (
		<label class="field">
			{props.label}
			<input
				key={props.text}
				class={props.width ?? ''}
				defaultValue={props.text}
				placeholder={props.placeholder}
				list={props.list}
				spellcheck={false}
				autocomplete="off"
				aria-invalid={isWrong}
				onChange={({ currentTarget }) => setWrong(!props.take(currentTarget.value.trim()))}
				onKeyDown={({ key, currentTarget }) => key === 'Enter' && currentTarget.blur()}
			/>
		</label>
	);
}

function NumberField(props: {
	label: string;
	value: number | null;
	step: 1000 | 1024;
	least: number;
	most?: number;
	placeholder: string;
	take: (value: number | null) => void;
}) {
	const { value, step, least, most = Infinity } = props;
	return (
		<Field
			label={props.label}
			placeholder={props.placeholder}
			text={value === null ? '' : numberText(value, step)}
			take={(text) => {
				const number = text === '' ? null : parseNumber(text, step);
				const isRight = number === null ? text === '' : number >= least && number <= most;
				if (isRight) props.take(number);
				return isRight;
			}}
		/>
	);
}

function SamplingControls({ settings }: { settings: EventsSettings }) {
	const { by, sample } = settings;
	return (
		<>
			<Segments
				label="Sample by"
				options={[
					{ value: 'count', text: 'by count', title: 'Each allocation is as likely' },
					{ value: 'bytes', text: 'by bytes', title: 'Larger ones are more likely' },
				]}
				chosen={by}
				choose={(next) =>
					next !== by && change(settings, { by: next, sample: DEFAULT_SAMPLE[next] })
				}
			/>
			<NumberField
				label={by === 'count' ? 'one in' : 'one each'}
				value={sample}
				step={by === 'count' ? 1000 : 1024}
				least={1}
				placeholder="1"
				take={(value) => change(settings, { sample: value ?? 1 })}
			/>
			{by === 'bytes' && <span>bytes</span>}
		</>
	);
}

function FilterControls({ settings }: { settings: EventsSettings }) {
	const { min_bytes, max_bytes, tag, thread } = settings;
	return (
		<>
			<NumberField
				label="bytes from"
				value={min_bytes || null}
				step={1024}
				least={0}
				most={max_bytes ?? Infinity}
				placeholder="0"
				take={(value) => change(settings, { min_bytes: value ?? 0 })}
			/>
			<NumberField
				label="to"
				value={max_bytes}
				step={1024}
				least={min_bytes}
				placeholder="any"
				take={(value) => change(settings, { max_bytes: value })}
			/>
			<Field
				label="tag"
				text={tag ?? ''}
				placeholder="any"
				list="event-tags"
				width="wide"
				take={(text) => {
					change(settings, { tag: text || null });
					return true;
				}}
			/>
			<NumberField
				label="thread"
				value={thread}
				step={1000}
				least={1}
				placeholder="any"
				take={(value) => change(settings, { thread: value })}
			/>
			{isFiltered(settings) && (
				<button
					type="button"
					class="plain"
					onClick={() => ask({ by: settings.by, sample: settings.sample })}>
					All
				</button>
			)}
		</>
	);
}

function Controls({ events }: { events: Events }) {
	return (
		<div class="bar wraps" role="group" aria-label="What is told">
			<SamplingControls settings={events.settings} />
			<FilterControls settings={events.settings} />
			<datalist id="event-tags">
				{[...store.names.value.entries()].slice(0, 500).map(([id, name]) => (
					<option key={id} value={name} />
				))}
			</datalist>
		</div>
	);
}

/* ---------------------------------------------------------------- the list */

/* 12 µs, 3.4 ms; longer ones as elsewhere. */
function lifetime(ns: number | null): string {
	if (ns === null) return '';
	if (ns < 999_500) return `${Math.max(1, Math.round(ns / 1000))}\u00a0µs`;
	if (ns < 99_950_000) return `${(ns / 1e6).toFixed(1)}\u00a0ms`;
	return format.duration(ns / 1e6);
}

function EventRow({ event }: { event: HeapEvent }) {
	const { allocated_by, weight } = event;
	return (
		<tr class={event.event}>
			<td class="mono">{format.clock(event.at_ns / 1e6, true)}</td>
			<td class="text" title={allocated_by ? `allocated by thread ${allocated_by}` : ''}>
				{event.comm} <span class="dim">{event.thread}</span>
			</td>
			<td class="text kind">{event.event}</td>
			<td title={`stands for ${format.compact(weight)}`}>{format.count(event.bytes)}</td>
			<td class="tag">
				<span>
					<Swatch context={event.tag_id} />
					<span class="clip">{event.label ?? event.tag}</span>
				</span>
			</td>
			<td class="mono">{event.address}</td>
			<td>{lifetime(event.lifetime_ns)}</td>
		</tr>
	);
}

function EventTable({ events }: { events: HeapEvent[] }) {
	return (
		<table class="events">
			<thead>
				<tr>
					<th scope="col">time</th>
					<th scope="col" class="text">
						thread
					</th>
					<th scope="col" class="text">
						event
					</th>
					<th scope="col">bytes</th>
					<th scope="col" class="text">
						tag or label
					</th>
					<th scope="col">address</th>
					<th scope="col">lived</th>
				</tr>
			</thead>
			<tbody>
				{events.map((event) => (
					<EventRow key={event.number} event={event} />
				))}
			</tbody>
		</table>
	);
}

function whyEmpty({ settings, counted_per_second: counted }: Events): string {
	if (settings.is_waiting_for_tag)
		return `No tag is named “${settings.tag}” yet; events come as soon as one is.`;
	if (counted.hits > 0 && counted.allocations === 0)
		return 'The target allocates, but nothing of it passes the filter.';
	return 'Nothing was told yet.';
}

/* ---------------------------------------------------------------- what they say of all */

const TABLES = ['tags', 'threads', 'sizes'] as const;
type Table = (typeof TABLES)[number];

function plusMinus(value: number, error: number, as: (value: number) => string) {
	return (
		<>
			{as(value)}
			{error > 0 && <span class="dim"> ±{format.percent(value ? error / value : 0)}</span>}
		</>
	);
}

function RateRow(props: { name: ComponentChildren; rate: EventsRate; choose: () => void }) {
	const { rate } = props;
	return (
		<tr onClick={props.choose}>
			<td>
				<button type="button" title="Only these">
					{props.name}
				</button>
			</td>
			<td>
				{plusMinus(rate.allocations_per_second, rate.allocations_error, format.compact)}
			</td>
			<td>{format.bytes(rate.bytes_per_second)}</td>
			<td>{format.compact(rate.frees_per_second)}</td>
		</tr>
	);
}

function rateRows(events: Events, table: Table) {
	const { settings } = events;
	const only = (part: EventsChoice) => () => change(settings, part);
	const none = () => {};
	switch (table) {
		case 'tags':
			return events.tags.map((rate) => (
				<RateRow
					key={rate.tag_id}
					rate={rate}
					choose={rate.tag_id === null ? none : only({ tag: rate.tag })}
					name={
						<>
							{rate.tag_id !== null && <Swatch context={rate.tag_id} />}
							<span class="clip">{rate.tag}</span>
						</>
					}
				/>
			));
		case 'threads':
			return events.threads.map((rate) => (
				<RateRow
					key={rate.thread}
					rate={rate}
					choose={rate.thread === null ? none : only({ thread: rate.thread })}
					name={
						<span class="clip">
							{rate.thread === null ? 'others' : `${rate.comm} ${rate.thread}`}
						</span>
					}
				/>
			));
		case 'sizes':
			return [...events.sizes]
				.sort((a, b) => a.max_bytes - b.max_bytes)
				.map((rate) => (
					<RateRow
						key={rate.max_bytes}
						rate={rate}
						choose={only({ min_bytes: rate.min_bytes, max_bytes: rate.max_bytes })}
						name={<span class="clip">up to {format.bytes(rate.max_bytes)}</span>}
					/>
				));
	}
}

function Rates({ events }: { events: Events }) {
	const [table, setTable] = useState<Table>('tags');
	const rows = rateRows(events, table);
	return (
		<aside class="side" aria-label="Rates">
			<div class="bar">
				<h2>A second</h2>
				<span class="grow" />
				<Segments
					label="Rates by"
					options={TABLES.map((value) => ({ value, text: `by ${value.slice(0, -1)}` }))}
					chosen={table}
					choose={setTable}
				/>
			</div>
			<div class="side-body" tabIndex={0} role="group" aria-label="Table of rates">
				{rows.length ? (
					<table>
						<thead>
							<tr>
								<th scope="col" class="text plain">
									{table.slice(0, -1)}
								</th>
								<th scope="col" title="Allocations, estimated; one sigma">
									allocations
								</th>
								<th scope="col">bytes</th>
								<th scope="col">frees</th>
							</tr>
						</thead>
						<tbody>{rows}</tbody>
					</table>
				) : (
					<p class="none">Rates come after a second.</p>
				)}
			</div>
		</aside>
	);
}

function Summary({ events }: { events: Events }) {
	const { counted_per_second: counted, estimates, counted: all } = events;
	const rate = (value: number) => (events.window_s > 0 ? format.perSecond(value) : '–');
	const isLimited = events.remembered > events.remembered_max;
	return (
		<div class="bar summary">
			<span title="Allocations and frees of the target, counted in the kernel">
				<b data-testid="hits">{rate(counted.hits)}</b> happen
			</span>
			<span title="Records that came here">
				<b data-testid="told">{rate(counted.told)}</b> told
			</span>
			<span title="Allocations that pass the filter: counted in the kernel">
				<b data-testid="passed">{rate(counted.allocations)}</b> allocations pass
			</span>
			<span title="The same, estimated from what was told, with one sigma">
				estimated{' '}
				<b data-testid="estimate">
					{plusMinus(estimates.allocations_per_second, estimates.allocations_error, rate)}
				</b>
				,{' '}
				<b>{plusMinus(estimates.bytes_per_second, estimates.bytes_error, format.bytes)}</b>
				/s
			</span>
			{all.dropped > 0 && (
				<span
					class="warn"
					data-testid="dropped"
					title="The ring was full: estimates are too low. Sample less, or filter more.">
					{format.compact(all.dropped)} dropped
				</span>
			)}
			{isLimited && (
				<span class="warn" title="So many chosen blocks live that the oldest are forgotten">
					frees of the oldest are not told
				</span>
			)}
		</div>
	);
}

export function EventsPage() {
	const events = store.events.value;
	const mode = store.hello.value?.mode;
	if (!events)
		return (
			<section class="page-shell" aria-label="Events">
				<div class="bar">
					<h2>Events</h2>
				</div>
				<p class="none">
					{mode && mode !== 'events'
						? 'This collector is not in events mode: start it with --mode events.'
						: 'Waiting for the collector.'}
				</p>
			</section>
		);
	return (
		<>
			<section class="events-shell" aria-label="Events">
				<Controls events={events} />
				<Summary events={events} />
				<div class="page" tabIndex={0} role="group" aria-label="Newest events">
					{events.events.length ? (
						<EventTable events={events.events} />
					) : (
						<p class="none">{whyEmpty(events)}</p>
					)}
				</div>
			</section>
			<Rates events={events} />
		</>
	);
}
