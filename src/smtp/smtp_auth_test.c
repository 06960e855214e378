/* SPDX-License-Identifier: ISC */
/* AUTH in the protocol core: when it may be said, its lines and what they carry, and what is left of it in memory. */
#include "base/test.h"
#include "smtp/mini_session.h"

#define GOOD "Z29vZA==" /* "good" */
#define MORE "bW9yZQ=="
#define BAD "YmFk"
#define PROMPT "334 cHJvbXB0\r\n"

static void open_session(struct mini_session *session, unsigned options)
{
	mini_open(session, MINI_ALL | options);
	session->offer_auth = true;
	mini_begin(session);
}

static void say(struct mini_session *session, const char *lines)
{
	buf_reset(&session->replies);
	buf_reset(&session->events);
	mini_feed(session, slice_of(lines), SIZE_MAX / 2);
}

#define assert_says(session, lines, expected)                           \
	do {                                                            \
		say((session), (lines));                                \
		assert_slice(buf_slice(&(session)->replies), expected); \
	} while (0)

static bool holds(struct slice text, const char *part)
{
	for (size_t i = 0; i < text.len; i++)
		if (slice_starts(slice_from(text, i), slice_of(part)))
			return true;
	return false;
}

static void mechanisms_are_offered_behind_pipelining_until_the_client_is_authenticated(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, 0);
	say(&session, "EHLO c\r\n");
	assert_true(holds(buf_slice(&session.replies), "250-PIPELINING\r\n250-AUTH PLAIN LOGIN\r\n250-CHUNKING\r\n"));
	say(&session, "HELP\r\n");
	assert_true(holds(buf_slice(&session.replies), "214 AUTH HELO"));
	assert_says(&session, "AUTH PLAIN " GOOD "\r\n", "235 Authentication succeeded\r\n");
	assert_slice(buf_slice(&session.events), "AUTH PLAIN\n");
	say(&session, "EHLO c\r\n");
	assert_false(holds(buf_slice(&session.replies), "AUTH"));
	assert_says(&session, "AUTH PLAIN " GOOD "\r\n", "503 AUTH command used when not advertised\r\n");
	mini_close(&session);
}

static void auth_needs_an_offer_and_no_transaction(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, 0);
	assert_says(&session, "AUTH PLAIN " GOOD "\r\n", "503 AUTH command used when not advertised\r\n");
	say(&session, "HELO c\r\n");
	assert_says(&session, "AUTH PLAIN " GOOD "\r\n", "503 AUTH command used when not advertised\r\n");
	assert_slice(buf_slice(&session.events), "REFUSED AUTH PLAIN\n");
	say(&session, "EHLO c\r\n");
	say(&session, "MAIL FROM:<a@b>\r\n");
	assert_says(&session, "AUTH PLAIN " GOOD "\r\n", "503 not permitted in mail transaction\r\n");
	say(&session, "RSET\r\n");
	assert_says(&session, "AUTH PLAIN " GOOD "\r\n", "235 Authentication succeeded\r\n");
	mini_close(&session);
	open_session(&session, SMTP_AUTH_UNADVERTISED);
	assert_says(&session, "AUTH PLAIN " GOOD "\r\n", "235 Authentication succeeded\r\n");
	assert_int_equal(session.server.state, SMTP_STATE_START);
	mini_close(&session);
}

static void in_clear_auth_is_refused_where_tls_is_needed(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, SMTP_AUTH_NEEDS_TLS | SMTP_OFFER_STARTTLS);
	say(&session, "EHLO c\r\n");
	assert_says(&session, "AUTH PLAIN " GOOD "\r\n", "538 Encryption required for requested authentication mechanism\r\n");
	assert_slice(buf_slice(&session.events), "REFUSED AUTH PLAIN\n");
	say(&session, "STARTTLS\r\n");
	assert_says(&session, "AUTH PLAIN " GOOD "\r\n", "503 AUTH command used when not advertised\r\n");
	say(&session, "EHLO c\r\n");
	assert_says(&session, "AUTH PLAIN " GOOD "\r\n", "235 Authentication succeeded\r\n");
	mini_close(&session);
}

static void mail_waits_for_auth_where_that_is_required(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, SMTP_REQUIRE_AUTH);
	say(&session, "EHLO c\r\n");
	assert_says(&session, "MAIL FROM:<a@b>\r\n", "530 Authentication required\r\n");
	assert_slice(buf_slice(&session.events), "REFUSED MAIL FROM:<a@b>\n");
	assert_says(&session, "RCPT TO:<a@b>\r\n", "503 sender not yet given\r\n");
	assert_says(&session, "AUTH PLAIN " GOOD "\r\n", "235 Authentication succeeded\r\n");
	assert_says(&session, "MAIL FROM:<a@b>\r\n", "250 OK\r\n");
	mini_close(&session);
}

static void what_was_proved_in_clear_is_forgotten_when_tls_begins(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, SMTP_OFFER_STARTTLS);
	say(&session, "EHLO c\r\n");
	say(&session, "AUTH PLAIN " GOOD "\r\n");
	assert_true(session.server.authenticated);
	say(&session, "STARTTLS\r\n");
	assert_false(session.server.authenticated);
	mini_close(&session);
}

