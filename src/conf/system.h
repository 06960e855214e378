/* SPDX-License-Identifier: ISC */
/* How files are read, for system.c and its tests. */
#ifndef POSTERN_CONF_SYSTEM_H
#define POSTERN_CONF_SYSTEM_H

#include "base/arena.h"
#include "base/error.h"

/*
 * A whole regular file that somebody may be writing. What its size and times did not change around is good; where they are too
 * fresh to tell, what two readings agree on. After a few tries it is an error. `meanwhile` (may be NULL) is called after each
 * reading: for tests.
 */
bool conf_read_file(const char *path, struct arena *arena, struct slice *value_r, struct error *error,
		    void (*meanwhile)(void *owner), void *owner);

#endif
