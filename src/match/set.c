/* SPDX-License-Identifier: ISC */
#include "match/set.h"

#include "base/fatal.h"

/* FNV-1a over the folded bytes. The keys are the administrator's, so nobody can choose them to collide. */
static uint32_t hash_key(struct slice key, bool nocase)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < key.len; i++) {
		unsigned char byte = (unsigned char)(nocase ? ascii_lower(key.data[i]) : key.data[i]);
		hash = (hash ^ byte) * UINT64_C(0x100000001b3);
	}
	return (uint32_t)(hash ^ hash >> 32);
}

void set_init(struct set *set, struct arena *arena, size_t count, bool nocase)
{
	*set = (struct set){ .nocase = nocase };
	if (count == 0)
		return;
	ensure(count < 1u << 30);
	uint32_t places = 4;
	while (places < count * 2)
		places *= 2;
	set->entries = arena_array(arena, places, sizeof *set->entries);
	set->mask = places - 1;
	for (uint32_t i = 0; i < places; i++)
		set->entries[i].item = SET_NONE;
}

/* The entry with this key, or the free one where it belongs. */
static struct set_entry *find_entry(const struct set *set, struct slice key, uint32_t hash)
{
	for (uint32_t at = hash & set->mask;; at = (at + 1) & set->mask) {
		struct set_entry *entry = &set->entries[at];
		if (entry->item == SET_NONE)
			return entry;
		if (entry->hash == hash && (set->nocase ? slice_equal_nocase(entry->key, key) : slice_equal(entry->key, key)))
			return entry;
	}
}

void set_add(struct set *set, struct slice key, uint32_t item)
{
	uint32_t hash = hash_key(key, set->nocase);
	struct set_entry *entry = find_entry(set, key, hash);
	if (entry->item == SET_NONE)
		*entry = (struct set_entry){ key, hash, item };
}

uint32_t set_find(const struct set *set, struct slice key)
{
	return set->entries ? find_entry(set, key, hash_key(key, set->nocase))->item : SET_NONE;
}
