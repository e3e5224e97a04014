// Builds the dashboard into one folder that the collector embeds: index.html, app.js, app.css and
// the logo. Usage: node build.mjs [OUTPUT FOLDER]
import { cp, mkdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const web = new URL('.', import.meta.url);
const output = process.argv[2] ?? fileURLToPath(new URL('../build/web/dist', web));

await rm(output, { recursive: true, force: true });
await mkdir(output, { recursive: true });
await build({
	entryPoints: { app: fileURLToPath(new URL('src/main.tsx', web)) },
	outdir: output,
	bundle: true,
	minify: true,
	format: 'esm',
	target: ['chrome123', 'firefox120', 'safari17.5'],
	jsx: 'automatic',
	jsxImportSource: 'preact',
	legalComments: 'none',
	logLevel: 'warning',
});
for (const file of ['index.html', 'logo.svg'])
	await cp(new URL(`src/${file}`, web), `${output}/${file}`);
