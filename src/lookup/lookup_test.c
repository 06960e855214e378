/* SPDX-License-Identifier: ISC */
/* Text files, partial matching, defaults, and the cache of a message. */
#include "lookup/lookup_test.h"

#include <inttypes.h>

static int open_world(void **state)
{
	static struct fixture fixture;
	fixture_open(&fixture, (struct lookup_settings){ 0 });
	*state = &fixture;
	return 0;
}

/* Exim's manual, 9 §3, and what Exim 4.96 gives for the same file (but for comments inside of items, where it stops). */
static void lsearch_reads_the_format_of_alias_files(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "aliases",
		      "# comment\n"
		      "simple: value one\n  continued   here  \n"
		      "\"quoted key\\t\\x41\": qdata\n"
		      "\"q2\" : x\nq2 : y\n"
		      "nocolon data here\n"
		      "baduser:  :fail:\n"
		      "spacekey   :   v\n"
		      "EMPTY:\nempty2\n"
		      "dup: 1\ndup: 2\n"
		      "inside: a\n\n#comment\n   \n\tb\r\n"
		      "\"unterminated: foo\n"
		      "a\"b: mid\n"
		      "\"k1\"a\n\"k2\": : a\nk3\n :v\n\"\\153\\64\": octal\n"
		      ": no key\n"
		      "last: without newline");
	static const struct fixture_row rows[] = {
		{ "lsearch", "simple", "<value one continued   here>" },
		{ "lsearch", "SIMPLE", "<value one continued   here>" },
		{ "lsearch", "quoted key\tA", "<qdata>" },
		{ "lsearch", "q2", "<x>" },
		{ "lsearch", "nocolon", "<data here>" },
		{ "lsearch", "baduser", "<:fail:>" },
		{ "lsearch", "spacekey", "<v>" },
		{ "lsearch", "empty", "<>" },
		{ "lsearch", "empty2", "<>" },
		{ "lsearch", "dup", "<1>" },
		{ "lsearch", "inside", "<a b>" },
		{ "lsearch", "unterminated: foo", "<>" },
		{ "lsearch", "unterminated", "not found" },
		{ "lsearch", "a\"b", "<mid>" },
		{ "lsearch", "k1", "<a>" },
		{ "lsearch", "k2", "<: a>" },
		{ "lsearch", "k3", "< :v>" },
		{ "lsearch", "k4", "<octal>" },
		{ "lsearch", "last", "<without newline>" },
		{ "lsearch", "# comment", "not found" },
		{ "lsearch", "continued", "not found" },
		{ "lsearch", "", "not found" },
		{ "lsearch*", "", "not found" },
		{ "lsearch,ret=full", "simple", "<simple: value one continued   here>" },
		{ "lsearch,ret=full", "quoted key\tA", "<quoted key\tA: qdata>" },
		{ "lsearch,ret=full", "spacekey", "<spacekey   :   v>" },
		{ "lsearch,ret=full", "empty2", "<empty2>" },
		{ "lsearch,ret=key", "SIMPLE", "<SIMPLE>" },
		{ "lsearch,ret=key", "nobody", "not found" },
		{ "nosuch", "x", "fail: unknown lookup type \"nosuch\"" },
	};
	CHECK_FIXTURE_ROWS(fixture, "aliases", rows);
}

static void an_empty_file_holds_nothing(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "empty", "");
	fixture_find(fixture, "lsearch", "empty", "x");
	assert_said(fixture, "not found");
	fixture_find(fixture, "lsearch", "/dev/null", "x");
	assert_said(fixture, "defer: /dev/null is not a regular file (lsearch lookup)");
	fixture_find(fixture, "lsearch", fixture->directory, "x");
	assert_says(fixture, "is not a regular file");
}

static void a_file_that_cannot_be_read_defers_with_its_name(void **state)
{
	struct fixture *fixture = *state;
	fixture_find(fixture, "lsearch", "/nonexistent/f", "x");
	assert_said(fixture, "defer: failed to open /nonexistent/f for linear search: No such file or directory");
	struct expand_request request = { .type = SLICE("lsearch"), .file = SLICE("relative"), .key = SLICE("x") };
	fixture_ask(fixture, &request);
	assert_said(fixture, "fail: lsearch lookup: 'relative' is not an absolute path");
}

struct partial_row {
	const char *type, *key, *text, *wild, *fixed; /* wild NULL: no wildcard took part */
};

