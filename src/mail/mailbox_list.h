/* SPDX-License-Identifier: ISC */
/*
 * The addresses in the value of a header field (RFC 5322 §3.4): mailboxes and groups, with phrases, comments, quoted strings
 * and folded lines around them. Where they stand is told, not whether they are good: the caller parses what it uses.
 *
 * Nothing is copied; each call goes forward by at least a byte, so a field of any content ends.
 */
#ifndef POSTERN_MAIL_MAILBOX_LIST_H
#define POSTERN_MAIL_MAILBOX_LIST_H

#include "base/slice.h"

struct mail_address_item {
	struct slice whole;   /* from the first to the last byte of the item, comments and phrase included */
	struct slice address; /* the working part: between the angle brackets, or what is not comment; may be empty */
};

/* The next mailbox at or behind *at, which moves behind it. False at the end. */
bool mail_address_item_next(struct slice value, size_t *at, struct mail_address_item *mailbox_r);
/* Whether the item has its address in angle brackets. */
bool mail_address_item_bracketed(const struct mail_address_item *mailbox);

#endif
