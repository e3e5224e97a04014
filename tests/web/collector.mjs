// server_sim, and mmviz-bpf attached to it.
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { ROOT } from './browser.mjs';

const BUILD = resolve(ROOT, process.env.BUILD ?? 'build');
const START_MS = 15_000;

export class Target {
	static start(...args) {
		return new Target(spawn(join(BUILD, 'server_sim'), args, { stdio: 'ignore' }));
	}

	constructor(child) {
		this.child = child;
		this.ended = new Promise((resolve) => child.once('exit', resolve));
	}

	signal(name) {
		this.child.kill(name);
	}

	async end() {
		this.child.kill('SIGKILL');
		await this.ended;
	}
}

export class Collector {
	/* Attached and serving: the URL, with its token, was printed. */
	static async attach(pid, ...args) {
		const child = spawn(
			join(BUILD, 'mmviz-bpf'),
			['-p', String(pid), '--listen', '127.0.0.1:0', ...args],
			{ stdio: ['ignore', 'pipe', 'pipe'] },
		);
		const collector = new Collector(child);
		collector.url = await collector.printedUrl();
		return collector;
	}

	constructor(child) {
		this.child = child;
		this.output = '';
		this.ended = new Promise((resolve) =>
			child.once('exit', (code, signal) => resolve(signal ?? code)),
		);
		for (const stream of [child.stdout, child.stderr])
			stream.on('data', (text) => (this.output += text));
	}

	async printedUrl() {
		const end = Date.now() + START_MS;
		while (Date.now() < end && this.child.exitCode === null) {
			const url = /http:\/\/\S+?(?=[\s.]*$|\s)/m.exec(this.output)?.[0];
			if (url) return url;
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
		throw new Error(`mmviz-bpf printed no URL: ${this.output}`);
	}

	async end() {
		this.child.kill('SIGINT');
		return this.ended;
	}
}