/* Values, $1 and $2 as Exim 4.96 gives them. */
static void partial_matching_and_defaults_try_the_documented_keys(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "p", "*.dates.fict.example: p1\nexact.com: e\n*.x.y: xy\n*@dom: atdom\n*: star\n.b.c: dotbc\nc: barec\n");
	static const struct partial_row rows[] = {
		{ "partial-lsearch", "2250.dates.fict.example", "p1", "2250", "dates.fict.example" },
		{ "partial-lsearch", "a.b.dates.fict.example", "p1", "a.b", "dates.fict.example" },
		{ "partial-lsearch", "dates.fict.example", "p1", "", "dates.fict.example" },
		{ "partial-lsearch", "exact.com", "e", "", "exact.com" },
		{ "lsearch*", "exact.com", "e", NULL, NULL },
		{ "lsearch*", "nn", "star", "nn", "" },
		{ "lsearch*@", "a@b@dom", "atdom", "a@b", "" },
		{ "lsearch*@", "@dom", "star", "@dom", "" },
		{ "lsearch*@", "a@other", "star", "a@other", "" },
		{ "partial(.)lsearch", "a.b.c", "dotbc", "a", "b.c" },
		{ "partial1()lsearch", "a.b.c", "barec", "a.b", "c" },
		{ "partial0-lsearch", "a.b.d", "star", "a.b.d", "" },
		{ "partial0(.)lsearch*", "a.b.d", "star", "a.b.d", "" },
		{ "partial-lsearch", "a.x.y", "xy", "a", "x.y" },
		{ "partial2-lsearch*", "z.com", "star", "z.com", "" },
		{ "partial-lsearch,ret=key", "a.x.y", "a.x.y", "a", "x.y" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		fixture_find(fixture, rows[i].type, "p", rows[i].key);
		assert_int_equal(fixture->result, EXPAND_OK);
		assert_true(fixture->answer.found);
		assert_slice(fixture->answer.text, rows[i].text);
		assert_int_equal(fixture->answer.wild.data != NULL, rows[i].wild != NULL);
		assert_slice(fixture->answer.wild, rows[i].wild ? rows[i].wild : "");
		assert_slice(fixture->answer.fixed, rows[i].fixed ? rows[i].fixed : "");
	}
}

/* 9 §7: at least two components, or as many as the type says, are never replaced. */
static void partial_matching_keeps_the_minimum_of_components(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "p", "*.example: short\n*.fict.example: two\n*.: never\n*: star\n.: dot\n");
	static const struct fixture_row rows[] = {
		{ "partial-lsearch", "a.example", "not found" },
		{ "partial1-lsearch", "a.example", "<short>" },
		{ "partial3-lsearch", "a.fict.example", "not found" },
		{ "partial3-lsearch", "a.b.fict.example", "not found" },
		{ "partial-lsearch", "a.b.fict.example", "<two>" },
		{ "partial-lsearch", "example", "<short>" },
		{ "partial0()lsearch", "a.b", "not found" },
		{ "partial0(.)lsearch", "a.b", "<dot>" },
		{ "partial0-lsearch", "a.b", "<star>" },
	};
	CHECK_FIXTURE_ROWS(fixture, "p", rows);
}

static void a_file_is_read_again_when_it_changed(void **state)
{
	struct fixture *fixture = *state;
	/* Same size each time, several changes within one tick of the clock of file times. */
	for (int i = 0; i < 50; i++) {
		char text[32], want[32];
		snprintf(text, sizeof text, "k: %02d\n", i);
		snprintf(want, sizeof want, "<%02d>", i);
		fixture_write(fixture, "changing", text);
		fixture_find(fixture, "lsearch", "changing", "k");
		assert_said(fixture, want);
	}
	fixture_write(fixture, "new", "k: renamed\n");
	assert_int_equal(rename(fixture_path(fixture, "new").data, fixture_path(fixture, "changing").data), 0);
	fixture_find(fixture, "lsearch", "changing", "k");
	assert_said(fixture, "<renamed>");
	assert_int_equal(unlink(fixture_path(fixture, "changing").data), 0);
	fixture_find(fixture, "lsearch", "changing", "k");
	assert_says(fixture, "No such file or directory");
}

struct many {
	struct fixture *fixture;
	unsigned found, wrong;
};

