/* SPDX-License-Identifier: ISC */
/*
 * The Received: header that a message gets on its way in (RFC 5321 §4.4), in the form of Exim's default received_header_text.
 * All parts are slices of the caller's; an empty one is left out with the words around it. Whatever they hold, no control
 * character goes into the header, so nothing of a peer's can end the line or start another header.
 */
#ifndef POSTERN_MAIL_RECEIVED_H
#define POSTERN_MAIL_RECEIVED_H

#include "base/buf.h"

struct mail_received {
	struct slice host_name;    /* of the client, verified by DNS */
	struct slice host_address; /* its IP address, without brackets; empty for a message that came in locally */
	unsigned port;             /* of the client; 0 leaves it out */
	struct slice helo;         /* as it named itself */
	struct slice ident;        /* the local user who submitted, or RFC 1413's answer */
	struct slice primary_hostname;
	struct slice protocol;     /* "esmtps" and the like (RFC 3848, RFC 6531 §4.3) */
	struct slice tls_version;  /* "TLS1.3" */
	struct slice cipher;       /* by its standard name, "TLS_AES_256_GCM_SHA384" */
	struct slice sender;       /* envelope sender; empty for a bounce */
	struct slice id;           /* message identifier */
	struct slice recipient;    /* when the message has just one */
	struct slice date;         /* RFC 5322 form */
};

/* Appends the header with its last CRLF. False when `out` is full, which leaves a part of it there. */
bool mail_received_append(const struct mail_received *received, struct buf *out);
/*
 * The same of a text that somebody else has put together, "Received: from ...", with the date behind it: its lines are folded anew,
 * empty ones and control characters are left out.
 */
bool mail_received_append_text(struct slice text, struct slice date, struct buf *out);

#endif
