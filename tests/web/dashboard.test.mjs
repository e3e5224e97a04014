// The dashboard on the collector on a real program, in a real browser. One target, start to end; the
// tests follow one another. Screenshots stay in build/screenshots.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { load } from '../../web/dev/bundle.mjs';
import {
	assertAccessible,
	assertFits,
	Browser,
	colours,
	mapPixels,
	mapShown,
	SCREENSHOTS,
	waitFor,
} from './browser.mjs';
import { Collector, Target } from './collector.mjs';

const { format } = await load(['format']);
const skip = process.getuid() !== 0 && 'attaching needs root';
let browser, target, collector, page;

before(async () => {
	if (skip) return;
	target = Target.start(
		'--pattern',
		'mixed',
		'--rate',
		'20k',
		'--live-blocks',
		'300k',
		'--seconds',
		'170',
	);
	await new Promise((resolve) => setTimeout(resolve, 1500));
	collector = await Collector.attach(target.child.pid);
	browser = await Browser.open();
	page = await browser.page(collector.url);
	await mapShown(page);
});
after(async () => {
	await browser?.close();
	await collector?.end();
	await target?.end();
});

const shoot = (name) => page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
const tile = (name) => page.getByTestId(`tile-${name}`).textContent();
const wholeNumber = (text) => Number(text.replaceAll(/\D/g, ''));
const summary = async () =>
	(await page.request.get(new URL('/api/v1/summary', collector.url).href)).json();
const stacks = async () =>
	(await page.request.get(new URL('/api/v1/stacks', collector.url).href)).json();
const colourBy = (colour) =>
	page.getByRole('group', { name: 'Colour by' }).getByRole('button', { name: colour }).click();
/* Of the gap below the first row of the map. */
const groundBrightness = async () => {
	const { width, pixels } = await mapPixels(page);
	return pixels[4 * (12 * width + 5)];
};
const moveAway = () => page.mouse.move(700, 20);

test('the token leaves the address bar', { skip }, async () => {
	assert.ok(!page.url().includes('token'), page.url());
	assert.match(await page.title(), new RegExp(`server_sim.*${target.child.pid}`));
});

test('numbers move while the target works', { skip }, async () => {
	assert.equal(await page.getByTestId('trust').textContent(), '●exact');
	const seen = wholeNumber(await page.getByTestId('seen').textContent());
	await waitFor(
		async () => wholeNumber(await page.getByTestId('seen').textContent()) > seen + 1000,
	);
});

test(
	'numbers agree with the summary, and contexts with the total, when the target holds still',
	{ skip },
	async () => {
		target.signal('SIGSTOP');
		try {
			let said;
			await waitFor(async () => {
				const before = await summary();
				await page.waitForTimeout(600);
				said = await summary();
				return before.events_seen === said.events_seen;
			}, 'the collector still sees events of a stopped target');
			await page.waitForTimeout(400);
			assert.equal(wholeNumber(await tile('blocks')), said.live_blocks);
			assert.equal(await tile('live'), format.bytes(said.live_bytes));
			assert.equal(await tile('peak'), format.bytes(said.peak_live_bytes));
			assert.equal(
				wholeNumber(await page.getByTestId('seen').textContent()),
				said.events_seen,
			);
			const rows = await page.locator('.side tbody tr td:nth-child(3)').allTextContents();
			assert.equal(
				rows.map(wholeNumber).reduce((sum, blocks) => sum + blocks, 0),
				said.live_blocks,
			);
			await page.keyboard.press('3');
			const cards = await page
				.locator('.card')
				.evaluateAll((list) =>
					list.map((card) => [
						card.querySelector('header b').textContent,
						[...card.querySelectorAll('.facts > div')]
							.find((fact) => fact.textContent.startsWith('live blocks'))
							.querySelector('dd').textContent,
					]),
				);
			assert.deepEqual(
				cards.map(([name, blocks]) => [name, wholeNumber(blocks)]),
				said.arenas.map(({ name, live_blocks }) => [name, live_blocks]),
			);
		} finally {
			target.signal('SIGCONT');
			await page.keyboard.press('1');
		}
	},
);

test('the map is drawn in the colours of its contexts and moves', { skip }, async () => {
	await mapShown(page);
	const wanted = await page
		.locator('.side tbody tr .swatch')
		.first()
		.evaluate((swatch) => getComputedStyle(swatch).backgroundColor);
	const unit = wanted.startsWith('color(') ? 255 : 1;
	const [red, green, blue] = wanted.match(/[\d.]+/g).map((channel) => channel * unit);
	await waitFor(
		async () =>
			[...(await colours(page)).keys()].some(
				(colour) =>
					Math.hypot(
						(colour & 255) - red,
						((colour >> 8) & 255) - green,
						((colour >> 16) & 255) - blue,
					) < 60,
			),
		`nothing on the map is near ${wanted}, the colour of the biggest context`,
	);
	await shoot('dark');
	await assertFits(page, 'map');
});

