/* SPDX-License-Identifier: MIT */
/* library.c - is loaded late, and calls back. */
long library_entry(void (*call)(void));

static __attribute__((noinline)) long library_inner(void (*call)(void), long value)
{
	call();
	return value * 2 + 1;
}

long library_entry(void (*call)(void))
{
	return library_inner(call, 20) + 1;
}
