/* SPDX-License-Identifier: ISC */
/* Binding of values in SQL. Rows write a peer's value as {text}, one of the configuration's own as <text>. */
#include "base/buf.h"
#include "base/test.h"
#include "lookup/sql.h"

#include <stdio.h>

static size_t split(const char *text, struct expand_piece *pieces)
{
	size_t count = 0;
	struct slice rest = slice_of(text);
	while (rest.len > 0) {
		size_t at = 0;
		bool tainted = rest.data[0] == '{', value = tainted || rest.data[0] == '<';
		if (value) {
			at = slice_find(rest, tainted ? '}' : '>');
			pieces[count++] = (struct expand_piece){ slice_make(rest.data + 1, at - 1), true, tainted };
			rest = slice_from(rest, at + 1);
			continue;
		}
		while (at < rest.len && rest.data[at] != '{' && rest.data[at] != '<')
			at++;
		pieces[count++] = (struct expand_piece){ .text = slice_first(rest, at) };
		rest = slice_from(rest, at);
	}
	return count;
}

struct row {
	enum sql_dialect dialect;
	const char *query;
	const char *want; /* the text, then "|" and each parameter; or a part of the error */
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct arena arena;
		arena_init(&arena, 0);
		struct expand_piece pieces[32];
		struct sql_query query;
		struct error error = { 0 };
		struct slice got;
		if (sql_bind(rows[i].dialect, pieces, split(rows[i].query, pieces), &arena, &query, &error)) {
			got = query.text;
			for (size_t j = 0; j < query.count; j++)
				got = arena_printf(&arena, "%s|%s", got.data, query.parameters[j]);
			if (!slice_equal(got, slice_of(rows[i].want)))
				fail_msg("%s\nexpected %s\ngot      %s", rows[i].query, rows[i].want, got.data);
		} else if (!strstr(error.text, rows[i].want)) {
			fail_msg("%s\nexpected %s\ngot      %s", rows[i].query, rows[i].want, error.text);
		}
		arena_free(&arena);
	}
}
#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof *(rows))

static void a_value_in_quotes_makes_the_literal_a_parameter(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ SQL_PGSQL, "select a from t where b='{x}'", "select a from t where b=$1|x" },
		{ SQL_SQLITE, "select a from t where b='{x}';", "select a from t where b=:postern1;|x" },
		{ SQL_PGSQL, "select a from t where b='{x}@{y}' and c='k'", "select a from t where b=$1 and c='k'|x@y" },
		{ SQL_PGSQL, "where b='{O'Brien}'", "where b=$1|O'Brien" },
		{ SQL_PGSQL, "where b='{'; drop table t; --}'", "where b=$1|'; drop table t; --" },
		{ SQL_PGSQL, "where b='it''s {x}''s'", "where b=$1|it's x's" },
		{ SQL_PGSQL, "where b like '%{x}%' or c in ('{y}','z')", "where b like $1 or c in ($2,'z')|%x%|y" },
		{ SQL_PGSQL, "where b='<own's>'", "where b=$1|own's" },
		{ SQL_PGSQL, "where b='{}'", "where b=$1|" },
		{ SQL_PGSQL, "'back\\slash {x}'", "$1|back\\slash x" },
		{ SQL_PGSQL, "select'{x}'from t", "select $1 from t|x" },
		{ SQL_PGSQL, "select '{x}'::inet", "select $1::inet|x" },
		{ SQL_PGSQL, "where inet '{x}' = net", "where CAST($1 AS inet) = net|x" },
		{ SQL_PGSQL, "where n > interval'{5} days'", "where n > CAST($1 AS interval)|5 days" },
		{ SQL_SQLITE, "where text '{x}'", "where text :postern1|x" },
	};
	CHECK_ROWS(rows);
}

static void postgresql_literals_are_decoded(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ SQL_PGSQL, "where b=E'a\\'\\\\\\n{x}\\x41\\101'''", "where b=$1|a'\\\nxAA'" },
		{ SQL_PGSQL, "where b=e'{x}'", "where b=$1|x" },
		{ SQL_PGSQL, "where b=E'\\' -- '", "where b=E'\\' -- '" },
		{ SQL_PGSQL, "where namee'{x}'", "where namee $1|x" },
		{ SQL_PGSQL, "where b=E'a\\{x}'", "a value follows a backslash" },
		{ SQL_PGSQL, "where b=E'a\\u0041{x}'", "\\u escapes" },
		{ SQL_PGSQL, "where b=E'a\\000{x}'", "octal" },
		{ SQL_PGSQL, "where b=N'{x}'", "where b=$1|x" },
		{ SQL_PGSQL, "where b=X'{x}'", "bit or blob" },
		{ SQL_PGSQL, "where b=U&'{x}'", "U&''" },
		{ SQL_PGSQL, "where b=$$it's {x}$$ and c", "where b=$1 and c|it's x" },
		{ SQL_PGSQL, "where b=$q$ $$ {$q$} $q$", "where b=$1| $$ $q$ " },
		{ SQL_PGSQL, "where b=$q$ plain $q$ and '{x}'", "where b=$q$ plain $q$ and $1|x" },
		{ SQL_PGSQL, "where b=$1", "where b=$1" },
		{ SQL_PGSQL, "where b=$1 and c='{x}'", "a parameter like $1 of its own" },
		{ SQL_PGSQL, "where a$b$='{x}'", "where a$b$=$1|x" },
		{ SQL_SQLITE, "where b=$$ '{x}' $$", "where b=$$ :postern1 $$|x" },
		{ SQL_SQLITE, "where b=E'\\' and '{x}'", "where b=E'\\' and :postern1|x" },
		{ SQL_SQLITE, "where b=x'{x}'", "blob" },
	};
	CHECK_ROWS(rows);
}

