/* SPDX-License-Identifier: MIT */
/*
 * extent_tree.c - see extent_tree.h.
 *
 * Order of this file: accessors, summaries, rotations, insert, remove, search, the public verbs,
 * the checker. Invariants, by the number that extent_tree_check returns: 1 parent links agree with
 * child links          4 every path has the same number of black nodes 2 address order, no two
 * extents touch          5 subtree_max is what its definition says 3 the root is black, no red node
 * has a red child  6 extents and free_units are the sums
 */
#include "extent_tree.h"

#include <stdbool.h>

#define RED 0x80000000u

static inline struct extent_node *at(const struct extent_tree *tree, uint32_t n)
{
	return &tree->nodes[n];
}
static inline bool is_red(const struct extent_tree *tree, uint32_t n)
{
	return n != EXTENT_NONE && (at(tree, n)->subtree_max & RED);
}
static inline void paint(const struct extent_tree *tree, uint32_t n, bool red)
{
	at(tree, n)->subtree_max = (at(tree, n)->subtree_max & ~RED) | (red ? RED : 0);
}
static inline uint32_t max_of(const struct extent_tree *tree, uint32_t n)
{
	return n == EXTENT_NONE ? 0 : at(tree, n)->subtree_max & ~RED;
}

/* ------------------------------------------------------------------ summaries */

static uint32_t summary_of(const struct extent_tree *tree, uint32_t n)
{
	uint32_t left = max_of(tree, at(tree, n)->left), right = max_of(tree, at(tree, n)->right);
	uint32_t most = at(tree, n)->units;

	if (left > most)
		most = left;
	return right > most ? right : most;
}

/* Returns whether the summary changed. */
static bool summarise(const struct extent_tree *tree, uint32_t n)
{
	uint32_t old = at(tree, n)->subtree_max, now = summary_of(tree, n);

	at(tree, n)->subtree_max = now | (old & RED);
	return now != (old & ~RED);
}

/* Mend summaries from n to the root; above the first that stays the same nothing can change. */
static void summarise_up(const struct extent_tree *tree, uint32_t n)
{
	while (n != EXTENT_NONE && summarise(tree, n))
		n = at(tree, n)->parent;
}

/* ------------------------------------------------------------------ rotations */

static void replace_child(struct extent_tree *tree, uint32_t parent, uint32_t old, uint32_t now)
{
	if (parent == EXTENT_NONE)
		tree->root = now;
	else if (at(tree, parent)->left == old)
		at(tree, parent)->left = now;
	else
		at(tree, parent)->right = now;
	if (now != EXTENT_NONE)
		at(tree, now)->parent = parent;
}

/*
 *        p              c
 *       / \            / \
 *      a   c    ->    p   d      rotate_up(c), and its mirror image.
 *         / \        / \         c takes p's summary, p's is made anew.
 *        b   d      a   b
 */
static void rotate_up(struct extent_tree *tree, uint32_t c)
{
	uint32_t p = at(tree, c)->parent, inner;

	replace_child(tree, at(tree, p)->parent, p, c);
	if (at(tree, p)->right == c) {
		inner = at(tree, c)->left;
		at(tree, c)->left = p;
		at(tree, p)->right = inner;
	} else {
		inner = at(tree, c)->right;
		at(tree, c)->right = p;
		at(tree, p)->left = inner;
	}
	if (inner != EXTENT_NONE)
		at(tree, inner)->parent = p;
	at(tree, p)->parent = c;
	summarise(tree, p);
	summarise(tree, c);
}

/* ------------------------------------------------------------------ insert */

static uint32_t sibling_of(const struct extent_tree *tree, uint32_t n)
{
	const struct extent_node *parent = at(tree, at(tree, n)->parent);

	return parent->left == n ? parent->right : parent->left;
}

