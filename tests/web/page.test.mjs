// The page against the development server: states that a real target hardly gets into on demand.
// What the numbers mean is tested in dashboard.test.mjs, against the collector.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as encode from '../../web/dev/encode.mjs';
import { startServer } from '../../web/dev/server.mjs';
import {
	assertAccessible,
	assertFits,
	Browser,
	colours,
	mapPixels,
	mapShown,
	waitFor,
} from './browser.mjs';

const SMALL = { scale: 0.6 };
let browser;
before(async () => (browser = await Browser.open({ width: 1280, height: 720 })));
after(() => browser.close());

// Runs `body` on a fresh server and page, then complains of anything the page complained of.
function onPage(name, body, options = {}) {
	test(name, async () => {
		const server = await startServer({ ...SMALL, ...options.server });
		const page = await browser.page(server.url + (options.hash ?? ''), options);
		try {
			await body(page, server);
			assert.deepEqual(page.faults, options.faults ?? []);
		} finally {
			await page.close();
			await server.close();
		}
	});
}

const trust = (page) => page.getByTestId('trust').textContent();
const hash = async (page, name) =>
	new URLSearchParams((await page.evaluate(() => location.hash)).slice(1)).get(name);

onPage('every view is accessible in both themes', async (page) => {
	await mapShown(page);
	await page.mouse.click(500, 300);
	await page.waitForSelector('.block .pairs');
	for (const theme of ['dark', 'light']) {
		for (const view of ['1', '2', '3', '4', '?']) {
			await page.keyboard.press(view);
			await page.waitForTimeout(50);
			await assertAccessible(page, `view ${view}, ${theme}`);
		}
		await page.keyboard.press('Escape');
		await page.waitForFunction(() => !document.querySelector('dialog').open);
		await page.keyboard.press('t');
		await page.waitForFunction((now) => document.documentElement.dataset.theme !== now, theme);
		await page.waitForTimeout(300);
	}
});

for (const [width, height] of [
	[1280, 720],
	[1440, 900],
	[1920, 1080],
]) {
	onPage(
		`everything fits at ${width}x${height}`,
		async (page) => {
			await page.setViewportSize({ width, height });
			await mapShown(page);
			for (const view of ['1', '2', '3', '4']) {
				await page.keyboard.press(view);
				await page.waitForTimeout(50);
				await assertFits(page, `view ${view}`);
			}
		},
		{ server: { scale: 8 } },
	);
}

onPage('a lost connection freezes the picture and comes back by itself', async (page, server) => {
	await mapShown(page);
	const live = await page.getByTestId('tile-live').textContent();
	const port = Number(new URL(server.url).port);
	await server.close();
	await page.waitForFunction(() =>
		document.querySelector('[data-testid=trust]').textContent.includes('frozen'),
	);
	assert.notEqual(live, '–');
	assert.ok((await page.getByTestId('tile-live').textContent()) !== '–', 'the last numbers stay');
	assert.ok((await colours(page)).size > 3, 'the last picture stays');
	await assertAccessible(page, 'frozen');
	const again = await startServer({ ...SMALL, port });
	try {
		await page.waitForFunction(() =>
			document.querySelector('[data-testid=trust]').textContent.includes('exact'),
		);
		await mapShown(page);
	} finally {
		await again.close();
	}
	page.faults = page.faults.filter((text) => !text.includes('WebSocket connection'));
});

onPage(
	'a target without arenas says what will bring one',
	async (page) => {
		await page.waitForSelector('.blank strong');
		await waitFor(
			async () => (await page.locator('.blank strong').textContent()) === 'No arena',
		);
		await assertAccessible(page, 'no arenas');
	},
	{ server: { arenas: 0 } },
);

onPage('a dead target leaves its heap behind', async (page, server) => {
	await mapShown(page);
	server.target.die();
	await waitFor(async () => (await trust(page)).includes('post mortem'));
	assert.match(await page.getByTestId('trust').textContent(), /killed by SIGKILL/);
	assert.ok((await colours(page)).size > 3);
});

onPage('loss and a new baseline are said', async (page, server) => {
	await mapShown(page);
	server.target.lost = 1234;
	server.target.isResyncing = true;
	await waitFor(async () => (await trust(page)).includes('reading anew'));
	await page.getByText('1.2 k lost').waitFor();
	server.target.isResyncing = false;
	await waitFor(async () => (await trust(page)).includes('exact'));
	await assertAccessible(page, 'after a loss');
});

onPage('notices come, stay when they are errors, and go when dismissed', async (page, server) => {
	await mapShown(page);
	server.send(encode.json('notice', { level: 'error', text: '<b>ring</b> full' }));
	await page.getByRole('alert').getByText('<b>ring</b> full').waitFor();
	await assertAccessible(page, 'with a notice');
	await page.getByRole('button', { name: 'Dismiss' }).click();
	assert.equal(await page.getByRole('alert').count(), 0);
});

onPage(
	'a message that cannot be read is reported, and the next one is drawn',
	async (page, server) => {
		await mapShown(page);
		server.send(new Uint8Array(16));
		await page.getByRole('alert').getByText('not an mmviz message').waitFor();
		const before = await page.getByTestId('seen').textContent();
		await waitFor(async () => (await page.getByTestId('seen').textContent()) !== before);
	},
);

