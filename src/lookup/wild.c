/* SPDX-License-Identifier: ISC */
/*
 * wildlsearch and nwildlsearch (Exim's manual, chapter 9 §3): keys of a text file are patterns, tried in their order, with case ignored:
 *
 *   *.example.org    ends with      ^\d+@          regular expression      !KEY   all that KEY does not match
 *   cdb;/etc/list    is found by another single-key lookup                 other: just this text
 *
 * wildlsearch expands each key before that, when the file is read. That is once for many messages, so a key can have variables
 * of the configuration ($primary_hostname), but none of the message at hand.
 */
#include "base/fatal.h"
#include "expand/expand.h"
#include "expand/regex.h"
#include "lookup/text.h"

enum pattern_kind { LITERAL, SUFFIX, REGEX, NESTED };

struct pattern {
	enum pattern_kind kind;
	bool negated;
	struct slice text; /* LITERAL, SUFFIX; NESTED: the search type */
	struct slice file; /* NESTED */
	const struct regex *regex;
};

struct wild_index {
	struct lookup_text text;
	struct pattern *patterns; /* one for each line */
	struct regex_scratch *scratch;
};

/* "lsearch;/etc/list": a known single-key type before the first semicolon. */
static bool parse_nested(struct slice key, struct arena *arena, struct pattern *pattern)
{
	size_t semicolon = slice_find(key, ';');
	struct search search;
	struct error unused;
	if (semicolon == key.len || !search_parse(slice_trim(slice_first(key, semicolon)), arena, &search, &unused) ||
	    search.type->style != SEARCH_SINGLE_KEY)
		return false;
	*pattern = (struct pattern){ .kind = NESTED, .text = slice_trim(slice_first(key, semicolon)),
				     .file = slice_trim(slice_from(key, semicolon + 1)) };
	return true;
}

static bool compile_pattern(struct wild_index *index, struct arena *arena, struct slice key, struct pattern *pattern, struct error *error)
{
	bool negated = slice_starts(key, SLICE("!"));
	if (negated)
		key = slice_trim(slice_from(key, 1));
	if (slice_starts(key, SLICE("^"))) {
		*pattern = (struct pattern){ .kind = REGEX };
		if (!regex_compile(arena, index->scratch, key, true, &pattern->regex, error, NULL))
			return false;
	} else if (slice_starts(key, SLICE("*"))) {
		*pattern = (struct pattern){ .kind = SUFFIX, .text = slice_from(key, 1) };
	} else if (!parse_nested(key, arena, pattern)) {
		*pattern = (struct pattern){ .kind = LITERAL, .text = key };
	}
	pattern->negated = negated;
	return true;
}

static bool expand_key(const struct lookup_file *file, struct arena *arena, struct slice *key, struct error *error)
{
	const struct expand_program *program;
	struct expand_value value;
	size_t column;
	if (!expand_compile(arena, *key, EXPAND_PLACE_LOAD, NULL, &program, error, &column))
		return false;
	if (expand_constant(program, key))
		return true;
	if (!file->constants)
		return error_set(error, ERROR_PERMANENT, "variables cannot be used here");
	if (expand_run(program, file->constants, arena, &value, error) != EXPAND_OK)
		return false;
	*key = value.text;
	return true;
}

static bool build(struct lookup_file *file, bool expands, struct error *error)
{
	struct wild_index *index = arena_new(&file->arena, struct wild_index);
	file->index = index;
	index->scratch = regex_scratch_new();
	if (!lookup_text_build(&index->text, file, error))
		return false;
	index->patterns = arena_array(&file->arena, index->text.count + 1, sizeof *index->patterns);
	for (size_t i = 0; i < index->text.count; i++) {
		const struct lookup_line *line = &index->text.lines[i];
		struct slice key = line->key;
		if ((expands && !expand_key(file, &file->arena, &key, error)) ||
		    !compile_pattern(index, &file->arena, key, &index->patterns[i], error))
			return error_context(error, "line %zu: key \"%.*s\"", line->number, SLICE_ARG(slice_first(line->key, 100)));
	}
	return true;
}

static bool build_expanded(struct lookup_file *file, struct error *error)
{
	return build(file, true, error);
}

static bool build_plain(struct lookup_file *file, struct error *error)
{
	return build(file, false, error);
}