/* Whatever the moment, a task sees one whole version of the file. */
static void many_task(void *arg)
{
	struct many *many = arg;
	struct fixture *fixture = many->fixture;
	struct arena arena;
	arena_init(&arena, 0);
	struct expand_request request = { .type = SLICE("lsearch"), .key = SLICE("k"), .file = fixture_path(fixture, "shared"),
		.deadline = clock_after(10 * CLOCK_SECOND) };
	for (int i = 0; i < 20; i++) {
		struct expand_answer answer;
		struct error error;
		if (lookup_ask(fixture->world, &request, &arena, &answer, &error) != EXPAND_OK || !answer.found) {
			many->wrong++;
			continue;
		}
		many->found++;
		many->wrong += !slice_equal(answer.text, SLICE("aaaaaaaaaaaaaaaa")) && !slice_equal(answer.text, SLICE("bbbbbbbbbbbbbbbb"));
		task_yield();
	}
	arena_free(&arena);
}

static void writer_task(void *arg)
{
	struct many *many = arg;
	for (int i = 0; i < 40; i++) {
		fixture_write(many->fixture, "shared.new", i % 2 ? "k: aaaaaaaaaaaaaaaa\n" : "k: bbbbbbbbbbbbbbbb\n");
		ensure(rename(fixture_path(many->fixture, "shared.new").data, fixture_path(many->fixture, "shared").data) == 0);
		task_sleep_until(clock_after(CLOCK_MS));
	}
}

static void tasks_share_a_file_that_changes(void **state)
{
	struct fixture *fixture = *state;
	fixture_write(fixture, "shared", "k: aaaaaaaaaaaaaaaa\n");
	struct many many = { .fixture = fixture };
	for (int i = 0; i < 50; i++)
		task_spawn(fixture->loop, many_task, &many, "reader");
	task_spawn(fixture->loop, writer_task, &many, "writer");
	loop_run(fixture->loop);
	assert_int_equal(many.wrong, 0);
	assert_int_equal(many.found, 1000);
}

struct speed {
	struct fixture *fixture;
	int64_t first, each;
};

static void speed_task(void *arg)
{
	enum { ROUNDS = 2000 };
	struct speed *speed = arg;
	struct arena arena;
	arena_init(&arena, 0);
	struct expand_request request = { .type = SLICE("lsearch"), .file = fixture_path(speed->fixture, "large"),
		.deadline = clock_after(60 * CLOCK_SECOND) };
	for (int i = 0; i <= ROUNDS; i++) {
		struct expand_answer answer;
		struct error error;
		char key[32];
		snprintf(key, sizeof key, "user%d", 99999 - i * 7);
		request.key = slice_of(key);
		int64_t start = clock_now();
		ensure(lookup_ask(speed->fixture->world, &request, &arena, &answer, &error) == EXPAND_OK && answer.found);
		*(i == 0 ? &speed->first : &speed->each) += clock_now() - start;
		arena_reset(&arena);
	}
	speed->each /= ROUNDS;
	arena_free(&arena);
}

static void a_large_file_costs_a_hash_probe(void **state)
{
	struct fixture *fixture = *state;
	FILE *file = fopen(fixture_path(fixture, "large").data, "we");
	assert_non_null(file);
	for (int i = 0; i < 100000; i++)
		fprintf(file, "user%d: mailbox %d\n", i, i);
	fclose(file);
	usleep(50000); /* until the file counts as settled */
	struct speed speed = { .fixture = fixture };
	fixture_run(fixture, speed_task, &speed);
	print_message("# 100,000 lines: first %" PRId64 " us, each %" PRId64 " ns\n", speed.first / 1000, speed.each);
	/* A scan of all lines takes milliseconds; the limit leaves room for sanitizers and a busy machine. */
	assert_true(speed.each < 200000);
}

static enum expand_result counting_ask(void *owner, const struct expand_request *request, struct arena *arena,
				       struct expand_answer *answer_r, struct error *error)
{
	int *count = owner;
	(void)error;
	*answer_r = (struct expand_answer){ .found = true, .text = arena_printf(arena, "answer %d", ++*count) };
	return slice_equal(request->key, SLICE("down")) ? EXPAND_DEFER : EXPAND_OK;
}

static const char *cached(struct lookup_cache *cache, const struct expand_request *request, int *count, struct arena *arena)
{
	struct expand_answer answer;
	struct error error;
	lookup_cache_ask(cache, counting_ask, count, request, arena, &answer, &error);
	return answer.text.data;
}

