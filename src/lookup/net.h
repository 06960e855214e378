/* SPDX-License-Identifier: ISC */
/* Connections that lookups make: names to addresses, connecting, and waiting for descriptors that a library owns. */
#ifndef POSTERN_LOOKUP_NET_H
#define POSTERN_LOOKUP_NET_H

#include "lookup/private.h"
#include "net/address.h"

#include <sys/socket.h>

enum { LOOKUP_ADDRESSES_MAX = 16 };

struct lookup_addresses {
	struct net_address items[LOOKUP_ADDRESSES_MAX]; /* each with the port */
	size_t count;
};

/* Of an IP address (which may stand in brackets) or a host name. EXPAND_OK: there is one at least. */
enum expand_result lookup_resolve(struct lookup_world *world, struct slice host, uint16_t port, int64_t deadline,
				  struct arena *arena, struct lookup_addresses *addresses_r, struct error *error);

/* A connected non-blocking stream socket, or a negative errno. */
int lookup_connect(const struct sockaddr *address, socklen_t len, int64_t deadline);

/* Moves up to `len` bytes to or from a non-blocking socket, waiting as needed: how many, 0 at the end, or a negative errno. */
ssize_t lookup_move(int fd, void *data, size_t len, bool sending, int64_t deadline);
/* Sends all of it: 0 or a negative errno. */
int lookup_send(int fd, struct slice text, int64_t deadline);

/*
 * As io_wait, for a descriptor that a library owns: it may have left bytes unread, so the present state counts, and it may
 * close it without a word, so the loop forgets it again. 0 or a negative errno.
 */
int lookup_wait_library(int fd, unsigned events, int64_t deadline);

/* "5s", "1m30s", "2h" (base/interval.h), in ns; false when it is none, or 0. */
bool lookup_parse_time(struct slice text, int64_t *interval_r);

#endif
