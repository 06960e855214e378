/* SPDX-License-Identifier: ISC */
/*
 * "@@lsearch;/file": the domain of an address is looked up, and gives a list of patterns for the local part. When its last item
 * is ">" and a word, that word is looked up for more of them.
 */
#include "match/item.h"
#include "match/matching.h"
#include "match/split.h"

#include "base/clock.h"

enum { CHAIN_MAX = 50 };

/* The patterns, without the word after ">"; *next_r is that word, empty when there is none. */
static struct slice cut_chain(struct slice patterns, struct slice *next_r)
{
	size_t colon = slice_find_last(patterns, ':');
	size_t last = colon == patterns.len ? 0 : colon + 1;
	struct slice item = slice_trim(slice_from(patterns, last));
	*next_r = SLICE("");
	if (item.len == 0 || item.data[0] != '>')
		return patterns;
	*next_r = slice_trim(slice_from(item, 1));
	return slice_first(patterns, last);
}

/* One pattern: YES and NO are the list's answer, UNKNOWN: it does not match. */
static enum list_answer try_pattern(struct list_matching *m, const struct list_item *item, struct slice pattern,
				    const struct list_probe *probe, struct list_found *found)
{
	struct list_file *files = NULL;
	const struct list_source source = { .running = m->context, .files = &files };
	struct list_item_context context = {
		.kind = LIST_LOCAL_PART, .scope = item->lookup->scope, .arena = m->arena, .in_file = true, .source = &source,
		.running = true, .caseful = item->caseful, .depth = 1,
	};
	const struct list *list;
	struct list_match match;
	struct list_probe local;
	bool negative = pattern.len && pattern.data[0] == '!';
	if (negative)
		pattern = slice_trim(slice_from(pattern, 1));
	if (!list_compile_item(&context, LIST_LOCAL_PART, pattern, &list, m->error))
		return LIST_ANSWER_FAIL;
	list_probe_make(&local, LIST_LOCAL_PART, probe->subject);
	enum expand_result result = list_match_probe(m, list, &local, &match);
	if (result != EXPAND_OK)
		return result == EXPAND_DEFER ? LIST_ANSWER_DEFER : LIST_ANSWER_FAIL;
	if (!match.yes)
		return LIST_ANSWER_UNKNOWN;
	found->data = match.data;
	found->tainted |= match.tainted;
	return negative ? LIST_ANSWER_NO : LIST_ANSWER_YES;
}

static enum list_answer try_patterns(struct list_matching *m, const struct list_item *item, struct slice patterns,
				     const struct list_probe *probe, struct list_found *found)
{
	struct list_splitter splitter;
	struct slice pattern;
	list_split_start(&splitter, patterns);
	while (list_split_next(&splitter, m->arena, &pattern)) {
		enum list_answer answer = try_pattern(m, item, pattern, probe, found);
		if (answer != LIST_ANSWER_UNKNOWN)
			return answer;
	}
	return LIST_ANSWER_UNKNOWN;
}

enum list_answer list_split_try(struct list_matching *m, const struct list_item *item, const struct list_probe *probe,
				struct list_found *found)
{
	if (!list_can_ask(m))
		return LIST_ANSWER_FAIL;
	struct slice key = arena_copy_lower(m->arena, probe->name);
	for (size_t count = 0; key.len; count++) {
		struct list_found patterns = { 0 };
		if (count == CHAIN_MAX) {
			error_set(m->error, ERROR_PERMANENT, "the lists of local parts in %.*s go on for more than %d items, or in a circle",
				  SLICE_ARG(slice_first(item->lookup->file, 200)), CHAIN_MAX);
			return LIST_ANSWER_FAIL;
		}
		enum list_answer answer = list_lookup_find(m, item->lookup, key, true, &patterns);
		if (answer != LIST_ANSWER_YES)
			return answer;
		struct slice text = cut_chain(patterns.data, &key);
		found->tainted = patterns.tainted;
		found->found_data = true;
		answer = try_patterns(m, item, text, probe, found);
		if (answer != LIST_ANSWER_UNKNOWN)
			return answer;
		if (item->lookup->query)
			break;
	}
	return LIST_ANSWER_NO;
}