static void the_cache_asks_the_same_question_once(void **state)
{
	struct fixture *fixture = *state;
	struct arena *arena = &fixture->arena;
	struct lookup_cache *cache = lookup_cache_new(arena);
	int count = 0;
	struct slice no_read = SLICE("cache=no_rd");
	struct expand_request a = { .type = SLICE("lsearch"), .key = SLICE("a"), .deadline = 1 }, b = a, other = a, fresh = a;
	b.deadline = 2;
	other.key_tainted = true;
	fresh.options = &no_read;
	fresh.option_count = 1;
	assert_string_equal(cached(cache, &a, &count, arena), "answer 1");
	assert_string_equal(cached(cache, &b, &count, arena), "answer 1");
	assert_string_equal(cached(cache, &other, &count, arena), "answer 2");
	assert_string_equal(cached(cache, &fresh, &count, arena), "answer 3");
	assert_string_equal(cached(cache, &fresh, &count, arena), "answer 4");
	struct expand_request run = { .service = EXPAND_SERVICE_RUN, .key = SLICE("a") }, down = { .type = a.type, .key = SLICE("down") };
	cached(cache, &run, &count, arena);
	assert_string_equal(cached(cache, &run, &count, arena), "answer 6");
	cached(cache, &down, &count, arena);
	assert_string_equal(cached(cache, &down, &count, arena), "answer 8");
	/* A write is always done, and what was read before it is asked again. */
	struct expand_piece select = { .text = SLICE(" SELECT 1") }, update = { .text = SLICE("update t set a=1") };
	struct expand_request read = { .type = SLICE("sqlite,file=/x"), .pieces = &select, .piece_count = 1 }, write = read;
	write.pieces = &update;
	assert_string_equal(cached(cache, &read, &count, arena), "answer 9");
	assert_string_equal(cached(cache, &read, &count, arena), "answer 9");
	assert_string_equal(cached(cache, &write, &count, arena), "answer 10");
	assert_string_equal(cached(cache, &write, &count, arena), "answer 11");
	assert_string_equal(cached(cache, &read, &count, arena), "answer 12");
}

static void the_cache_is_bounded(void **state)
{
	struct fixture *fixture = *state;
	struct arena arena;
	arena_init(&arena, 2 * LOOKUP_CACHE_MAX); /* more would end the process */
	struct lookup_cache *cache = lookup_cache_new(&arena);
	int count = 0;
	static char key[1000];
	memset(key, 'k', sizeof key);
	for (int i = 0; i < 5000; i++) {
		snprintf(key, 8, "%07d", i);
		struct expand_request request = { .type = SLICE("lsearch"), .key = slice_make(key, sizeof key) };
		struct arena answers;
		arena_init(&answers, 0);
		cached(cache, &request, &count, &answers);
		arena_free(&answers);
	}
	assert_int_equal(count, 5000);
	(void)fixture;
	arena_free(&arena);
}

static void a_request_that_is_too_large_is_refused(void **state)
{
	struct fixture *fixture = *state;
	static char key[EXPAND_REQUEST_MAX + 1];
	struct expand_request request = { .type = SLICE("lsearch"), .key = slice_make(key, sizeof key), .file = SLICE("/x") };
	assert_int_equal(fixture_ask(fixture, &request), EXPAND_FAIL);
	assert_says(fixture, "at most 131072 bytes");
	request = (struct expand_request){ .service = (enum expand_service)99 };
	assert_int_equal(fixture_ask(fixture, &request), EXPAND_FAIL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lsearch_reads_the_format_of_alias_files),
		cmocka_unit_test(an_empty_file_holds_nothing),
		cmocka_unit_test(a_file_that_cannot_be_read_defers_with_its_name),
		cmocka_unit_test(partial_matching_and_defaults_try_the_documented_keys),
		cmocka_unit_test(partial_matching_keeps_the_minimum_of_components),
		cmocka_unit_test(a_file_is_read_again_when_it_changed),
		cmocka_unit_test(tasks_share_a_file_that_changes),
		cmocka_unit_test(a_large_file_costs_a_hash_probe),
		cmocka_unit_test(the_cache_asks_the_same_question_once),
		cmocka_unit_test(the_cache_is_bounded),
		cmocka_unit_test(a_request_that_is_too_large_is_refused),
	};
	return cmocka_run_group_tests(tests, open_world, fixture_close_world);
}
