/* SPDX-License-Identifier: MIT */
/* inspect.c - see mmviz/inspect.h. Pure functions of a layout. */
#include <mmviz/inspect.h>

#include <stdarg.h>
#include <stdio.h>

#define LINE_BYTES  64u
#define MEMBERS_MAX 32u

/* Indices of the members by rising offset (insertion sort: there are few). Returns how many. */
static size_t order_by_offset(const struct mmviz_layout *layout, size_t order[MEMBERS_MAX])
{
	size_t count = layout->members_count < MEMBERS_MAX ? layout->members_count : MEMBERS_MAX;

	for (size_t i = 0; i < count; i++) {
		size_t at = i;

		for (; at > 0 && layout->members[order[at - 1]].offset_bytes >
					 layout->members[i].offset_bytes;
		     at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
	return count;
}

static int is_split(const struct mmviz_member *member)
{
	size_t first = member->offset_bytes / LINE_BYTES;
	size_t last = (member->offset_bytes + member->size_bytes - 1) / LINE_BYTES;

	return member->size_bytes && member->size_bytes <= LINE_BYTES && first != last;
}

/* Sorted by falling alignment no member needs padding before it: only the tail is rounded up. */
static size_t reordered_bytes(const struct mmviz_layout *layout, size_t member_bytes)
{
	size_t alignment = layout->alignment_bytes;

	return (member_bytes + alignment - 1) / alignment * alignment;
}

void mmviz_layout_summarise(const struct mmviz_layout *layout, struct mmviz_layout_summary *out)
{
	struct mmviz_layout_summary summary = {0};
	size_t order[MEMBERS_MAX], count = order_by_offset(layout, order), end = 0;

	for (size_t i = 0; i < count; i++) {
		const struct mmviz_member *member = &layout->members[order[i]];

		if (member->offset_bytes > end) {
			summary.holes++;
			summary.hole_bytes += member->offset_bytes - end;
		}
		if (member->offset_bytes + member->size_bytes > end)
			end = member->offset_bytes + member->size_bytes;
		summary.member_bytes += member->size_bytes;
		summary.split_members += (size_t)is_split(member);
	}
	summary.tail_bytes = layout->size_bytes - end;
	summary.reordered_bytes = reordered_bytes(layout, summary.member_bytes);
	*out = summary;
}

struct text {
	char *start;
	size_t bytes, length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	size_t room = text->length < text->bytes ? text->bytes - text->length : 0;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(room ? text->start + text->length : NULL, room, format, arguments);
	va_end(arguments);
	text->length += length > 0 ? (size_t)length : 0;
}

size_t mmviz_layout_format(const struct mmviz_layout *layout, char *buffer, size_t bytes)
{
	struct text text = {buffer, bytes, 0};
	struct mmviz_layout_summary summary;
	size_t order[MEMBERS_MAX], count = order_by_offset(layout, order), end = 0;

	mmviz_layout_summarise(layout, &summary);
	add(&text, "%s: %zu bytes, aligned to %zu\n", layout->type, layout->size_bytes,
	    layout->alignment_bytes);
	for (size_t i = 0; i < count; i++) {
		const struct mmviz_member *member = &layout->members[order[i]];

		if (member->offset_bytes > end)
			add(&text, "  %6zu  %6zu  (hole)\n", end, member->offset_bytes - end);
		add(&text, "  %6zu  %6zu  %s%s\n", member->offset_bytes, member->size_bytes,
		    member->name, is_split(member) ? "  (crosses a cache line)" : "");
		end = member->offset_bytes + member->size_bytes;
	}
	if (summary.tail_bytes)
		add(&text, "  %6zu  %6zu  (padding)\n", end, summary.tail_bytes);
	add(&text, "  %zu bytes of members, %zu in %zu holes, %zu behind the last",
	    summary.member_bytes, summary.hole_bytes, summary.holes, summary.tail_bytes);
	if (summary.reordered_bytes < layout->size_bytes)
		add(&text, "; %zu bytes if ordered by falling alignment", summary.reordered_bytes);
	add(&text, "\n");
	return text.length;
}
