/* SPDX-License-Identifier: ISC */
/* What the drivers over text files share: all lines of a file, and the answer made from one. */
#ifndef POSTERN_LOOKUP_TEXT_H
#define POSTERN_LOOKUP_TEXT_H

#include "lookup/files.h"
#include "lookup/lines.h"

struct lookup_text {
	const struct lookup_line *lines; /* in the file's arena, or slices of its text */
	size_t count;
};

bool lookup_text_build(struct lookup_text *text, struct lookup_file *file, struct error *error);
/* The data, or with ret=full the whole line, copied into `arena`. */
void lookup_text_answer(const struct lookup_line *line, const struct search *search, const struct expand_request *request,
			struct arena *arena, struct expand_answer *answer_r);

#endif