/* n is red; its parent may be red too: recolour upwards, at most two rotations. */
static void insert_fixup(struct extent_tree *tree, uint32_t n)
{
	while (is_red(tree, at(tree, n)->parent)) {
		uint32_t parent = at(tree, n)->parent, grand = at(tree, parent)->parent;
		uint32_t uncle = sibling_of(tree, parent);

		if (is_red(tree, uncle)) {
			paint(tree, parent, false);
			paint(tree, uncle, false);
			paint(tree, grand, true);
			n = grand;
			continue;
		}
		if ((at(tree, grand)->left == parent) != (at(tree, parent)->left == n)) {
			rotate_up(tree, n);
			parent = n;
		}
		paint(tree, parent, false);
		paint(tree, grand, true);
		rotate_up(tree, parent);
		break;
	}
	paint(tree, tree->root, false);
}

static void insert(struct extent_tree *tree, uint32_t n, uint32_t units)
{
	uint32_t parent = EXTENT_NONE, next = tree->root;

	while (next != EXTENT_NONE) {
		parent = next;
		next = n < next ? at(tree, next)->left : at(tree, next)->right;
	}
	*at(tree, n) = (struct extent_node){EXTENT_NONE, EXTENT_NONE, parent, units, units | RED};
	if (parent == EXTENT_NONE)
		tree->root = n;
	else if (n < parent)
		at(tree, parent)->left = n;
	else
		at(tree, parent)->right = n;
	tree->extents++;
	tree->free_units += units;
	summarise_up(tree, parent);
	insert_fixup(tree, n);
}

/* ------------------------------------------------------------------ remove */

/* The subtree at n (maybe empty) under parent is one black node short. Cormen's cases 1 to 4. */
static void remove_fixup(struct extent_tree *tree, uint32_t n, uint32_t parent)
{
	while (n != tree->root && !is_red(tree, n)) {
		bool left = at(tree, parent)->left == n;
		uint32_t sibling = left ? at(tree, parent)->right : at(tree, parent)->left;
		uint32_t near, far;

		if (is_red(tree, sibling)) {
			paint(tree, sibling, false);
			paint(tree, parent, true);
			rotate_up(tree, sibling);
			sibling = left ? at(tree, parent)->right : at(tree, parent)->left;
		}
		near = left ? at(tree, sibling)->left : at(tree, sibling)->right;
		far = left ? at(tree, sibling)->right : at(tree, sibling)->left;
		if (!is_red(tree, near) && !is_red(tree, far)) {
			paint(tree, sibling, true);
			n = parent;
			parent = at(tree, n)->parent;
			continue;
		}
		if (!is_red(tree, far)) {
			paint(tree, near, false);
			paint(tree, sibling, true);
			rotate_up(tree, near);
			far = sibling;
			sibling = near;
		}
		paint(tree, sibling, is_red(tree, parent));
		paint(tree, parent, false);
		paint(tree, far, false);
		rotate_up(tree, sibling);
		n = tree->root;
	}
	if (n != EXTENT_NONE)
		paint(tree, n, false);
}

/* Put `now` where `old` was: links, colour; summaries are the caller's. */
static void take_place(struct extent_tree *tree, uint32_t old, uint32_t now)
{
	struct extent_node *from = at(tree, old), *to = at(tree, now);

	replace_child(tree, from->parent, old, now);
	to->left = from->left;
	to->right = from->right;
	if (to->left != EXTENT_NONE)
		at(tree, to->left)->parent = now;
	if (to->right != EXTENT_NONE)
		at(tree, to->right)->parent = now;
	paint(tree, now, from->subtree_max & RED);
}

static void remove_node(struct extent_tree *tree, uint32_t n)
{
	uint32_t spliced = n, child, parent;
	bool was_black;

	tree->extents--;
	tree->free_units -= at(tree, n)->units;
	if (at(tree, n)->left != EXTENT_NONE && at(tree, n)->right != EXTENT_NONE) {
		spliced = at(tree, n)->right;
		while (at(tree, spliced)->left != EXTENT_NONE)
			spliced = at(tree, spliced)->left;
	}
	child = at(tree, spliced)->left != EXTENT_NONE ? at(tree, spliced)->left
						       : at(tree, spliced)->right;
	parent = at(tree, spliced)->parent;
	was_black = !is_red(tree, spliced);
	replace_child(tree, parent, spliced, child);
	if (spliced != n) {
		take_place(tree, n, spliced);
		if (parent == n)
			parent = spliced;
	}
	/* From the lowest change to the root, all the way: the moved node changed high above it. */
	for (uint32_t up = parent; up != EXTENT_NONE; up = at(tree, up)->parent)
		summarise(tree, up);
	if (was_black)
		remove_fixup(tree, child, parent);
}

