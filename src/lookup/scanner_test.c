/* SPDX-License-Identifier: ISC */
/* What scanners answer, and the servers of the options that name them. */
#include "lookup/scanner.h"
#include "base/test.h"

static void replies_of_spamd(void **state)
{
	static const struct {
		const char *reply;
		bool rspamd;
		const char *verdict; /* NULL: none */
	} rows[] = {
		{ "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 7.5 / 5.0\r\n\r\nA\r\nB\r\n\r\n", false, "7500\n5000\nreject\nA\n B" },
		{ "SPAMD/1.1 0 EX_OK\r\nContent-length: 3\r\nSpam: False ; -0.25 / 5.0\r\n\r\n", false, "-250\n5000\nno action\n" },
		{ "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 5.0 / 5.0\r\n\r\nx\1y\n\tz\n", false, "5000\n5000\nreject\nx y\n\tz" },
		{ "SPAMD/1.1 76 EX_PROTOCOL\r\nSpam: True ; 7.5 / 5.0\r\n\r\n", false, NULL },
		{ "SPAMD/1.1 0 EX_OK\r\nSpam: True ; x / 5.0\r\n\r\n", false, NULL },
		{ "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 99999999999999999999 / 5.0\r\n\r\n", false, NULL },
		{ "SPAMD/1.1 0 EX_OK\r\n\r\nSpam: True ; 7.5 / 5.0\r\n", false, NULL },
		{ "HTTP/1.1 200 OK\r\n\r\n", false, NULL },
		{ "RSPAMD/1.3 0 EX_OK\r\nMetric: default; True; 20.50 / 15.00 / 0.0\r\nAction: soft reject\r\n", true,
		  "20500\n15000\nsoft reject\nRSPAMD/1.3 0 EX_OK\n Metric: default; True; 20.50 / 15.00 / 0.0\n Action: soft reject" },
		{ "RSPAMD/1.3 0 EX_OK\r\nAction: reject\r\n", true, NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct slice verdict = { 0 };
		struct arena arena;
		bool spam;
		arena_init(&arena, 0);
		bool good = scan_spam_read(slice_of(rows[i].reply), rows[i].rspamd, &arena, &verdict, &spam);
		if (good != (rows[i].verdict != NULL) || (good && !slice_equal(verdict, slice_of(rows[i].verdict))))
			fail_msg("\"%s\" gives \"%.*s\"", rows[i].reply, SLICE_ARG(verdict));
		arena_free(&arena);
	}
}

static void replies_of_clamd(void **state)
{
	struct slice name;
	struct error error;
	bool infected;
	(void)state;
	assert_true(scan_clamd_read(SLICE("stream: OK"), &infected, &name, &error) && !infected);
	assert_true(scan_clamd_read(SLICE("stream: Win.Test-1 FOUND"), &infected, &name, &error) && infected);
	assert_slice(name, "Win.Test-1");
	assert_false(scan_clamd_read(SLICE("INSTREAM size limit exceeded. ERROR"), &infected, &name, &error));
	assert_string_equal(error.text, "clamd: INSTREAM size limit exceeded. ERROR");
	assert_false(scan_clamd_read(SLICE("stream:  FOUND"), &infected, &name, &error) && infected);
	assert_false(scan_clamd_read(SLICE(""), &infected, &name, &error));
}

static void servers_with_their_options(void **state)
{
	static const char *const wrong[] = { "", "host", "host x", "host 0", "host 70000", "host 20-10", "host 25 nosuch", "/path tmo=0s",
					     "/path time=25-26.99", "host 25 weight=x", "host 25 variant=other" };
	struct scanner_server server;
	struct error error;
	(void)state;
	assert_true(scanner_parse(SLICE("192.0.2.1 783-785 pri=2 weight=50 time=9.30-17.0.5 retry=10s tmo=1m variant=rspamd"), &server, &error));
	assert_slice(server.host, "192.0.2.1");
	assert_slice(server.shown, "192.0.2.1 783");
	assert_int_equal(server.port, 783);
	assert_int_equal(server.last_port, 785);
	assert_int_equal(server.priority, 2);
	assert_int_equal(server.weight, 50);
	assert_int_equal(server.from, 9 * 3600 + 30 * 60);
	assert_int_equal(server.until, 17 * 3600 + 5);
	assert_true(server.retry == 10 * CLOCK_SECOND && server.limit == 60 * CLOCK_SECOND && server.rspamd);
	assert_true(scanner_parse(SLICE("/run/clamd.sock retry=5s"), &server, &error));
	assert_slice(server.path, "/run/clamd.sock");
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (scanner_parse(slice_of(wrong[i]), &server, &error))
			fail_msg("\"%s\" is taken for a server", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_of_spamd),
		cmocka_unit_test(replies_of_clamd),
		cmocka_unit_test(servers_with_their_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
