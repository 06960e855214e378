/* SPDX-License-Identifier: ISC */
/*
 * The spool of one file a message; private to its own source files.
 *
 *	lock              flock while an instance runs
 *	input/X/ID        a message (envelope.h): X is the 6th character of ID, the lowest digit of its seconds, so that messages
 *	                  of one moment share a directory and its sync
 *	input/X/ID-J      its journal (journal.h); absent until there is a record
 *	input/X/.new-ID   only where the file system has no O_TMPFILE: a message that is not committed
 *	damaged/          what a scan put aside, under its old name
 *
 * Life of a message, and the function behind each step:
 *
 *	begin ----> no name ----finish_writer, sync_all----> on disk ----link_all----> has its name
 *	                                                                                  | sync_directories
 *	                                                                                  v
 *	gone <----file_spool_remove---- (has a journal) <----file_spool_record---- accepted
 *
 * Invariants:
 *  1. A name ID exists only for a file whose bytes are wholly on disk: link_all comes after sync_all.
 *  2. Success is reported only after the directory with the name was synced.
 *  3. A record is reported only after its bytes, and the name of its journal, were synced.
 *  4. A journal outlives its message: the message's name is taken away and that is synced before the journal goes. A
 *     crash in between leaves a journal without message, which the scan removes; never a message without its records.
 *  5. Records are appended only behind the last good one: what a torn append left is cut off by the scan, and what a
 *     failed append left is cut off at once.
 *  6. A damaged message gets its second name in damaged/, synced, before it loses the first. Its journal goes first.
 *  7. What a scan presents is synced before anything is done with it: the directories are synced at its end.
 */
#ifndef POSTERN_SPOOL_FILE_SPOOL_H
#define POSTERN_SPOOL_FILE_SPOOL_H

#include "base/fatal.h"
#include "spool/spool.h"
#include "spool/table.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	FILE_SPOOL_DIRECTORIES = 62,
	FILE_SPOOL_BUFFER = 256 * 1024, /* most bytes of a message that wait in memory */
	FILE_SPOOL_NAME = 32,          /* room for each name that the spool makes */
};

struct file_spool {
	struct spool spool; /* first */
	const struct files *files;
	int lock, damaged;
	int input[FILE_SPOOL_DIRECTORIES];
	enum files_link how;
	atomic_bool broken;
	pthread_mutex_t mutex; /* of the table */
	struct spool_table table;
};

static inline struct file_spool *file_spool_of(struct spool *spool)
{
	return (struct file_spool *)spool;
}

/* Which directory, as an index; and its name, a letter. The identifier must be valid. */
size_t file_spool_index(const struct message_id *id);
char file_spool_letter(size_t index);
static inline int file_spool_dir(const struct file_spool *spool, const struct message_id *id)
{
	return spool->input[file_spool_index(id)];
}
void file_spool_journal_name(const struct message_id *id, char out[FILE_SPOOL_NAME]);
void file_spool_temporary_name(const struct message_id *id, char out[FILE_SPOOL_NAME]);

/* Fails when the spool is broken. */
bool file_spool_usable(struct file_spool *spool, struct error *error);
/* Notes that a sync failed; returns false with the error. */
bool file_spool_break(struct file_spool *spool, int failure, struct error *error, const char *what);
/* Syncs each directory that is marked, once. */
bool file_spool_sync(struct file_spool *spool, const bool marked[FILE_SPOOL_DIRECTORIES], struct error *error);
/* A copy of the entry. False, with ENOENT in the error, when there is none. */
bool file_spool_find(struct file_spool *spool, const struct message_id *id, struct spool_entry *entry_r, struct error *error);

/*
 * Opens a message and checks its first line, its size and the syntax of its envelope; the journal is not read. False with
 * error->number 0: it is damaged. The header is given, too, for the check of the whole.
 */
bool file_spool_load(struct file_spool *spool, const struct message_id *id, struct arena *arena,
		     struct spool_message *message_r, struct spool_header *header_r, struct error *error);
/* Compares the check of a message that was loaded; likewise. */
bool file_spool_check(struct file_spool *spool, const struct spool_message *message, const struct spool_header *header,
		      struct error *error);
/* Reads the journal, if there is one, and applies it. *exists_r tells whether there is. */
bool file_spool_load_journal(struct file_spool *spool, struct arena *arena, struct spool_envelope *envelope, bool *exists_r,
			     struct spool_journal_report *report_r, struct error *error);

/*
 * For the log (log_spool.c): a message that has no file yet, as it would be in its file, first line and envelope included; and what the
 * table is to know of it. False when parts of it are in a file already, or it failed. The text is the writer's.
 */
bool file_spool_text(struct spool_writer *writer, struct spool_entry *entry_r, struct slice *text_r);
/* The parts of such a text, checked as a file is. False with error->number 0: it is damaged. The body lies in the text. */
bool file_spool_parse(struct slice text, const struct message_id *id, struct arena *arena, struct spool_envelope *envelope_r,
		      struct slice *body_r, struct error *error);
/* Whether this message has a file here. */
bool file_spool_has(struct spool *spool, const struct message_id *id);

/* As spool_open, without a log. */
struct spool *file_spool_open(int dir, const struct files *files, struct error *error);
bool file_spool_begin(struct spool *spool, const struct spool_envelope *envelope, struct spool_writer **writer_r,
		      struct error *error);
bool file_spool_append(struct spool_writer *writer, int fd, uint64_t offset, uint64_t size, struct error *error);
bool file_spool_append_bytes(struct spool_writer *writer, struct slice bytes, struct error *error);
void file_spool_commit(struct spool *spool, struct spool_writer *writers[], size_t count, struct error results[]);
void file_spool_abort(struct spool_writer *writer);
bool file_spool_scan(struct spool *spool, const struct spool_scan *scan, struct error *error);
bool file_spool_read(struct spool *spool, const struct message_id *id, struct arena *arena, struct spool_message *message_r,
		     struct error *error);
bool file_spool_verify(struct spool *spool, const struct message_id *id, struct error *error);
bool file_spool_record(struct spool *spool, const struct spool_record records[], size_t count, struct error *error);
bool file_spool_remove(struct spool *spool, const struct message_id ids[], size_t count, bool durable, struct error *error);

#endif
