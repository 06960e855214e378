/* SPDX-License-Identifier: ISC */
/*
 * The segments of the spool's log: files log/0 to log/3 that are written in turn, each up to its size, and then again. Space is
 * written with zeros before it is used, some megabytes at a time, so that a record later changes no metadata of the file: one
 * fdatasync of written blocks is all that a batch of messages costs. log_format.h has the bytes.
 *
 *	spool_log_open -> spool_log_walk -> spool_log_turn         what was left is read; a new generation ends all before
 *	spool_log_append* -> spool_log_mark -> spool_log_sync -> spool_log_synced
 *
 * Ring: generation g lies in segment g modulo 4. While it is written, g-1 and g-2 still count; g-3 is over, and its segment
 * is the next. So when the head of a new generation is torn by a crash, nothing that counts was in its place. The end of a message is
 * never written in an earlier generation than the message, so it is never forgotten before it.
 *
 * Which messages live in which segment, and that they leave it in time, is the caller's affair (log_spool.c). Calls that write are made by
 * one thread at a time; spool_log_sync and spool_log_read may run beside them.
 */
#ifndef POSTERN_SPOOL_SPOOL_LOG_H
#define POSTERN_SPOOL_SPOOL_LOG_H

#include "base/buf.h"
#include "base/error.h"
#include "base/files.h"
#include "spool/log_format.h"

enum { SPOOL_LOG_SEGMENTS = 4 };

struct spool_log_sizes {
	uint64_t segment; /* bytes of a full one */
	uint64_t step;    /* bytes that are written ahead at a time */
	size_t message;   /* longer ones do not go into the log */
};

struct spool_log_segment {
	int fd;           /* -1: there is no file yet */
	bool named;       /* its name is durable */
	bool begun;       /* its head is good */
	uint64_t written; /* bytes of the file */
	struct spool_log_head head;
};

struct spool_log {
	const struct files *files;
	int dir;
	struct spool_log_sizes sizes;
	struct spool_log_segment segments[SPOOL_LOG_SEGMENTS];
	uint64_t generation; /* being written; 0: none yet */
	uint64_t position;   /* in its segment, of the next record */
	uint64_t next;       /* number of the next record */
	uint64_t durable;    /* all numbers up to this one are on disk */
	struct buf pending;  /* records that are not written yet: they end at `position` */
};

/* Where the payload of a message lies. */
struct spool_log_place {
	unsigned segment;
	uint32_t size, crc;
	uint64_t offset;
	uint64_t number; /* of its record */
};

/* What is to be synced. */
struct spool_log_mark {
	unsigned segment;
	uint64_t number; /* of the last record */
};

/* Receivers of a walk, in the order of the records. */
struct spool_log_walk {
	void (*message)(void *context, const struct spool_log_record *record, const struct spool_log_place *place);
	void (*gone)(void *context, const struct message_id *id);
	/* `count` records from number `first` on are not there, or not readable, in `size` bytes from `offset` on (0: not known). */
	void (*lost)(void *context, unsigned segment, uint64_t offset, uint64_t size, uint64_t first, uint64_t count);
	/* The segment of a generation that counts has no head. */
	void (*headless)(void *context, unsigned segment);
	void *context;
};

/* Opens the directory log below `root`, made if it is missing (*made_r), and the segments that there are. */
bool spool_log_open(struct spool_log *log, const struct files *files, int root, const struct spool_log_sizes *sizes, bool *made_r,
		    struct error *error);
void spool_log_free(struct spool_log *log);

/* Reads the generations that count. Afterwards log->durable is the highest number that any of them says was durable. */
bool spool_log_walk(struct spool_log *log, const struct spool_log_walk *walk, struct error *error);
/*
 * Begins the next generation; all before `oldest` are over then. What was appended before is durable. False: nothing has changed, but
 * after a failed sync (*synced_r is false) nobody knows.
 */
bool spool_log_turn(struct spool_log *log, uint64_t oldest, bool *synced_r, struct error *error);
/* After a walk, on a full disk: gives back what the segment that is next has of space, but for its heads. It is over. */
void spool_log_shrink_next(struct spool_log *log);
/* The segment that the generation after the current one will be written to is that of this generation, once it is over. */
static inline unsigned spool_log_segment_of(uint64_t generation)
{
	return (unsigned)(generation % SPOOL_LOG_SEGMENTS);
}

/* Whether a payload of this size fits into what is left of the segment. */
bool spool_log_has_room(const struct spool_log *log, size_t size);
/* Takes in a record, to be written with others (spool_log_write, before there are 2 MiB of them). There is room for it. Fails when the file cannot grow. */
bool spool_log_append(struct spool_log *log, enum spool_log_kind kind, const struct message_id *id, struct slice payload,
		      struct spool_log_place *place_r, struct error *error);
/*
 * Writes what was taken in. False: the disk is not to be trusted any more. From here on the
 * records survive the end of the process, after a sync that of the system.
 */
bool spool_log_write(struct spool_log *log, struct error *error);
/* What is to be synced; whatever comes later begins on a new page. */
struct spool_log_mark spool_log_mark(struct spool_log *log);
/* 0 or a negative errno. A failed sync is not repeated. */
int spool_log_sync(const struct spool_log *log, const struct spool_log_mark *mark);
/* Notes that the sync succeeded. */
void spool_log_synced(struct spool_log *log, const struct spool_log_mark *mark);
/* The payload, compared with its check. False with error->number 0: it is damaged. */
bool spool_log_read(const struct spool_log *log, const struct spool_log_place *place, char *out, struct error *error);

#endif
