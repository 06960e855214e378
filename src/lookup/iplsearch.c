/* SPDX-License-Identifier: ISC */
/*
 * iplsearch: keys of a text file are IP addresses or networks, and the first that holds the address counts. They are cut into
 * ranges once, so a search is a binary one. An IPv4-mapped IPv6 address is looked up as its IPv4 address.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "lookup/text.h"
#include "match/ranges.h"
#include "match/set.h"

struct ip_index {
	struct lookup_text text;
	struct ranges ranges4, ranges6;
	uint32_t star; /* the item with the key "*", or SET_NONE */
};

static bool build(struct lookup_file *file, struct error *error)
{
	struct ip_index *index = arena_new(&file->arena, struct ip_index);
	if (!lookup_text_build(&index->text, file, error))
		return false;
	size_t lines = index->text.count, count = 0;
	_cleanup_heap_ struct range_network *networks = xcalloc(lines ? lines : 1, sizeof *networks);
	index->star = SET_NONE;
	for (size_t i = 0; i < lines; i++) {
		struct slice key = index->text.lines[i].key;
		if (net_network_parse(key, &networks[count].network))
			networks[count++].item = (uint32_t)i;
		else if (slice_equal(key, SLICE("*")) && index->star == SET_NONE)
			index->star = (uint32_t)i;
		/* Exim passes over other keys, too. */
	}
	ranges_build(&index->ranges4, &file->arena, AF_INET, networks, count);
	ranges_build(&index->ranges6, &file->arena, AF_INET6, networks, count);
	file->index = index;
	return true;
}

static const struct lookup_file_kind kind = { .name = "iplsearch", .purpose = "linear search", .build = build };

static enum expand_result find(struct lookup_world *world, const struct search *search, const struct expand_request *request,
			       struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	bool star = slice_equal(key, SLICE("*"));
	struct net_address address;
	if (!star && (slice_starts(key, SLICE("[")) || !net_address_parse(key, &address)))
		return lookup_defer(error, "\"%.*s\" is not a valid iplsearch key (an IP address, with optional CIDR mask, is wanted): "
				    "in a host list, use net-iplsearch as the search type", SLICE_ARG(slice_first(key, 100)));
	struct lookup_file *file;
	enum expand_result result = lookup_file_take(world, &kind, request->file, request->deadline, &file, error);
	if (result != EXPAND_OK)
		return result;
	const struct ip_index *index = file->index;
	uint32_t item = index->star;
	if (!star) {
		address = net_address_unmap(address);
		item = ranges_find(address.family == AF_INET ? &index->ranges4 : &index->ranges6, &address);
	}
	if (item != SET_NONE)
		lookup_text_answer(&index->text.lines[item], search, request, arena, answer_r);
	lookup_file_release(&file);
	return EXPAND_OK;
}

const struct lookup_driver lookup_driver_iplsearch = { .name = "iplsearch", .find = find };