static void release(struct lookup_file *file)
{
	struct wild_index *index = file->index;
	if (index)
		regex_scratch_free(&index->scratch);
}

static const struct lookup_file_kind wild_kind = { .name = "wildlsearch", .purpose = "wildcard search", .build = build_expanded,
	.release = release };
static const struct lookup_file_kind nwild_kind = { .name = "nwildlsearch", .purpose = "wildcard search", .build = build_plain,
	.release = release };

struct wild_search {
	struct lookup_world *world;
	const struct expand_request *request;
	struct slice key;
	struct arena *arena;
	struct error *error;
};

static enum expand_result ask_nested(struct wild_search *wild, const struct pattern *pattern, bool *yes_r)
{
	struct slice types[] = { SLICE("wildlsearch"), SLICE("nwildlsearch") };
	struct search search;
	if (!search_parse(pattern->text, wild->arena, &search, wild->error))
		return EXPAND_FAIL;
	for (size_t i = 0; i < 2; i++)
		if (slice_equal(slice_of(search.type->name), types[i]))
			return lookup_fail(wild->error, "a key of a %s file cannot be a %s lookup itself", search.type->name, search.type->name);
	struct expand_request request = { .service = EXPAND_SERVICE_LOOKUP, .type = pattern->text, .file = pattern->file,
		.key = wild->key, .key_tainted = wild->request->key_tainted, .deadline = wild->request->deadline };
	struct expand_answer answer;
	enum expand_result result = lookup_ask(wild->world, &request, wild->arena, &answer, wild->error);
	*yes_r = answer.found;
	return result;
}

static enum expand_result match_pattern(struct wild_search *wild, const struct pattern *pattern, bool *yes_r)
{
	switch (pattern->kind) {
	case LITERAL:
		*yes_r = slice_equal_nocase(wild->key, pattern->text);
		return EXPAND_OK;
	case SUFFIX:
		*yes_r = slice_ends_nocase(wild->key, pattern->text);
		return EXPAND_OK;
	case REGEX: {
		enum regex_result result = regex_match(pattern->regex, wild->key, NULL, wild->error);
		*yes_r = result == REGEX_YES;
		return result == REGEX_LIMIT ? EXPAND_DEFER : EXPAND_OK;
	}
	case NESTED:
		return ask_nested(wild, pattern, yes_r);
	}
	return EXPAND_OK;
}

static enum expand_result find_line(struct wild_search *wild, const struct wild_index *index, const struct lookup_line **line_r)
{
	*line_r = NULL;
	for (size_t i = 0; i < index->text.count; i++) {
		const struct pattern *pattern = &index->patterns[i];
		bool yes = false;
		enum expand_result result = match_pattern(wild, pattern, &yes);
		if (result != EXPAND_OK) {
			error_context(wild->error, "line %zu", index->text.lines[i].number);
			return result;
		}
		if (yes != pattern->negated) {
			*line_r = &index->text.lines[i];
			return EXPAND_OK;
		}
	}
	return EXPAND_OK;
}

static enum expand_result find_in(const struct lookup_file_kind *kind, struct wild_search *wild, const struct search *search,
				  struct expand_answer *answer_r)
{
	struct lookup_file *file;
	const struct lookup_line *line;
	enum expand_result result = lookup_file_take(wild->world, kind, wild->request->file, wild->request->deadline, &file, wild->error);
	if (result != EXPAND_OK)
		return result;
	result = find_line(wild, file->index, &line);
	if (result != EXPAND_OK)
		error_context(wild->error, "%s", file->path);
	else if (line)
		lookup_text_answer(line, search, wild->request, wild->arena, answer_r);
	lookup_file_release(&file);
	return result;
}

static enum expand_result find_wild(struct lookup_world *world, const struct search *search, const struct expand_request *request,
				    struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	struct wild_search wild = { world, request, key, arena, error };
	return find_in(&wild_kind, &wild, search, answer_r);
}

static enum expand_result find_nwild(struct lookup_world *world, const struct search *search, const struct expand_request *request,
				     struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	struct wild_search wild = { world, request, key, arena, error };
	return find_in(&nwild_kind, &wild, search, answer_r);
}

const struct lookup_driver lookup_driver_wildlsearch = { .name = "wildlsearch", .find = find_wild };
const struct lookup_driver lookup_driver_nwildlsearch = { .name = "nwildlsearch", .find = find_nwild };
