/* SPDX-License-Identifier: ISC */
/* The text around an address that a rewrite rule with the flag w gave: what is not ASCII in it is encoded (RFC 2047). */
#ifndef POSTERN_ROUTE_REWRITE_WORD_H
#define POSTERN_ROUTE_REWRITE_WORD_H

#include "base/arena.h"
#include "mail/mailbox_list.h"

/* The item, its phrase as encoded words of UTF-8 where it needs to be; control characters become spaces. */
struct slice rewrite_encode_words(struct arena *arena, const struct mail_address_item *mailbox);

#endif
