/* SPDX-License-Identifier: ISC */
#include "base/test.h"
#include "role/tls_guard.h"

#define MINUTE (60 * CLOCK_SECOND)
#define START (1000 * CLOCK_SECOND)

/* As the master does it: a look each second; asking takes `slow`, and there is no answer before `answer_at`. */
static int64_t used_after(int64_t slow, int64_t answer_at, unsigned *asked_r, bool *given_in_r)
{
	struct guard_wait wait = { 0 };
	bool changed = true;
	*asked_r = 0;
	*given_in_r = false;
	for (int64_t now = START; now < START + 300 * MINUTE; now += CLOCK_SECOND) {
		if (!guard_wait_take(&wait, changed, now))
			continue;
		changed = false;
		now += slow;
		++*asked_r;
		if (now >= answer_at)
			return now - START;
		if (guard_wait_on(&wait, now))
			continue;
		*given_in_r = true;
		return now - START;
	}
	fail_msg("it waits for ever");
	return 0;
}

static void without_the_dns_it_is_asked_each_minute_for_an_hour_and_then_used(void **state)
{
	(void)state;
	unsigned asked;
	bool given_in;
	assert_int_equal(used_after(0, INT64_MAX, &asked, &given_in), 60 * MINUTE);
	assert_true(given_in);
	assert_int_equal(asked, 61);
	/* A lookup that takes its time is no shorter wait, and no much longer one. */
	assert_in_range(used_after(30 * CLOCK_SECOND, INT64_MAX, &asked, &given_in), 60 * MINUTE, 62 * MINUTE);
	assert_true(given_in);
	assert_in_range(asked, 40, 42);
}

static void an_answer_ends_the_wait(void **state)
{
	(void)state;
	unsigned asked;
	bool given_in;
	assert_int_equal(used_after(0, START, &asked, &given_in), 0);
	assert_int_equal(asked, 1);
	assert_int_equal(used_after(0, START + 30 * MINUTE + CLOCK_SECOND, &asked, &given_in), 31 * MINUTE);
	assert_false(given_in);
	assert_int_equal(asked, 32);
}

static void another_change_begins_the_hour_anew(void **state)
{
	(void)state;
	struct guard_wait wait = { 0 };
	assert_true(guard_wait_take(&wait, true, START));
	assert_true(guard_wait_on(&wait, START));
	assert_true(guard_wait_take(&wait, false, START + 59 * MINUTE));
	assert_true(guard_wait_on(&wait, START + 59 * MINUTE));
	assert_true(guard_wait_take(&wait, true, START + 59 * MINUTE + 1));
	assert_true(guard_wait_on(&wait, START + 61 * MINUTE));
	assert_true(guard_wait_on(&wait, START + 120 * MINUTE));
	assert_false(guard_wait_on(&wait, START + 121 * MINUTE));
}

/* A certificate that waited, and of which the file was damaged then: that is told once, not each second. */
static void what_was_looked_at_is_not_due_until_the_guard_waits_again(void **state)
{
	(void)state;
	struct guard_wait wait = { 0 };
	assert_false(guard_wait_take(&wait, false, START));
	assert_true(guard_wait_take(&wait, true, START));
	assert_true(guard_wait_on(&wait, START));
	assert_false(guard_wait_take(&wait, false, START + MINUTE - 1));
	assert_true(guard_wait_take(&wait, false, START + MINUTE));
	assert_false(guard_wait_take(&wait, false, START + 2 * MINUTE));
	assert_false(guard_wait_take(&wait, false, START + 100 * MINUTE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_the_dns_it_is_asked_each_minute_for_an_hour_and_then_used),
		cmocka_unit_test(an_answer_ends_the_wait),
		cmocka_unit_test(another_change_begins_the_hour_anew),
		cmocka_unit_test(what_was_looked_at_is_not_due_until_the_guard_waits_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
