/* SPDX-License-Identifier: ISC */
#include "route/rewrite_word.h"

#include "mail/rfc2047.h"

static bool needs_encoding(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if ((c < 32 && c != '\t') || c > 126)
			return true;
	}
	return false;
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
	if (!phrase.len || !needs_encoding(phrase))
		return without_controls(arena, whole);
	struct slice words = mail_rfc2047_encode(phrase, SLICE("UTF-8"), true, arena);
	return arena_printf(arena, "%.*s %.*s", SLICE_ARG(words), SLICE_ARG(rest));
}
