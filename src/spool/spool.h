/* SPDX-License-Identifier: ISC */
/*
 * The spool: messages that this server has answered for. One interface, two implementations: one file a message (file_spool.h
 * describes its layout and its invariants), and a log before such files (log_spool.c), which is what spool_open gives.
 *
 * What holds for every implementation:
 *  1. A message whose result from spool_commit is ERROR_NONE survives any crash, until spool_remove is called for it.
 *  2. A record for which spool_record returned true survives any crash, for as long as its message does.
 *  3. A message that was never answered for may come back after a crash, but only whole, and only once.
 *  4. What is damaged is never presented as good, and never dropped in silence.
 *  5. After a failed sync nobody knows what is on disk. The spool is then broken: every call that writes fails, and the role
 *     is to end; the next one recovers from what is there. A sync is never repeated.
 *
 *	spool_begin -> spool_append* -> spool_commit    (or spool_abort)      a message comes in
 *	spool_scan -> message, message, ...                                   once, right after opening
 *	spool_record*  -> spool_remove                                        its recipients are served, one by one
 *
 * All calls block (give them to an offload thread). They may run in several threads at once, as long as no two of them are
 * about the same message or the same writer; spool_open, spool_scan and spool_free run alone.
 * Times are wall clock, nanoseconds; sizes are bytes.
 */
#ifndef POSTERN_SPOOL_SPOOL_H
#define POSTERN_SPOOL_SPOOL_H

#include "base/files.h"
#include "spool/journal.h"

struct spool;
struct spool_writer;

struct spool_message {
	int fd; /* for reading; the caller closes it. The message stays readable here even when it is removed. */
	uint64_t body_offset, body_size;
	struct spool_envelope envelope; /* in the caller's arena, with the state from the journal */
};

struct spool_figures {
	uint64_t count, bytes; /* of messages; bytes without envelopes */
	int64_t oldest_ns;     /* when the oldest was received; 0: there is none */
};

enum spool_problem_kind {
	SPOOL_PROBLEM_LEFTOVER,        /* trace of a crash, removed: nothing is lost */
	SPOOL_PROBLEM_TORN_JOURNAL,    /* trace of a crash, cut off: a delivery may be repeated */
	SPOOL_PROBLEM_DAMAGED_JOURNAL, /* records are unreadable; the message is presented, deliveries may be repeated */
	SPOOL_PROBLEM_DAMAGED_MESSAGE, /* moved to damaged/ */
	SPOOL_PROBLEM_TORN_MESSAGE,    /* trace of a crash (it was not answered for yet), or damage: kept in damaged/ */
	SPOOL_PROBLEM_UNREADABLE,      /* the system cannot read it; left in its place */
	SPOOL_PROBLEM_STRANGE,         /* a name that is none of the spool's; left in its place */
};

struct spool_problem {
	enum spool_problem_kind kind;
	const char *name; /* path below the spool directory */
	const char *text; /* what is wrong and what was done, one line */
};

/* Receivers of a scan. What they get is valid during the call only. */
struct spool_scan {
	void (*message)(void *context, const struct spool_envelope *envelope);
	void (*problem)(void *context, const struct spool_problem *problem);
	void *context;
};

struct spool_ops {
	bool (*begin)(struct spool *spool, const struct spool_envelope *envelope, struct spool_writer **writer_r,
		      struct error *error);
	bool (*append)(struct spool_writer *writer, int fd, uint64_t offset, uint64_t size, struct error *error);
	bool (*append_bytes)(struct spool_writer *writer, struct slice bytes, struct error *error);
	void (*commit)(struct spool *spool, struct spool_writer *writers[], size_t count, struct error results[]);
	void (*abort)(struct spool_writer *writer);
	bool (*scan)(struct spool *spool, const struct spool_scan *scan, struct error *error);
	bool (*read)(struct spool *spool, const struct message_id *id, struct arena *arena, struct spool_message *message_r,
		     struct error *error);
	bool (*verify)(struct spool *spool, const struct message_id *id, struct error *error);
	bool (*record)(struct spool *spool, const struct spool_record records[], size_t count, struct error *error);
	bool (*remove)(struct spool *spool, const struct message_id ids[], size_t count, bool durable, struct error *error);
	void (*figures)(struct spool *spool, struct spool_figures *figures_r);
	bool (*is_broken)(struct spool *spool);
	void (*free)(struct spool *spool);
};

