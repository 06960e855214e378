/* SPDX-License-Identifier: ISC */
/* The drivers over files, directories, the user database and SQLite. Values are what Exim 4.96 gives, where it is not said otherwise. */
#include "expand/expand.h"
#include "lookup/lookup_test.h"

#include <cdb.h>
#include <pwd.h>
#include <sqlite3.h>

static struct expand_value constant(void *owner, enum expand_variable variable)
{
	(void)owner;
	return (struct expand_value){ .text = variable == EXPAND_PRIMARY_HOSTNAME ? SLICE("host.test") : SLICE("") };
}

static const struct expand_context constants = { .variable = constant };

static int open_world(void **state)
{
	static struct fixture fixture;
	fixture_open(&fixture, (struct lookup_settings){ .constants = &constants, .sqlite_dbfile = SLICE("/nonexistent/default.db") });
	*state = &fixture;
	return 0;
}

static void iplsearch_takes_the_first_network_that_holds_the_address(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "ip", "1.2.3.4:           data for 1.2.3.4\n192.168.0.0/16:    data for net\n"
		      "\"abcd::cdab\":      data for abcd::cdab\n\"abcd:abcd::/32\"   data for abcd:abcd::/32\njunk: no\n"
		      "*: dflt\n192.168.3.0/24: narrower\n0.0.0.0/0: all4\n");
	static const struct fixture_row rows[] = {
		{ "iplsearch", "1.2.3.4", "<data for 1.2.3.4>" },
		{ "iplsearch,ret=full", "1.2.3.4", "<1.2.3.4:           data for 1.2.3.4>" },
		{ "iplsearch", "192.168.3.4", "<data for net>" },
		{ "iplsearch", "abcd::cdab", "<data for abcd::cdab>" },
		{ "iplsearch,ret=full", "abcd::cdab", "<abcd::cdab:      data for abcd::cdab>" },
		{ "iplsearch", "abcd:abcd::9", "<data for abcd:abcd::/32>" },
		{ "iplsearch", "9.9.9.9", "<all4>" },
		{ "iplsearch", "::ffff:1.2.3.4", "<data for 1.2.3.4>" },
		{ "iplsearch", "*", "<dflt>" },
		{ "iplsearch", "abcd::1", "not found" },
		{ "iplsearch*", "abcd::1", "<dflt>" },
		{ "iplsearch", "junk", "defer: \"junk\" is not a valid iplsearch key (an IP address, with optional CIDR mask, is wanted): "
		  "in a host list, use net-iplsearch as the search type" },
	};
	CHECK_FIXTURE_ROWS(fixture, "ip", rows);
	fixture_find(fixture, "iplsearch", "ip", "[1.2.3.4]");
	assert_says(fixture, "is not a valid iplsearch key");
	fixture_find(fixture, "iplsearch", "ip", "1.2.3.0/24");
	assert_says(fixture, "is not a valid iplsearch key");
}

static void keys_with_wildcards_are_tried_in_order(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "keys", "NestedKey: v\n");
	const char *text = arena_printf(&fixture->arena, "*.a.b.c       data for *.a.b.c\n*fish         data for *fish\n"
		"^\\d+\\.x\\.b    digits\n\"^a:b \\\\d+\"   quoted regex\n^\\N\\d+\\.exp\\.b\\N   nexp\n^(?-i)Case case\n"
		"plain: p\nplain: never\n\"@$primary_hostname\" here\nfoo*: star is last\nlsearch;%s/keys: nested\n!*.example: not example\n", fixture->directory).data;
	fixture_write(fixture, "wild", text);
	static const struct fixture_row rows[] = {
		{ "nwildlsearch", "x.a.b.c", "<data for *.a.b.c>" },
		{ "nwildlsearch", "X.A.B.C", "<data for *.a.b.c>" },
		{ "nwildlsearch", "big.fish", "<data for *fish>" },
		{ "nwildlsearch", "12.x.b", "<digits>" },
		{ "nwildlsearch", "a:b 33", "<quoted regex>" },
		{ "nwildlsearch", "Case", "<case>" },
		{ "nwildlsearch", "PLAIN", "<p>" },
		{ "nwildlsearch", "foo*", "<star is last>" },
		{ "nwildlsearch", "nestedkey", "<nested>" },
		{ "nwildlsearch", "anything", "<not example>" },
		{ "nwildlsearch", "kase.example", "not found" },
		{ "nwildlsearch,ret=full", "plain", "<plain: p>" },
		{ "nwildlsearch", "", "not found" },
		{ "wildlsearch", "12.exp.b", "<nexp>" },
		{ "wildlsearch", "big.fish", "<data for *fish>" },
		{ "wildlsearch", "@host.test", "<here>" },
		{ "wildlsearch", "a:b 33", "<not example>" }, /* the expansion takes one more backslash away */
	};
	CHECK_FIXTURE_ROWS(fixture, "wild", rows);
}

