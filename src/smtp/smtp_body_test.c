/* SPDX-License-Identifier: ISC */
/* Messages by DATA and BDAT: what ends them, what is refused, and that it does not matter how the octets arrive. */
#include "base/test.h"
#include "smtp/mini_session.h"

#define ENVELOPE "EHLO c.example\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define ENVELOPE_EVENTS "EHLO c.example\nMAIL a@b\nRCPT c@d\n"

static void open_session(struct mini_session *session)
{
	mini_open(session, MINI_ALL);
	session->settings.enforce_sync = false;
	mini_begin(session);
	mini_feed(session, SLICE(ENVELOPE), SIZE_MAX / 2);
	assert_slice(buf_slice(&session->events), ENVELOPE_EVENTS);
	buf_reset(&session->events);
	buf_reset(&session->replies);
}

static void assert_body(struct slice input, const char *events, const char *replies)
{
	for (size_t step = 1; step <= input.len; step++) {
		struct mini_session session;
		open_session(&session);
		mini_feed(&session, input, step);
		assert_slice(buf_slice(&session.events), events);
		assert_slice(buf_slice(&session.replies), replies);
		mini_close(&session);
	}
}

#define GO "354 Enter message, ending with \".\" on a line by itself\r\n"
#define QUITS "221 mx.example closing connection\r\n"

static void dots_are_undone_and_line_ends_kept(void **state)
{
	(void)state;
	assert_body(SLICE("DATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n"), "DATA \nBODY Subject: x\r\n\r\n|\nEND \nQUIT \nCLOSE QUIT\n",
	            GO "250 OK id=1\r\n" QUITS);
	assert_body(SLICE("DATA\r\n..\r\n.x\r\n...\r\na.\r\n.\r\n"), "DATA \nBODY .\r\nx\r\n..\r\na.\r\n|\nEND \n", GO "250 OK id=1\r\n");
	assert_body(SLICE("DATA\r\n.\r\nNOOP\r\n"), "DATA \nEND \n", GO "250 OK id=1\r\n250 OK\r\n");
	assert_body(SLICE("DATA\r\n\r\n\r\n.\r\n"), "DATA \nBODY \r\n\r\n|\nEND \n", GO "250 OK id=1\r\n");
}

/* Each of these ends a message for some server. Here none does, nothing behind it is run, and the connection ends. */
static void no_smuggling_form_ends_a_message(void **state)
{
	(void)state;
	static const struct {
		struct slice form;
		char kind;
	} forms[] = {
		{ SLICE("\n.\n"), 'L' },         { SLICE("\n.\r\n"), 'L' },     { SLICE("\r\n.\n"), 'L' },     { SLICE("\r.\r"), 'C' },
		{ SLICE("\r.\r\n"), 'C' },       { SLICE("\r\n.\r"), 'C' },     { SLICE("\r\n.\r\r\n"), 'C' }, { SLICE("\r\r\n.\r\n"), 'C' },
		{ SLICE("\r\n.\r\0\n"), 'C' },   { SLICE("\n\n.\r\n"), 'L' },   { SLICE("\n\r.\r\n"), 'L' },   { SLICE("\r\n\0.\r\n"), 'N' },
		{ SLICE("\r\n.\0\r\n"), 'N' },   { SLICE("\0\n.\r\n"), 'N' },   { SLICE("\r\n\n.\r\n"), 'L' }, { SLICE("\r\n.\n\r\n"), 'L' },
		{ SLICE("\r\n.\r.\r\n"), 'C' },
	};
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		const char *name = forms[i].kind == 'L' ? "bare LF" : forms[i].kind == 'C' ? "bare CR" : "NUL character";
		for (size_t step = 1; step < 60; step++) {
			struct mini_session session;
			struct arena arena;
			arena_init(&arena, 0);
			open_session(&session);
			mini_feed(&session, SLICE("DATA\r\nx"), step);
			mini_feed(&session, forms[i].form, step);
			mini_feed(&session, SLICE("MAIL FROM:<evil@e>\r\nRCPT TO:<v@d>\r\nDATA\r\nevil\r\n.\r\nNOOP\r\n"), step);
			assert_true(session.closed);
			struct slice events = buf_slice(&session.events);
			struct slice end = arena_printf(&arena, "|\nFAILED %s in message\nCLOSE %s in message\n", name, name);
			assert_true(slice_starts(events, SLICE("DATA \nBODY x")));
			assert_true(slice_ends_nocase(events, end));
			assert_null(memmem(events.data, events.len, "MAIL", 4));
			struct slice replies = buf_slice(&session.replies);
			assert_true(slice_starts(slice_from(replies, sizeof GO - 1), arena_printf(&arena, "550 %s received in message", name)));
			mini_close(&session);
			arena_free(&arena);
		}
	}
}

