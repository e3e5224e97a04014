/*
 * Every number on the screen passes here. Pure; the unit of each argument is in its name.
 * Numbers and units are joined by a no-break space, so that a value never wraps.
 */

const SPACE = '\u00a0';
const MINUS = '\u2212';
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/* Three or four significant digits: 9.53, 95.3, 953, 1,023. */
function digits(value: number, below10 = 1): string {
	if (value < 10) return value.toFixed(below10);
	return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en-US');
}

function scaled(value: number, base: number, units: readonly string[]): [number, string] {
	let step = 0;
	while (value >= base * 0.9995 && step < units.length - 1) {
		value /= base;
		step++;
	}
	return [value, units[step]!];
}

export function bytes(value_bytes: number): string {
	if (value_bytes < 0) return MINUS + bytes(-value_bytes);
	const [value, unit] = scaled(value_bytes, 1024, BYTE_UNITS);
	return (unit === 'B' ? String(Math.round(value)) : digits(value, 2)) + SPACE + unit;
}

export function count(value: number): string {
	return Math.round(value).toLocaleString('en-US');
}

/* 1.9 M, 88 k, 310, 0.4 */
export function compact(value: number): string {
	if (value === 0) return '0';
	if (value < 10) return value < 0.05 ? '<0.1' : value.toFixed(value < 1 ? 1 : 0);
	const [scaledValue, unit] = scaled(value, 1000, ['', 'k', 'M', 'G', 'T']);
	return unit ? digits(scaledValue) + SPACE + unit : String(Math.round(scaledValue));
}

export function perSecond(value: number): string {
	return compact(value) + '/s';
}

/* Below a KiB a minute nothing is said to grow: smoothing leaves such dust behind. */
export function growth(bytes_per_second: number): string {
	const per_minute = bytes_per_second * 60;
	if (Math.abs(per_minute) < 1024) return '±0';
	return (per_minute < 0 ? MINUS : '+') + bytes(Math.abs(per_minute)) + '/min';
}

export function percent(ratio: number): string {
	const value = ratio * 100;
	if (!Number.isFinite(value)) return '–';
	if (value > 0 && value < 0.1) return '<0.1' + SPACE + '%';
	const text = value < 9.95 && value > 0 ? value.toFixed(1) : String(Math.round(value));
	return text + SPACE + '%';
}

/* 14 ms · 3.2 s · 8 min 51 s · 2 h 05 min · 3 d 4 h */
export function duration(ms: number): string {
	const pair = (value: number, unit: string, rest: number, restUnit: string, width = 1) =>
		`${value}${SPACE}${unit} ${String(rest).padStart(width, '0')}${SPACE}${restUnit}`;
	if (ms < 0) return '0' + SPACE + 'ms';
	if (ms < 999.5) return Math.round(ms) + SPACE + 'ms';
	if (ms < 9_950) return (ms / 1000).toFixed(1) + SPACE + 's';
	const s = Math.round(ms / 1000);
	if (s < 60) return s + SPACE + 's';
	if (s < 3600) return pair(Math.floor(s / 60), 'min', s % 60, 's', 2);
	if (s < 86400) return pair(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min', 2);
	return pair(Math.floor(s / 86400), 'd', Math.floor((s % 86400) / 3600), 'h');
}

const two = (value: number) => String(value).padStart(2, '0');

export function clock(at_ms: number, withMillis = false): string {
	const at = new Date(at_ms);
	const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
	return withMillis ? time + '.' + String(at.getMilliseconds()).padStart(3, '0') : time;
}

/* Exact up to 2^53, which every user address is below. */
export function address(addr: number): string {
	return '0x' + addr.toString(16);
}

/*
 * An offset in an arena: +32 MiB, +30.48 MiB; in hexadecimal where hundredths of the unit no longer
 * tell neighbours apart. `step_bytes`: how far apart the offsets shown together are.
 */
export function offset(offset_bytes: number, step_bytes = 0): string {
	const [value, unit] = scaled(offset_bytes, 1024, BYTE_UNITS);
	const unit_bytes = 1024 ** BYTE_UNITS.indexOf(unit);
	if (step_bytes > 0 && step_bytes < unit_bytes / 50) return '+0x' + offset_bytes.toString(16);
	const text =
		step_bytes > 0 && step_bytes >= unit_bytes * 2 ? value.toFixed(0) : value.toFixed(2);
	return '+' + (text.includes('.') ? text.replace(/\.?0+$/, '') : text) + SPACE + unit;
}

const SIGNALS: Record<number, string> = {
	1: 'SIGHUP',
	2: 'SIGINT',
	3: 'SIGQUIT',
	4: 'SIGILL',
	6: 'SIGABRT',
	7: 'SIGBUS',
	8: 'SIGFPE',
	9: 'SIGKILL',
	11: 'SIGSEGV',
	13: 'SIGPIPE',
	14: 'SIGALRM',
	15: 'SIGTERM',
};

/* What wait(2) says about the end of a process. */
export function exitStatus(wait_status: number): string {
	const signal = wait_status & 0x7f;
	if (signal) return 'killed by ' + (SIGNALS[signal] ?? 'signal ' + signal);
	return 'exited with ' + ((wait_status >> 8) & 0xff);
}

export function plural(value: number, noun: string): string {
	return `${count(value)}${SPACE}${noun}${Math.round(value) === 1 ? '' : 's'}`;
}
