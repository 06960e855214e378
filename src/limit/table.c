/* SPDX-License-Identifier: ISC */
#include "limit/table.h"

#include "base/fatal.h"

#include <stdlib.h>
#include <string.h>

/* Ends of lists: of chains and free places LIMIT_NONE; of changed records LAST, because LIMIT_NONE says "not in the list". */
#define LAST (UINT32_MAX - 1)

struct limit_table {
	struct limit_record *records;
	uint32_t *chains;
	uint32_t size, chain_mask;
	uint32_t used;  /* places that were ever used */
	uint32_t count; /* records that are in a chain */
	uint32_t free, changed;
	uint32_t hand;  /* where candidates are looked for next */
	struct keyed_hash *hash;
};

struct limit_table *limit_table_new(uint32_t keys, const unsigned char secret[LIMIT_SECRET])
{
	struct limit_table *table = xcalloc(1, sizeof *table);
	uint32_t chains = 1;
	ensure(keys > 0 && keys <= LIMIT_KEYS_MAX);
	while (chains < keys)
		chains *= 2;
	*table = (struct limit_table){ .size = keys, .chain_mask = chains - 1, .free = LIMIT_NONE, .changed = LAST };
	table->records = xcalloc(keys, sizeof *table->records);
	/* Chains hold a place plus one: zeroed memory is all empty, and none of it is touched yet. */
	table->chains = xcalloc(chains, sizeof *table->chains);
	table->hash = keyed_hash_new(secret, LIMIT_DIGEST);
	return table;
}

void limit_table_free(struct limit_table *table)
{
	if (!table)
		return;
	keyed_hash_free(table->hash);
	free(table->records);
	free(table->chains);
	free(table);
}

const unsigned char *limit_table_secret(const struct limit_table *table)
{
	return keyed_hash_key(table->hash);
}

uint32_t limit_table_count(const struct limit_table *table)
{
	return table->count;
}

size_t limit_table_bytes(const struct limit_table *table)
{
	return sizeof *table + table->size * sizeof *table->records + ((size_t)table->chain_mask + 1) * sizeof *table->chains;
}

struct limit_digest limit_table_digest(const struct limit_table *table, enum limit_kind kind, struct slice key, struct slice event)
{
	struct limit_digest digest;
	unsigned char head[1 + sizeof key.len] = { (unsigned char)kind };
	const struct slice parts[] = { slice_make(head, sizeof head), key, event };
	memcpy(head + 1, &key.len, sizeof key.len); /* so that key and event cannot be taken for another key with another event */
	keyed_hash_of(table->hash, parts, sizeof parts / sizeof parts[0], digest.bytes);
	return digest;
}

static uint32_t *chain_of(const struct limit_table *table, const struct limit_digest *digest)
{
	uint32_t hash;
	memcpy(&hash, digest->bytes, sizeof hash);
	return &table->chains[hash & table->chain_mask];
}

static uint32_t place_of(const struct limit_table *table, const struct limit_record *record)
{
	return (uint32_t)(record - table->records);
}

static bool same(const struct limit_digest *a, const struct limit_digest *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static struct limit_record *look_up(const struct limit_table *table, const struct limit_digest *digest)
{
	for (uint32_t at = *chain_of(table, digest); at; at = table->records[at - 1].next)
		if (same(&table->records[at - 1].facts.digest, digest))
			return &table->records[at - 1];
	return NULL;
}

/* A free place keeps nothing of what it held but its part in the list of changed ones; `expires` 0 says that it is free. */
static void release(struct limit_table *table, struct limit_record *record)
{
	uint32_t *at = chain_of(table, &record->facts.digest), place = place_of(table, record);
	while (*at != place + 1)
		at = &table->records[*at - 1].next;
	*at = record->next;
	record->facts = (struct limit_facts){ 0 };
	record->next = table->free;
	table->free = place;
	table->count--;
}

struct limit_record *limit_table_find(struct limit_table *table, const struct limit_digest *digest, int64_t now)
{
	struct limit_record *record = look_up(table, digest);
	if (!record || record->facts.expires > now)
		return record;
	release(table, record);
	return NULL;
}

/* Looks at some records in turn: lets those go whose time is over, and, when that frees none and it must, the one that goes next. */
static void sweep(struct limit_table *table, uint32_t many, int64_t now, bool must)
{
	struct limit_record *first = NULL;
	for (uint32_t i = 0; i < many && table->used; i++) {
		struct limit_record *record = &table->records[table->hand];
		table->hand = table->hand + 1 < table->used ? table->hand + 1 : 0;
		if (record->facts.expires == 0)
			continue;
		if (record->facts.expires <= now)
			release(table, record);
		else if (!first || record->facts.expires < first->facts.expires)
			first = record;
	}
	if (must && table->free == LIMIT_NONE && first)
		release(table, first);
}

static struct limit_record *free_place(struct limit_table *table, int64_t now)
{
	sweep(table, 2, now, false);
	if (table->free == LIMIT_NONE && table->used < table->size) {
		struct limit_record *record = &table->records[table->used++];
		record->changed = LIMIT_NONE;
		return record;
	}
	if (table->free == LIMIT_NONE)
		sweep(table, LIMIT_CANDIDATES, now, true);
	struct limit_record *record = &table->records[table->free];
	table->free = record->next;
	return record;
}

struct limit_record *limit_table_take(struct limit_table *table, const struct limit_digest *digest, int64_t now)
{
	struct limit_record *record = look_up(table, digest);
	if (record)
		return record;
	record = free_place(table, now);
	uint32_t *chain = chain_of(table, digest);
	record->facts = (struct limit_facts){ .digest = *digest, .expires = INT64_MAX };
	record->next = *chain;
	*chain = place_of(table, record) + 1;
	table->count++;
	return record;
}

void limit_table_changed(struct limit_table *table, struct limit_record *record)
{
	if (record->changed != LIMIT_NONE)
		return;
	record->changed = table->changed;
	table->changed = place_of(table, record);
}

bool limit_table_has_changed(const struct limit_table *table)
{
	return table->changed != LAST;
}

const struct limit_facts *limit_table_pop_changed(struct limit_table *table)
{
	while (table->changed != LAST) {
		struct limit_record *record = &table->records[table->changed];
		table->changed = record->changed;
		record->changed = LIMIT_NONE;
		if (record->facts.expires) /* it may have been let go meanwhile */
			return &record->facts;
	}
	return NULL;
}

const struct limit_facts *limit_table_next(const struct limit_table *table, uint32_t *cursor)
{
	while (*cursor < table->used) {
		const struct limit_record *record = &table->records[(*cursor)++];
		if (record->facts.expires)
			return &record->facts;
	}
	return NULL;
}
