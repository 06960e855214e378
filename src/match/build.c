/* SPDX-License-Identifier: ISC */
/* From parsed items to runs: the sets are sized by a first pass and filled by a second. */
#include "match/compiled.h"

#include "base/fatal.h"

static bool is_special(const struct list_item *item)
{
	return item->kind >= LIST_ITEM_SUBLIST;
}

static void add_suffix(struct list_suffixes *suffixes, struct slice key, uint32_t number)
{
	uint64_t *lengths = key.data[0] == '.' ? suffixes->dotted : suffixes->plain;
	lengths[key.len / 64] |= UINT64_C(1) << key.len % 64;
	set_add(&suffixes->set, key, number);
}

static void add_networks(struct list_run *run, struct arena *arena, const struct list_item *items, size_t count, uint32_t first,
			 size_t networks)
{
	if (networks == 0)
		return;
	struct range_network *chosen = xcalloc(networks, sizeof *chosen);
	size_t at = 0;
	for (size_t i = 0; i < count; i++)
		if (items[i].kind == LIST_ITEM_NETWORK)
			chosen[at++] = (struct range_network){ items[i].network, first + (uint32_t)i };
	ranges_build(&run->networks4, arena, AF_INET, chosen, networks);
	ranges_build(&run->networks6, arena, AF_INET6, chosen, networks);
	free(chosen);
}

static void lowest(uint32_t *number, uint32_t other)
{
	if (other < *number)
		*number = other;
}

static void add_item(struct list_run *run, const struct list_item *item, uint32_t number)
{
	switch (item->kind) {
	case LIST_ITEM_ANY:
		lowest(&run->any, number);
		break;
	case LIST_ITEM_EMPTY:
		lowest(&run->empty, number);
		break;
	case LIST_ITEM_EXACT:
		set_add(&run->exact, item->key, number);
		break;
	case LIST_ITEM_SUFFIX:
		lowest(&run->first_name, number);
		add_suffix(&run->suffixes, item->key, number);
		break;
	case LIST_ITEM_ADDRESS:
		set_add(&run->addresses, item->key, number);
		break;
	default:
		break;
	}
}

static void build_run(struct list_run *run, enum list_kind kind, struct arena *arena, const struct list_item *items, size_t count,
		      uint32_t first)
{
	size_t counts[LIST_ITEM_KINDS] = { 0 }, specials = 0;
	for (size_t i = 0; i < count; i++) {
		counts[items[i].kind]++;
		specials += is_special(&items[i]);
	}
	*run = (struct list_run){
		.negative = items[0].negative, .caseful = items[0].caseful, .unknown = items[0].unknown,
		.deferred = items[0].deferred, .first = first,
		.any = SET_NONE, .empty = SET_NONE, .first_name = SET_NONE,
	};
	/* The domain side of an address is always caseless; names of a caseful local-part list are not. */
	bool nocase = !run->caseful || kind == LIST_ADDRESS;
	set_init(&run->exact, arena, counts[LIST_ITEM_EXACT], nocase);
	set_init(&run->suffixes.set, arena, counts[LIST_ITEM_SUFFIX], nocase);
	set_init(&run->addresses, arena, counts[LIST_ITEM_ADDRESS], !run->caseful);
	add_networks(run, arena, items, count, first, counts[LIST_ITEM_NETWORK]);

	struct list_special *special = specials ? arena_array(arena, specials, sizeof *special) : NULL;
	run->specials = special;
	for (size_t i = 0; i < count; i++) {
		uint32_t number = first + (uint32_t)i;
		if (is_special(&items[i]))
			special[run->special_count++] = (struct list_special){ number, items[i] };
		else
			add_item(run, &items[i], number);
	}
}

static bool same_run(const struct list_item *a, const struct list_item *b)
{
	return a->negative == b->negative && a->caseful == b->caseful && a->unknown == b->unknown &&
	       a->deferred == b->deferred;
}

void list_build_runs(struct list *list, struct arena *arena, const struct list_item *items, size_t count)
{
	size_t changes = count ? 1 : 0;
	struct list_item_text *texts = arena_array(arena, count, sizeof *texts);
	for (size_t i = 0; i < count; i++) {
		texts[i] = (struct list_item_text){ items[i].data, items[i].tainted, items[i].anything };
		changes += i && !same_run(&items[i - 1], &items[i]);
	}
	struct list_run *runs = arena_array(arena, changes, sizeof *runs);
	for (size_t start = 0, end; start < count; start = end) {
		for (end = start + 1; end < count && same_run(&items[start], &items[end]); end++)
			continue;
		build_run(&runs[list->run_count++], list->kind, arena, items + start, end - start, (uint32_t)start);
	}
	list->runs = runs;
	list->items = texts;
	list->count = count;
}
