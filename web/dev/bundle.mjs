// The pure modules of src/, bundled for Node, so that tests and the development server use the very
// code that the page runs.
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const source = (name) => fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url));

export async function load(names) {
	const { outputFiles } = await build({
		stdin: {
			contents: names
				.map(
					(name) => `export * as ${basename(name)} from ${JSON.stringify(source(name))};`,
				)
				.join('\n'),
			resolveDir: fileURLToPath(new URL('..', import.meta.url)),
		},
		bundle: true,
		write: false,
		format: 'esm',
		platform: 'node',
		logLevel: 'warning',
	});
	const code = Buffer.from(outputFiles[0].contents).toString('base64');
	return import(`data:text/javascript;base64,${code}`);
}
