/* SPDX-License-Identifier: ISC */
/* Names, records, hosts, and settings; the resolver itself is tested with name servers in tests/test_dns.py. */
#include "base/test.h"
#include "dns/dns.h"
#include "dns/hosts_file.h"
#include "dns/name.h"

static struct arena arena;

static int make_arena(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	return 0;
}

static int free_arena(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static void names_are_brought_into_one_form(void **state)
{
	(void)state;
	static const struct {
		const char *text, *name; /* NULL: refused */
	} cases[] = {
		{ "Example.ORG", "Example.ORG" },
		{ "example.org.", "example.org" },
		{ "_25._tcp.mx.example", "_25._tcp.mx.example" },
		{ ".", "." },
		{ "a b.example", "a\\032b.example" },
		{ "gr\xc3\xbc.example", "gr\\195\\188.example" },
		{ "a\\.b.example", "a\\.b.example" },
		{ "a\\046b.example", "a\\.b.example" },
		{ "a\\b.example", "ab.example" },
		{ "a\"b.example", "a\\\"b.example" },
		{ "\\000.example", "\\000.example" },
		{ "", NULL },
		{ "..", NULL },
		{ ".a", NULL },
		{ "a..b", NULL },
		{ "a\\", NULL },
		{ "a\\25", NULL },
		{ "a\\256.b", NULL },
		{ "123456789012345678901234567890123456789012345678901234567890123.b",
		  "123456789012345678901234567890123456789012345678901234567890123.b" },
		{ "1234567890123456789012345678901234567890123456789012345678901234.b", NULL },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct slice name;
		struct error error;
		bool good = dns_name_parse(slice_of(cases[i].text), &arena, &name, &error);
		if (good != (cases[i].name != NULL))
			fail_msg("\"%s\" was %s", cases[i].text, good ? "taken" : error.text);
		if (good)
			assert_slice(name, cases[i].name);
	}
}

/* RFC 1035 §2.3.4: 255 bytes with the lengths of all labels and the root's. */
static void a_name_has_at_most_255_bytes(void **state)
{
	(void)state;
	char text[256];
	struct slice name;
	struct error error;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = i % 2 ? '.' : 'a';
	assert_true(dns_name_parse(slice_make(text, 253), &arena, &name, &error)); /* 127 labels of one byte */
	assert_int_equal(name.len, 253);
	assert_false(dns_name_parse(slice_make(text, 255), &arena, &name, &error));
}

static void names_are_cut_off_the_wire(void **state)
{
	(void)state;
	struct slice wire = slice_make("\3www\7example\0rest", 17), name;
	assert_true(dns_name_take(&wire, &arena, &name));
	assert_slice(name, "www.example");
	assert_slice(wire, "rest");
	wire = slice_make("\0", 1);
	assert_true(dns_name_take(&wire, &arena, &name));
	assert_slice(name, ".");
	wire = slice_make("\5a.b c\0", 7);
	assert_true(dns_name_take(&wire, &arena, &name));
	assert_slice(name, "a\\.b\\032c");
	static const struct slice wrong[] = { { "", 0 }, { "\3ww", 3 }, { "\3www", 4 }, { "\xc0\x0c", 2 }, { "\x41", 1 } };
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		wire = wrong[i];
		assert_false(dns_name_take(&wire, &arena, &name));
	}
}

static void a_name_from_the_wire_is_bounded(void **state)
{
	(void)state;
	char bytes[600];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = i % 2 ? 'a' : '\1';
	bytes[254] = '\0';
	struct slice wire = slice_make(bytes, sizeof bytes), name;
	assert_true(dns_name_take(&wire, &arena, &name));
	bytes[254] = '\1';
	wire = slice_make(bytes, sizeof bytes);
	assert_false(dns_name_take(&wire, &arena, &name));
}

static void parents_respect_escapes(void **state)
{
	(void)state;
	assert_slice(dns_name_parent(SLICE("a.b.c")), "b.c");
	assert_slice(dns_name_parent(SLICE("a\\.b.c")), "c");
	assert_slice(dns_name_parent(SLICE("c")), "");
}

