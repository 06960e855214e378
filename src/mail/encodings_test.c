/* SPDX-License-Identifier: ISC */
/* Base64, Punycode, character sets, encoded words and the addresses of header fields, below the operators that use them. */
#include "base/test_arena.h"

#include "mail/base64.h"
#include "mail/mailbox.h"
#include "mail/punycode.h"
#include "mail/rfc2047.h"

/* RFC 4648 §10. */
static void base64_there_and_back(void **state)
{
	static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
						{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	struct slice out;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		assert_slice(mail_base64_encode(slice_of(pairs[i][0]), *state), pairs[i][1]);
		assert_true(mail_base64_decode(slice_of(pairs[i][1]), *state, &out));
		assert_slice(out, pairs[i][0]);
	}
	assert_false(mail_base64_decode(SLICE("Zg="), *state, &out));
	assert_false(mail_base64_decode(SLICE("Zg\0="), *state, &out));
	assert_false(mail_base64_decode(SLICE("===="), *state, &out));
	assert_false(mail_base64_decode(SLICE("Zg==Zg=="), *state, &out));
}

/* RFC 3492 §7.1. */
static void punycode_there_and_back(void **state)
{
	static const char *const pairs[][2] = {
		{ "他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye" },
		{ "Pročprostěnemluvíčesky", "Proprostnemluvesky-uyb24dma41a" },
		{ "なぜみんな日本語を話してくれないのか", "n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa" },
		{ "3年B組金八先生", "3B-ww4c5e180e575a65lsy2b" },
		{ "そのスピードで", "d9juau41awczczp" },
		{ "ü", "tda" },
		{ "😀", "e28h" },
	};
	struct slice out;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		assert_true(mail_punycode_encode(slice_of(pairs[i][0]), *state, &out));
		assert_slice(out, pairs[i][1]);
		assert_true(mail_punycode_decode(out, *state, &out));
		assert_slice(out, pairs[i][0]);
	}
	assert_false(mail_punycode_encode(SLICE("\377"), *state, &out));
	assert_false(mail_punycode_decode(SLICE("99999999"), *state, &out));
	assert_false(mail_punycode_decode(SLICE("a!"), *state, &out));
	assert_false(mail_punycode_decode(SLICE("-"), *state, &out));
	assert_false(mail_punycode_decode(SLICE("\303\274-tda"), *state, &out));
}

static void character_sets_become_utf8(void **state)
{
	static const struct {
		const char *charset, *text, *utf8;
	} cases[] = {
		{ "iso-8859-1", "caf\351", "café" },
		{ "ISO-8859-15", "\244", "€" },
		{ "windows-1252", "\200", "€" },
		{ "koi8-r", "\301", "а" },
		{ "gb2312", "\326\320\316\304", "中文" },
		{ "big5", "\244\244\244\345", "中文" },
		{ "iso-2022-jp", "\033$BF|K\\\033(B", "日本" },
		{ "euc-kr", "\307\321", "한" },
		{ "ks_c_5601-1987", "\307\321", "한" },
		{ "shift_jis", "\223\372", "日" },
		{ "utf-8", "\377", "\377" },           /* the target's own is not looked at */
		{ "us-ascii", "a\351b", "a?b" },       /* means nothing there */
		{ "shift_jis", "a\223", "a?" },        /* not complete */
		{ "iso-8859-1*fr", "\351", "é" },      /* RFC 2231 §5 */
	};
	struct charset_set *set = charset_open_all(SLICE("UTF-8"));
	struct slice out = SLICE("");
	assert_non_null(set);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(charset_convert(set, slice_of(cases[i].charset), slice_of(cases[i].text), *state, &out));
		assert_slice(out, cases[i].utf8);
	}
	assert_false(charset_convert(set, SLICE("no-such-set"), SLICE("a"), *state, &out));
	assert_false(charset_convert(NULL, SLICE("iso-8859-1"), SLICE("a"), *state, &out));
	charset_close_all(&set);
	assert_null(set);
	set = charset_open_all(SLICE("iso-8859-1"));
	assert_slice(charset_target(set), "iso-8859-1");
	assert_true(charset_convert(set, SLICE("utf-8"), SLICE("é"), *state, &out));
	assert_slice(out, "\351");
	charset_close_all(&set);
	assert_null(charset_open_all(SLICE("no-such-set")));
}

