/* SPDX-License-Identifier: ISC */
/* Rates, the table and its files. Times are made up; the formula is computed here once more, in another form. */
#include "base/clock.h"
#include "base/test.h"
#include "limit/ask.h"
#include "limit/store.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define START (INT64_C(1700000000) * CLOCK_SECOND)

static struct limit_rate rate_of(const char *key, double limit, double count, int64_t period, enum limit_update update)
{
	return (struct limit_rate){ .key = slice_of(key), .limit = limit, .count = count, .period = period, .update = update };
}

static bool near(double a, double b)
{
	return fabs(a - b) <= 1e-6 * (fabs(a) + fabs(b)) + 1e-9;
}

/* ---- Rates ---- */

/*
 * The average as the integral that the formula stands for: an event of size c is spread evenly over the interval before it, as a
 * flow of c / (i / p) events a period that is smoothed by the kernel exp(-t/p) / p. Trapezoids, so that it shares no step
 * with what is tested.
 */
static double integrated(double before, double count, double interval, double period)
{
	enum { STEPS = 20000 };
	double flow = count * period / interval, step = interval / STEPS, sum = 0;
	for (int i = 0; i <= STEPS; i++)
		sum += (i == 0 || i == STEPS ? 0.5 : 1.0) * exp(-step * i / period) / period * flow * step;
	double rate = sum + before / pow(M_E, interval / period);
	return rate < count ? count : rate;
}

static void a_rate_is_an_exponentially_weighted_average(void **state)
{
	static const struct {
		double interval, count;
	} series[] = { { 0.1, 1 }, { 0.5, 1 }, { 2, 3 }, { 0.01, 1 }, { 7, 1 }, { 20, 2.5 }, { 90, 1 }, { 1, 40 }, { 3, 0 }, { 1000, 0.25 } };
	struct limit_table *table = limit_table_new(16, NULL);
	int64_t now = START;
	struct limit_rate rate = rate_of("k", 1e9, 1, 10, LIMIT_LEAKY);
	double expected = limit_rate(table, &rate, now);
	(void)state;
	assert_true(expected == 1);
	for (size_t i = 0; i < sizeof series / sizeof *series; i++) {
		now += (int64_t)(series[i].interval * 1e9);
		rate.count = series[i].count;
		expected = integrated(expected, series[i].count, series[i].interval, 10);
		double measured = limit_rate(table, &rate, now);
		if (fabs(measured - expected) > 1e-5 * expected)
			fail_msg("step %zu: %.9g, expected %.9g", i, measured, expected);
		expected = measured;
	}
	limit_table_free(table);
}

static void events_at_an_even_rate_are_measured_as_that_rate(void **state)
{
	struct limit_table *table = limit_table_new(16, NULL);
	struct limit_rate rate = rate_of("k", 1e9, 1, 60, LIMIT_LEAKY);
	double measured = 0;
	(void)state;
	for (int i = 0; i < 500; i++)
		measured = limit_rate(table, &rate, START + i * 2 * CLOCK_SECOND);
	assert_true(fabs(measured - 30) < 0.5);
	limit_table_free(table);
}

static void a_burst_counts_in_full(void **state)
{
	struct limit_table *table = limit_table_new(16, NULL);
	struct limit_rate rate = rate_of("k", 1e9, 1, 3600, LIMIT_STRICT);
	double measured = 0;
	(void)state;
	for (int i = 0; i < 100; i++)
		measured = limit_rate(table, &rate, START); /* not even a nanosecond apart */
	assert_true(fabs(measured - 100) < 0.001);
	limit_table_free(table);
}

static void leaky_does_not_count_what_is_over_the_limit_and_strict_does(void **state)
{
	struct limit_table *table = limit_table_new(16, NULL);
	struct limit_rate leaky = rate_of("leaky", 3, 1, 3600, LIMIT_LEAKY), strict = rate_of("strict", 3, 1, 3600, LIMIT_STRICT);
	(void)state;
	for (int i = 0; i < 6; i++) {
		double measured = limit_rate(table, &leaky, START + i);
		assert_true(near(measured, i < 3 ? i + 1 : 4)); /* the third is a little below 3 */
		measured = limit_rate(table, &strict, START + i);
		assert_true(near(measured, i + 1));
	}
	limit_table_free(table);
}

