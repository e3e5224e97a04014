// totals.mjs - may these be the live totals of a killed server_sim?
//
//	node totals.mjs TOTALS-FILE SUMMARY.json
//
// Reads the file of server_sim --shared-totals (bench/sim/totals.h) and the arenas of a collector's summary. For each
// arena every thread counts for what it has done, or, when it was killed within an operation, for that one too, or for
// half of it: a resize that moves has both blocks while it copies. Prints each arena; exit 1 if an arena's totals are
// none of these sums.

import {readFileSync} from "node:fs";

const HEADER_BYTES = 64, CELL_BYTES = 128, SIDE_BYTES = 32;
const MAGIC = 0x314d49535a564d4dn;

function readSide(file, offset) {
	const [allocatedBlocks, allocatedBytes, freedBlocks, freedBytes] =
		[0, 8, 16, 24].map((word) => Number(file.readBigUInt64LE(offset + word)));
	return {allocatedBlocks, allocatedBytes, freedBlocks, freedBytes};
}

function live(allocated, freed) {
	return {blocks: allocated.allocatedBlocks - freed.freedBlocks, bytes: allocated.allocatedBytes - freed.freedBytes};
}

// The totals that a thread may have left: of what it had done; within an operation also of that one, and of its first half.
function candidates(file, offset) {
	const begun = file.readBigUInt64LE(offset + 64), done = file.readBigUInt64LE(offset + 72);
	const side = (count) => readSide(file, offset + Number(count & 1n) * SIDE_BYTES);
	const [before, after] = [side(done), side(begun)];
	return begun === done ? [live(before, before)] : [live(before, before), live(after, before), live(after, after)];
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
