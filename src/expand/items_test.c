/* SPDX-License-Identifier: ISC */
/* Lists inside of strings (Exim's manual, chapter 6 §21), walked and built again: as ${map{LIST}{[$item]}} of Exim 4.96 gives them. */
#include "base/test_arena.h"

#include "base/cleanup.h"
#include "expand/items.h"

static struct slice map(struct slice list, struct arena *arena)
{
	struct buf out _cleanup_(buf_free);
	struct slice item;
	char separator = 0;
	bool first = true;
	buf_init(&out, 10000);
	while (expand_list_next(&list, &separator, arena, &item)) {
		assert_true(expand_list_append(&out, separator, first, arena_printf(arena, "[%.*s]", SLICE_ARG(item))));
		first = false;
	}
	return arena_copy(arena, buf_slice(&out));
}

static void items_are_split_as_exim_does(void **state)
{
	static const struct {
		const char *list, *items;
		size_t count;
	} cases[] = {
		{ "", "", 0 },
		{ "   ", "", 0 },
		{ "a", "[a]", 1 },
		{ "a: b c :d", "[a]:[b c]:[d]", 3 },
		{ "a:b:", "[a]:[b]", 2 },
		{ "a: :b", "[a]:[]:[b]", 3 },
		{ "a: :", "[a]:[]", 2 },
		{ ":", "[]", 1 },
		{ ":a", "[]:[a]", 2 },
		{ "a::b:c", "[a::b]:[c]", 2 },
		{ "::a", "[::a]", 1 },
		{ "a:::b", "[a::]:[b]", 2 },
		{ "a::::b", "[a::::b]", 1 },
		{ "a:b::", "[a]:[b::]", 2 },
		{ "a\\ :b", "[a\\ ]:[b]", 2 },
		{ "<,a , b,,c", "[a],[b,,c]", 2 },
		{ "<; a::b ; c;", "[a::b];[c]", 2 },
		{ " <; a;b", "[a];[b]", 2 },
		{ "<;;a", "[];[a]", 2 },
		{ "<; ;a", "[];[a]", 2 },
		{ "<;;;a", "[;;a]", 1 },
		{ "<<a<b", "[a]<[b]", 2 },
		{ "<xaxb", "[<xaxb]", 1 },
		{ "< ,a , b,,c", "[< ,a , b,,c]", 1 },
		{ "<", "", 0 },
		{ "<;", "", 0 },
		{ "<\n a\nb\n\nc", "[a]\n[b]\n[]\n[c]", 4 },
		{ "<\t a\t b \t\tc", "[a]\t[b]\t[]\t[c]", 4 },
		{ "\n a:\tb\t:c", "[a]:[b]:[c]", 3 },
		{ "\va:\fb\v", "[a]:[b]", 2 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice list = slice_of(cases[i].list);
		assert_slice(map(list, *state), cases[i].items);
		assert_int_equal(expand_list_count(list, *state), cases[i].count);
	}
}

static void an_item_without_doubled_separators_is_not_copied(void **state)
{
	struct slice list = SLICE("a: bc :d::e"), rest = list, item;
	char separator = 0;
	assert_true(expand_list_next(&rest, &separator, *state, &item));
	assert_ptr_equal(item.data, list.data);
	assert_true(expand_list_next(&rest, &separator, *state, &item));
	assert_ptr_equal(item.data, list.data + 3);
	assert_int_equal(item.len, 2);
	assert_true(expand_list_next(&rest, &separator, *state, &item));
	assert_slice(item, "d:e");
	assert_false(expand_list_next(&rest, &separator, *state, &item));
}

static void a_full_buffer_is_told(void **state)
{
	struct buf out _cleanup_(buf_free);
	(void)state;
	buf_init(&out, 5);
	assert_true(expand_list_append(&out, ':', true, SLICE("a:b")));
	assert_false(expand_list_append(&out, ':', false, SLICE("cd")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_are_split_as_exim_does),
		cmocka_unit_test(an_item_without_doubled_separators_is_not_copied),
		cmocka_unit_test(a_full_buffer_is_told),
	};
	return cmocka_run_group_tests(tests, test_arena_setup, test_arena_teardown);
}
