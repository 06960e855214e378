/* SPDX-License-Identifier: ISC */
/* Commands: every one in every state, limits, synchronisation, STARTTLS, forms of lines and replies. */
#include "base/test.h"
#include "smtp/mini_session.h"

static void open_session(struct mini_session *session, unsigned options)
{
	mini_open(session, options);
	mini_begin(session);
	assert_slice(buf_slice(&session->replies), "220 mx.example ESMTP\r\n");
	buf_reset(&session->replies);
}

static void say(struct mini_session *session, const char *lines)
{
	buf_reset(&session->replies);
	buf_reset(&session->events);
	mini_feed(session, slice_of(lines), SIZE_MAX / 2);
}

/* Line by line, as a client that waits; only the last reply is kept. */
static void say_lines(struct mini_session *session, const char *lines)
{
	struct arena arena;
	struct slice rest = slice_of(lines);
	arena_init(&arena, 0);
	while (rest.len && !session->closed) {
		struct slice line = slice_cut(&rest, '\n');
		say(session, arena_cstr(&arena, arena_printf(&arena, "%.*s\n", SLICE_ARG(line))));
	}
	arena_free(&arena);
}

#define assert_says(session, lines, expected)                           \
	do {                                                            \
		say((session), (lines));                                \
		assert_slice(buf_slice(&(session)->replies), expected); \
	} while (0)

/* Columns of the table below. */
enum { START, READY, MAIL, RCPT, CHUNKS, FAILED, NO_TLS, COLUMNS };

static const char *const ways[COLUMNS] = {
	[START] = "",
	[READY] = "EHLO c\r\n",
	[MAIL] = "EHLO c\r\nMAIL FROM:<a@b>\r\n",
	[RCPT] = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n",
	[CHUNKS] = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 2\r\n\r\n",
	[FAILED] = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 9999999\r\n",
	[NO_TLS] = "EHLO c\r\nSTARTTLS\r\n",
};

struct outcome {
	unsigned code;
	char state; /* 's'tart, 'r'eady, 'm'ail, rc'p't, 'd'ata, 'c'hunks, 'f'ailed, 'h'andshake, 'x' closed */
};

