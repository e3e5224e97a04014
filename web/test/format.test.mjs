import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from '../dev/bundle.mjs';

const { format } = await load(['format']);
const plain = (text) => text.replaceAll('\u00a0', ' ');
const table = (name, rows) =>
	test(name, () => {
		const [method] = name.split(':');
		for (const [args, expected] of rows)
			assert.equal(plain(format[method](...[args].flat())), expected, `${method}(${args})`);
	});

table('bytes: three digits and a binary unit', [
	[0, '0 B'],
	[1, '1 B'],
	[1023, '1023 B'],
	[1024, '1.00 KiB'],
	[1536, '1.50 KiB'],
	[192_100_000, '183 MiB'],
	[10 * 2 ** 20, '10.0 MiB'],
	[2 ** 30, '1.00 GiB'],
	[2 ** 36, '64.0 GiB'],
	[1048575, '1.00 MiB'],
	[-2048, '−2.00 KiB'],
	[5000 * 2 ** 40, '5,000 TiB'],
]);
table('count: every digit, in groups', [
	[0, '0'],
	[1048213, '1,048,213'],
	[12.4, '12'],
]);
table('compact: few digits', [
	[0, '0'],
	[0.01, '<0.1'],
	[0.44, '0.4'],
	[7.6, '8'],
	[12, '12'],
	[999, '999'],
	[1100, '1.1 k'],
	[88_400, '88.4 k'],
	[1_900_000, '1.9 M'],
	[999_999, '1.0 M'],
]);
table('perSecond: a rate', [
	[0, '0/s'],
	[3_800_000, '3.8 M/s'],
]);
table('growth: signed, a minute, without dust', [
	[0, '±0'],
	[17, '±0'],
	[-17, '±0'],
	[206_700, '+11.8 MiB/min'],
	[-3400, '−199 KiB/min'],
]);
table('percent: a share', [
	[0, '0 %'],
	[0.00001, '<0.1 %'],
	[0.004, '0.4 %'],
	[0.14, '14 %'],
	[0.996, '100 %'],
	[1, '100 %'],
	[NaN, '–'],
]);
table('duration: two units at most', [
	[0, '0 ms'],
	[-5, '0 ms'],
	[14, '14 ms'],
	[999.4, '999 ms'],
	[3200, '3.2 s'],
	[12_000, '12 s'],
	[59_700, '1 min 00 s'],
	[531_000, '8 min 51 s'],
	[7_500_000, '2 h 05 min'],
	[273_600_000, '3 d 4 h'],
]);
table('address: hexadecimal, exact', [
	[0x7f3a4a31c7d0, '0x7f3a4a31c7d0'],
	[2 ** 53 - 1, '0x1fffffffffffff'],
]);
table('offset: as fine as its neighbours need', [
	[[0], '+0 B'],
	[[32 * 2 ** 20], '+32 MiB'],
	[[1.25 * 2 ** 30], '+1.25 GiB'],
	[[200 * 2 ** 20, 10 * 2 ** 20], '+200 MiB'],
	[[9165000, 2 ** 20], '+8.74 MiB'],
	[[31964048, 1024], '+0x1e7bb90'],
]);
table('exitStatus: what wait says', [
	[0, 'exited with 0'],
	[3 << 8, 'exited with 3'],
	[9, 'killed by SIGKILL'],
	[11 | 0x80, 'killed by SIGSEGV'],
	[35, 'killed by signal 35'],
]);
table('plural: a number and its noun', [
	[[1, 'block'], '1 block'],
	[[0, 'block'], '0 blocks'],
	[[1200, 'thread'], '1,200 threads'],
]);
