/* SPDX-License-Identifier: ISC */
/* Parts of JSON texts (RFC 8259), as ${extract json...} and forall_json take them. */
#include "base/test_arena.h"

#include "expand/json.h"

static void values_come_as_they_are_written(void **state)
{
	static const struct {
		const char *json, *key, *value;
		bool unquote;
	} cases[] = {
		{ "{\"a\": {\"b\" : 1}, \"c\":\"x\\\"y\"}", "a", "{\"b\" : 1}", false },
		{ "{\"a\": {\"b\" : 1}, \"c\":\"x\\\"y\"}", "c", "\"x\\\"y\"", false },
		{ "{\"a\": {\"b\" : 1}, \"c\":\"x\\\"y\"}", "c", "x\\\"y", true },
		{ "{\"a\": {\"b\" : 1}}", "b", NULL, false },
		{ "{\"a\": 1}", "A", NULL, false },
		{ "{\"a\": 1}", " a ", "1", false },
		{ "{\"a\": \"x\", \"a\": \"y\"}", "a", "x", true },
		{ "{\"b\": [1,{\"a\":3}], \"a\" : 3 }", "a", "3", false },
		{ "{\"a,b\": \"x, y\", \"b\":\"q,r\"}", "b", "q,r", true },
		{ "{\"a\": -1.50E+3}", "a", "-1.50E+3", false },
		{ "{\"a\": null, \"b\": true}", "a", "null", false },
		{ "{}", "a", NULL, false },
		{ " [1, 2 , \"x\"] ", "2", "2", false },
		{ "[1, 2 , \"x\"]", "3", "\"x\"", false },
		{ "[1, 2 , \"x\"]", " 3 ", "x", true },
		{ "[1, 2 , \"x\"]", "4", NULL, false },
		{ "[1, 2 , \"x\"]", "99999999999999999999", NULL, false },
		{ "[]", "1", NULL, false },
		{ "[ [1 , 2] , {\"a\": [3 ,4] }  ]", "2", "{\"a\": [3 ,4] }", false },
		{ "[\"caf\303\251\"]", "1", "caf\303\251", true },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice out;
		bool found;
		struct error error;
		assert_int_equal(expand_json_extract(slice_of(cases[i].json), slice_of(cases[i].key), cases[i].unquote, *state, &out,
						     &found, &error), EXPAND_OK);
		assert_int_equal(found, cases[i].value != NULL);
		if (found)
			assert_slice(out, cases[i].value);
	}
}

static void what_is_not_well_formed_is_refused(void **state)
{
	static const struct {
		const char *json, *key, *error;
	} cases[] = {
		{ "[1]", "a", "missing '{' wrapping object" },
		{ "{\"a\":1}", "1", "missing '[' wrapping array" },
		{ "", "a", "missing '{' wrapping object" },
		{ "{\"a\" 1}", "a", "missing ':'" },
		{ "{a: 1}", "a", "missing '\"'" },
		{ "{\"a\": 1", "a", "missing '}' wrapping object" },
		{ "{\"a\": 1,}", "a", "missing '\"'" },
		{ "{\"a\": 1} x", "a", "something after the end" },
		{ "{\"a\": \"x", "a", "a string without an end" },
		{ "{\"a\": \"x\\", "a", "a backslash that no escape follows" },
		{ "{\"a\": \"\\u12g4\"}", "a", "\\u without four hexadecimal digits" },
		{ "{\"a\": \"\377\"}", "a", "not UTF-8" },
		{ "{\"a\": \"\001\"}", "a", "a control character" },
		{ "{\"a\": tru}", "a", "no string, number" },
		{ "{\"a\": 1.}", "a", "a number without digits" },
		{ "{\"a\": 01}", "a", "missing '}'" },
		{ "{\"a\": }", "a", "a number without digits" },
		{ "[1,]", "1", "a number without digits" },
		{ "[1", "1", "missing ']' wrapping array" },
		{ "[1]", "0", "must be greater than zero" },
		{ "[1]", "-1", "must be greater than zero" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice out;
		bool found;
		struct error error = { 0 };
		assert_int_equal(expand_json_extract(slice_of(cases[i].json), slice_of(cases[i].key), false, *state, &out, &found, &error),
				 EXPAND_FAIL);
		if (!strstr(error.text, cases[i].error))
			fail_msg("%s: %s", cases[i].json, error.text);
	}
}

static void a_value_that_is_no_string_cannot_be_unquoted(void **state)
{
	struct slice out, *items;
	bool found;
	size_t count;
	struct error error;
	assert_int_equal(expand_json_extract(SLICE("[1]"), SLICE("1"), true, *state, &out, &found, &error), EXPAND_FAIL);
	assert_non_null(strstr(error.text, "missing '\"' wrapping string result"));
	assert_false(expand_json_array(SLICE("[\"a\", 1]"), true, *state, &items, &count, &error));
	assert_true(expand_json_array(SLICE("[\"a\", 1]"), false, *state, &items, &count, &error));
	assert_int_equal(count, 2);
	assert_slice(items[0], "\"a\"");
	assert_slice(items[1], "1");
	assert_true(expand_json_array(SLICE("[]"), true, *state, &items, &count, &error));
	assert_int_equal(count, 0);
}

static void depth_and_size_are_bounded(void **state)
{
	static char text[EXPAND_JSON_SIZE_MAX + 3];
	struct slice *items;
	size_t count;
	struct error error;
	memset(text, '[', EXPAND_JSON_DEPTH_MAX);
	memset(text + EXPAND_JSON_DEPTH_MAX, ']', EXPAND_JSON_DEPTH_MAX);
	assert_true(expand_json_array(slice_of(text), false, *state, &items, &count, &error));
	memset(text, '[', 200);
	memset(text + 200, ']', 200);
	assert_false(expand_json_array(slice_of(text), false, *state, &items, &count, &error));
	assert_non_null(strstr(error.text, "too deeply nested"));
	memset(text, ' ', sizeof(text) - 1);
	assert_false(expand_json_array(slice_of(text), false, *state, &items, &count, &error));
	assert_non_null(strstr(error.text, "longer than"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_as_they_are_written),
		cmocka_unit_test(what_is_not_well_formed_is_refused),
		cmocka_unit_test(a_value_that_is_no_string_cannot_be_unquoted),
		cmocka_unit_test(depth_and_size_are_bounded),
	};
	return cmocka_run_group_tests(tests, test_arena_setup, test_arena_teardown);
}
