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

static void the_address_of_from_is_the_only_one(void **state)
{
	static const struct {
		const char *section, *address; /* NULL: there is none */
	} cases[] = {
		{ "From: a@b\n", "a@b" }, { "From: \"x, y\" (c) <a@b>\n", "a@b" }, { "From:\n a@b\n", "a@b" }, { "Subject: x\n", NULL },
		{ "From:\n", NULL }, { "From: a@b, c@d\n", NULL }, { "From: a@b\nFrom: a@b\n", NULL }, { "From: a b c\n", NULL },
		{ "From: a@b\nResent-From: c@d\n", "c@d" }, { "From: a@b\nResent-To: c@d\n", NULL }, { "", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena arena;
		struct slice address;
		arena_init(&arena, 0);
		bool found = mail_from_address(slice_of(cases[i].section), &arena, &address);
		assert_int_equal(found, cases[i].address != NULL);
		if (found)
			assert_slice(address, cases[i].address);
		arena_free(&arena);
	}
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
		cmocka_unit_test(the_address_of_from_is_the_only_one),
		cmocka_unit_test(a_name_becomes_a_phrase),
	};
	return cmocka_run_group_tests_name("fixup", tests, NULL, NULL);
}
