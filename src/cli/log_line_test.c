/* SPDX-License-Identifier: ISC */
/* Lines of main logs, Postern's and Exim's of several ages; what peers write into them; and the counting of many keys. */
#include "base/test.h"
#include "cli/log_line.h"
#include "cli/stats.h"

#define STAMP "2026-11-21 10:00:00"
#define ID "1wXyZa-000Kc3-2B"

static struct log_entry parse(const char *line)
{
	struct log_entry entry;
	assert_true(log_line_parse(slice_of(line), &entry));
	assert_slice(entry.stamp, STAMP);
	return entry;
}

static void an_arrival_with_everything(void **state)
{
	(void)state;
	struct log_entry entry = parse(STAMP " " ID " <= a@b.test H=mx.b.test (helo.test) [192.0.2.1]:4711 P=esmtps "
				       "X=TLS1.3:TLS_AES_256_GCM_SHA384:256* CV=yes DN=\"CN=mx.b.test,O=X= CV=no\" SNI=\"mx.a.test\" S=1234 id=x@y");
	assert_int_equal(entry.event, LOG_ARRIVAL);
	assert_slice(entry.id, ID);
	assert_slice(entry.host, "192.0.2.1");
	assert_slice(entry.protocol, "esmtps");
	assert_slice(entry.version, "TLS1.3");
	assert_slice(entry.cipher, "TLS_AES_256_GCM_SHA384");
	assert_true(entry.resumed && entry.verified);
	assert_int_equal(entry.size, 1234);
}

/* log_selector +millisec +pid, log_timezone, and the older names of versions. */
static void what_log_selectors_put_in_front(void **state)
{
	static const char *const starts[] = { "", ".123", " +0100", " [4711]", ".123 -0500 [1]" };
	(void)state;
	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		char line[300];
		snprintf(line, sizeof line, STAMP "%s " ID " <= <> H=[2001:db8::1] P=esmtps X=TLSv1.2:ECDHE-RSA-AES256-GCM-SHA384:256 CV=no S=5",
			 starts[i]);
		struct log_entry entry = parse(line);
		assert_int_equal(entry.event, LOG_ARRIVAL);
		assert_slice(entry.host, "2001:db8::1");
		assert_slice(entry.version, "TLSv1.2");
		assert_slice(entry.cipher, "ECDHE-RSA-AES256-GCM-SHA384");
		assert_false(entry.resumed || entry.verified);
	}
}

static void deliveries_over_the_network_and_here(void **state)
{
	(void)state;
	struct log_entry entry = parse(STAMP " " ID " => u@d.test R=dns T=smtp S=99 H=mx.d.test [192.0.2.9]* X=TLS1.3:TLS_AES_128_GCM_SHA256:128 "
				       "CV=dane C=\"250 X=TLS1.0:bad:1\"");
	assert_int_equal(entry.event, LOG_DELIVERY);
	assert_slice(entry.host, "192.0.2.9");
	assert_slice(entry.version, "TLS1.3");
	assert_true(entry.verified);
	entry = parse(STAMP " " ID " -> v@d.test R=dns T=smtp H=mx.d.test [192.0.2.9] C=\"250 X=TLS1.0:bad:1 ok\"");
	assert_true(entry.event == LOG_DELIVERY && entry.another);
	assert_int_equal(entry.version.len, 0);
	entry = parse(STAMP " " ID " => user <user@a.test> R=virtual T=maildir");
	assert_true(entry.event == LOG_DELIVERY && entry.host.len == 0);
}

static void other_kinds_of_lines(void **state)
{
	static const struct { const char *line; enum log_event event; } lines[] = {
		{ STAMP " " ID " == a@b.test R=x T=y defer (-1): no", LOG_DEFERRED },
		{ STAMP " " ID " ** a@b.test R=x: no", LOG_FAILED },
		{ STAMP " " ID " Completed", LOG_COMPLETED },
		{ STAMP " H=(x) [192.0.2.1] F=<a@b> rejected RCPT <c@d>: relay not permitted", LOG_REJECTED },
		{ STAMP " H=[127.0.0.1] SMTP connection dropped: SMTP protocol synchronization error", LOG_OTHER },
		{ STAMP " Postern 0.1.0 daemon started: pid=1", LOG_OTHER },
		{ STAMP " <= a@b H=[192.0.2.1]", LOG_OTHER }, /* no identifier */
		{ STAMP, LOG_OTHER },
	};
	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		if (parse(lines[i].line).event != lines[i].event)
			fail_msg("%s", lines[i].line);
}