/* ------------------------------------------------------------------ search */

static uint32_t aligned_start(const struct extent_request *request, uint32_t start)
{
	uint32_t mask = request->alignment - 1;

	return ((start + request->bias + mask) & ~mask) - request->bias;
}

static bool fits(const struct extent_tree *tree, uint32_t n, const struct extent_request *request)
{
	uint64_t start = aligned_start(request, n);

	return start >= n && start + request->units <= (uint64_t)n + at(tree, n)->units;
}

/* The lowest node with units(n) >= units, by pruning: one path from the root. */
static uint32_t first_fit(const struct extent_tree *tree, uint32_t units)
{
	uint32_t n = tree->root;

	if (max_of(tree, n) < units)
		return EXTENT_NONE;
	for (;;) {
		if (max_of(tree, at(tree, n)->left) >= units)
			n = at(tree, n)->left;
		else if (at(tree, n)->units >= units)
			return n;
		else
			n = at(tree, n)->right;
	}
}

/* The next node after n, in address order, with units(n) >= units. */
static uint32_t next_fit(const struct extent_tree *tree, uint32_t n, uint32_t units)
{
	for (;;) {
		if (max_of(tree, at(tree, n)->right) >= units) {
			n = at(tree, n)->right;
			while (max_of(tree, at(tree, n)->left) >= units)
				n = at(tree, n)->left;
		} else {
			uint32_t from;

			do {
				from = n;
				n = at(tree, n)->parent;
			} while (n != EXTENT_NONE && at(tree, n)->right == from);
			if (n == EXTENT_NONE)
				return EXTENT_NONE;
		}
		if (at(tree, n)->units >= units)
			return n;
	}
}

/*
 * A low fit in three steps, so that alignment cannot make the search linear while memory is plenty:
 * a few candidates that may fit by luck, then one that fits for certain, at last all.
 */
static uint32_t find(const struct extent_tree *tree, const struct extent_request *request)
{
	uint32_t n = first_fit(tree, request->units), tries;

	for (tries = 0; n != EXTENT_NONE && tries < EXTENT_TREE_TRIES; tries++) {
		if (fits(tree, n, request))
			return n;
		n = next_fit(tree, n, request->units);
	}
	if (n == EXTENT_NONE)
		return EXTENT_NONE;
	tries = first_fit(tree, request->units + request->alignment - 1);
	if (tries != EXTENT_NONE)
		return tries;
	while (n != EXTENT_NONE && !fits(tree, n, request))
		n = next_fit(tree, n, request->units);
	return n;
}

/* ------------------------------------------------------------------ verbs */

void extent_tree_init(struct extent_tree *tree, struct extent_node *nodes)
{
	*tree = (struct extent_tree){.nodes = nodes, .root = EXTENT_NONE};
}

static void resize(struct extent_tree *tree, uint32_t n, uint32_t units)
{
	tree->free_units += units;
	tree->free_units -= at(tree, n)->units;
	at(tree, n)->units = units;
	summarise_up(tree, n);
}

/* Move node `old` to slot `now`, which keeps its place in the order, with a new length. */
static void move(struct extent_tree *tree, uint32_t old, uint32_t now, uint32_t units)
{
	tree->free_units += units;
	tree->free_units -= at(tree, old)->units;
	at(tree, now)->subtree_max = at(tree, old)->subtree_max;
	take_place(tree, old, now);
	at(tree, now)->units = units;
	/* The slot's old content must not be taken for "nothing changed": mend up to the root. */
	for (uint32_t up = now; up != EXTENT_NONE; up = at(tree, up)->parent)
		summarise(tree, up);
}

/*
 * Cut [start, start + units) out of node n:
 *
 *	n         start        start + units      end
 *	|  head   |   taken    |      tail        |
 */
