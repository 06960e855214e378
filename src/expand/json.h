/* SPDX-License-Identifier: ISC */
/*
 * Parts of a JSON text (RFC 8259), for ${extract json{...}}, forall_json and their kin: a member of an object, an element of an
 * array, all elements of an array. Values are given as the text in which they were written, so that numbers and escapes come out
 * as they went in; with `unquote`, values must be strings, and come without their quotes, escapes left alone, as Exim does.
 *
 * The whole text is checked before any of it is used: a value that is found is part of a well-formed whole.
 */
#ifndef POSTERN_EXPAND_JSON_H
#define POSTERN_EXPAND_JSON_H

#include "base/arena.h"
#include "base/error.h"
#include "expand/service.h"

enum { EXPAND_JSON_DEPTH_MAX = 64, EXPAND_JSON_SIZE_MAX = 1 << 20, EXPAND_JSON_ITEMS_MAX = 100000 };

/*
 * The member of that name (case matters; the first, if there are several), or, when `key_or_index` is all digits, the element of
 * that number, from 1. Other arguments are EXPAND_OK with *found_r false, when there is none, or EXPAND_FAIL with *error: the text is not
 * what it should be, or with `unquote`, the value is no string. *out_r is a slice of `json`.
 */
enum expand_result expand_json_extract(struct slice json, struct slice key_or_index, bool unquote, struct arena *arena,
				       struct slice *out_r, bool *found_r, struct error *error);

/* The elements of an array; slices of `json`, their table in `arena`. False with *error as above. */
bool expand_json_array(struct slice json, bool unquote, struct arena *arena, struct slice **items_r, size_t *count_r,
		       struct error *error);

#endif
