/* SPDX-License-Identifier: ISC */
#include "base/test.h"
#include "mail/address.h"
#include "mail/host.h"
#include "mail/received.h"
#include "mail/field.h"
#include "mail/scan.h"
#include "mail/utf8.h"

struct path_case {
	const char *argument;
	unsigned flags;
	const char *local_part, *domain, *rest;
};

static void paths_are_taken_apart(void **state)
{
	(void)state;
	static const struct path_case cases[] = {
		{ "<a@b>", 0, "a", "b", "" },
		{ " <a.b+c@Example.ORG> SIZE=5 BODY=7BIT ", 0, "a.b+c", "Example.ORG", "SIZE=5 BODY=7BIT" },
		{ "<>", MAIL_PATH_NULL, "", "", "" },
		{ "<> SIZE=1", MAIL_PATH_NULL, "", "", "SIZE=1" },
		{ "<PostMaster>", MAIL_PATH_POSTMASTER, "PostMaster", "", "" },
		{ "<root>", MAIL_PATH_UNQUALIFIED, "root", "", "" },
		{ "<@x.y,@[192.0.2.1]:a@b>", 0, "a", "b", "" },
		{ "<\"a b\\\"c\\\\d\"@e>", 0, "a b\"c\\d", "e", "" },
		{ "<\"a@b>c\"@d> X=1", 0, "a@b>c", "d", "X=1" },
		{ "<a@[192.0.2.1]>", 0, "a", "[192.0.2.1]", "" },
		{ "<a@[IPv6:2001:db8::1]>", 0, "a", "[IPv6:2001:db8::1]", "" },
		{ "<\xc3\xa9@\xc3\xa9.example> SMTPUTF8", MAIL_PATH_UTF8, "\xc3\xa9", "\xc3\xa9.example", "SMTPUTF8" },
		{ "a@b SIZE=3", MAIL_PATH_BARE, "a", "b", "SIZE=3" },
		{ "<.a..b.@c_d-e>", 0, ".a..b.", "c_d-e", "" },
	};
	struct arena arena;
	struct error error;
	arena_init(&arena, 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct mail_path path;
		if (!mail_path_parse(slice_of(cases[i].argument), &arena, cases[i].flags, &path, &error))
			fail_msg("%s: %s", cases[i].argument, error.text);
		assert_slice(path.address.local_part, cases[i].local_part);
		assert_slice(path.address.domain, cases[i].domain);
		assert_slice(path.rest, cases[i].rest);
		assert_int_equal(path.null, cases[i].local_part[0] == '\0');
		assert_int_equal(path.address.quoted, strchr(cases[i].argument, '"') != NULL);
		assert_int_equal(path.address.utf8, (cases[i].flags & MAIL_PATH_UTF8) != 0);
	}
	arena_free(&arena);
}

