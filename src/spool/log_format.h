/* SPDX-License-Identifier: ISC */
/*
 * The bytes of the spool's log (log_spool.h describes what it is for). A segment is a file:
 *
 *	page 0   head, in its first bytes
 *	page 1   the same head again: one damaged sector does not take the segment away
 *	...      records, each at a multiple of 64 bytes: a header of 64 bytes, then its payload
 *
 * Numbers are little endian; each head and header ends with the CRC-32C of the bytes before it.
 *
 * A head says which turn of the ring this is (generation), the oldest generation that still counts, the number of the first record, and
 * a random mark. Each record of this generation carries the mark: what an earlier one left in the file is no record, nor is what
 * a sender puts into a message, for nobody outside knows the mark.
 *
 * Records are numbered without gaps over all segments. Each also says up to which number everything was durable when it was written: a
 * record that is missing below that was lost by damage, above it by a crash.
 */
#ifndef POSTERN_SPOOL_LOG_FORMAT_H
#define POSTERN_SPOOL_LOG_FORMAT_H

#include "base/id.h"

enum {
	SPOOL_LOG_PAGE = 4096,                  /* what is durable is never written again, not even its page */
	SPOOL_LOG_ALIGN = 64,                   /* of records */
	SPOOL_LOG_HEADER = 64,                  /* bytes of a record before its payload, and of a head */
	SPOOL_LOG_START = 2 * SPOOL_LOG_PAGE,   /* where the records begin */
	SPOOL_LOG_PAYLOAD_MAX = 1024 * 1024,
};

struct spool_log_head {
	uint64_t generation; /* from 1 */
	uint64_t oldest;     /* generations before this one are over */
	uint64_t first;      /* number of its first record */
	uint64_t mark;
};

enum spool_log_kind {
	SPOOL_LOG_MESSAGE = 1, /* the payload is what its file would hold (envelope.h) */
	SPOOL_LOG_GONE = 2,    /* the payload is a list of identifiers: messages that are removed, or have a file now */
};

struct spool_log_record {
	enum spool_log_kind kind;
	uint64_t number;
	uint64_t durable;     /* all records up to this number were on disk when this one was written */
	struct message_id id; /* of a message; else empty */
	uint32_t size;        /* of the payload, in bytes */
	uint32_t crc;         /* of the payload */
};

void spool_log_head_format(const struct spool_log_head *head, char out[SPOOL_LOG_HEADER]);
/* False when it is none, or damaged. */
bool spool_log_head_parse(struct slice bytes, struct spool_log_head *head_r);
void spool_log_record_format(const struct spool_log_record *record, uint64_t mark, char out[SPOOL_LOG_HEADER]);
/* False when it is none of this mark, or damaged. The payload is not looked at. */
bool spool_log_record_parse(struct slice bytes, uint64_t mark, struct spool_log_record *record_r);

/* Bytes that a record with a payload of this size takes. */
static inline uint64_t spool_log_space(uint64_t size)
{
	return (SPOOL_LOG_HEADER + size + SPOOL_LOG_ALIGN - 1) / SPOOL_LOG_ALIGN * SPOOL_LOG_ALIGN;
}

#endif
