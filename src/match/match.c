/* SPDX-License-Identifier: ISC */
#include "match/matching.h"

enum list_kind list_kind(const struct list *list)
{
	return list->kind;
}

bool list_asks(const struct list *list)
{
	return list->asks;
}

static unsigned run_width(const struct list *list, const struct list_run *run, uint32_t first, uint32_t end)
{
	unsigned width = 0;
	for (uint32_t i = first; i < end; i++)
		width |= list->items[i].anything ? LIST_WIDE_ITEM : 0;
	for (size_t i = 0; i < run->special_count; i++)
		if (run->specials[i].item.kind == LIST_ITEM_SUBLIST)
			width |= list_width(run->specials[i].item.sublist);
	return width;
}

unsigned list_width(const struct list *list)
{
	unsigned width = list->last_negative ? LIST_WIDE_END : 0;
	bool excepted = false;
	for (size_t i = 0; i < list->run_count; i++) {
		const struct list_run *run = &list->runs[i];
		size_t end = i + 1 < list->run_count ? list->runs[i + 1].first : list->count;
		if (!run->negative)
			width |= run_width(list, run, run->first, (uint32_t)end) | (excepted ? LIST_WIDE_EXCEPTED : 0);
		excepted |= run->negative;
	}
	return width;
}

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

bool list_is_own_address(const struct list *list, const struct net_address *address)
{
	for (size_t i = 0; i < list->interface_count; i++)
		if (net_address_equal(&list->interfaces[i], address))
			return true;
	return false;
}

/* The first item of the sets that matches a name. */
static uint32_t find_name(const struct list_run *run, struct slice name)
{
	return lower_of(set_find(&run->exact, name), find_suffix(&run->suffixes, name));
}

/* What the sets say before any name of a host is known. */
static uint32_t find_in_sets(const struct list *list, const struct list_run *run, const struct list_probe *probe)
{
	if (list->kind == LIST_HOST && probe->empty)
		return lower_of(run->any, run->empty);
	if (list->kind == LIST_HOST)
		return lower_of(run->any, find_network(run, &probe->host));
	if (list->kind == LIST_ADDRESS && probe->empty)
		return run->empty;
	uint32_t best = lower_of(run->any, find_name(run, probe->name));
	if (probe->empty)
		best = lower_of(best, run->empty);
	if (probe->address_len)
		best = lower_of(best, set_find(&run->addresses, slice_make(probe->address, probe->address_len)));
	return best;
}

/* What a run of items decides. */
enum outcome {
	OUTCOME_NONE,  /* none of them matches */
	OUTCOME_MATCH, /* *best is the item */
	OUTCOME_STOP,  /* the rules for unknown or deferred hosts gave the answer */
	OUTCOME_DEFER,
	OUTCOME_FAIL,
};

/* Which item of a run matches, so far. */
struct choice {
	uint32_t best;
	struct list_found found; /* only read when `special` */
	bool special;            /* `best` is not from the sets */
};

/* The answer of an item that did not say yes. NONE: go on. */
static enum outcome settle_answer(const struct list_run *run, enum list_answer answer, struct list_match *result)
{
	enum list_unknown rule = answer == LIST_ANSWER_UNKNOWN ? run->unknown : run->deferred;
	if (answer == LIST_ANSWER_NO)
		return OUTCOME_NONE;
	if (answer == LIST_ANSWER_FAIL)
		return OUTCOME_FAIL;
	if (rule == LIST_UNKNOWN_IGNORE)
		return OUTCOME_NONE;
	if (answer == LIST_ANSWER_DEFER && rule == LIST_UNKNOWN_FAIL)
		return OUTCOME_DEFER;
	result->yes = rule == LIST_UNKNOWN_INCLUDE;
	return OUTCOME_STOP;
}