static void an_exchange_is_challenges_and_responses(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, 0);
	say(&session, "EHLO c\r\n");
	assert_says(&session, "auth login\r\n", PROMPT);
	assert_says(&session, MORE "\r\n", PROMPT);
	assert_slice(buf_slice(&session.events), "RESPONSE more\n");
	/* In an exchange nothing is a command. */
	assert_says(&session, "quit\r\n", "535 Incorrect authentication data\r\n");
	assert_says(&session, "AUTH LOGIN\r\n", PROMPT);
	assert_says(&session, GOOD "\r\n", "235 Authentication succeeded\r\n");
	assert_int_equal(session.server.state, SMTP_STATE_READY);
	mini_close(&session);
}

static void an_equals_sign_is_an_empty_initial_response_and_no_other(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, 0);
	say(&session, "EHLO c\r\n");
	assert_says(&session, "AUTH PLAIN =\r\n", "535 Incorrect authentication data\r\n");
	say(&session, "AUTH LOGIN\r\n");
	assert_says(&session, "=\r\n", "501 Invalid base64 data\r\n");
	say(&session, "AUTH LOGIN\r\n");
	assert_says(&session, "\r\n", "535 Incorrect authentication data\r\n");
	mini_close(&session);
}

static void what_is_no_base64_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = { "!!!!", "Z29vZA=", "Z29vZA", "Z29v ZA==", "Z29vZA==x", "Z2\t9vZA==", "====" };
	struct mini_session session;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char line[40];
		open_session(&session, 0);
		say(&session, "EHLO c\r\n");
		snprintf(line, sizeof line, "AUTH PLAIN %s\r\n", texts[i]);
		assert_says(&session, line, "501 Invalid base64 data\r\n");
		say(&session, "AUTH PLAIN\r\n");
		snprintf(line, sizeof line, "%s\r\n", texts[i]);
		assert_says(&session, line, "501 Invalid base64 data\r\n");
		mini_close(&session);
	}
}

static void a_star_cancels(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, 0);
	say(&session, "EHLO c\r\n");
	say(&session, "AUTH PLAIN\r\n");
	assert_says(&session, "*\r\n", "501 Authentication cancelled\r\n");
	say(&session, "MAIL FROM:<a@b>\r\n");
	assert_slice(buf_slice(&session.replies), "250 OK\r\n");
	mini_close(&session);
}

static void mechanisms_have_names_of_few_characters_and_unknown_ones_are_counted(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, 0);
	session.settings.max_synprot_errors = 2;
	say(&session, "EHLO c\r\n");
	assert_says(&session, "AUTH PL;AIN x\r\n", "501 invalid character in authentication mechanism name\r\n");
	assert_says(&session, "AUTH bad\r\n", "504 not supported\r\n");
	assert_says(&session, "AUTH bad\r\n", "504-not supported\r\n504 Too many syntax or protocol errors\r\n");
	assert_true(session.closed);
	mini_close(&session);
}

static void failures_have_a_limit_and_the_first_try_is_free(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, 0);
	session.settings.accept_max_nonmail = 2;
	say(&session, "EHLO c\r\n");
	for (int i = 0; i < 3; i++)
		assert_says(&session, "AUTH PLAIN " BAD "\r\n", "535 Incorrect authentication data\r\n");
	assert_says(&session, "AUTH PLAIN " BAD "\r\n", "554 Too many nonmail commands\r\n");
	assert_true(session.closed);
	mini_close(&session);
}

/* A line of `len` octets with its CRLF: `prefix`, and A's, which are base64 when there are four for each group. */
static void say_long(struct mini_session *session, const char *prefix, size_t len)
{
	static char line[SMTP_AUTH_LINE_MAX + 100];
	memset(line, 'A', len);
	memcpy(line, prefix, strlen(prefix));
	memcpy(line + len - 2, "\r\n", 3);
	say(session, line);
}

static void lines_of_12288_octets_are_taken_and_longer_ones_refused(void **state)
{
	(void)state;
	static const struct {
		const char *prefix;
		size_t len;
		const char *code;
	} rows[] = {
		{ "AUTH PLAIN    ", SMTP_AUTH_LINE_MAX, "535" }, { "AUTH PLAIN    ", SMTP_AUTH_LINE_MAX + 4, "500" },
		{ "", SMTP_AUTH_LINE_MAX - 2, "535" }, { "", SMTP_AUTH_LINE_MAX + 2, "500" },
	};
	struct mini_session session;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		open_session(&session, 0);
		say(&session, "EHLO c\r\n");
		if (!*rows[i].prefix)
			say(&session, "AUTH PLAIN\r\n");
		say_long(&session, rows[i].prefix, rows[i].len);
		assert_slice(slice_first(buf_slice(&session.replies), 3), rows[i].code);
		assert_says(&session, "NOOP\r\n", "250 OK\r\n");
		mini_close(&session);
	}
}

