/* SPDX-License-Identifier: ISC */
/*
 * Lists in the pieces of an expansion. A row's pieces are written one behind the other: "[...]" is a value that a peer had a hand in,
 * "(...)" a value of the configuration's own, all else was written. What comes out are the items, each in "<>".
 */
#include "base/buf.h"
#include "base/test.h"
#include "expand/pieces.h"

enum { PIECES_MAX = 16 };

static struct piece_text join(struct arena *arena, const char *text)
{
	struct expand_piece pieces[PIECES_MAX];
	size_t count = 0;
	while (*text) {
		bool value = *text == '[' || *text == '(';
		size_t len = value ? strcspn(text + 1, "])") : strcspn(text, "[(");
		assert_true(count < PIECES_MAX);
		pieces[count++] = (struct expand_piece){ slice_make(text + value, len), value, *text == '[' };
		text += len + (value ? 2 : 0);
	}
	return piece_text_join(pieces, count, arena);
}

static void separators_count_where_no_peer_had_a_hand(void **state)
{
	static const struct {
		const char *text, *items, *all; /* with `all`; NULL: the same */
	} rows[] = {
		{ "", "", NULL },
		{ "a", "<a>", NULL },
		{ " a / b ", "<a><b>", NULL },
		{ "a/", "<a>", NULL },
		{ "/a", "<><a>", NULL },
		{ "a/ /b", "<a><><b>", NULL },
		{ "a//b", "<a/b>", NULL },
		{ "a///b", "<a/><b>", NULL },
		{ "a////b/c", "<a//b><c>", NULL },
		{ "//", "</>", NULL },
		{ "a/(b/c)/d", "<a><b><c><d>", NULL },
		{ "a/(b//c)/d", "<a><b/c><d>", NULL },
		{ "a/[b/c]/d", "<a><b/c><d>", "<a><b><c><d>" },
		{ "a/[b//c]/d", "<a><b//c><d>", "<a><b/c><d>" },
		{ "[a/b]", "<a/b>", "<a><b>" },
		{ "[a]/[b]", "<a><b>", NULL },
		{ "a/x[b/c]y/d", "<a><xb/cy><d>", "<a><xb><cy><d>" },
		/* Two separators of different pieces are two. */
		{ "a/[]/b", "<a><><b>", NULL },
		{ "a/()/b", "<a><><b>", NULL },
		{ "a/[/b]", "<a></b>", "<a><><b>" },
		{ "a/[/]/b", "<a></><b>", "<a><><><b>" },
		{ "a[b/]/c", "<ab/><c>", "<ab><><c>" },
		{ "a/(/b)", "<a><><b>", NULL },
		{ "a(b/)/c", "<ab><><c>", NULL },
		{ "a/[//]//b", "<a><///b>", "<a><//b>" },
		{ "a/[]", "<a>", NULL },
		{ "[]/a", "<><a>", NULL },
		/* Blanks around an item are nobody's. */
		{ "a/[ b ]/c", "<a><b><c>", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (unsigned all = 0; all < 2; all++) {
			const char *expected = all && rows[i].all ? rows[i].all : rows[i].items;
			struct piece_text item;
			struct arena arena;
			struct buf out;
			arena_init(&arena, 0);
			buf_init(&out, 4096);
			struct piece_text text = join(&arena, rows[i].text);
			while (piece_text_next(&text, '/', all, &arena, &item))
				buf_printf(&out, "<%.*s>", SLICE_ARG(piece_text_rest(&item)));
			if (!slice_equal(buf_slice(&out), slice_of(expected)))
				fail_msg("\"%s\"%s gives %.*s, not %s", rows[i].text, all ? " (all)" : "", SLICE_ARG(buf_slice(&out)), expected);
			buf_free(&out);
			arena_free(&arena);
		}
}

/* An item is read again for the list that is in it, with its own separator. */
static void an_item_keeps_what_is_bound_and_where_pieces_begin(void **state)
{
	struct piece_text text, item, inner;
	struct arena arena;
	(void)state;
	arena_init(&arena, 0);
	text = join(&arena, " a//b,[/,],c / [x]");
	assert_true(piece_text_next(&text, '/', false, &arena, &item));
	assert_slice(piece_text_rest(&item), "a/b,/,,c");
	assert_int_equal(piece_text_written(&item), 4);
	assert_true(piece_text_any_bound(&item));
	assert_false(piece_text_all_bound(&item));
	assert_true(piece_text_next(&item, ',', false, &arena, &inner));
	assert_slice(piece_text_rest(&inner), "a/b");
	assert_false(piece_text_any_bound(&inner));
	assert_true(piece_text_next(&item, ',', false, &arena, &inner));
	assert_slice(piece_text_rest(&inner), "/,");
	assert_true(piece_text_all_bound(&inner));
	assert_true(piece_text_next(&item, ',', false, &arena, &inner));
	assert_slice(piece_text_rest(&inner), "c");
	assert_int_equal(piece_text_written(&inner), 1);
	assert_false(piece_text_next(&item, ',', false, &arena, &inner));
	assert_true(piece_text_next(&text, '/', false, &arena, &item));
	assert_true(piece_text_all_bound(&item));
	assert_int_equal(piece_text_written(&item), 0);
	arena_free(&arena);
}

static void a_separator_is_chosen_by_what_was_written(void **state)
{
	static const struct {
		const char *text, *rest;
		char separator;
	} rows[] = {
		{ "<;a", "a", ';' }, { "(<;)a", "a", ';' }, { "[<;]a", "<;a", ':' }, { "<[;]a", "<;a", ':' }, { "<aa", "<aa", ':' }, { "<", "<", ':' },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena arena;
		arena_init(&arena, 0);
		struct piece_text text = join(&arena, rows[i].text);
		assert_int_equal(piece_text_take_separator(&text), rows[i].separator);
		assert_slice(piece_text_rest(&text), rows[i].rest);
		arena_free(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(separators_count_where_no_peer_had_a_hand),
		cmocka_unit_test(an_item_keeps_what_is_bound_and_where_pieces_begin),
		cmocka_unit_test(a_separator_is_chosen_by_what_was_written),
	};
	return cmocka_run_group_tests_name("pieces", tests, NULL, NULL);
}
