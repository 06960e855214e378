/* SPDX-License-Identifier: ISC */
/*
 * What the file spool remembers of each message while it runs: one small entry each, in a hash table by identifier (open
 * addressing, linear probing, at most three quarters full). The table owns the entries; a pointer to one is valid until
 * the next insertion or removal. No locks: the caller has them.
 */
#ifndef POSTERN_SPOOL_TABLE_H
#define POSTERN_SPOOL_TABLE_H

#include "base/id.h"

struct spool_entry {
	struct message_id id;  /* empty text: a free place */
	bool journal;          /* a journal file exists */
	bool journal_named;    /* and its name is synced, or the caller is about to */
	uint32_t recipients;
	uint64_t body_size;    /* bytes of the message alone */
	uint64_t journal_size; /* bytes up to the end of the last good record */
	int64_t received_ns;
};

struct spool_table {
	struct spool_entry *places;
	size_t size; /* places: a power of two, or 0 */
	size_t count;
	uint64_t bytes; /* sum of body_size */
};

void spool_table_free(struct spool_table *table);
/* NULL when it is not there. */
struct spool_entry *spool_table_find(const struct spool_table *table, const struct message_id *id);
/* False when the identifier is there already. */
bool spool_table_add(struct spool_table *table, const struct spool_entry *entry);
void spool_table_remove(struct spool_table *table, const struct message_id *id);

#endif
