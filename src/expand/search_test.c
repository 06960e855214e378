/* SPDX-License-Identifier: ISC */
/* Search types as a lookup's first word gives them (Exim's manual, chapter 9 §1, §6, §7). */
#include "base/test_arena.h"

#include "expand/search.h"

static void types_are_taken_apart(void **state)
{
	static const struct {
		const char *text, *type, *affix;
		bool partial;
		unsigned minimum;
		enum search_default fallback;
	} cases[] = {
		{ "lsearch", "lsearch", "*.", false, 2, SEARCH_NO_DEFAULT },
		{ " cdb ", "cdb", "*.", false, 2, SEARCH_NO_DEFAULT },
		{ "lsearch*", "lsearch", "*.", false, 2, SEARCH_STAR },
		{ "lsearch*@", "lsearch", "*.", false, 2, SEARCH_STAR_AT },
		{ "partial-lsearch", "lsearch", "*.", true, 2, SEARCH_NO_DEFAULT },
		{ "partial3-cdb*", "cdb", "*.", true, 3, SEARCH_STAR },
		{ "partial0-cdb", "cdb", "*.", true, 0, SEARCH_NO_DEFAULT },
		{ "partial(.)lsearch", "lsearch", ".", true, 2, SEARCH_NO_DEFAULT },
		{ "partial1()cdb", "cdb", "", true, 1, SEARCH_NO_DEFAULT },
		{ "partial2(,)nwildlsearch*@", "nwildlsearch", ",", true, 2, SEARCH_STAR_AT },
		{ "pgsql", "pgsql", "*.", false, 2, SEARCH_NO_DEFAULT },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct search search;
		struct error error;
		assert_true(search_parse(slice_of(cases[i].text), *state, &search, &error));
		assert_string_equal(search.type->name, cases[i].type);
		assert_slice(search.affix, cases[i].affix);
		assert_int_equal(search.partial, cases[i].partial);
		assert_int_equal(search.partial_minimum, cases[i].minimum);
		assert_int_equal(search.fallback, cases[i].fallback);
		assert_int_equal(search.option_count, 0);
	}
}

static void options_follow_commas(void **state)
{
	struct search search;
	struct error error;
	assert_true(search_parse(SLICE("partial(.)dsearch*, ret=full,filter=dir"), *state, &search, &error));
	assert_int_equal(search.option_count, 2);
	assert_slice(search.options[0], "ret=full");
	assert_slice(search.options[1], "filter=dir");
	assert_true(search_parse(SLICE("sqlite,file=/a,,b,cache=no_rd"), *state, &search, &error));
	assert_int_equal(search.option_count, 2);
	assert_slice(search.options[0], "file=/a,b");
	assert_slice(search.options[1], "cache=no_rd");
}

static void errors_say_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "", "unknown lookup type \"\"" },
		{ "lserch", "did you mean \"lsearch\"?" },
		{ "nosuchthing", "unknown lookup type \"nosuchthing\"" },
		{ "ldap", "of Exim does not exist here" },
		{ "mysql,servers=a", "of Exim does not exist here: use pgsql or sqlite" },
		{ "spf", "lookup type \"spf\" of Exim does not exist here" },
		{ "dbm*@", "use cdb or sqlite" },
		{ "pgsql*", "neither partial matching nor \"*\" defaults" },
		{ "partial-dnsdb", "neither partial matching nor \"*\" defaults" },
		{ "partial", "after \"partial\" comes" },
		{ "partial3", "after \"partial\" comes" },
		{ "partial(.lsearch", "after \"partial\" comes" },
		{ "partial999-lsearch", "larger than 127" },
		{ "partial(a)lsearch", "made of punctuation" },
		{ "lsearch,ret", "lacks \"=\" and a value" },
		{ "lsearch,filter=dir", "has no option \"filter\" (it has: cache ret)" },
		{ "LSEARCH", "did you mean \"lsearch\"?" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct search search;
		struct error error = { 0 };
		assert_false(search_parse(slice_of(cases[i].text), *state, &search, &error));
		if (!strstr(error.text, cases[i].error))
			fail_msg("%s: %s", cases[i].text, error.text);
	}
}

static void the_table_is_complete(void **state)
{
	size_t count;
	const struct search_type *types = search_types(&count);
	(void)state;
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			assert_true(strcmp(types[i - 1].name, types[i].name) < 0);
		assert_ptr_equal(search_type_find(slice_of(types[i].name)), &types[i]);
		assert_non_null(strstr(types[i].example, types[i].name));
		assert_true(types[i].help[0] != 0 && types[i].options);
		assert_int_equal(types[i].partial, types[i].style == SEARCH_SINGLE_KEY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_are_taken_apart),
		cmocka_unit_test(options_follow_commas),
		cmocka_unit_test(errors_say_what_is_wrong),
		cmocka_unit_test(the_table_is_complete),
	};
	return cmocka_run_group_tests(tests, test_arena_setup, test_arena_teardown);
}
