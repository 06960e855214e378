/* SPDX-License-Identifier: ISC */
/*
 * Senders rewritten for forwarding (SRS0): "SRS0=HHHH=TT=domain=local", HHHH being a keyed digest, TT the day in base 32. A
 * bounce to such an address is for local@domain. SRS1 is not written.
 */
#ifndef POSTERN_EXPAND_SRS_H
#define POSTERN_EXPAND_SRS_H

#include "base/arena.h"
#include "base/error.h"

#include <time.h>

enum { EXPAND_SRS_DAYS = 10 }; /* for which a rewritten sender is good */

/* The new sender at `domain`; empty for an empty sender. False with *error: the sender has no domain, or there is no secret. */
bool expand_srs_encode(struct slice sender, struct slice domain, struct slice secret, time_t now, struct arena *arena,
		       struct slice *out_r, struct error *error);

/*
 * Whether the local part is one that expand_srs_encode made with this secret, not too long ago: *recipient_r is the original sender. With an
 * empty secret, whether it has the form alone: then *recipient_r is set as well, and proves nothing.
 */
bool expand_srs_decode(struct slice local_part, struct slice secret, time_t now, struct arena *arena, struct slice *recipient_r);

#endif
