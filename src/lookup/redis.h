/* SPDX-License-Identifier: ISC */
/* The connections of a world to Redis servers. */
#ifndef POSTERN_LOOKUP_REDIS_H
#define POSTERN_LOOKUP_REDIS_H

#include "lookup/pool.h"

struct lookup_pool *lookup_redis_new(void);

#endif
