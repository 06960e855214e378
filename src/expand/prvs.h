/* SPDX-License-Identifier: ISC */
/*
 * Signed envelope senders (BATV, draft-levine-smtp-batv): "prvs=KDDDSSSSSS/local@domain" in the older order that Exim writes,
 * K being the number of the key, DDD the day (modulo 1000) on which it ends, SSSSSS the start of an HMAC with SHA-1. Both orders
 * are read. Addresses have the form local@domain; both parts may be a peer's.
 */
#ifndef POSTERN_EXPAND_PRVS_H
#define POSTERN_EXPAND_PRVS_H

#include "base/arena.h"
#include "base/error.h"

#include <time.h>

enum { EXPAND_PRVS_DAYS = 7 }; /* for which a signature is good */

/* Signs. `key_number` is a digit, 0 to 9. False with *error: the address has no domain. */
bool expand_prvs_make(struct slice address, struct slice secret, unsigned key_number, time_t now, struct arena *arena,
		      struct slice *signed_r, struct error *error);

/* A signed address taken apart; the texts lie in the arena, each followed by a NUL. */
struct expand_prvs {
	struct slice address;    /* without the signature: $prvscheck_address */
	struct slice key_number; /* one digit: $prvscheck_keynum */
	struct slice day, hash;  /* as written */
};

/* False when it does not have the form of a signed address. */
bool expand_prvs_parse(struct slice signed_address, struct arena *arena, struct expand_prvs *prvs_r);
/* Whether the signature is by this secret and its day has not passed: $prvscheck_result is "1". */
bool expand_prvs_check(const struct expand_prvs *prvs, struct slice secret, time_t now);

#endif
