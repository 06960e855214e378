/* SPDX-License-Identifier: ISC */
/*
 * Encoded words in header fields (RFC 2047): "=?utf-8?q?caf=C3=A9?=". Whatever bytes go in, the decoder gives text: what is not
 * an encoded word stays as it is.
 */
#ifndef POSTERN_MAIL_RFC2047_H
#define POSTERN_MAIL_RFC2047_H

#include "mail/charset.h"

enum { MAIL_RFC2047_WORD_MAX = 75 }; /* octets of an encoded word, RFC 2047 §2 */

/*
 * Text in that character set as encoded words, separated by a blank; unchanged when it is made of letters, digits, spaces and
 * signs that have no meaning in header fields. A word is never too long, and with UTF-8, holds whole characters (RFC 2047 §5).
 * `phrase`: before an address, where fewer signs may stand for themselves.
 */
struct slice mail_rfc2047_encode(struct slice text, struct slice charset, bool phrase, struct arena *arena);

/*
 * Decodes into the target of `charsets`; NULL: the encoding is taken away, the character set stays as it is (Exim's $bh_). A word
 * in a character set that is not known is treated like that as well. NULs become "?". White space between encoded words is dropped
 * (RFC 2047 §6.2). Words that are too long are left alone if `check_length` (Exim's check_rfc2047_length).
 */
struct slice mail_rfc2047_decode(struct slice text, bool check_length, struct charset_set *charsets, struct arena *arena);

#endif
