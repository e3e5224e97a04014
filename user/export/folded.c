/* SPDX-License-Identifier: MIT */
/* folded.c - see folded.h. */
#include "export/folded.h"

#include <math.h>

static void put_name(FILE *out, const char *name)
{
	for (; *name != '\0'; name++)
		putc(*name == ';' ? ':' : *name == '\n' ? ' ' : *name, out);
}

static void put_path(FILE *out, const struct stack_view_row *row)
{
	if (row->frames_count == 0)
		fputs(row->id == STACK_VIEW_NONE ? "(sampled without its stack)" : "(other stacks)",
		      out);
	for (uint32_t i = row->frames_count; i-- > 0;) {
		put_name(out, row->frames[i].function);
		if (i > 0)
			putc(';', out);
	}
}

void export_folded(FILE *out, const struct stack_view *view, bool allocated)
{
	for (uint32_t i = 0; i < view->rows_count; i++) {
		const struct stack_view_row *row = &view->rows[i];
		const struct stack_view_amount *amount = allocated ? &row->allocated : &row->live;

		if (amount->samples == 0)
			continue;
		put_path(out, row);
		fprintf(out, " %lld\n", llround(amount->bytes));
	}
}