static void readonly_reads_and_the_rate_decays(void **state)
{
	struct limit_table *table = limit_table_new(16, NULL);
	struct limit_rate write = rate_of("k", 100, 10, 10, LIMIT_STRICT), read = rate_of("k", 100, 10, 10, LIMIT_READONLY);
	(void)state;
	assert_true(limit_rate(table, &read, START) == 0);
	assert_int_equal(limit_table_count(table), 0);
	limit_rate(table, &write, START);
	for (int i = 1; i < 5; i++)
		assert_true(near(limit_rate(table, &read, START + i * CLOCK_SECOND), 10 * pow(M_E, -i / 10.0)));
	limit_table_free(table);
}

static void different_events_are_counted_once_a_period(void **state)
{
	struct limit_table *table = limit_table_new(64, NULL);
	struct limit_rate rate = rate_of("k", 100, 1, 100, LIMIT_STRICT);
	static const char *const events[] = { "a", "b", "a", "a", "c", "b" };
	static const int expected[] = { 1, 2, 2, 2, 3, 3 };
	(void)state;
	rate.unique = true;
	for (size_t i = 0; i < 6; i++) {
		rate.event = slice_of(events[i]);
		assert_true(fabs(limit_rate(table, &rate, START + (int64_t)i) - expected[i]) < 0.001);
	}
	/* The set is thrown away after a period: "a" is new, and the rest of the rate has decayed to 3/e. */
	rate.event = SLICE("a");
	double later = limit_rate(table, &rate, START + 100 * CLOCK_SECOND);
	assert_true(later > 1.6 && later < 1.8); /* 1 - 1/e + 3/e */
	limit_table_free(table);
}

static void an_event_over_a_leaky_limit_is_not_remembered(void **state)
{
	struct limit_table *table = limit_table_new(64, NULL);
	struct limit_rate rate = rate_of("k", 2, 1, 100, LIMIT_LEAKY);
	(void)state;
	rate.unique = true;
	rate.event = SLICE("a");
	assert_true(limit_rate(table, &rate, START) < 2);
	rate.event = SLICE("b");
	assert_true(limit_rate(table, &rate, START) < 2); /* by a little */
	rate.event = SLICE("c");
	assert_false(limit_rate(table, &rate, START) < 2);
	assert_int_equal(limit_table_count(table), 3); /* the key, "a" and "b" */
	limit_table_free(table);
}

static void a_clock_that_was_set_back_does_no_harm(void **state)
{
	struct limit_table *table = limit_table_new(16, NULL);
	struct limit_rate rate = rate_of("k", 100, 1, 60, LIMIT_STRICT);
	(void)state;
	limit_rate(table, &rate, START);
	double measured = limit_rate(table, &rate, START - 3600 * CLOCK_SECOND);
	assert_true(fabs(measured - 2) < 0.001);
	limit_table_free(table);
}

static void the_largest_numbers_stay_finite(void **state)
{
	struct limit_table *table = limit_table_new(16, NULL);
	struct limit_rate rate = rate_of("k", 1, 1e308, INT64_C(1) << 53, LIMIT_STRICT);
	(void)state;
	for (int i = 0; i < 10; i++)
		assert_true(isfinite(limit_rate(table, &rate, START + i)));
	limit_table_free(table);
}

/* ---- Seen ---- */

