/* SPDX-License-Identifier: ISC */
/*
 * The text of a list before expansion, cut into what is written and what is computed, so that the result of each part is known by
 * itself. For the files of this directory only.
 */
#ifndef POSTERN_MATCH_SEGMENT_H
#define POSTERN_MATCH_SEGMENT_H

#include "match/list.h"

struct list_segment {
	struct slice literal;                 /* escapes undone */
	const struct expand_program *program; /* NULL: a literal */
};

/*
 * The text must compile as a whole. Variables that never change become literals (scope->constants). Neighbouring literals are one
 * segment; an empty text has none.
 */
bool list_segments_cut(struct arena *arena, struct slice text, const struct list_scope *scope, const struct list_segment **segments_r,
		       size_t *count_r, struct error *error);

#endif
