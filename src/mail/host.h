/* SPDX-License-Identifier: ISC */
/* How a client's host is written, in the log and in Received:. */
#ifndef POSTERN_MAIL_HOST_H
#define POSTERN_MAIL_HOST_H

#include "base/slice.h"

/* Whether HELO says something that the host's verified name (or empty) and its address (without brackets) do not. */
bool mail_helo_tells(struct slice helo, struct slice name, struct slice address);

/*
 * Exim's $sender_fullhost: "name (helo) [address]", the name only when it is verified, the argument of HELO only when it tells
 * something. Cut to `size`, with a NUL; 640 bytes are enough. Returns the length.
 */
size_t mail_host_format(struct slice name, struct slice helo, struct slice address, char *out, size_t size);

#endif
