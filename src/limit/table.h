/* SPDX-License-Identifier: ISC */
/*
 * What is remembered of clients by key: a table of records of one size, with a bound. A key is any text, as long as it likes; the table
 * keeps 128 bits of SipHash under a secret key, so that a peer that chooses texts can neither make two keys the same nor fill one chain.
 *
 * Memory. sizeof(struct limit_record) bytes a key and four of the index, taken from the system when they are first touched: 68 MiB for
 * LIMIT_KEYS_MAX keys. Nothing is given back; places are used again.
 *
 * Each record says when it is of no use any more. A table that is full gives up the record among LIMIT_CANDIDATES whose time
 * comes first; those whose time is over go on the way.
 *
 * Invariants: digests are unique; a record is in exactly one chain or in the list of free places; one that was changed and not
 * written yet is in the list of changed ones, once. A pointer to a record is good until the next limit_table_take.
 */
#ifndef POSTERN_LIMIT_TABLE_H
#define POSTERN_LIMIT_TABLE_H

#include "base/keyed_hash.h"
#include "base/slice.h"

enum { LIMIT_KEYS_MAX = 1 << 20, LIMIT_DIGEST = 16, LIMIT_SECRET = KEYED_HASH_KEY, LIMIT_CANDIDATES = 16 };
#define LIMIT_NONE UINT32_MAX

/* Kinds of keys: equal texts of different kinds are different keys. */
enum limit_kind { LIMIT_KIND_RATE = 'r', LIMIT_KIND_EVENT = 'e', LIMIT_KIND_SEEN = 's' };

struct limit_digest {
	unsigned char bytes[LIMIT_DIGEST];
};

/* What is written to disk of a record; times are nanoseconds since the epoch (clock_wall_now). */
struct limit_facts {
	struct limit_digest digest;
	int64_t stamp;     /* of the last event that was counted */
	int64_t expires;   /* from then on it is as good as no record */
	int64_t set_start; /* of a rate of different events: since when they are collected */
	double rate;       /* events a period, at `stamp`; finite, not negative */
	uint64_t events;   /* different ones since set_start */
};

struct limit_record {
	struct limit_facts facts;
	uint32_t next;    /* in its chain, or the next free place */
	uint32_t changed; /* the next of the changed ones; see limit_table_changed */
};

struct limit_table;

/* `keys`: the most that it may hold. `secret`: of the hash; NULL: a new one. Ends the process when there is no memory. */
struct limit_table *limit_table_new(uint32_t keys, const unsigned char secret[LIMIT_SECRET]);
void limit_table_free(struct limit_table *table);
const unsigned char *limit_table_secret(const struct limit_table *table);
uint32_t limit_table_count(const struct limit_table *table);
/* Bytes that it may come to use, all told. */
size_t limit_table_bytes(const struct limit_table *table);

/* `event`: for LIMIT_KIND_EVENT, otherwise empty. */
struct limit_digest limit_table_digest(const struct limit_table *table, enum limit_kind kind, struct slice key, struct slice event);
/* NULL: there is none that is of use at `now`. */
struct limit_record *limit_table_find(struct limit_table *table, const struct limit_digest *digest, int64_t now);
/* The record, or a new one with nothing but its digest; makes room when there is none. Call limit_table_changed when it is filled. */
struct limit_record *limit_table_take(struct limit_table *table, const struct limit_digest *digest, int64_t now);
void limit_table_changed(struct limit_table *table, struct limit_record *record);

/* For writing: takes one of the changed records; NULL: there is none. */
const struct limit_facts *limit_table_pop_changed(struct limit_table *table);
bool limit_table_has_changed(const struct limit_table *table);
/* Walks all records: the next from place *cursor (0 at the start) on, or NULL. Records that come or go meanwhile may be missed. */
const struct limit_facts *limit_table_next(const struct limit_table *table, uint32_t *cursor);

#endif
