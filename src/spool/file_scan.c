/* SPDX-License-Identifier: ISC */
#include "spool/file_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A scan under way, in one of the directories. */
struct walk {
	struct file_spool *spool;
	const struct spool_scan *scan;
	struct error *error;
	size_t index;       /* of the directory */
	struct arena names; /* of the directory's names */
	struct arena arena; /* of one message */
	char **list;
	size_t count, size;
};

static void report(struct walk *walk, enum spool_problem_kind kind, const char *name, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void report(struct walk *walk, enum spool_problem_kind kind, const char *name, const char *format, ...)
{
	char path[300], text[600];
	va_list args;
	snprintf(path, sizeof path, "input/%c/%s", file_spool_letter(walk->index), name);
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	walk->scan->problem(walk->scan->context, &(struct spool_problem){ kind, path, text });
}

static bool collect(void *context, const char *name)
{
	struct walk *walk = context;
	if (walk->count == walk->size) {
		walk->size = walk->size ? walk->size * 2 : 64;
		ensure(walk->size < SIZE_MAX / sizeof *walk->list / 2);
		walk->list = xrealloc(walk->list, walk->size * sizeof *walk->list);
	}
	walk->list[walk->count++] = arena_cstr(&walk->names, slice_of(name));
	return true;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Removes a name that a crash left behind. */
static bool remove_leftover(struct walk *walk, const char *name, const char *what)
{
	const struct files *files = walk->spool->files;
	int result = files->ops->unlink(files, walk->spool->input[walk->index], name);
	if (result < 0)
		return error_set_errno(walk->error, -result, "removing %s from the spool", name);
	report(walk, SPOOL_PROBLEM_LEFTOVER, name, "%s; removed", what);
	return true;
}

/* A directory, or a file system without hard links: one step instead of two. */
static int link_or_move(const struct walk *walk, const char *name, const char *kept)
{
	const struct file_spool *spool = walk->spool;
	int dir = spool->input[walk->index];
	int result = spool->files->ops->link(spool->files, dir, name, spool->damaged, kept);
	return result == -EPERM ? spool->files->ops->rename_new(spool->files, dir, name, spool->damaged, kept) : result;
}

/* Gives a file a second name in damaged/, synced; then takes the first away. `kept_r` becomes the second name. */
static bool put_aside(struct walk *walk, const char *name, char kept_r[FILE_SPOOL_NAME])
{
	struct file_spool *spool = walk->spool;
	snprintf(kept_r, FILE_SPOOL_NAME, "%s", name);
	int result = link_or_move(walk, name, kept_r);
	for (unsigned i = 1; result == -EEXIST && i < 1000; i++) {
		snprintf(kept_r, FILE_SPOOL_NAME, "%s.%u", name, i);
		result = link_or_move(walk, name, kept_r);
	}
	if (result < 0)
		return error_set_errno(walk->error, -result, "putting %s aside into the spool's directory damaged", name);
	result = spool->files->ops->sync_directory(spool->files, spool->damaged);
	if (result < 0)
		return file_spool_break(spool, result, walk->error, "the spool's directory damaged");
	result = spool->files->ops->unlink(spool->files, spool->input[walk->index], name);
	return result == 0 || result == -ENOENT || error_set_errno(walk->error, -result, "removing the damaged %s from its place", name);
}

/* `error` says why: number 0 means damage, anything else that the system could not read it. */
static bool bad_message(struct walk *walk, const struct message_id *id, bool has_journal, const struct error *error)
{
	char journal[FILE_SPOOL_NAME], kept[FILE_SPOOL_NAME];
	switch (error->number) {
	case 0:
		break;
	case EIO: case EACCES: case EPERM:
		report(walk, SPOOL_PROBLEM_UNREADABLE, id->text, "%s; left in its place, not delivered", error->text);
		return true;
	default: /* the process lacks something (memory, descriptors): the message is not to blame */
		*walk->error = *error;
		return false;
	}
	file_spool_journal_name(id, journal);
	if (has_journal && !put_aside(walk, journal, kept))
		return false;
	if (!put_aside(walk, id->text, kept))
		return false;
	report(walk, SPOOL_PROBLEM_DAMAGED_MESSAGE, id->text, "damaged: %s; kept as damaged/%s, not delivered", error->text, kept);
	return true;
}

/* Cuts off what a torn append left, so that the next record begins on a line of its own. */
static bool mend_journal(struct walk *walk, const struct message_id *id, uint64_t valid_end)
{
	const struct files *files = walk->spool->files;
	char name[FILE_SPOOL_NAME];
	file_spool_journal_name(id, name);
	int fd = files->ops->open(files, walk->spool->input[walk->index], name, O_WRONLY | O_NOFOLLOW, 0);
	int result = fd < 0 ? fd : files->ops->truncate(files, fd, valid_end);
	if (fd >= 0)
		files->ops->close(files, fd);
	return result == 0 || error_set_errno(walk->error, -result, "cutting the torn end off the journal %s", name);
}

static bool report_journal(struct walk *walk, const struct message_id *id, const struct spool_journal_report *journal)
{
	char name[FILE_SPOOL_NAME];
	file_spool_journal_name(id, name);
	if (journal->damaged)
		report(walk, SPOOL_PROBLEM_DAMAGED_JOURNAL, name,
		       "%zu damaged records among %zu good ones; recipients may get the message again", journal->damaged,
		       journal->records);
	if (!journal->torn)
		return true;
	report(walk, SPOOL_PROBLEM_TORN_JOURNAL, name, "cut off after %zu good records by a crash; the rest was removed",
	       journal->records);
	return mend_journal(walk, id, journal->valid_end);
}

/* Loads, checks and presents one message. */
static bool visit_message(struct walk *walk, const struct message_id *id, bool has_journal)
{
	struct file_spool *spool = walk->spool;
	struct spool_journal_report journal;
	struct spool_message message;
	struct spool_header header;
	struct error error = { 0 };
	bool exists;
	if (file_spool_index(id) != walk->index) {
		error_set(&error, ERROR_PERMANENT, "it stands in the wrong directory");
		return bad_message(walk, id, has_journal, &error);
	}
	if (!file_spool_load(spool, id, &walk->arena, &message, &header, &error))
		return bad_message(walk, id, has_journal, &error);
	bool good = file_spool_check(spool, &message, &header, &error);
	spool->files->ops->close(spool->files, message.fd);
	if (!good || !file_spool_load_journal(spool, &walk->arena, &message.envelope, &exists, &journal, &error))
		return bad_message(walk, id, has_journal, &error);
	if (!report_journal(walk, id, &journal))
		return false;
	struct spool_entry entry = { .id = *id, .journal = exists, .journal_named = exists,
				     .recipients = (uint32_t)message.envelope.recipient_count,
				     .body_size = message.body_size, .journal_size = journal.valid_end,
				     .received_ns = message.envelope.received_ns };
	ensure(spool_table_add(&spool->table, &entry));
	walk->scan->message(walk->scan->context, &message.envelope);
	return true;
}

/* The name of a journal: an identifier and "-J". */
static bool is_journal(struct slice name)
{
	return name.len == MESSAGE_ID_LEN + 2 && message_id_valid(slice_first(name, MESSAGE_ID_LEN)) &&
		slice_equal(slice_from(name, MESSAGE_ID_LEN), SLICE("-J"));
}

/* Whether the name at this place of the sorted list is followed by that of its journal. */
static bool journal_follows(const struct walk *walk, size_t at)
{
	return at + 1 < walk->count && is_journal(slice_of(walk->list[at + 1])) &&
		memcmp(walk->list[at], walk->list[at + 1], MESSAGE_ID_LEN) == 0;
}

/* What to do with the name at `at`; *next_r is where to go on. */
static bool visit_name(struct walk *walk, size_t at, size_t *next_r)
{
	struct slice name = slice_of(walk->list[at]);
	*next_r = at + 1;
	if (message_id_valid(name)) {
		struct message_id id;
		ensure(slice_to_cstr(name, id.text, sizeof id.text));
		bool has_journal = journal_follows(walk, at);
		*next_r += has_journal;
		arena_reset(&walk->arena);
		return visit_message(walk, &id, has_journal);
	}
	if (slice_starts(name, SLICE(".new-")))
		return remove_leftover(walk, name.data, "a message that was never committed");
	if (is_journal(name))
		return remove_leftover(walk, name.data, "the journal of a message that is gone");
	report(walk, SPOOL_PROBLEM_STRANGE, name.data, "not a name of the spool's; left alone");
	return true;
}

static bool scan_directory(struct walk *walk)
{
	struct file_spool *spool = walk->spool;
	int dir = spool->input[walk->index];
	arena_reset(&walk->names);
	walk->count = 0;
	int result = spool->files->ops->list(spool->files, dir, collect, walk);
	if (result < 0)
		return error_set_errno(walk->error, -result, "listing the spool's directory input/%c",
				       file_spool_letter(walk->index));
	if (walk->count == 0)
		return true;
	/* A journal's name begins with that of its message, so it follows at once. */
	qsort(walk->list, walk->count, sizeof *walk->list, compare_names);
	/* A process that was killed may have left names that were never synced: from here on they count. */
	result = spool->files->ops->sync_directory(spool->files, dir);
	if (result < 0)
		return file_spool_break(spool, result, walk->error, "a directory of the spool");
	for (size_t at = 0; at < walk->count;)
		if (!visit_name(walk, at, &at))
			return false;
	return true;
}

bool file_spool_scan(struct spool *base, const struct spool_scan *scan, struct error *error)
{
	struct walk walk = { .spool = file_spool_of(base), .scan = scan, .error = error };
	bool good = file_spool_usable(walk.spool, error);
	arena_init(&walk.names, 0);
	arena_init(&walk.arena, 0);
	for (walk.index = 0; good && walk.index < FILE_SPOOL_DIRECTORIES; walk.index++)
		good = scan_directory(&walk);
	arena_free(&walk.names);
	arena_free(&walk.arena);
	free(walk.list);
	return good;
}