static void seen_since_and_before(void **state)
{
	struct limit_table *table = limit_table_new(16, NULL);
	struct limit_seen since = { .key = SLICE("k"), .interval = 300, .refresh = 1000 }, before = since;
	(void)state;
	before.key = SLICE("b");
	before.before = true;
	assert_false(limit_seen(table, &since, START));
	assert_true(limit_seen(table, &since, START + 299 * CLOCK_SECOND)); /* and is seen again now */
	assert_true(limit_seen(table, &since, START + 598 * CLOCK_SECOND));
	assert_false(limit_seen(table, &since, START + 899 * CLOCK_SECOND));
	assert_false(limit_seen(table, &before, START));
	assert_false(limit_seen(table, &before, START + 299 * CLOCK_SECOND));
	assert_true(limit_seen(table, &before, START + 300 * CLOCK_SECOND));
	/* Refreshed with the time of the test: it stays true, and is kept. */
	for (int64_t i = 1; i < 100; i++)
		assert_true(limit_seen(table, &before, START + i * 900 * CLOCK_SECOND));
	before.write = LIMIT_WRITE_ALWAYS;
	assert_true(limit_seen(table, &before, START + 100 * 900 * CLOCK_SECOND));
	before.write = LIMIT_WRITE_DEFAULT;
	assert_false(limit_seen(table, &before, START + 100 * 900 * CLOCK_SECOND + 1));
	since.key = SLICE("other");
	since.write = LIMIT_WRITE_NEVER;
	assert_false(limit_seen(table, &since, START));
	assert_false(limit_seen(table, &since, START + 1));
	limit_table_free(table);
}

/* ---- The table ---- */

static void fill(struct limit_table *table, uint32_t count, int64_t now)
{
	char key[64];
	for (uint32_t i = 0; i < count; i++) {
		snprintf(key, sizeof key, "1h/per_mail/192.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		struct limit_rate rate = rate_of(key, 100, 1, 3600, LIMIT_LEAKY);
		limit_rate(table, &rate, now + i);
	}
}

static size_t resident_bytes(void)
{
	unsigned long size = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
	fclose(file);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void a_million_keys_take_less_than_200_megabytes(void **state)
{
	size_t before = resident_bytes();
	struct limit_table *table = limit_table_new(LIMIT_KEYS_MAX, NULL);
	(void)state;
	fill(table, LIMIT_KEYS_MAX, START);
	assert_int_equal(limit_table_count(table), LIMIT_KEYS_MAX);
	assert_true(limit_table_bytes(table) < 80 * 1000 * 1000);
	size_t used = resident_bytes() - before;
	if (used >= 200 * 1000 * 1000)
		fail_msg("%zu bytes", used);
	/* One more does not take more. */
	struct limit_rate rate = rate_of("one more", 100, 1, 3600, LIMIT_LEAKY);
	assert_true(limit_rate(table, &rate, START + 2 * LIMIT_KEYS_MAX) == 1);
	assert_int_equal(limit_table_count(table), LIMIT_KEYS_MAX);
	limit_table_free(table);
}

static void a_full_table_keeps_what_matters_longest(void **state)
{
	struct limit_table *table = limit_table_new(1024, NULL);
	struct limit_rate fast = rate_of("fast", 1e6, 1, 3600, LIMIT_STRICT), read = fast;
	(void)state;
	for (int i = 0; i < 1000; i++)
		limit_rate(table, &fast, START);
	/* A hundred thousand clients with one message each, at the same time. */
	for (int i = 0; i < 100; i++)
		fill(table, 1000, START + i);
	read.update = LIMIT_READONLY;
	assert_true(limit_rate(table, &read, START) > 990);
	assert_true(limit_table_count(table) <= 1024);
	limit_table_free(table);
}

static void what_is_over_makes_room(void **state)
{
	struct limit_table *table = limit_table_new(1024, NULL);
	char key[32];
	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "%d", i);
		struct limit_rate rate = rate_of(key, 10, 1, 1, LIMIT_STRICT);
		limit_rate(table, &rate, START);
	}
	/* A minute later, twice as many others: nothing of the first is left. */
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "new %d", i);
		struct limit_rate rate = rate_of(key, 10, 1, 3600, LIMIT_STRICT);
		limit_rate(table, &rate, START + 60 * CLOCK_SECOND);
	}
	assert_true(limit_table_count(table) <= 1024);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "new %d", i);
		struct limit_rate rate = rate_of(key, 10, 1, 3600, LIMIT_READONLY);
		assert_true(limit_rate(table, &rate, START + 60 * CLOCK_SECOND) > 0.99);
	}
	limit_table_free(table);
}

