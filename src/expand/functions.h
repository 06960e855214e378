/* SPDX-License-Identifier: ISC */
/*
 * The functions behind the rows of functions.c, by subject, and what they share. For the files of this directory only.
 *
 * Each takes a struct expand_call (function.h). A function sizes its output before it writes: nothing here grows an input by
 * more than a small factor, so the evaluator's limit of its arguments bounds the memory.
 */
#ifndef POSTERN_EXPAND_FUNCTIONS_H
#define POSTERN_EXPAND_FUNCTIONS_H

#include "expand/function.h"

/* The text of an operator, and the last argument of an item. */
struct slice expand_call_text(const struct expand_call *call);
/* Sets the result; with `clear`, it is something that no peer can have chosen: a number, a digest. */
enum expand_result expand_call_give(struct expand_call *call, struct slice out);
enum expand_result expand_call_give_clear(struct expand_call *call, struct slice out);
enum expand_result expand_call_give_number(struct expand_call *call, int64_t number);
/*
 * The number in an argument or modifier: white space, a sign, decimal digits; empty is 0. Far too large ones become the largest.
 * Fails, with Exim's words, when it is none, or when it is negative and may not be.
 */
bool expand_call_number(struct expand_call *call, struct slice text, bool may_be_negative, int64_t *number_r);
/*
 * The numbers of an operator (its modifiers) or an item (all arguments but the last): the first into *first_r, the second, if
 * there is one, into *second_r, which is otherwise -1. `negative`: the first one may be.
 */
bool expand_call_numbers(struct expand_call *call, bool negative, int64_t *first_r, int64_t *second_r);

/* operator_text.c */
expand_function operator_lc, operator_uc, operator_strlen, operator_escape, operator_escape8bit, operator_hexquote;
expand_function operator_rxquote, operator_quote, operator_quote_local_part, function_headerwrap;
/* operator_part.c: parts of texts, and digests that are no cryptography; operators and items alike */
expand_function function_length, function_substr, function_hash, function_nhash, item_tr, item_listquote;
/* operator_number.c */
expand_function operator_base32, operator_base32d, operator_base62, operator_base62d, operator_eval, operator_eval10;
expand_function operator_time_eval, operator_time_interval, operator_randint;
/* operator_encode.c */
expand_function operator_base64, operator_base64d, operator_hex2b64, operator_rfc2047, operator_rfc2047d;
/* operator_digest.c */
expand_function operator_md5, operator_sha1, operator_sha2, operator_sha3, item_hmac, item_prvs, item_srs_encode;
/* operator_address.c */
expand_function operator_address, operator_addresses, operator_domain, operator_local_part;
/* operator_net.c */
expand_function operator_mask, operator_reverse_ip, operator_ipv6norm, operator_ipv6denorm;
/* operator_unicode.c */
expand_function operator_from_utf8, operator_utf8clean, operator_domain_to_alabel, operator_domain_from_alabel;
expand_function operator_localpart_to_alabel, operator_localpart_from_alabel, item_imapfolder;

#endif
