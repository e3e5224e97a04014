// What /api/v1/stacks would say of a program with a few paths.

const MEAN = 524288;
const MAIN = ['start_thread', 'worker_main'];
const PATHS = [
	[['serve', 'parse_request', 'acquire'], 120, 40],
	[['serve', 'render', 'template_expand', 'buffer_grow'], 90, 12],
	[['serve', 'render', 'acquire'], 60, 0],
	[['housekeeping', 'cache_insert', 'acquire'], 30, 30],
	[
		['housekeeping', 'std::vector<session, arena_allocator<session> >::push_back(session&&)'],
		9,
		3,
	],
];

function amount(samples, bytes) {
	const spread = 1.96 * Math.sqrt(samples + 1) * MEAN;
	const total = samples * MEAN;
	return {
		samples,
		bytes: total,
		bytes_low: Math.max(0, total - spread),
		bytes_high: total + spread,
		blocks: Math.round(total / bytes),
		blocks_low: Math.max(0, Math.round((total - spread) / bytes)),
		blocks_high: Math.round((total + spread) / bytes),
	};
}

const frame = (name, index, all) => ({
	function: name,
	inlined: name === 'acquire',
	file: index === all.length - 1 ? '' : `/usr/src/server/${name.slice(0, 8)}.c`,
	line: index === all.length - 1 ? 0 : 100 + index,
	module: index === all.length - 1 ? '/usr/lib/libc.so.6' : '/usr/bin/server',
	offset: '0x' + (0x1000 + index * 64).toString(16),
	address: '0x55d0c0de1000',
});

export function stacks() {
	const rows = PATHS.map(([path, allocated, live], index) => ({
		id: index + 2,
		kind: 'stack',
		complete: index !== 2,
		allocated: amount(allocated, 512 << index),
		live: amount(live, 512 << index),
		frames: [...MAIN, ...path].reverse().map(frame),
	}));
	const sum = (kind) =>
		amount(
			rows.reduce((total, row) => total + row[kind].samples, 0),
			1024,
		);
	return {
		version: 1,
		pid: 4711,
		stacks: 'sampled',
		sample_bytes: MEAN,
		wanted_sample_bytes: MEAN,
		samples: sum('allocated').samples,
		without_stack: 0,
		untracked: 0,
		lost: 0,
		unnamed: 0,
		left_out: 0,
		allocated: sum('allocated'),
		live: sum('live'),
		rows,
	};
}
