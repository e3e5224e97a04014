/* SPDX-License-Identifier: MIT */
/* mistakes.c - a program that makes the mistake it is asked for, and is ended for it. */
#define _GNU_SOURCE
#include "check.h"

static void *volatile hidden; /* from the compiler, which would see through all of this */

static void *hide(void *block)
{
	hidden = block;
	return hidden;
}

#define MANY 1500

/* In a heap of more than 8 MiB, another free comes in between. */
static void free_twice_in_a_large_heap(void)
{
	static char *many[MANY];

	for (int i = 0; i < MANY; i++)
		many[i] = malloc(8000);
	free(many[7]);
	free(many[8]);
	free(hide(many[7]));
	puts("the second free came back");
	fflush(stdout);
	for (int i = 0; i < 3; i++)
		hide(malloc(8000));
	puts("the memory was given out");
}

int main(int count, char **arguments)
{
	const char *mistake = count > 1 ? arguments[1] : "";
	char *block = malloc(100);
	int here = 0;

	if (strcmp(mistake, "double") == 0) {
		free(block);
		free(hide(block));
	} else if (strcmp(mistake, "inner") == 0) {
		free((char *)hide(block) + 16);
	} else if (strcmp(mistake, "odd") == 0) {
		free((char *)hide(block) + 1);
	} else if (strcmp(mistake, "stack") == 0) {
		free(hide(&here));
	} else if (strcmp(mistake, "realloc") == 0) {
		hide(realloc(hide(&here), 10));
	} else if (strcmp(mistake, "header") == 0) {
		memset((char *)hide(block) - 16, 'x', 16);
		free(hide(block));
		for (int i = 0; i < 10; i++)
			free(malloc(100));
	} else if (strcmp(mistake, "late") == 0) {
		free_twice_in_a_large_heap();
	} else {
		free(block);
	}
	return 0;
}
