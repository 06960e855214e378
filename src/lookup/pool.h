/* SPDX-License-Identifier: ISC */
/*
 * Connections to servers that wait for the next question, by server; and a limit to how many there are at all. A connection that is
 * neither idle nor in use does not exist: who takes one gives it back or drops it.
 */
#ifndef POSTERN_LOOKUP_POOL_H
#define POSTERN_LOOKUP_POOL_H

#include "base/slice.h"
#include "task/task.h"

#include <stddef.h>

enum { LOOKUP_POOL_MAX = 20, LOOKUP_POOL_IDLE = 8 };

/* The first member of a driver's connection. */
struct lookup_pooled {
	char *server; /* the item of the list of servers, whole; the pool frees it */
	struct lookup_pooled *next;
};

struct lookup_pool;

/* `close`: all but the text. `good`: whether an idle one can still be used. */
struct lookup_pool *lookup_pool_new(void (*close)(struct lookup_pooled *connection), bool (*good)(struct lookup_pooled *connection));
/* None may be in use. Clears the pointer; NULL is allowed. */
void lookup_pool_free(struct lookup_pool **pool);

enum lookup_pool_result {
	LOOKUP_POOL_IDLE_ONE, /* *connection_r was idle */
	LOOKUP_POOL_NEW,      /* make one: it is counted already */
	LOOKUP_POOL_BUSY,     /* there were too many until the deadline */
};

enum lookup_pool_result lookup_pool_take(struct lookup_pool *pool, struct slice server, int64_t deadline,
					 struct lookup_pooled **connection_r);
/* Becomes idle. */
void lookup_pool_give_back(struct lookup_pool *pool, struct lookup_pooled *connection);
/* Closes it; NULL: it could not be made. */
void lookup_pool_drop(struct lookup_pool *pool, struct lookup_pooled *connection);
/* For the driver: a zeroed connection of `size` bytes for that server. */
void *lookup_pooled_new(size_t size, struct slice server);

#endif
