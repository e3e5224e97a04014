// Lifetimes: what is refused, and what is read off a histogram.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from '../dev/bundle.mjs';

const { lifetimes } = await load(['lifetimes']);

function told(histogram, more = {}) {
	const deaths = histogram.reduce((sum, count) => sum + count, 0);
	return { live_blocks: 3, deaths, older: 1, histogram, ...more };
}

function answer() {
	const first = told([...Array(20).fill(0), 90, 9, 1], { tag: 'GET /', id: 7 });
	const second = told([...Array(10).fill(0), 5], { tag: 'session', id: 8 });
	return {
		version: 1,
		all: told([]),
		contexts: [first, second],
		arenas: [told([], { id: 1, name: 'cache' })],
	};
}

test('an answer is read, and what is none is refused', () => {
	const read = lifetimes.readLifetimes(answer());
	assert.equal(read.contexts[0].name, 'GET /');
	assert.equal(read.contexts[1].id, 8);
	assert.equal(read.arenas[0].name, 'cache');
	for (const wrong of [null, {}, { ...answer(), version: 2 }, { ...answer(), contexts: [{}] }])
		assert.throws(() => lifetimes.readLifetimes(wrong), /no lifetimes/);
});

test('quantiles are the bucket in which so many have died', () => {
	const [first, second] = lifetimes.readLifetimes(answer()).contexts;
	assert.equal(lifetimes.quantile(first, 0.5), 20);
	assert.equal(lifetimes.quantile(first, 0.9), 20);
	assert.equal(lifetimes.quantile(first, 0.99), 21);
	assert.equal(lifetimes.quantile(first, 1), 22);
	assert.equal(lifetimes.quantile(second, 0.5), 10);
	assert.equal(lifetimes.quantile(told([]), 0.5), null);
	assert.equal(lifetimes.bucketText(null), '–');
	assert.match(lifetimes.bucketText(20), /^1.ms – 2.ms$/);
	assert.match(lifetimes.bucketText(10), /^1.µs – 2.µs$/);
	assert.match(lifetimes.bucketText(3), /^8.ns – 16.ns$/);
});

test('the scale spans what is used, its marks in order and apart', () => {
	const { contexts } = lifetimes.readLifetimes(answer());
	assert.deepEqual(lifetimes.usedBuckets(contexts), [10, 23]);
	assert.deepEqual(lifetimes.usedBuckets([told([])]), [0, 0]);
	for (let first = 0; first < 40; first++)
		for (let end = first + 1; end <= 47; end++) {
			const marks = lifetimes.scaleMarks(first, end);
			for (const [index, { at }] of marks.entries())
				assert.ok(at >= 0 && at < 1 && (!index || at >= marks[index - 1].at + 0.07));
		}
	assert.equal(lifetimes.scaleMarks(10, 40)[0].text, '10\u00a0µs');
});
