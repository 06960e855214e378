/* SPDX-License-Identifier: ISC */
#include "base/arena.h"

#include "base/fatal.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 2048 - 32 };

struct arena_block {
	struct arena_block *previous;
	size_t size, used; /* of data[] */
	alignas(max_align_t) unsigned char data[];
};

void arena_init(struct arena *arena, size_t limit)
{
	*arena = (struct arena){ .limit = limit };
}

static void free_blocks(struct arena_block *block)
{
	while (block) {
		struct arena_block *previous = block->previous;
		free(block);
		block = previous;
	}
}

void arena_free(struct arena *arena)
{
	free_blocks(arena->current);
	arena->current = NULL;
	arena->total = 0;
}

void arena_wipe(struct arena *arena)
{
	for (struct arena_block *block = arena->current; block; block = block->previous)
		explicit_bzero(block->data, block->used);
	arena_free(arena);
}

void arena_reset(struct arena *arena)
{
	struct arena_block *block = arena->current;
	if (!block || block->size > BLOCK_SIZE) {
		arena_free(arena);
		return;
	}
	free_blocks(block->previous);
	memset(block->data, 0, block->used);
	block->previous = NULL;
	block->used = 0;
	arena->total = sizeof *block + block->size;
}

static void add_block(struct arena *arena, size_t size)
{
	if (size < BLOCK_SIZE)
		size = BLOCK_SIZE;
	if (arena->limit && (size > arena->limit || arena->total > arena->limit - size))
		fatal("arena limit of %zu bytes exceeded", arena->limit);
	struct arena_block *block = xcalloc(1, sizeof *block + size);
	block->size = size;
	block->previous = arena->current;
	arena->current = block;
	arena->total += sizeof *block + size;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	ensure(size < SIZE_MAX / 2);
	size = (size + align - 1) & ~(align - 1);
	if (!arena->current || arena->current->size - arena->current->used < size)
		add_block(arena, size);
	void *memory = arena->current->data + arena->current->used;
	arena->current->used += size;
	return memory;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	size_t bytes;
	ensure(!__builtin_mul_overflow(count, size, &bytes));
	return arena_alloc(arena, bytes);
}

void *arena_grow(struct arena *arena, void *items, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return items;
	*room = *room ? 2 * *room : 8;
	void *larger = arena_array(arena, *room, size);
	if (count)
		memcpy(larger, items, count * size);
	return larger;
}

struct slice arena_copy(struct arena *arena, struct slice s)
{
	char *copy = arena_alloc(arena, s.len + 1);
	if (s.len)
		memcpy(copy, s.data, s.len);
	return (struct slice){ copy, s.len };
}

struct slice arena_copy_lower(struct arena *arena, struct slice s)
{
	char *copy = arena_alloc(arena, s.len + 1);
	for (size_t i = 0; i < s.len; i++)
		copy[i] = ascii_lower(s.data[i]);
	return (struct slice){ copy, s.len };
}

char *arena_cstr(struct arena *arena, struct slice s)
{
	char *copy = arena_alloc(arena, s.len + 1);
	if (s.len)
		memcpy(copy, s.data, s.len);
	return copy;
}

struct slice arena_vprintf(struct arena *arena, const char *format, va_list args)
{
	ensure(format != NULL);
	va_list again;
	char none[1];
	va_copy(again, args);
	int n = vsnprintf(none, sizeof none, format, again);
	va_end(again);
	ensure(n >= 0);
	char *text = arena_alloc(arena, (size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, format, args);
	return (struct slice){ text, (size_t)n };
}

struct slice arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	struct slice text = arena_vprintf(arena, format, args);
	va_end(args);
	return text;
}