static void a_true_end_behind_a_smuggling_form_ends_the_connection(void **state)
{
	(void)state;
	assert_body(SLICE("DATA\r\nx\n.\r\nMAIL FROM:<evil@e>\r\n.\r\nRSET\r\nMAIL FROM:<e@f>\r\n"),
	            "DATA \nBODY x|\nFAILED bare LF in message\nCLOSE bare LF in message\n",
	            GO "550 bare LF received in message: lines must end with CRLF\r\n");
}

static void chunks_make_one_message(void **state)
{
	(void)state;
	assert_body(SLICE("BDAT 6\r\na: b\r\nBDAT 9\r\n\r\n.\r\n..\r\nBDAT 3 LAST\r\nx\r\nNOOP\r\n"),
	            "BDAT \nBODY a: b\r\n\r\n.\r\n..\r\nx\r\n|\nEND \n",
	            "250 6 byte chunk received\r\n250 9 byte chunk received\r\n250- 3 byte chunk, total 18\r\n250 OK id=1\r\n250 OK\r\n");
	assert_body(SLICE("BDAT 5\r\na: b\rBDAT 2\r\n\nxBDAT 0 LAST\r\n"), "BDAT \nBODY a: b\r\nx\r\n|\nEND \n",
	            "250 5 byte chunk received\r\n250 2 byte chunk received\r\n250- 0 byte chunk, total 9\r\n250 OK id=1\r\n");
	assert_body(SLICE("BDAT 0 LAST\r\nQUIT\r\n"), "BDAT \nEND \nQUIT \nCLOSE QUIT\n",
	            "250- 0 byte chunk, total 0\r\n250 OK id=1\r\n" QUITS);
}

static void chunks_with_bare_line_ends_are_refused(void **state)
{
	(void)state;
	static const char lf[] = "550 bare LF received in message: lines must end with CRLF\r\n";
	static const char cr[] = "250 2 byte chunk received\r\n550 bare CR received in message: lines must end with CRLF\r\n";
	assert_body(SLICE("BDAT 8 LAST\r\na\nb\r\nNOONOOP\r\n"), "BDAT \nBODY a|\nFAILED bare LF in message\nCLOSE bare LF in message\n", lf);
	assert_body(SLICE("BDAT 2\r\na\rBDAT 3 LAST\r\nb\r\n"), "BDAT \nBODY a|\nFAILED bare CR in message\nCLOSE bare CR in message\n", cr);
	assert_body(SLICE("BDAT 2\r\na\rBDAT 0 LAST\r\n"), "BDAT \nBODY a|\nFAILED bare CR in message\nCLOSE bare CR in message\n", cr);
	assert_body(SLICE("BDAT 3\r\na\0bNOOP\r\n"), "BDAT \nBODY a|\nFAILED NUL character in message\nCLOSE NUL character in message\n",
	            "550 NUL character received in message\r\n");
}

static void only_bdat_goes_on_between_chunks(void **state)
{
	(void)state;
	assert_body(SLICE("BDAT 1\r\nxDATA\r\nNOOP\r\nRSET\r\n"), "BDAT \nBODY x|\nREFUSED DATA\nRESET \n",
	            "250 1 byte chunk received\r\n503 only BDAT permissible after non-LAST BDAT\r\n250 OK\r\n250 Reset OK\r\n");
}

