// totals.mjs - may these be the live totals of a killed server_sim?
//
//	node totals.mjs TOTALS-FILE SUMMARY.json
//
// Reads the file of server_sim --shared-totals (bench/sim/totals.h) and the arenas of a collector's summary. For each
// arena every thread counts for what it has done, or, when it was killed within an operation, for that one too. Prints
// each arena; exit 1 if an arena's totals are none of these sums.

import {readFileSync} from "node:fs";

const HEADER_BYTES = 64, CELL_BYTES = 128, SIDE_BYTES = 32;
const MAGIC = 0x314d49535a564d4dn;

function readSide(file, offset) {
	const word = (index) => Number(file.readBigUInt64LE(offset + 8 * index));
	return {blocks: word(0) - word(2), bytes: word(1) - word(3)};
}

// The totals that a thread may have left: one, or two.
function candidates(file, offset) {
	const begun = file.readBigUInt64LE(offset + 64), done = file.readBigUInt64LE(offset + 72);
	const side = (count) => readSide(file, offset + Number(count & 1n) * SIDE_BYTES);
	return begun === done ? [side(done)] : [side(done), side(begun)];
}

function sums(lists) {
	return lists.reduce((known, list) => known.flatMap((sum) =>
		list.map((one) => ({blocks: sum.blocks + one.blocks, bytes: sum.bytes + one.bytes}))),
	[{blocks: 0, bytes: 0}]);
}

const file = readFileSync(process.argv[2]);
const summary = JSON.parse(readFileSync(process.argv[3], "utf8"));
if (file.readBigUInt64LE(0) !== MAGIC)
	throw new Error(`${process.argv[2]} is not a file of server_sim --shared-totals`);
const threads = file.readUInt32LE(8), arenas = file.readUInt32LE(12);
let failures = 0;

for (let arena = 0; arena < arenas; arena++) {
	const lists = Array.from({length: threads}, (_, thread) =>
		candidates(file, HEADER_BYTES + (thread * arenas + arena) * CELL_BYTES));
	const possible = sums(lists);
	const seen = summary.arenas.find((one) => one.id === arena + 1) ?? {live_blocks: 0, live_bytes: 0};
	const isEqual = possible.some((sum) => sum.blocks === seen.live_blocks && sum.bytes === seen.live_bytes);
	const text = possible.map((sum) => `${sum.blocks}/${sum.bytes}`).join(" or ");
	console.log(`  arena ${arena + 1}: ${seen.live_blocks} blocks, ${seen.live_bytes} bytes` +
		(isEqual ? "" : ` but the program had ${text}`));
	failures += isEqual ? 0 : 1;
}
process.exit(failures ? 1 : 0);