test('hovering names a block, a click tells all of it', { skip }, async () => {
	await page.mouse.move(500, 330);
	for (
		let i = 0;
		i < 40 && !(await page.evaluate(() => location.hash)).includes('scale=/6');
		i++
	) {
		await page.keyboard.press('w');
		await page.waitForTimeout(30);
	}
	const names = await page.locator('.side tbody tr .clip').allTextContents();
	let text = '';
	await waitFor(async () => {
		for (let x = 300; x < 900; x += 60) {
			await page.mouse.move(x, 330);
			await page.waitForTimeout(120);
			text = (await page.locator('.tip').textContent()) ?? '';
			if (text.includes('overhead') && names.some((name) => text.includes(name))) return true;
		}
		return false;
	}, `no block under the pointer; last tip: ${text}`);
	const address = await page.locator('.tip .mono').first().textContent();
	const { arenas } = await summary();
	assert.ok(
		arenas.some(
			({ base, capacity_bytes }) =>
				Number(address) >= Number(base) && Number(address) < Number(base) + capacity_bytes,
		),
		address,
	);
	await page.mouse.down();
	await page.mouse.up();
	await page.waitForSelector('.block .cell');
	assert.match(await page.locator('.block').textContent(), /live, [\d,]+ B in a [\d,]+ B cell/);
	await page.waitForTimeout(300);
	await shoot('zoomed');
	await assertAccessible(page, 'zoomed in, a block selected');
	await page.keyboard.press('Escape');
	await page.mouse.dblclick(500, 330);
	await moveAway();
});

test('every view is there, accessible, in both themes', { skip }, async () => {
	for (const [key, name] of [
		['2', 'contexts'],
		['3', 'fragmentation'],
	]) {
		await page.keyboard.press(key);
		await page.waitForTimeout(200);
		await assertAccessible(page, name);
		await assertFits(page, name);
		await shoot(name);
	}
	await page.keyboard.press('4');
	const table = page.getByRole('group', { name: 'Table of stacks' });
	await waitFor(
		async () => /worker_main/.test(await table.textContent()),
		'no stack comes from worker_main',
	);
	await page.getByRole('button', { name: 'Allocated' }).click();
	await table.getByRole('button').first().click();
	await page.locator('tr.frames li').first().waitFor();
	await page.getByLabel('Mean bytes between samples').selectOption('65536');
	await waitFor(
		async () => (await stacks()).sample_bytes === 65536,
		'the mean between samples stays',
	);
	await assertAccessible(page, 'stacks');
	await assertFits(page, 'stacks');
	await shoot('stacks');
	await page.keyboard.press('1');
	await mapShown(page);
	const dark = await groundBrightness();
	await page.keyboard.press('t');
	await waitFor(
		async () => (await groundBrightness()) > dark + 150,
		'the map stays dark in the light theme',
	);
	await page.waitForTimeout(300);
	await assertAccessible(page, 'map, light');
	await shoot('light');
	await page.keyboard.press('t');
	await colourBy('age');
	await page.waitForTimeout(400);
	await shoot('age');
	await colourBy('context');
});

// Frames themselves are drawn in software here; what the page does for them is the same everywhere.
test('script, style and layout leave a core mostly idle', { skip }, async () => {
	const devtools = await browser.context.newCDPSession(page);
	await devtools.send('Performance.enable');
	const spent = async () => {
		const { metrics } = await devtools.send('Performance.getMetrics');
		return metrics
			.filter(({ name }) =>
				['ScriptDuration', 'LayoutDuration', 'RecalcStyleDuration'].includes(name),
			)
			.reduce((sum, { value }) => sum + value, 0);
	};
	const before = await spent();
	await page.waitForTimeout(3000);
	const share = ((await spent()) - before) / 3;
	assert.ok(share < 0.4, `${Math.round(share * 100)} % of a core`);
});

test('the end of the target is said, and everything stays', { skip }, async () => {
	target.signal('SIGKILL');
	await waitFor(
		async () => (await page.getByTestId('trust').textContent()).includes('post mortem'),
		'no word of the end',
	);
	assert.match(await page.getByTestId('trust').textContent(), /killed by SIGKILL/);
	assert.ok((await colours(page)).size > 3, 'the picture is gone');
	assert.equal(wholeNumber(await tile('blocks')), (await summary()).live_blocks);
	await moveAway();
	await assertAccessible(page, 'post mortem');
	await shoot('post-mortem');
});

test('the page made no error and broke no policy', { skip }, () => {
	assert.deepEqual(page.faults, []);
});
