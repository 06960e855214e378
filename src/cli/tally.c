/* SPDX-License-Identifier: ISC */
#include "cli/tally.h"

#include "base/fatal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void tally_init(struct tally *tally, size_t most)
{
	*tally = (struct tally){ .most = most < 16 ? 16 : most };
	/* Who writes the log's keys must not be able to make them collide. */
	if (getrandom(&tally->seed, sizeof tally->seed, 0) < 0)
		tally->seed = (uint64_t)(uintptr_t)tally;
}

void tally_free(struct tally *tally)
{
	for (size_t i = 0; i < tally->capacity; i++)
		free(tally->slots[i].key);
	free(tally->slots);
	*tally = (struct tally){ 0 };
}

static uint64_t hash(const struct tally *tally, struct slice key)
{
	uint64_t value = tally->seed ^ key.len;
	for (size_t i = 0; i < key.len; i++) {
		value = (value ^ (unsigned char)key.data[i]) * UINT64_C(0x9e3779b97f4a7c15);
		value ^= value >> 29;
	}
	return value;
}

/* The key's slot, or the free one for it. */
static struct tally_entry *find(const struct tally *tally, struct slice key)
{
	size_t at = hash(tally, key) & (tally->capacity - 1);
	while (tally->slots[at].key && !slice_equal(slice_make(tally->slots[at].key, tally->slots[at].len), key))
		at = (at + 1) & (tally->capacity - 1);
	return &tally->slots[at];
}

/* Puts all but at most `drop` of those with counts up to `above` into the new table. */
static void put_all(struct tally *tally, struct tally_entry *from, size_t count, uint64_t above, size_t drop)
{
	size_t start = tally->hand;
	for (size_t n = 0; n < count; n++) {
		struct tally_entry *entry = &from[(start + n) & (count - 1)];
		if (!entry->key)
			continue;
		if (!drop || entry->count > above) {
			*find(tally, slice_make(entry->key, entry->len)) = *entry;
			continue;
		}
		tally->forgotten += entry->count;
		tally->hand = (start + n) & (count - 1);
		tally->used--;
		drop--;
		free(entry->key);
	}
}

static int compare_counts(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
	return a < b ? -1 : a > b;
}

/* The count that a quarter of the keys does not pass: that many go at once, so that new keys cannot make this happen often. */
static uint64_t lowest_quarter(const struct tally *tally)
{
	uint64_t *counts = xcalloc(tally->used, sizeof *counts);
	size_t n = 0;
	for (size_t i = 0; i < tally->capacity; i++)
		if (tally->slots[i].key)
			counts[n++] = tally->slots[i].count;
	qsort(counts, n, sizeof *counts, compare_counts);
	uint64_t count = counts[n / 4];
	free(counts);
	return count;
}

/* Makes room for one more: a larger table, or one without the keys that were seen least. */
static void make_room(struct tally *tally)
{
	if (tally->used * 2 < tally->capacity && tally->used < tally->most)
		return;
	bool full = tally->used == tally->most;
	uint64_t above = full ? lowest_quarter(tally) : 0;
	struct tally_entry *old = tally->slots;
	size_t count = tally->capacity;
	if (!full)
		tally->capacity = count ? count * 2 : 64;
	tally->slots = xcalloc(tally->capacity, sizeof *tally->slots);
	put_all(tally, old, count, above, full ? tally->most / 4 : 0);
	free(old);
}

void tally_add(struct tally *tally, struct slice key, uint64_t bytes)
{
	key = slice_first(key, TALLY_KEY_MAX);
	struct tally_entry *entry = tally->capacity ? find(tally, key) : NULL;
	if (!entry || !entry->key) {
		make_room(tally);
		entry = find(tally, key);
		entry->key = xcalloc(1, key.len + 1);
		if (key.len)
			memcpy(entry->key, key.data, key.len);
		entry->len = key.len;
		tally->used++;
	}
	entry->count++;
	entry->bytes += bytes;
}

static int compare(const void *one, const void *other)
{
	const struct tally_entry *a = one, *b = other;
	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	return slice_compare(slice_make(a->key, a->len), slice_make(b->key, b->len));
}

struct tally_entry *tally_sorted(const struct tally *tally, size_t *count_r)
{
	struct tally_entry *all = xcalloc(tally->used + 1, sizeof *all);
	size_t count = 0;
	for (size_t i = 0; i < tally->capacity; i++)
		if (tally->slots[i].key)
			all[count++] = tally->slots[i];
	qsort(all, count, sizeof *all, compare);
	*count_r = count;
	return all;
}
