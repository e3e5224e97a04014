/* SPDX-License-Identifier: MIT */
/*
 * extent_tree.h - the free extents of an arena, in address order.
 *
 * A red-black tree whose nodes lie in an array with one slot for each unit: an extent that starts
 *at unit u is node u. So the tree never touches free memory, and links are 32 bits. Each node is
 *augmented:
 *
 *	subtree_max(n) = max(units(n), subtree_max(left(n)), subtree_max(right(n)))
 *
 * which lets a first-fit search skip every subtree without a fit. Extents never touch each other:
 *giving back coalesces. Knows nothing of maps, spans and logs. The caller locks.
 *
 * Sources: Guibas and Sedgewick 1978 (red-black trees); Cormen et al., chapter 13 (insert and
 *delete) and chapter 14 (augmentation); first fit by pruning as in Wilson et al. 1995, section 3.7
 *(indexed fits).
 */
#ifndef MMVIZ_LIB_EXTENT_TREE_H
#define MMVIZ_LIB_EXTENT_TREE_H

#include <stdint.h>

#define EXTENT_NONE 0xffffffffu

struct extent_node {
	uint32_t left, right, parent;
	uint32_t units;
	uint32_t subtree_max; /* bit 31: the node is red */
};

struct extent_tree {
	struct extent_node *nodes; /* one for each unit; the caller's memory, need not be cleared */
	uint32_t root;
	uint32_t extents;    /* nodes in the tree */
	uint64_t free_units; /* sum of their units */
};

/* A run of `units` with (start + bias) a multiple of `alignment` (a power of two, in units). */
struct extent_request {
	uint32_t units, alignment, bias;
};

void extent_tree_init(struct extent_tree *tree, struct extent_node *nodes);
/*
 * Take a run that fits; its start, or EXTENT_NONE. Alignment 1: the lowest, in O(log n). Otherwise
 * the lowest too, unless more than EXTENT_TREE_TRIES extents in front of it are long enough and yet
 * do not fit.
 */
#define EXTENT_TREE_TRIES 16u
uint32_t extent_tree_take(struct extent_tree *tree, const struct extent_request *request);
/* Take exactly [start, start + units) if all of it is free: 0, else -1. */
int extent_tree_take_at(struct extent_tree *tree, uint32_t start, uint32_t units);
/* Give a run back; it joins its free neighbours. Returns the start of the joined extent. O(log n).
 */
uint32_t extent_tree_give(struct extent_tree *tree, uint32_t start, uint32_t units);

static inline uint32_t extent_tree_units(const struct extent_tree *tree, uint32_t start)
{
	return tree->nodes[start].units;
}
uint32_t extent_tree_largest(const struct extent_tree *tree);
/* The extents in address order; EXTENT_NONE ends. */
uint32_t extent_tree_first(const struct extent_tree *tree);
uint32_t extent_tree_next(const struct extent_tree *tree, uint32_t node);

/* Recompute everything from ground truth: 0, or the number of the rule that fails (see
 * extent_tree.c). */
int extent_tree_check(const struct extent_tree *tree);

#endif
