/* SPDX-License-Identifier: ISC */
#include "match/compiled.h"

enum list_kind list_kind(const struct list *list)
{
	return list->kind;
}

size_t list_count(const struct list *list)
{
	return list->count;
}

/* A subject made ready: the parts that the list's kind looks at. */
struct probe {
	const struct list_subject *subject;
	struct slice name;           /* local part, domain, string; of an address the domain */
	char address[LIST_KEY_MAX];  /* of an address, domain in lower case */
	size_t address_len;          /* 0: too long to be in a list, or not an address */
	bool empty;                  /* no host, null sender, empty text */
	struct net_address host;
};

static uint32_t lower_of(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t find_suffix(const struct list_suffixes *suffixes, struct slice text)
{
	uint32_t best = SET_NONE;
	if (!suffixes->set.entries)
		return best;
	for (size_t word = 0; word < 4; word++) {
		for (uint64_t left = suffixes->plain[word] | suffixes->dotted[word]; left; left &= left - 1) {
			size_t len = word * 64 + (size_t)__builtin_ctzll(left);
			if (len > text.len)
				return best;
			struct slice end = slice_from(text, text.len - len);
			if (end.data[0] == '.' || suffixes->plain[word] >> len % 64 & 1)
				best = lower_of(best, set_find(&suffixes->set, end));
		}
	}
	return best;
}

static uint32_t find_network(const struct list_run *run, const struct net_address *address)
{
	return ranges_find(address->family == AF_INET ? &run->networks4 : &run->networks6, address);
}

static bool is_own_address(const struct list *list, const struct net_address *address)
{
	for (size_t i = 0; i < list->interface_count; i++)
		if (net_address_equal(&list->interfaces[i], address))
			return true;
	return false;
}

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
	return is_own_address(list, &address);
}

/* One side of a pair. */
static bool side_matches(const struct list *list, const struct list_item *side, struct slice text, bool caseful)
{
	struct slice end = text;
	switch (side->kind) {
	case LIST_ITEM_ANY:
		return true;
	case LIST_ITEM_LITERAL:
		return is_own_literal(list, text);
	case LIST_ITEM_SUBLIST:
		return list_match(side->sublist, &(struct list_subject){ .domain = text }, NULL);
	case LIST_ITEM_SUFFIX:
		if (text.len < side->key.len)
			return false;
		end = slice_from(text, text.len - side->key.len);
		break;
	default:
		break;
	}
	return caseful ? slice_equal(end, side->key) : slice_equal_nocase(end, side->key);
}

static bool special_matches(const struct list *list, const struct list_item *item, const struct probe *probe,
			    struct slice *data_r, bool *name_wanted)
{
	struct list_match inner;
	const struct list_subject *subject = probe->subject;
	switch (item->kind) {
	case LIST_ITEM_SUBLIST:
		list_match(item->sublist, subject, &inner);
		*data_r = inner.data;
		*name_wanted |= inner.name_wanted;
		return inner.yes;
	case LIST_ITEM_LITERAL:
		return is_own_literal(list, probe->name);
	case LIST_ITEM_LOCAL_HOST:
		return !probe->empty && is_own_address(list, &probe->host);
	case LIST_ITEM_PAIR:
		return !probe->empty && side_matches(list, item->pair.local_part, subject->local_part, item->caseful) &&
		       side_matches(list, item->pair.domain, subject->domain, false);
	default:
		return false;
	}
}

/* The first item of the sets that matches a name. */
static uint32_t find_name(const struct list_run *run, struct slice name)
{
	return lower_of(set_find(&run->exact, name), find_suffix(&run->suffixes, name));
}

static uint32_t find_host(const struct list_run *run, const struct probe *probe)
{
	if (probe->empty)
		return lower_of(run->any, run->empty);
	uint32_t best = lower_of(run->any, find_network(run, &probe->host));
	for (size_t i = 0; i < probe->subject->host_name_count; i++)
		best = lower_of(best, find_name(run, probe->subject->host_names[i]));
	return best;
}

