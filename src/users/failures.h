/* SPDX-License-Identifier: ISC */
/*
 * Failed tries to log in, counted by user and by network (/24 of IPv4, /64 of IPv6), and who is locked out for them (auth_fail_limit).
 *
 * A limit of N in T is a bucket that holds N failures and loses one each T/N: N failures at once lock, and from then on one more try is
 * let through each T/N. So nobody gets more than N and one each T/N, and who is locked out need not wait for all of T.
 *
 * A user's lock does not hold for a network from which that user has logged in within the last month: guessing from elsewhere must not
 * lock the owner out. The network's lock holds for everybody.
 *
 * The memory is a file of fixed size (failures_create) that outlives the process: 128 Ki counts, a million of further failing names
 * displace none that is at its limit. One process writes. Times are of the clock that processes share; a restart of the machine, or
 * of the server, forgets.
 */
#ifndef POSTERN_USERS_FAILURES_H
#define POSTERN_USERS_FAILURES_H

#include "base/error.h"
#include "net/address.h"

#include <stdint.h>

enum { FAILURES_LIMIT_MAX = 100000, FAILURES_PERIOD_MAX = 366 * 86400 /* seconds */ };

struct failures_limit {
	unsigned count; /* 0: nothing is locked */
	int64_t period; /* ns */
};

struct failures;

/* The memory, for failures_open in whatever process; -1 and *error. */
int failures_create(struct error *error);
size_t failures_size(void); /* its bytes */
/* NULL and *error when that is no such memory. The descriptor stays the caller's. */
struct failures *failures_open(int fd, struct error *error);
void failures_close(struct failures **failures);

/* Who tries, from where. The user may be empty: then only the network counts. */
struct failures_try {
	struct slice user;
	struct net_address client; /* zeroed: none, nothing counts for a network */
};

enum failures_lock { FAILURES_OPEN, FAILURES_USER_LOCKED, FAILURES_NETWORK_LOCKED };

/*
 * Whether another try is let through, if `others` of the same network are under way and may fail. FAILURES_OPEN with *crowded_r: it
 * has to wait for one of them.
 */
enum failures_lock failures_check(const struct failures *failures, const struct failures_limit *limit, const struct failures_try *who,
				  unsigned others, bool *crowded_r, int64_t now);
/* Counts a failure. True: it is the one that locks; *lock_r says what (where both are, the network). */
bool failures_count(struct failures *failures, const struct failures_limit *limit, const struct failures_try *who,
		    enum failures_lock *lock_r, int64_t now);
/* Remembers from where a user has logged in. */
void failures_succeeded(struct failures *failures, const struct failures_try *who, int64_t now);

/* "192.0.2.0/24". */
struct net_text failures_network_text(const struct net_address *client);
/* Whether both are of one network. */
bool failures_same_network(const struct net_address *a, const struct net_address *b);

#endif
