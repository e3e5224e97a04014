// Stacks: what is refused, what is drawn, and that no byte gets lost on the way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from '../dev/bundle.mjs';
import { stacks as synthetic } from '../dev/stacks.mjs';

const { stacks } = await load(['stacks']);
const told = () => JSON.parse(JSON.stringify(synthetic()));

test('what is no answer about stacks is refused', () => {
	assert.equal(stacks.readStacks(told()).rows.length, 5);
	assert.equal(stacks.readStacks({ version: 1, stacks: 'off', rows: [] }).stacks, 'off');
	for (const wrong of [null, 7, {}, { stacks: 'sampled' }, { ...told(), rows: [{}] }])
		assert.throws(() => stacks.readStacks(wrong), /no stacks/);
});

test('rows come with most bytes first, and without those that have none', () => {
	const { rows } = stacks.readStacks(told());
	assert.deepEqual(
		stacks.sortRows(rows, 'live').map(({ id }) => id),
		[2, 5, 3, 6],
	);
	assert.deepEqual(
		stacks.sortRows(rows, 'allocated').map(({ id }) => id),
		[2, 3, 4, 5, 6],
	);
});

test('cells of the graph lie within their parents and share their bytes', () => {
	const { rows, allocated } = stacks.readStacks(told());
	const cells = stacks.flame(rows, 'allocated', [], 0);
	const roots = cells.filter(({ depth }) => depth === 0);
	assert.deepEqual(
		roots.map(({ name, bytes, start, share }) => [name, bytes, start, share]),
		[['start_thread', allocated.bytes, 0, 1]],
	);
	for (const cell of cells) {
		const parent = cells.find(
			({ path }) =>
				path.length === cell.depth && path.every((name, i) => name === cell.path[i]),
		);
		assert.equal(parent === undefined, cell.depth === 0);
		if (!parent) continue;
		assert.ok(cell.start >= parent.start - 1e-9);
		assert.ok(cell.start + cell.share <= parent.start + parent.share + 1e-9);
	}
	const render = cells.find(({ name }) => name === 'render');
	assert.equal(render.bytes, (90 + 60) * 524288);
});

test('zooming leaves the way to the function and what is below it', () => {
	const { rows } = stacks.readStacks(told());
	const zoom = ['start_thread', 'worker_main', 'serve', 'render'];
	const cells = stacks.flame(rows, 'allocated', zoom, 0);
	assert.deepEqual(
		cells.filter(({ share }) => share === 1).map(({ name }) => name),
		zoom,
	);
	assert.ok(cells.every(({ name }) => name !== 'housekeeping'));
	assert.equal(rows.filter((row) => stacks.isBelow(row, zoom)).length, 2);
});

test('stacks that are not known have a name, too', () => {
	const [row] = told().rows;
	assert.deepEqual(stacks.pathOf({ ...row, kind: 'unknown', frames: [] }), [
		'(sampled without its stack)',
	]);
	assert.deepEqual(stacks.pathOf({ ...row, frames: [] }), ['?']);
});
