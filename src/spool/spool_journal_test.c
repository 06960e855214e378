/* SPDX-License-Identifier: ISC */
#include "base/test.h"
#include "spool/journal.h"

struct fixture {
	struct arena arena;
	struct buf text;
	struct spool_recipient recipients[3];
	struct spool_envelope envelope;
	struct spool_journal_report report;
};

static const struct message_id own = { "1wXyZa-000Kc3-2B" }, other = { "1wXyZa-000Kc3-2C" };

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	arena_init(&f->arena, 0);
	buf_init(&f->text, 100000);
	f->envelope = (struct spool_envelope){ .id = own, .recipients = f->recipients, .recipient_count = 3 };
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	arena_free(&f->arena);
	buf_free(&f->text);
	free(f);
	return 0;
}

static void add(struct fixture *f, struct message_id id, enum spool_record_kind kind, uint32_t recipient, int64_t until,
		const char *text)
{
	struct spool_record record = { .id = id, .kind = kind, .recipient = recipient, .until_ns = until, .text = slice_of(text) };
	assert_true(spool_record_format(&record, &f->text));
}

static void apply(struct fixture *f)
{
	spool_journal_apply(buf_slice(&f->text), &f->arena, &f->envelope, &f->report);
}

static void records_change_the_state_in_their_order(void **state)
{
	struct fixture *f = *state;
	add(f, own, SPOOL_RECORD_DELIVERED, 2, 0, "250 OK");
	add(f, own, SPOOL_RECORD_FAILED, 0, 0, "550 no\r\nsuch user");
	add(f, own, SPOOL_RECORD_DELIVERED, 0, 0, NULL);
	add(f, own, SPOOL_RECORD_DEFERRED, 0, INT64_MAX, "busy");
	add(f, own, SPOOL_RECORD_FROZEN, 0, 0, "by hand: 100%");
	apply(f);
	assert_int_equal(f->report.records, 5);
	assert_int_equal(f->report.damaged, 0);
	assert_false(f->report.torn);
	assert_int_equal(f->recipients[0].state, SPOOL_FAILED);
	assert_int_equal(f->recipients[1].state, SPOOL_PENDING);
	assert_int_equal(f->recipients[2].state, SPOOL_DELIVERED);
	assert_true(f->envelope.frozen && f->envelope.deferred_until_ns == INT64_MAX);
	assert_slice(f->envelope.reason, "by hand: 100%");
	add(f, own, SPOOL_RECORD_THAWED, 0, 0, NULL);
	apply(f);
	assert_true(!f->envelope.frozen && f->envelope.deferred_until_ns == 0);
}

static void a_line_has_the_form_of_the_header(void **state)
{
	struct fixture *f = *state;
	add(f, own, SPOOL_RECORD_DELIVERED, 3, 0, "x\ny");
	assert_slice(slice_from(buf_slice(&f->text), 8), " D 3 x%0Ay\n");
	buf_reset(&f->text);
	add(f, own, SPOOL_RECORD_THAWED, 0, 0, NULL);
	assert_slice(slice_from(buf_slice(&f->text), 8), " U\n");
	struct spool_record negative = { .id = own, .kind = SPOOL_RECORD_DEFERRED, .until_ns = -1 };
	assert_false(spool_record_format(&negative, &f->text));
}

static void a_journal_cut_anywhere_counts_up_to_its_last_whole_line(void **state)
{
	struct fixture *f = *state;
	add(f, own, SPOOL_RECORD_DELIVERED, 0, 0, "first");
	size_t first = buf_len(&f->text);
	add(f, own, SPOOL_RECORD_DELIVERED, 1, 0, "second");
	struct slice whole = buf_slice(&f->text);
	for (size_t len = 0; len <= whole.len; len++) {
		memset(f->recipients, 0, sizeof f->recipients);
		spool_journal_apply(slice_first(whole, len), &f->arena, &f->envelope, &f->report);
		size_t want = len == whole.len ? len : len >= first ? first : 0;
		assert_int_equal(f->report.valid_end, want);
		assert_int_equal(f->report.torn, len != want);
		assert_int_equal(f->report.damaged, 0);
		assert_int_equal(f->recipients[1].state, len == whole.len ? SPOOL_DELIVERED : SPOOL_PENDING);
	}
}

static void any_changed_byte_is_noticed_and_the_other_lines_count(void **state)
{
	struct fixture *f = *state;
	add(f, own, SPOOL_RECORD_DELIVERED, 0, 0, "first");
	size_t first = buf_len(&f->text);
	add(f, own, SPOOL_RECORD_DELIVERED, 1, 0, "second");
	char *bytes = f->text.data + f->text.start;
	for (size_t i = 0; i < first; i++) {
		bytes[i] ^= 1;
		memset(f->recipients, 0, sizeof f->recipients);
		apply(f);
		assert_int_equal(f->recipients[0].state, SPOOL_PENDING);
		/* Without its line end, the first line takes the second with it. */
		assert_int_equal(f->recipients[1].state, i + 1 < first ? SPOOL_DELIVERED : SPOOL_PENDING);
		assert_true(f->report.damaged > 0 || f->report.torn);
		bytes[i] ^= 1;
	}
}

static void records_of_another_message_or_recipient_do_not_count(void **state)
{
	struct fixture *f = *state;
	add(f, other, SPOOL_RECORD_DELIVERED, 0, 0, NULL);
	add(f, own, SPOOL_RECORD_DELIVERED, 3, 0, NULL);
	add(f, own, SPOOL_RECORD_DELIVERED, 1, 0, NULL);
	apply(f);
	assert_int_equal(f->report.records, 1);
	assert_int_equal(f->report.damaged, 2);
	assert_int_equal(f->recipients[0].state, SPOOL_PENDING);
	assert_int_equal(f->recipients[1].state, SPOOL_DELIVERED);
}

static void long_texts_are_cut(void **state)
{
	struct fixture *f = *state;
	char text[2000];
	memset(text, '\n', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	add(f, own, SPOOL_RECORD_FROZEN, 0, 0, text);
	apply(f);
	assert_true(f->envelope.frozen);
	assert_int_equal(f->envelope.reason.len, SPOOL_RECORD_TEXT_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(records_change_the_state_in_their_order), TEST(a_line_has_the_form_of_the_header),
		TEST(a_journal_cut_anywhere_counts_up_to_its_last_whole_line),
		TEST(any_changed_byte_is_noticed_and_the_other_lines_count),
		TEST(records_of_another_message_or_recipient_do_not_count), TEST(long_texts_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
