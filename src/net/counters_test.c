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
	counters_enter(a, &one, &total, &same);
	unsigned place = counters_enter(b, &one, &total, &same);
	assert_int_equal(total, 2);
	assert_int_equal(same, 2);
	counters_enter(b, &two, &total, &same);
	assert_int_equal(total, 3);
	assert_int_equal(same, 1);
	counters_leave(b, place);
	counters_enter(a, &one, &total, &same);
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
	counters_enter(a, &one, &total, &same);
	counters_enter(b, &one, &total, &same);
	counters_free(a);
	a = counters_open(fd, 0, &error);
	counters_enter(a, &one, &total, &same);
	assert_int_equal(total, 2);
	assert_null(counters_open(fd, 2, &error));
	counters_free(a);
	counters_free(b);
	close(fd);
}

static void many_hosts_come_and_go_without_a_trace(void **state)
{
	enum { HOSTS = 4000 };
	static unsigned places[HOSTS];
	(void)state;
	struct error error;
	unsigned total = 0, same = 0;
	int fd = counters_create(1, &error);
	struct counters *counters = counters_open(fd, 0, &error);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < HOSTS; i++) {
			struct net_address one = host(i * 2654435761u + round);
			places[i] = counters_enter(counters, &one, &total, &same);
			assert_true(places[i] < COUNTERS_NO_PLACE);
			assert_int_equal(same, 1);
		}
		assert_int_equal(total, HOSTS);
		for (unsigned i = 0; i < HOSTS; i++)
			counters_leave(counters, places[i]);
	}
	counters_free(counters);
	close(fd);
}

/* A hash that everybody can compute: FNV-1a. */
static unsigned public_hash(const struct net_address *address)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ address->family;
	for (size_t i = 0; i < sizeof address->bytes; i++)
		hash = (hash ^ address->bytes[i]) * UINT64_C(0x100000001b3);
	return (unsigned)((hash ^ hash >> 32) % COUNTERS_HOSTS);
}

static void chosen_addresses_leave_every_other_its_place(void **state)
{
	(void)state;
	struct error error;
	unsigned total = 0, same = 0, chosen = 0;
	int fd = counters_create(1, &error);
	struct counters *counters = counters_open(fd, 0, &error);
	struct net_address victim = host(0);
	for (unsigned n = 1; chosen < 200; n++) {
		struct net_address one = host(n);
		if (public_hash(&one) != public_hash(&victim))
			continue;
		assert_true(counters_enter(counters, &one, &total, &same) < COUNTERS_NO_PLACE);
		chosen++;
	}
	assert_true(counters_enter(counters, &victim, &total, &same) < COUNTERS_NO_PLACE);
	assert_true(counters_enter(counters, &victim, &total, &same) < COUNTERS_NO_PLACE);
	assert_int_equal(total, 202);
	assert_int_equal(same, 2);
	counters_free(counters);
	close(fd);
}

static void when_the_table_is_full_the_total_is_counted_on(void **state)
{
	enum { HOSTS = COUNTERS_HOSTS + 1000 };
	static unsigned places[HOSTS];
	(void)state;
	struct error error;
	unsigned total = 0, same = 0, without = 0;
	int fd = counters_create(1, &error);
	struct counters *counters = counters_open(fd, 0, &error);
	for (unsigned i = 0; i < HOSTS; i++) {
		struct net_address one = host(i);
		places[i] = counters_enter(counters, &one, &total, &same);
		without += places[i] == COUNTERS_NO_PLACE;
		assert_int_equal(total, i + 1);
		assert_int_equal(same, 1);
	}
	assert_true(without >= 1000);
	for (unsigned i = 0; i < HOSTS; i++)
		counters_leave(counters, places[i]);
	struct net_address one = host(0);
	assert_true(counters_enter(counters, &one, &total, &same) < COUNTERS_NO_PLACE);
	assert_int_equal(total, 1);
	assert_int_equal(same, 1);
	counters_free(counters);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_over_all_fronts),
		cmocka_unit_test(a_front_that_starts_anew_counts_from_zero),
		cmocka_unit_test(many_hosts_come_and_go_without_a_trace),
		cmocka_unit_test(chosen_addresses_leave_every_other_its_place),
		cmocka_unit_test(when_the_table_is_full_the_total_is_counted_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