static void bad_patterns_defer_with_their_line(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "bad", "good: x\n^bad(  y\n");
	fixture_find(fixture, "nwildlsearch", "bad", "good");
	assert_says(fixture, "defer: ");
	assert_says(fixture, "/bad (nwildlsearch lookup): line 2: key \"^bad(\": ");
	fixture_write(fixture, "variable", "$sender_address: x\n");
	fixture_find(fixture, "wildlsearch", "variable", "good");
	assert_says(fixture, "/variable (wildlsearch lookup): line 1: key \"$sender_address\": ");
	fixture_write(fixture, "loop", arena_printf(&fixture->arena, "nwildlsearch;%s/loop: x\n", fixture->directory).data);
	fixture_find(fixture, "nwildlsearch", "loop", "k");
	assert_says(fixture, "cannot be a nwildlsearch lookup itself");
	/* Backtracking without end stops at a limit. */
	fixture_write(fixture, "slow", "\"^(a+)+$\": x\n");
	fixture_find(fixture, "nwildlsearch", "slow", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
	assert_says(fixture, "defer: ");
	assert_true(fixture->took < 5 * CLOCK_SECOND);
}

static void json_files_give_elements(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "j", "{\"a\":{\"b\":[1,2.50,\"str\",null,true,{\"c\":\"d e\"}]},\"x y\":\"z\\\"q\",\"e\":\"\",\"7\":\"seven\"}");
	static const struct fixture_row rows[] = {
		{ "json", "a", "<{\"b\": [1, 2.5, \"str\", null, true, {\"c\": \"d e\"}]}>" },
		{ "json", "a:b:0", "<1>" }, { "json", "a:b:1", "<2.500000>" }, { "json", "a:b:2", "<str>" },
		{ "json", "a:b:3", "not found" }, { "json", "a:b:4", "<true>" }, { "json", "a:b:5", "<{\"c\": \"d e\"}>" },
		{ "json", "a:b:5:c", "<d e>" }, { "json", "a:b:6", "not found" }, { "json", "a:b:x", "not found" },
		{ "json", "a : b : 2", "<str>" }, { "json", "<;a;b;2", "<str>" }, { "json", "x y", "<z\"q>" }, { "json", "e", "<>" },
		{ "json", "nope", "not found" }, { "json", "7", "<seven>" }, { "json", "a:b:2:deeper", "not found" },
	};
	CHECK_FIXTURE_ROWS(fixture, "j", rows);
	fixture_write(fixture, "bad.json", "{\"a\": [1,\n}");
	fixture_find(fixture, "json", "bad.json", "a");
	assert_says(fixture, "bad.json (json lookup): not valid JSON: line 2, column 1: ");
	static char deep[100000];
	memset(deep, '[', sizeof deep);
	fixture_write_bytes(fixture, "deep.json", slice_make(deep, sizeof deep));
	fixture_find(fixture, "json", "deep.json", "a");
	assert_says(fixture, "not valid JSON");
}

