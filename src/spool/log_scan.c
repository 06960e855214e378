/* SPDX-License-Identifier: ISC */
/*
 * The log after a start: whatever it still has gets a file, then the log begins anew with a generation that ends all before. What is
 * damaged is kept aside. A crash in the middle of it leaves both, and the file wins at the next start. On a full disk the files find their
 * space in the segment of the log that is over.
 */
#include "base/cleanup.h"
#include "spool/file_spool.h"
#include "spool/log_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>

enum { GAPS_MAX = 1000, NAME_SIZE = 64, PATH_SIZE = NAME_SIZE + 32 };

/* Records that are not there. */
struct gap {
	unsigned segment;
	uint64_t offset, size, first, count;
};

struct recovery {
	struct log_spool *spool;
	const struct spool_scan *scan;
	struct error *error;
	struct gap gaps[GAPS_MAX];
	size_t gap_count;
	bool aside[SPOOL_LOG_SEGMENTS]; /* this segment as a whole is to be kept */
	struct log_move move;
};

static void report(const struct recovery *recovery, enum spool_problem_kind kind, const char *name, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void report(const struct recovery *recovery, enum spool_problem_kind kind, const char *name, const char *format, ...)
{
	char text[600];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	recovery->scan->problem(recovery->scan->context, &(struct spool_problem){ kind, name, text });
}

/* ---- What the walk finds ---- */

static void found_message(void *context, const struct spool_log_record *record, const struct spool_log_place *place)
{
	struct recovery *recovery = context;
	struct spool_entry entry = { .id = record->id, .place = *place };
	/* An identifier is used once; if not, the first message has it. */
	if (!log_spool_enter(recovery->spool, &entry))
		report(recovery, SPOOL_PROBLEM_LEFTOVER, record->id.text, "the log has this identifier twice: the second message is passed over");
}

static void found_gone(void *context, const struct message_id *id)
{
	struct recovery *recovery = context;
	log_spool_forget(recovery->spool, id, 1);
}

static void found_gap(void *context, unsigned segment, uint64_t offset, uint64_t size, uint64_t first, uint64_t count)
{
	struct recovery *recovery = context;
	if (recovery->gap_count < GAPS_MAX)
		recovery->gaps[recovery->gap_count++] = (struct gap){ segment, offset, size, first, count };
	else
		recovery->aside[segment] = true;
}

static void found_headless(void *context, unsigned segment)
{
	struct recovery *recovery = context;
	recovery->aside[segment] = true;
}

/* ---- Keeping aside ---- */

/* A new file in damaged/, durable; a number is added to a name that is taken. */
static int make_damaged(const struct file_spool *files, const char *name, char kept_r[NAME_SIZE])
{
	int fd = -EEXIST;
	for (unsigned i = 0; fd == -EEXIST && i < 1000; i++) {
		if (i == 0)
			snprintf(kept_r, NAME_SIZE, "%s", name);
		else
			snprintf(kept_r, NAME_SIZE, "%s.%u", name, i);
		fd = files->files->ops->open(files->files, files->damaged, kept_r, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	}
	return fd;
}

static bool keep_bytes(struct recovery *recovery, const char *name, struct slice bytes, char kept_r[NAME_SIZE])
{
	const struct file_spool *cold = file_spool_of(recovery->spool->cold);
	int fd = make_damaged(cold, name, kept_r);
	int result = fd < 0 ? fd : files_write_all(cold->files, fd, bytes.data, bytes.len, 0);
	result = result < 0 ? result : cold->files->ops->sync_data(cold->files, fd);
	if (fd >= 0)
		cold->files->ops->close(cold->files, fd);
	result = result < 0 ? result : cold->files->ops->sync_directory(cold->files, cold->damaged);
	return result == 0 || error_set_errno(recovery->error, -result, "keeping %s in the spool's directory damaged", name);
}

/* Records that are unreadable although they were durable. Above that, a crash cut them off before anybody was told of them. */
static bool tell_gap(struct recovery *recovery, const struct gap *gap)
{
	struct log_spool *spool = recovery->spool;
	char name[NAME_SIZE], kept[NAME_SIZE], path[PATH_SIZE];
	snprintf(path, sizeof path, "log/%u", gap->segment);
	if (gap->first > spool->log.durable) {
		report(recovery, SPOOL_PROBLEM_LEFTOVER, path, "%llu records were not whole when the system stopped; nothing is lost",
		       (unsigned long long)gap->count);
		return true;
	}
	if (gap->size == 0) {
		recovery->aside[gap->segment] = true;
		return true;
	}
	_cleanup_heap_ char *bytes = xrealloc(NULL, (size_t)gap->size);
	ssize_t got = files_read_full(spool->log.files, spool->log.segments[gap->segment].fd, bytes, (size_t)gap->size, gap->offset);
	if (got < 0)
		return error_set_errno(recovery->error, (int)-got, "reading the spool's log");
	snprintf(name, sizeof name, "log-%llu-%llu", (unsigned long long)spool->log.segments[gap->segment].head.generation,
		 (unsigned long long)gap->offset);
	if (!keep_bytes(recovery, name, slice_make(bytes, (size_t)got), kept))
		return false;
	report(recovery, SPOOL_PROBLEM_DAMAGED_MESSAGE, path, "%llu records from byte %llu on are damaged; kept as damaged/%s: messages in there are not "
	       "delivered, and others may be delivered again", (unsigned long long)gap->count, (unsigned long long)gap->offset, kept);
	return true;
}

/* A segment that cannot be read as it should be, whole: it gets a name in damaged/ instead of its own. */
static bool put_segment_aside(struct recovery *recovery, unsigned number)
{
	const struct file_spool *cold = file_spool_of(recovery->spool->cold);
	struct spool_log *log = &recovery->spool->log;
	struct spool_log_segment *segment = &log->segments[number];
	char name[8], path[PATH_SIZE], kept[NAME_SIZE];
	snprintf(path, sizeof path, "log/%u", number);
	if (segment->fd < 0) {
		report(recovery, SPOOL_PROBLEM_DAMAGED_MESSAGE, path, "the file is missing: the messages that were in it are lost");
		return true;
	}
	snprintf(name, sizeof name, "%u", number);
	int result = -EEXIST;
	for (unsigned i = 0; result == -EEXIST && i < 1000; i++) {
		snprintf(kept, sizeof kept, "log-%u.%u", number, i);
		result = cold->files->ops->rename_new(cold->files, log->dir, name, cold->damaged, kept);
	}
	result = result < 0 ? result : cold->files->ops->sync_directory(cold->files, cold->damaged);
	result = result < 0 ? result : cold->files->ops->sync_directory(cold->files, log->dir);
	if (result < 0)
		return error_set_errno(recovery->error, -result, "putting %s aside into the spool's directory damaged", path);
	report(recovery, SPOOL_PROBLEM_DAMAGED_MESSAGE, path, "cannot be read as it should be; kept as damaged/%s: messages in there may not be "
	       "delivered, and others may be delivered again", kept);
	log->files->ops->close(log->files, segment->fd);
	*segment = (struct spool_log_segment){ .fd = -1 };
	return true;
}

/* ---- Messages ---- */

static bool tell_damage(struct recovery *recovery, const struct spool_entry *entry, struct slice text, const struct error *why)
{
	char path[PATH_SIZE], kept[NAME_SIZE];
	snprintf(path, sizeof path, "log/%u: %s", entry->place.segment, entry->id.text);
	if (why->number && why->number != EIO) { /* the process lacks something: the message is not to blame */
		*recovery->error = *why;
		return false;
	}
	if (why->number) {
		report(recovery, SPOOL_PROBLEM_UNREADABLE, path, "%s; not delivered", why->text);
		recovery->aside[entry->place.segment] = true;
		return true;
	}
	if (!keep_bytes(recovery, entry->id.text, text, kept))
		return false;
	if (entry->place.number <= recovery->spool->log.durable)
		report(recovery, SPOOL_PROBLEM_DAMAGED_MESSAGE, path, "damaged: %s; kept as damaged/%s, not delivered", why->text, kept);
	else
		report(recovery, SPOOL_PROBLEM_TORN_MESSAGE, path, "not whole, being the last of the log: cut off by a crash before it was answered for, or "
		       "damaged; kept as damaged/%s, not delivered", kept);
	return true;
}

/* One message into the move, unless its file is there already. */
static bool add_to_move(struct recovery *recovery, const struct spool_entry *entry)
{
	struct log_move *move = &recovery->move;
	struct log_message *message = &move->messages[move->count];
	struct error why = { 0 };
	*message = (struct log_message){ 0 };
	if (file_spool_has(recovery->spool->cold, &entry->id))
		return true;
	if (!log_spool_load(recovery->spool, &entry->place, &entry->id, &move->arena, message, &why))
		return tell_damage(recovery, entry, message->text, &why);
	move->ids[move->count] = entry->id;
	move->results[move->count++] = (struct error){ 0 };
	return true;
}

/* Whether something of the move has failed for want of space. All of that may be tried again then. */
static bool lacks_space(struct log_move *move)
{
	bool lacks = false;
	for (size_t i = 0; i < move->count; i++) {
		if (move->results[i].number != ENOSPC)
			continue;
		move->results[i] = (struct error){ 0 };
		lacks = true;
	}
	return lacks;
}

/* Files for all that was gathered, if need be in the space of a segment that is over; then they are presented. */
static bool finish_move(struct recovery *recovery)
{
	struct log_move *move = &recovery->move;
	log_spool_write_files(move);
	if (lacks_space(move)) {
		spool_log_shrink_next(&recovery->spool->log);
		log_spool_write_files(move);
	}
	for (size_t i = 0; i < move->count; i++) {
		if (move->results[i].kind != ERROR_NONE) {
			*recovery->error = move->results[i];
			return false;
		}
		recovery->scan->message(recovery->scan->context, &move->messages[i].envelope);
	}
	move->count = 0;
	arena_reset(&move->arena);
	return true;
}

static int by_number(const void *a, const void *b)
{
	const struct spool_entry *x = a, *y = b;
	return (x->place.number > y->place.number) - (x->place.number < y->place.number);
}

/* All that the walk left in the table, in the order of their arrival. The caller frees the list. */
static struct spool_entry *list_live(const struct spool_table *table)
{
	struct spool_entry *list = xcalloc(table->count + 1, sizeof *list);
	size_t count = 0;
	for (size_t i = 0; i < table->size; i++)
		if (table->places[i].id.text[0])
			list[count++] = table->places[i];
	qsort(list, count, sizeof *list, by_number);
	return list;
}

static bool move_all(struct recovery *recovery)
{
	struct log_spool *spool = recovery->spool;
	_cleanup_heap_ struct spool_entry *list = list_live(&spool->table);
	size_t count = spool->table.count;
	bool good = true;
	for (size_t i = 0; good && i < count; i++) {
		good = add_to_move(recovery, &list[i]);
		if (good && (recovery->move.count == LOG_SPOOL_MOVED || i + 1 == count))
			good = finish_move(recovery);
	}
	for (size_t i = 0; good && i < count; i++)
		log_spool_forget(spool, &list[i].id, 1);
	return good;
}

static bool recover(struct recovery *recovery)
{
	struct log_spool *spool = recovery->spool;
	const struct spool_log_walk walk = { found_message, found_gone, found_gap, found_headless, recovery };
	bool good = spool_log_walk(&spool->log, &walk, recovery->error);
	for (size_t i = 0; good && i < recovery->gap_count; i++)
		good = tell_gap(recovery, &recovery->gaps[i]);
	good = good && move_all(recovery);
	for (unsigned i = 0; good && i < SPOOL_LOG_SEGMENTS; i++)
		good = !recovery->aside[i] || put_segment_aside(recovery, i);
	/* What was written before counts no more, durable or not. */
	spool->log.durable = spool->log.next - 1;
	spool->oldest = spool->log.generation + 1;
	return good && log_spool_begin_generation(spool, spool->oldest, recovery->error);
}

bool log_spool_scan(struct spool *base, const struct spool_scan *scan, struct error *error)
{
	struct log_spool *spool = log_spool_of(base);
	if (!log_spool_usable(spool, error) || !spool_scan(spool->cold, scan, error))
		return false;
	struct recovery *recovery = xcalloc(1, sizeof *recovery);
	*recovery = (struct recovery){ .spool = spool, .scan = scan, .error = error };
	recovery->move.spool = spool;
	arena_init(&recovery->move.arena, 0);
	bool good = recover(recovery);
	arena_free(&recovery->move.arena);
	free(recovery);
	return good;
}