static const struct {
	const char *line;
	struct outcome outcome[COLUMNS];
} expected[] = {
	/*                        START         READY         MAIL          RCPT          CHUNKS        FAILED        NO_TLS */
	{ "HELO x\r\n",         { { 250, 'r' }, { 250, 'r' }, { 250, 'r' }, { 250, 'r' }, { 250, 'r' }, { 250, 'r' }, { 554, 'r' } } },
	{ "EHLO x\r\n",         { { 250, 'r' }, { 250, 'r' }, { 250, 'r' }, { 250, 'r' }, { 250, 'r' }, { 250, 'r' }, { 554, 'r' } } },
	{ "EHLO bad\r\n",       { { 550, 's' }, { 550, 'r' }, { 550, 'm' }, { 550, 'p' }, { 550, 'c' }, { 550, 'f' }, { 554, 'r' } } },
	{ "EHLO a_b\r\n",       { { 501, 's' }, { 501, 'r' }, { 501, 'm' }, { 501, 'p' }, { 501, 'c' }, { 501, 'f' }, { 554, 'r' } } },
	{ "MAIL FROM:<e@f>\r\n", { { 503, 's' }, { 250, 'm' }, { 503, 'm' }, { 503, 'p' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "MAIL FROM:<bad@f>\r\n", { { 503, 's' }, { 550, 'r' }, { 503, 'm' }, { 503, 'p' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "MAIL FROM:<e>\r\n",  { { 503, 's' }, { 501, 'r' }, { 503, 'm' }, { 503, 'p' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "MAIL FROM:\r\n",     { { 503, 's' }, { 501, 'r' }, { 503, 'm' }, { 503, 'p' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "MAIL\r\n",           { { 500, 's' }, { 500, 'r' }, { 500, 'm' }, { 500, 'p' }, { 500, 'c' }, { 500, 'f' }, { 554, 'r' } } },
	{ "RCPT TO:<g@h>\r\n",  { { 503, 's' }, { 503, 'r' }, { 250, 'p' }, { 250, 'p' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "RCPT TO:<bad@h>\r\n", { { 503, 's' }, { 503, 'r' }, { 550, 'm' }, { 550, 'p' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "RCPT TO:<>\r\n",     { { 503, 's' }, { 503, 'r' }, { 501, 'm' }, { 501, 'p' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "RCPT TO:\r\n",       { { 503, 's' }, { 503, 'r' }, { 501, 'm' }, { 501, 'p' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "DATA\r\n",           { { 503, 's' }, { 503, 'r' }, { 503, 'm' }, { 354, 'd' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "DATA x\r\n",         { { 501, 's' }, { 501, 'r' }, { 501, 'm' }, { 501, 'p' }, { 501, 'c' }, { 501, 'f' }, { 554, 'r' } } },
	{ "BDAT 2\r\n\r\n",     { { 503, 'x' }, { 503, 'r' }, { 503, 'm' }, { 250, 'c' }, { 250, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "BDAT 2 LAST\r\n\r\n", { { 503, 'x' }, { 503, 'r' }, { 503, 'm' }, { 250, 'r' }, { 250, 'r' }, { 503, 'r' }, { 554, 'r' } } },
	{ "BDAT 0\r\n",         { { 503, 'x' }, { 504, 'r' }, { 504, 'm' }, { 504, 'p' }, { 504, 'c' }, { 504, 'f' }, { 554, 'r' } } },
	{ "RSET\r\n",           { { 250, 's' }, { 250, 'r' }, { 250, 'r' }, { 250, 'r' }, { 250, 'r' }, { 250, 'r' }, { 554, 'r' } } },
	{ "RSET x\r\n",         { { 501, 's' }, { 501, 'r' }, { 501, 'm' }, { 501, 'p' }, { 501, 'c' }, { 501, 'f' }, { 554, 'r' } } },
	{ "noop\r\n",           { { 250, 's' }, { 250, 'r' }, { 250, 'm' }, { 250, 'p' }, { 250, 'c' }, { 250, 'f' }, { 554, 'r' } } },
	{ "NOOP x\r\n",         { { 250, 's' }, { 250, 'r' }, { 250, 'm' }, { 250, 'p' }, { 250, 'c' }, { 250, 'f' }, { 554, 'r' } } },
	{ "HELP\r\n",           { { 214, 's' }, { 214, 'r' }, { 214, 'm' }, { 214, 'p' }, { 214, 'c' }, { 214, 'f' }, { 554, 'r' } } },
	{ "Quit\r\n",           { { 221, 'x' }, { 221, 'x' }, { 221, 'x' }, { 221, 'x' }, { 221, 'x' }, { 221, 'x' }, { 221, 'x' } } },
	{ "QUIT x\r\n",         { { 501, 's' }, { 501, 'r' }, { 501, 'm' }, { 501, 'p' }, { 501, 'c' }, { 501, 'f' }, { 501, 'r' } } },
	{ "STARTTLS\r\n",       { { 503, 's' }, { 220, 's' }, { 220, 's' }, { 220, 's' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "STARTTLS x\r\n",     { { 501, 's' }, { 501, 'r' }, { 501, 'm' }, { 501, 'p' }, { 501, 'c' }, { 501, 'f' }, { 554, 'r' } } },
	{ "VRFY a\r\n",         { { 252, 's' }, { 252, 'r' }, { 252, 'm' }, { 252, 'p' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "EXPN a\r\n",         { { 550, 's' }, { 550, 'r' }, { 550, 'm' }, { 550, 'p' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "AUTH PLAIN\r\n",     { { 503, 's' }, { 503, 'r' }, { 503, 'm' }, { 503, 'p' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "ETRN #a\r\n",        { { 458, 's' }, { 458, 'r' }, { 503, 'm' }, { 503, 'p' }, { 503, 'c' }, { 503, 'f' }, { 554, 'r' } } },
	{ "FOO\r\n",            { { 500, 's' }, { 500, 'r' }, { 500, 'm' }, { 500, 'p' }, { 500, 'c' }, { 500, 'f' }, { 554, 'r' } } },
	{ "\r\n",               { { 500, 's' }, { 500, 'r' }, { 500, 'm' }, { 500, 'p' }, { 500, 'c' }, { 500, 'f' }, { 554, 'r' } } },
};

static char state_letter(const struct mini_session *session)
{
	static const char letters[SMTP_STATES] = { 'g', 's', 'r', 'm', 'p', 'c', 'f', 'd', '?', '?', 'h' };
	return session->closed ? 'x' : letters[session->server.state];
}

static void enter(struct mini_session *session, unsigned column)
{
	open_session(session, MINI_ALL | SMTP_OFFER_STARTTLS);
	session->tls_breaks = column == NO_TLS;
	session->settings.message_size_limit = 1000 * 1000;
	session->settings.discard_max = 100 * 1000 * 1000;
	say_lines(session, ways[column]);
	session->tls_breaks = false;
	if (column == FAILED) {
		/* The rest of the chunk. */
		for (unsigned i = 0; i < 9999999 / 9999; i++)
			mini_feed(session, (struct slice){ (const char[9999]){ 0 }, 9999 }, 9999);
		mini_feed(session, (struct slice){ (const char[9999]){ 0 }, 9999999 % 9999 }, 9999);
	}
	assert_false(session->closed);
}

static void every_command_in_every_state(void **state)
{
	(void)state;
	for (unsigned column = 0; column < COLUMNS; column++) {
		for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
			struct mini_session session;
			uint64_t code = 0;
			enter(&session, column);
			say(&session, expected[i].line);
			slice_parse_u64(slice_first(buf_slice(&session.replies), 3), 999, &code);
			if (code != expected[i].outcome[column].code || state_letter(&session) != expected[i].outcome[column].state)
				fail_msg("column %u, %s: %u %c expected, %u %c", column, expected[i].line, expected[i].outcome[column].code,
				         expected[i].outcome[column].state, (unsigned)code, state_letter(&session));
			mini_close(&session);
		}
	}
}

static void ehlo_advertises_what_is_offered(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, MINI_ALL | SMTP_OFFER_STARTTLS | SMTP_OFFER_LIMITS);
	assert_says(&session, "EHLO c.example\r\n",
	            "250-mx.example Hello c.example [192.0.2.1]\r\n250-SIZE 52428800\r\n250-LIMITS MAILMAX=1000 RCPTMAX=50000\r\n"
	            "250-8BITMIME\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-STARTTLS\r\n250-SMTPUTF8\r\n250 HELP\r\n");
	assert_says(&session, "HELO c.example\r\n", "250 mx.example Hello c.example [192.0.2.1]\r\n");
	assert_slice(session.server.helo, "c.example");
	say(&session, "EHLO c\r\n");
	assert_says(&session, "STARTTLS\r\n", "220 TLS go ahead\r\n");
	assert_true(session.server.tls && session.server.helo.len == 0);
	say(&session, "EHLO c\r\n");
	assert_null(memmem(buf_slice(&session.replies).data, buf_len(&session.replies), "STARTTLS", 8));
	assert_says(&session, "STARTTLS\r\n", "554 Already in TLS\r\n");
	mini_close(&session);
	open_session(&session, 0);
	session.settings.recipients_max = session.settings.accept_max_per_connection = 0;
	smtp_server_set_options(&session.server, SMTP_OFFER_LIMITS);
	assert_says(&session, "EHLO c\r\n", "250 mx.example Hello c [192.0.2.1]\r\n");
	mini_close(&session);
}

static void helo_names_are_checked_as_exim_does(void **state)
{
	(void)state;
	static const char *const good[] = { "a", "a.b-c", "[1.2.3.4]", "[IPv6:::1]", "..", "a-.b" };
	static const char *const wrong[] = { "", "a b", "a_b", "::1", "[1.2.3]", "[IPv6:1.2.3.4]", "[", "caf\xc3\xa9" };
	struct mini_session session;
	struct arena arena;
	arena_init(&arena, 0);
	mini_open(&session, MINI_ALL | SMTP_FREE_NONMAIL);
	session.settings.max_synprot_errors = SMTP_NO_LIMIT;
	mini_begin(&session);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		say(&session, arena_cstr(&arena, arena_printf(&arena, "HELO %s\r\n", good[i])));
		assert_true(slice_starts(buf_slice(&session.replies), SLICE("250 ")));
	}
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_says(&session, arena_cstr(&arena, arena_printf(&arena, "EHLO %s\r\n", wrong[i])),
		            "501 Syntactically invalid EHLO argument(s)\r\n");
	session.settings.helo_allow_chars = SLICE("_");
	say(&session, "EHLO a_b\r\n");
	assert_true(slice_starts(buf_slice(&session.replies), SLICE("250-")));
	smtp_server_set_options(&session.server, SMTP_ACCEPT_JUNK_HELO | SMTP_FREE_NONMAIL);
	assert_says(&session, "EHLO a \x01 b\r\n", "250 mx.example Hello a ? b [192.0.2.1]\r\n");
	mini_close(&session);
	arena_free(&arena);
}

static void mail_parameters_are_checked(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{ "<a@b> SIZE=x", "501 SIZE: invalid data for MAIL parameter\r\n" },
		{ "<a@b> SIZE", "501 SIZE: invalid data for MAIL parameter\r\n" },
		{ "<a@b> SIZE=99999999999999999999", "501 SIZE: invalid data for MAIL parameter\r\n" },
		{ "<a@b> SIZE=1 size=2", "501 size: MAIL parameter given twice\r\n" },
		{ "<a@b> SIZE=52428801", "552 Message size exceeds maximum permitted\r\n" },
		{ "<a@b> BODY=BINARYMIME", "501 BODY: invalid data for MAIL parameter\r\n" },
		{ "<a@b> SMTPUTF8=1", "501 SMTPUTF8: invalid data for MAIL parameter\r\n" },
		{ "<a@b> FOO=BAR", "555 FOO: MAIL parameter not recognized or not advertised\r\n" },
		{ "<\xc3\xa9@b>", "501 <\xc3\xa9@b>: a non-ASCII address needs SMTPUTF8\r\n" },
		{ "<a@b..c>", "501 <a@b..c>: domain missing or malformed\r\n" },
		{ "<a>", "501 <a>: sender address must contain a domain\r\n" },
		{ "<a@b>  size=52428800 body=8bitmime SMTPUTF8 ", "250 OK\r\n" },
	};
	struct mini_session session;
	struct arena arena;
	arena_init(&arena, 0);
	open_session(&session, MINI_ALL);
	session.settings.max_synprot_errors = SMTP_NO_LIMIT;
	say(&session, "EHLO c\r\n");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_says(&session, arena_cstr(&arena, arena_printf(&arena, "MAIL FROM:%s\r\n", cases[i][0])), cases[i][1]);
	assert_says(&session, "RCPT TO:<\xc3\xa9@b>\r\n", "250 Accepted\r\n");
	assert_says(&session, "RCPT TO:<x@y> NOTIFY=NEVER\r\n", "555 NOTIFY: RCPT parameter not recognized or not advertised\r\n");
	assert_says(&session, "RCPT TO:<x>\r\n", "501 <x>: recipient address must contain a domain\r\n");
	assert_says(&session, "RCPT TO:<postmaster>\r\n", "250 Accepted\r\n");
	say(&session, "HELO c\r\n");
	assert_says(&session, "MAIL FROM:<a@b> SIZE=1\r\n", "555 SIZE: MAIL parameter not recognized or not advertised\r\n");
	mini_close(&session);
	arena_free(&arena);
}

static void errors_unknown_and_nonmail_commands_have_limits(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, MINI_ALL);
	say_lines(&session, "HELO\r\nHELO\r\nHELO\r\nRCPT TO:<a@b>\r\n");
	assert_slice(buf_slice(&session.replies), "503-sender not yet given\r\n503 Too many syntax or protocol errors\r\n");
	assert_true(session.closed);
	mini_close(&session);

	open_session(&session, MINI_ALL);
	say_lines(&session, "foo\r\nfoo\r\nfoo\r\nfoo\r\n");
	assert_slice(buf_slice(&session.replies), "500 Too many unrecognized commands\r\n");
	assert_true(session.closed);
	mini_close(&session);

	open_session(&session, MINI_ALL);
	say_lines(&session, "EHLO c\r\nRSET\r\n");
	for (unsigned i = 0; i < 10; i++)
		assert_says(&session, "NOOP\r\n", "250 OK\r\n");
	assert_says(&session, "RSET\r\n", "554 Too many nonmail commands\r\n");
	assert_true(session.closed);
	mini_close(&session);

	open_session(&session, MINI_ALL | SMTP_FREE_NONMAIL);
	for (unsigned i = 0; i < 100; i++)
		assert_says(&session, "NOOP\r\n", "250 OK\r\n");
	mini_close(&session);
}

static void one_reset_a_message_is_not_counted(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, MINI_ALL);
	session.settings.accept_max_nonmail = 0;
	say(&session, "EHLO c\r\n");
	for (unsigned i = 0; i < 5; i++) {
		say_lines(&session, "RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n");
		assert_slice(buf_slice(&session.replies), "250 OK id=1\r\n");
	}
	assert_int_equal(session.server.messages, 5);
	say_lines(&session, "RSET\r\nRSET\r\n");
	assert_true(session.closed);
	mini_close(&session);
}

static void recipients_have_a_limit(void **state)
{
	(void)state;
	struct mini_session session;
	for (int reject = 0; reject < 2; reject++) {
		open_session(&session, MINI_ALL);
		session.settings.recipients_max = 2;
		session.settings.recipients_max_reject = reject;
		say(&session, "EHLO c\r\n");
		assert_says(&session, "MAIL FROM:<a@b>\r\nRCPT TO:<1@d>\r\nRCPT TO:<bad@d>\r\nRCPT TO:<2@d>\r\nRCPT TO:<3@d>\r\nDATA\r\n",
		            reject ? "250 OK\r\n250 Accepted\r\n550 no such user\r\n250 Accepted\r\n552 too many recipients\r\n554 Too many recipients\r\n"
		                   : "250 OK\r\n250 Accepted\r\n550 no such user\r\n250 Accepted\r\n452 too many recipients\r\n"
		                     "354 Enter message, ending with \".\" on a line by itself\r\n");
		assert_int_equal(session.server.recipients, 2);
		mini_close(&session);
	}
}

static void messages_in_a_connection_have_a_limit(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, MINI_ALL);
	session.settings.accept_max_per_connection = 2;
	say_lines(&session, "EHLO c\r\nMAIL FROM:<a@b>\r\nRSET\r\nMAIL FROM:<a@b>\r\nRSET\r\n");
	assert_says(&session, "MAIL FROM:<a@b>\r\n", "421 too many messages in this connection\r\n");
	say_lines(&session, "MAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\n");
	assert_true(session.closed);
	mini_close(&session);
}

static void input_before_its_time_is_refused(void **state)
{
	(void)state;
	static const char *const inputs[] = {
		"EHLO c\r\nMAIL FROM:<a@b>\r\n", "HELO c\r\nNOOP\r\n", "NOOP\r\nEHLO c\r\n", "VRFY a\r\nQUIT\r\n", "AUTH PLAIN\r\nx\r\n",
		"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", "RSET\r\nN",
	};
	struct mini_session session;
	for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
		open_session(&session, MINI_ALL);
		assert_says(&session, inputs[i], "554 SMTP synchronization error\r\n");
		assert_true(session.closed);
		mini_close(&session);
	}
	open_session(&session, MINI_ALL);
	say(&session, "EHLO c\r\n");
	assert_says(&session, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: too soon\r\n",
	            "250 OK\r\n250 Accepted\r\n554 SMTP synchronization error\r\n");
	mini_close(&session);

	mini_open(&session, MINI_ALL);
	smtp_server_begin(&session.server, SLICE("mx"), true);
	mini_run(&session);
	assert_slice(buf_slice(&session.replies), "554 SMTP synchronization error\r\n");
	assert_true(session.closed);
	mini_close(&session);
}

static void without_enforcement_early_input_is_let_pass(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, 0);
	session.settings.enforce_sync = false;
	assert_says(&session, "HELO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\nQUIT\r\n",
	            "250 mx.example Hello c [192.0.2.1]\r\n250 OK\r\n250 Accepted\r\n"
	            "354 Enter message, ending with \".\" on a line by itself\r\n250 OK id=1\r\n221 mx.example closing connection\r\n");
	mini_close(&session);
}

static void refusals_within_a_pipelined_group_are_not_counted(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, MINI_ALL);
	say(&session, "EHLO c\r\n");
	for (unsigned i = 0; i < 5; i++)
		assert_says(&session, "MAIL FROM:<bad@b>\r\nRCPT TO:<1@d>\r\nRCPT TO:<2@d>\r\nDATA\r\n",
		            "550 no such user\r\n503 sender not yet given\r\n503 sender not yet given\r\n"
		            "503 valid RCPT command must precede DATA\r\n");
	for (unsigned i = 0; i < 5; i++) {
		assert_says(&session, "MAIL FROM:<a@b>\r\nRCPT TO:<bad@d>\r\nDATA\r\n",
		            "250 OK\r\n550 no such user\r\n503-All RCPT commands were rejected with this error:\r\n503-550 no such user\r\n"
		            "503 valid RCPT command must precede DATA\r\n");
		say(&session, "RSET\r\n");
	}
	assert_false(session.closed);
	assert_says(&session, "MAIL FROM:<a@b>\r\nRCPT TO:<bad@d>\r\nRCPT TO:<x>\r\nDATA\r\n",
	            "250 OK\r\n550 no such user\r\n501 <x>: recipient address must contain a domain\r\n"
	            "503 valid RCPT command must precede DATA\r\n");
	mini_close(&session);
}

static void unclean_lines_end_the_connection(void **state)
{
	(void)state;
	static const struct {
		struct slice input;
		const char *reply;
	} cases[] = {
		{ SLICE("NOOP\n"), "501 bare LF is not allowed in SMTP commands\r\n" },
		{ SLICE("\n"), "501 bare LF is not allowed in SMTP commands\r\n" },
		{ SLICE("NO\rOP\r\n"), "501 bare CR is not allowed in SMTP commands\r\n" },
		{ SLICE("NOOP\r\r\n"), "501 bare CR is not allowed in SMTP commands\r\n" },
		{ SLICE("NOOP\rMAIL FROM:<a@b>\n"), "501 bare CR is not allowed in SMTP commands\r\n" },
		{ SLICE("NO\0OP\r\n"), "501 NUL characters are not allowed in SMTP commands\r\n" },
		{ SLICE("NOOP\0\r\n"), "501 NUL characters are not allowed in SMTP commands\r\n" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (size_t step = 1; step <= cases[i].input.len; step++) {
			struct mini_session session;
			open_session(&session, MINI_ALL);
			session.settings.enforce_sync = false;
			mini_feed(&session, cases[i].input, step);
			mini_feed(&session, SLICE("NOOP\r\n"), step);
			assert_slice(buf_slice(&session.replies), cases[i].reply);
			assert_true(session.closed);
			mini_close(&session);
		}
	}
}

static void long_lines_are_refused_and_endless_ones_cut_off(void **state)
{
	(void)state;
	struct mini_session session;
	char *line = malloc(70000);
	memset(line, 'x', 70000);
	memcpy(line, "NOOP ", 5);
	for (size_t step = 1; step < 9000; step = step * 3 + 1) {
		mini_open(&session, MINI_ALL);
		session.settings.enforce_sync = false;
		mini_begin(&session);
		buf_reset(&session.replies);
		mini_feed(&session, slice_make(line, SMTP_LINE_MAX - 2), step);
		mini_feed(&session, SLICE("\r\n"), step);
		assert_slice(buf_slice(&session.replies), "250 OK\r\n");
		mini_feed(&session, slice_make(line, SMTP_LINE_MAX - 1), step);
		mini_feed(&session, SLICE("\r\nNOOP\r\n"), step);
		assert_slice(buf_slice(&session.replies), "250 OK\r\n500 Line too long\r\n250 OK\r\n");
		mini_feed(&session, slice_make(line, SMTP_LINE_DISCARD + 1), step);
		assert_true(session.closed);
		assert_slice(buf_slice(&session.replies), "250 OK\r\n500 Line too long\r\n250 OK\r\n500 Line too long\r\n");
		mini_close(&session);
	}
	open_session(&session, MINI_ALL);
	mini_feed(&session, slice_make(line, 5000), 5000);
	assert_says(&session, "\nMAIL FROM:<a@b>\r\n", "501 bare LF is not allowed in SMTP commands\r\n");
	mini_close(&session);
	free(line);
}

static void the_history_has_the_last_commands(void **state)
{
	struct mini_session session;
	char history[256];
	(void)state;
	open_session(&session, MINI_ALL);
	session.settings.max_synprot_errors = SMTP_NO_LIMIT;
	session.settings.enforce_sync = false;
	assert_string_equal(smtp_server_history(&session.server, history, sizeof history), "");
	say(&session, "EHLO c\r\nMAIL FROM:<a@b>\r\nNONSENSE\r\nRCPT TO:<c@d>\r\nDATA x\r\n");
	assert_string_equal(smtp_server_history(&session.server, history, sizeof history), "EHLO,MAIL,RCPT,DATA");
	for (int i = 0; i < SMTP_HISTORY_MAX; i++)
		say(&session, "RCPT TO:<c@d>\r\n");
	smtp_server_history(&session.server, history, sizeof history);
	assert_memory_equal(history, "...,RCPT,RCPT", 13);
	assert_string_equal(smtp_server_history(&session.server, history, 12), "...,RCPT,RC");
	mini_close(&session);
}

static void nothing_sent_in_clear_behind_starttls_is_executed(void **state)
{
	(void)state;
	struct mini_session session;
	for (int enforce = 0; enforce < 2; enforce++) {
		open_session(&session, MINI_ALL | SMTP_OFFER_STARTTLS);
		session.settings.enforce_sync = enforce;
		say(&session, "EHLO c\r\n");
		say(&session, "STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@e>\r\n");
		assert_slice(buf_slice(&session.events), "REFUSED STARTTLS\nBECAUSE input sent in clear after STARTTLS\n"
							 "CLOSE input sent in clear after STARTTLS\n");
		assert_false(session.server.tls);
		mini_close(&session);
	}
	/* Where it was never offered, it is a mistake like any other. */
	open_session(&session, MINI_ALL);
	session.settings.enforce_sync = false;
	assert_says(&session, "STARTTLS\r\nNOOP\r\n", "503 STARTTLS command used when not advertised\r\n250 OK\r\n");
	mini_close(&session);
	/* It arrives between the answer and the handshake. */
	open_session(&session, MINI_ALL | SMTP_OFFER_STARTTLS);
	say(&session, "EHLO c\r\n");
	struct smtp_event event;
	assert_true(buf_append(&session.in, SLICE("STARTTLS\r\n")));
	assert_int_equal(smtp_server_next(&session.server, &session.in, &event), SMTP_STARTTLS);
	smtp_accept(&session.server);
	assert_true(buf_append(&session.in, SLICE("MAIL")));
	buf_reset(&session.out);
	smtp_server_tls_started(&session.server, &session.in);
	assert_int_equal(smtp_server_next(&session.server, &session.in, &event), SMTP_CLOSE);
	assert_int_equal(event.end, SMTP_END_CLEAR_AFTER_STARTTLS);
	assert_int_equal(buf_len(&session.out), 0);
	mini_close(&session);
}

static void tls_forgets_what_was_said_in_clear(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, MINI_ALL | SMTP_OFFER_STARTTLS | SMTP_REQUIRE_TLS);
	say(&session, "EHLO c\r\n");
	assert_says(&session, "MAIL FROM:<a@b>\r\n", "503 Use of TLS required\r\n");
	smtp_server_set_options(&session.server, MINI_ALL | SMTP_OFFER_STARTTLS);
	say_lines(&session, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nSTARTTLS\r\n");
	assert_slice(buf_slice(&session.events), "STARTTLS \nRESET \n");
	smtp_server_set_options(&session.server, MINI_ALL | SMTP_REQUIRE_TLS);
	assert_says(&session, "RCPT TO:<c@d>\r\n", "503 sender not yet given\r\n");
	assert_says(&session, "MAIL FROM:<a@b>\r\n", "503 HELO or EHLO required\r\n");
	say(&session, "EHLO c\r\n");
	assert_says(&session, "MAIL FROM:<a@b>\r\n", "250 OK\r\n");
	mini_close(&session);
}

static void a_proxy_that_is_not_known_is_refused(void **state)
{
	(void)state;
	static const struct {
		struct slice header;
		const char *before;
	} table[] = {
		{ SLICE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), "" },
		{ SLICE("PROXY "), "" },
		{ SLICE("\r\n\r\n\0\r\nQUIT\n\x21\x11"), "500 unrecognized command\r\n500 unrecognized command\r\n" },
	};
	/* At once, and octet by octet. */
	for (size_t i = 0; i < 2 * sizeof table / sizeof *table; i++) {
		struct slice header = table[i / 2].header;
		struct mini_session session;
		char want[200];
		snprintf(want, sizeof want, "%s554 PROXY protocol is not accepted from this host\r\n", table[i / 2].before);
		open_session(&session, MINI_ALL);
		buf_reset(&session.replies);
		mini_feed(&session, header, i % 2 ? 1 : header.len);
		assert_slice(buf_slice(&session.replies), want);
		assert_true(session.closed);
		mini_close(&session);
	}
	/* Later it is a line as any other. */
	struct mini_session session;
	open_session(&session, MINI_ALL);
	say(&session, "EHLO c\r\n");
	assert_says(&session, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "500 unrecognized command\r\n");
	mini_close(&session);
}

static void each_end_has_a_word_for_acls(void **state)
{
	(void)state;
	for (unsigned end = SMTP_END_NONE; end < SMTP_ENDS; end++) {
		bool tells = end > SMTP_END_QUIT;
		if (tells != (*smtp_end_notquit((enum smtp_end)end) != '\0'))
			fail_msg("end %u", end);
		assert_non_null(smtp_end_text((enum smtp_end)end));
	}
	assert_string_equal(smtp_end_text(SMTP_END_UNKNOWN_COMMANDS), "too many unrecognized commands");
}

static void a_session_that_is_shut_answers_nothing_but_quit(void **state)
{
	(void)state;
	static const struct smtp_shut shut = { 503, "Not today", SMTP_END_COMMANDS_WITHOUT_CLIENT };
	struct mini_session session;
	open_session(&session, MINI_ALL);
	smtp_server_shut(&session.server, &shut);
	for (unsigned i = 0; i < 20; i++)
		assert_says(&session, i % 2 ? "EHLO c\r\n" : "\r\n", "503 Not today\r\n");
	assert_false(session.closed);
	assert_says(&session, "NOOP\r\n", "503 Not today\r\n");
	assert_true(session.closed);
	mini_close(&session);
	open_session(&session, MINI_ALL);
	smtp_server_shut(&session.server, &shut);
	assert_says(&session, "QUIT\r\n", "221 mx.example closing connection\r\n");
	mini_close(&session);
}

static void broken_tls_refuses_all_but_quit(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, MINI_ALL | SMTP_OFFER_STARTTLS);
	session.tls_breaks = true;
	say(&session, "EHLO c\r\n");
	assert_says(&session, "STARTTLS\r\n", "454 TLS currently unavailable\r\n");
	for (unsigned i = 0; i < 20; i++)
		assert_says(&session, "STARTTLS\r\n", "554 Security failure\r\n");
	assert_says(&session, "QUIT\r\n", "221 mx.example closing connection\r\n");
	assert_true(session.closed);
	mini_close(&session);
}

static void tls_on_connect_needs_no_starttls(void **state)
{
	(void)state;
	struct mini_session session;
	mini_open(&session, MINI_ALL | SMTP_OFFER_STARTTLS | SMTP_REQUIRE_TLS);
	smtp_server_tls_started(&session.server, &session.in);
	mini_begin(&session);
	say(&session, "EHLO c\r\n");
	assert_says(&session, "STARTTLS\r\n", "554 Already in TLS\r\n");
	assert_says(&session, "MAIL FROM:<a@b>\r\n", "250 OK\r\n");
	mini_close(&session);
}

static void farewells_close_in_any_state(void **state)
{
	(void)state;
	static const char *const texts[SMTP_FAREWELLS] = {
		[SMTP_FAREWELL_COMMAND_TIMEOUT] = "421 mx.example: SMTP command timeout - closing connection\r\n",
		[SMTP_FAREWELL_DATA_TIMEOUT] = "421 mx.example SMTP incoming data timeout - closing connection.\r\n",
		[SMTP_FAREWELL_SHUTDOWN] = "421 mx.example: Service not available - closing connection\r\n",
		[SMTP_FAREWELL_LOST] = "421 mx.example lost input connection\r\n",
		[SMTP_FAREWELL_TOO_MANY] = "421 Too many concurrent SMTP connections; please try again later.\r\n",
		[SMTP_FAREWELL_TOO_MANY_FROM_HOST] =
			"421 Too many concurrent SMTP connections from this IP address; please try again later.\r\n",
		[SMTP_FAREWELL_LOCAL_PROBLEM] = "421 Local problem; please try again later.\r\n",
		[SMTP_FAREWELL_REJECTED] = "554 SMTP service not available\r\n",
	};
	for (unsigned kind = 0; kind < SMTP_FAREWELLS; kind++) {
		struct mini_session session;
		mini_open(&session, MINI_ALL);
		if (kind % 2) {
			mini_begin(&session);
			say_lines(&session, "EHLO c\r\nMAIL FROM:<a@b>\r\n");
			buf_reset(&session.replies);
		}
		smtp_server_farewell(&session.server, kind);
		mini_run(&session);
		assert_true(session.closed);
		assert_slice(buf_slice(&session.replies), texts[kind]);
		mini_close(&session);
	}
}

static void replies_of_many_lines_stay_within_their_form(void **state)
{
	(void)state;
	struct mini_session session;
	struct smtp_event event;
	char words[1200];
	open_session(&session, MINI_ALL);
	say_lines(&session, "EHLO c\r\n");
	assert_true(buf_append(&session.in, SLICE("MAIL FROM:<a@b>\r\n")));
	assert_int_equal(smtp_server_next(&session.server, &session.in, &event), SMTP_MAIL);
	smtp_reply(&session.server, 550, SLICE("first\nsecond\r\n\x01third\r250 forged"));
	assert_slice(buf_slice(&session.out), "550-first\r\n550-second\r\n550 ?third?250 forged\r\n");
	buf_reset(&session.out);
	for (size_t i = 0; i < sizeof words; i++)
		words[i] = i % 10 == 9 ? ' ' : 'w';
	assert_true(buf_append(&session.in, SLICE("MAIL FROM:<a@b>\r\n")));
	assert_int_equal(smtp_server_next(&session.server, &session.in, &event), SMTP_MAIL);
	smtp_reply(&session.server, 550, slice_make(words, sizeof words));
	struct slice rest = buf_slice(&session.out);
	unsigned lines = 0;
	for (; rest.len; lines++) {
		struct slice line = slice_cut(&rest, '\n');
		assert_true(line.len < 512);
		assert_true(slice_starts(line, rest.len ? SLICE("550-www") : SLICE("550 www")));
	}
	assert_int_equal(lines, 3);
	mini_close(&session);
}

static void a_client_that_reads_no_replies_is_made_to_wait(void **state)
{
	(void)state;
	struct mini_session session;
	struct smtp_event event;
	open_session(&session, MINI_ALL | SMTP_FREE_NONMAIL);
	say(&session, "EHLO c\r\n");
	size_t replies = buf_len(&session.replies);
	for (unsigned i = 0; i < 5000; i++)
		assert_true(buf_append(&session.in, SLICE("RSET\r\n")));
	assert_int_equal(smtp_server_next(&session.server, &session.in, &event), SMTP_FLUSH);
	assert_true(buf_len(&session.out) < session.out.max);
	mini_run(&session);
	mini_flush(&session);
	assert_int_equal(buf_len(&session.in), 0);
	assert_int_equal(buf_len(&session.replies), replies + 5000 * strlen("250 Reset OK\r\n"));
	mini_close(&session);
}

static void an_idle_connection_costs_little(void **state)
{
	(void)state;
	struct mini_session session;
	assert_true(sizeof(struct smtp_server) <= 512);
	open_session(&session, MINI_ALL);
	say_lines(&session, "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<bad@d>\r\nRSET\r\n");
	assert_null(session.server.scratch.current);
	assert_null(session.server.rcpt_error);
	assert_null(session.server.failure_text);
	mini_close(&session);
}

/* Found by fuzzing: the event of an over-long line carried the argument of the command before it. */
static void an_event_holds_nothing_of_the_command_before(void **state)
{
	(void)state;
	struct mini_session session;
	mini_open(&session, MINI_ALL);
	mini_begin(&session);
	assert_true(buf_append(&session.in, SLICE("HELO x\r\n")));
	struct smtp_event event;
	while (smtp_server_next(&session.server, &session.in, &event) != SMTP_NEED_INPUT)
		if (event.kind == SMTP_HELO)
			smtp_accept(&session.server);
	assert_true(buf_append(&session.in, SLICE("HELP\r\n")));
	for (int i = 0; i < SMTP_LINE_MAX + 10; i++)
		assert_true(buf_append_byte(&session.in, 'A'));
	assert_true(buf_append(&session.in, SLICE("\r\n")));
	bool refused = false;
	for (int i = 0; i < 20 && smtp_server_next(&session.server, &session.in, &event) != SMTP_NEED_INPUT; i++) {
		if (event.kind != SMTP_REFUSED)
			continue;
		refused = true;
		assert_slice(event.text, "Line too long");
		assert_int_equal(event.argument.len, 0);
	}
	assert_true(refused);
	mini_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_holds_nothing_of_the_command_before),
		cmocka_unit_test(every_command_in_every_state), cmocka_unit_test(ehlo_advertises_what_is_offered),
		cmocka_unit_test(helo_names_are_checked_as_exim_does), cmocka_unit_test(mail_parameters_are_checked),
		cmocka_unit_test(errors_unknown_and_nonmail_commands_have_limits), cmocka_unit_test(one_reset_a_message_is_not_counted),
		cmocka_unit_test(recipients_have_a_limit), cmocka_unit_test(messages_in_a_connection_have_a_limit),
		cmocka_unit_test(input_before_its_time_is_refused), cmocka_unit_test(without_enforcement_early_input_is_let_pass),
		cmocka_unit_test(refusals_within_a_pipelined_group_are_not_counted), cmocka_unit_test(unclean_lines_end_the_connection),
		cmocka_unit_test(long_lines_are_refused_and_endless_ones_cut_off),
		cmocka_unit_test(the_history_has_the_last_commands),
		cmocka_unit_test(nothing_sent_in_clear_behind_starttls_is_executed), cmocka_unit_test(tls_forgets_what_was_said_in_clear),
		cmocka_unit_test(each_end_has_a_word_for_acls),
		cmocka_unit_test(a_proxy_that_is_not_known_is_refused), cmocka_unit_test(a_session_that_is_shut_answers_nothing_but_quit),
		cmocka_unit_test(broken_tls_refuses_all_but_quit), cmocka_unit_test(tls_on_connect_needs_no_starttls),
		cmocka_unit_test(farewells_close_in_any_state), cmocka_unit_test(replies_of_many_lines_stay_within_their_form),
		cmocka_unit_test(a_client_that_reads_no_replies_is_made_to_wait), cmocka_unit_test(an_idle_connection_costs_little),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
