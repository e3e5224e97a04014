/*
 * Call stacks: what /api/v1/stacks says, checked; and the order, the shares and the tree that are
 * drawn from it. Pure. Every number is an estimate of the collector's; sums here only add them up.
 */

export interface Amount {
	samples: number;
	bytes: number;
	bytes_low: number;
	bytes_high: number;
	blocks: number;
	blocks_low: number;
	blocks_high: number;
}
export interface Frame {
	function: string;
	inlined: boolean;
	file: string;
	line: number;
	module: string;
	offset: string;
}
export type Kind = 'stack' | 'unknown' | 'other';
export interface Row {
	id: number;
	kind: Kind;
	complete: boolean;
	allocated: Amount;
	live: Amount;
	frames: Frame[]; /* innermost first */
}
export interface Stacks {
	stacks: 'sampled' | 'off';
	sample_bytes: number;
	wanted_sample_bytes: number;
	samples: number;
	without_stack: number;
	unnamed: number;
	left_out: number;
	allocated: Amount;
	live: Amount;
	rows: Row[];
}
export type Measure = 'live' | 'allocated';

export const MEANS = [16, 64, 256, 512, 1024, 4096, 16384].map((kib) => kib * 1024);

/* Refuses what is not of this shape, as far as the page relies on it. */
export function readStacks(json: unknown): Stacks {
	const stacks = json as Stacks;
	if (stacks?.stacks === 'off') return { ...EMPTY, stacks: 'off' };
	const isWhole =
		stacks?.stacks === 'sampled' &&
		typeof stacks.sample_bytes === 'number' &&
		typeof stacks.wanted_sample_bytes === 'number' &&
		Array.isArray(stacks.rows) &&
		[stacks, ...stacks.rows].every((row) => isAmount(row.live) && isAmount(row.allocated)) &&
		stacks.rows.every(({ frames }) => Array.isArray(frames));
	if (!isWhole) throw new Error('these are no stacks');
	return stacks;
}

function isAmount(amount: Amount | undefined): boolean {
	return typeof amount?.bytes === 'number' && typeof amount.samples === 'number';
}

const NOTHING: Amount = {
	samples: 0,
	bytes: 0,
	bytes_low: 0,
	bytes_high: 0,
	blocks: 0,
	blocks_low: 0,
	blocks_high: 0,
};
const EMPTY: Stacks = {
	stacks: 'sampled',
	sample_bytes: 0,
	wanted_sample_bytes: 0,
	samples: 0,
	without_stack: 0,
	unnamed: 0,
	left_out: 0,
	allocated: NOTHING,
	live: NOTHING,
	rows: [],
};

const TITLES: Record<Kind, string> = {
	stack: '',
	unknown: '(sampled without its stack)',
	other: '(other stacks)',
};

/* From the outermost function to the one that allocated: the way down the graph. */
export function pathOf(row: Row): string[] {
	if (row.kind !== 'stack' || !row.frames.length) return [TITLES[row.kind] || '?'];
	return row.frames.map((frame) => frame.function).reverse();
}

export function placeOf({ file, line, module, offset }: Frame): string {
	if (file) return `${file.slice(file.lastIndexOf('/') + 1)}:${line}`;
	return module ? `${module.slice(module.lastIndexOf('/') + 1)}+${offset}` : '';
}

export function isBelow(row: Row, path: readonly string[]): boolean {
	const own = pathOf(row);
	return path.every((name, depth) => own[depth] === name);
}

/* With something of this measure, most bytes first. */
export function sortRows(rows: readonly Row[], by: Measure): Row[] {
	return rows
		.filter((row) => row[by].samples > 0)
		.sort((a, b) => b[by].bytes - a[by].bytes || a.id - b.id);
}

/* ---------------------------------------------------------------- the graph */

interface Node {
	name: string;
	bytes: number;
	children: Map<string, Node>;
}
/* start, share: of the graph's width, 0 to 1. */
export interface Cell {
	path: string[];
	name: string;
	bytes: number;
	depth: number;
	start: number;
	share: number;
}

function treeOf(rows: readonly Row[], by: Measure): Node {
	const root: Node = { name: '', bytes: 0, children: new Map() };
	for (const row of rows) {
		const { bytes } = row[by];
		if (bytes <= 0) continue;
		let node = root;
		node.bytes += bytes;
		for (const name of pathOf(row)) {
			let child = node.children.get(name);
			if (!child) node.children.set(name, (child = { name, bytes: 0, children: new Map() }));
			child.bytes += bytes;
			node = child;
		}
	}
	return root;
}

/*
 * Cells of at least `least` of the width, outermost functions first. What `zoom` leads to has the
 * whole width, and so has the way to it.
 */
export function flame(
	rows: readonly Row[],
	by: Measure,
	zoom: readonly string[],
	least = 0.002,
): Cell[] {
	const below = rows.filter((row) => isBelow(row, zoom));
	const tree = treeOf(below, by);
	const cells: Cell[] = [];
	const lay = (node: Node, path: string[], depth: number, start: number) => {
		const children = [...node.children.values()].sort(
			(a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1),
		);
		for (const child of children) {
			const share = child.bytes / tree.bytes;
			if (share < least) continue;
			const own = [...path, child.name];
			cells.push({ path: own, name: child.name, bytes: child.bytes, depth, start, share });
			lay(child, own, depth + 1, start);
			start += share;
		}
	};
	lay(tree, [], 0, 0);
	return cells;
}
