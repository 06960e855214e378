/* SPDX-License-Identifier: ISC */
/* For unit tests whose state is an arena: cmocka_run_group_tests(tests, test_arena_setup, test_arena_teardown). */
#ifndef POSTERN_BASE_TEST_ARENA_H
#define POSTERN_BASE_TEST_ARENA_H

#include "base/arena.h"
#include "base/test.h"

static int test_arena_setup(void **state)
{
	static struct arena arena;
	arena_init(&arena, 0);
	*state = &arena;
	return 0;
}

static int test_arena_teardown(void **state)
{
	arena_free(*state);
	return 0;
}

#endif