/* The items of a host list that are ends of names. */
static enum outcome try_names(struct list_matching *m, const struct list_run *run, const struct list_probe *probe,
			      struct choice *choice, struct list_match *result)
{
	const struct slice *names;
	size_t count;
	enum list_answer answer = list_host_names(m, probe, &names, &count, &result->name_wanted);
	if (answer != LIST_ANSWER_YES)
		return settle_answer(run, answer, result);
	for (size_t i = 0; i < count; i++)
		choice->best = lower_of(choice->best, find_name(run, names[i]));
	return OUTCOME_NONE;
}

/* The items that the sets do not hold, in order, up to the first that matches. */
static enum outcome try_specials(struct list_matching *m, const struct list *list, const struct list_run *run,
				 const struct list_probe *probe, struct choice *choice, struct list_match *result)
{
	uint32_t names_at = list->kind == LIST_HOST && !probe->empty ? run->first_name : SET_NONE;
	for (size_t i = 0; i <= run->special_count; i++) {
		uint32_t number = i < run->special_count ? run->specials[i].number : SET_NONE;
		if (names_at < number && names_at < choice->best) {
			enum outcome outcome = try_names(m, run, probe, choice, result);
			if (outcome != OUTCOME_NONE)
				return outcome;
			names_at = SET_NONE;
		}
		if (number >= choice->best)
			break;
		choice->found = (struct list_found){ 0 };
		enum list_answer answer = list_special_try(m, list, &run->specials[i].item, probe, &choice->found);
		result->name_wanted |= choice->found.name_wanted;
		if (answer == LIST_ANSWER_YES) {
			choice->best = number;
			choice->special = true;
			break;
		}
		enum outcome outcome = settle_answer(run, answer, result);
		if (outcome != OUTCOME_NONE)
			return outcome;
	}
	return choice->best == SET_NONE ? OUTCOME_NONE : OUTCOME_MATCH;
}

/* In lower case unless the list minds; a copy only where it differs. */
static struct slice folded(const struct list_matching *m, struct slice text, bool caseful)
{
	if (caseful || !m->arena)
		return text;
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] >= 'A' && text.data[i] <= 'Z')
			return arena_copy_lower(m->arena, text);
	return text;
}

/* The part of `text` that the asterisk at a pattern's start stands for. */
static void add_number(struct list_match *result, struct slice pattern, struct slice text)
{
	if (pattern.len && pattern.data[0] == '*' && text.len >= pattern.len - 1)
		result->numbers[result->number_count++] = slice_first(text, text.len - (pattern.len - 1));
}

/* $0 and what asterisks stood for, of items that are names or patterns. */
static void set_numbers(const struct list_matching *m, const struct list *list, const struct list_run *run,
			const struct list_probe *probe, struct slice pattern, struct list_match *result)
{
	struct slice name = folded(m, probe->name, run->caseful && list->kind != LIST_ADDRESS && list->kind != LIST_DOMAIN);
	if (list->kind == LIST_HOST)
		return;
	result->number_count = 1;
	result->numbers[0] = name;
	if (list->kind != LIST_ADDRESS) {
		add_number(result, pattern, name);
		return;
	}
	struct slice local_part = folded(m, probe->subject->local_part, run->caseful);
	size_t at = slice_find_last(pattern, '@');
	if (m->arena && !probe->empty)
		result->numbers[0] = arena_printf(m->arena, "%.*s@%.*s", SLICE_ARG(local_part), SLICE_ARG(name));
	if (at < pattern.len)
		add_number(result, slice_first(pattern, at), local_part);
	add_number(result, at < pattern.len ? slice_from(pattern, at + 1) : pattern, name);
}

