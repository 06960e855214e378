/* SPDX-License-Identifier: ISC */
#include "limit/store.h"

#include "base/crc32c.h"
#include "base/fatal.h"
#include "base/files.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAGIC UINT64_C(0x31544d494c545350)
#define BATCH_MAGIC UINT32_C(0x48435442)

enum { BATCH_RECORDS = 8192, WHOLE = 1 };

struct head {
	uint64_t magic, generation;
	unsigned char secret[LIMIT_SECRET];
	uint32_t record_size, crc; /* of all before it */
};

/* The CRC is of the three numbers and the records. */
struct batch {
	uint32_t magic, count, flags, crc;
};

_Static_assert(sizeof(struct head) == 40 && sizeof(struct batch) == 16 && sizeof(struct limit_facts) == 56, "no padding");

enum { OUT_MAX = sizeof(struct head) + sizeof(struct batch) + BATCH_RECORDS * sizeof(struct limit_facts) };

struct limit_store {
	struct limit_table *table;
	int files[2];
	unsigned current;     /* the file to which changes go */
	uint64_t generation;
	uint64_t size, whole; /* of the current file; its size when its copy was whole */
	bool copying;         /* the other file is being written */
	uint32_t cursor;
	/* What limit_store_write is to do. */
	char *out;
	size_t length;
	unsigned target;
	uint64_t offset;
	bool ends_copy;
	int failed;           /* errno of the last write; 0: it worked */
};

static uint32_t batch_crc(const struct batch *batch, const void *records)
{
	return crc32c(crc32c(0, batch, offsetof(struct batch, crc)), records, batch->count * sizeof(struct limit_facts));
}

/* ---- Reading ---- */

static bool read_head(int file, struct head *head_r)
{
	return files_read_full(&files_real, file, head_r, sizeof *head_r, 0) == (ssize_t)sizeof *head_r && head_r->magic == HEAD_MAGIC &&
	       head_r->record_size == sizeof(struct limit_facts) && head_r->crc == crc32c(0, head_r, offsetof(struct head, crc));
}

/* The batch at `offset`, its records in store->out; false: there is none that is whole. */
static bool read_batch(struct limit_store *store, int file, uint64_t offset, struct batch *batch_r)
{
	if (files_read_full(&files_real, file, batch_r, sizeof *batch_r, offset) != (ssize_t)sizeof *batch_r ||
	    batch_r->magic != BATCH_MAGIC || batch_r->count > BATCH_RECORDS)
		return false;
	size_t size = batch_r->count * sizeof(struct limit_facts);
	return files_read_full(&files_real, file, store->out, size, offset + sizeof *batch_r) == (ssize_t)size &&
	       batch_r->crc == batch_crc(batch_r, store->out);
}

static bool plausible(const struct limit_facts *facts, int64_t now)
{
	return facts->expires > now && isfinite(facts->rate) && facts->rate >= 0 && facts->stamp >= 0 && facts->set_start >= 0;
}

static void take_records(struct limit_store *store, uint32_t count, int64_t now)
{
	struct limit_facts facts;
	for (uint32_t i = 0; i < count; i++) {
		memcpy(&facts, store->out + i * sizeof facts, sizeof facts);
		if (plausible(&facts, now))
			limit_table_take(store->table, &facts.digest, now)->facts = facts;
	}
}

/* Behind what is good there may be a piece of a batch. */
static void cut_off(int file, uint64_t size)
{
	struct stat st;
	if (files_real.ops->stat(&files_real, file, &st) == 0 && (uint64_t)st.st_size > size)
		files_real.ops->truncate(&files_real, file, size);
}

/* Reads a file into a new table. False: its copy is not whole. */
static bool read_file(struct limit_store *store, unsigned which, const struct head *head, uint32_t keys, int64_t now)
{
	struct batch batch;
	bool whole = false;
	store->table = limit_table_new(keys, head->secret);
	store->size = sizeof *head;
	while (read_batch(store, store->files[which], store->size, &batch)) {
		take_records(store, batch.count, now);
		store->size += sizeof batch + batch.count * sizeof(struct limit_facts);
		if (batch.flags & WHOLE) {
			whole = true;
			store->whole = store->size;
		}
	}
	if (!whole) {
		limit_table_free(store->table);
		return false;
	}
	cut_off(store->files[which], store->size);
	store->current = which;
	store->generation = head->generation;
	return true;
}

static bool is_empty(int file)
{
	struct stat st;
	return files_real.ops->stat(&files_real, file, &st) == 0 && st.st_size == 0;
}

