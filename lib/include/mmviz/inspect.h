/* SPDX-License-Identifier: MIT */
/*
 * inspect.h - where the bytes of a type go: offsets, padding, holes, cache lines.
 *
 *	const struct mmviz_layout *layout = MMVIZ_INSPECT(struct request, id, kind, body);
 *	char text[2048];
 *
 *	mmviz_layout_format(layout, text, sizeof(text));
 *	puts(text);
 *
 * Name every member, in any order, up to 32 (not bit-fields): a member left out would look like a
 *hole. `mmviz-bpf` does not need this; it is for tests and for curiosity.
 */
#ifndef MMVIZ_INSPECT_H
#define MMVIZ_INSPECT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mmviz_member {
	const char *name;
	size_t offset_bytes, size_bytes, alignment_bytes;
};

struct mmviz_layout {
	const char *type;
	size_t size_bytes, alignment_bytes;
	const struct mmviz_member *members;
	size_t members_count;
};

struct mmviz_layout_summary {
	size_t member_bytes; /* sum of the members' sizes */
	size_t hole_bytes;   /* between members */
	size_t tail_bytes;   /* behind the last one */
	size_t holes;
	size_t reordered_bytes; /* size of the type if members were sorted by falling alignment */
	size_t split_members; /* members that cross a 64-byte line though they would fit in one, in
				 an object at a line's start */
};

/* Any thread; `out` is written whole. Members may be given in any order; at most 32. */
__attribute__((visibility("default"))) void
mmviz_layout_summarise(const struct mmviz_layout *layout, struct mmviz_layout_summary *out);
/* A table as text, NUL-terminated, cut at `bytes`. Returns the length that the whole text has. */
__attribute__((visibility("default"))) size_t mmviz_layout_format(const struct mmviz_layout *layout,
								  char *text, size_t bytes);

#define MMVIZ_MEMBER_(type, name)                                                                  \
	{                                                                                          \
#name, offsetof(type, name), sizeof(((type *)0)->name),                            \
			__alignof__(((type *)0)->name)                                             \
	}

#define MMVIZ_INSPECT(type_name, ...)                                                              \
	(__extension__({                                                                           \
		static const struct mmviz_member mmviz_members_[] = {                              \
			MMVIZ_EACH_(type_name, __VA_ARGS__)};                                      \
		static const struct mmviz_layout mmviz_layout_ = {                                 \
			#type_name, sizeof(type_name), __alignof__(type_name), mmviz_members_,     \
			sizeof(mmviz_members_) / sizeof(mmviz_members_[0])};                       \
		&mmviz_layout_;                                                                    \
	}))

/* MMVIZ_EACH_(T, a, b, c): MMVIZ_MEMBER_(T, a), MMVIZ_MEMBER_(T, b), MMVIZ_MEMBER_(T, c) */
#define MMVIZ_EACH_(...) MMVIZ_EXPAND4_(MMVIZ_EACH_STEP_(__VA_ARGS__))
#define MMVIZ_EACH_STEP_(type, name, ...)                                                          \
	MMVIZ_MEMBER_(type, name) __VA_OPT__(, MMVIZ_EACH_AGAIN_ MMVIZ_PARENS_(type, __VA_ARGS__))
#define MMVIZ_EACH_AGAIN_() MMVIZ_EACH_STEP_
#define MMVIZ_PARENS_	    ()
#define MMVIZ_EXPAND4_(...) MMVIZ_EXPAND3_(MMVIZ_EXPAND3_(MMVIZ_EXPAND3_(__VA_ARGS__)))
#define MMVIZ_EXPAND3_(...) MMVIZ_EXPAND2_(MMVIZ_EXPAND2_(MMVIZ_EXPAND2_(__VA_ARGS__)))
#define MMVIZ_EXPAND2_(...) MMVIZ_EXPAND1_(MMVIZ_EXPAND1_(MMVIZ_EXPAND1_(__VA_ARGS__)))
#define MMVIZ_EXPAND1_(...) __VA_ARGS__

#ifdef __cplusplus
}
#endif
#endif /* MMVIZ_INSPECT_H */