static void bad_paths_are_refused_with_a_reason(void **state)
{
	(void)state;
	static const struct {
		const char *argument;
		unsigned flags;
		const char *reason;
	} cases[] = {
		{ "", 0, "empty address" },
		{ "<>", 0, "missing or malformed local part" },
		{ "< >", MAIL_PATH_NULL, "missing or malformed local part" },
		{ "a@b", 0, "'<' missing at start of address" },
		{ "<a@b", 0, "'>' missing at end of address" },
		{ "<a>", MAIL_PATH_POSTMASTER, "recipient address must contain a domain" },
		{ "<a>", MAIL_PATH_SENDER, "sender address must contain a domain" },
		{ "<a@>", 0, "domain missing or malformed" },
		{ "<a@b..c>", 0, "domain missing or malformed" },
		{ "<a@.b>", 0, "domain missing or malformed" },
		{ "<a@b.>", 0, "domain missing or malformed" },
		{ "<a@b c>", 0, "malformed address:  c> may not follow <a@b" },
		{ "<a b@c>", 0, "recipient address must contain a domain" },
		{ "<a@b@c>", 0, "malformed address: @c> may not follow <a@b" },
		{ "<a@b>x", 0, "malformed address: x may not follow <a@b>" },
		{ "<a(c)@b>", 0, "missing or malformed local part" },
		{ "<@x:>", 0, "missing or malformed local part" },
		{ "<@x,y:a@b>", 0, "domain missing in source-routed address" },
		{ "<@x a@b>", 0, "domain missing in source-routed address" },
		{ "<\"a@b>", 0, "unmatched doublequote in local part" },
		{ "<\"\"@b>", 0, "missing or malformed local part" },
		{ "<\"a\tb\"@c>", 0, "missing or malformed local part" },
		{ "<\"a\\\tb\"@c>", 0, "missing or malformed local part" },
		{ "<a@[1.2.3]>", 0, "malformed domain literal" },
		{ "<a@[1.2.3.4>", 0, "malformed domain literal" },
		{ "<a@[2001:db8::1]>", 0, "malformed domain literal" },
		{ "<a@[IPv6:1.2.3.4]>", 0, "malformed domain literal" },
		{ "<\xc3\xa9@b>", 0, "a non-ASCII address needs SMTPUTF8" },
		{ "<a\xc3\xa9@b>", 0, "a non-ASCII address needs SMTPUTF8" },
		{ "<a@b\xc3\xa9>", 0, "malformed address: \xc3\xa9> may not follow <a@b" },
		{ "<a@\xc3\xa9>", 0, "a non-ASCII address needs SMTPUTF8" },
		{ "<a\xc3@b>", MAIL_PATH_UTF8, "invalid UTF-8 byte sequence" },
		{ "<\xed\xa0\x80@b>", MAIL_PATH_UTF8, "invalid UTF-8 byte sequence" },
		{ "<a@\xc0\xaf>", MAIL_PATH_UTF8, "invalid UTF-8 byte sequence" },
	};
	struct arena arena;
	arena_init(&arena, 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct mail_path path;
		struct error error;
		if (mail_path_parse(slice_of(cases[i].argument), &arena, cases[i].flags, &path, &error))
			fail_msg("%s was taken", cases[i].argument);
		if (!slice_equal(slice_of(error.text), slice_of(cases[i].reason)))
			fail_msg("%s: expected \"%s\", got \"%s\"", cases[i].argument, cases[i].reason, error.text);
	}
	arena_free(&arena);
}

static bool parses(struct arena *arena, const char *before, size_t count, const char *after, unsigned flags)
{
	struct mail_path path;
	struct error error;
	char *fill = arena_alloc(arena, count + 1);
	memset(fill, 'x', count);
	struct slice text = arena_printf(arena, "%s%s%s", before, fill, after);
	return mail_path_parse(text, arena, flags, &path, &error);
}

static void lengths_have_the_bounds_of_rfc5321(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena, 0);
	assert_true(parses(&arena, "<", 64, "@b>", 0));
	assert_false(parses(&arena, "<", 65, "@b>", 0));
	assert_true(parses(&arena, "<", 65, "@b>", MAIL_PATH_LONG_LOCAL));
	assert_true(parses(&arena, "<\"", 62, "\"@b>", 0));
	assert_false(parses(&arena, "<\"", 63, "\"@b>", 0));
	assert_true(parses(&arena, "<", 252, "@b>", MAIL_PATH_LONG_LOCAL));
	assert_false(parses(&arena, "<", 253, "@b>", MAIL_PATH_LONG_LOCAL));
	assert_true(parses(&arena, "<a@", 63, ".b>", 0));
	assert_false(parses(&arena, "<a@", 64, ".b>", 0));
	arena_free(&arena);
}

static void a_nul_is_no_part_of_an_address(void **state)
{
	(void)state;
	struct arena arena;
	struct mail_path path;
	struct error error;
	arena_init(&arena, 0);
	assert_false(mail_path_parse(SLICE("<a\0b@c>"), &arena, 0, &path, &error));
	assert_false(mail_path_parse(SLICE("<a@b\0c>"), &arena, 0, &path, &error));
	assert_false(mail_path_parse(SLICE("<\"a\0b\"@c>"), &arena, 0, &path, &error));
	assert_false(mail_literal_valid(SLICE("[1.2.3.4\0]")));
	assert_false(mail_domain_valid(SLICE("a\0b"), true));
	arena_free(&arena);
}

