/* SPDX-License-Identifier: ISC */
/*
 * A text made of the pieces of an expansion, for those who read a language of their own out of it (dnsdb queries, dnslists, the
 * parts of ratelimit): bytes that a peer had a hand in are no syntax there, so that they cannot add an item, a type or an option.
 * Nor do they change the syntax beside them: two separators are a doubled one only within one piece, so that an empty value
 * between them, or a value that begins with one, doubles nothing.
 *
 * A struct piece_text is a plain value and a place to read from; its bytes lie in the arena that joined them.
 */
#ifndef POSTERN_EXPAND_PIECES_H
#define POSTERN_EXPAND_PIECES_H

#include "base/arena.h"
#include "expand/service.h"

struct piece_text {
	const char *data;
	const bool *bound;  /* for each byte: it is no syntax */
	const bool *begins; /* for each byte: it is the first of its piece */
	size_t at, len;
};

/* `count` pieces; what was computed and is tainted is bound. */
struct piece_text piece_text_join(const struct expand_piece *pieces, size_t count, struct arena *arena);
/* A text of the configuration's own. */
struct piece_text piece_text_plain(struct slice text, struct arena *arena);

/* What is left to be read. */
static inline struct slice piece_text_rest(const struct piece_text *text)
{
	return slice_make(text->data + text->at, text->len - text->at);
}

/* Whether that byte is next, and syntax. */
bool piece_text_is(const struct piece_text *text, char byte);
void piece_text_skip_space(struct piece_text *text);
/* Where that byte stands next as syntax; the text's length when it does not. */
size_t piece_text_find(const struct piece_text *text, char byte);
/* The part from `start` to `end`, read from its start. */
struct piece_text piece_text_part(const struct piece_text *text, size_t start, size_t end);
/* Blanks at both ends dropped. */
struct piece_text piece_text_trim(struct piece_text text);
/* How many of the bytes that are next could be syntax, all of them before the first that is bound. */
size_t piece_text_written(const struct piece_text *text);
/* Whether any byte of what is left is bound. */
bool piece_text_any_bound(const struct piece_text *text);
/* Whether all that is left is bound: one value of a peer's, to be read as the list that it is. */
bool piece_text_all_bound(const struct piece_text *text);
/* "<;" at the start of a list: takes it off and returns the separator; a colon otherwise. */
char piece_text_take_separator(struct piece_text *text);
/*
 * The next item of a list, without the blanks around it: a separator that is doubled in one piece is one byte of it. `all`: bound separators count as well.
 * False at the end.
 */
bool piece_text_next(struct piece_text *text, char separator, bool all, struct arena *arena, struct piece_text *item_r);

#endif
