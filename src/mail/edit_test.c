/* SPDX-License-Identifier: ISC */
/* Where added header lines go, and what is removed. */
#include "base/test.h"
#include "mail/edit.h"
#include "mail/field.h"

static const char section[] = "Received: one\r\nReceived: two\r\n\tmore\r\nResent-To: x\r\nFrom: y\r\nX-A: 1\r\n folded\r\nx-a : 2\r\nTo: z\r\n";

static void check(const struct mail_edit *edit, const char *expected)
{
	struct buf out;
	buf_init(&out, 4096);
	assert_true(mail_header_edit(slice_of(section), edit, &out));
	assert_slice(buf_slice(&out), expected);
	buf_free(&out);
}

static void nothing_to_do_changes_nothing(void **state)
{
	(void)state;
	check(&(struct mail_edit){ 0 }, section);
}

static void all_fields_of_a_name_are_removed_with_their_continuations(void **state)
{
	const struct slice names[] = { SLICE("X-A"), SLICE("resent-to"), SLICE("Missing") };
	(void)state;
	check(&(struct mail_edit){ .removed = names, .removed_count = 3 },
	      "Received: one\r\nReceived: two\r\n\tmore\r\nFrom: y\r\nTo: z\r\n");
}

static void added_fields_go_to_their_places(void **state)
{
	const struct mail_added_field added[] = {
		{ MAIL_EDIT_AT_END, SLICE("E: 1") }, { MAIL_EDIT_AT_END, SLICE("E: 2\n folded") },
		{ MAIL_EDIT_AT_START, SLICE("S: 1") }, { MAIL_EDIT_AT_START, SLICE("S: 2") },
		{ MAIL_EDIT_AFTER_RECEIVED, SLICE("R: 1") }, { MAIL_EDIT_AT_START_RFC, SLICE("F: 1") },
	};
	(void)state;
	check(&(struct mail_edit){ .added = added, .added_count = 6 },
	      "S: 2\r\nS: 1\r\nReceived: one\r\nReceived: two\r\n\tmore\r\nR: 1\r\nResent-To: x\r\nF: 1\r\nFrom: y\r\nX-A: 1\r\n folded\r\n"
	      "x-a : 2\r\nTo: z\r\nE: 1\r\nE: 2\r\n folded\r\n");
}

static void removal_leaves_what_is_added(void **state)
{
	const struct slice names[] = { SLICE("To"), SLICE("From"), SLICE("Received"), SLICE("Resent-To"), SLICE("X-A") };
	const struct mail_added_field added[] = { { MAIL_EDIT_AT_END, SLICE("To: new") }, { MAIL_EDIT_AFTER_RECEIVED, SLICE("R: 1") } };
	(void)state;
	check(&(struct mail_edit){ added, 2, names, 5 }, "R: 1\r\nTo: new\r\n");
}

static void the_section_ends_at_the_first_line_that_is_no_field(void **state)
{
	(void)state;
	assert_int_equal(mail_header_length(SLICE("A: 1\r\n\r\nB: 2\r\n")), 6);
	assert_int_equal(mail_header_length(SLICE("A: 1\r\nno field\r\n")), 6);
	assert_int_equal(mail_header_length(SLICE("A: 1\r\n more\r\nB: 2")), 17);
	assert_int_equal(mail_header_length(SLICE("\r\nA: 1\r\n")), 0);
	assert_int_equal(mail_header_length(SLICE(" A: 1\r\n")), 0);
	assert_int_equal(mail_header_length(SLICE("")), 0);
}

static void a_full_buffer_is_told(void **state)
{
	const struct mail_added_field added[] = { { MAIL_EDIT_AT_END, SLICE("E: 1") } };
	struct buf out;
	(void)state;
	buf_init(&out, sizeof section);
	assert_false(mail_header_edit(slice_of(section), &(struct mail_edit){ .added = added, .added_count = 1 }, &out));
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_to_do_changes_nothing),
		cmocka_unit_test(all_fields_of_a_name_are_removed_with_their_continuations),
		cmocka_unit_test(added_fields_go_to_their_places),
		cmocka_unit_test(removal_leaves_what_is_added),
		cmocka_unit_test(the_section_ends_at_the_first_line_that_is_no_field),
		cmocka_unit_test(a_full_buffer_is_told),
	};
	return cmocka_run_group_tests_name("edit", tests, NULL, NULL);
}
