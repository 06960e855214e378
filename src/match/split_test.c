/* SPDX-License-Identifier: ISC */
#include "match/split.h"

#include "match/set.h"

#include "base/test.h"

static void test_items_of_a_list(void **state)
{
	struct arena arena;
	(void)state;
	arena_init(&arena, 0);
	static const struct {
		const char *text, *want; /* items in brackets */
	} table[] = {
		{ "", "" },
		{ "   ", "" },
		{ "a", "[a]" },
		{ " a : b:c ", "[a][b][c]" },
		{ "a::b", "[a:b]" },
		{ "a::b:::c:", "[a:b:][c]" },
		{ "::1", "[:1]" },
		{ "::::1:x", "[::1][x]" },
		{ "::", "[:]" },
		{ ":", "[]" },
		{ "a :", "[a]" },
		{ "a : :", "[a][]" },
		{ ": a : : b : ", "[][a][][b]" },
		{ "<; a; b ;c;;d ; ;", "[a][b][c;d][]" },
		{ "  <; a : b ;c ", "[a : b][c]" },
		{ "<;::1;10.0.0.1", "[::1][10.0.0.1]" },
		{ "<\n a\nb\n\nc", "[a][b][][c]" },
		{ "< a b", "[< a b]" },
		{ "<<a<b<<c", "[a][b<c]" },
		{ "<a", "[<a]" },
		{ "<", "[<]" },
		{ "<;", "" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct list_splitter splitter;
		struct slice item, joined = SLICE("");
		list_split_start(&splitter, slice_of(table[i].text));
		while (list_split_next(&splitter, &arena, &item))
			joined = arena_printf(&arena, "%.*s[%.*s]", SLICE_ARG(joined), SLICE_ARG(item));
		assert_slice(joined, table[i].want);
	}
	arena_free(&arena);
}

static void test_set_keeps_the_first_item_of_a_key(void **state)
{
	struct arena arena;
	struct set folding, exact, empty;
	(void)state;
	arena_init(&arena, 0);
	set_init(&folding, &arena, 3, true);
	set_init(&exact, &arena, 3, false);
	set_init(&empty, &arena, 0, false);
	for (uint32_t i = 0; i < 3; i++) {
		static const char *const keys[] = { "One", "oNE", "" };
		set_add(&folding, slice_of(keys[i]), i);
		set_add(&exact, slice_of(keys[i]), i);
	}
	assert_int_equal(set_find(&folding, SLICE("one")), 0);
	assert_int_equal(set_find(&folding, SLICE("")), 2);
	assert_int_equal(set_find(&folding, SLICE("on")), SET_NONE);
	assert_int_equal(set_find(&exact, SLICE("oNE")), 1);
	assert_int_equal(set_find(&exact, SLICE("one")), SET_NONE);
	assert_int_equal(set_find(&empty, SLICE("")), SET_NONE);
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items_of_a_list),
		cmocka_unit_test(test_set_keeps_the_first_item_of_a_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
