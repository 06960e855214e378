/* SPDX-License-Identifier: ISC */
/*
 * How many connections there are, in all and by client address, over all fronts: a shared memory made by the master. Each
 * front writes only its own part and reads the others'; a part is cleared when its front starts, so a front that died leaves
 * nothing behind. Counts of others may be one event old, which limits can bear.
 */
#ifndef POSTERN_NET_COUNTERS_H
#define POSTERN_NET_COUNTERS_H

#include "base/error.h"
#include "net/address.h"

enum {
	COUNTERS_FRONTS_MAX = 64,
	COUNTERS_HOSTS = 16384, /* addresses a front, a power of two */
	COUNTERS_NO_PLACE = COUNTERS_HOSTS,
};

struct counters;

/* A memfd of the right size for this many fronts, or -1 and *error. */
int counters_create(unsigned fronts, struct error *error);
/* Maps it as front `index` and clears that front's part. The descriptor stays the caller's. NULL and *error on failure. */
struct counters *counters_open(int fd, unsigned index, struct error *error);
void counters_free(struct counters *counters);

/*
 * Counts a connection: *total_r and *host_r are the numbers over all fronts, this one included. Returns the host's place, for
 * counters_leave. Where the table has no room, the host of this connection is not counted, only the total is: COUNTERS_NO_PLACE.
 */
unsigned counters_enter(struct counters *counters, const struct net_address *host, unsigned *total_r, unsigned *host_r);
void counters_leave(struct counters *counters, unsigned place);

#endif
