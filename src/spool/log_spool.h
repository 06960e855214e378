/* SPDX-License-Identifier: ISC */
/* The spool with a log before its files; private to log_spool.c, which says how it works, and log_scan.c. */
#ifndef POSTERN_SPOOL_LOG_SPOOL_H
#define POSTERN_SPOOL_LOG_SPOOL_H

#include "base/arena.h"
#include "base/fatal.h"
#include "spool/spool.h"
#include "spool/table.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LOG_SPOOL_MOVED = 64 }; /* messages that get their files together */

struct log_spool {
	struct spool spool; /* first */
	struct spool *cold; /* the files */
	struct spool_log log;
	atomic_bool broken;
	pthread_mutex_t writing, syncing, mutex;
	pthread_cond_t settled; /* an entry is busy no more, or gone */
	struct spool_table table;
	size_t live[SPOOL_LOG_SEGMENTS]; /* entries by segment */
	uint64_t oldest;                 /* generation that may have messages */
};

static inline struct log_spool *log_spool_of(struct spool *spool)
{
	return (struct log_spool *)spool;
}

/* A message of the log in an arena: as its file would be, and its parts. */
struct log_message {
	struct slice text, body;
	struct spool_envelope envelope;
};

/* Messages on their way into files, and how it goes. */
struct log_move {
	struct log_spool *spool;
	struct arena arena;
	size_t count;
	struct message_id ids[LOG_SPOOL_MOVED];
	struct log_message messages[LOG_SPOOL_MOVED];
	struct error results[LOG_SPOOL_MOVED];
};

/* Fails when the spool is broken. */
bool log_spool_usable(struct log_spool *spool, struct error *error);
/* For what leaves it unknown what is on disk. Returns false. */
bool log_spool_break(struct log_spool *spool);
/* A message of the log. False: there is one with its identifier. */
bool log_spool_enter(struct log_spool *spool, const struct spool_entry *entry);
/* The log knows these no more; unknown ones are passed over. */
void log_spool_forget(struct log_spool *spool, const struct message_id ids[], size_t count);
/* Reads a message into the arena. False with error->number 0: it is damaged; its text is there even then, as far as it could be read. */
bool log_spool_load(const struct log_spool *spool, const struct spool_log_place *place, const struct message_id *id, struct arena *arena,
		    struct log_message *message_r, struct error *error);
/* Makes those whose result is ERROR_NONE durable as files; results[i] says how it went. */
void log_spool_write_files(struct log_move *move);

/* spool_log_turn; a sync that failed breaks the spool. */
bool log_spool_begin_generation(struct log_spool *spool, uint64_t oldest, struct error *error);

/* As spool_open, with other sizes: for tests. */
struct spool *log_spool_open(int dir, const struct files *files, const struct spool_log_sizes *sizes, struct error *error);
bool log_spool_scan(struct spool *spool, const struct spool_scan *scan, struct error *error);

#endif
