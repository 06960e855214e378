/* SPDX-License-Identifier: ISC */
/*
 * The journal of a message: what has become of its recipients. One line a record:
 *
 *	0123abcd D 3 host mx.example.net 250 OK      recipient 3 (from 0) is delivered
 *	0123abcd B 3 550 no such user                given up; its report is in the spool, or none is due
 *	0123abcd T 1795255200000000000 refused       not to be tried before that time (wall clock, ns)
 *	0123abcd F too many failures                 frozen
 *	0123abcd U                                   thawed: frozen no more, deferred no more
 *
 * The check is the CRC-32C of the message's identifier and of what follows the space after the check, so that neither a torn
 * line nor a line of another message counts. Text is encoded as in the envelope.
 *
 * Reading: each good line counts, wherever it stands, for a record is only written after what it says has happened. Bad bytes
 * at the end are the trace of an append that a crash cut off ("torn"); bad lines before a good one are damage.
 */
#ifndef POSTERN_SPOOL_JOURNAL_H
#define POSTERN_SPOOL_JOURNAL_H

#include "spool/envelope.h"

enum {
	SPOOL_JOURNAL_MAX = 64 * 1024 * 1024, /* bytes of a journal that is still read */
	SPOOL_RECORD_TEXT_MAX = 512,          /* longer texts are cut */
};

enum spool_record_kind {
	SPOOL_RECORD_DELIVERED,
	SPOOL_RECORD_FAILED,
	SPOOL_RECORD_DEFERRED,
	SPOOL_RECORD_FROZEN,
	SPOOL_RECORD_THAWED,
	SPOOL_RECORD_KINDS
};

struct spool_record {
	struct message_id id;
	enum spool_record_kind kind;
	uint32_t recipient; /* index, for DELIVERED and FAILED */
	int64_t until_ns;   /* wall clock, for DEFERRED */
	struct slice text;  /* for people; may be empty */
};

struct spool_journal_report {
	size_t records;   /* good lines */
	size_t valid_end; /* bytes up to the end of the last good line: where to append */
	bool torn;        /* bytes after valid_end */
	size_t damaged;   /* bad lines before valid_end */
};

/* Appends one line. False when `out` is full, or the record could not be read again (a negative time). */
bool spool_record_format(const struct spool_record *record, struct buf *out);
/* One line without its end. The text lies in the arena. */
bool spool_record_parse(struct slice line, const struct message_id *id, struct arena *arena, struct spool_record *record_r);
/*
 * Applies a whole journal to the envelope of its message. A record for a recipient that does not exist counts as damaged.
 * Never fails: what is wrong is in the report.
 */
void spool_journal_apply(struct slice text, struct arena *arena, struct spool_envelope *envelope,
			 struct spool_journal_report *report_r);

#endif