static uint32_t find_in_sets(const struct list *list, const struct list_run *run, const struct probe *probe)
{
	if (list->kind == LIST_HOST)
		return find_host(run, probe);
	if (list->kind == LIST_ADDRESS && probe->empty)
		return run->empty;
	uint32_t best = lower_of(run->any, find_name(run, probe->name));
	if (probe->empty)
		best = lower_of(best, run->empty);
	if (probe->address_len)
		best = lower_of(best, set_find(&run->addresses, slice_make(probe->address, probe->address_len)));
	return best;
}

enum outcome { OUTCOME_NONE, OUTCOME_MATCH, OUTCOME_UNKNOWN };

static enum outcome match_run(const struct list *list, const struct list_run *run, const struct probe *probe,
			      struct list_match *result)
{
	/* Items from this one on are reached only by a host whose name is known. */
	uint32_t limit = SET_NONE;
	bool nameless = list->kind == LIST_HOST && !probe->empty && probe->subject->host_name_count == 0;
	if (nameless && run->unknown != LIST_UNKNOWN_IGNORE)
		limit = run->first_name;

	uint32_t best = find_in_sets(list, run, probe);
	struct slice data = best == SET_NONE ? (struct slice){ NULL, 0 } : list->data[best];
	for (size_t i = 0; i < run->special_count; i++) {
		const struct list_special *special = &run->specials[i];
		struct slice special_data = special->item.data;
		if (special->number > best || special->number > limit)
			break;
		if (special_matches(list, &special->item, probe, &special_data, &result->name_wanted)) {
			best = special->number;
			data = special_data;
		}
	}
	if (nameless && run->first_name < best)
		result->name_wanted = true;
	if (limit < best)
		return OUTCOME_UNKNOWN;
	if (best == SET_NONE)
		return OUTCOME_NONE;
	result->yes = !run->negative;
	if (result->yes)
		result->data = data;
	return OUTCOME_MATCH;
}

static void make_probe(struct probe *probe, const struct list *list, const struct list_subject *subject)
{
	probe->subject = subject;
	probe->address_len = 0;
	switch (list->kind) {
	case LIST_HOST:
		probe->name = (struct slice){ NULL, 0 };
		probe->empty = !subject->host;
		if (subject->host)
			probe->host = net_address_unmap(*subject->host);
		return;
	case LIST_ADDRESS:
		probe->name = subject->domain;
		break;
	case LIST_DOMAIN:
		probe->name = subject->domain;
		break;
	case LIST_LOCAL_PART:
		probe->name = subject->local_part;
		break;
	default:
		probe->name = subject->string;
	}
	probe->empty = probe->name.len == 0;
	if (list->kind != LIST_ADDRESS)
		return;
	struct slice local_part = subject->local_part, domain = subject->domain;
	probe->empty = probe->empty && local_part.len == 0;
	if (domain.len >= LIST_KEY_MAX || local_part.len >= LIST_KEY_MAX - domain.len)
		return;
	size_t at = local_part.len;
	if (at)
		memcpy(probe->address, local_part.data, at);
	probe->address[at++] = '@';
	for (size_t i = 0; i < domain.len; i++)
		probe->address[at++] = ascii_lower(domain.data[i]);
	probe->address_len = at;
}

bool list_match(const struct list *list, const struct list_subject *subject, struct list_match *result_r)
{
	struct probe probe;
	struct list_match result = { .yes = list->last_negative };
	make_probe(&probe, list, subject);
	for (size_t i = 0; i < list->run_count; i++) {
		enum outcome outcome = match_run(list, &list->runs[i], &probe, &result);
		if (outcome == OUTCOME_UNKNOWN)
			result.yes = list->runs[i].unknown == LIST_UNKNOWN_INCLUDE;
		if (outcome != OUTCOME_NONE)
			break;
	}
	if (result_r)
		*result_r = result;
	return result.yes;
}
