/* SPDX-License-Identifier: ISC */
/* The rules of HAProxy's proxy-protocol.txt, by their sections. */
#include "net/proxy.h"

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/test.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define ENDS4 "\xc6\x33\x64\x07\xcb\x00\x71\x09\x12\x67\x00\x19" /* 198.51.100.7:4711 to 203.0.113.9:25 */
#define ENDS6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x12\x67\x00\x19"

/* A header of version 2 with this command, transport and what follows the length. */
static struct slice binary(struct buf *out, unsigned command, unsigned transport, struct slice rest)
{
	char fixed[4] = { (char)command, (char)transport, (char)(rest.len >> 8), (char)(rest.len & 255) };
	buf_init(out, 128 * 1024);
	assert_true(buf_append(out, SLICE(SIGNATURE)) && buf_append(out, slice_make(fixed, sizeof fixed)) && buf_append(out, rest));
	return buf_slice(out);
}

static enum proxy_result parse_binary(unsigned command, unsigned transport, struct slice rest, struct proxy_header *header)
{
	struct buf out;
	enum proxy_result result = proxy_parse(binary(&out, command, transport, rest), header);
	buf_free(&out);
	return result;
}

static void assert_end(const struct net_address *end, const char *want)
{
	assert_string_equal(net_address_text_port(end).text, want);
}

/* At every octet: more while it is not whole, then done, whatever follows. */
static void assert_whole_only(struct slice header, const char *client)
{
	struct buf longer;
	struct proxy_header parsed;
	buf_init(&longer, 128 * 1024);
	for (size_t cut = 0; cut < header.len; cut++)
		if (proxy_parse(slice_first(header, cut), &parsed) != PROXY_MORE)
			fail_msg("%zu octets of %zu were enough, or too much", cut, header.len);
	assert_true(buf_append(&longer, header) && buf_append(&longer, SLICE("EHLO client.test\r\n")));
	const struct slice forms[] = { header, buf_slice(&longer) };
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(proxy_parse(forms[i], &parsed), PROXY_DONE);
		assert_int_equal(parsed.length, header.len);
		assert_int_equal(parsed.relayed, client != NULL);
		if (client)
			assert_end(&parsed.client, client);
	}
	buf_free(&longer);
}

static void a_header_ends_where_it_says_and_not_before(void **state)
{
	(void)state;
	struct buf out;
	assert_whole_only(SLICE("PROXY TCP4 198.51.100.7 203.0.113.9 4711 25\r\n"), "[198.51.100.7]:4711");
	assert_whole_only(SLICE("PROXY UNKNOWN\r\n"), NULL);
	assert_whole_only(binary(&out, 0x21, 0x11, SLICE(ENDS4)), "[198.51.100.7]:4711");
	buf_free(&out);
	assert_whole_only(binary(&out, 0x21, 0x21, SLICE(ENDS6 "\x04\x00\x02xy")), "[2001:db8::1]:4711");
	buf_free(&out);
	assert_whole_only(binary(&out, 0x20, 0x00, SLICE("")), NULL);
	buf_free(&out);
}