static void addresses_without_brackets_are_whole(void **state)
{
	(void)state;
	struct arena arena;
	struct mail_address address;
	struct error error;
	arena_init(&arena, 0);
	assert_true(mail_address_parse(SLICE("\"x y\"@Ex.org"), &arena, 0, &address, &error));
	assert_slice(address.local_part, "x y");
	assert_slice(arena_copy_lower(&arena, address.domain), "ex.org");
	assert_false(mail_address_parse(SLICE("a@b "), &arena, 0, &address, &error));
	assert_false(mail_address_parse(SLICE("a@b>"), &arena, 0, &address, &error));
	assert_false(mail_address_parse(SLICE("<a@b>"), &arena, 0, &address, &error));
	assert_false(mail_address_parse(SLICE("a"), &arena, 0, &address, &error));
	arena_free(&arena);
}

static void formatting_quotes_only_where_needed(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{ "\"plain\"@b", "plain@b" },       { "\"a.b\"@c", "a.b@c" },         { "\"a b\"@c", "\"a b\"@c" },
		{ "\"a\\@b\"@c", "\"a@b\"@c" },     { "\"q\\\"q\"@c", "\"q\\\"q\"@c" }, { "\"\\\\\"@c", "\"\\\\\"@c" },
		{ "a+b=c/d|e@f", "a+b=c/d|e@f" },
	};
	struct arena arena;
	struct mail_address address;
	struct error error;
	arena_init(&arena, 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_true(mail_address_parse(slice_of(cases[i][0]), &arena, 0, &address, &error));
		assert_slice(mail_address_format(&address, &arena), cases[i][1]);
	}
	assert_int_equal(mail_address_format(&(struct mail_address){ 0 }, &arena).len, 0);
	arena_free(&arena);
}

static void utf8_is_as_rfc3629_says(void **state)
{
	(void)state;
	assert_true(mail_utf8_valid(SLICE("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xa7")));
	assert_true(mail_utf8_valid(SLICE("\xf4\x8f\xbf\xbf")));
	static const char *const bad[] = { "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x82", "\xc3" };
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(mail_utf8_valid(slice_of(bad[i])));
}

static struct mail_received received_over_tls(void)
{
	return (struct mail_received){
		.host_address = SLICE("127.0.0.1"), .helo = SLICE("client.example"), .primary_hostname = SLICE("mx.example"),
		.protocol = SLICE("esmtps"), .tls_version = SLICE("TLS1.3"), .cipher = SLICE("TLS_AES_256_GCM_SHA384"),
		.sender = SLICE("a@b"), .id = SLICE("1xUrCk-0001qt-0X"), .recipient = SLICE("user@example"),
		.date = SLICE("Sat, 21 Nov 2026 10:00:00 +0000"),
	};
}

static void assert_received(const struct mail_received *received, const char *expected)
{
	struct buf out;
	buf_init(&out, 4096);
	assert_true(mail_received_append(received, &out));
	assert_slice(buf_slice(&out), expected);
	buf_free(&out);
}

static void received_headers_have_exims_form(void **state)
{
	(void)state;
	struct mail_received received = received_over_tls();
	assert_received(&received, "Received: from [127.0.0.1] (helo=client.example)\r\n"
	                           "\tby mx.example with esmtps  (TLS1.3) tls TLS_AES_256_GCM_SHA384\r\n"
	                           "\t(Postern " POSTERN_VERSION ")\r\n\t(envelope-from <a@b>)\r\n\tid 1xUrCk-0001qt-0X\r\n"
	                           "\tfor user@example;\r\n\tSat, 21 Nov 2026 10:00:00 +0000\r\n");
	received.host_name = SLICE("client.example");
	received.port = 2525;
	received.tls_version = received.cipher = received.sender = received.recipient = (struct slice){ 0 };
	received.protocol = SLICE("esmtp");
	assert_received(&received, "Received: from client.example ([127.0.0.1]:2525)\r\n"
	                           "\tby mx.example with esmtp (Postern " POSTERN_VERSION ")\r\n"
	                           "\tid 1xUrCk-0001qt-0X;\r\n\tSat, 21 Nov 2026 10:00:00 +0000\r\n");
	received.host_name = (struct slice){ 0 };
	received.helo = SLICE("[127.0.0.1]");
	received.port = 0;
	assert_received(&received, "Received: from [127.0.0.1]\r\n"
	                           "\tby mx.example with esmtp (Postern " POSTERN_VERSION ")\r\n"
	                           "\tid 1xUrCk-0001qt-0X;\r\n\tSat, 21 Nov 2026 10:00:00 +0000\r\n");
}

