/* SPDX-License-Identifier: ISC */
#include "base/test.h"
#include "spool/envelope.h"

#include <stdio.h>

#define BASICS "Id: 1wXyZa-000Kc3-2B\nReceived: 5\nSender: s@example\n"

static void assert_parse(struct slice text, const char *want_error)
{
	struct arena arena;
	struct spool_envelope envelope;
	struct error error = { 0 };
	arena_init(&arena, 0);
	bool good = spool_envelope_parse(text, &arena, &envelope, &error);
	if (want_error && (good || !strstr(error.text, want_error)))
		fail_msg("%.*s: expected \"%s\", got \"%s\"", SLICE_ARG(text), want_error, good ? "success" : error.text);
	if (!want_error && !good)
		fail_msg("%.*s: %s", SLICE_ARG(text), error.text);
	arena_free(&arena);
}

static void an_envelope_reads_as_it_was_written(void **state)
{
	(void)state;
	struct spool_recipient recipients[2] = { { .address = SLICE("a@example") }, { .address = SLICE("\"x\r\ny\0z%\"@e") } };
	struct spool_variable variables[2] = { { SLICE("c0"), SLICE("a=b\nTo: x@y"), false }, { SLICE("m_seen"), SLICE(""), true } };
	struct spool_envelope before = {
		.variables = variables, .variable_count = 2,
		.id = { "1wXyZa-000Kc3-2B" }, .received_ns = INT64_MAX, .sender = SLICE(""), .recipients = recipients,
		.recipient_count = 2, .helo = SLICE("h\nTo: forged@example"), .host_name = SLICE("host"),
		.host_address = SLICE("2001:db8::1"), .protocol = SLICE("esmtps"), .cipher = SLICE("TLS1.3:X:256"),
		.cipher_standard = SLICE("TLS_X"), .peer_name = SLICE("/CN=a b"), .server_name = SLICE("mx.test"), .authenticated = SLICE("plain"), .authenticated_id = SLICE("a b"),
		.authenticated_sender = SLICE("c@d.test"), .verified = true,
		.tls_resumption = 31, .tls_ocsp = 4,
		.port = 65535, .eight_bit_mime = true, .smtputf8 = true, .queue_name = SLICE("off-peak_2"), .queue_only = true, .frozen = true,
	}, after;
	struct buf text;
	struct arena arena;
	struct error error;
	buf_init(&text, 10000);
	arena_init(&arena, 0);
	assert_true(spool_envelope_format(&before, &text, &error));
	assert_true(spool_envelope_parse(buf_slice(&text), &arena, &after, &error));
	assert_string_equal(after.id.text, before.id.text);
	assert_true(after.received_ns == INT64_MAX && after.port == 65535 && after.eight_bit_mime && after.smtputf8);
	assert_int_equal(after.recipient_count, 2);
	assert_int_equal(after.sender.len, 0);
	assert_true(slice_equal(after.recipients[1].address, recipients[1].address));
	assert_true(slice_equal(after.helo, before.helo));
	assert_slice(after.host_name, "host");
	assert_slice(after.host_address, "2001:db8::1");
	assert_slice(after.protocol, "esmtps");
	assert_slice(after.cipher, "TLS1.3:X:256");
	assert_int_equal(after.variable_count, 2);
	assert_slice(after.variables[0].name, "c0");
	assert_slice(after.variables[0].value, "a=b\nTo: x@y");
	assert_slice(after.variables[1].name, "m_seen");
	assert_true(after.variables[1].value.len == 0 && after.variables[1].tainted && !after.variables[0].tainted);
	assert_slice(after.cipher_standard, "TLS_X");
	assert_slice(after.peer_name, "/CN=a b");
	assert_slice(after.server_name, "mx.test");
	assert_slice(after.authenticated, "plain");
	assert_slice(after.authenticated_id, "a b");
	assert_slice(after.authenticated_sender, "c@d.test");
	assert_true(after.verified && after.tls_resumption == 31 && after.tls_ocsp == 4);
	assert_slice(after.queue_name, "off-peak_2");
	assert_true(after.queue_only && after.frozen);
	buf_free(&text);
	arena_free(&arena);
}

static void empty_fields_are_left_out_but_the_sender(void **state)
{
	(void)state;
	struct spool_recipient recipient = { .address = SLICE("a@e") };
	struct spool_envelope envelope = { .id = { "1wXyZa-000Kc3-2B" }, .recipients = &recipient, .recipient_count = 1 };
	struct buf text;
	struct error error;
	buf_init(&text, 10000);
	assert_true(spool_envelope_format(&envelope, &text, &error));
	assert_slice(buf_slice(&text), "Id: 1wXyZa-000Kc3-2B\nReceived: 0\nSender: \nTo: a@e\n");
	buf_free(&text);
}

static void what_could_not_be_read_again_is_not_written(void **state)
{
	(void)state;
	static char longest[SPOOL_VALUE_MAX + 1];
	memset(longest, 'a', sizeof longest);
	struct spool_recipient recipient = { .address = SLICE("a@e") };
	struct spool_envelope good = { .id = { "1wXyZa-000Kc3-2B" }, .recipients = &recipient, .recipient_count = 1 };
	struct spool_envelope bad[] = { good, good, good, good, good, good };
	struct spool_recipient nobody = { 0 };
	struct error error;
	bad[0].recipient_count = 0;
	bad[1].id.text[3] = '/';
	bad[2].sender = slice_make(longest, sizeof longest);
	bad[3].recipients = &nobody;
	bad[4].received_ns = -1;
	bad[5].queue_name = SLICE("../x");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct buf text;
		buf_init(&text, 10000);
		assert_false(spool_envelope_format(&bad[i], &text, &error));
		assert_int_equal(error.kind, ERROR_PERMANENT);
		buf_free(&text);
	}
}

