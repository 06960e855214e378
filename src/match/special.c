/* SPDX-License-Identifier: ISC */
/* Items that are tried one by one: lists in lists, own addresses, pairs of patterns, expressions, and what asks. */
#include "match/matching.h"

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3), and the latter without its tag. */
static bool is_own_literal(const struct list *list, struct slice domain)
{
	struct net_address address;
	if (domain.len < 2 || domain.data[0] != '[' || domain.data[domain.len - 1] != ']')
		return false;
	domain = slice_make(domain.data + 1, domain.len - 2);
	if (slice_starts_nocase(domain, SLICE("IPv6:")))
		domain = slice_from(domain, 5);
	if (!net_address_parse(domain, &address))
		return false;
	address = net_address_unmap(address);
	return list_is_own_address(list, &address);
}

static enum list_answer answer_of(enum expand_result result, bool yes)
{
	if (result == EXPAND_OK)
		return yes ? LIST_ANSWER_YES : LIST_ANSWER_NO;
	return result == EXPAND_DEFER ? LIST_ANSWER_DEFER : LIST_ANSWER_FAIL;
}

/* A list in the list, its result kept when finding it again would mean to ask again. */
static enum list_answer try_sublist(struct list_matching *m, const struct list *list, const struct list_probe *probe,
				    struct list_found *found)
{
	struct list_match inner;
	struct list_cache *kept = m->subject->cache || !m->context ? m->subject->cache : m->context->list_cache;
	struct list_cache *cache = list->asks && !list->varies ? kept : NULL;
	enum expand_result result = EXPAND_OK;
	if (!cache || !list_cache_find(cache, list, probe, &inner)) {
		result = list_match_probe(m, list, probe, &inner);
		if (cache && result == EXPAND_OK)
			list_cache_keep(cache, list, probe, &inner);
	}
	found->name_wanted |= inner.name_wanted;
	if (result == EXPAND_OK && inner.yes) {
		found->data = inner.data;
		found->item = inner.item;
		found->tainted = inner.tainted;
		found->found_data = true;
		found->anything = inner.anything;
		found->excepted = inner.excepted;
		found->number_count = inner.number_count;
		memcpy(found->numbers, inner.numbers, inner.number_count * sizeof *inner.numbers);
	}
	return answer_of(result, inner.yes);
}

static bool plain_matches(const struct list_item *side, struct slice text, bool caseful)
{
	struct slice end = text;
	if (side->kind == LIST_ITEM_ANY)
		return true;
	if (side->kind == LIST_ITEM_SUFFIX) {
		if (text.len < side->key.len)
			return false;
		end = slice_from(text, text.len - side->key.len);
	}
	return caseful ? slice_equal(end, side->key) : slice_equal_nocase(end, side->key);
}

/* Local part first, as Exim does: the domain may have to be looked up. The data stays the item's text, but for lookups. */
static enum list_answer try_pair(struct list_matching *m, const struct list *list, const struct list_item *item,
				 const struct list_probe *probe, struct list_found *found)
{
	const struct list_item *side = item->pair.domain;
	if (probe->empty || !plain_matches(item->pair.local_part, probe->subject->local_part, item->caseful))
		return LIST_ANSWER_NO;
	if (side->kind == LIST_ITEM_LITERAL)
		return is_own_literal(list, probe->name) ? LIST_ANSWER_YES : LIST_ANSWER_NO;
	if (side->kind != LIST_ITEM_SUBLIST)
		return plain_matches(side, probe->name, false) ? LIST_ANSWER_YES : LIST_ANSWER_NO;
	struct list_found inner = { 0 };
	struct list_probe domain;
	const struct list_subject subject = { .domain = probe->name };
	list_probe_make(&domain, LIST_DOMAIN, &subject);
	enum list_answer answer = try_sublist(m, side->sublist, &domain, &inner);
	found->tainted = item->tainted || inner.tainted;
	return answer;
}

/* A whole address as expressions and lookups see it: the local part in lower case unless the list minds. */
static bool whole_address(struct list_matching *m, const struct list_probe *probe, bool caseful, char *buffer, struct slice *text_r)
{
	*text_r = SLICE("");
	if (probe->empty)
		return true;
	if (probe->address_len) {
		size_t folds = caseful ? 0 : probe->subject->local_part.len;
		for (size_t i = 0; i < probe->address_len; i++)
			buffer[i] = i < folds ? ascii_lower(probe->address[i]) : probe->address[i];
		*text_r = slice_make(buffer, probe->address_len);
		return true;
	}
	if (!m->arena)
		return error_set(m->error, ERROR_PERMANENT, "the address is too long to be matched");
	struct slice local_part = probe->subject->local_part, domain = arena_copy_lower(m->arena, probe->subject->domain);
	if (!caseful)
		local_part = arena_copy_lower(m->arena, local_part);
	*text_r = arena_printf(m->arena, "%.*s@%.*s", SLICE_ARG(local_part), SLICE_ARG(domain));
	return true;
}

static enum list_answer try_regex(struct list_matching *m, const struct list_item *item, struct slice text, struct list_found *found)
{
	struct regex_match match;
	enum regex_result result = regex_match(item->regex, text, &match, m->error);
	if (result == REGEX_LIMIT) {
		error_context(m->error, "item \"%.*s\" of a list", SLICE_ARG(slice_first(item->data, 100)));
		return LIST_ANSWER_FAIL;
	}
	if (result == REGEX_NO)
		return LIST_ANSWER_NO;
	found->number_count = match.count < LIST_NUMBERS_MAX ? match.count : LIST_NUMBERS_MAX;
	for (size_t i = 1; i < found->number_count; i++)
		found->numbers[i] = match.captures[i];
	found->numbers[0] = text; /* as Exim has it: all of the subject, however little of it the expression needs */
	return LIST_ANSWER_YES;
}