/* Nothing in a text of others can end the header or begin another. */
static void received_texts_are_folded_anew(void **state)
{
	(void)state;
	static const struct {
		const char *text, *header;
	} cases[] = {
		{ "Received: by x", "Received: by x;\r\n\tDATE\r\n" },
		{ "Received: from a\n\tby x", "Received: from a\r\n\tby x;\r\n\tDATE\r\n" },
		{ "Received: from a\nBcc: b\r\n\r\nc\n", "Received: from a\r\n\tBcc: b\r\n\tc;\r\n\tDATE\r\n" },
		{ "\n Received: a\tb\r c\001 \n", "Received: ab c;\r\n\tDATE\r\n" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf out;
		buf_init(&out, 4096);
		assert_true(mail_received_append_text(slice_of(cases[i].text), SLICE("DATE"), &out));
		assert_slice(buf_slice(&out), cases[i].header);
		buf_free(&out);
		buf_init(&out, 20);
		assert_false(mail_received_append_text(slice_of(cases[i].text), SLICE("DATE"), &out));
		buf_free(&out);
	}
}

/* Exim's manual, chapter 11, $sender_fullhost. */
static void hosts_are_written_as_exim_writes_them(void **state)
{
	(void)state;
	static const struct {
		const char *name, *helo, *text;
	} cases[] = {
		{ "", "", "[192.0.2.1]" },
		{ "", "client", "(client) [192.0.2.1]" },
		{ "mx.example", "", "mx.example [192.0.2.1]" },
		{ "mx.example", "MX.example", "mx.example [192.0.2.1]" },
		{ "mx.example", "other", "mx.example (other) [192.0.2.1]" },
		{ "mx.example", "[192.0.2.1]", "mx.example [192.0.2.1]" },
		{ "", "[192.0.2.2]", "([192.0.2.2]) [192.0.2.1]" },
	};
	char text[640];
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		size_t len = mail_host_format(slice_of(cases[i].name), slice_of(cases[i].helo), SLICE("192.0.2.1"), text, sizeof text);
		assert_slice(slice_make(text, len), cases[i].text);
	}
	assert_int_equal(mail_host_format(SLICE("mx.example"), SLICE(""), SLICE("192.0.2.1"), text, 8), 7);
}

static void local_messages_name_their_user(void **state)
{
	(void)state;
	struct mail_received received = { .ident = SLICE("joe"), .primary_hostname = SLICE("mx"), .protocol = SLICE("local"),
		.id = SLICE("1"), .sender = SLICE("joe@mx"), .date = SLICE("now") };
	assert_received(&received, "Received: from joe by mx with local (Postern " POSTERN_VERSION ")\r\n"
	                           "\t(envelope-from <joe@mx>)\r\n\tid 1;\r\n\tnow\r\n");
}

static void received_headers_hold_no_control_characters(void **state)
{
	(void)state;
	struct mail_received received = received_over_tls();
	received.helo = SLICE("x)\r\nBcc: evil\0\x7f\x1b");
	received.ident = SLICE("\n");
	struct buf out;
	buf_init(&out, 4096);
	assert_true(mail_received_append(&received, &out));
	struct slice text = buf_slice(&out);
	assert_true(slice_starts(text, SLICE("Received: from [127.0.0.1] (helo=x)Bcc: evil ident=)\r\n\tby ")));
	for (size_t i = 0; i < text.len; i++)
		assert_true(text.data[i] >= 32 || text.data[i] == '\r' || text.data[i] == '\n' || text.data[i] == '\t');
	buf_free(&out);
	buf_init(&out, 50);
	assert_false(mail_received_append(&received, &out));
	buf_free(&out);
}