static void each_rule_of_the_syntax_is_enforced(void **state)
{
	(void)state;
	assert_parse(SLICE(BASICS "To: a@e\n"), NULL);
	assert_parse(SLICE(""), "cut off");
	assert_parse(SLICE(BASICS "To: a@e"), "cut off");
	assert_parse(SLICE(BASICS), "0 recipients");
	assert_parse(SLICE(BASICS "To: \n"), "\"To\"");
	assert_parse(SLICE(BASICS "Acl: m_x=\nAcl-Tainted: c0=%0A\nTo: a@e\n"), NULL);
	assert_parse(SLICE(BASICS "Acl: m_x\nTo: a@e\n"), "\"Acl\"");
	assert_parse(SLICE(BASICS "Acl: =x\nTo: a@e\n"), "\"Acl\"");
	assert_parse(SLICE(BASICS "Acl-Tainted: m/x=1\nTo: a@e\n"), "\"Acl-Tainted\"");
	assert_parse(SLICE(BASICS "Acl-Other: m=1\nTo: a@e\n"), "unknown field");
	assert_parse(SLICE("Id: 1wXyZa-000Kc3-2B\nReceived: 5\nTo: a@e\n"), "lacks the field \"Sender\"");
	assert_parse(SLICE(BASICS "Colour: red\nTo: a@e\n"), "unknown field in the envelope: \"Colour\"");
	assert_parse(SLICE(BASICS "\033[2J: red\nTo: a@e\n"), "\"?[2J\"");
	assert_parse(SLICE(BASICS "Sender: b@e\nTo: a@e\n"), "twice the field \"Sender\"");
	assert_parse(SLICE(BASICS "Port: 65536\nTo: a@e\n"), "\"Port\"");
	assert_parse(SLICE(BASICS "Port: 025\nTo: a@e\n"), "\"Port\"");
	assert_parse(SLICE(BASICS "Port: 0\nTo: a@e\n"), "\"Port\"");
	assert_parse(SLICE(BASICS "Helo: \nTo: a@e\n"), "\"Helo\"");
	assert_parse(SLICE(BASICS "8BITMIME: no\nTo: a@e\n"), "\"8BITMIME\"");
	assert_parse(SLICE(BASICS "Queue: off-peak_2\nQueue-Only: yes\nTo: a@e\n"), NULL);
	assert_parse(SLICE(BASICS "Queue: off peak\nTo: a@e\n"), "\"Queue\"");
	assert_parse(SLICE(BASICS "Queue: ../x\nTo: a@e\n"), "\"Queue\"");
	assert_parse(SLICE(BASICS "Queue: \nTo: a@e\n"), "\"Queue\"");
	assert_parse(SLICE(BASICS "Helo:x\nTo: a@e\n"), "no \"Name: value\"");
	assert_parse(SLICE(BASICS "\nTo: a@e\n"), "no \"Name: value\"");
	assert_parse(SLICE(BASICS "To: a%0De\n"), NULL);
	assert_parse(SLICE(BASICS "To: a\re\n"), "\"To\"");
	assert_parse(SLICE(BASICS "To: a\0e\n"), "\"To\"");
	assert_parse(SLICE(BASICS "To: a%0d\n"), "\"To\"");
	assert_parse(SLICE(BASICS "To: a%41\n"), "\"To\"");
	assert_parse(SLICE(BASICS "To: a%\n"), "\"To\"");
	assert_parse(SLICE(BASICS "To: a%0\n"), "\"To\"");
	assert_parse(SLICE("Id: ../../etc/passwd\nReceived: 5\nSender: \nTo: a@e\n"), "\"Id\"");
	assert_parse(SLICE("Id: 1wXyZa-000Kc3-2B\nReceived: 9223372036854775808\nSender: \nTo: a@e\n"), "\"Received\"");
}

static void the_first_line_has_one_form(void **state)
{
	(void)state;
	char line[SPOOL_HEADER_LEN + 1];
	struct spool_header header = { 4096, 0x0123abcd, 512 }, read;
	spool_header_format(&header, line);
	assert_string_equal(line, "Postern-Message: 1 size=00000000000000004096 crc=0123abcd envelope=00000512\n");
	assert_true(spool_header_parse(slice_of(line), &read));
	assert_true(read.body_size == 4096 && read.crc == 0x0123abcd && read.envelope_size == 512);
	for (size_t i = 0; i < SPOOL_HEADER_LEN; i++) {
		/* No byte may be anything else but another digit. */
		char kept = line[i];
		line[i] = 'G';
		assert_false(spool_header_parse(slice_of(line), &read));
		line[i] = kept;
	}
	assert_false(spool_header_parse(slice_make(line, SPOOL_HEADER_LEN - 1), &read));
	spool_header_format(&(struct spool_header){ .envelope_size = SPOOL_ENVELOPE_MAX + 1 }, line);
	assert_false(spool_header_parse(slice_of(line), &read));
	/* The check covers the sizes as well. */
	assert_int_not_equal(spool_header_crc(1, 10, 20), spool_header_crc(1, 11, 19));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_envelope_reads_as_it_was_written), cmocka_unit_test(empty_fields_are_left_out_but_the_sender),
		cmocka_unit_test(what_could_not_be_read_again_is_not_written),
		cmocka_unit_test(each_rule_of_the_syntax_is_enforced), cmocka_unit_test(the_first_line_has_one_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