static void keys_are_any_bytes_and_differ_in_every_one(void **state)
{
	struct limit_table *table = limit_table_new(64, NULL);
	char longest[100000];
	(void)state;
	memset(longest, 'x', sizeof longest);
	const struct slice keys[] = {
		{ NULL, 0 }, SLICE("a"), SLICE("a\0"), SLICE("a\0b"), SLICE("\0"), { longest, sizeof longest }, { longest, sizeof longest - 1 },
	};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct limit_rate rate = { .key = keys[i], .limit = 10, .count = (double)i + 1, .period = 60, .update = LIMIT_STRICT };
		assert_true(limit_rate(table, &rate, START) == (double)i + 1);
	}
	/* Neither do a key and an event run into each other. */
	struct limit_digest one = limit_table_digest(table, LIMIT_KIND_EVENT, SLICE("ab"), SLICE("c")),
			    other = limit_table_digest(table, LIMIT_KIND_EVENT, SLICE("a"), SLICE("bc"));
	assert_memory_not_equal(one.bytes, other.bytes, sizeof one.bytes);
	limit_table_free(table);
}

/* ---- Files ---- */

struct files_fixture {
	int files[2];
	struct limit_store *store;
};

static void save(struct limit_store *store)
{
	struct error error;
	while (limit_store_gather(store)) {
		limit_store_write(store);
		assert_true(limit_store_written(store, &error));
	}
}

static void open_files(struct files_fixture *f)
{
	struct error problem;
	for (int i = 0; i < 2; i++) {
		f->files[i] = memfd_create("limits", MFD_CLOEXEC);
		assert_true(f->files[i] >= 0);
	}
	f->store = limit_store_open(f->files, 4096, START, &problem);
	assert_string_equal(problem.text, "");
}

static void reopen(struct files_fixture *f, int64_t now, bool well)
{
	struct error problem;
	limit_store_close(f->store);
	f->store = limit_store_open(f->files, 4096, now, &problem);
	assert_int_equal(*problem.text == '\0', well);
}

static void close_files(struct files_fixture *f)
{
	limit_store_close(f->store);
	close(f->files[0]);
	close(f->files[1]);
}

static double stored(struct files_fixture *f, const char *key, int64_t now)
{
	struct limit_rate rate = rate_of(key, 1e9, 1, 3600, LIMIT_READONLY);
	return limit_rate(limit_store_table(f->store), &rate, now);
}

static void count_up(struct files_fixture *f, const char *key, int times)
{
	struct limit_rate rate = rate_of(key, 1e9, 1, 3600, LIMIT_STRICT);
	for (int i = 0; i < times; i++)
		limit_rate(limit_store_table(f->store), &rate, START);
}

static void what_was_written_is_read_again(void **state)
{
	struct files_fixture f;
	(void)state;
	open_files(&f);
	count_up(&f, "a", 3);
	save(f.store);
	count_up(&f, "b", 5);
	count_up(&f, "a", 4);
	save(f.store);
	count_up(&f, "c", 1); /* not written */
	reopen(&f, START, true);
	assert_true(fabs(stored(&f, "a", START) - 7) < 0.001);
	assert_true(fabs(stored(&f, "b", START) - 5) < 0.001);
	assert_true(stored(&f, "c", START) == 0);
	/* And it goes on from there. */
	count_up(&f, "c", 2);
	save(f.store);
	reopen(&f, START, true);
	assert_true(fabs(stored(&f, "c", START) - 2) < 0.001);
	close_files(&f);
}

static void what_is_over_is_not_read(void **state)
{
	struct files_fixture f;
	(void)state;
	open_files(&f);
	count_up(&f, "a", 3);
	save(f.store);
	reopen(&f, START + 365 * 24 * 3600 * CLOCK_SECOND, true);
	assert_int_equal(limit_table_count(limit_store_table(f.store)), 0);
	close_files(&f);
}

