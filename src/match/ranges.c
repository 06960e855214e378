/* SPDX-License-Identifier: ISC */
#include "match/ranges.h"

#include "match/set.h"

#include "base/fatal.h"

typedef unsigned __int128 address_number;

struct range_start {
	address_number first;
	uint32_t item; /* SET_NONE: no network from here on */
};

/* IPv4 addresses take the low 32 bits. */
static address_number number_of(const struct net_address *address)
{
	address_number number = 0;
	size_t len = address->family == AF_INET6 ? 16 : 4;
	for (size_t i = 0; i < len; i++)
		number = number << 8 | address->bytes[i];
	return number;
}

static address_number last_of(const struct net_network *network)
{
	unsigned host_bits = (network->address.family == AF_INET6 ? 128 : 32) - network->prefix;
	address_number host = host_bits == 128 ? ~(address_number)0 : ((address_number)1 << host_bits) - 1;
	return number_of(&network->address) | host;
}

/* By start, the wider network first, so that a network follows those that it lies in. */
static int compare_networks(const void *a, const void *b)
{
	const struct range_network *x = a, *y = b;
	int order = memcmp(x->network.address.bytes, y->network.address.bytes, sizeof x->network.address.bytes);
	if (order)
		return order;
	if (x->network.prefix != y->network.prefix)
		return x->network.prefix < y->network.prefix ? -1 : 1;
	return x->item < y->item ? -1 : x->item > y->item;
}

/* The networks that are open at the point which the sweep has reached, from the widest to the narrowest. */
struct sweep {
	struct {
		address_number last;
		uint32_t item; /* lower than those of the networks around it */
	} open[129]; /* one for each prefix length: of equal networks the first item comes first, and the others are left out */
	size_t depth;
	struct range_start *starts;
	size_t count;
};

static void start_range(struct sweep *sweep, address_number first, uint32_t item)
{
	if (sweep->count && sweep->starts[sweep->count - 1].first == first)
		sweep->count--;
	if (sweep->count && sweep->starts[sweep->count - 1].item == item)
		return;
	sweep->starts[sweep->count++] = (struct range_start){ first, item };
}

/* Closes what ends before `next`; with `all`, everything. */
static void close_networks(struct sweep *sweep, address_number next, bool all, address_number highest)
{
	while (sweep->depth && (all || sweep->open[sweep->depth - 1].last < next)) {
		address_number last = sweep->open[--sweep->depth].last;
		if (last < highest)
			start_range(sweep, last + 1, sweep->depth ? sweep->open[sweep->depth - 1].item : SET_NONE);
	}
}

void ranges_build(struct ranges *ranges, struct arena *arena, sa_family_t family, struct range_network *networks, size_t count)
{
	size_t of_family = 0;
	for (size_t i = 0; i < count; i++)
		of_family += networks[i].network.address.family == family;
	*ranges = (struct ranges){ 0 };
	if (of_family == 0)
		return;
	const address_number highest = family == AF_INET6 ? ~(address_number)0 : UINT32_MAX;
	struct sweep sweep = { .starts = arena_array(arena, of_family * 2, sizeof *sweep.starts) };
	qsort(networks, count, sizeof *networks, compare_networks);
	for (size_t i = 0; i < count; i++) {
		const struct net_network *network = &networks[i].network;
		if (network->address.family != family)
			continue;
		address_number first = number_of(&network->address), last = last_of(network);
		close_networks(&sweep, first, false, highest);
		uint32_t item = networks[i].item;
		if (sweep.depth && sweep.open[sweep.depth - 1].item < item)
			continue; /* the whole of it lies in a network of an earlier item */
		ensure(sweep.depth < sizeof sweep.open / sizeof *sweep.open);
		sweep.open[sweep.depth].last = last;
		sweep.open[sweep.depth++].item = item;
		start_range(&sweep, first, item);
	}
	close_networks(&sweep, 0, true, highest);
	ranges->starts = sweep.starts;
	ranges->count = sweep.count;
}

uint32_t ranges_find(const struct ranges *ranges, const struct net_address *address)
{
	address_number number = number_of(address);
	size_t low = 0, high = ranges->count; /* starts[low - 1] <= number < starts[high] */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (ranges->starts[middle].first <= number)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? ranges->starts[low - 1].item : SET_NONE;
}
