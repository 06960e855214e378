/* SPDX-License-Identifier: ISC */
/*
 * Message identifiers in Exim's form, 16 characters: "1wXyZa-000Kc3-2B": seconds, process and tick in base 62. Scripts that read
 * Exim's logs know it, and within a second the identifiers of one process sort in the order of their making. And the names of queues.
 */
#ifndef POSTERN_BASE_ID_H
#define POSTERN_BASE_ID_H

#include "base/slice.h"

enum { MESSAGE_ID_LEN = 16 };

struct message_id {
	char text[MESSAGE_ID_LEN + 1]; /* NUL-ended */
};

/* One a process; zeroed before the first use. */
struct message_id_source {
	uint64_t last; /* seconds * 3844 + tick of the one made last */
};

/*
 * A new identifier, later than all before it from this source. Two processes never share one, for they differ in their
 * process number; a process started anew with the same number differs in the tick (1/3844 s).
 */
struct message_id message_id_make(struct message_id_source *source);
/* Whether these bytes have the form of an identifier (and so are safe as a file name). */
bool message_id_valid(struct slice s);
/* The second in which it was made, from its first part. */
int64_t message_id_seconds(const struct message_id *id);

enum { QUEUE_NAME_MAX = 63 };

/* The name of a queue: 1 to QUEUE_NAME_MAX letters, digits, "_" and "-". The usual queue has none. */
bool queue_name_valid(struct slice s);

#endif
