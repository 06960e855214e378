/* SPDX-License-Identifier: ISC */
/*
 * The spool as it is used: new messages go into a log (spool_log.h), and most of them are delivered and forgotten without ever having a
 * file of their own. Below it lies the spool of files (file_spool.h), for all others. A message gets a file
 *
 *	- when it is long, at once;
 *	- with the first result that is to be recorded: something of it was deferred or failed, so it stays for longer;
 *	- when its segment is needed again;
 *	- at the next start.
 *
 *	begin, append ----> text in memory ----commit----> in the log ----remove----> GONE in the log
 *	                          |                            |
 *	                          | long                       | record, turn, scan
 *	                          v                            v
 *	                     in the files <---- move: file durable, then GONE durable (or the segment over)
 *
 * Invariants:
 *  1. Success of a commit is reported after a sync of the segment.
 *  2. A message has records only in its file. Its file gets none before the log is durably done with it. So where both have the
 *     message, the file is as good, and wins.
 *  3. A generation is over only when each of its messages is gone or durable as a file.
 *  4. A message is moved by one thread at a time, which has marked it busy. Who holds busy ones never waits for `writing`, and marks more only in order.
 *
 * Locks: `writing` is held by who appends; `syncing` by who syncs, for the kernel tells of a failed write once only, and nobody may take
 * the silence of a later sync for success; `mutex` guards the table and is never held while a file is touched. In this order.
 */
#include "spool/log_spool.h"

#include "base/cleanup.h"
#include "base/memory_file.h"
#include "spool/file_spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { GONE_AT_ONCE = 1024, PENDING_ENOUGH = 1024 * 1024 };

bool log_spool_usable(struct log_spool *spool, struct error *error)
{
	if (!atomic_load(&spool->broken))
		return true;
	return error_set(error, ERROR_TEMPORARY, "the spool is broken: a sync of its log failed, the queue process must start again");
}

bool log_spool_break(struct log_spool *spool)
{
	atomic_store(&spool->broken, true);
	return false;
}

/* ---- The table ---- */

bool log_spool_enter(struct log_spool *spool, const struct spool_entry *entry)
{
	pthread_mutex_lock(&spool->mutex);
	bool added = spool_table_add(&spool->table, entry);
	spool->live[entry->place.segment] += added;
	pthread_mutex_unlock(&spool->mutex);
	return added;
}

static bool has(struct log_spool *spool, const struct message_id *id)
{
	pthread_mutex_lock(&spool->mutex);
	bool found = spool_table_find(&spool->table, id) != NULL;
	pthread_mutex_unlock(&spool->mutex);
	return found;
}

/* Waits until nobody copies it, and marks it busy. False: it is not in the log (any more). */
static bool acquire(struct log_spool *spool, const struct message_id *id, struct spool_entry *entry_r)
{
	struct spool_entry *entry;
	pthread_mutex_lock(&spool->mutex);
	while ((entry = spool_table_find(&spool->table, id)) && entry->busy)
		pthread_cond_wait(&spool->settled, &spool->mutex);
	if (entry) {
		entry->busy = true;
		*entry_r = *entry;
	}
	pthread_mutex_unlock(&spool->mutex);
	return entry != NULL;
}

static void release(struct log_spool *spool, const struct message_id *id)
{
	pthread_mutex_lock(&spool->mutex);
	struct spool_entry *entry = spool_table_find(&spool->table, id);
	ensure(entry && entry->busy);
	entry->busy = false;
	pthread_cond_broadcast(&spool->settled);
	pthread_mutex_unlock(&spool->mutex);
}

void log_spool_forget(struct log_spool *spool, const struct message_id ids[], size_t count)
{
	pthread_mutex_lock(&spool->mutex);
	for (size_t i = 0; i < count; i++) {
		const struct spool_entry *entry = spool_table_find(&spool->table, &ids[i]);
		if (entry) {
			spool->live[entry->place.segment]--;
			spool_table_remove(&spool->table, &ids[i]);
		}
	}
	pthread_cond_broadcast(&spool->settled);
	pthread_mutex_unlock(&spool->mutex);
}

/* ---- Reading ---- */