// Both painters, on a heap that does not change: the picture must be the same.
test('without WebGL2 the same picture is painted on a 2D canvas', async () => {
	const server = await startServer(SMALL);
	server.target.die();
	const without = () => {
		const original = HTMLCanvasElement.prototype.getContext;
		HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
			return kind === 'webgl2' ? null : original.call(this, kind, ...rest);
		};
	};
	try {
		for (const hash of [
			'#colour=context',
			'#colour=age',
			'#colour=occupancy',
			'#colour=state',
			'#first=40000&scale=/8&arena=1',
		]) {
			const pictures = [];
			for (const init of [undefined, without]) {
				const page = await browser.page(server.url + hash, { init });
				await page.waitForFunction(
					() => document.querySelectorAll('.side tbody tr').length > 0,
				);
				await page.waitForTimeout(600);
				const painter = await page.locator('.stage').getAttribute('data-painter');
				assert.equal(painter, init ? '2D canvas' : 'WebGL2');
				pictures.push(await mapPixels(page));
				assert.deepEqual(page.faults, []);
				await page.close();
			}
			const [a, b] = pictures.map(({ pixels }) => pixels);
			let differing = 0;
			for (let i = 0; i < a.length; i += 4)
				if (
					Math.max(
						...[0, 1, 2].map((channel) => Math.abs(a[i + channel] - b[i + channel])),
					) > 3
				)
					differing++;
			assert.ok(
				differing < a.length / 4 / 200,
				`${hash}: ${differing} of ${a.length / 4} pixels differ`,
			);
		}
	} finally {
		await server.close();
	}
});

onPage('keys: views, zoom, pan, cursor, filter, help', async (page) => {
	await mapShown(page);
	await page.keyboard.press('2');
	assert.equal(await hash(page, 'view'), 'contexts');
	await page.keyboard.press('/');
	await page.keyboard.type('sess');
	await waitFor(async () => (await page.locator('tbody tr').count()) === 1);
	await page.keyboard.press('Escape');
	await waitFor(async () => (await page.locator('tbody tr').count()) > 4);
	await page.keyboard.press('1');
	for (let i = 0; i < 12; i++) await page.keyboard.press('w');
	assert.match(await hash(page, 'scale'), /^\/\d+$/);
	const first = Number(await hash(page, 'first'));
	await page.keyboard.press('d');
	assert.ok(Number(await hash(page, 'first')) > first);
	await page.keyboard.press('0');
	assert.equal(await hash(page, 'first'), '0');
	await page.keyboard.press('ArrowRight');
	await page.waitForSelector('.block');
	await waitFor(
		async () => (await page.locator('p.unseen[role=status]').textContent()).length > 0,
	);
	await page.keyboard.press('Escape');
	assert.equal(await page.locator('.block').count(), 0);
	await page.keyboard.press('f');
	assert.equal(await hash(page, 'first'), null);
	await page.keyboard.press('?');
	await page.waitForSelector('dialog[open]');
});

onPage(
	'of five hundred contexts only those in sight are made',
	async (page) => {
		await mapShown(page);
		for (const view of ['1', '2']) {
			await page.keyboard.press(view);
			const table = page.getByRole('group', { name: 'Table of contexts' });
			await waitFor(
				async () => (await table.locator('table').getAttribute('aria-rowcount')) === '501',
			);
			assert.ok((await table.locator('tbody tr').count()) < 70);
			await table.evaluate((element) => (element.scrollTop = element.scrollHeight));
			await table.getByText('handler 499', { exact: true }).waitFor();
			const { top, bottom, rows } = await table.evaluate((element) => {
				const last = [...element.querySelectorAll('tbody tr')]
					.at(-1)
					.getBoundingClientRect();
				return {
					top: last.top,
					bottom: last.bottom - element.getBoundingClientRect().bottom,
					rows: element.scrollHeight,
				};
			});
			assert.ok(
				top > 0 && Math.abs(bottom) < 2,
				`the last row ends ${bottom} pixels below the table`,
			);
			assert.ok(rows >= 500 * 28);
			await assertAccessible(page, `view ${view} with many contexts`);
		}
	},
	{ server: { contexts: 500 } },
);

onPage('mouse: a drag selects a range, F zooms into it, a double click shows all', async (page) => {
	await mapShown(page);
	await page.mouse.move(300, 250);
	await page.mouse.down();
	await page.mouse.move(600, 290, { steps: 4 });
	await page.mouse.up();
	await page.locator('.range-note').waitFor();
	await page.keyboard.press('f');
	assert.ok(Number(await hash(page, 'first')) > 0);
	await page.mouse.move(400, 300);
	await page.mouse.wheel(0, 120);
	await page.mouse.dblclick(400, 300);
	assert.equal(await hash(page, 'first'), null);
	assert.equal(await page.locator('.range-note').count(), 0);
});

onPage(
	'a link opens the same look',
	async (page) => {
		await mapShown(page);
		assert.equal(await page.getByRole('button', { name: 'cache', pressed: true }).count(), 1);
		assert.equal(await page.getByRole('button', { name: 'age', pressed: true }).count(), 1);
		assert.equal(await hash(page, 'scale'), '2');
	},
	{ hash: '#v=1&view=map&arena=2&first=4096&scale=2&colour=age' },
);

onPage('pause holds the picture while the numbers go on', async (page) => {
	await mapShown(page);
	await page.keyboard.press(' ');
	await page.getByText('paused').waitFor();
	await page.waitForTimeout(300);
	const before = await mapPixels(page);
	const seen = await page.getByTestId('seen').textContent();
	await page.waitForTimeout(500);
	assert.ok(before.pixels.equals((await mapPixels(page)).pixels), 'the picture moved');
	assert.notEqual(await page.getByTestId('seen').textContent(), seen);
	await page.keyboard.press(' ');
	await waitFor(
		async () => !before.pixels.equals((await mapPixels(page)).pixels),
		'the picture stays',
	);
});