static void a_line_without_an_end_ends_the_connection(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, 0);
	say(&session, "EHLO c\r\n");
	say(&session, "AUTH PLAIN\r\n");
	for (int i = 0; i < SMTP_LINE_DISCARD / 1024 + 20; i++)
		mini_feed(&session, (struct slice){ (const char[1024]){ 0 }, 1024 }, 1024);
	assert_true(session.closed);
	mini_close(&session);
}

static void nothing_may_follow_auth_or_a_response_before_the_answer(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, 0);
	say(&session, "EHLO c\r\n");
	assert_says(&session, "AUTH LOGIN\r\n" GOOD "\r\n", "554 SMTP synchronization error\r\n");
	assert_true(session.closed);
	mini_close(&session);
	open_session(&session, 0);
	say(&session, "EHLO c\r\n");
	say(&session, "AUTH LOGIN\r\n");
	assert_says(&session, GOOD "\r\nMAIL FROM:<a@b>\r\n", "554 SMTP synchronization error\r\n");
	assert_true(session.closed);
	mini_close(&session);
}

static void responses_are_clean_lines(void **state)
{
	(void)state;
	static const char *const texts[] = { GOOD "\n", "Z2\r9vZA==\r\n" };
	struct mini_session session;
	for (size_t i = 0; i < 2; i++) {
		open_session(&session, 0);
		say(&session, "EHLO c\r\n");
		say(&session, "AUTH LOGIN\r\n");
		say(&session, texts[i]);
		assert_slice(slice_first(buf_slice(&session.replies), 8), "501 bare");
		assert_true(session.closed);
		mini_close(&session);
	}
}

/* The buffer is looked at as a whole: what was consumed, too. */
static void a_secret_does_not_stay_in_the_input_buffer(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, 0);
	say(&session, "EHLO c\r\n");
	assert_true(buf_append(&session.in, SLICE("AUTH PLAIN " GOOD "\r\n")));
	const char *memory = session.in.data;
	size_t size = session.in.size;
	mini_run(&session);
	assert_ptr_equal(memory, session.in.data);
	assert_false(holds(slice_make(memory, size), "Z29v"));
	assert_null(session.server.scratch.current);
	mini_close(&session);
}

static void the_auth_parameter_of_mail_is_an_address_in_xtext(void **state)
{
	(void)state;
	struct mini_session session;
	open_session(&session, 0);
	session.settings.max_synprot_errors = SMTP_NO_LIMIT;
	session.settings.accept_max_nonmail = SMTP_NO_LIMIT;
	say(&session, "EHLO c\r\n");
	static const char *const good[] = { "AUTH=<>", "auth=a@b", "AUTH=e+3Dmc2@example.com SIZE=1" };
	static const char *const bad[] = { "AUTH", "AUTH=", "AUTH=a+", "AUTH=a+3", "AUTH=a+zz", "AUTH=a=b", "AUTH=a+00b", "AUTH=a+0A", "AUTH=<> AUTH=<>" };
	char line[100];
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		snprintf(line, sizeof line, "MAIL FROM:<a@b> %s\r\n", good[i]);
		assert_says(&session, line, "250 OK\r\n");
		say(&session, "RSET\r\n");
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(line, sizeof line, "MAIL FROM:<a@b> %s\r\n", bad[i]);
		say(&session, line);
		assert_slice(slice_first(buf_slice(&session.replies), 4), "501 ");
	}
	say(&session, "HELO c\r\n");
	say(&session, "MAIL FROM:<a@b> AUTH=<>\r\n");
	assert_slice(slice_first(buf_slice(&session.replies), 4), "555 ");
	mini_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mechanisms_are_offered_behind_pipelining_until_the_client_is_authenticated),
		cmocka_unit_test(auth_needs_an_offer_and_no_transaction),
		cmocka_unit_test(in_clear_auth_is_refused_where_tls_is_needed),
		cmocka_unit_test(mail_waits_for_auth_where_that_is_required),
		cmocka_unit_test(what_was_proved_in_clear_is_forgotten_when_tls_begins),
		cmocka_unit_test(an_exchange_is_challenges_and_responses),
		cmocka_unit_test(an_equals_sign_is_an_empty_initial_response_and_no_other),
		cmocka_unit_test(what_is_no_base64_is_refused),
		cmocka_unit_test(a_star_cancels),
		cmocka_unit_test(mechanisms_have_names_of_few_characters_and_unknown_ones_are_counted),
		cmocka_unit_test(failures_have_a_limit_and_the_first_try_is_free),
		cmocka_unit_test(lines_of_12288_octets_are_taken_and_longer_ones_refused),
		cmocka_unit_test(a_line_without_an_end_ends_the_connection),
		cmocka_unit_test(nothing_may_follow_auth_or_a_response_before_the_answer),
		cmocka_unit_test(responses_are_clean_lines),
		cmocka_unit_test(a_secret_does_not_stay_in_the_input_buffer),
		cmocka_unit_test(the_auth_parameter_of_mail_is_an_address_in_xtext),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
