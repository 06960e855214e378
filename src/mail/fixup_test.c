/* SPDX-License-Identifier: ISC */
/* What submission puts right in a header section: rows of sections before and after. */
#include "base/test.h"
#include "mail/fixup.h"

#define USER "user@example.test"

static const struct {
	const char *before, *after;
	const char *sender, *user, *name;
	bool retain;
} rows[] = {
	/* All is there, and From is the user's: nothing is done. */
	{ "From: User <user@example.test>\nDate: x\nMessage-ID: <a@b>\n", "From: User <user@example.test>\nDate: x\nMessage-ID: <a@b>\n", USER, USER, "", false },
	{ "FROM: USER@EXAMPLE.TEST\ndate: x\nMESSAGE-id: y\n", "FROM: USER@EXAMPLE.TEST\ndate: x\nMESSAGE-id: y\n", USER, USER, "", false },
	/* What is missing is added. */
	{ "From: user@example.test\n", "From: user@example.test\nMessage-Id: <E1@mx>\nDate: today\n", USER, USER, "", false },
	{ "Subject: x\n", "Subject: x\nMessage-Id: <E1@mx>\nFrom: user@example.test\nDate: today\n", USER, USER, "", false },
	{ "Subject: x\n", "Subject: x\nMessage-Id: <E1@mx>\nFrom: A B <user@example.test>\nDate: today\n", USER, USER, "A B", false },
	{ "Subject: x\n", "Subject: x\nMessage-Id: <E1@mx>\nFrom: user@example.test\nDate: today\n", "", USER, "", false },
	{ "Subject: x\n", "Subject: x\nMessage-Id: <E1@mx>\nDate: today\n", "", "", "", false },
	{ "Subject: x\n", "Subject: x\nMessage-Id: <E1@mx>\nFrom: else@b.test\nSender: user@example.test\nDate: today\n", "else@b.test", USER, "", false },
	/* Who it was. */
	{ "From: boss@example.test\nDate: x\nMessage-Id: y\n", "From: boss@example.test\nDate: x\nMessage-Id: y\nSender: user@example.test\n", USER, USER, "", false },
	{ "From: boss@example.test\nDate: x\nMessage-Id: y\n", "From: boss@example.test\nDate: x\nMessage-Id: y\nSender: \"A, B\" <user@example.test>\n", USER, USER, "\"A, B\"", false },
	{ "From: user@example.test, boss@example.test\nDate: x\nMessage-Id: y\n",
	  "From: user@example.test, boss@example.test\nDate: x\nMessage-Id: y\nSender: user@example.test\n", USER, USER, "", false },
	{ "From: user@example.test\nFrom: boss@example.test\nDate: x\nMessage-Id: y\n",
	  "From: user@example.test\nFrom: boss@example.test\nDate: x\nMessage-Id: y\nSender: user@example.test\n", USER, USER, "", false },
	{ "From: <<broken\nDate: x\nMessage-Id: y\n", "From: <<broken\nDate: x\nMessage-Id: y\nSender: user@example.test\n", USER, USER, "", false },
	{ "Sender: liar@c.test\nFrom: user@example.test\nDate: x\nMessage-Id: y\n", "From: user@example.test\nDate: x\nMessage-Id: y\n", USER, USER, "", false },
	{ "Sender: liar@c.test\n  more\nFrom: b@c.test\nDate: x\nMessage-Id: y\n", "From: b@c.test\nDate: x\nMessage-Id: y\nSender: user@example.test\n", USER, USER, "", false },
	{ "Sender: liar@c.test\nFrom: b@c.test\nDate: x\nMessage-Id: y\n", "Sender: liar@c.test\nFrom: b@c.test\nDate: x\nMessage-Id: y\n", USER, USER, "", true },
	{ "Sender: liar@c.test\nFrom: b@c.test\nDate: x\nMessage-Id: y\n", "From: b@c.test\nDate: x\nMessage-Id: y\n", USER, "", "", false },
	{ "Sender: liar@c.test\nFrom: b@c.test\nDate: x\nMessage-Id: y\n", "Sender: liar@c.test\nFrom: b@c.test\nDate: x\nMessage-Id: y\n", USER, "", "", true },
	/* Resent: the fields of the resending. */
	{ "From: a@b.test\nDate: x\nMessage-Id: y\nResent-To: c@d.test\n",
	  "From: a@b.test\nDate: x\nMessage-Id: y\nResent-To: c@d.test\nResent-Message-Id: <E1@mx>\nResent-From: user@example.test\nResent-Date: today\n", USER, USER, "", false },
	{ "Sender: s@b.test\nFrom: a@b.test\nResent-From: c@d.test\nResent-Sender: e@f.test\nResent-Date: x\nResent-Message-Id: y\n",
	  "Sender: s@b.test\nFrom: a@b.test\nResent-From: c@d.test\nResent-Date: x\nResent-Message-Id: y\nResent-Sender: user@example.test\n", USER, USER, "", false },
};

/* The rows have LF for what is CRLF on the wire. */
static struct slice on_the_wire(struct arena *arena, const char *text)
{
	struct slice rest = slice_of(text), out = { 0 };
	while (rest.len) {
		struct slice line = slice_cut(&rest, '\n');
		out = arena_printf(arena, "%.*s%.*s\r\n", SLICE_ARG(out), SLICE_ARG(line));
	}
	return out;
}