/* RFC 2047 §2: no word is longer than 75 octets; §5: characters are not divided between words. */
static void words_are_short_and_whole(struct arena *arena, bool phrase)
{
	struct slice text = SLICE("äöüÄÖÜß日本語äöüÄÖÜß日本語äöüÄÖÜß日本語äöüÄÖÜß日本語 and more of the same kind: äöü");
	struct slice encoded = mail_rfc2047_encode(text, SLICE("UTF-8"), phrase, arena), rest = encoded, decoded;
	size_t words = 0;
	while (rest.len > 0) {
		struct slice word = slice_cut(&rest, ' ');
		assert_in_range(word.len, 13, MAIL_RFC2047_WORD_MAX);
		decoded = mail_rfc2047_decode(word, true, NULL, arena);
		assert_true(decoded.len > 0 && ((unsigned char)decoded.data[0] & 0xc0) != 0x80);
		words++;
	}
	assert_true(words > 3);
	decoded = mail_rfc2047_decode(encoded, true, NULL, arena);
	assert_true(slice_equal(decoded, text));
}

static void encoded_words_are_short_and_whole(void **state)
{
	words_are_short_and_whole(*state, false);
	words_are_short_and_whole(*state, true);
}

/* RFC 2047 §5 (3): of signs, a phrase holds few as they are. */
static void signs_in_phrases_are_encoded(void **state)
{
	assert_slice(mail_rfc2047_encode(SLICE("a#\303\251"), SLICE("UTF-8"), false, *state), "=?UTF-8?Q?a#=C3=A9?=");
	assert_slice(mail_rfc2047_encode(SLICE("a#\303\251"), SLICE("UTF-8"), true, *state), "=?UTF-8?Q?a=23=C3=A9?=");
}

static void long_words_are_read_on_request(void **state)
{
	struct slice text = SLICE("=?us-ascii?q?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?=");
	assert_true(slice_equal(mail_rfc2047_decode(text, true, NULL, *state), text));
	assert_true(slice_equal(mail_rfc2047_decode(text, false, NULL, *state), slice_first(slice_from(text, 13), text.len - 15)));
}

static void mailboxes_are_separated_at_commas(void **state)
{
	struct slice rest = SLICE("Staff: \"A, B\" <a@b>, c@d (x, y);, <@r,@s:e@f>, g"), text;
	static const char *const addresses[] = { "a@b", "c@d", "e@f", "g" };
	struct mail_mailbox mailbox;
	bool group = false;
	for (size_t i = 0; i < 4; i++) {
		assert_true(mail_mailbox_next(&rest, &text));
		assert_true(mail_mailbox_parse(text, &group, *state, &mailbox));
		assert_slice(mailbox.address, addresses[i]);
		assert_int_equal(group, i == 0);
	}
	assert_slice(mailbox.domain, "");
	assert_false(mail_mailbox_next(&rest, &text));
	assert_false(mail_mailbox_parse(SLICE("Staff: a@b"), NULL, *state, &mailbox));
}

/* However deep comments nest, they are read in one pass. */
static void comments_without_end_are_refused(void **state)
{
	static char text[100001];
	struct mail_mailbox mailbox;
	memset(text, '(', sizeof(text) - 1);
	assert_false(mail_mailbox_parse(slice_of(text), NULL, *state, &mailbox));
	assert_true(mail_mailbox_parse(SLICE("((a)(b(c))) x@y ((d))"), NULL, *state, &mailbox));
	assert_slice(mailbox.address, "x@y");
}

/* A quote or bracket behind a backslash ends nothing (RFC 5322 §3.2.4). */
static void escaped_ends_are_no_ends(void **state)
{
	struct mail_mailbox mailbox;
	assert_false(mail_mailbox_parse(SLICE("\"a\\\""), NULL, *state, &mailbox));
	assert_false(mail_mailbox_parse(SLICE("\"a\\\" <a@b>"), NULL, *state, &mailbox));
	assert_false(mail_mailbox_parse(SLICE("a@[1.2.3.4\\]"), NULL, *state, &mailbox));
	assert_true(mail_mailbox_parse(SLICE("\"a\\\"\"@b"), NULL, *state, &mailbox));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_there_and_back),
		cmocka_unit_test(punycode_there_and_back),
		cmocka_unit_test(character_sets_become_utf8),
		cmocka_unit_test(encoded_words_are_short_and_whole),
		cmocka_unit_test(signs_in_phrases_are_encoded),
		cmocka_unit_test(long_words_are_read_on_request),
		cmocka_unit_test(mailboxes_are_separated_at_commas),
		cmocka_unit_test(comments_without_end_are_refused),
		cmocka_unit_test(escaped_ends_are_no_ends),
	};
	return cmocka_run_group_tests(tests, test_arena_setup, test_arena_teardown);
}
