/* SPDX-License-Identifier: MIT */
/* likely.h - what the compiler cannot know: which way a branch nearly always goes, what is hot. */
#ifndef MMVIZ_LIB_LIKELY_H
#define MMVIZ_LIB_LIKELY_H

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define hot_inline  static inline __attribute__((always_inline))

#endif
