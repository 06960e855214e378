/* SPDX-License-Identifier: ISC */
/* The connections of a world to PostgreSQL servers. */
#ifndef POSTERN_LOOKUP_PGSQL_H
#define POSTERN_LOOKUP_PGSQL_H

#include "lookup/pool.h"

struct lookup_pool *lookup_pgsql_new(void);

#endif
