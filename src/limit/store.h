/* SPDX-License-Identifier: ISC */
/*
 * A table of limits on disk: two files that take turns, so that neither names nor new files are needed once the walls of the process
 * are up. A file is a head (its generation, and the secret of the hash) and batches of records, each with its CRC32C. One batch says
 * that the copy of the table with which the file began is whole; later ones are changes. When a file has become large, the other one
 * is written anew with the next generation; until that copy is whole, the older file counts.
 *
 *   head(generation) batch* batch(WHOLE) change*            the file with the highest generation that has WHOLE counts
 *
 * Loss: what was not written when the process died (its role writes once a second), and at a crash of the system also what the system
 * had not written yet: changes are not synced. A copy is synced before it counts. Records that were let go are not deleted in
 * the file: they come back at a start unless their time is over, which harms nobody.
 *
 * limit_store_gather runs on the loop and copies; limit_store_write runs on any thread, touches nothing but the store, and blocks;
 * limit_store_written runs on the loop again. They are called in turn.
 */
#ifndef POSTERN_LIMIT_STORE_H
#define POSTERN_LIMIT_STORE_H

#include "base/error.h"
#include "limit/table.h"

/* Changes after which the other file is written: as many bytes as the copy has, but at least this many. */
#define LIMIT_STORE_ROOM (8 * 1024 * 1024)

struct limit_store;

/*
 * Reads what the files (open for reading and writing; they stay the caller's) hold, into a new table of `keys` records. Damaged
 * parts end the reading of a file, and are written over. Never fails: files that are no good give an empty table, and *problem says
 * why (empty: all is well).
 */
struct limit_store *limit_store_open(const int files[2], uint32_t keys, int64_t now, struct error *problem);
/* Frees the table with it. */
void limit_store_close(struct limit_store *store);
struct limit_table *limit_store_table(struct limit_store *store);

/* Copies what is to be written next; false: nothing is. */
bool limit_store_gather(struct limit_store *store);
void limit_store_write(void *store);
/* False with *error: it could not be written; it is tried again with a copy of the whole table. */
bool limit_store_written(struct limit_store *store, struct error *error);

#endif
