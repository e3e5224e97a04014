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
	} else {
		free(block);
	}
	return 0;
}
