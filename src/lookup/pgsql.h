/* SPDX-License-Identifier: ISC */
/* The connections of a world to PostgreSQL servers. */
#ifndef POSTERN_LOOKUP_PGSQL_H
#define POSTERN_LOOKUP_PGSQL_H

#include "lookup/private.h"

struct lookup_pgsql *lookup_pgsql_new(void);
/* No query may run. Clears the pointer; NULL is allowed. */
void lookup_pgsql_free(struct lookup_pgsql **pgsql);

#endif
