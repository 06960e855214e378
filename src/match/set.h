/* SPDX-License-Identifier: ISC */
/*
 * Sets of byte strings that are filled once and then only read: from a key to the number of the first item that had it. Open
 * addressing over the arena, at most half full. (uthash would put two pointers and a malloc into every item, and its lookups
 * cannot fold case without a copy of the subject.)
 *
 * Keys are not copied; they must live as long as the set.
 */
#ifndef POSTERN_MATCH_SET_H
#define POSTERN_MATCH_SET_H

#include "base/arena.h"

enum { SET_NONE = UINT32_MAX };

struct set_entry {
	struct slice key;
	uint32_t hash;
	uint32_t item; /* SET_NONE: the place is free */
};

struct set {
	struct set_entry *entries;
	uint32_t mask; /* places - 1; there are none when entries is NULL */
	bool nocase;
};

/* For at most `count` keys (below 2^30). With 0 it takes no memory and holds nothing. */
void set_init(struct set *set, struct arena *arena, size_t count, bool nocase);
/* A key that is already there keeps its first item. */
void set_add(struct set *set, struct slice key, uint32_t item);
/* The item, or SET_NONE. */
uint32_t set_find(const struct set *set, struct slice key);

#endif
