/* SPDX-License-Identifier: ISC */
/*
 * A text and where its parts came from: what an expansion computed, and of that what a peer had a hand in. The rest was written in
 * the configuration. For the files of this directory only.
 */
#ifndef POSTERN_MATCH_ORIGIN_H
#define POSTERN_MATCH_ORIGIN_H

#include "base/arena.h"
#include "expand/service.h"

/* A part that was computed: bytes start to end - 1 of the text. */
struct list_origin {
	size_t start, end;
	bool tainted;
};

/* Origins are in order, not empty, and do not overlap. */
struct list_text {
	struct slice text;
	const struct list_origin *origins;
	size_t count;
};

/* Whether a part, a slice of the text's own bytes, holds something tainted; and whether anything computed. */
bool list_text_tainted(const struct list_text *text, struct slice part);
bool list_text_computed(const struct list_text *text, struct slice part);
/* The length of what was written in the configuration at the part's start. */
size_t list_text_written(const struct list_text *text, struct slice part);
/* The part as pieces of a query, copied into the arena; at least one unless it is empty. */
const struct expand_piece *list_text_pieces(const struct list_text *text, struct slice part, struct arena *arena, size_t *count_r);
/*
 * The text of one item: `raw` is a slice of `whole`, `item` is raw itself or a copy in which doubled separators are single ones.
 */
struct list_text list_text_item(const struct list_text *whole, struct slice raw, struct slice item, char separator,
				struct arena *arena);

#endif
