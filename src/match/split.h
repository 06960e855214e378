/* SPDX-License-Identifier: ISC */
/*
 * The items of a list's text, by Exim's rules (its manual, chapter 6 §20 to 22): separated by colons, or by the character that
 * follows a leading "<"; a doubled separator stands for itself within an item; spaces around items are dropped; a separator
 * at the very end adds no empty item. A control character as separator ("\n" once expanded) cannot be doubled.
 */
#ifndef POSTERN_MATCH_SPLIT_H
#define POSTERN_MATCH_SPLIT_H

#include "base/arena.h"

struct list_splitter {
	struct slice rest;
	struct slice raw; /* the item returned last as it stands in the text */
	char separator;
};

/* Keeps a slice of the text, no copy. */
void list_split_start(struct list_splitter *splitter, struct slice text);
/*
 * The next item, or false at the end. It is a slice of the text, or, when it held a doubled separator, a copy in `arena`.
 */
bool list_split_next(struct list_splitter *splitter, struct arena *arena, struct slice *item_r);

#endif