static void version_1_gives_the_addresses_of_both_ends(void **state)
{
	(void)state;
	static const struct {
		const char *line, *client, *target;
	} table[] = {
		{ "PROXY TCP4 198.51.100.7 203.0.113.9 4711 25\r\n", "[198.51.100.7]:4711", "[203.0.113.9]:25" },
		{ "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "[255.255.255.255]:65535", "[255.255.255.255]:65535" },
		{ "PROXY TCP6 2001:db8::1 ::1 4711 25\r\n", "[2001:db8::1]:4711", "[::1]:25" },
		{ "PROXY TCP6 FFFF:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct proxy_header header;
		assert_int_equal(proxy_parse(slice_of(table[i].line), &header), PROXY_DONE);
		assert_int_equal(header.version, 1);
		assert_true(header.relayed);
		assert_end(&header.client, table[i].client);
		assert_end(&header.target, table[i].target);
	}
}

static void what_follows_unknown_is_ignored_up_to_107_octets(void **state)
{
	(void)state;
	char line[200];
	struct proxy_header header;
	assert_int_equal(proxy_parse(SLICE("PROXY UNKNOWN ffff::1 \xff what 99999999\r\n"), &header), PROXY_DONE);
	assert_false(header.relayed);
	for (int length = 105; length < 110; length++) {
		snprintf(line, sizeof line, "PROXY UNKNOWN %0*d\r\n", length - 16, 0);
		assert_int_equal(strlen(line), length);
		assert_int_equal(proxy_parse(slice_of(line), &header), length <= PROXY_V1_MAX ? PROXY_DONE : PROXY_BAD);
	}
}

static void malformed_lines_are_refused(void **state)
{
	(void)state;
	static const char *const table[] = {
		"PROXY\r\n", "PROXY \r\n", "PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY UNKNOWNS\r\n", "PROXY TCP4\r\n", "PROXY TCP4 1.2.3.4\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
		"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 00\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 x\r\n",
		"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP4 1.2.3.4 ::1 1 2\r\n", "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP6 [::1] [::1] 1 2\r\n", "PROXY TCP6 ::1%lo ::1 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rE", "PROXY TCP4 1.2.3.4\r 1.2.3.4 1 2\r\n", "PROXY UNKNOWN\n\r\n",
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct proxy_header header;
		if (proxy_parse(slice_of(table[i]), &header) != PROXY_BAD || !header.problem)
			fail_msg("\"%s\" was not refused", table[i]);
	}
}

static void what_no_proxy_sends_is_no_header(void **state)
{
	(void)state;
	static const char *const table[] = {
		"EHLO client.test\r\n", "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXZ", "QUIT\r\n", "\x16\x03\x01\x02", "\r\n\r\nX", "\n",
	};
	struct proxy_header header;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (proxy_parse(slice_of(table[i]), &header) != PROXY_NONE)
			fail_msg("\"%s\" was taken for a header", table[i]);
	assert_int_equal(proxy_parse(SLICE("\r\n\r\n\0\r\nQUIT\r\n"), &header), PROXY_NONE);
	assert_int_equal(proxy_parse((struct slice){ 0 }, &header), PROXY_MORE);
}

static void version_2_gives_the_addresses_of_both_ends(void **state)
{
	(void)state;
	struct proxy_header header;
	assert_int_equal(parse_binary(0x21, 0x11, SLICE(ENDS4), &header), PROXY_DONE);
	assert_int_equal(header.version, 2);
	assert_true(header.relayed);
	assert_end(&header.client, "[198.51.100.7]:4711");
	assert_end(&header.target, "[203.0.113.9]:25");
	assert_int_equal(parse_binary(0x21, 0x21, SLICE(ENDS6), &header), PROXY_DONE);
	assert_true(header.relayed);
	assert_end(&header.client, "[2001:db8::1]:4711");
	assert_end(&header.target, "[2001:db8::2]:25");
}

static void local_discards_the_block_with_its_family(void **state)
{
	(void)state;
	static const unsigned char families[] = { 0x00, 0x11, 0x21, 0x31, 0x7f, 0xff };
	struct proxy_header header;
	for (size_t i = 0; i < sizeof families; i++) {
		assert_int_equal(parse_binary(0x20, families[i], SLICE("anything \xff at all"), &header), PROXY_DONE);
		assert_int_equal(header.length, 16 + 17);
		assert_false(header.relayed);
	}
}

static void what_is_no_tcp_falls_back_to_unspecified(void **state)
{
	(void)state;
	static const char zeros[216];
	static const struct {
		unsigned char transport;
		size_t block;
	} table[] = { { 0x00, 0 }, { 0x12, 12 }, { 0x22, 36 }, { 0x31, 216 }, { 0x32, 216 } };
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct proxy_header header;
		assert_int_equal(parse_binary(0x21, table[i].transport, slice_make(zeros, table[i].block), &header), PROXY_DONE);
		assert_false(header.relayed);
		if (table[i].block)
			assert_int_equal(parse_binary(0x21, table[i].transport, slice_make(zeros, table[i].block - 1), &header), PROXY_BAD);
	}
}

static void unknown_versions_commands_and_families_are_refused(void **state)
{
	(void)state;
	struct proxy_header header;
	struct buf out;
	for (unsigned command = 0; command < 256; command++) {
		if (command == 0x20 || command == 0x21)
			continue;
		assert_int_equal(parse_binary(command, 0x11, SLICE(ENDS4), &header), PROXY_BAD);
		/* As soon as it is there. */
		assert_int_equal(proxy_parse(slice_first(binary(&out, command, 0x11, SLICE(ENDS4)), 13), &header), PROXY_BAD);
		buf_free(&out);
	}
	for (unsigned transport = 0; transport < 256; transport++) {
		unsigned family = transport >> 4, kind = transport & 15;
		bool known = transport == 0 || (family >= 1 && family <= 3 && (kind == 1 || kind == 2));
		/* As addresses and then as fields of type 0, which is nobody's, zeros are good at any length that holds whole ones. */
		static const char zeros[216];
		assert_int_equal(parse_binary(0x21, transport, slice_make(zeros, 216), &header), known ? PROXY_DONE : PROXY_BAD);
	}
}

static void a_header_has_4096_octets_at_most(void **state)
{
	(void)state;
	static char rest[4096];
	struct proxy_header header;
	struct buf out;
	memset(rest, 0, sizeof rest);
	memcpy(rest, ENDS4 "\x04", 13);
	rest[13] = (char)((4080 - 15) >> 8);
	rest[14] = (char)((4080 - 15) & 255);
	assert_int_equal(parse_binary(0x21, 0x11, slice_make(rest, 4080), &header), PROXY_DONE);
	assert_int_equal(header.length, PROXY_HEADER_MAX);
	/* One more is refused as soon as the length is known. */
	assert_int_equal(proxy_parse(slice_first(binary(&out, 0x21, 0x11, slice_make(rest, 4081)), 16), &header), PROXY_BAD);
	buf_free(&out);
	assert_int_equal(parse_binary(0x20, 0x00, slice_make(rest, 4081), &header), PROXY_BAD);
}

static void fields_tell_of_the_connection_to_the_proxy(void **state)
{
	(void)state;
	struct proxy_header header;
	struct buf out;
	struct slice bytes = binary(&out, 0x21, 0x11, SLICE(ENDS4 "\x01\0\4smtp" "\x02\0\7mx.test" "\x05\0\3a\0b" "\x30\0\1n" "\xe0\0\0"
		"\x20\0\x2b\x07\0\0\0\0" "\x21\0\7TLSv1.3" "\x22\0\6client" "\x23\0\x0c" "AES128-GCM-S" "\x24\0\1x"));
	assert_int_equal(proxy_parse(bytes, &header), PROXY_DONE);
	assert_slice(header.protocol, "smtp");
	assert_slice(header.server_name, "mx.test");
	assert_true(slice_equal(header.unique_id, SLICE("a\0b")));
	assert_true(header.tls.used && header.tls.certificate && header.tls.verified);
	assert_slice(header.tls.version, "TLSv1.3");
	assert_slice(header.tls.name, "client");
	assert_slice(header.tls.cipher, "AES128-GCM-S");
	assert_false(header.checksum);
	buf_free(&out);
}

static void a_certificate_is_verified_only_if_there_was_one(void **state)
{
	(void)state;
	static const struct {
		const char fields[9];
		bool used, certificate, verified;
	} table[] = {
		{ "\x20\0\5\0\0\0\0\0", false, false, false }, { "\x20\0\5\1\0\0\0\0", true, false, false },
		{ "\x20\0\5\1\0\0\0\1", true, false, false },  { "\x20\0\5\3\0\0\0\0", true, true, true },
		{ "\x20\0\5\3\0\0\0\x12", true, true, false }, { "\x20\0\5\5\0\0\0\0", true, true, true },
		{ "\x20\0\5\2\0\0\0\0", false, true, false },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char rest[20];
		struct proxy_header header;
		memcpy(rest, ENDS4, 12);
		memcpy(rest + 12, table[i].fields, 8);
		assert_int_equal(parse_binary(0x21, 0x11, slice_make(rest, sizeof rest), &header), PROXY_DONE);
		assert_int_equal(header.tls.used, table[i].used);
		assert_int_equal(header.tls.certificate, table[i].certificate);
		assert_int_equal(header.tls.verified, table[i].verified);
	}
}

static void fields_that_are_cut_off_or_malformed_are_refused(void **state)
{
	(void)state;
	static const struct slice table[] = {
		SLICE(ENDS4 "\x04"), SLICE(ENDS4 "\x04\0"), SLICE(ENDS4 "\x04\0\1"), SLICE(ENDS4 "\x04\xff\xffxxxx"),
		SLICE(ENDS4 "\x20\0\4\1\0\0\0"), SLICE(ENDS4 "\x20\0\6\1\0\0\0\0\x21"), SLICE(ENDS4 "\x20\0\x09\1\0\0\0\0\x21\0\2x"),
		SLICE(ENDS4 "\x20\0\x08\1\0\0\0\0\x21\0\7TLSv1.3"), SLICE(ENDS4 "\x03\0\3xxx"), SLICE(ENDS4 "\x03\0\5xxxxx"),
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct proxy_header header;
		if (parse_binary(0x21, 0x11, table[i], &header) != PROXY_BAD || !header.problem)
			fail_msg("row %zu was not refused", i);
	}
}

static void a_unique_identifier_has_128_octets_at_most(void **state)
{
	(void)state;
	for (unsigned length = 127; length < 130; length++) {
		char rest[12 + 3 + 129] = ENDS4 "\x05";
		struct proxy_header header;
		rest[14] = (char)length;
		assert_int_equal(parse_binary(0x21, 0x11, slice_make(rest, 15 + length), &header), length <= 128 ? PROXY_DONE : PROXY_BAD);
	}
}

/* Puts the right checksum into the four octets at `at`. */
static void sum_up(struct buf *out, size_t at)
{
	char *sum = out->data + out->start + at;
	memset(sum, 0, 4);
	uint32_t value = crc32c(0, out->data + out->start, buf_len(out));
	for (int i = 0; i < 4; i++)
		sum[i] = (char)(value >> (24 - 8 * i));
}

static void a_checksum_that_is_there_must_be_right(void **state)
{
	(void)state;
	struct proxy_header header;
	struct buf out;
	binary(&out, 0x21, 0x11, SLICE(ENDS4 "\x04\0\1x" "\x03\0\4????" "\x04\0\1y"));
	sum_up(&out, 16 + 12 + 4 + 3);
	assert_int_equal(proxy_parse(buf_slice(&out), &header), PROXY_DONE);
	assert_true(header.checksum);
	/* Each octet behind the command counts; but without its type there is no checksum. */
	for (size_t at = 13; at < buf_len(&out); at++) {
		if (at == 16 + 12 + 4)
			continue;
		out.data[out.start + at] ^= 1;
		assert_int_not_equal(proxy_parse(buf_slice(&out), &header), PROXY_DONE);
		out.data[out.start + at] ^= 1;
	}
	buf_free(&out);
}

static void a_header_has_one_checksum(void **state)
{
	(void)state;
	struct proxy_header header;
	struct buf out;
	binary(&out, 0x21, 0x11, SLICE(ENDS4 "\x03\0\4????" "\x03\0\4????"));
	sum_up(&out, 31);
	assert_int_equal(proxy_parse(buf_slice(&out), &header), PROXY_BAD);
	assert_string_equal(header.problem, "the checksum is malformed");
	buf_free(&out);
}

static void a_header_is_told_from_a_clients_words(void **state)
{
	(void)state;
	assert_true(proxy_begins(SLICE("PROXY TCP4 1.2.3.4")));
	assert_true(proxy_begins(SLICE("PROXY x")));
	assert_true(proxy_begins(SLICE(SIGNATURE)));
	assert_true(proxy_begins(SLICE(SIGNATURE "\x21\x11")));
	assert_false(proxy_begins(SLICE("PROXY")));
	assert_false(proxy_begins(SLICE("PROXYING")));
	assert_false(proxy_begins(SLICE("\r\n\r\n")));
	assert_false(proxy_begins(SLICE("EHLO PROXY ")));
	assert_false(proxy_begins((struct slice){ 0 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_ends_where_it_says_and_not_before),
		cmocka_unit_test(version_1_gives_the_addresses_of_both_ends),
		cmocka_unit_test(what_follows_unknown_is_ignored_up_to_107_octets),
		cmocka_unit_test(malformed_lines_are_refused),
		cmocka_unit_test(what_no_proxy_sends_is_no_header),
		cmocka_unit_test(version_2_gives_the_addresses_of_both_ends),
		cmocka_unit_test(local_discards_the_block_with_its_family),
		cmocka_unit_test(what_is_no_tcp_falls_back_to_unspecified),
		cmocka_unit_test(unknown_versions_commands_and_families_are_refused),
		cmocka_unit_test(a_header_has_4096_octets_at_most),
		cmocka_unit_test(fields_tell_of_the_connection_to_the_proxy),
		cmocka_unit_test(a_certificate_is_verified_only_if_there_was_one),
		cmocka_unit_test(fields_that_are_cut_off_or_malformed_are_refused),
		cmocka_unit_test(a_unique_identifier_has_128_octets_at_most),
		cmocka_unit_test(a_checksum_that_is_there_must_be_right),
		cmocka_unit_test(a_header_has_one_checksum),
		cmocka_unit_test(a_header_is_told_from_a_clients_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