static void addresses_are_reversed(void **state)
{
	(void)state;
	struct net_address address;
	assert_true(net_address_parse(SLICE("192.0.2.1"), &address));
	assert_slice(dns_reverse_name(&address, &arena), "1.2.0.192.in-addr.arpa");
	assert_true(net_address_parse(SLICE("2001:db8::567:89ab"), &address)); /* the example of RFC 3596 §2.5, with other digits */
	assert_slice(dns_reverse_name(&address, &arena),
		     "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

static void types_have_names(void **state)
{
	(void)state;
	assert_int_equal(dns_type_find(SLICE("tlsa")), DNS_TLSA);
	assert_int_equal(dns_type_find(SLICE("Aaaa")), DNS_AAAA);
	assert_int_equal(dns_type_find(SLICE("nonsense")), 0);
	assert_int_equal(dns_type_find(SLICE("")), 0);
}

static void records_are_taken_apart(void **state)
{
	(void)state;
#define DATA(text) { text, sizeof(text) - 1 }
	static const struct {
		unsigned type;
		struct slice data;
		const char *fields; /* with "|" between them; NULL: malformed */
	} cases[] = {
		{ DNS_A, DATA("\300\0\2\1"), "192.0.2.1" },
		{ DNS_A, DATA("\300\0\2"), NULL },
		{ DNS_A, DATA("\300\0\2\1\1"), NULL },
		{ DNS_AAAA, DATA(" \1\r\270\0\0\0\0\0\0\0\0\0\0\0\1"), "2001:db8::1" },
		{ DNS_MX, DATA("\0\12\2mx\7example\0"), "10|mx.example" },
		{ DNS_MX, DATA("\0\0\0"), "0|." },
		{ DNS_MX, DATA("\0\12"), NULL },
		{ DNS_SRV, DATA("\0\1\0\2\0\31\1h\0"), "1|2|25|h" },
		{ DNS_SOA, DATA("\1n\0\1r\0\377\377\377\377\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5"), "n|r|4294967295|2|3|4|5" },
		{ DNS_TXT, DATA("\3one\0\3two"), "one||two" },
		{ DNS_TXT, DATA(""), NULL },
		{ DNS_TXT, DATA("\4one"), NULL },
		{ DNS_TLSA, DATA("\3\1\1\xab\xcd\x01"), "3|1|1|abcd01" },
		{ DNS_TLSA, DATA("\3\1"), NULL },
		{ DNS_PTR, DATA("\1a\0x"), NULL },
		{ 255, DATA("\1a\0"), NULL },
	};
#undef DATA
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct dns_fields fields = { 0 };
		struct slice all = SLICE("");
		bool good = dns_fields_parse(cases[i].type, cases[i].data, &arena, &fields);
		if (good != (cases[i].fields != NULL))
			fail_msg("case %zu was %s", i, good ? "taken" : "refused");
		for (size_t n = 0; good && n < fields.count; n++)
			all = arena_printf(&arena, "%.*s%s%.*s", SLICE_ARG(all), n ? "|" : "", SLICE_ARG(fields.items[n]));
		if (good)
			assert_slice(all, cases[i].fields);
	}
}

static void hosts_are_found_both_ways(void **state)
{
	(void)state;
	const struct dns_hosts *hosts = dns_hosts_parse(SLICE("# comment\n127.0.0.1\tlocalhost\n192.0.2.7 one.example one # alias\n"
							      "nonsense x\n2001:db8::1 one.example\n192.0.2.9\n192.0.2.7 late"), &arena);
	struct net_address address;
	assert_true(net_address_parse(SLICE("192.0.2.7"), &address));
	assert_slice(dns_hosts_name(hosts, &address, 0), "one.example");
	assert_slice(dns_hosts_name(hosts, &address, 1), "one");
	assert_slice(dns_hosts_name(hosts, &address, 2), "late");
	assert_slice(dns_hosts_name(hosts, &address, 3), "");
	assert_true(net_address_equal(dns_hosts_address(hosts, SLICE("ONE.example"), 0), &address));
	assert_int_equal(dns_hosts_address(hosts, SLICE("one.example"), 1)->family, AF_INET6);
	assert_null(dns_hosts_address(hosts, SLICE("one.example"), 2));
	assert_null(dns_hosts_address(hosts, SLICE("alias"), 0));
	assert_null(dns_hosts_address(hosts, SLICE("x"), 0));
}

static void wrong_settings_are_named(void **state)
{
	(void)state;
	static const struct {
		const char *config, *complaint; /* NULL: taken */
	} cases[] = {
		{ "server:\n  val-permissive-mode: no\n", NULL },
		{ "forward-zone:\n  name: \".\"\n  forward-addr: 192.0.2.1@5353", NULL },
		{ "server:\n  fooo: 1\n", "line 2: unknown keyword 'fooo'" },
		{ "server:\n  trust-anchor: \"x.test. IN DS nonsense\"\n", "the DNS resolver cannot use this configuration" },
		{ "\ninclude: /etc/passwd\n", "line 2: include is not supported" },
		{ "server:\n  auto-trust-anchor-file: \"x\"\n", "line 2: auto-trust-anchor-file is not supported" },
		{ "# include: x\n", NULL },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct dns_settings settings = { .config_text = slice_of(cases[i].config), .dnssec = true };
		struct error error = { 0 };
		bool good = dns_check(&settings, &error);
		if (good != !cases[i].complaint)
			fail_msg("%s: %s", cases[i].config, good ? "taken" : error.text);
		if (!good && !slice_starts(slice_of(error.text), slice_of(cases[i].complaint)))
			fail_msg("expected \"%s\", got \"%s\"", cases[i].complaint, error.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_brought_into_one_form),
		cmocka_unit_test(a_name_has_at_most_255_bytes),
		cmocka_unit_test(names_are_cut_off_the_wire),
		cmocka_unit_test(a_name_from_the_wire_is_bounded),
		cmocka_unit_test(parents_respect_escapes),
		cmocka_unit_test(addresses_are_reversed),
		cmocka_unit_test(types_have_names),
		cmocka_unit_test(records_are_taken_apart),
		cmocka_unit_test(hosts_are_found_both_ways),
		cmocka_unit_test(wrong_settings_are_named),
	};
	return cmocka_run_group_tests(tests, make_arena, free_arena);
}
