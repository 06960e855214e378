/* SPDX-License-Identifier: ISC */
/* Encoded words; see rfc2047.h. */
#include "mail/rfc2047.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "mail/base64.h"
#include "mail/utf8.h"

#include <string.h>

/* What may stand in an encoded word as it is (RFC 2047 §4.2, and in phrases §5 (3)); a blank has a form of its own. */
static bool is_plain(char c, bool phrase)
{
	if (phrase)
		return ascii_is_alnum(c) || (c != '\0' && strchr("!*+-/", c));
	return c > 32 && c < 127 && !strchr("?=()<>@,;:\\\".[]_", c);
}

static size_t encoded_length(struct slice piece, bool phrase)
{
	size_t length = 0;
	for (size_t i = 0; i < piece.len; i++)
		length += is_plain(piece.data[i], phrase) || piece.data[i] == ' ' ? 1 : 3;
	return length;
}

static void append_encoded(struct buf *out, struct slice piece, bool phrase)
{
	for (size_t i = 0; i < piece.len; i++) {
		if (piece.data[i] == ' ')
			buf_append_byte(out, '_');
		else if (is_plain(piece.data[i], phrase))
			buf_append_byte(out, piece.data[i]);
		else
			buf_printf(out, "=%02X", (unsigned char)piece.data[i]);
	}
}

struct slice mail_rfc2047_encode(struct slice text, struct slice charset, bool phrase, struct arena *arena)
{
	bool plain = true;
	for (size_t i = 0; i < text.len; i++)
		plain = plain && (is_plain(text.data[i], phrase) || text.data[i] == ' ');
	if (plain)
		return text;
	charset = slice_first(charset, 40);
	size_t around = charset.len + 7; /* "=?" "?Q?" "?=" */
	struct buf out _cleanup_(buf_free);
	buf_init(&out, SIZE_MAX / 2);
	size_t used = MAIL_RFC2047_WORD_MAX; /* of the word that is being written: there is none yet */
	while (text.len > 0) {
		size_t length = mail_utf8_char(text);
		struct slice piece = slice_first(text, length > 0 ? length : 1);
		text = slice_from(text, piece.len);
		size_t more = encoded_length(piece, phrase);
		if (used + more > MAIL_RFC2047_WORD_MAX) {
			buf_printf(&out, "%s=?%.*s?Q?", buf_len(&out) > 0 ? "?= " : "", SLICE_ARG(charset));
			used = around;
		}
		append_encoded(&out, piece, phrase);
		used += more;
	}
	buf_append(&out, SLICE("?="));
	return arena_copy(arena, buf_slice(&out));
}

struct word {
	struct slice charset, text;
	char encoding;
	size_t length; /* of all of it */
};

/* An encoded word at the start of `s`. */
static bool word_parse(struct slice s, bool check_length, struct word *word_r)
{
	if (!slice_starts(s, SLICE("=?")))
		return false;
	struct slice rest = slice_from(s, 2);
	word_r->charset = slice_cut(&rest, '?');
	struct slice encoding = slice_cut(&rest, '?');
	size_t end = slice_find(rest, '?');
	if (word_r->charset.len == 0 || encoding.len != 1 || end + 1 >= rest.len || rest.data[end + 1] != '=')
		return false;
	word_r->encoding = ascii_lower(*encoding.data);
	word_r->text = slice_first(rest, end);
	word_r->length = (size_t)(rest.data + end + 2 - s.data);
	return word_r->encoding == 'q' || word_r->encoding == 'b' ? !check_length || word_r->length <= MAIL_RFC2047_WORD_MAX : false;
}

static bool decode_q(struct slice text, struct arena *arena, struct slice *out_r)
{
	char *out = arena_alloc(arena, text.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		uint64_t byte;
		if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
			return false;
		if (c == '=') {
			if (!slice_parse_hex(slice_first(slice_from(text, i + 1), 2), 255, &byte) || i + 2 >= text.len)
				return false;
			c = (char)byte;
			i += 2;
		}
		out[len++] = c == '_' && text.data[i] == '_' ? ' ' : c;
	}
	*out_r = slice_make(out, len);
	return true;
}

static bool word_decode(const struct word *word, struct charset_set *charsets, struct arena *arena, struct slice *out_r)
{
	struct slice bytes;
	if (!(word->encoding == 'q' ? decode_q(word->text, arena, &bytes) : mail_base64_decode(word->text, arena, &bytes)))
		return false;
	if (!charsets || !charset_convert(charsets, word->charset, bytes, arena, out_r))
		*out_r = bytes;
	char *data = (char *)(uintptr_t)out_r->data; /* the decoders made it just now */
	for (size_t i = 0; i < out_r->len; i++)
		if (data[i] == 0)
			data[i] = '?';
	return true;
}

struct slice mail_rfc2047_decode(struct slice text, bool check_length, struct charset_set *charsets, struct arena *arena)
{
	struct buf out _cleanup_(buf_free);
	buf_init(&out, SIZE_MAX / 2);
	bool after_word = false;
	while (text.len > 0) {
		size_t start = 0;
		if (after_word)
			while (start < text.len && ascii_is_space(text.data[start]))
				start++;
		struct word word;
		struct slice decoded;
		if (word_parse(slice_from(text, start), check_length, &word) && word_decode(&word, charsets, arena, &decoded)) {
			buf_append(&out, decoded);
			text = slice_from(text, start + word.length);
			after_word = true;
			continue;
		}
		/* White space after a word, and one character at least, up to where the next word can begin. */
		size_t plain = start + 1;
		plain += slice_find(slice_from(text, plain), '=');
		buf_append(&out, slice_first(text, plain));
		text = slice_from(text, plain);
		after_word = false;
	}
	return arena_copy(arena, buf_slice(&out));
}
