// A headless Chromium on the dashboard, and what the tests ask of a page.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(new URL('../../web/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const axe = await readFile(require.resolve('axe-core/axe.min.js'), 'utf8');

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const SCREENSHOTS = join(ROOT, 'build/screenshots');
const FLAGS = [
	'--headless',
	'--no-sandbox',
	'--disable-gpu',
	'--disable-quic',
	'--no-first-run',
	'--disable-background-networking',
	'--disable-component-update',
	'--disable-sync',
	'--enable-unsafe-swiftshader',
];

export class Browser {
	static async open({ colorScheme = 'dark', width = 1440, height = 900 } = {}) {
		const profile = await mkdtemp(join(tmpdir(), 'mmviz-chromium-'));
		const context = await chromium.launchPersistentContext(profile, {
			executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
			args: FLAGS,
			viewport: { width, height },
			colorScheme,
		});
		await mkdir(SCREENSHOTS, { recursive: true });
		return new Browser(context, profile);
	}

	constructor(context, profile) {
		Object.assign(this, { context, profile });
	}

	async close() {
		await this.context.close();
		await rm(this.profile, { recursive: true, force: true });
	}

	// A page whose errors, console errors and policy violations are all collected in page.faults.
	async page(url, { init } = {}) {
		const page = await this.context.newPage();
		page.faults = [];
		page.on('pageerror', (error) => page.faults.push(error.stack));
		page.on(
			'console',
			(message) => message.type() === 'error' && page.faults.push(message.text()),
		);
		await page.addInitScript(() =>
			addEventListener('securitypolicyviolation', (event) =>
				console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`),
			),
		);
		if (init) await page.addInitScript(init);
		await page.goto(url);
		return page;
	}
}

/* Until the map shows what the collector said, in the colours of its contexts. */
export async function mapShown(page) {
	await page.waitForFunction(
		() =>
			document.querySelector('.stage')?.dataset.painter &&
			document.querySelectorAll('.side tbody tr').length > 0,
	);
	await waitFor(async () => (await colours(page)).size > 3, 'the map stays blank');
}

export async function waitFor(check, complaint, timeout_ms = 10_000) {
	const end = Date.now() + timeout_ms;
	let error;
	do {
		try {
			if (await check()) return;
		} catch (thrown) {
			error = thrown;
		}
		await new Promise((resolve) => setTimeout(resolve, 50));
	} while (Date.now() < end);
	throw error ?? new Error(complaint ?? `never true: ${check}`);
}

/* The pixels of the map as RGBA, read from what is on the screen. */
export async function mapPixels(page) {
	const box = await page.locator('.stage canvas.base').boundingBox();
	const clip = {
		x: Math.ceil(box.x),
		y: Math.ceil(box.y),
		width: Math.floor(box.width) - 1,
		height: Math.floor(box.height) - 1,
	};
	const png = (await page.screenshot({ clip })).toString('base64');
	const base64 = await page.evaluate(async (text) => {
		const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
		const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
		const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
		const context = canvas.getContext('2d');
		context.drawImage(bitmap, 0, 0);
		const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
		let out = '';
		for (let i = 0; i < data.length; i += 8192)
			out += String.fromCharCode(...data.subarray(i, i + 8192));
		return btoa(out);
	}, png);
	const pixels = Buffer.from(base64, 'base64');
	return { width: clip.width, height: clip.height, pixels };
}

/* Colours that fill at least a thousandth of the map, with how many pixels each. */
export async function colours(page) {
	const { pixels } = await mapPixels(page);
	const counts = new Map();
	for (let i = 0; i < pixels.length; i += 4) {
		const colour = pixels.readUInt32LE(i);
		counts.set(colour, (counts.get(colour) ?? 0) + 1);
	}
	return new Map([...counts].filter(([, count]) => count > pixels.length / 4000));
}

export async function assertAccessible(page, where) {
	await page.evaluate(axe);
	const { violations } = await page.evaluate(() => axe.run());
	const texts = violations.map(
		({ id, nodes }) =>
			`${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)}\n${failureSummary}`).join('\n')}`,
	);
	assert.deepEqual(texts, [], `axe-core, ${where}`);
}

/* Nothing is wider than the page, and no number or title is cut off. */
export async function assertFits(page, where) {
	const faults = await page.evaluate(() => {
		const root = document.documentElement;
		const cut = [
			...document.querySelectorAll(
				'.top, .pill, .views, .finding h2, .finding p, .tiles, .tiles dd, .segments, th button, td:not(:first-child), .facts dd, .facts dt, .status, .legend, .time-legend',
			),
		]
			.filter(
				(element) =>
					element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0,
			)
			.map(
				(element) =>
					`${element.className || element.tagName} is cut: ${element.textContent.slice(0, 60)}`,
			);
		if (root.scrollWidth > innerWidth || root.scrollHeight > innerHeight)
			cut.push('the page scrolls');
		return cut;
	});
	assert.deepEqual(faults, [], where);
}