static void the_files_take_turns_and_stay_small(void **state)
{
	struct files_fixture f;
	off_t most = 0, sizes[2];
	(void)state;
	open_files(&f);
	for (int round = 0; round < 400; round++) {
		fill(limit_store_table(f.store), 2000, START + round);
		save(f.store);
		for (int i = 0; i < 2; i++) {
			sizes[i] = lseek(f.files[i], 0, SEEK_END);
			most = sizes[i] > most ? sizes[i] : most;
		}
	}
	assert_true(sizes[0] > 0 && sizes[1] > 0);
	assert_true(most < 2 * LIMIT_STORE_ROOM);
	reopen(&f, START, true);
	struct limit_rate rate = rate_of("1h/per_mail/192.0.0.7", 1e9, 1, 3600, LIMIT_READONLY);
	assert_true(fabs(limit_rate(limit_store_table(f.store), &rate, START) - 100) < 0.1); /* leaky: up to its limit */
	close_files(&f);
}

/* Whatever a crash leaves of the last write: what was written before is there. */
static void a_torn_write_costs_no_more_than_itself(void **state)
{
	(void)state;
	enum { CHANGE = 72 /* bytes of a batch with one record */ };
	for (off_t lost = 1; lost <= 2 * CHANGE; lost++) {
		struct files_fixture f;
		open_files(&f);
		count_up(&f, "a", 3);
		save(f.store);
		count_up(&f, "b", 5);
		save(f.store);
		count_up(&f, "b", 5);
		save(f.store);
		int file = lseek(f.files[0], 0, SEEK_END) > 0 ? f.files[0] : f.files[1];
		off_t size = lseek(file, 0, SEEK_END);
		assert_int_equal(ftruncate(file, size - lost), 0);
		reopen(&f, START, true);
		assert_true(fabs(stored(&f, "a", START) - 3) < 0.001);
		assert_true(fabs(stored(&f, "b", START) - (lost <= CHANGE ? 5 : 0)) < 0.001);
		/* It is written on behind what is good. */
		count_up(&f, "d", 2);
		save(f.store);
		reopen(&f, START, true);
		assert_true(fabs(stored(&f, "d", START) - 2) < 0.001);
		close_files(&f);
	}
}

static void files_that_hold_something_else_are_told_and_replaced(void **state)
{
	struct files_fixture f;
	(void)state;
	open_files(&f);
	count_up(&f, "a", 3);
	save(f.store);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pwrite(f.files[i], "something else", 14, 0), 14);
	reopen(&f, START, false);
	assert_true(stored(&f, "a", START) == 0);
	count_up(&f, "a", 2);
	save(f.store);
	reopen(&f, START, true);
	assert_true(fabs(stored(&f, "a", START) - 2) < 0.001);
	close_files(&f);
}

