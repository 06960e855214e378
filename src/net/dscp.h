/* SPDX-License-Identifier: ISC */
/* Differentiated services (RFC 2474): the class that the network may treat a connection's packets as. */
#ifndef POSTERN_NET_DSCP_H
#define POSTERN_NET_DSCP_H

#include "base/slice.h"

#include <sys/socket.h>

/* "ef", "af31", "cs2", Exim's "lowcost" and its kin in any case, or a number from 0 to 63. *value_r is the code point. */
bool net_dscp_parse(struct slice text, unsigned *value_r);
/* False with errno: the kernel does not allow it. */
bool net_dscp_set(int fd, sa_family_t family, unsigned value);

#endif