static void outside_of_quotes_taint_decides(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ SQL_PGSQL, "select a from t where id={5} limit <10>", "select a from t where id=$1 limit 10|5" },
		{ SQL_SQLITE, "select a from <t> where id = {5}", "select a from t where id = :postern1|5" },
		{ SQL_PGSQL, "select a from <t where b='>{x}<'>", "ends inside of quotes" },
		{ SQL_PGSQL, "select a from t_{x}", "part of a name" },
		{ SQL_PGSQL, "select {x}y", "beginning of a name" },
		{ SQL_PGSQL, "select 1{2}", "part of a name" },
		{ SQL_PGSQL, "select {1}{2}", "part of a name" },
		{ SQL_PGSQL, "{select 1}", "a peer writes no queries" },
		{ SQL_PGSQL, "<select 1>", "select 1" },
		{ SQL_PGSQL, "select \"{x}\"", "double quotes, which are for names" },
		{ SQL_PGSQL, "select \"<x>\"", "select \"x\"" },
		{ SQL_SQLITE, "select [{x}]", "part of a name" },
		{ SQL_SQLITE, "select `a ' {x}`", "part of a name" },
		{ SQL_PGSQL, "select a[{1}] from t", "select a[$1] from t|1" },
		{ SQL_PGSQL, "select 1 -- it's {x}", "in a comment" },
		{ SQL_PGSQL, "select 1 -- it's\n, '{x}'", "select 1 -- it's\n, $1|x" },
		{ SQL_PGSQL, "select /* ' /* */ ' */ '{x}'", "select /* ' /* */ ' */ $1|x" },
		{ SQL_SQLITE, "select /* ' /* */ '{x}'", "select /* ' /* */ :postern1|x" },
		{ SQL_PGSQL, "select /*/ {x} */", "in a comment" },
		{ SQL_PGSQL, "select /**/* , '{x}'", "select /**/* , $1|x" },
		{ SQL_PGSQL, "select '{x}", "ends inside of quotes" },
		{ SQL_PGSQL, "select 'x", "select 'x" },
		{ SQL_PGSQL, "select 'x'{y}", "select 'x'$1|y" },
	};
	CHECK_ROWS(rows);
}

static void nul_bytes_and_sizes_are_refused(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena, 0);
	struct sql_query query;
	struct error error;
	struct expand_piece nul[] = { { .text = SLICE("select '") }, { SLICE("a\0b"), true, true }, { .text = SLICE("'") } };
	assert_false(sql_bind(SQL_PGSQL, nul, 3, &arena, &query, &error));
	assert_non_null(strstr(error.text, "NUL"));
	static char big[3 * EXPAND_REQUEST_MAX];
	memset(big, ' ', sizeof big);
	struct expand_piece large = { .text = slice_make(big, sizeof big) };
	assert_false(sql_bind(SQL_PGSQL, &large, 1, &arena, &query, &error));
	assert_non_null(strstr(error.text, "too long"));
	static struct expand_piece many[2 * SQL_PARAMETERS_MAX + 2];
	for (size_t i = 0; i < sizeof many / sizeof *many; i++)
		many[i] = i % 2 ? (struct expand_piece){ SLICE("x"), true, true } : (struct expand_piece){ .text = SLICE(", ") };
	assert_false(sql_bind(SQL_PGSQL, many, sizeof many / sizeof *many, &arena, &query, &error));
	assert_non_null(strstr(error.text, "too many values"));
	arena_free(&arena);
}

/* Manual, 9 §21; the texts are what Exim 4.96 gives. */
static void columns_are_written_as_exim_does(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "plain", "x=plain " }, { "", "x=\"\" " }, { "a b", "x=\"a b\" " }, { "a\"b", "x=a\"b " }, { "\"b", "x=\"\\\"b\" " },
		{ "a b\"\\c", "x=\"a b\\\"\\\\c\" " }, { "a\\c", "x=a\\c " }, { "a\nb", "x=\"a\nb\" " }, { "a=b", "x=a=b " },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out;
		buf_init(&out, 100);
		assert_true(sql_put_column(&out, SLICE("x"), slice_of(rows[i][0])));
		assert_slice(buf_slice(&out), rows[i][1]);
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_in_quotes_makes_the_literal_a_parameter),
		cmocka_unit_test(postgresql_literals_are_decoded),
		cmocka_unit_test(outside_of_quotes_taint_decides),
		cmocka_unit_test(nul_bytes_and_sizes_are_refused),
		cmocka_unit_test(columns_are_written_as_exim_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