static void a_write_that_fails_is_told_and_made_up_for(void **state)
{
	struct files_fixture f;
	struct error error;
	int broken[2];
	(void)state;
	open_files(&f);
	save(f.store);
	limit_store_close(f.store);
	/* The same files, open for reading only: every write fails. */
	for (int i = 0; i < 2; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/self/fd/%d", f.files[i]);
		broken[i] = open(path, O_RDONLY | O_CLOEXEC);
	}
	f.store = limit_store_open(broken, 4096, START, &error);
	count_up(&f, "a", 3);
	assert_true(limit_store_gather(f.store));
	limit_store_write(f.store);
	assert_false(limit_store_written(f.store, &error));
	assert_non_null(strstr(error.text, "limits"));
	/* The disk is well again. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(dup2(f.files[i], broken[i]), broken[i]);
	save(f.store);
	reopen(&f, START, true);
	assert_true(fabs(stored(&f, "a", START) - 3) < 0.001);
	close_files(&f);
	close(broken[0]);
	close(broken[1]);
}

/* ---- Questions ---- */

static void a_question_makes_its_way(void **state)
{
	struct limit_table *table = limit_table_new(16, NULL);
	struct limit_packed packed;
	struct expand_answer answer;
	struct error error;
	struct arena arena;
	double rate;
	(void)state;
	arena_init(&arena, 0);
	struct limit_rate question = rate_of("k", 2, 1.5, 60, LIMIT_STRICT);
	for (int i = 1; i < 3; i++) {
		struct expand_request request = limit_rate_request(&question, &packed);
		assert_true(limit_is_asked(&request));
		assert_int_equal(limit_answer(table, &request, START, &arena, &answer, &error), EXPAND_OK);
		assert_true(limit_rate_answered(&answer, &rate));
		assert_true(near(rate, 1.5 * i) && answer.found == (i == 2));
	}
	struct limit_seen seen = { .key = SLICE("k"), .interval = 60, .refresh = 60 };
	struct expand_request request = limit_seen_request(&seen, &packed);
	assert_int_equal(limit_answer(table, &request, START, &arena, &answer, &error), EXPAND_OK);
	assert_false(answer.found);
	arena_free(&arena);
	limit_table_free(table);
}

static void a_malformed_question_is_refused(void **state)
{
	struct limit_table *table = limit_table_new(16, NULL);
	struct limit_packed packed;
	struct expand_answer answer;
	struct error error;
	struct arena arena;
	struct limit_rate bad[] = {
		rate_of("k", NAN, 1, 60, LIMIT_LEAKY), rate_of("k", 1, INFINITY, 60, LIMIT_LEAKY), rate_of("k", 1, -1, 60, LIMIT_LEAKY),
		rate_of("k", -1, 1, 60, LIMIT_LEAKY), rate_of("k", 1, 1, 0, LIMIT_LEAKY), rate_of("k", 1, 1, 60, (enum limit_update)3),
	};
	(void)state;
	arena_init(&arena, 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct expand_request request = limit_rate_request(&bad[i], &packed);
		assert_int_equal(limit_answer(table, &request, START, &arena, &answer, &error), EXPAND_FAIL);
	}
	struct limit_rate good = rate_of("k", 1, 1, 60, LIMIT_LEAKY);
	struct expand_request request = limit_rate_request(&good, &packed);
	for (size_t len = 0; len < request.type.len; len++) {
		struct expand_request cut = request;
		cut.type = slice_first(request.type, len);
		assert_int_equal(limit_answer(table, &cut, START, &arena, &answer, &error), EXPAND_FAIL);
		cut.service = EXPAND_SERVICE_SEEN;
		if (len != 24)
			assert_int_equal(limit_answer(table, &cut, START, &arena, &answer, &error), EXPAND_FAIL);
	}
	assert_int_equal(limit_table_count(table), 0);
	arena_free(&arena);
	limit_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_is_an_exponentially_weighted_average),
		cmocka_unit_test(events_at_an_even_rate_are_measured_as_that_rate),
		cmocka_unit_test(a_burst_counts_in_full),
		cmocka_unit_test(leaky_does_not_count_what_is_over_the_limit_and_strict_does),
		cmocka_unit_test(readonly_reads_and_the_rate_decays),
		cmocka_unit_test(different_events_are_counted_once_a_period),
		cmocka_unit_test(an_event_over_a_leaky_limit_is_not_remembered),
		cmocka_unit_test(a_clock_that_was_set_back_does_no_harm),
		cmocka_unit_test(the_largest_numbers_stay_finite),
		cmocka_unit_test(seen_since_and_before),
		cmocka_unit_test(a_million_keys_take_less_than_200_megabytes),
		cmocka_unit_test(a_full_table_keeps_what_matters_longest),
		cmocka_unit_test(what_is_over_makes_room),
		cmocka_unit_test(keys_are_any_bytes_and_differ_in_every_one),
		cmocka_unit_test(what_was_written_is_read_again),
		cmocka_unit_test(what_is_over_is_not_read),
		cmocka_unit_test(the_files_take_turns_and_stay_small),
		cmocka_unit_test(a_torn_write_costs_no_more_than_itself),
		cmocka_unit_test(files_that_hold_something_else_are_told_and_replaced),
		cmocka_unit_test(a_write_that_fails_is_told_and_made_up_for),
		cmocka_unit_test(a_question_makes_its_way),
		cmocka_unit_test(a_malformed_question_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