bool log_spool_load(const struct log_spool *spool, const struct spool_log_place *place, const struct message_id *id, struct arena *arena,
		     struct log_message *message_r, struct error *error)
{
	char *bytes = arena_alloc(arena, place->size);
	message_r->text = slice_make(bytes, place->size);
	return spool_log_read(&spool->log, place, bytes, error) &&
	       file_spool_parse(message_r->text, id, arena, &message_r->envelope, &message_r->body, error);
}

static bool log_spool_read(struct spool *base, const struct message_id *id, struct arena *arena, struct spool_message *message_r,
			   struct error *error)
{
	struct log_spool *spool = log_spool_of(base);
	struct log_message message;
	struct spool_entry entry;
	if (!acquire(spool, id, &entry))
		return spool_read(spool->cold, id, arena, message_r, error);
	bool good = log_spool_load(spool, &entry.place, id, arena, &message, error);
	release(spool, id);
	if (!good)
		return false;
	/* A copy: the segment is nobody else's business, and will be written again. */
	int fd = memory_file_sealed("postern-message", message.text);
	if (fd < 0)
		return error_set_errno(error, errno, "making memory for message %s", id->text);
	*message_r = (struct spool_message){ fd, (uint64_t)(message.body.data - message.text.data), message.body.len, message.envelope };
	return true;
}

static bool log_spool_verify(struct spool *base, const struct message_id *id, struct error *error)
{
	struct log_spool *spool = log_spool_of(base);
	_cleanup_(arena_free) struct arena arena;
	struct log_message message;
	struct spool_entry entry;
	arena_init(&arena, 0);
	if (!acquire(spool, id, &entry))
		return spool_verify(spool->cold, id, error);
	bool good = log_spool_load(spool, &entry.place, id, &arena, &message, error);
	release(spool, id);
	return good;
}

/* ---- From the log into files ---- */

/* NULL without an error: an attempt that failed later has made its file already, and nothing was recorded there since. */
static struct spool_writer *begin_copy(struct log_move *move, const struct log_message *message, struct error *error)
{
	struct spool_writer *writer;
	if (file_spool_has(move->spool->cold, &message->envelope.id))
		return NULL;
	if (!spool_begin(move->spool->cold, &message->envelope, &writer, error))
		return NULL;
	if (spool_append_bytes(writer, message->body, error))
		return writer;
	spool_abort(writer);
	return NULL;
}

void log_spool_write_files(struct log_move *move)
{
	struct spool_writer *writers[LOG_SPOOL_MOVED];
	struct error results[LOG_SPOOL_MOVED];
	size_t which[LOG_SPOOL_MOVED], begun = 0;
	for (size_t i = 0; i < move->count; i++) {
		struct spool_writer *writer = move->results[i].kind == ERROR_NONE ? begin_copy(move, &move->messages[i], &move->results[i]) : NULL;
		if (writer) {
			which[begun] = i;
			writers[begun++] = writer;
		}
	}
	if (begun)
		spool_commit(move->spool->cold, writers, begun, results);
	for (size_t i = 0; i < begun; i++)
		move->results[which[i]] = results[i];
}

/* Copies up to LOG_SPOOL_MOVED messages into files. Those that are copied stay busy: the caller forgets them. False: some were not. */
static bool copy_to_files(struct log_move *move, struct log_spool *spool, const struct message_id ids[], size_t count, struct error *error)
{
	struct spool_entry entry;
	bool good = true;
	size_t copied = 0;
	ensure(count <= LOG_SPOOL_MOVED);
	move->spool = spool;
	move->count = 0;
	for (size_t i = 0; i < count; i++) {
		size_t n = move->count;
		if (!acquire(spool, &ids[i], &entry))
			continue;
		move->ids[n] = ids[i];
		move->results[n] = (struct error){ 0 };
		log_spool_load(spool, &entry.place, &ids[i], &move->arena, &move->messages[n], &move->results[n]);
		move->count++;
	}
	log_spool_write_files(move);
	for (size_t i = 0; i < move->count; i++) {
		if (move->results[i].kind == ERROR_NONE) {
			move->ids[copied++] = move->ids[i];
		} else {
			release(spool, &move->ids[i]);
			*error = move->results[i];
			good = false;
		}
	}
	move->count = copied;
	return good;
}

/* ---- Appending; the caller holds `writing` ---- */

struct listing {
	struct message_id *ids;
	size_t count;
};

