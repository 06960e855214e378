/* SPDX-License-Identifier: ISC */
#include "net/address.h"

#include "base/test.h"

static struct net_address parsed(const char *text)
{
	struct net_address address = { 0 };
	if (!net_address_parse(slice_of(text), &address))
		fail_msg("\"%s\" did not parse", text);
	return address;
}

static void test_address_text_round_trip(void **state)
{
	(void)state;
	static const char *const table[][2] = {
		{ "127.0.0.1", "127.0.0.1" }, { "0.0.0.0", "0.0.0.0" },       { "255.255.255.255", "255.255.255.255" },
		{ "::1", "::1" },             { "::0", "::" },                { "2001:DB8::0:1", "2001:db8::1" },
		{ "[::1]", "::1" },           { "[192.0.2.7]", "192.0.2.7" }, { "::ffff:192.0.2.1", "::ffff:192.0.2.1" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct net_address address = parsed(table[i][0]);
		assert_string_equal(net_address_text(&address).text, table[i][1]);
	}
}

static void test_malformed_addresses_are_refused(void **state)
{
	(void)state;
	static const char *const table[] = {
		"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4/8", "0x7f.1", ":", ":::",
		"1::2::3", "[::1", "::1]", "[]", "[[::1]]", "fe80::1%eth0", "12345::", "1.2.3.-4", "localhost",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999",
	};
	struct net_address address;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (net_address_parse(slice_of(table[i]), &address))
			fail_msg("\"%s\" parsed", table[i]);
	assert_false(net_address_parse(slice_make("1.2.3.4\0", 8), &address));
	assert_false(net_address_parse((struct slice){ NULL, 0 }, &address));
}

static void test_interfaces_with_and_without_port(void **state)
{
	(void)state;
	static const struct {
		const char *text, *want;
	} table[] = {
		{ "127.0.0.1", "[127.0.0.1]" },
		{ "127.0.0.1.2525", "[127.0.0.1]:2525" },
		{ "[127.0.0.1]:2525", "[127.0.0.1]:2525" },
		{ "[::1]:25", "[::1]:25" },
		{ "[::1]", "[::1]" },
		{ "0.0.0.0", "[0.0.0.0]" },
		{ "::0", "[::]" },
		{ "::1.26", "[::1]:26" },
		{ "3ffe:ffff:836f::fe86:a061.1234", "[3ffe:ffff:836f::fe86:a061]:1234" },
		{ "::1.2.3.4", "[::1.2.3.4]" },
		{ "::1.2.3.4.65535", "[::1.2.3.4]:65535" },
		{ "[0:0:0:0:0:ffff:192.0.2.128]:65535", "[::ffff:192.0.2.128]:65535" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct net_address address;
		if (!net_interface_parse(slice_of(table[i].text), &address))
			fail_msg("\"%s\" did not parse", table[i].text);
		assert_string_equal(net_address_text_port(&address).text, table[i].want);
	}
	static const char *const bad[] = { "",          "127.0.0.1.0", "127.0.0.1.65536", "127.0.0.1.", "127.0.0.1:25", "[::1]25",
					   "[::1].25",  "[::1]:",      "[::1]:x",         "::1.smtp",   "25",           "[",
					   "[::1]:025250", "mail.example", "." };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct net_address address;
		if (net_interface_parse(slice_of(bad[i]), &address))
			fail_msg("\"%s\" parsed", bad[i]);
	}
}

static void test_sockaddr_round_trip(void **state)
{
	(void)state;
	static const char *const table[] = { "[192.0.2.9]:25", "[2001:db8::9]:587" };
	for (size_t i = 0; i < 2; i++) {
		struct net_address address, back;
		struct sockaddr_storage storage;
		assert_true(net_interface_parse(slice_of(table[i]), &address));
		socklen_t len = net_address_to_sockaddr(&address, &storage);
		assert_true(net_address_from_sockaddr((struct sockaddr *)&storage, len, &back));
		assert_true(net_address_equal(&address, &back));
		assert_int_equal(back.port, address.port);
		assert_false(net_address_from_sockaddr((struct sockaddr *)&storage, len - 1, &back));
	}
	struct sockaddr_storage local = { .ss_family = AF_UNIX };
	struct net_address address;
	assert_false(net_address_from_sockaddr((struct sockaddr *)&local, sizeof local, &address));
	assert_false(net_address_from_sockaddr((struct sockaddr *)&local, 0, &address));
}

static void test_mapped_ipv6_becomes_ipv4(void **state)
{
	(void)state;
	struct net_address mapped = parsed("::ffff:10.1.2.3"), plain = parsed("10.1.2.3"), other = parsed("::fffe:10.1.2.3");
	mapped.port = 99;
	struct net_address unmapped = net_address_unmap(mapped);
	assert_true(net_address_equal(&unmapped, &plain));
	assert_int_equal(unmapped.port, 99);
	assert_false(net_address_equal(&mapped, &plain));
	assert_int_equal(net_address_unmap(other).family, AF_INET6);
}

static void test_network_membership(void **state)
{
	(void)state;
	static const struct {
		const char *network, *address;
		bool inside;
	} table[] = {
		{ "10.0.0.0/8", "10.255.255.255", true },      { "10.0.0.0/8", "11.0.0.0", false },
		{ "10.11.42.0/24", "10.11.42.255", true },     { "10.11.42.0/24", "10.11.43.0", false },
		{ "192.168.23.236/31", "192.168.23.237", true }, { "192.168.23.236/31", "192.168.23.238", false },
		{ "192.168.23.237/31", "192.168.23.236", true }, { "172.16.0.0/12", "172.31.255.1", true },
		{ "172.16.0.0/12", "172.32.0.1", false },      { "0.0.0.0/0", "203.0.113.1", true },
		{ "0.0.0.0/0", "::1", false },                 { "::/0", "2001:db8::1", true },
		{ "::/0", "10.0.0.1", false },                 { "2001:db8::/32", "2001:db8:ffff::1", true },
		{ "2001:db8::/32", "2001:db9::1", false },     { "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },           { "10.0.0.0/8", "::ffff:10.1.1.1", true },
		{ "::ffff:10.0.0.0/104", "10.2.3.4", true },   { "3ffe:ffff:836f::/48", "3ffe:ffff:836f:9::1", true },
		{ "2001:db8::1/128", "2001:db8::1", true },    { "[2001:db8::]/127", "2001:db8::1", true },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct net_network network;
		struct net_address address = parsed(table[i].address);
		assert_true(net_network_parse(slice_of(table[i].network), &network));
		if (net_network_contains(&network, &address) != table[i].inside)
			fail_msg("%s in %s: expected %d", table[i].address, table[i].network, table[i].inside);
	}
	static const char *const bad[] = { "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/ 8", "10.0.0.0/8/8", "10/8", "/8",
					   "10.0.0.0/-1", "10.0.0.0/0000008", "" };
	struct net_network network;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (net_network_parse(slice_of(bad[i]), &network))
			fail_msg("\"%s\" parsed", bad[i]);
}

static void test_zeroed_address_is_nobody(void **state)
{
	(void)state;
	struct net_address nobody = { 0 }, any = parsed("0.0.0.0");
	struct net_network all;
	assert_true(net_network_parse(SLICE("0.0.0.0/0"), &all));
	assert_false(net_network_contains(&all, &nobody));
	assert_false(net_address_equal(&nobody, &nobody));
	assert_string_equal(net_address_text_port(&nobody).text, "");
	assert_true(net_address_is_any(&any));
	assert_false(net_address_is_any(&nobody));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_text_round_trip),     cmocka_unit_test(test_malformed_addresses_are_refused),
		cmocka_unit_test(test_interfaces_with_and_without_port), cmocka_unit_test(test_sockaddr_round_trip),
		cmocka_unit_test(test_mapped_ipv6_becomes_ipv4),    cmocka_unit_test(test_network_membership),
		cmocka_unit_test(test_zeroed_address_is_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
