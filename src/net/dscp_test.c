/* SPDX-License-Identifier: ISC */
/* Names of classes, and that the kernel has what was set. */
#include "net/dscp.h"
#include "base/test.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <unistd.h>

static void names_and_numbers(void **state)
{
	static const struct {
		const char *text;
		unsigned value;
	} rows[] = { { "ef", 46 }, { "AF31", 26 }, { "cs7", 56 }, { "lowdelay", 4 }, { "0", 0 }, { "63", 63 } };
	static const char *const wrong[] = { "", "64", "-1", "af44", "ef ", "0x10" };
	unsigned value;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_true(net_dscp_parse(slice_of(rows[i].text), &value));
		assert_int_equal(value, rows[i].value);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(net_dscp_parse(slice_of(wrong[i]), &value));
}

static void the_kernel_has_it(void **state)
{
	const struct {
		sa_family_t family;
		int level, option;
	} kinds[] = { { AF_INET, IPPROTO_IP, IP_TOS }, { AF_INET6, IPPROTO_IPV6, IPV6_TCLASS } };
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		int fd = socket(kinds[i].family, SOCK_STREAM, 0), got = 0;
		socklen_t len = sizeof got;
		if (fd < 0 && kinds[i].family == AF_INET6)
			continue; /* a kernel without IPv6 */
		assert_true(net_dscp_set(fd, kinds[i].family, 46));
		assert_int_equal(getsockopt(fd, kinds[i].level, kinds[i].option, &got, &len), 0);
		assert_int_equal(got, 46 << 2);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names_and_numbers), cmocka_unit_test(the_kernel_has_it) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