static int compare_ids(const void *a, const void *b)
{
	const struct message_id *x = a, *y = b;
	return memcmp(x->text, y->text, MESSAGE_ID_LEN);
}

/* All messages of a segment, in order. The caller frees the list. */
static struct listing list_segment(struct log_spool *spool, unsigned segment)
{
	struct listing list = { 0 };
	pthread_mutex_lock(&spool->mutex);
	list.ids = xcalloc(spool->live[segment] + 1, sizeof *list.ids);
	for (size_t i = 0; i < spool->table.size && list.count < spool->live[segment]; i++) {
		const struct spool_entry *entry = &spool->table.places[i];
		if (entry->id.text[0] && entry->place.segment == segment)
			list.ids[list.count++] = entry->id;
	}
	pthread_mutex_unlock(&spool->mutex);
	qsort(list.ids, list.count, sizeof *list.ids, compare_ids);
	return list;
}

static void release_all(struct log_spool *spool, const struct message_id ids[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		release(spool, &ids[i]);
}

/*
 * Gives each of the list a file; they stay busy. Some may be gone meanwhile: the list is that of the others afterwards. On failure none
 * is busy. The list is in order, so that two threads never wait for each other's.
 */
static bool copy_list(struct log_spool *spool, struct listing *list, struct error *error)
{
	struct log_move *move = xcalloc(1, sizeof *move);
	size_t copied = 0;
	bool good = true;
	arena_init(&move->arena, 0);
	for (size_t at = 0; good && at < list->count; at += LOG_SPOOL_MOVED) {
		size_t count = list->count - at < LOG_SPOOL_MOVED ? list->count - at : LOG_SPOOL_MOVED;
		good = copy_to_files(move, spool, list->ids + at, count, error);
		/* Fewer than were asked for, so never beyond what was read of the list. */
		memcpy(list->ids + copied, move->ids, move->count * sizeof *move->ids);
		copied += move->count;
		arena_reset(&move->arena);
	}
	arena_free(&move->arena);
	free(move);
	list->count = copied;
	if (!good)
		release_all(spool, list->ids, list->count);
	return good;
}

bool log_spool_begin_generation(struct log_spool *spool, uint64_t oldest, struct error *error)
{
	bool synced = true;
	pthread_mutex_lock(&spool->syncing);
	bool good = log_spool_usable(spool, error) && spool_log_turn(&spool->log, oldest, &synced, error);
	if (!synced)
		log_spool_break(spool);
	pthread_mutex_unlock(&spool->syncing);
	return good;
}

/* Begins the next segment. The generation whose place comes after that is over then: what is left of it gets files. */
static bool turn(struct log_spool *spool, struct error *error)
{
	uint64_t oldest = spool->oldest;
	struct listing list = { 0 };
	bool good = true;
	if (spool->log.generation + 1 - oldest > SPOOL_LOG_SEGMENTS - 2) {
		list = list_segment(spool, spool_log_segment_of(oldest));
		good = copy_list(spool, &list, error);
		/* One that is damaged would hold up all that come: the next start keeps it aside. */
		if (!good && error->number == 0)
			log_spool_break(spool);
		oldest++;
	}
	if (good && !log_spool_begin_generation(spool, oldest, error)) {
		release_all(spool, list.ids, list.count);
		good = false;
	} else if (good) {
		spool->oldest = oldest;
		log_spool_forget(spool, list.ids, list.count);
	}
	free(list.ids);
	return good;
}

/* There is room for a payload of this size then, perhaps in the next segment. */
static bool make_room(struct log_spool *spool, size_t size, struct error *error)
{
	bool room = spool_log_has_room(&spool->log, size);
	if ((!room || buf_len(&spool->log.pending) > PENDING_ENOUGH) && !spool_log_write(&spool->log, error))
		return log_spool_break(spool);
	if (room || turn(spool, error))
		return true;
	error->kind = ERROR_TEMPORARY; /* whatever it is with those that are moved, it is no fault of this one */
	return false;
}

/* The end of up to GONE_AT_ONCE messages, for which there is room; to be written. */
static bool append_ids(struct log_spool *spool, const struct message_id ids[], size_t count, struct error *error)
{
	char list[GONE_AT_ONCE * MESSAGE_ID_LEN];
	for (size_t i = 0; i < count; i++)
		memcpy(list + i * MESSAGE_ID_LEN, ids[i].text, MESSAGE_ID_LEN);
	return spool_log_append(&spool->log, SPOOL_LOG_GONE, NULL, slice_make(list, count * MESSAGE_ID_LEN), NULL, error);
}

/* The end of these in the log, written, but not synced. */
static bool append_gone(struct log_spool *spool, const struct message_id ids[], size_t count, struct error *error)
{
	bool good = true;
	while (good && count) {
		size_t some = count < GONE_AT_ONCE ? count : GONE_AT_ONCE;
		good = make_room(spool, some * MESSAGE_ID_LEN, error) && append_ids(spool, ids, some, error);
		ids += some;
		count -= some;
	}
	return spool_log_write(&spool->log, error) ? good : log_spool_break(spool);
}

/* Syncs what was written up to the mark; without `writing`. */
static bool sync_to(struct log_spool *spool, const struct spool_log_mark *mark, struct error *error)
{
	pthread_mutex_lock(&spool->syncing);
	bool good = log_spool_usable(spool, error);
	int result = good ? spool_log_sync(&spool->log, mark) : 0;
	if (result < 0) {
		error_set_errno(error, -result, "syncing the spool's log");
		error->kind = ERROR_TEMPORARY;
		good = log_spool_break(spool);
	}
	pthread_mutex_unlock(&spool->syncing);
	if (!good)
		return false;
	pthread_mutex_lock(&spool->writing);
	spool_log_synced(&spool->log, mark);
	pthread_mutex_unlock(&spool->writing);
	return true;
}

static bool write_gone(struct log_spool *spool, const struct message_id ids[], size_t count, bool durable, struct error *error)
{
	struct spool_log_mark mark = { 0 };
	pthread_mutex_lock(&spool->writing);
	bool good = append_gone(spool, ids, count, error);
	if (good && durable)
		mark = spool_log_mark(&spool->log);
	pthread_mutex_unlock(&spool->writing);
	return good && (!durable || sync_to(spool, &mark, error));
}

/* ---- Messages coming in ---- */

static bool log_spool_begin(struct spool *base, const struct spool_envelope *envelope, struct spool_writer **writer_r, struct error *error)
{
	struct log_spool *spool = log_spool_of(base);
	return log_spool_usable(spool, error) && spool_begin(spool->cold, envelope, writer_r, error);
}

static void already_there(const struct message_id *id, struct error *error)
{
	error_set_errno(error, EEXIST, "storing message %s", id->text);
	error->kind = ERROR_TEMPORARY;
}

/* Takes a message in that is wholly in memory. False: it is not for the log. */
static bool append_message(struct log_spool *spool, struct spool_writer *writer, struct error *result)
{
	struct spool_entry entry;
	struct slice text;
	if (!file_spool_text(writer, &entry, &text) || text.len > spool->log.sizes.message)
		return false;
	if (has(spool, &entry.id) || file_spool_has(spool->cold, &entry.id))
		already_there(&entry.id, result);
	else if (make_room(spool, text.len, result) &&
		 spool_log_append(&spool->log, SPOOL_LOG_MESSAGE, &entry.id, text, &entry.place, result))
		ensure(log_spool_enter(spool, &entry));
	return true;
}

/* A commit under way: which writers are for the log, how many of them it took, and the others. */
struct commit {
	bool *in_log;
	size_t appended;
	struct spool_writer **others;
	struct error *other_results;
	size_t other_count;
};

static void append_all(struct log_spool *spool, struct commit *commit, struct spool_writer *writers[], size_t count, struct error results[])
{
	for (size_t i = 0; i < count; i++) {
		commit->in_log[i] = append_message(spool, writers[i], &results[i]);
		if (!commit->in_log[i])
			commit->others[commit->other_count++] = writers[i];
		else if (results[i].kind == ERROR_NONE)
			commit->appended++;
	}
}

static void log_spool_commit(struct spool *base, struct spool_writer *writers[], size_t count, struct error results[])
{
	struct log_spool *spool = log_spool_of(base);
	struct commit commit = { .in_log = xcalloc(count, sizeof(bool)), .others = xcalloc(count, sizeof(struct spool_writer *)),
				 .other_results = xcalloc(count, sizeof(struct error)) };
	struct spool_log_mark mark = { 0 };
	struct error failure;
	memset(results, 0, count * sizeof *results);
	pthread_mutex_lock(&spool->writing);
	append_all(spool, &commit, writers, count, results);
	bool good = log_spool_usable(spool, &failure) && (spool_log_write(&spool->log, &failure) || log_spool_break(spool));
	if (good && commit.appended)
		mark = spool_log_mark(&spool->log);
	pthread_mutex_unlock(&spool->writing);
	good = good && (!commit.appended || sync_to(spool, &mark, &failure));
	if (commit.other_count)
		spool_commit(spool->cold, commit.others, commit.other_count, commit.other_results);
	for (size_t i = 0, other = 0; i < count; i++) {
		if (!commit.in_log[i]) {
			results[i] = commit.other_results[other++];
			continue;
		}
		if (!good && results[i].kind == ERROR_NONE)
			results[i] = failure;
		spool_abort(writers[i]);
	}
	free(commit.in_log);
	free(commit.others);
	free(commit.other_results);
}

/* ---- Results and removal ---- */

/* In order, each once. */
static void sort_listing(struct listing *list)
{
	size_t count = list->count;
	qsort(list->ids, count, sizeof *list->ids, compare_ids);
	list->count = 0;
	for (size_t i = 0; i < count; i++)
		if (list->count == 0 || compare_ids(&list->ids[list->count - 1], &list->ids[i]) != 0)
			list->ids[list->count++] = list->ids[i];
}

/* The messages of the records. The caller frees the list. */
static struct listing list_recorded(const struct spool_record records[], size_t count)
{
	struct listing list = { xcalloc(count + 1, sizeof *list.ids), count };
	for (size_t i = 0; i < count; i++)
		list.ids[i] = records[i].id;
	sort_listing(&list);
	return list;
}

static bool log_spool_record(struct spool *base, const struct spool_record records[], size_t count, struct error *error)
{
	struct log_spool *spool = log_spool_of(base);
	struct listing list = list_recorded(records, count);
	bool good = log_spool_usable(spool, error) && copy_list(spool, &list, error);
	if (good && list.count) {
		log_spool_forget(spool, list.ids, list.count);
		/* Only now may its file know more than the log. */
		good = write_gone(spool, list.ids, list.count, true, error) || log_spool_break(spool);
	}
	free(list.ids);
	return good && spool_record(spool->cold, records, count, error);
}

static void add_to(struct listing *list, const struct message_id *id)
{
	list->ids[list->count++] = *id;
}

/*
 * Appends the end of up to GONE_AT_ONCE messages, which are in order, and forgets them. Those that have a file are added to `files`: they have
 * left the log meanwhile, or an attempt to move them failed half way and left them in both. The caller holds `writing`. False: none has ended, and all are known as before.
 */
static bool end_some(struct log_spool *spool, const struct message_id ids[], size_t count, struct listing *files, struct error *error)
{
	struct message_id ended[GONE_AT_ONCE];
	struct listing list = { ended, 0 };
	struct spool_entry entry;
	/* A turn waits for busy messages, so it comes before these are. */
	if (!make_room(spool, count * MESSAGE_ID_LEN, error))
		return false;
	for (size_t i = 0; i < count; i++) {
		bool logged = acquire(spool, &ids[i], &entry);
		if (logged)
			add_to(&list, &ids[i]);
		if (!logged || file_spool_has(spool->cold, &ids[i]))
			add_to(files, &ids[i]);
	}
	if (list.count && !append_ids(spool, list.ids, list.count, error)) {
		release_all(spool, list.ids, list.count);
		return false;
	}
	log_spool_forget(spool, list.ids, list.count);
	return true;
}

/* The same for any number, written, and synced if it is to be durable. On failure some may have ended. */
static bool end_in_log(struct log_spool *spool, const struct listing *list, bool durable, struct listing *files, struct error *error)
{
	struct spool_log_mark mark = { 0 };
	struct error failure;
	bool good = true;
	pthread_mutex_lock(&spool->writing);
	for (size_t at = 0; good && at < list->count; at += GONE_AT_ONCE) {
		size_t count = list->count - at < GONE_AT_ONCE ? list->count - at : GONE_AT_ONCE;
		good = end_some(spool, list->ids + at, count, files, error);
	}
	if (!spool_log_write(&spool->log, good ? error : &failure))
		good = log_spool_break(spool);
	if (good && durable)
		mark = spool_log_mark(&spool->log);
	pthread_mutex_unlock(&spool->writing);
	return good && (!durable || sync_to(spool, &mark, error));
}

static bool log_spool_remove(struct spool *base, const struct message_id ids[], size_t count, bool durable, struct error *error)
{
	struct log_spool *spool = log_spool_of(base);
	struct listing all = { xcalloc(count + 1, sizeof *ids), count };
	struct listing logged = { xcalloc(count + 1, sizeof *ids), 0 }, files = { xcalloc(count + 1, sizeof *ids), 0 };
	struct error failure;
	bool good = log_spool_usable(spool, error);
	if (good && count) {
		memcpy(all.ids, ids, count * sizeof *ids);
		sort_listing(&all);
		for (size_t i = 0; i < all.count; i++)
			add_to(has(spool, &all.ids[i]) ? &logged : &files, &all.ids[i]);
		good = logged.count == 0 || end_in_log(spool, &logged, durable, &files, error);
		if (files.count && !spool_remove(spool->cold, files.ids, files.count, durable, good ? error : &failure))
			good = false;
	}
	free(all.ids);
	free(logged.ids);
	free(files.ids);
	return good;
}

/* ---- The whole ---- */

static void log_spool_figures(struct spool *base, struct spool_figures *figures_r)
{
	struct log_spool *spool = log_spool_of(base);
	spool_figures(spool->cold, figures_r);
	pthread_mutex_lock(&spool->mutex);
	spool_table_figures(&spool->table, figures_r);
	pthread_mutex_unlock(&spool->mutex);
}

static bool log_spool_is_broken(struct spool *base)
{
	struct log_spool *spool = log_spool_of(base);
	return atomic_load(&spool->broken) || spool_is_broken(spool->cold);
}

static void log_spool_free(struct spool *base)
{
	struct log_spool *spool = log_spool_of(base);
	spool_log_free(&spool->log);
	spool_table_free(&spool->table);
	pthread_mutex_destroy(&spool->writing);
	pthread_mutex_destroy(&spool->syncing);
	pthread_mutex_destroy(&spool->mutex);
	pthread_cond_destroy(&spool->settled);
	spool_free(spool->cold);
	free(spool);
}

/* Appending is not here: a writer is that of the files until it is committed. */
static const struct spool_ops log_ops = {
	.begin = log_spool_begin, .commit = log_spool_commit, .scan = log_spool_scan, .read = log_spool_read, .verify = log_spool_verify,
	.record = log_spool_record, .remove = log_spool_remove, .figures = log_spool_figures, .is_broken = log_spool_is_broken,
	.free = log_spool_free,
};

struct spool *log_spool_open(int dir, const struct files *files, const struct spool_log_sizes *sizes, struct error *error)
{
	struct spool *cold = file_spool_open(dir, files, error);
	if (!cold)
		return NULL;
	struct log_spool *spool = xcalloc(1, sizeof *spool);
	bool made;
	spool->spool.ops = &log_ops;
	spool->cold = cold;
	atomic_init(&spool->broken, false);
	ensure(pthread_mutex_init(&spool->writing, NULL) == 0 && pthread_mutex_init(&spool->syncing, NULL) == 0 &&
	       pthread_mutex_init(&spool->mutex, NULL) == 0 && pthread_cond_init(&spool->settled, NULL) == 0);
	files = file_spool_of(cold)->files;
	bool good = spool_log_open(&spool->log, files, dir, sizes, &made, error);
	int result = good && made ? files->ops->sync_directory(files, dir) : 0;
	if (result < 0)
		good = error_set_errno(error, -result, "syncing the spool's directory");
	if (good)
		return &spool->spool;
	log_spool_free(&spool->spool);
	return NULL;
}

struct spool *spool_open(int dir, const struct files *files, struct error *error)
{
	static const struct spool_log_sizes sizes = { .segment = 64 * 1024 * 1024, .step = 4 * 1024 * 1024, .message = 256 * 1024 };
	return log_spool_open(dir, files, &sizes, error);
}
