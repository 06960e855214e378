/* SPDX-License-Identifier: ISC */
/* Questions to the world while a list is matched: names and addresses of hosts, lookups. */
#include "match/matching.h"

#include "base/clock.h"

enum { ASK_TIMEOUT_SECONDS = 60, NAMES_MAX = 64 };

bool list_can_ask(struct list_matching *m)
{
	if (m->context && m->context->ask && m->arena)
		return true;
	return error_set(m->error, ERROR_PERMANENT, "an item of the list needs a lookup, and nothing can be looked up here");
}

enum expand_result list_ask(struct list_matching *m, struct expand_request *request, struct expand_answer *answer_r)
{
	int64_t deadline = clock_after(ASK_TIMEOUT_SECONDS * CLOCK_SECOND);
	*answer_r = (struct expand_answer){ 0 };
	if (!list_can_ask(m))
		return EXPAND_FAIL;
	if (m->context->deadline && m->context->deadline < deadline)
		deadline = m->context->deadline;
	request->deadline = deadline;
	return m->context->ask(m->context->owner, request, m->arena, answer_r, m->error);
}

/* A failure that is not the answer "there is none". */
static enum list_answer failed(enum expand_result result)
{
	return result == EXPAND_DEFER ? LIST_ANSWER_DEFER : LIST_ANSWER_FAIL;
}

/* The answer's names, kept for the items and matches to come. */
static void keep_names(struct list_matching *m, struct slice text)
{
	struct list_host_names *kept = m->names;
	struct arena *arena = kept->arena ? kept->arena : m->arena;
	struct slice *names = arena_array(arena, NAMES_MAX, sizeof *names);
	kept->count = 0;
	while (text.len && kept->count < NAMES_MAX) {
		struct slice name = slice_cut(&text, '\0');
		if (name.len)
			names[kept->count++] = arena_copy(arena, name);
	}
	kept->names = names;
	kept->state = kept->count ? LIST_NAMES_KNOWN : LIST_NAMES_UNKNOWN;
}

static enum list_answer ask_names(struct list_matching *m, const struct list_probe *probe)
{
	struct expand_answer answer;
	struct net_text text = net_address_text(&probe->host);
	struct expand_request request = { .service = EXPAND_SERVICE_HOST_NAMES, .key = slice_of(text.text) };
	enum expand_result result = list_ask(m, &request, &answer);
	if (result != EXPAND_OK) {
		error_context(m->error, "looking up the host name of %s", text.text);
		return failed(result);
	}
	keep_names(m, answer.found ? answer.text : SLICE(""));
	return LIST_ANSWER_YES;
}

static enum list_answer names_unknown(struct list_matching *m, const struct list_probe *probe)
{
	error_set(m->error, ERROR_PERMANENT, "no host name was found for %s", net_address_text(&probe->host).text);
	return LIST_ANSWER_UNKNOWN;
}

enum list_answer list_host_names(struct list_matching *m, const struct list_probe *probe, const struct slice **names_r, size_t *count_r,
				 bool *wanted_r)
{
	enum list_answer answer;
	if (probe->subject->host_name_count) {
		*names_r = probe->subject->host_names;
		*count_r = probe->subject->host_name_count;
		return LIST_ANSWER_YES;
	}
	if (m->addresses_only)
		return names_unknown(m, probe);
	if (m->names->state == LIST_NAMES_UNASKED) {
		if (!list_can_ask(m)) {
			*wanted_r = true;
			return names_unknown(m, probe);
		}
		answer = ask_names(m, probe);
		if (answer != LIST_ANSWER_YES)
			return answer;
	}
	*names_r = m->names->names;
	*count_r = m->names->count;
	return m->names->state == LIST_NAMES_KNOWN ? LIST_ANSWER_YES : names_unknown(m, probe);
}

/* Names that are known are confirmed by their addresses, so one of them need not be looked up again. */
static bool is_known_name(const struct list_matching *m, const struct list_probe *probe, struct slice name)
{
	for (size_t i = 0; i < probe->subject->host_name_count; i++)
		if (slice_equal_nocase(probe->subject->host_names[i], name))
			return true;
	for (size_t i = 0; i < m->names->count; i++)
		if (slice_equal_nocase(m->names->names[i], name))
			return true;
	return false;
}