static void missing_fields_are_added_and_the_sender_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena arena;
		struct buf out;
		struct mail_edit edit;
		struct mail_fixup fixup = {
			.date = SLICE("today"), .message_id = SLICE("E1@mx"), .envelope_sender = slice_of(rows[i].sender),
			.user = slice_of(rows[i].user), .name = slice_of(rows[i].name), .sender_retain = rows[i].retain,
		};
		arena_init(&arena, 0);
		buf_init(&out, 4096);
		struct slice before = on_the_wire(&arena, rows[i].before), after = on_the_wire(&arena, rows[i].after);
		mail_fixup(before, &fixup, &arena, &edit);
		assert_true(edit.added_count <= MAIL_FIXUP_ADDED_MAX && edit.removed_count <= MAIL_FIXUP_REMOVED_MAX);
		assert_true(mail_header_edit(before, &edit, &out));
		if (!slice_equal(buf_slice(&out), after))
			fail_msg("row %zu: %.*s", i, SLICE_ARG(buf_slice(&out)));
		buf_free(&out);
		arena_free(&arena);
	}
}

/* All addresses, a blank behind each. */
static bool gather(void *owner, struct slice address)
{
	return buf_printf(owner, "%.*s ", SLICE_ARG(address));
}

static void every_mailbox_of_every_from_counts(void **state)
{
	static const struct {
		const char *section, *addresses; /* NULL: it cannot be told */
	} cases[] = {
		{ "From: a@b\n", "a@b " }, { "From: \"x, y\" (c) <a@b>\n", "a@b " }, { "From:\n a@b\n", "a@b " }, { "FROM : a@b,, c\n", "a@b c " },
		{ "From: a@b, c@d\nX: y\nFrom: e@f\n", "a@b c@d e@f " }, { "From: a@b\nResent-From: c@d\nResent-From: e@f\n", "a@b c@d e@f " },
		{ "Resent-From: c@d\nFrom: a@b\n", "c@d a@b " }, { "From: all of us: a@b, C <c@d>;, e@f\n", "a@b c@d e@f " },
		{ "From: a@b\nResent-To: c@d\nSender: e@f\nReply-To: g@h\n", "a@b " },
		{ "Subject: x\n", NULL }, { "From:\n", NULL }, { "From: ,\n", NULL }, { "From: a b c\n", NULL }, { "From: nobody:;\n", NULL },
		{ "From: a@b\nFrom: a b c\n", NULL }, { "From: a@b\nFrom:\n", NULL }, { "From: a@b\nResent-From: <\n", NULL },
		{ "Resent-From: a@b\n", NULL }, { "", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena arena;
		struct buf found;
		arena_init(&arena, 0);
		buf_init(&found, 1024);
		bool good = mail_from_each(slice_of(cases[i].section), &arena, gather, &found);
		if (good != (cases[i].addresses != NULL) || (good && !slice_equal(buf_slice(&found), slice_of(cases[i].addresses))))
			fail_msg("%s: %d %.*s", cases[i].section, good, SLICE_ARG(buf_slice(&found)));
		buf_free(&found);
		arena_free(&arena);
	}
}

static bool is_ours(void *owner, struct slice address)
{
	++*(unsigned *)owner;
	return slice_equal(address, SLICE("a@b"));
}

static void the_first_mailbox_that_is_refused_ends_the_walk(void **state)
{
	struct arena arena;
	struct buf many;
	unsigned asked = 0;
	(void)state;
	arena_init(&arena, 0);
	assert_false(mail_from_each(SLICE("From: a@b, c@d, a@b\n"), &arena, is_ours, &asked));
	assert_int_equal(asked, 2);
	buf_init(&many, 4096);
	buf_append(&many, SLICE("From: a@b"));
	for (size_t i = 1; i < MAIL_FROM_MAX; i++)
		buf_append(&many, SLICE(",a@b"));
	assert_true(mail_from_each(buf_slice(&many), &arena, is_ours, &asked));
	buf_append(&many, SLICE(",a@b"));
	assert_false(mail_from_each(buf_slice(&many), &arena, is_ours, &asked));
	assert_int_equal(asked, 2 + 2 * MAIL_FROM_MAX);
	buf_free(&many);
	arena_free(&arena);
}

static void a_name_becomes_a_phrase(void **state)
{
	static const char *const cases[][2] = {
		{ "A B", "A B" }, { "", "" }, { "O'Hara", "O'Hara" }, { "A, B", "\"A, B\"" }, { "a.b", "\"a.b\"" },
		{ "say \"hi\" \\", "\"say \\\"hi\\\" \\\\\"" }, { "Ren\xc3\xa9", "=?UTF-8?Q?Ren=C3=A9?=" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena arena;
		arena_init(&arena, 0);
		assert_slice(mail_phrase(slice_of(cases[i][0]), &arena), cases[i][1]);
		arena_free(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(missing_fields_are_added_and_the_sender_is_told),
		cmocka_unit_test(every_mailbox_of_every_from_counts),
		cmocka_unit_test(the_first_mailbox_that_is_refused_ends_the_walk),
		cmocka_unit_test(a_name_becomes_a_phrase),
	};
	return cmocka_run_group_tests_name("fixup", tests, NULL, NULL);
}
