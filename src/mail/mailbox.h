/* SPDX-License-Identifier: ISC */
/*
 * Addresses as header fields write them (RFC 5322 §3.4): with names, comments, source routes, groups, folded over lines. What is
 * taken out is the working address, "local@domain", quoted as it was written.
 *
 * Looser than the grammar where mail is: dots anywhere in a local part or a name, bytes above 127 (RFC 6532).
 */
#ifndef POSTERN_MAIL_MAILBOX_H
#define POSTERN_MAIL_MAILBOX_H

#include "base/arena.h"

enum { MAIL_MAILBOX_COMMENT_DEPTH = 50 };

/* Both are slices of `address`; the domain is empty for a local part alone. */
struct mail_mailbox {
	struct slice address, local_part, domain;
};

/*
 * All of `text` is one mailbox. False when it is malformed, or empty ("<>" is empty). Where groups may be ("name: a@b, c@d;"), *group tells
 * from one mailbox to the next whether they are in one, false at first: "name:" in front and ";" behind are skipped. NULL: no groups.
 */
bool mail_mailbox_parse(struct slice text, bool *group, struct arena *arena, struct mail_mailbox *mailbox_r);

/*
 * What must not be looked into. Length of the quoted string or domain literal at the start, to its `close` ('"', ']'), a backslash
 * taking the byte behind it along: longer than the text when it does not end. Of the comment there (RFC 5322 §3.2.2: they nest): all
 * of the text when it does not end.
 */
size_t mail_quoted_length(struct slice s, char close);
size_t mail_comment_length(struct slice s);

/* Takes the text up to the next comma that separates addresses off *rest. False at the end. */
bool mail_mailbox_next(struct slice *rest, struct slice *text_r);

#endif
