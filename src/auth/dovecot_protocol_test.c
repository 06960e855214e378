/* SPDX-License-Identifier: ISC */
/* What Dovecot's server says, as it does and as it must not. */
#include "base/test.h"

#include "auth/dovecot_protocol.h"

#define GREETING "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tCRAM-MD5\tdictionary\tactive\nSPID\t17\nCUID\t2\nCOOKIE\t0123\nDONE\n"

struct fixture {
	struct dovecot_protocol protocol;
	struct buf in;
	struct arena arena;
	struct slice text;
	struct error error;
};

static void set_up(struct fixture *f, const char *mechanism)
{
	*f = (struct fixture){ .protocol = { .mechanism = slice_of(mechanism) } };
	buf_init(&f->in, DOVECOT_INPUT_MAX);
	arena_init(&f->arena, 0);
}

static void tear_down(struct fixture *f)
{
	buf_free(&f->in);
	arena_free(&f->arena);
}

static enum dovecot_event hear(struct fixture *f, const char *text)
{
	f->error = (struct error){ 0 };
	assert_true(buf_append(&f->in, slice_of(text)));
	return dovecot_take(&f->protocol, &f->in, &f->arena, &f->text, &f->error);
}

/* What comes of an answer after a good greeting. */
static enum dovecot_event answer(struct fixture *f, const char *text)
{
	tear_down(f);
	set_up(f, "CRAM-MD5");
	assert_int_equal(hear(f, GREETING), DOVECOT_GREETED);
	return hear(f, text);
}

static void refused(struct fixture *f, const char *mechanism, const char *text, const char *why)
{
	tear_down(f);
	set_up(f, mechanism);
	assert_int_equal(hear(f, text), DOVECOT_LATER);
	assert_string_equal(f->error.text, why);
}

static void test_a_greeting_ends_with_done_and_names_the_mechanism(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "cram-md5");
	assert_int_equal(hear(&f, "VERSION\t1\t2\nMECH\tCRAM-MD5\tdictionary\nNEW\tx\nDON"), DOVECOT_WAIT);
	assert_int_equal(hear(&f, "E\n"), DOVECOT_GREETED);
	refused(&f, "LOGIN", GREETING, "it does not have the mechanism");
	refused(&f, "PLAIN", "VERSION\t2\t0\n", "it speaks another version of the protocol");
	refused(&f, "PLAIN", "MECH\tPLAIN\nDONE\n", "it does not speak the protocol of Dovecot's auth-client");
	tear_down(&f);
}

static void test_an_answer_is_a_challenge_a_user_or_a_refusal(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "PLAIN");
	assert_int_equal(answer(&f, "CONT\t1\tPDFAbXg+\n"), DOVECOT_CHALLENGE);
	assert_slice(f.text, "<1@mx>");
	assert_int_equal(hear(&f, "CONT\t1\t\n"), DOVECOT_CHALLENGE);
	assert_slice(f.text, "");
	assert_int_equal(hear(&f, "OK\t1\torig_user=ANNA\tuser=anna@example.test\n"), DOVECOT_YES);
	assert_slice(f.text, "anna@example.test");
	assert_int_equal(answer(&f, "FAIL\t1\tuser=anna\n"), DOVECOT_NO);
	assert_slice(f.text, "anna");
	assert_int_equal(answer(&f, "FAIL\t1\n"), DOVECOT_NO);
	assert_slice(f.text, "");
	tear_down(&f);
}

static void test_a_temporary_failure_of_the_server_is_not_the_clients(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "PLAIN");
	assert_int_equal(answer(&f, "FAIL\t1\tuser=anna\ttemp\n"), DOVECOT_LATER);
	assert_string_equal(f.error.text, "it cannot tell at present: see its log");
	assert_int_equal(answer(&f, "FAIL\t1\tcode=temp_fail\tuser=anna\n"), DOVECOT_LATER);
	tear_down(&f);
}