static struct mail_header_scan scan_text(struct slice text, size_t step)
{
	struct mail_header_scan scan;
	mail_header_scan_init(&scan);
	for (size_t at = 0; at < text.len; at += step)
		mail_header_scan_feed(&scan, slice_first(slice_from(text, at), step));
	return scan;
}

static void header_scans_do_not_depend_on_the_runs(void **state)
{
	(void)state;
	struct slice text = SLICE("Received: a\r\n\tb\r\nRECEIVED : x\r\nReceived-SPF: no\r\nMessage-Id:\r\n <1234@\r\n host>\r\n"
	                          "Message-ID: <second>\r\nA-very-long-field-name-Received: 1\r\nReceived: 3\r\n\r\nReceived: body\r\n");
	for (size_t step = 1; step <= text.len; step++) {
		struct mail_header_scan scan = scan_text(text, step);
		assert_int_equal(scan.received, 3);
		assert_int_equal(scan.fields, 7);
		assert_true(scan.ended);
		assert_false(scan.broken);
		assert_int_equal(scan.size, text.len - strlen("Received: body\r\n"));
		assert_int_equal(scan.section, text.len - strlen("\r\nReceived: body\r\n"));
		assert_slice(mail_header_scan_message_id(&scan), "1234@host");
		assert_int_equal(scan.longest_field, strlen("A-very-long-field-name-Received: 1\r\n"));
	}
}

static void header_sections_end_where_fields_end(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool ended, broken;
		unsigned fields;
	} cases[] = {
		{ "a: b\r\n", false, false, 1 },        { "\r\n", true, false, 0 },           { "\n", true, false, 0 },
		{ " folded\r\n", true, true, 0 },       { "a: b\r\nHello world\r\n", true, true, 1 },
		{ "a: b\r\n: x\r\n", true, true, 1 },   { "a: b\r\n\rx\r\n", true, true, 1 }, { "caf\xc3\xa9: x\r\n", false, false, 1 },
		{ "a\x7f: x\r\n", true, true, 0 },
		{ "a: b\r\n \r\nc: d\r\n", false, false, 2 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct mail_header_scan scan = scan_text(slice_of(cases[i].text), 1);
		assert_int_equal(scan.ended, cases[i].ended);
		assert_int_equal(scan.broken, cases[i].broken);
		assert_int_equal(scan.fields, cases[i].fields);
		assert_int_equal(scan.section, mail_header_length(slice_of(cases[i].text)));
	}
}

static void message_ids_are_cut_at_their_bound(void **state)
{
	(void)state;
	char text[600] = "Message-ID: ";
	memset(text + 12, 'i', sizeof text - 15);
	memcpy(text + sizeof text - 3, "\r\n", 3);
	struct mail_header_scan scan = scan_text(slice_of(text), 7);
	assert_int_equal(mail_header_scan_message_id(&scan).len, MAIL_SCAN_ID_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_taken_apart), cmocka_unit_test(bad_paths_are_refused_with_a_reason),
		cmocka_unit_test(lengths_have_the_bounds_of_rfc5321), cmocka_unit_test(a_nul_is_no_part_of_an_address),
		cmocka_unit_test(addresses_without_brackets_are_whole), cmocka_unit_test(formatting_quotes_only_where_needed),
		cmocka_unit_test(utf8_is_as_rfc3629_says), cmocka_unit_test(received_headers_have_exims_form),
		cmocka_unit_test(received_texts_are_folded_anew),
		cmocka_unit_test(hosts_are_written_as_exim_writes_them),
		cmocka_unit_test(local_messages_name_their_user), cmocka_unit_test(received_headers_hold_no_control_characters),
		cmocka_unit_test(header_scans_do_not_depend_on_the_runs), cmocka_unit_test(header_sections_end_where_fields_end),
		cmocka_unit_test(message_ids_are_cut_at_their_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
