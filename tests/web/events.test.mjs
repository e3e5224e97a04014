// The events view on the collector in events mode on a real program, in a real browser. One target, start to
// end; the tests follow one another.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertAccessible, assertFits, Browser, SCREENSHOTS, waitFor } from './browser.mjs';
import { Collector, Target } from './collector.mjs';

const skip = process.getuid() !== 0 && 'attaching needs root';
let browser, target, collector, page;

before(async () => {
	if (skip) return;
	target = Target.start('--rate', '20k', '--threads', '2', '--seconds', '150');
	await new Promise((resolve) => setTimeout(resolve, 500));
	collector = await Collector.attach(target.child.pid, '--mode', 'events', '--sample', '20');
	browser = await Browser.open();
	page = await browser.page(collector.url);
	await page.waitForSelector('table.events tbody tr');
});
after(async () => {
	await browser?.close();
	await collector?.end();
	await target?.end();
});

const shoot = (name) => page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
const rows = () =>
	page
		.locator('table.events tbody tr')
		.evaluateAll((list) =>
			list.map((row) => [...row.children].map((cell) => cell.textContent.trim())),
		);
const api = async () =>
	(await page.request.get(new URL('/api/v1/events', collector.url).href)).json();
const field = (label) => page.getByLabel(label, { exact: true });
const fill = async (label, text) => {
	await field(label).fill(text);
	await field(label).press('Enter');
};
/* Until every row that is shown is as wanted, and there are enough. */
const allRows = (wanted, what) =>
	waitFor(
		async () => {
			const shown = await rows();
			return shown.length >= 20 && shown.every(wanted);
		},
		what,
		15_000,
	);

test('whoever asked for events sees them first, newest on top', { skip }, async () => {
	assert.match(await page.evaluate(() => location.hash), /view=events/);
	assert.equal(await page.locator('.views [aria-current=page]').textContent(), 'Events5');
	await allRows(() => true, 'too few events');
	const shown = await rows();
	const times = shown.map(([time]) => time);
	assert.deepEqual(times, [...times].sort().reverse());
	for (const [time, thread, event, bytes, tag, address, lived] of shown) {
		assert.match(time, /^\d\d:\d\d:\d\d\.\d{3}$/);
		assert.match(thread, / \d+$/);
		assert.match(event, /^(alloc|free)$/);
		assert.match(bytes, /^[\d,]+$/);
		assert.notEqual(tag, '');
		assert.match(address, /^0x[0-9a-f]+$/);
		assert.match(lived, event === 'free' ? /(µs|ms|s|min)/ : /^$/);
	}
	await waitFor(async () => (await rows())[0][0] > times[0], 'the list stands still');
});

test(
	'rates are shown, and the estimate agrees with what the kernel counted',
	{ skip },
	async () => {
		await waitFor(async () => (await api()).window_s > 3);
		const { estimates, counted_per_second } = await api();
		assert.ok(
			Math.abs(estimates.allocations_per_second - counted_per_second.allocations) <=
				5 * estimates.allocations_error + 0.02 * counted_per_second.allocations,
			JSON.stringify({ estimates, counted_per_second }),
		);
		await waitFor(async () =>
			/^[\d.]+\sk\/s ±\d/.test(await page.getByTestId('estimate').textContent()),
		);
		for (const by of ['thread', 'size', 'tag']) {
			await page.getByRole('button', { name: `by ${by}` }).click();
			await waitFor(async () => (await page.locator('.side tbody tr').count()) > 1, by);
		}
		await assertFits(page, 'events');
		await assertAccessible(page, 'events');
		await page.waitForTimeout(300);
		await shoot('events');
	},
);

test('filters change while it runs', { skip }, async () => {
	await fill('tag', 'response');
	await allRows(([, , , , tag]) => tag === 'response', 'other tags are shown');
	await fill('bytes from', '300');
	await fill('to', '1k');
	await allRows(([, , , bytes]) => {
		const number = Number(bytes.replaceAll(',', ''));
		return number >= 300 && number <= 1024;
	}, 'other sizes are shown');
	const { settings, threads } = await api();
	assert.equal(settings.min_bytes, 300);
	assert.equal(settings.max_bytes, 1024);
	await waitFor(async () => (await api()).threads.length > 0);
	const { thread } = (await api()).threads[0];
	assert.ok(threads);
	await fill('thread', String(thread));
	await waitFor(async () => (await api()).settings.thread === thread);
	await assertFits(page, 'events, filtered');
	await shoot('events-filtered');
	await page.getByRole('button', { name: 'All' }).click();
	await waitFor(async () => (await api()).settings.tag === null);
	assert.equal((await api()).settings.sample, 20);
});

test('sampling changes while it runs', { skip }, async () => {
	await page.getByRole('button', { name: 'by bytes' }).click();
	await waitFor(async () => (await api()).settings.by === 'bytes');
	await fill('one each', '256k');
	await waitFor(async () => (await api()).settings.sample === 262144);
	assert.equal(await field('one each').inputValue(), '256k');
	await page.getByRole('button', { name: 'by count' }).click();
	await waitFor(async () => (await api()).settings.by === 'count');
	await fill('one in', '50');
	await waitFor(async () => (await api()).settings.sample === 50);
});

test('a click on a rate chooses its tag', { skip }, async () => {
	const name = page.locator('.side tbody tr').first().locator('.clip');
	await waitFor(async () => (await name.count()) > 0);
	const tag = await name.textContent();
	await name.click();
	await waitFor(async () => (await api()).settings.tag === tag);
	await page.getByRole('button', { name: 'All' }).click();
	await waitFor(async () => (await api()).settings.tag === null);
});

test('what makes no sense is marked, and changes nothing', { skip }, async () => {
	await fill('one in', 'many');
	assert.equal(await field('one in').getAttribute('aria-invalid'), 'true');
	await fill('one in', '0');
	assert.equal(await field('one in').getAttribute('aria-invalid'), 'true');
	assert.equal((await api()).settings.sample, 50);
	await fill('one in', '50');
	assert.equal(await field('one in').getAttribute('aria-invalid'), 'false');
	await fill('one in', '2g'); /* the collector knows better */
	await waitFor(async () =>
		(await page.locator('.notices').textContent()).includes('sample is a whole number'),
	);
	assert.equal((await api()).settings.sample, 50);
	await fill('one in', '50');
});

test('a tag that does not exist yet is waited for', { skip }, async () => {
	await fill('tag', 'nobody has this name');
	await waitFor(async () => (await api()).settings.is_waiting_for_tag);
	await fill('tag', '');
	await waitFor(async () => (await api()).settings.tag === null);
});

test('pause holds the list', { skip }, async () => {
	await allRows(() => true, 'too few events');
	await page.getByRole('button', { name: 'Pause' }).click();
	await page.waitForTimeout(700);
	const before = await rows();
	await page.waitForTimeout(1000);
	assert.deepEqual(await rows(), before);
	await page.getByRole('button', { name: 'Resume' }).click();
	await waitFor(async () => (await rows())[0][0] > before[0][0], 'the list stands still');
});

test('in both themes', { skip }, async () => {
	await page.keyboard.press('t');
	await page.waitForTimeout(300);
	await assertAccessible(page, 'events, light');
	await shoot('events-light');
	await page.keyboard.press('t');
});

test('the page made no error and broke no policy', { skip }, () => {
	assert.deepEqual(page.faults, []);
});
