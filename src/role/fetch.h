/* SPDX-License-Identifier: ISC */
/*
 * What the files of the fetch role share: when a proof is fetched (fetch_plan.c), how proofs are kept over restarts
 * (fetch_state.c), and the role itself (fetch.c).
 */
#ifndef POSTERN_ROLE_FETCH_H
#define POSTERN_ROLE_FETCH_H

#include "tls/ocsp.h"

/* ---- When ---- */

enum { FETCH_RETRY_FIRST = 10, FETCH_RETRY_MOST = 3600, FETCH_SAME_LEAST = 60 /* seconds */ };

struct fetch_history {
	bool has_proof;                   /* one that was valid when it was checked */
	int64_t this_update, next_update; /* its */
	int64_t last_try;                 /* 0: never */
	unsigned failures;                /* in a row */
};

/*
 * When to ask the responder next, in seconds since the epoch: without a proof at once; with one at a third of its life (responders make
 * new ones when half of it is over, so two more thirds are left for their troubles). After a failure 10 seconds later, then 20,
 * 40, and so on, up to an hour. A responder that still gives the old proof is asked again at a third of what is left, at least a minute.
 */
int64_t fetch_next_try(const struct fetch_history *history);

/* ---- Where: one file a certificate, its SHA-256 in hexadecimal and ".der", in a directory of the role's own ---- */

/* Replaces it as a whole, durably. Blocks. False and *error. */
bool fetch_state_write(int directory, const struct ocsp_print *certificate, struct slice proof, struct error *error);
/* False: there is none, or it cannot be read. Blocks. */
bool fetch_state_read(int directory, const struct ocsp_print *certificate, struct buf *proof);
/* Removes files that were not written for that many seconds: of certificates that are gone. Blocks. */
void fetch_state_clean(int directory, int64_t seconds);

#endif
