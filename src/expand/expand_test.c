/* SPDX-License-Identifier: ISC */
#include "expand/expand.h"

#include "base/test.h"

static int arena_setup(void **state)
{
	static struct arena arena;
	arena_init(&arena, 0);
	*state = &arena;
	return 0;
}

static int arena_teardown(void **state)
{
	arena_free(*state);
	return 0;
}

/* Values for the tests: everything that is not listed is empty. */
static struct expand_value test_variable(void *owner, enum expand_variable variable)
{
	const struct expand_value *values = owner;
	return values[variable];
}

#define CLEAN(string) { { string, sizeof(string) - 1 }, false }

static const struct expand_value values[EXPAND_VARIABLES] = {
	[EXPAND_PRIMARY_HOSTNAME] = CLEAN("mx.example"), [EXPAND_LOCAL_PART] = CLEAN("alice"),
	[EXPAND_DOMAIN] = CLEAN("example.org"),          [EXPAND_LOCAL_PART_DATA] = CLEAN("alice"),
	[EXPAND_DOMAIN_DATA] = CLEAN("example.org"),     [EXPAND_HOME] = CLEAN("/home/alice"),
	[EXPAND_SPOOL_DIRECTORY] = CLEAN("../x"),        [EXPAND_MESSAGE_EXIM_ID] = CLEAN("1wXyZa-000Kc3-2B"),
};

static const struct expand_context context = { .variable = test_variable, .owner = (void *)(uintptr_t)values };

static const struct expand_program *compiled(struct arena *arena, struct slice text)
{
	const struct expand_program *program = NULL;
	struct error error;
	size_t column;
	if (!expand_compile(arena, text, EXPAND_PLACE_COMMAND, NULL, &program, &error, &column))
		fail_msg("\"%.*s\", column %zu: %s", SLICE_ARG(text), column, error.text);
	return program;
}

static struct expand_value expanded(struct arena *arena, struct slice text)
{
	struct expand_value value = { 0 };
	struct error error;
	assert_int_equal(expand_run(compiled(arena, text), &context, arena, &value, &error), EXPAND_OK);
	assert_int_equal(value.text.data[value.text.len], '\0');
	return value;
}

