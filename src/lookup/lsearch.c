/* SPDX-License-Identifier: ISC */
/* lsearch: keys of a text file, compared without case. The file's lines are a set, so a search is a hash probe however many there are. */
#include "lookup/files.h"
#include "lookup/lines.h"
#include "lookup/text.h"
#include "match/set.h"

struct lsearch_index {
	struct lookup_text text;
	struct set keys;
};

static bool build(struct lookup_file *file, struct error *error)
{
	struct lsearch_index *index = arena_new(&file->arena, struct lsearch_index);
	if (!lookup_text_build(&index->text, file, error))
		return false;
	set_init(&index->keys, &file->arena, index->text.count, true);
	for (size_t i = 0; i < index->text.count; i++)
		set_add(&index->keys, index->text.lines[i].key, (uint32_t)i);
	file->index = index;
	return true;
}

static const struct lookup_file_kind kind = { .name = "lsearch", .purpose = "linear search", .build = build };

static enum expand_result find(struct lookup_world *world, const struct search *search, const struct expand_request *request,
			       struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	struct lookup_file *file;
	enum expand_result result = lookup_file_take(world, &kind, request->file, request->deadline, &file, error);
	if (result != EXPAND_OK)
		return result;
	const struct lsearch_index *index = file->index;
	uint32_t item = set_find(&index->keys, key);
	if (item != SET_NONE)
		lookup_text_answer(&index->text.lines[item], search, request, arena, answer_r);
	lookup_file_release(&file);
	return EXPAND_OK;
}

const struct lookup_driver lookup_driver_lsearch = { .name = "lsearch", .find = find };
