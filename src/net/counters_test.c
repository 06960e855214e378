/* SPDX-License-Identifier: ISC */
#include "base/test.h"
#include "net/counters.h"

#include <unistd.h>

static struct net_address host(unsigned n)
{
	struct net_address address = { .family = AF_INET };
	for (int i = 0; i < 4; i++)
		address.bytes[i] = (uint8_t)(n >> (8 * i));
	return address;
}

static void counts_are_over_all_fronts(void **state)
{
	(void)state;
	struct error error;
	unsigned total, same;
	int fd = counters_create(2, &error);
	struct counters *a = counters_open(fd, 0, &error), *b = counters_open(fd, 1, &error);
	assert_true(a && b);
	struct net_address one = host(1), two = host(2);
	assert_true(counters_enter(a, &one, &total, &same) && counters_enter(b, &one, &total, &same));
	assert_int_equal(total, 2);
	assert_int_equal(same, 2);
	assert_true(counters_enter(b, &two, &total, &same));
	assert_int_equal(total, 3);
	assert_int_equal(same, 1);
	counters_leave(b, &one);
	assert_true(counters_enter(a, &one, &total, &same));
	assert_int_equal(same, 2);
	counters_free(a);
	counters_free(b);
	close(fd);
}

static void a_front_that_starts_anew_counts_from_zero(void **state)
{
	(void)state;
	struct error error;
	unsigned total, same;
	int fd = counters_create(2, &error);
	struct net_address one = host(1);
	struct counters *a = counters_open(fd, 0, &error), *b = counters_open(fd, 1, &error);
	assert_true(counters_enter(a, &one, &total, &same) && counters_enter(b, &one, &total, &same));
	counters_free(a);
	a = counters_open(fd, 0, &error);
	assert_true(counters_enter(a, &one, &total, &same));
	assert_int_equal(total, 2);
	assert_null(counters_open(fd, 2, &error));
	counters_free(a);
	counters_free(b);
	close(fd);
}

static void many_hosts_come_and_go_without_a_trace(void **state)
{
	(void)state;
	struct error error;
	unsigned total = 0, same = 0;
	int fd = counters_create(1, &error);
	struct counters *counters = counters_open(fd, 0, &error);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 4000; i++) {
			struct net_address one = host(i * 2654435761u + round);
			assert_true(counters_enter(counters, &one, &total, &same));
			assert_int_equal(same, 1);
		}
		assert_int_equal(total, 4000);
		for (unsigned i = 0; i < 4000; i++) {
			struct net_address one = host(i * 2654435761u + round);
			counters_leave(counters, &one);
		}
	}
	counters_free(counters);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_over_all_fronts),
		cmocka_unit_test(a_front_that_starts_anew_counts_from_zero),
		cmocka_unit_test(many_hosts_come_and_go_without_a_trace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
