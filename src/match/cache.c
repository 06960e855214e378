/* SPDX-License-Identifier: ISC */
#include "match/matching.h"

struct list_cache_entry {
	const struct list *list;
	struct slice key;
	struct list_match result; /* in the cache's arena */
};

struct list_cache {
	struct arena *arena;
	size_t count;
	struct list_cache_entry *entries[LIST_CACHE_MAX];
};

enum { KEPT_DATA_MAX = 64 * 1024 };

struct list_cache *list_cache_new(struct arena *arena)
{
	struct list_cache *cache = arena_new(arena, struct list_cache);
	cache->arena = arena;
	return cache;
}

/* What the result depends on, as text, in `out`; false when that is too long to be kept. */
static bool make_key(const struct list *list, const struct list_probe *probe, char *out, size_t size, struct slice *key_r)
{
	struct slice first = probe->name, second = { NULL, 0 };
	struct net_text host;
	if (list->kind == LIST_HOST) {
		host = probe->empty ? (struct net_text){ 0 } : net_address_text(&probe->host);
		first = slice_of(host.text);
	}
	if (list->kind == LIST_ADDRESS)
		second = probe->subject->local_part;
	if (first.len >= size || second.len >= size - first.len)
		return false;
	if (first.len)
		memcpy(out, first.data, first.len);
	out[first.len] = '\0';
	if (second.len)
		memcpy(out + first.len + 1, second.data, second.len);
	*key_r = slice_make(out, first.len + 1 + second.len);
	return true;
}

bool list_cache_find(struct list_cache *cache, const struct list *list, const struct list_probe *probe, struct list_match *result_r)
{
	char text[LIST_KEY_MAX];
	struct slice key;
	if (!make_key(list, probe, text, sizeof text, &key))
		return false;
	for (size_t i = 0; i < cache->count; i++) {
		if (cache->entries[i]->list == list && slice_equal(cache->entries[i]->key, key)) {
			*result_r = cache->entries[i]->result;
			return true;
		}
	}
	return false;
}

/* Groups and asterisks are not kept: as in Exim, only a fresh match sets the numbers. */
void list_cache_keep(struct list_cache *cache, const struct list *list, const struct list_probe *probe,
		     const struct list_match *result)
{
	char text[LIST_KEY_MAX];
	struct slice key;
	if (cache->count == LIST_CACHE_MAX || result->data.len > KEPT_DATA_MAX || !make_key(list, probe, text, sizeof text, &key))
		return;
	struct list_cache_entry *entry = arena_new(cache->arena, struct list_cache_entry);
	*entry = (struct list_cache_entry){ .list = list, .key = arena_copy(cache->arena, key) };
	entry->result.yes = result->yes;
	entry->result.data = arena_copy(cache->arena, result->data);
	entry->result.item = arena_copy(cache->arena, result->item);
	entry->result.tainted = result->tainted;
	entry->result.anything = result->anything;
	entry->result.excepted = result->excepted;
	entry->result.name_wanted = result->name_wanted;
	cache->entries[cache->count++] = entry;
}
