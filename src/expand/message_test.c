/* SPDX-License-Identifier: ISC */
/* Variables of a message from its text, and those of a moment. */
#include "base/test.h"

#include "base/clock.h"
#include "expand/message.h"
#include "expand/moment.h"

static struct slice value_of(const struct expand_message *message, enum expand_variable variable, struct arena *arena)
{
	struct slice text;
	return expand_message_variable(message, variable, arena, &text) ? text : SLICE("(unknown)");
}

/* What is on the wire has CRLF; variables have LF. */
static void line_ends_become_lf(void **state)
{
	const struct expand_message message = {
		.headers = SLICE("Received: a\r\n b\r\nreceived: c\r\nReply-To:  \r\nFrom: x@y \r\n"), .body = SLICE("one\r\ntwo\rthree\r\n"),
		.received = 1, .whole = true, .visible = 100, .newlines = true,
	};
	assert_slice(value_of(&message, EXPAND_MESSAGE_HEADERS, *state), "Received: a\n b\nreceived: c\nReply-To:\nFrom: x@y");
	assert_slice(value_of(&message, EXPAND_MESSAGE_HEADERS_RAW, *state), "Received: a\n b\nreceived: c\nReply-To:  \nFrom: x@y \n");
	assert_slice(value_of(&message, EXPAND_REPLY_ADDRESS, *state), "x@y");
	assert_slice(value_of(&message, EXPAND_RECEIVED_COUNT, *state), "3");
	assert_slice(value_of(&message, EXPAND_MESSAGE_BODY, *state), "one\ntwo\rthree\n");
	assert_slice(value_of(&message, EXPAND_BODY_LINECOUNT, *state), "2");
	assert_slice(value_of(&message, EXPAND_MESSAGE_BODY_SIZE, *state), "16");
}

static void only_the_visible_part_of_a_body_is_shown(void **state)
{
	struct expand_message message = { .body = { "ab\nd\0fgh", 8 }, .whole = true, .visible = 5 };
	assert_slice(value_of(&message, EXPAND_MESSAGE_BODY, *state), "ab d ");
	assert_slice(value_of(&message, EXPAND_MESSAGE_BODY_END, *state), "d fgh");
	assert_slice(value_of(&message, EXPAND_BODY_ZEROCOUNT, *state), "1");
	message.visible = 0;
	assert_slice(value_of(&message, EXPAND_MESSAGE_BODY, *state), "");
	assert_slice(value_of(&message, EXPAND_MESSAGE_BODY_END, *state), "");
	assert_slice(value_of(&message, EXPAND_MESSAGE_HEADERS, *state), "");
	assert_slice(value_of(&message, EXPAND_REPLY_ADDRESS, *state), "");
}

static void the_end_of_a_body_that_is_not_there_is_not_known(void **state)
{
	const struct expand_message message = { .body = SLICE("abc"), .visible = 500 };
	assert_slice(value_of(&message, EXPAND_MESSAGE_BODY, *state), "abc");
	assert_slice(value_of(&message, EXPAND_MESSAGE_BODY_END, *state), "(unknown)");
	assert_slice(value_of(&message, EXPAND_MESSAGE_BODY_SIZE, *state), "(unknown)");
	assert_slice(value_of(&message, EXPAND_DOMAIN, *state), "(unknown)");
}

static void moments_have_their_forms(void **state)
{
	static const struct { enum expand_variable variable; const char *text; } rows[] = {
		{ EXPAND_TOD_FULL, "Sat, 07 Nov 2026 09:05:03 +0000" }, { EXPAND_TOD_LOG, "2026-11-07 09:05:03" },
		{ EXPAND_TOD_BSDINBOX, "Sat Nov  7 09:05:03 2026" },    { EXPAND_TOD_LOGFILE, "20261107" },
		{ EXPAND_TOD_ZONE, "+0000" },                           { EXPAND_TOD_ZULU, "20261107090503Z" },
		{ EXPAND_TOD_EPOCH, "1794042303" },                     { EXPAND_TOD_EPOCH_L, "1794042303000001" },
	};
	struct slice text;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_true(expand_moment_variable(rows[i].variable, 1794042303 * CLOCK_SECOND + 1000, *state, &text));
		assert_slice(text, rows[i].text);
	}
	assert_false(expand_moment_variable(EXPAND_DOMAIN, 0, *state, &text));
}

static int setup(void **state)
{
	static struct arena arena;
	setenv("TZ", "UTC0", 1);
	tzset();
	arena_init(&arena, 0);
	*state = &arena;
	return 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_ends_become_lf),
		cmocka_unit_test(only_the_visible_part_of_a_body_is_shown),
		cmocka_unit_test(the_end_of_a_body_that_is_not_there_is_not_known),
		cmocka_unit_test(moments_have_their_forms),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
