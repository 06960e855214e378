/* SPDX-License-Identifier: ISC */
/* One item of a list, negation already taken off, to its compiled form. For the files of this directory only. */
#ifndef POSTERN_MATCH_ITEM_H
#define POSTERN_MATCH_ITEM_H

#include "match/compiled.h"

struct list_item_context {
	enum list_kind kind;
	const struct list_scope *scope;
	struct arena *arena;
	bool in_file;   /* items of files cannot name other lists */
	unsigned depth; /* raised to that of each named list used */
	struct slice primary_hostname; /* in the arena */
};

/* Fills the item's kind, key, data and the like; text must live in the arena. */
bool list_item_parse(struct list_item_context *context, struct slice text, struct list_item *item, struct error *error);

#endif
