/* SPDX-License-Identifier: ISC */
/* Lists as conditions of expansions see them: match_domain, match_ip, inlist and their kin (expand/expand.h). */
#include "match/matching.h"

_Static_assert((int)EXPAND_LIST_HOST == LIST_HOST && (int)EXPAND_LIST_DOMAIN == LIST_DOMAIN && (int)EXPAND_LIST_ADDRESS == LIST_ADDRESS &&
		       (int)EXPAND_LIST_LOCAL_PART == LIST_LOCAL_PART && (int)EXPAND_LIST_STRING == LIST_STRING,
	       "expand.h has the kinds of lists in this order");

static bool compile(const struct expand_language *language, struct arena *arena, enum expand_list kind, struct slice text,
		    enum expand_place place, const struct list **list_r, struct error *error)
{
	struct list_scope scope = *language->lists;
	scope.language = language;
	scope.place = place;
	scope.cached = false;
	if (kind != EXPAND_LIST_IP)
		return list_compile(arena, (enum list_kind)kind, text, &scope, list_r, error);
	if (!list_compile(arena, LIST_HOST, text, &scope, list_r, error))
		return false;
	struct list *list = arena_new(arena, struct list);
	*list = **list_r;
	list->addresses_only = true;
	*list_r = list;
	return true;
}

/* EXPAND_FAIL for a text that is no IP address; *skip_r for an address without domain, which is in no list. */
static enum expand_result make_subject(enum list_kind kind, struct slice text, struct net_address *host, struct list_subject *subject,
				       bool *skip_r, struct error *error)
{
	size_t at;
	switch (kind) {
	case LIST_HOST:
		if (text.len == 0)
			break;
		if (!net_address_parse(text, host)) {
			error_set(error, ERROR_PERMANENT, "\"%.*s\" is not an IP address", SLICE_ARG(slice_first(text, 100)));
			return EXPAND_FAIL;
		}
		subject->host = host;
		break;
	case LIST_ADDRESS:
		at = slice_find_last(text, '@');
		*skip_r = text.len && at == text.len;
		subject->local_part = slice_first(text, at);
		subject->domain = slice_from(text, at + 1);
		break;
	case LIST_DOMAIN:
		subject->domain = text;
		break;
	case LIST_LOCAL_PART:
		subject->local_part = text;
		break;
	default:
		subject->string = text;
	}
	return EXPAND_OK;
}

static enum expand_result match(const struct list *list, const struct expand_context *context, struct expand_value text,
				bool caseless, struct arena *arena, bool *yes_r, struct expand_list_found *found_r, struct error *error)
{
	struct list_subject subject = { .caseless = caseless };
	struct net_address host;
	struct list_match result;
	bool skip = false;
	*yes_r = false;
	found_r->data = (struct expand_value){ SLICE(""), false };
	found_r->number_count = 0;
	enum expand_result outcome = make_subject(list_kind(list), text.text, &host, &subject, &skip, error);
	if (outcome != EXPAND_OK || skip)
		return outcome;
	outcome = list_match(list, &subject, context, arena, &result, error);
	if (outcome != EXPAND_OK)
		return outcome;
	*yes_r = result.yes;
	found_r->data = (struct expand_value){ arena_copy(arena, result.data), result.tainted };
	/* As in Exim only conditions on domains and local parts set the numbers; rewriting has those of addresses from list_match. */
	bool numbers = list_kind(list) == LIST_DOMAIN || list_kind(list) == LIST_LOCAL_PART;
	for (size_t i = 0; numbers && i < result.number_count && i < EXPAND_NUMBERS; i++)
		found_r->numbers[found_r->number_count++] = (struct expand_value){ result.numbers[i], text.tainted };
	return EXPAND_OK;
}

void list_language_init(struct expand_language *language, const struct list_scope *scope)
{
	language->lists = scope;
	language->list_compile = compile;
	language->list_match = match;
}
