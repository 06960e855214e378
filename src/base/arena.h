/* SPDX-License-Identifier: ISC */
/*
 * Arenas: memory that is given back all at once. One a session, one a message, one a configuration. Not shared between
 * threads. Allocation beyond `limit` bytes ends the role (fatal): callers check sizes from outside before they allocate.
 *
 * Invariant: every block is either the current one or full; pointers stay valid until arena_reset or arena_free.
 */
#ifndef POSTERN_BASE_ARENA_H
#define POSTERN_BASE_ARENA_H

#include "base/slice.h"

#include <stdarg.h>

struct arena_block;

struct arena {
	struct arena_block *current;
	size_t total; /* bytes taken from the heap */
	size_t limit; /* 0: no limit but memory */
};

/* An arena costs no heap memory before its first allocation. */
void arena_init(struct arena *arena, size_t limit);
/* Gives all but one block of default size back; everything allocated is gone. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);
/* arena_free, for secrets: all that was ever allocated is overwritten first. */
void arena_wipe(struct arena *arena);

/* Zeroed, aligned for any type. Never NULL. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_array(struct arena *arena, size_t count, size_t size);
/*
 * An array with room for one item more than it has: itself, or, when that is *room already, a copy of twice the size. The items begin
 * zeroed; NULL with no room is an empty array.
 */
void *arena_grow(struct arena *arena, void *items, size_t count, size_t *room, size_t size);
#define arena_new(arena, type) ((type *)arena_alloc((arena), sizeof(type)))

/* Copies; the copy of a slice is followed by a NUL, so that its data serves as a C string when it holds no NUL itself. */
struct slice arena_copy(struct arena *arena, struct slice s);
struct slice arena_copy_lower(struct arena *arena, struct slice s);
char *arena_cstr(struct arena *arena, struct slice s);
struct slice arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct slice arena_vprintf(struct arena *arena, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

#endif