static void chunks_without_recipients_are_thrown_away(void **state)
{
	(void)state;
	assert_body(SLICE("RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<bad@d>\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n"),
	            "RESET \nMAIL a@b\nRCPT bad@d\nREFUSED BDAT 6 LAST\n",
	            "250 Reset OK\r\n250 OK\r\n550 no such user\r\n503-All RCPT commands were rejected with this error:\r\n"
	            "503-550 no such user\r\n503 valid RCPT command must precede BDAT\r\n250 OK\r\n");
}

static void a_bdat_line_not_understood_ends_the_connection(void **state)
{
	(void)state;
	static const char *const lines[] = { "BDAT\r\n", "BDAT x\r\n", "BDAT -1\r\n", "BDAT 5 FIRST\r\n", "BDAT 99999999999999999999\r\n" };
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		struct mini_session session;
		open_session(&session);
		mini_feed(&session, slice_of(lines[i]), 1);
		assert_true(session.closed);
		assert_true(slice_starts(buf_slice(&session.replies), SLICE("501 ")));
		mini_close(&session);
	}
}

static void a_message_over_the_limit_is_refused_at_its_end(void **state)
{
	(void)state;
	for (size_t step = 1; step < 40; step++) {
		struct mini_session session;
		open_session(&session);
		session.settings.message_size_limit = 10;
		mini_feed(&session, SLICE("DATA\r\n12345678\r\n.\r\n"), step);
		mini_feed(&session, SLICE("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n123456789\r\n.\r\nNOOP\r\n"), step);
		struct slice replies = buf_slice(&session.replies);
		assert_slice(replies, GO "250 OK id=1\r\n250 OK\r\n250 Accepted\r\n" GO "552 Message size exceeds maximum permitted\r\n250 OK\r\n");
		assert_true(slice_ends_nocase(buf_slice(&session.events), SLICE("FAILED message too big\n")));
		mini_close(&session);
	}
}

static void an_endless_message_is_cut_off(void **state)
{
	(void)state;
	struct mini_session session;
	struct arena arena;
	arena_init(&arena, 0);
	open_session(&session);
	session.settings.message_size_limit = 100 * 1000;
	char *lines = arena_alloc(&arena, 50000);
	for (size_t i = 0; i < 50000; i++)
		lines[i] = i % 50 == 48 ? '\r' : i % 50 == 49 ? '\n' : 'x';
	mini_feed(&session, SLICE("DATA\r\n"), 100);
	size_t fed = 0;
	while (!session.closed && fed < 5 * 1024 * 1024) {
		mini_feed(&session, slice_make(lines, 50000), 50000);
		fed += 50000;
		assert_true(session.in.size <= 64 * 1024 && !session.server.scratch.current);
	}
	assert_true(fed > 1024 * 1024 && fed < 1300 * 1024);
	assert_slice(buf_slice(&session.replies), GO "552 Message size exceeds maximum permitted\r\n");
	assert_true(slice_ends_nocase(buf_slice(&session.events),
	                              SLICE("FAILED message too big\nCLOSE refused message went on for too long\n")));
	mini_close(&session);
	arena_free(&arena);
}

static void the_bound_on_what_is_thrown_away_does_not_depend_on_the_pieces(void **state)
{
	(void)state;
	char text[101];
	memset(text, 'x', sizeof text);
	for (size_t step = 1; step <= sizeof text; step++) {
		struct mini_session session;
		open_session(&session);
		session.settings.message_size_limit = 40;
		session.settings.discard_max = 60;
		mini_feed(&session, SLICE("DATA\r\n"), 10);
		mini_feed(&session, slice_make(text, 100), step);
		assert_false(session.closed);
		mini_feed(&session, slice_make(text, 1), step);
		assert_true(session.closed);
		mini_close(&session);
		open_session(&session);
		session.settings.message_size_limit = 40;
		session.settings.discard_max = 60;
		mini_feed(&session, SLICE("DATA\r\n"), 10);
		mini_feed(&session, slice_make(text, 101), step);
		assert_true(session.closed);
		assert_slice(buf_slice(&session.replies), GO "552 Message size exceeds maximum permitted\r\n");
		mini_close(&session);
	}
}

