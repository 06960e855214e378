/* SPDX-License-Identifier: ISC */
/* The open SQLite databases of a world. */
#ifndef POSTERN_LOOKUP_SQLITE_H
#define POSTERN_LOOKUP_SQLITE_H

#include "lookup/private.h"

struct lookup_sqlite *lookup_sqlite_new(void);
/* No query may run. Clears the pointer; NULL is allowed. */
void lookup_sqlite_free(struct lookup_sqlite **sqlite);

#endif
