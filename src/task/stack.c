/* SPDX-License-Identifier: ISC */
#include "task/stack.h"

#include "base/fatal.h"
#include "base/sanitize.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define REGISTER_STACK(low, high) VALGRIND_STACK_REGISTER((low), (high))
#define DEREGISTER_STACK(id) VALGRIND_STACK_DEREGISTER(id)
#else
#define REGISTER_STACK(low, high) 0
#define DEREGISTER_STACK(id) ((void)(id))
#endif

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* What a parked task points to is not lost; what a kept stack still holds of its last task is. */
static struct stack in_use(struct stack stack)
{
#if SANITIZED
	__lsan_register_root_region(stack.low, stack.size);
#endif
	return stack;
}

struct stack stack_take(struct stack_pool *pool)
{
	if (pool->count)
		return in_use(pool->kept[--pool->count]);
	size_t guard = page_size();
	char *memory = mmap(NULL, guard + STACK_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (memory == MAP_FAILED)
		fatal("no address space for a task's stack: %s (is vm.max_map_count too low?)", strerror(errno));
	if (mprotect(memory, guard, PROT_NONE) < 0)
		fatal("cannot protect the guard page of a stack: %s", strerror(errno));
	/* One huge page would cost 2 MiB for a task that touches two small ones. */
	madvise(memory, guard + STACK_SIZE, MADV_NOHUGEPAGE);
	struct stack stack = { .low = memory + guard, .size = STACK_SIZE };
	stack.valgrind_id = (unsigned)REGISTER_STACK(stack.low, stack.low + stack.size);
	return in_use(stack);
}

static void unmap(struct stack stack)
{
	DEREGISTER_STACK(stack.valgrind_id);
	size_t guard = page_size();
	ensure(munmap(stack.low - guard, stack.size + guard) == 0);
}

void stack_give_back(struct stack_pool *pool, struct stack stack)
{
#if SANITIZED
	__lsan_unregister_root_region(stack.low, stack.size);
#endif
	if (pool->count < STACKS_KEPT)
		pool->kept[pool->count++] = stack;
	else
		unmap(stack);
}

void stack_trim(const struct stack *stack, void *stack_pointer)
{
	enum { RED_ZONE = 128 }; /* AMD64 ABI §3.2.2: a leaf may use this much below the stack pointer */
	uintptr_t page = page_size();
	uintptr_t end = ((uintptr_t)stack_pointer - RED_ZONE) & ~(page - 1);
	uintptr_t low = (uintptr_t)stack->low;
	if (end > low && end < low + stack->size)
		madvise(stack->low, end - low, MADV_DONTNEED);
}

void stack_pool_free(struct stack_pool *pool)
{
	while (pool->count)
		unmap(pool->kept[--pool->count]);
}
