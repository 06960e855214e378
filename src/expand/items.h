/* SPDX-License-Identifier: ISC */
/*
 * Lists inside of strings, as expansions walk and build them (Exim's manual, chapter 6 §21): items are separated by colons, or by
 * the character that follows a "<" at the start; a doubled separator stands for itself; white space around items is dropped; a
 * separator at the very end adds no item. A control character as separator cannot be doubled: two of them enclose an empty item.
 */
#ifndef POSTERN_EXPAND_ITEMS_H
#define POSTERN_EXPAND_ITEMS_H

#include "base/arena.h"
#include "base/buf.h"

/*
 * Takes the next item off *rest. *separator is 0 before the first call: then "<x" at the start of *rest is looked for, and
 * *separator becomes what separates the list. False at the end of the list. The item is a slice of the text, or where it held a
 * doubled separator, a copy in `arena`.
 */
bool expand_list_next(struct slice *rest, char *separator, struct arena *arena, struct slice *item_r);

/* Number of items. */
size_t expand_list_count(struct slice list, struct arena *arena);

/*
 * Appends one item to a list that is being built, with separators in it doubled. `first`: it is the list's first item, so no
 * separator goes before it. False when `out` is full.
 */
bool expand_list_append(struct buf *out, char separator, bool first, struct slice item);

#endif
