/* SPDX-License-Identifier: ISC */
#include "lookup/text.h"

#include "base/cleanup.h"
#include "base/fatal.h"

enum { LINES_MAX = 1 << 24 };

bool lookup_text_build(struct lookup_text *text, struct lookup_file *file, struct error *error)
{
	_cleanup_heap_ struct lookup_line *lines = NULL;
	size_t count = 0, size = 0;
	struct lookup_lines reader = { .rest = file->text };
	struct lookup_line line;
	while (lookup_lines_next(&reader, &file->arena, &line)) {
		if (count == LINES_MAX)
			return error_set(error, ERROR_PERMANENT, "the file has more than %d items", LINES_MAX);
		if (count == size) {
			size = size ? size * 2 : 64;
			lines = xrealloc(lines, size * sizeof *lines);
		}
		lines[count++] = line;
	}
	struct lookup_line *kept = arena_array(&file->arena, count ? count : 1, sizeof *kept);
	if (count > 0)
		memcpy(kept, lines, count * sizeof *kept);
	*text = (struct lookup_text){ .lines = kept, .count = count };
	return true;
}

void lookup_text_answer(const struct lookup_line *line, const struct search *search, const struct expand_request *request,
			struct arena *arena, struct expand_answer *answer_r)
{
	bool full = slice_equal(lookup_option(search, request, "ret"), SLICE("full"));
	answer_r->found = true;
	answer_r->text = arena_copy(arena, full ? line->full : line->data);
}
