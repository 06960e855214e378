/* SPDX-License-Identifier: ISC */
/*
 * Stacks of tasks: 256 KiB of address space each, of which only touched pages cost memory, with a guard page below that turns
 * an overflow into SIGSEGV. A small number of free ones is kept for reuse.
 */
#ifndef POSTERN_TASK_STACK_H
#define POSTERN_TASK_STACK_H

#include <stddef.h>

enum { STACK_SIZE = 256 * 1024, STACKS_KEPT = 64 };

struct stack {
	char *low;            /* first usable byte; the guard page is below */
	size_t size;
	unsigned valgrind_id; /* 0 outside of valgrind */
};

struct stack_pool {
	struct stack kept[STACKS_KEPT];
	size_t count;
};

/* Ends the role when the system gives no address space. */
struct stack stack_take(struct stack_pool *pool);
void stack_give_back(struct stack_pool *pool, struct stack stack);
/* Gives the memory below `stack_pointer` back to the system; what a parked task holds above it stays. */
void stack_trim(const struct stack *stack, void *stack_pointer);
void stack_pool_free(struct stack_pool *pool);

#endif