static void cut(struct extent_tree *tree, uint32_t n, uint32_t start, uint32_t units)
{
	uint32_t end = n + at(tree, n)->units, head = start - n, tail = end - (start + units);

	if (head && tail) {
		resize(tree, n, head);
		insert(tree, start + units, tail);
	} else if (head) {
		resize(tree, n, head);
	} else if (tail) {
		move(tree, n, start + units, tail);
	} else {
		remove_node(tree, n);
	}
}

uint32_t extent_tree_take(struct extent_tree *tree, const struct extent_request *request)
{
	uint32_t n = find(tree, request), start;

	if (n == EXTENT_NONE)
		return EXTENT_NONE;
	start = aligned_start(request, n);
	cut(tree, n, start, request->units);
	return start;
}

/* The neighbours of `start` in address order; it is in neither. */
static void neighbours(const struct extent_tree *tree, uint32_t start, uint32_t *before,
		       uint32_t *after)
{
	uint32_t n = tree->root;

	*before = *after = EXTENT_NONE;
	while (n != EXTENT_NONE) {
		if (n > start) {
			*after = n;
			n = at(tree, n)->left;
		} else {
			*before = n;
			n = at(tree, n)->right;
		}
	}
}

int extent_tree_take_at(struct extent_tree *tree, uint32_t start, uint32_t units)
{
	uint32_t n, after;

	neighbours(tree, start, &n, &after);
	if (n == EXTENT_NONE || n + at(tree, n)->units < start + units)
		return -1;
	cut(tree, n, start, units);
	return 0;
}

uint32_t extent_tree_give(struct extent_tree *tree, uint32_t start, uint32_t units)
{
	uint32_t before, after;
	bool joins_before, joins_after;

	neighbours(tree, start, &before, &after);
	joins_before = before != EXTENT_NONE && before + at(tree, before)->units == start;
	joins_after = after != EXTENT_NONE && start + units == after;
	if (joins_after) {
		units += at(tree, after)->units;
		if (!joins_before) {
			move(tree, after, start, units);
			return start;
		}
		remove_node(tree, after);
	}
	if (joins_before) {
		resize(tree, before, at(tree, before)->units + units);
		return before;
	}
	insert(tree, start, units);
	return start;
}

uint32_t extent_tree_largest(const struct extent_tree *tree)
{
	return max_of(tree, tree->root);
}

uint32_t extent_tree_first(const struct extent_tree *tree)
{
	return first_fit(tree, 1);
}

uint32_t extent_tree_next(const struct extent_tree *tree, uint32_t node)
{
	return next_fit(tree, node, 1);
}

/* ------------------------------------------------------------------ the checker */

struct check {
	const struct extent_tree *tree;
	uint64_t end_of_last; /* of the extent before, plus one: extents must not touch */
	uint32_t extents;
	uint64_t units;
	int broken;
};

/* In order; returns the number of black nodes on every path below n. */
static int check_subtree(struct check *check, uint32_t n, uint32_t parent)
{
	const struct extent_node *node;
	int left, right;

	if (n == EXTENT_NONE)
		return 0;
	node = at(check->tree, n);
	if (node->parent != parent)
		check->broken = 1;
	if (check->broken)
		return 0;
	left = check_subtree(check, node->left, n);
	if (n < check->end_of_last || node->units == 0)
		check->broken = 2;
	check->end_of_last = (uint64_t)n + node->units + 1;
	check->extents++;
	check->units += node->units;
	right = check_subtree(check, node->right, n);
	if (check->broken)
		return 0;
	if (is_red(check->tree, n) &&
	    (is_red(check->tree, node->left) || is_red(check->tree, node->right)))
		check->broken = 3;
	else if (left != right)
		check->broken = 4;
	else if (max_of(check->tree, n) != summary_of(check->tree, n))
		check->broken = 5;
	return left + !is_red(check->tree, n);
}

int extent_tree_check(const struct extent_tree *tree)
{
	struct check check = {.tree = tree};

	if (is_red(tree, tree->root))
		return 3;
	check_subtree(&check, tree->root, EXTENT_NONE);
	if (!check.broken && (check.extents != tree->extents || check.units != tree->free_units))
		check.broken = 6;
	return check.broken;
}