static void test_names_are_unescaped_and_those_with_nul_refused(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "PLAIN");
	assert_int_equal(answer(&f, "OK\t1\tuser=a\001tb\001nc\001rd\0011e\n"), DOVECOT_YES);
	assert_slice(f.text, "a\tb\nc\rd\001e");
	assert_int_equal(answer(&f, "OK\t1\tuser=a\0010b\n"), DOVECOT_LATER);
	assert_int_equal(answer(&f, "OK\t1\tuser=a\001\n"), DOVECOT_LATER);
	assert_int_equal(answer(&f, "OK\t1\tuser=a\001x\n"), DOVECOT_LATER);
	tear_down(&f);
}

static void test_what_is_not_the_protocol_lets_nobody_in(void **state)
{
	static const char *const answers[] = {
		"OK\t2\tuser=anna\n", "OK\tuser=anna\n", "OK\n", "OK\t1\n", "OK\t1\tuser=\n", "CONT\t1\t!\n", "CONT\t7\t\n", "FAIL\t0\tuser=x\n",
	};
	struct fixture f;
	(void)state;
	set_up(&f, "PLAIN");
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
		assert_int_equal(answer(&f, answers[i]), DOVECOT_LATER);
	assert_int_equal(answer(&f, "ok\t1\tuser=anna\n"), DOVECOT_WAIT);
	tear_down(&f);
	set_up(&f, "PLAIN");
	assert_int_equal(hear(&f, "OK\t1\tuser=anna\n"), DOVECOT_WAIT); /* before the greeting is over */
	tear_down(&f);
}

static void test_lines_and_their_number_are_bounded(void **state)
{
	struct fixture f;
	char line[DOVECOT_LINE_MAX + 1];
	(void)state;
	set_up(&f, "PLAIN");
	memset(line, 'x', sizeof line);
	line[DOVECOT_LINE_MAX] = '\0';
	assert_int_equal(hear(&f, line), DOVECOT_LATER);
	assert_string_equal(f.error.text, "it sends too long a line");
	tear_down(&f);
	set_up(&f, "PLAIN");
	for (int i = 0; i < DOVECOT_LINES_MAX; i++)
		assert_int_equal(hear(&f, "\n"), DOVECOT_WAIT);
	assert_int_equal(hear(&f, "\n"), DOVECOT_LATER);
	assert_string_equal(f.error.text, "it sends too many lines");
	tear_down(&f);
}

static void test_requests_are_lines_of_words_with_the_response_at_the_end(void **state)
{
	struct fixture f;
	struct slice response = SLICE("\0anna\0\tpass\n"), none = { 0 };
	(void)state;
	set_up(&f, "PLAIN");
	struct dovecot_client client = { .client = SLICE("192.0.2.1"), .local = SLICE("2001:db8::1"), .secured = true, .certificate = true };
	assert_slice(dovecot_request(&f.protocol, &client, &response, &f.arena),
		     "AUTH\t1\tPLAIN\tservice=smtp\tvalid-client-cert\tsecured\trip=192.0.2.1\tlip=2001:db8::1\tnologin\tresp=AGFubmEACXBhc3MK\n");
	client = (struct dovecot_client){ 0 };
	assert_slice(dovecot_request(&f.protocol, &client, NULL, &f.arena), "AUTH\t1\tPLAIN\tservice=smtp\tnologin\n");
	assert_slice(dovecot_request(&f.protocol, &client, &none, &f.arena), "AUTH\t1\tPLAIN\tservice=smtp\tnologin\tresp=\n");
	assert_slice(dovecot_response(response, &f.arena), "CONT\t1\tAGFubmEACXBhc3MK\n");
	assert_slice(dovecot_response(none, &f.arena), "CONT\t1\t\n");
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_greeting_ends_with_done_and_names_the_mechanism),
		cmocka_unit_test(test_an_answer_is_a_challenge_a_user_or_a_refusal),
		cmocka_unit_test(test_a_temporary_failure_of_the_server_is_not_the_clients),
		cmocka_unit_test(test_names_are_unescaped_and_those_with_nul_refused),
		cmocka_unit_test(test_what_is_not_the_protocol_lets_nobody_in),
		cmocka_unit_test(test_lines_and_their_number_are_bounded),
		cmocka_unit_test(test_requests_are_lines_of_words_with_the_response_at_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
