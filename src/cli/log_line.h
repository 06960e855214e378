/* SPDX-License-Identifier: ISC */
/*
 * One line of a main log, in Exim's form, taken apart: when, what, who, and how it was secured. Lines hold what peers said
 * (senders, HELO names, replies), so nothing in them is believed beyond the place where it stands; a line that is not understood is
 * LOG_OTHER, never an error. All slices point into the line.
 */
#ifndef POSTERN_CLI_LOG_LINE_H
#define POSTERN_CLI_LOG_LINE_H

#include "base/slice.h"

enum { LOG_STAMP_LEN = 19 /* "2026-11-21 10:00:00" */ };

enum log_event {
	LOG_OTHER,
	LOG_ARRIVAL,         /* <= */
	LOG_DELIVERY,        /* =>, and -> for the further addresses of one transaction */
	LOG_DEFERRED,        /* == */
	LOG_FAILED,          /* ** */
	LOG_COMPLETED,
	LOG_REJECTED,        /* a command or a message was refused */
	LOG_HANDSHAKE_ERROR, /* TLS error on connection from ... (SSL_accept) */
	LOG_TLS_REFUSED,     /* there was no handshake: STARTTLS refused: ..., TLS on connect refused: ... */
	LOG_EVENTS,
};

struct log_entry {
	enum log_event event;
	struct slice stamp;     /* LOG_STAMP_LEN bytes; empty when the line has none */
	struct slice id;        /* of the message, or empty */
	bool another;           /* LOG_DELIVERY: a further address of the transaction before */
	struct slice host;      /* the peer's address, without brackets; empty: none, it is local */
	struct slice protocol;  /* P= */
	struct slice version, cipher; /* of X=: "TLS1.3", "TLS_AES_256_GCM_SHA384"; empty: in clear */
	bool resumed;           /* its asterisk */
	bool verified;          /* CV=yes or CV=dane */
	uint64_t size;          /* S=, bytes; 0: not given */
	struct slice reason;    /* LOG_HANDSHAKE_ERROR, LOG_TLS_REFUSED: why */
};

/* `line` without its end. False when it has no date in front: then only the event LOG_OTHER is set. */
bool log_line_parse(struct slice line, struct log_entry *entry_r);

#endif
