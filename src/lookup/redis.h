/* SPDX-License-Identifier: ISC */
/* The connections of a world to Redis servers. */
#ifndef POSTERN_LOOKUP_REDIS_H
#define POSTERN_LOOKUP_REDIS_H

#include "lookup/private.h"

struct lookup_redis *lookup_redis_new(void);
/* No query may run. Clears the pointer; NULL is allowed. */
void lookup_redis_free(struct lookup_redis **redis);

#endif