static void dsearch_finds_names_of_entries(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(mkdir(fixture_path(fixture, "d").data, 0755), 0);
	assert_int_equal(mkdir(fixture_path(fixture, "d/sub").data, 0755), 0);
	fixture_write(fixture, "d/file", "x");
	assert_int_equal(symlink("file", fixture_path(fixture, "d/link").data), 0);
	static const struct fixture_row rows[] = {
		{ "dsearch", "file", "<file>" },
		{ "dsearch,filter=file", "file", "<file>" },
		{ "dsearch,filter=dir", "file", "not found" },
		{ "dsearch", "sub", "<sub>" },
		{ "dsearch,filter=dir", "sub", "<sub>" },
		{ "dsearch,filter=subdir", "sub", "<sub>" },
		{ "dsearch,filter=file", "sub", "not found" },
		{ "dsearch", "link", "<link>" },
		{ "dsearch,filter=file", "link", "not found" },
		{ "dsearch", ".", "<.>" },
		{ "dsearch,filter=dir", "..", "<..>" },
		{ "dsearch,filter=subdir", "..", "not found" },
		{ "dsearch", "nope", "not found" },
		{ "dsearch", "", "not found" },
		{ "dsearch", "a/b", "defer: key for dsearch lookup contains a slash: a/b" },
		{ "dsearch", "../d", "defer: key for dsearch lookup contains a slash: ../d" },
		{ "dsearch,ret=key", "file", "<file>" },
	};
	CHECK_FIXTURE_ROWS(fixture, "d", rows);
	fixture_find(fixture, "dsearch,ret=full", "d", "file");
	assert_string_equal(fixture->answer.text.data, fixture_path(fixture, "d/file").data);
	fixture_find(fixture, "dsearch", "/nonexistent", "file");
	assert_said(fixture, "defer: failed to open /nonexistent for directory search: No such file or directory");
}

/* What was tainted is not any more: the directory has it. */
static void a_key_that_was_found_is_no_longer_tainted(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "list", "user: x\n");
	struct expand_request request = { .type = SLICE("lsearch,ret=key"), .key = SLICE("user"), .key_tainted = true,
		.file = fixture_path(fixture, "list") };
	fixture_ask(fixture, &request);
	assert_said(fixture, "<user>");
	assert_false(fixture->answer.tainted);
}

static void make_cdb(struct fixture *fixture, const char *name, const char *value)
{
	struct cdb_make make;
	int fd = open(fixture_path(fixture, name).data, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(cdb_make_start(&make, fd), 0);
	for (int i = 0; i < 1000; i++) {
		char key[16], text[32];
		snprintf(key, sizeof key, "key%d", i);
		snprintf(text, sizeof text, "%s %d", value, i);
		assert_int_equal(cdb_make_add(&make, key, (unsigned)strlen(key), text, (unsigned)strlen(text)), 0);
	}
	assert_int_equal(cdb_make_add(&make, "*.example.org", 13, "wild", 4), 0);
	assert_int_equal(cdb_make_add(&make, "nothing", 7, "", 0), 0);
	assert_int_equal(cdb_make_finish(&make), 0);
	close(fd);
}

static void cdb_files_are_searched(void **state)
{
	struct fixture *fixture = *state;
	make_cdb(fixture, "c.cdb", "old");
	static const struct fixture_row rows[] = {
		{ "cdb", "key0", "<old 0>" }, { "cdb", "key999", "<old 999>" }, { "cdb", "KEY0", "not found" },
		{ "cdb", "nothing", "<>" }, { "cdb", "key1000", "not found" }, { "partial-cdb", "a.b.example.org", "<wild>" },
	};
	CHECK_FIXTURE_ROWS(fixture, "c.cdb", rows);
	make_cdb(fixture, "new.cdb", "new");
	assert_int_equal(rename(fixture_path(fixture, "new.cdb").data, fixture_path(fixture, "c.cdb").data), 0);
	fixture_find(fixture, "cdb", "c.cdb", "key7");
	assert_said(fixture, "<new 7>");
}

static void damaged_cdb_files_defer(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "short.cdb", "short");
	fixture_find(fixture, "cdb", "short.cdb", "k");
	assert_says(fixture, "short.cdb (cdb lookup): too short for a cdb file");
	static char garbage[8192];
	memset(garbage, 0xa5, sizeof garbage);
	fixture_write_bytes(fixture, "garbage.cdb", slice_make(garbage, sizeof garbage));
	fixture_find(fixture, "cdb", "garbage.cdb", "k");
	assert_int_equal(fixture->result, EXPAND_DEFER);
	assert_says(fixture, "garbage.cdb");
	/* Cut off while it is open here: a map of the file itself would end the process. */
	make_cdb(fixture, "cut.cdb", "x");
	fixture_find(fixture, "cdb", "cut.cdb", "key1");
	assert_said(fixture, "<x 1>");
	assert_int_equal(truncate(fixture_path(fixture, "cut.cdb").data, 3000), 0);
	fixture_find(fixture, "cdb", "cut.cdb", "key1");
	assert_int_equal(fixture->result, EXPAND_DEFER);
}