static void a_chunk_over_the_limit_is_refused_by_its_size(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session);
	session.settings.message_size_limit = 10;
	mini_feed(&session, SLICE("BDAT 8\r\n12345678BDAT 3\r\nabcBDAT 1 LAST\r\nxMAIL FROM:<a@b>\r\n"), 7);
	assert_slice(buf_slice(&session.replies), "250 8 byte chunk received\r\n552 Message size exceeds maximum permitted\r\n"
	                                          "503 only RSET accepted now\r\n250 OK\r\n");
	assert_slice(buf_slice(&session.events), "BDAT \nBODY 12345678|\nFAILED message too big\nREFUSED BDAT 1 LAST\nRESET \nMAIL a@b\n");
	mini_close(&session);
	open_session(&session);
	session.settings.message_size_limit = 10;
	mini_feed(&session, SLICE("BDAT 5368709120 LAST\r\n"), 100);
	assert_slice(buf_slice(&session.replies), "552 Message size exceeds maximum permitted\r\n");
	assert_true(session.closed);
	mini_close(&session);
}

static void a_session_can_refuse_a_message_half_way(void **state)
{
	(void)state;
	static const struct slice inputs[] = {
		SLICE("DATA\r\n123456\r\nabcdef\r\n.\r\nNOOP\r\n"),
		SLICE("BDAT 10\r\n123456\r\nabBDAT 2 LAST\r\n\r\nNOOP\r\n"),
	};
	static const char *const replies[] = {
		GO "550 enough\r\n250 OK\r\n",
		"550 enough\r\n503 only RSET accepted now\r\n250 OK\r\n",
	};
	for (size_t i = 0; i < 2; i++) {
		for (size_t step = 1; step < inputs[i].len; step++) {
			struct mini_session session;
			open_session(&session);
			session.refuse_after = 3;
			mini_feed(&session, inputs[i], step);
			assert_slice(buf_slice(&session.replies), replies[i]);
			struct slice events = buf_slice(&session.events);
			assert_non_null(memmem(events.data, events.len, "FAILED test", 11));
			assert_null(memmem(events.data, events.len, "END", 3));
			mini_close(&session);
		}
	}
}

static void data_refused_by_the_session_takes_no_message(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session);
	session.data_code = 451;
	mini_feed(&session, SLICE("DATA\r\nBDAT 4\r\nNOOPBDAT 2 LAST\r\nxyNOOP\r\n"), 5);
	assert_slice(buf_slice(&session.replies), "451 not now\r\n451 not now\r\n503 only RSET accepted now\r\n250 OK\r\n");
	mini_close(&session);
	open_session(&session);
	session.data_code = 421;
	mini_feed(&session, SLICE("DATA\r\nNOOP\r\n"), 100);
	assert_slice(buf_slice(&session.replies), "421 not now\r\n");
	assert_true(session.closed);
	mini_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dots_are_undone_and_line_ends_kept), cmocka_unit_test(no_smuggling_form_ends_a_message),
		cmocka_unit_test(a_true_end_behind_a_smuggling_form_ends_the_connection), cmocka_unit_test(chunks_make_one_message),
		cmocka_unit_test(chunks_with_bare_line_ends_are_refused), cmocka_unit_test(only_bdat_goes_on_between_chunks),
		cmocka_unit_test(chunks_without_recipients_are_thrown_away),
		cmocka_unit_test(a_bdat_line_not_understood_ends_the_connection),
		cmocka_unit_test(a_message_over_the_limit_is_refused_at_its_end), cmocka_unit_test(an_endless_message_is_cut_off),
		cmocka_unit_test(the_bound_on_what_is_thrown_away_does_not_depend_on_the_pieces),
		cmocka_unit_test(a_chunk_over_the_limit_is_refused_by_its_size),
		cmocka_unit_test(a_session_can_refuse_a_message_half_way), cmocka_unit_test(data_refused_by_the_session_takes_no_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
