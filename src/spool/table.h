/* SPDX-License-Identifier: ISC */
/*
 * What a spool remembers of each message while it runs: one small entry each, in a hash table by identifier (open
 * addressing, linear probing, at most three quarters full). The table owns the entries; a pointer to one is valid until
 * the next insertion or removal. No locks: the caller has them.
 */
#ifndef POSTERN_SPOOL_TABLE_H
#define POSTERN_SPOOL_TABLE_H

#include "spool/spool.h"
#include "spool/spool_log.h"

struct spool_entry {
	struct message_id id;  /* empty text: a free place */
	bool journal;          /* a journal file exists */
	bool journal_named;    /* and its name is synced, or the caller is about to */
	uint32_t recipients;
	uint64_t body_size;    /* bytes of the message alone */
	uint64_t journal_size; /* bytes up to the end of the last good record */
	int64_t received_ns;
	/* Of a message in the log (log_spool.c). */
	struct spool_log_place place;
	bool busy;             /* somebody copies it */
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
/* Adds count, bytes and the oldest to the figures. Walks over the table. */
void spool_table_figures(const struct spool_table *table, struct spool_figures *figures);
void spool_table_remove(struct spool_table *table, const struct message_id *id);

#endif