struct limit_store *limit_store_open(const int files[2], uint32_t keys, int64_t now, struct error *problem)
{
	struct limit_store *store = xcalloc(1, sizeof *store);
	struct head heads[2];
	bool good[2];
	*store = (struct limit_store){ .files = { files[0], files[1] }, .out = xcalloc(1, OUT_MAX) };
	*problem = (struct error){ 0 };
	for (int i = 0; i < 2; i++)
		good[i] = read_head(files[i], &heads[i]);
	unsigned newer = good[0] && good[1] ? heads[1].generation > heads[0].generation : good[1];
	for (unsigned i = 0; i < 2; i++) {
		unsigned which = i ? 1 - newer : newer;
		if (good[which] && read_file(store, which, &heads[which], keys, now))
			return store;
	}
	if (!is_empty(files[0]) || !is_empty(files[1]))
		error_set(problem, ERROR_PERMANENT, "neither of the files holds a whole copy: all counts begin anew");
	store->table = limit_table_new(keys, NULL);
	store->generation = good[newer] ? heads[newer].generation : 0;
	store->current = 1; /* the first copy goes to the other one */
	store->whole = 0;
	store->size = UINT64_MAX;
	return store;
}

void limit_store_close(struct limit_store *store)
{
	if (!store)
		return;
	limit_table_free(store->table);
	free(store->out);
	free(store);
}

struct limit_table *limit_store_table(struct limit_store *store)
{
	return store->table;
}

/* ---- Writing ---- */

static bool is_too_large(const struct limit_store *store)
{
	return store->size - store->whole > (store->whole > LIMIT_STORE_ROOM ? store->whole : LIMIT_STORE_ROOM);
}

static void put_head(struct limit_store *store)
{
	struct head head = { .magic = HEAD_MAGIC, .generation = ++store->generation, .record_size = sizeof(struct limit_facts) };
	memcpy(head.secret, limit_table_secret(store->table), sizeof head.secret);
	head.crc = crc32c(0, &head, offsetof(struct head, crc));
	memcpy(store->out, &head, sizeof head);
	store->length = sizeof head;
}

/* While copying all records in turn, and behind the last of them those that changed meanwhile. */
static const struct limit_facts *next_record(struct limit_store *store)
{
	const struct limit_facts *facts = store->copying ? limit_table_next(store->table, &store->cursor) : NULL;
	return facts ? facts : limit_table_pop_changed(store->table);
}

static void put_batch(struct limit_store *store)
{
	struct batch batch = { .magic = BATCH_MAGIC };
	char *records = store->out + store->length + sizeof batch;
	const struct limit_facts *facts;
	while (batch.count < BATCH_RECORDS && (facts = next_record(store)))
		memcpy(records + batch.count++ * sizeof *facts, facts, sizeof *facts);
	/* Fewer than there was room for: that was all. */
	store->ends_copy = store->copying && batch.count < BATCH_RECORDS;
	batch.flags = store->ends_copy ? WHOLE : 0;
	batch.crc = batch_crc(&batch, records);
	memcpy(store->out + store->length, &batch, sizeof batch);
	store->length += sizeof batch + batch.count * sizeof *facts;
}

bool limit_store_gather(struct limit_store *store)
{
	store->length = 0;
	if (!store->copying && is_too_large(store)) {
		store->copying = true;
		store->cursor = 0;
		store->target = 1 - store->current;
		store->offset = 0;
		put_head(store);
	} else if (!store->copying) {
		if (!limit_table_has_changed(store->table))
			return false;
		store->target = store->current;
		store->offset = store->size;
	}
	put_batch(store);
	return true;
}

void limit_store_write(void *arg)
{
	struct limit_store *store = arg;
	int file = store->files[store->target];
	int result = store->offset == 0 ? files_real.ops->truncate(&files_real, file, 0) : 0;
	if (result == 0)
		result = files_write_all(&files_real, file, store->out, store->length, store->offset);
	if (result == 0 && store->ends_copy)
		result = files_real.ops->sync_data(&files_real, file);
	store->failed = result < 0 ? -result : 0;
}

bool limit_store_written(struct limit_store *store, struct error *error)
{
	if (store->failed) {
		store->copying = store->ends_copy = false;
		store->size = UINT64_MAX; /* a copy next time: what was taken out of the changes is nowhere else */
		store->whole = 0;
		return error_set_errno(error, store->failed, "writing what is remembered of clients (limits)");
	}
	store->offset += store->length;
	if (store->ends_copy) {
		store->copying = store->ends_copy = false;
		store->current = store->target;
		store->size = store->whole = store->offset;
	} else if (!store->copying) {
		store->size = store->offset;
	}
	return true;
}