enum list_answer list_host_is(struct list_matching *m, struct slice name, const struct list_probe *probe, bool *wanted_r)
{
	struct expand_answer answer;
	struct net_address address;
	struct expand_request request = { .service = EXPAND_SERVICE_HOST_ADDRESSES, .key = name };
	if (m->addresses_only || name.len == 0) {
		error_set(m->error, ERROR_PERMANENT, "\"%.*s\" cannot be matched with an address", SLICE_ARG(slice_first(name, 255)));
		return LIST_ANSWER_UNKNOWN;
	}
	if (is_known_name(m, probe, name))
		return LIST_ANSWER_YES;
	if (!list_can_ask(m)) {
		*wanted_r |= probe->subject->host_name_count == 0;
		return probe->subject->host_name_count ? LIST_ANSWER_NO : LIST_ANSWER_UNKNOWN;
	}
	enum expand_result result = list_ask(m, &request, &answer);
	if (result != EXPAND_OK) {
		error_context(m->error, "looking up the addresses of %.*s", SLICE_ARG(slice_first(name, 255)));
		return failed(result);
	}
	if (!answer.found) {
		error_set(m->error, ERROR_PERMANENT, "no address was found for %.*s", SLICE_ARG(slice_first(name, 255)));
		return LIST_ANSWER_UNKNOWN;
	}
	while (answer.text.len) {
		if (!net_address_parse(slice_cut(&answer.text, ' '), &address))
			continue;
		address = net_address_unmap(address);
		if (net_address_equal(&address, &probe->host))
			return LIST_ANSWER_YES;
	}
	return LIST_ANSWER_NO;
}

/* An IPv6 address with all groups in full, for one form of it must be the key. */
static struct slice full_address(const struct net_address *address, bool colons, struct arena *arena)
{
	static const char digits[] = "0123456789abcdef";
	char text[39];
	size_t at = 0;
	for (size_t i = 0; i < 16; i++) {
		if (i && i % 2 == 0)
			text[at++] = colons ? ':' : '.';
		text[at++] = digits[address->bytes[i] >> 4];
		text[at++] = digits[address->bytes[i] & 15];
	}
	return arena_copy(arena, slice_make(text, at));
}

struct slice list_lookup_address(const struct list_lookup *lookup, const struct net_address *host, struct arena *arena)
{
	unsigned all = host->family == AF_INET ? 32 : 128;
	unsigned mask = lookup->mask >= 0 && (unsigned)lookup->mask < all ? (unsigned)lookup->mask : all;
	struct net_address address = net_address_mask(host, mask);
	struct slice text = address.family == AF_INET ? arena_printf(arena, "%s", net_address_text(&address).text) :
							full_address(&address, lookup->colons, arena);
	return lookup->mask >= 0 ? arena_printf(arena, "%.*s/%u", SLICE_ARG(text), mask) : text;
}

/* $0 is the key; partial matching gives the part that the wildcard stood for and the rest. */
static void found_numbers(struct slice key, const struct expand_answer *answer, struct list_found *found)
{
	found->numbers[found->number_count++] = key;
	if (!answer->wild.data)
		return;
	found->numbers[found->number_count++] = answer->wild;
	found->numbers[found->number_count++] = answer->fixed;
}

enum list_answer list_lookup_find(struct list_matching *m, const struct list_lookup *lookup, struct slice key, bool key_tainted,
				  struct list_found *found)
{
	struct expand_answer answer;
	struct expand_request request = {
		.service = EXPAND_SERVICE_LOOKUP,
		.type = lookup->type,
		.file = lookup->file,
		.key = lookup->query ? SLICE("") : key,
		.key_tainted = !lookup->query && key_tainted,
		.pieces = lookup->pieces, .piece_count = lookup->piece_count,
		.options = lookup->options, .option_count = lookup->option_count,
	};
	enum expand_result result = list_ask(m, &request, &answer);
	if (result != EXPAND_OK) {
		error_context(m->error, "lookup %.*s%s%.*s", SLICE_ARG(slice_first(lookup->type, 60)), lookup->file.len ? " in " : "",
			      SLICE_ARG(slice_first(lookup->file, 120)));
		return failed(result);
	}
	if (!answer.found)
		return LIST_ANSWER_NO;
	found->data = answer.text;
	found->tainted = answer.tainted;
	found->found_data = true;
	found->number_count = 0;
	found_numbers(key, &answer, found);
	found->anything = answer.wild.len && answer.wild.len == key.len;
	return LIST_ANSWER_YES;
}