static enum list_answer try_name_regex(struct list_matching *m, const struct list *list, const struct list_item *item,
				       const struct list_probe *probe, struct list_found *found)
{
	char buffer[LIST_KEY_MAX];
	struct slice text = probe->name;
	if (list->kind == LIST_ADDRESS && !whole_address(m, probe, item->caseful, buffer, &text))
		return LIST_ANSWER_FAIL;
	enum list_answer answer = try_regex(m, item, text, found);
	if (answer != LIST_ANSWER_YES)
		return answer;
	/* Of an address the groups lie in a buffer of this function. */
	for (size_t i = 0; list->kind == LIST_ADDRESS && i < found->number_count; i++)
		found->numbers[i] = m->arena ? arena_copy(m->arena, found->numbers[i]) : SLICE("");
	return answer;
}

static enum list_answer try_host_regex(struct list_matching *m, const struct list_item *item, const struct list_probe *probe,
				       struct list_found *found)
{
	const struct slice *names;
	size_t count;
	enum list_answer answer = list_host_names(m, probe, &names, &count, &found->name_wanted);
	if (answer != LIST_ANSWER_YES)
		return answer;
	answer = LIST_ANSWER_NO;
	for (size_t i = 0; i < count && answer == LIST_ANSWER_NO; i++)
		answer = try_regex(m, item, names[i], found);
	found->number_count = 0;
	return answer;
}

static enum list_answer try_name_lookup(struct list_matching *m, const struct list *list, const struct list_item *item,
					const struct list_probe *probe, struct list_found *found)
{
	char buffer[LIST_KEY_MAX];
	struct slice key = probe->name;
	if (!list_can_ask(m))
		return LIST_ANSWER_FAIL;
	if (list->kind == LIST_ADDRESS && !whole_address(m, probe, item->caseful, buffer, &key))
		return LIST_ANSWER_FAIL;
	bool caseful = item->caseful && list->kind != LIST_DOMAIN;
	key = caseful || list->kind == LIST_ADDRESS ? arena_copy(m->arena, key) : arena_copy_lower(m->arena, key);
	if (key.len == 0 && !item->lookup->query)
		return LIST_ANSWER_NO;
	return list_lookup_find(m, item->lookup, key, true, found);
}

static enum list_answer look_host_up(struct list_matching *m, const struct list_item *item, const struct list_probe *probe,
				     struct list_found *found)
{
	const struct list_lookup *lookup = item->lookup;
	const struct slice *names;
	size_t count;
	if (!list_can_ask(m))
		return LIST_ANSWER_FAIL;
	if (lookup->query)
		return list_lookup_find(m, lookup, SLICE(""), false, found);
	if (lookup->mask != LIST_NOT_NET || m->addresses_only)
		return list_lookup_find(m, lookup, list_lookup_address(lookup, &probe->host, m->arena), false, found);
	enum list_answer answer = list_host_names(m, probe, &names, &count, &found->name_wanted);
	if (answer != LIST_ANSWER_YES)
		return answer;
	answer = LIST_ANSWER_NO;
	for (size_t i = 0; i < count && answer == LIST_ANSWER_NO; i++)
		answer = list_lookup_find(m, lookup, arena_copy_lower(m->arena, names[i]), true, found);
	return answer;
}

static enum list_answer try_host_lookup(struct list_matching *m, const struct list_item *item, const struct list_probe *probe,
					struct list_found *found)
{
	enum list_answer answer = look_host_up(m, item, probe, found);
	found->number_count = 0;
	return answer;
}

/* Where a remote host is involved. */
static enum list_answer try_host(struct list_matching *m, const struct list *list, const struct list_item *item,
				 const struct list_probe *probe, struct list_found *found)
{
	switch (item->kind) {
	case LIST_ITEM_LOCAL_HOST:
		return list_is_own_address(list, &probe->host) ? LIST_ANSWER_YES : LIST_ANSWER_NO;
	case LIST_ITEM_HOST_NAME:
		return list_host_is(m, item->key, probe, &found->name_wanted);
	case LIST_ITEM_REGEX:
		return try_host_regex(m, item, probe, found);
	case LIST_ITEM_LOOKUP:
		return try_host_lookup(m, item, probe, found);
	default:
		return LIST_ANSWER_NO;
	}
}

enum list_answer list_special_try(struct list_matching *m, const struct list *list, const struct list_item *item,
				  const struct list_probe *probe, struct list_found *found)
{
	if (item->kind == LIST_ITEM_SUBLIST)
		return try_sublist(m, item->sublist, probe, found);
	if (list->kind == LIST_HOST)
		return probe->empty ? LIST_ANSWER_NO : try_host(m, list, item, probe, found);
	switch (item->kind) {
	case LIST_ITEM_LITERAL:
		return is_own_literal(list, probe->name) ? LIST_ANSWER_YES : LIST_ANSWER_NO;
	case LIST_ITEM_PAIR:
		return try_pair(m, list, item, probe, found);
	case LIST_ITEM_REGEX:
		return try_name_regex(m, list, item, probe, found);
	case LIST_ITEM_LOOKUP:
		return try_name_lookup(m, list, item, probe, found);
	case LIST_ITEM_SPLIT:
		return probe->empty ? LIST_ANSWER_NO : list_split_try(m, item, probe, found);
	case LIST_ITEM_MX:
		return probe->empty ? LIST_ANSWER_NO : list_mx_try(m, list, item->mx, probe->name);
	default:
		return LIST_ANSWER_NO;
	}
}