/* Begins each implementation's own struct. */
struct spool {
	const struct spool_ops *ops;
};

/* Begins each implementation's own writer. */
struct spool_writer {
	struct spool *spool;
};

/*
 * Opens the spool in this directory (owned by nobody else, on one file system), creating what is missing. `dir` stays the
 * caller's. `files` is NULL but in tests. NULL on failure: the error names a second running instance, or the directory
 * that cannot be used. spool_scan is to be called next, before anything else.
 */
struct spool *spool_open(int dir, const struct files *files, struct error *error);
/* Accepts NULL. Writers that are neither committed nor aborted are to be ended before. */
void spool_free(struct spool *spool);

/* Begins a message. The envelope is only read, and not kept. A failure to store is temporary, a bad envelope permanent. */
bool spool_begin(struct spool *spool, const struct spool_envelope *envelope, struct spool_writer **writer_r,
		 struct error *error);
/* Appends `size` bytes of `fd` from `offset`, which must be there. After a failure only spool_abort is of use. */
bool spool_append(struct spool_writer *writer, int fd, uint64_t offset, uint64_t size, struct error *error);
/* The same from memory: trace headers, messages made here. */
bool spool_append_bytes(struct spool_writer *writer, struct slice bytes, struct error *error);
/*
 * Makes all of them durable with as few waits for the disk as can be. results[i].kind is ERROR_NONE for those that are
 * safe now, and only for those. All writers are gone afterwards.
 */
void spool_commit(struct spool *spool, struct spool_writer *writers[], size_t count, struct error results[]);
/* Drops the message. Accepts NULL. */
void spool_abort(struct spool_writer *writer);

/* Presents each message, checked whole, with the state that its journal says; reports the rest. False: it cannot go on. */
bool spool_scan(struct spool *spool, const struct spool_scan *scan, struct error *error);
/* Opens a message. The envelope is checked, the message's bytes are not (spool_verify). error->number is ENOENT if unknown. */
bool spool_read(struct spool *spool, const struct message_id *id, struct arena *arena, struct spool_message *message_r,
		struct error *error);
/* Reads the whole message and compares the check. False with error->number 0: it is damaged. */
bool spool_verify(struct spool *spool, const struct message_id *id, struct error *error);
/* Writes the message to `fd` (blocking), with the spool's own envelope in front of it or without. */
bool spool_export(struct spool *spool, const struct message_id *id, int fd, bool with_envelope, struct error *error);

/*
 * Records what became of recipients and messages (delivered, given up, deferred, frozen, thawed), durable when it returns true.
 * On false some may be recorded and some not; repeating all of them does no harm.
 */
bool spool_record(struct spool *spool, const struct spool_record records[], size_t count, struct error *error);
/*
 * Removes messages. With `durable` they are gone for good on return; without, a power failure soon after (not the end of a
 * process) may bring one back that has no records, so that it is delivered again. One that the spool does not know counts as
 * removed. On false, for the first error that is given, others of the batch are removed all the same; repeating all of them does no harm.
 */
bool spool_remove(struct spool *spool, const struct message_id ids[], size_t count, bool durable, struct error *error);

/* Walks over all that is known: for statistics now and then, not for each message. */
void spool_figures(struct spool *spool, struct spool_figures *figures_r);
/* After a failed sync: the role must end. */
bool spool_is_broken(struct spool *spool);

#endif