static void set_result(struct list_matching *m, const struct list *list, const struct list_run *run, const struct list_probe *probe,
		       const struct choice *choice, struct list_match *result)
{
	const struct list_found *found = &choice->found;
	const struct list_item_text *item = &list->items[choice->best];
	result->yes = !run->negative;
	if (!result->yes)
		return;
	result->item = choice->special && found->item.data ? found->item : item->text;
	result->tainted = choice->special && found->found_data ? found->tainted : item->tainted;
	result->anything = item->anything || (choice->special && found->anything);
	result->excepted = choice->special && found->excepted;
	if (choice->special && found->found_data)
		result->data = found->data;
	else if (list->kind != LIST_HOST)
		result->data = item->text;
	if (!choice->special || !found->number_count) {
		set_numbers(m, list, run, probe, item->text, result);
		return;
	}
	result->number_count = found->number_count;
	memcpy(result->numbers, found->numbers, found->number_count * sizeof *found->numbers);
}

static enum outcome match_run(struct list_matching *m, const struct list *list, const struct list_run *run,
			      const struct list_probe *probe, struct list_match *result)
{
	struct choice choice;
	choice.best = find_in_sets(list, run, probe);
	choice.special = false;
	enum outcome outcome = choice.best == SET_NONE ? OUTCOME_NONE : OUTCOME_MATCH;
	if (run->special_count || list->kind == LIST_HOST)
		outcome = try_specials(m, list, run, probe, &choice, result);
	if (outcome == OUTCOME_MATCH)
		set_result(m, list, run, probe, &choice, result);
	return outcome;
}

/* "local@domain" for the set of whole addresses. */
static void make_address(struct list_probe *probe)
{
	struct slice local_part = probe->subject->local_part, domain = probe->subject->domain;
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

void list_probe_make(struct list_probe *probe, enum list_kind kind, const struct list_subject *subject)
{
	probe->subject = subject;
	probe->address_len = 0;
	switch (kind) {
	case LIST_HOST:
		probe->name = (struct slice){ NULL, 0 };
		probe->empty = !subject->host;
		if (subject->host)
			probe->host = net_address_unmap(*subject->host);
		return;
	case LIST_ADDRESS:
		probe->name = subject->domain;
		probe->empty = subject->domain.len == 0 && subject->local_part.len == 0;
		make_address(probe);
		return;
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
}

static void clear_result(struct list_match *result, bool yes)
{
	result->yes = yes;
	result->data = result->item = (struct slice){ NULL, 0 };
	result->tainted = result->name_wanted = result->excepted = false;
	result->anything = yes;
	result->number_count = 0;
}

static bool has_negative(const struct list_run *runs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (runs[i].negative)
			return true;
	return false;
}

enum expand_result list_match_probe(struct list_matching *m, const struct list *list, const struct list_probe *probe,
				    struct list_match *result)
{
	clear_result(result, list->last_negative);
	if (list->dynamic)
		return list_dynamic_match(m, list, probe, result);
	if (list->caseless && m->subject->caseless)
		list = list->caseless;
	for (size_t i = 0; i < list->run_count; i++) {
		enum outcome outcome = match_run(m, list, &list->runs[i], probe, result);
		if (outcome == OUTCOME_NONE)
			continue;
		result->excepted |= result->yes && has_negative(list->runs, i);
		if (outcome == OUTCOME_MATCH || outcome == OUTCOME_STOP)
			break;
		clear_result(result, false);
		return outcome == OUTCOME_DEFER ? EXPAND_DEFER : EXPAND_FAIL;
	}
	return EXPAND_OK;
}

enum expand_result list_match(const struct list *list, const struct list_subject *subject, const struct expand_context *context,
			      struct arena *arena, struct list_match *result_r, struct error *error)
{
	struct list_probe probe;
	struct list_match unwanted;
	struct list_matching m;
	m.subject = subject;
	m.context = context;
	m.arena = arena;
	m.error = error;
	m.own_names = (struct list_host_names){ .arena = arena };
	m.names = subject->kept_names ? subject->kept_names : &m.own_names;
	m.addresses_only = list->addresses_only;
	m.in_mx = false;
	m.depth = 0;
	list_probe_make(&probe, list->kind, subject);
	return list_match_probe(&m, list, &probe, result_r ? result_r : &unwanted);
}
