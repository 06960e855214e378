/* SPDX-License-Identifier: ISC */
#include "route/rewrite_word.h"

#include "base/buf.h"

/* RFC 2047 §2: an encoded word has at most 75 characters. */
enum { WORD_MAX = 75, WORD_END = 2, PHRASE_MAX = 64 * 1024 };

#define WORD_START "=?UTF-8?Q?"

static bool needs_encoding(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if ((c < 32 && c != '\t') || c > 126)
			return true;
	}
	return false;
}

/* RFC 2047 §5 (3): what may stand for itself in a phrase. */
static bool is_plain(unsigned char c)
{
	return ascii_is_alnum((char)c) || (c && strchr("!*+-/", (char)c));
}

/* Length of the UTF-8 character, so that none is cut in two; 1 for what is none. */
static size_t character(struct slice text)
{
	size_t n = 1;
	while (n < 4 && n < text.len && ((unsigned char)text.data[0] & 0xc0) == 0xc0 && ((unsigned char)text.data[n] & 0xc0) == 0x80)
		n++;
	return n;
}

static bool encode(struct slice text, struct buf *out)
{
	size_t room = 0;
	bool fits = true, first = true;
	while (fits && text.len) {
		size_t n = character(text);
		if (room < 3 * n) {
			fits = buf_append(out, first ? SLICE(WORD_START) : SLICE("?= " WORD_START));
			room = WORD_MAX - WORD_END - (sizeof WORD_START - 1);
			first = false;
		}
		for (size_t i = 0; fits && i < n; i++) {
			unsigned char c = (unsigned char)text.data[i];
			room -= is_plain(c) || c == ' ' ? 1 : 3;
			fits = c == ' ' ? buf_append_byte(out, '_') : is_plain(c) ? buf_append_byte(out, (char)c) :
					  buf_printf(out, "=%02X", c);
		}
		text = slice_from(text, n);
	}
	return fits && buf_append(out, SLICE("?="));
}

/* Quotes around the whole phrase go: they would be part of the encoded text. */
static struct slice unquote(struct slice text)
{
	if (text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"')
		return slice_first(slice_from(text, 1), text.len - 2);
	return text;
}

/* What a header field can hold at all. */
static struct slice without_controls(struct arena *arena, struct slice text)
{
	char *out = arena_alloc(arena, text.len + 1);
	for (size_t i = 0; i < text.len; i++)
		out[i] = (unsigned char)text.data[i] < 32 || text.data[i] == 127 ? ' ' : text.data[i];
	return slice_make(out, text.len);
}

struct slice rewrite_encode_words(struct arena *arena, const struct mail_address_item *mailbox)
{
	struct slice whole = mailbox->whole;
	if (!needs_encoding(whole) || !mail_address_item_bracketed(mailbox))
		return without_controls(arena, whole);
	size_t open = (size_t)(mailbox->address.data - whole.data);
	while (whole.data[open] != '<')
		open--;
	struct slice phrase = unquote(slice_trim(slice_first(whole, open)));
	struct slice rest = without_controls(arena, slice_from(whole, open));
	struct buf out;
	buf_init(&out, PHRASE_MAX);
	struct slice result = phrase.len && needs_encoding(phrase) && encode(phrase, &out) ?
				      arena_printf(arena, "%.*s %.*s", SLICE_ARG(buf_slice(&out)), SLICE_ARG(rest)) :
				      without_controls(arena, whole);
	buf_free(&out);
	return result;
}