static void query(struct fixture *fixture, const char *type, const char *text)
{
	struct expand_piece piece = { .text = slice_of(text) };
	struct expand_request request = { .type = slice_of(type), .pieces = &piece, .piece_count = 1,
		.deadline = clock_after(10 * CLOCK_SECOND) };
	fixture_ask(fixture, &request);
}

static void passwd_gives_a_line_without_the_password(void **state)
{
	struct fixture *fixture = *state;
	query(fixture, "passwd", "root");
	const struct passwd *root = getpwnam("root");
	assert_non_null(root);
	assert_said(fixture, arena_printf(&fixture->arena, "<*:0:0:%s:%s:%s>", root->pw_gecos, root->pw_dir, root->pw_shell).data);
	query(fixture, "passwd", "no-such-user-here");
	assert_said(fixture, "not found");
	query(fixture, "passwd", "");
	assert_said(fixture, "not found");
}

static const char *sqlite_type(struct fixture *fixture, const char *name)
{
	return arena_printf(&fixture->arena, "sqlite,file=%s/%s", fixture->directory, name).data;
}

static void make_database(struct fixture *fixture, const char *name, const char *sql)
{
	sqlite3 *database;
	assert_int_equal(sqlite3_open(fixture_path(fixture, name).data, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(database);
}

static void sqlite_answers_have_the_documented_form(void **state)
{
	struct fixture *fixture = *state;
	make_database(fixture, "x.db", "create table t (a text, b text, \"c d\" int); insert into t values ('q w', '', 3), ('a=b', 'tab\ttab', 5);");
	static const char *const rows[][2] = {
		{ "select 1;", "<1>" },
		{ "select a from t where \"c d\" = 3", "<q w>" },
		{ "select * from t", "<a=\"q w\" b=\"\" c d=3 \na=a=b b=\"tab\ttab\" c d=5 >" },
		{ "select b from t", "<\ntab\ttab>" },
		{ "select b from t where a='none'", "not found" },
		{ "select 1; select 2", "<1\n2>" },
		{ "select 'a\"b' as x, 1 as y", "<x=a\"b y=1 >" },
		{ "select null as x, 1 as y", "<x=<NULL> y=1 >" },
		{ "select null", "<<NULL>>" },
		{ "-- nothing", "not found" },
		{ "", "not found" },
		{ "insert into t values ('new', 'n', 9)", "not found" },
		{ "select b from t where a='new'", "<n>" },
		{ "update t set b='m' where a='new'", "not found" },
		{ "select b from t where a='new'", "<m>" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		query(fixture, sqlite_type(fixture, "x.db"), rows[i][0]);
		if (strcmp(fixture_said(fixture), rows[i][1]) != 0)
			fail_msg("%s: expected %s, got %s", rows[i][0], rows[i][1], fixture_said(fixture));
	}
	/* The older form: the file in front of the query. */
	query(fixture, "sqlite", arena_printf(&fixture->arena, " %s/x.db select a from t where a='new'", fixture->directory).data);
	assert_said(fixture, "<new>");
}

static void sqlite_binds_values(void **state)
{
	struct fixture *fixture = *state;
	make_database(fixture, "bind.db", "create table t (a text, n int); insert into t values ('O''Brien', 7), ('x'' or ''1''=''1', 8);");
	static const char *const values[][2] = {
		{ "O'Brien", "<7>" }, { "x' or '1'='1", "<8>" }, { "'; drop table t; --", "not found" }, { "", "not found" },
	};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct expand_piece pieces[] = { { .text = SLICE("select n from t where a = '") },
			{ slice_of(values[i][0]), true, true }, { .text = SLICE("'") } };
		struct expand_request request = { .type = slice_of(sqlite_type(fixture, "bind.db")), .pieces = pieces, .piece_count = 3 };
		fixture_ask(fixture, &request);
		assert_said(fixture, values[i][1]);
	}
	/* Outside of quotes a number is a number; a table's name may be the configuration's own, not a peer's. */
	struct expand_piece pieces[] = { { .text = SLICE("select a from ") }, { SLICE("t"), true, false },
		{ .text = SLICE(" where n+0 = ") }, { SLICE("7"), true, true }, { .text = SLICE(" limit ") }, { SLICE("1"), true, true } };
	struct expand_request request = { .type = slice_of(sqlite_type(fixture, "bind.db")), .pieces = pieces, .piece_count = 6 };
	fixture_ask(fixture, &request);
	assert_said(fixture, "<O'Brien>");
	pieces[1].tainted = true;
	fixture_ask(fixture, &request);
	assert_int_equal(fixture->result, EXPAND_DEFER); /* a parameter is no table */
	query(fixture, sqlite_type(fixture, "bind.db"), "select count(*) from t");
	assert_said(fixture, "<2>");
}

static void sqlite_errors_defer_and_say_why(void **state)
{
	struct fixture *fixture = *state;
	make_database(fixture, "e.db", "create table t (a text)");
	query(fixture, sqlite_type(fixture, "e.db"), "selec");
	assert_says(fixture, "defer: sqlite lookup in /tmp/");
	assert_says(fixture, "near \"selec\": syntax error");
	query(fixture, sqlite_type(fixture, "e.db"), "select * from nosuch");
	assert_says(fixture, "no such table: nosuch");
	query(fixture, "sqlite", "select 1");
	assert_says(fixture, "defer: sqlite lookup: unable to open database file /nonexistent/default.db: No such file");
	query(fixture, "sqlite,file=relative.db", "select 1");
	assert_says(fixture, "fail: sqlite lookup: 'relative.db' is not an absolute path");
	fixture_write(fixture, "text.db", "this is no database, but text that is long enough to be looked at by the library ............");
	query(fixture, sqlite_type(fixture, "text.db"), "select * from t");
	assert_says(fixture, "defer: ");
	assert_says(fixture, "not a database");
	/* A database is not made by asking it. */
	query(fixture, sqlite_type(fixture, "missing.db"), "create table t (a text)");
	assert_says(fixture, "No such file or directory");
	struct expand_piece pieces[] = { { .text = SLICE("/tmp/") }, { SLICE("x.db"), true, true }, { .text = SLICE(" select 1") } };
	struct expand_request request = { .type = SLICE("sqlite"), .pieces = pieces, .piece_count = 3 };
	fixture_ask(fixture, &request);
	assert_says(fixture, "fail: sqlite lookup: the file name in front of the query is tainted");
}

static void sqlite_ends_at_the_deadline(void **state)
{
	struct fixture *fixture = *state;
	make_database(fixture, "slow.db", "create table t (a text); insert into t values ('x')");
	struct expand_piece piece = { .text = SLICE("with recursive c(x) as (select 1 union all select x+1 from c) select count(*) from c") };
	struct expand_request request = { .type = slice_of(sqlite_type(fixture, "slow.db")), .pieces = &piece, .piece_count = 1,
		.deadline = clock_after(300 * CLOCK_MS) };
	fixture_ask(fixture, &request);
	assert_says(fixture, "defer: ");
	assert_says(fixture, "took too long");
	assert_true(fixture->took < 3 * CLOCK_SECOND);
	/* Locked by somebody else. */
	sqlite3 *database;
	assert_int_equal(sqlite3_open(fixture_path(fixture, "slow.db").data, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database, "begin exclusive", NULL, NULL, NULL), SQLITE_OK);
	piece.text = SLICE("select a from t");
	request.deadline = clock_after(300 * CLOCK_MS);
	fixture_ask(fixture, &request);
	assert_says(fixture, "database is locked");
	assert_true(fixture->took < 3 * CLOCK_SECOND);
	sqlite3_close(database);
	request.deadline = clock_after(5 * CLOCK_SECOND);
	fixture_ask(fixture, &request);
	assert_said(fixture, "<x>");
}

static void a_replaced_database_is_opened_anew(void **state)
{
	struct fixture *fixture = *state;
	make_database(fixture, "r.db", "create table t (a text); insert into t values ('old')");
	query(fixture, sqlite_type(fixture, "r.db"), "select a from t");
	assert_said(fixture, "<old>");
	make_database(fixture, "r.new", "create table t (a text); insert into t values ('new')");
	assert_int_equal(rename(fixture_path(fixture, "r.new").data, fixture_path(fixture, "r.db").data), 0);
	query(fixture, sqlite_type(fixture, "r.db"), "select a from t");
	assert_said(fixture, "<new>");
}

struct crowd {
	struct fixture *fixture;
	const char *type;
	unsigned deferred, found;
};

static void locked_task(void *arg)
{
	struct crowd *crowd = arg;
	struct arena arena;
	arena_init(&arena, 0);
	struct expand_piece piece = { .text = SLICE("select a from t") };
	struct expand_request request = { .type = slice_of(crowd->type), .pieces = &piece, .piece_count = 1,
		.deadline = clock_after(500 * CLOCK_MS) };
	struct expand_answer answer;
	struct error error;
	crowd->deferred += lookup_ask(crowd->fixture->world, &request, &arena, &answer, &error) == EXPAND_DEFER;
	arena_free(&arena);
}

static void other_task(void *arg)
{
	struct crowd *crowd = arg;
	struct arena arena;
	arena_init(&arena, 0);
	struct expand_request request = { .type = SLICE("dsearch"), .key = SLICE("tmp"), .file = SLICE("/") };
	struct expand_answer answer;
	struct error error;
	int64_t start = clock_now();
	lookup_ask(crowd->fixture->world, &request, &arena, &answer, &error);
	crowd->found += answer.found && clock_now() - start < 400 * CLOCK_MS;
	arena_free(&arena);
}

static void a_locked_database_does_not_keep_others_waiting(void **state)
{
	struct fixture *fixture = *state;
	make_database(fixture, "locked.db", "create table t (a text)");
	sqlite3 *database;
	assert_int_equal(sqlite3_open(fixture_path(fixture, "locked.db").data, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database, "begin exclusive", NULL, NULL, NULL), SQLITE_OK);
	struct crowd crowd = { .fixture = fixture, .type = sqlite_type(fixture, "locked.db") };
	for (int i = 0; i < 10; i++)
		task_spawn(fixture->loop, locked_task, &crowd, "locked");
	task_spawn(fixture->loop, other_task, &crowd, "other");
	loop_run(fixture->loop);
	assert_int_equal(crowd.deferred, 10);
	assert_int_equal(crowd.found, 1);
	sqlite3_close(database);
}

static void an_open_transaction_is_not_kept(void **state)
{
	struct fixture *fixture = *state;
	make_database(fixture, "tx.db", "create table t (a text)");
	query(fixture, sqlite_type(fixture, "tx.db"), "begin exclusive");
	assert_int_equal(fixture->result, EXPAND_OK);
	sqlite3 *database;
	assert_int_equal(sqlite3_open(fixture_path(fixture, "tx.db").data, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database, "insert into t values (1)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(database);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iplsearch_takes_the_first_network_that_holds_the_address),
		cmocka_unit_test(keys_with_wildcards_are_tried_in_order),
		cmocka_unit_test(bad_patterns_defer_with_their_line),
		cmocka_unit_test(json_files_give_elements),
		cmocka_unit_test(dsearch_finds_names_of_entries),
		cmocka_unit_test(a_key_that_was_found_is_no_longer_tainted),
		cmocka_unit_test(cdb_files_are_searched),
		cmocka_unit_test(damaged_cdb_files_defer),
		cmocka_unit_test(passwd_gives_a_line_without_the_password),
		cmocka_unit_test(sqlite_answers_have_the_documented_form),
		cmocka_unit_test(sqlite_binds_values),
		cmocka_unit_test(sqlite_errors_defer_and_say_why),
		cmocka_unit_test(sqlite_ends_at_the_deadline),
		cmocka_unit_test(a_replaced_database_is_opened_anew),
		cmocka_unit_test(a_locked_database_does_not_keep_others_waiting),
		cmocka_unit_test(an_open_transaction_is_not_kept),
	};
	return cmocka_run_group_tests(tests, open_world, fixture_close_world);
}
