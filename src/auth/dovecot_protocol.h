/* SPDX-License-Identifier: ISC */
/*
 * Dovecot's authentication protocol, version 1, the client's side, for one exchange on one connection and without a socket: lines of words
 * between tabs.
 *
 *   ours: VERSION CPID ─┐
 *   its:  VERSION MECH... SPID CUID COOKIE DONE ──▶ DOVECOT_GREETED, if it is version 1 and has the mechanism
 *   ours: AUTH          ──▶ its: CONT ──▶ DOVECOT_CHALLENGE; ours: CONT ...
 *                           its: OK   ──▶ DOVECOT_YES
 *                           its: FAIL ──▶ DOVECOT_NO, or DOVECOT_LATER when it says that this is temporary
 *
 * Commands that are not known are passed over, as the protocol wants. Anything that is not the protocol is DOVECOT_LATER: then the server
 * is out of order, and nobody has proved or failed to prove anything.
 *
 * Invariants: no line is longer than DOVECOT_LINE_MAX, and a server may send DOVECOT_LINES_MAX of them.
 */
#ifndef POSTERN_AUTH_DOVECOT_PROTOCOL_H
#define POSTERN_AUTH_DOVECOT_PROTOCOL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum {
	DOVECOT_LINE_MAX = 16 * 1024,
	DOVECOT_LINES_MAX = 1000,
	DOVECOT_INPUT_MAX = 2 * DOVECOT_LINE_MAX, /* the bound of the buffer that dovecot_take is given */
};

enum dovecot_event {
	DOVECOT_WAIT, /* for more input */
	DOVECOT_GREETED,
	DOVECOT_CHALLENGE,
	DOVECOT_YES,
	DOVECOT_NO,
	DOVECOT_LATER,
};

struct dovecot_protocol {
	struct slice mechanism; /* that is wanted; borrowed */
	bool versioned, offered, greeted;
	unsigned lines;
};

struct dovecot_client {
	struct slice client, local; /* addresses as text; empty: not known */
	bool secured;               /* by TLS, or for being local */
	bool certificate;           /* the client's was verified */
};

/* What is to be sent at the start. */
struct slice dovecot_greeting(struct arena *arena);
/* The request; `initial` NULL: there is no initial response. The line holds a secret, and so does that of a response. */
struct slice dovecot_request(const struct dovecot_protocol *protocol, const struct dovecot_client *client, const struct slice *initial,
			     struct arena *arena);
struct slice dovecot_response(struct slice bytes, struct arena *arena);

/*
 * Takes lines off the input until something has come of them. *text_r is of `arena`: the challenge's bytes; the user's name, which after
 * DOVECOT_NO may be empty. DOVECOT_LATER sets *error.
 */
enum dovecot_event dovecot_take(struct dovecot_protocol *protocol, struct buf *in, struct arena *arena, struct slice *text_r,
				struct error *error);

#endif