static void failed_handshakes_have_host_and_reason(void **state)
{
	static const struct { const char *rest, *host, *reason; } lines[] = {
		{ "(helo) [192.0.2.1] (SSL_accept): unsupported protocol", "192.0.2.1", "unsupported protocol" },
		{ "[192.0.2.1]:99 (SSL_accept): no shared cipher (offered TLS1.2, AES128-SHA)", "192.0.2.1", "no shared cipher" },
		{ "mx.test [192.0.2.1] (SSL_accept): error:0A000102:SSL routines::unsupported protocol", "192.0.2.1", "unsupported protocol" },
		{ "H=mx.test [192.0.2.1] (gnutls_handshake): timed out", "192.0.2.1", "timed out" },
		{ "([198.51.100.1]) [192.0.2.1] (SSL_accept): timed out", "192.0.2.1", "timed out" },
		{ "[192.0.2.1] (SSL_accept)", "192.0.2.1", "no reason given" },
		{ "(helo) [192.0.2.1] choosing the certificate for x.test: tls_certificate: /c/ has no default.pem (offered TLS1.3; SNI=x.test)",
		  "192.0.2.1", "tls_certificate: /c/ has no default.pem" },
		{ "[192.0.2.1] choosing the certificate for a name that is none: tls_crl: no (offered TLS1.3)", "192.0.2.1", "tls_crl: no" },
		{ "[192.0.2.1] starting TLS: error:0A:SSL routines::no memory (offered TLS1.3)", "192.0.2.1", "starting TLS: error:0A:SSL routines::no memory" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		char line[300];
		snprintf(line, sizeof line, STAMP " TLS error on connection from %s", lines[i].rest);
		struct log_entry entry = parse(line);
		assert_int_equal(entry.event, LOG_HANDSHAKE_ERROR);
		assert_slice(entry.host, lines[i].host);
		assert_slice(entry.reason, lines[i].reason);
	}
	assert_int_equal(parse(STAMP " TLS error on connection from [192.0.2.1] while reading SMTP command").event, LOG_OTHER);
}

static void refusals_before_a_handshake_have_a_reason(void **state)
{
	static const struct { const char *line, *reason; } lines[] = {
		{ STAMP " H=(helo) [192.0.2.1] STARTTLS refused: TLS is configured but cannot be used: tls_require_ciphers: none", "tls_require_ciphers: none" },
		{ STAMP " H=mx.test [192.0.2.1]:9 I=[192.0.2.2]:25 STARTTLS refused: TLS is configured but cannot be used: x", "x" },
		{ STAMP " " ID " H=[192.0.2.1] STARTTLS refused: TLS is configured but cannot be used: y", "y" },
		{ STAMP " H=[192.0.2.1] TLS on connect refused: TLS is configured but cannot be used: error:0A:SSL routines::z", "z" },
		{ STAMP " H=[192.0.2.1] TLS on connect refused: the proxy's header is bad", "the proxy's header is bad" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct log_entry entry = parse(lines[i].line);
		assert_int_equal(entry.event, LOG_TLS_REFUSED);
		assert_slice(entry.host, "192.0.2.1");
		assert_slice(entry.reason, lines[i].reason);
	}
	assert_int_equal(parse(STAMP " H=([192.0.2.9] STARTTLS refused: x) STARTTLS refused: y").event, LOG_OTHER);
	assert_int_equal(parse(STAMP " H=(x) [192.0.2.1] F=<a@b> rejected RCPT <c@d>: STARTTLS refused: x").event, LOG_REJECTED);
}

/* A peer chooses its sender, its name, its certificate. */
static void what_peers_write_does_not_become_a_field(void **state)
{
	(void)state;
	struct log_entry entry = parse(STAMP " " ID " <= \"a X=TLS9.9:fake:1 H=x [203.0.113.1] \\\" b\"@c.test H=d.test [192.0.2.1] P=smtp S=1");
	assert_slice(entry.host, "192.0.2.1");
	assert_int_equal(entry.version.len, 0);
	entry = parse(STAMP " " ID " <= \"open X=TLS9.9:fake:1 H=d.test [192.0.2.1] P=smtp");
	assert_slice(entry.host, "192.0.2.1");
	entry = parse(STAMP " " ID " <= a@b H=([203.0.113.1]) [192.0.2.1] P=smtp T=\"X=TLS9.9:fake:1\" X=TLS9.8:fake:1");
	assert_slice(entry.host, "192.0.2.1");
	assert_slice(entry.version, "TLS9.8");
	entry = parse(STAMP " " ID " <= a@b H=[../../etc/passwd] P=smtp");
	assert_int_equal(entry.host.len, 0);
	entry = parse(STAMP " " ID " <= a@b H=[192.0.2.1] S=99999999999999999999999 X=:::* CV=");
	assert_int_equal(entry.size, 0);
	assert_slice(entry.cipher, ":");
}

static void lines_without_a_date_are_nothing(void **state)
{
	static const char *const lines[] = { "", "x", "2026-11-21", "2026-11-21T10:00:00 x", "\xff\xfe", "Nov 21 10:00:00 host x" };
	struct log_entry entry;
	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		assert_false(log_line_parse(slice_of(lines[i]), &entry));
}

/* The same figures for each name of a version; a resumed session is an encrypted one. */
static void counting(void **state)
{
	static const char *const lines[] = {
		STAMP " " ID " <= a@b H=[192.0.2.1] P=esmtps X=TLS1.2:A:256 CV=no S=100",
		STAMP " " ID " <= a@b H=[192.0.2.1] P=esmtps X=TLSv1.2:A:256* CV=yes S=100",
		STAMP " " ID " <= a@b H=[192.0.2.2] P=esmtp S=50",
		STAMP " " ID " <= a@b U=root P=local S=50",
		STAMP " " ID " => a@b R=x T=y H=m [192.0.2.3] X=TLSv1:B:128 CV=no",
		STAMP " " ID " -> b@b R=x T=y H=m [192.0.2.3] X=TLSv1:B:128 CV=no",
	};
	struct stats *stats = test_calloc(1, sizeof *stats);
	size_t count;
	(void)state;
	stats_init(stats);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		stats_count(stats, slice_of(lines[i]));
	assert_int_equal(stats->in.messages, 3);
	assert_int_equal(stats->in.encrypted, 2);
	assert_int_equal(stats->in.resumed, 1);
	assert_int_equal(stats->in.verified, 1);
	assert_int_equal(stats->in.bytes, 250);
	assert_int_equal(stats->local_in, 1);
	assert_int_equal(stats->out.messages, 1);
	struct tally_entry *ciphers = tally_sorted(&stats->in.ciphers, &count);
	assert_int_equal(count, 1);
	assert_string_equal(ciphers[0].key, "TLS1.2 with cipher A");
	assert_int_equal(ciphers[0].count, 2);
	free(ciphers);
	ciphers = tally_sorted(&stats->out.versions, &count);
	assert_string_equal(ciphers[0].key, "TLS1.0");
	free(ciphers);
	stats_free(stats);
	test_free(stats);
}

/* A flood of keys that are seen once each cannot push out one that is seen often, nor fill the memory. */
static void tallies_keep_the_frequent_keys(void **state)
{
	struct tally tally;
	size_t count;
	char key[400];
	(void)state;
	tally_init(&tally, 1000);
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(key, sizeof key, "%u", i);
		tally_add(&tally, slice_of(key), 1);
		if (i % 50 == 0)
			tally_add(&tally, SLICE("often"), 2);
	}
	struct tally_entry *all = tally_sorted(&tally, &count);
	assert_true(count <= 1000);
	assert_string_equal(all[0].key, "often");
	assert_int_equal(all[0].count, 2000);
	assert_int_equal(all[0].bytes, 4000);
	uint64_t sum = tally.forgotten;
	for (size_t i = 0; i < count; i++)
		sum += all[i].count;
	assert_int_equal(sum, 102000);
	free(all);
	memset(key, 'x', sizeof key);
	tally_add(&tally, slice_make(key, sizeof key), 0);
	tally_add(&tally, (struct slice){ 0 }, 0);
	tally_free(&tally);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_arrival_with_everything),
		cmocka_unit_test(what_log_selectors_put_in_front),
		cmocka_unit_test(deliveries_over_the_network_and_here),
		cmocka_unit_test(other_kinds_of_lines),
		cmocka_unit_test(failed_handshakes_have_host_and_reason),
		cmocka_unit_test(refusals_before_a_handshake_have_a_reason),
		cmocka_unit_test(what_peers_write_does_not_become_a_field),
		cmocka_unit_test(lines_without_a_date_are_nothing),
		cmocka_unit_test(counting),
		cmocka_unit_test(tallies_keep_the_frequent_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
