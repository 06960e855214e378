/* SPDX-License-Identifier: ISC */
/*
 * Signed envelope senders (BATV, draft-levine-smtp-batv-01), in the order of their parts that Exim writes:
 * "prvs=KDDDSSSSSS=local@domain", K being the number of the key, DDD the last day on which it is good (days since 1970, modulo
 * 1000), SSSSSS the start of an HMAC with SHA-1 over "KDDDlocal@domain". Addresses may be a peer's.
 */
#ifndef POSTERN_EXPAND_PRVS_H
#define POSTERN_EXPAND_PRVS_H

#include "base/arena.h"
#include "base/error.h"

#include <time.h>

enum { EXPAND_PRVS_DAYS = 7 }; /* for which a signature made here is good */

/* Signs. `key_number` is 0 to 9. False with *error: no local part or no domain, or no secret. */
bool expand_prvs_make(struct slice address, struct slice secret, unsigned key_number, time_t now, struct arena *arena,
		      struct slice *signed_r, struct error *error);

/* A signed address taken apart; slices of it. */
struct expand_prvs {
	struct slice address;    /* without the signature: $prvscheck_address */
	struct slice key_number; /* one digit: $prvscheck_keynum */
	struct slice day, hash;  /* three and six digits, as written */
};

/* False when it does not have the form of a signed address. */
bool expand_prvs_parse(struct slice signed_address, struct expand_prvs *prvs_r);
/* Whether the signature is by this secret and its day has not passed ($prvscheck_result is "1"). Never so for an empty secret. */
bool expand_prvs_check(const struct expand_prvs *prvs, struct slice secret, time_t now);

#endif