static void test_literals_and_escapes(void **state)
{
	static const char *const table[][2] = {
		{ "", "" },
		{ "plain } text {", "plain } text {" },
		{ "\\\\ \\$ \\{ \\} \\q", "\\ $ { } q" },
		{ "\\n\\r\\t\\b\\f\\v", "\n\r\t\b\f\v" },
		{ "\\x41\\x4a1\\x7", "AJ1\a" },
		{ "\\101\\1012\\7x\\18", "AA2\ax\0018" },
		{ "a\\N^\\d{8}$x\\Nb", "a^\\d{8}$xb" },
		{ "\\N$no end\\", "$no end\\" },
		{ "\\N\\N", "" },
		{ "\\8", "8" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct slice constant;
		assert_slice(expanded(*state, slice_of(table[i][0])).text, table[i][1]);
		assert_true(expand_constant(compiled(*state, slice_of(table[i][0])), &constant));
		assert_slice(constant, table[i][1]);
	}
}

static void test_variables_in_both_forms(void **state)
{
	assert_slice(expanded(*state, SLICE("$local_part@$domain")).text, "alice@example.org");
	assert_slice(expanded(*state, SLICE("${local_part}s in ${domain}")).text, "alices in example.org");
	assert_slice(expanded(*state, SLICE("<$sender_address>")).text, "<>");
	assert_slice(expanded(*state, SLICE("$home/Maildir")).text, "/home/alice/Maildir");
	assert_slice(expanded(*state, SLICE("$message_id=$message_exim_id")).text, "1wXyZa-000Kc3-2B=1wXyZa-000Kc3-2B");
	assert_slice(expanded(*state, SLICE("\\$$domain")).text, "$example.org");
}

static void test_taint_is_that_of_any_part(void **state)
{
	assert_true(expanded(*state, SLICE("/mail/$local_part")).tainted);
	assert_true(expanded(*state, SLICE("/mail/$local_part_data/$domain")).tainted);
	assert_true(expanded(*state, SLICE("$sender_helo_name")).tainted);
	assert_false(expanded(*state, SLICE("/mail/$local_part_data/$domain_data")).tainted);
	assert_false(expanded(*state, SLICE("$home")).tainted);
	assert_false(expanded(*state, SLICE("constant")).tainted);

	struct expand_value marked[EXPAND_VARIABLES] = { [EXPAND_HOME] = { SLICE("/home/x"), true } };
	struct expand_context tainting = { .variable = test_variable, .owner = marked };
	struct expand_value value;
	struct error error;
	assert_int_equal(expand_run(compiled(*state, SLICE("$home")), &tainting, *state, &value, &error), EXPAND_OK);
	assert_true(value.tainted);
}

static void test_load_errors_name_column_and_cause(void **state)
{
	static const struct {
		const char *text, *want;
		size_t column;
	} table[] = {
		{ "ab$lokal_part", "unknown variable name \"lokal_part\", did you mean \"local_part\"?", 3 },
		{ "$zzzzzzzzzz", "unknown variable name \"zzzzzzzzzz\"", 1 },
		{ "${Domain}", "unknown variable name \"Domain\", did you mean \"domain\"?", 1 },
		{ "x$$domain", "$ not followed by", 2 },
		{ "x$", "$ not followed by", 2 },
		{ "$ domain", "$ not followed by", 1 },
		{ "$acl_mx", "its sixth character must be a digit or an underscore", 1 },
		{ "$auth5", "it is $auth1 to $auth4", 1 },
		{ "a$dkim_domain", "$dkim_domain is not available in this version", 2 },
		{ "a ${lcx:$domain}", "unknown expansion operator \"lcx\", did you mean \"lc\"?", 3 },
		{ "a ${lc :$domain}", "unknown expansion item \"lc\"", 3 },
		{ "${iff eq{a}{b}}", "unknown expansion item \"iff\", did you mean \"if\"?", 1 },
		{ "${if equ{a}{b}}", "unknown condition \"equ\", did you mean \"eq\"?", 6 },
		{ "${if pwcheck{a:b}{c}}", "the condition \"pwcheck\" is not available: ", 6 },
		{ "${perl{a}}", "the item ${perl...} is not available: ", 1 },
		{ "${if}", "the name of a condition expected", 5 },
		{ "${if eq{a}{b}{c}{d}{e}}", "more than two strings", 20 },
		{ "${if eq{a}{b}{c}fial}", "\"fail\" or } expected", 17 },
		{ "${if eq{a}{b}c}", "missing { for the first string (\"yes\") of \"if\"", 14 },
		{ "${if eq{a}}", "missing { for the second string of \"eq\"", 11 },
		{ "${if eq{a", "what opens here is not closed", 8 },
		{ "${if and{eq{a}{b}}{c}}", "must be in braces of its own", 10 },
		{ "${if and{{eq{a}{b}{c}}}", "missing } at the end of a condition inside \"and\"", 19 },
		{ "${if def{domain}}", "\":\" expected after \"def\"", 9 },
		{ "${if def:nosuch{a}}", "after \"def:\": unknown variable name \"nosuch\"", 10 },
		{ "${if def:h_subject{a}}", "may lack the colon at its end", 23 },
		{ "${if match{a}{b}{c}}", "regular expressions cannot be used here", 15 },
		{ "${if match_domain{a}{b}{c}}", "lists cannot be used here", 21 },
		{ "${lookup{x}{/y}}", "missing lookup type", 12 },
		{ "${lookup{x}nosuch{/y}}", "unknown lookup type \"nosuch\"", 12 },
		{ "${lookup lsearch{/y}}", "missing {key}", 1 },
		{ "${lookup{x}sqlite{/y}}", "takes a query", 1 },
		{ "${lookup{x}lsearch /y}", "missing { for the file of \"lookup\"", 20 },
		{ "${length:abc}", "not enough arguments for \"length\"", 9 },
		{ "${map{a}{b}{c}}", "too many arguments for \"map\"", 12 },
		{ "${extract{}{a=b}}", "must not be empty", 1 },
		{ "${extract{1}{:}}", "missing { for the third argument", 16 },
		{ "${sort{a:b}{eq}{$item}}", "\"eq\" is no comparison", 1 },
		{ "${run,now{/bin/true}}", "bad option \"now\"", 7 },
		{ "${run{/bin/echo ${if eq{a}{a}{b c}{d}}}}", "word 2 of the command", 1 },
		{ "${certextract{subject}{$domain}}", "must be a variable that holds a certificate", 1 },
		{ "${quote_nosuch:x}", "unknown lookup type \"nosuch\"", 1 },
		{ "${substr:x}", "not enough arguments for \"substr\"", 9 },
		{ "${substr_1_2_3_4:x}", "too many arguments", 1 },
		{ "${1x}", "} expected after number", 1 },
		{ "${domain", "missing }", 1 },
		{ "${", "missing }", 1 },
		{ "${}", "\"${\" must be followed by a name", 1 },
		{ "${ domain}", "\"${\" must be followed by a name", 1 },
		{ "${domain-x}", "unknown variable name \"domain-x\", did you mean \"domain\"?", 1 },
		{ "${domain+x}", "must be followed by \"}\" for a variable", 9 },
		{ "tail\\", "\"\\\" at the end", 5 },
		{ "\\xg", "hexadecimal", 3 },
		{ "\\x00", "byte 0", 1 },
		{ "\\0", "byte 0", 1 },
		{ "\\777", "byte 511", 1 },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct expand_program *program;
		struct error error = { 0 };
		size_t column = 0;
		if (expand_compile(*state, slice_of(table[i].text), EXPAND_PLACE_DELIVERY, NULL, &program, &error, &column))
			fail_msg("\"%s\" compiled", table[i].text);
		if (!strstr(error.text, table[i].want))
			fail_msg("\"%s\": \"%s\" lacks \"%s\"", table[i].text, error.text, table[i].want);
		if (column != table[i].column)
			fail_msg("\"%s\": column %zu, not %zu", table[i].text, column, table[i].column);
		assert_int_equal(error.kind, ERROR_USAGE);
	}
}

static void test_nul_and_overlong_sources_are_refused(void **state)
{
	const struct expand_program *program;
	struct error error;
	size_t column;
	assert_false(expand_compile(*state, slice_make("ab\0c", 4), EXPAND_PLACE_LOAD, NULL, &program, &error, &column));
	assert_int_equal(column, 3);
	char *large = arena_alloc(*state, EXPAND_MAX_SOURCE + 1);
	memset(large, 'x', EXPAND_MAX_SOURCE + 1);
	assert_false(expand_compile(*state, slice_make(large, EXPAND_MAX_SOURCE + 1), EXPAND_PLACE_LOAD, NULL, &program, &error, NULL));
	struct slice longest = slice_make(large, EXPAND_MAX_SOURCE);
	assert_true(expand_compile(*state, longest, EXPAND_PLACE_LOAD, NULL, &program, &error, NULL));
}

static void test_variables_only_where_they_can_exist(void **state)
{
	size_t count;
	const struct expand_variable_info *rows = expand_variables(&count);
	for (size_t i = 0; i < count; i++) {
		for (enum expand_place place = 0; place < EXPAND_PLACES; place++) {
			const struct expand_program *program;
			struct error error;
			struct slice text = arena_printf(*state, "<${%s}>", rows[i].name);
			bool ok = expand_compile(*state, text, place, NULL, &program, &error, NULL);
			assert_int_equal(ok, rows[i].place <= place);
			const char *why = rows[i].place == EXPAND_PLACE_COMMAND ? "is not available in this version" : "exists only while";
			if (!ok)
				assert_non_null(strstr(error.text, why));
		}
	}
}

static void test_variable_table_is_complete(void **state)
{
	size_t count;
	const struct expand_variable_info *rows = expand_variables(&count);
	assert_int_equal(rows[0].variable, 0);
	for (size_t i = 0; i < count; i++) {
		const struct expand_variable_info *row = &rows[i];
		if (i)
			assert_true(row->variable == rows[i - 1].variable || row->variable == rows[i - 1].variable + 1);
		assert_ptr_equal(expand_variable_find(slice_of(row->name)), row);
		assert_int_equal(row->help[strlen(row->help) - 1], '.');
		assert_true(expand_uses(compiled(*state, slice_of(row->example)), row->variable));
		if (i && row->variable == rows[i - 1].variable) {
			assert_int_equal(row->tainted, rows[i - 1].tainted);
			assert_int_equal(row->place, rows[i - 1].place);
		}
	}
	assert_int_equal(rows[count - 1].variable, EXPAND_VARIABLES - 1);
}

static void test_constant_and_prefix(void **state)
{
	assert_false(expand_constant(compiled(*state, SLICE("/m/$domain_data/x")), NULL));
	assert_slice(expand_constant_prefix(compiled(*state, SLICE("/\\x6d/$domain_data/x"))), "/m/");
	assert_slice(expand_constant_prefix(compiled(*state, SLICE("$home/x"))), "");
	assert_slice(expand_constant_prefix(compiled(*state, SLICE("/all\\N$\\N"))), "/all$");
}

static void test_output_has_a_bound(void **state)
{
	struct expand_context small = context;
	struct expand_value value;
	struct error error;
	const struct expand_program *program = compiled(*state, SLICE("$domain$domain"));
	small.max_output = 22;
	assert_int_equal(expand_run(program, &small, *state, &value, &error), EXPAND_OK);
	small.max_output = 21;
	assert_int_equal(expand_run(program, &small, *state, &value, &error), EXPAND_FAIL);
	assert_non_null(strstr(error.text, "longer than 21 bytes"));
}

static void test_path_from_clean_text_only(void **state)
{
	static const struct {
		struct slice text;
		bool tainted;
		const char *error; /* NULL: it is a path */
	} table[] = {
		{ SLICE("/mail/example.org/alice"), false, NULL },
		{ SLICE("/m"), false, NULL },
		{ SLICE("/mail/..x/.y/...z"), false, NULL },
		{ SLICE("/mail/alice"), true, "Tainted '/mail/alice' (file or directory name) not permitted" },
		{ SLICE(""), false, "not an absolute path" },
		{ SLICE("mail"), false, "not an absolute path" },
		{ SLICE("/"), false, "empty component" },
		{ SLICE("/mail//alice"), false, "empty component" },
		{ SLICE("/mail/alice/"), false, "empty component" },
		{ SLICE("/mail/../etc"), false, "component \".\" or \"..\"" },
		{ SLICE("/mail/.."), false, "component \".\" or \"..\"" },
		{ SLICE("/mail/./x"), false, "component \".\" or \"..\"" },
		{ SLICE("/mail/a\0b"), false, "NUL" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct clean_path path = { { NULL, 0 } };
		struct error error = { 0 };
		bool ok = expand_to_path((struct expand_value){ table[i].text, table[i].tainted }, *state, &path, &error);
		if (ok != !table[i].error)
			fail_msg("row %zu: %s", i, error.text);
		if (ok)
			assert_true(slice_equal(path.text, table[i].text));
		else if (!strstr(error.text, table[i].error))
			fail_msg("row %zu: \"%s\" lacks \"%s\"", i, error.text, table[i].error);
	}
	char *large = arena_alloc(*state, CLEAN_PATH_MAX + 1);
	memset(large, 'x', CLEAN_PATH_MAX + 1);
	for (size_t i = 0; i < CLEAN_PATH_MAX + 1; i += 200)
		large[i] = '/';
	struct clean_path path;
	struct error error;
	struct expand_value value = { slice_make(large, CLEAN_PATH_MAX), false };
	assert_true(expand_to_path(value, *state, &path, &error));
	value.text.len = CLEAN_PATH_MAX + 1;
	assert_false(expand_to_path(value, *state, &path, &error));
	value.text.len = 450;
	large[200] = 'x';
	assert_false(expand_to_path(value, *state, &path, &error));
}

static void test_run_path_drops_only_the_programs_own_slash(void **state)
{
	static const struct {
		const char *text, *path; /* NULL: no path */
	} table[] = {
		{ "/mail/$domain_data/", "/mail/example.org" }, { "/mail/$domain_data", "/mail/example.org" },
		{ "/mail/$sender_host_name/", NULL },           { "/mail/$qualify_domain", NULL },
		{ "/mail/$qualify_domain/", NULL },             { "/mail/$spool_directory", NULL },
		{ "/mail/", "/mail" },                          { "/mail/$local_part", NULL },
	};
	struct clean_path path;
	struct error error = { 0 };
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct expand_program *program = compiled(*state, slice_of(table[i].text));
		enum expand_result result = expand_run_path(program, &context, *state, &path, &error);
		assert_int_equal(result, table[i].path ? EXPAND_OK : EXPAND_FAIL);
		if (table[i].path)
			assert_slice(path.text, table[i].path);
	}
	assert_string_equal(error.text, "Tainted '/mail/alice' (file or directory name) not permitted");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_literals_and_escapes),
		TEST(test_variables_in_both_forms),
		TEST(test_taint_is_that_of_any_part),
		TEST(test_load_errors_name_column_and_cause),
		TEST(test_nul_and_overlong_sources_are_refused),
		TEST(test_variables_only_where_they_can_exist),
		TEST(test_variable_table_is_complete),
		TEST(test_constant_and_prefix),
		TEST(test_output_has_a_bound),
		TEST(test_path_from_clean_text_only),
		TEST(test_run_path_drops_only_the_programs_own_slash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
