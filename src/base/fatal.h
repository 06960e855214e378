/* SPDX-License-Identifier: ISC */
/*
 * The end of a role: out of memory or a broken invariant. The message goes to standard error (which the master hands to
 * the log) and the process aborts; the master starts the role again. Nothing here returns.
 */
#ifndef POSTERN_BASE_FATAL_H
#define POSTERN_BASE_FATAL_H

#include <stddef.h>

_Noreturn void fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An invariant that holds in every build, unlike assert(). */
#define ensure(condition) \
	((condition) ? (void)0 : fatal("%s:%d: broken invariant: %s", __FILE__, __LINE__, #condition))

/* Zeroed memory, or the end of the role. The caller frees it. */
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);

#endif
