/* SPDX-License-Identifier: ISC */
/* Operators on UTF-8: to and from other forms of it, for addresses (RFC 5890, RFC 3492) and IMAP folders (RFC 3501 §5.1.3). */
#include "expand/functions.h"

#include "base/cleanup.h"
#include "mail/punycode.h"
#include "mail/utf8.h"

#include <idn2.h>

static uint32_t character(struct slice s, size_t length)
{
	uint32_t c = (unsigned char)s.data[0] & (length == 1 ? 0x7fu : 0xffu >> (length + 1));
	for (size_t i = 1; i < length; i++)
		c = c << 6 | ((unsigned char)s.data[i] & 0x3f);
	return c;
}

/* Characters above 255 become underscores, as do bytes that are not UTF-8. */
enum expand_result operator_from_utf8(struct expand_call *call)
{
	struct slice text = expand_call_text(call);
	char *out = arena_alloc(call->arena, text.len + 1);
	size_t len = 0;
	while (text.len > 0) {
		size_t length = mail_utf8_char(text);
		uint32_t c = length > 0 ? character(text, length) : '_';
		out[len++] = (char)(c < 256 ? c : '_');
		text = slice_from(text, length > 0 ? length : 1);
	}
	return expand_call_give(call, slice_make(out, len));
}

/* How many bytes a wrong character takes: its first one, and the following ones that could belong to it. */
static size_t wrong_length(struct slice s)
{
	unsigned char first = (unsigned char)s.data[0];
	size_t length = first < 0xc2 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 1;
	size_t i = 1;
	while (i < length && i < s.len && ((unsigned char)s.data[i] & 0xc0) == 0x80)
		i++;
	return i;
}

enum expand_result operator_utf8clean(struct expand_call *call)
{
	struct slice text = expand_call_text(call);
	char *out = arena_alloc(call->arena, text.len + 1);
	size_t len = 0;
	while (text.len > 0) {
		size_t length = mail_utf8_char(text);
		if (length > 0)
			memcpy(out + len, text.data, length);
		else
			out[len] = '?';
		len += length > 0 ? length : 1;
		text = slice_from(text, length > 0 ? length : wrong_length(text));
	}
	return expand_call_give(call, slice_make(out, len));
}

static bool is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] > 127)
			return false;
	return true;
}

static void free_label(char **text) { idn2_free(*text); }

/* A failure in Exim's words; the text is shown with its bytes escaped by whoever logs it. */
static enum expand_result no_conversion(struct expand_call *call, const char *from, const char *to, const char *why)
{
	return expand_fail(call, "error converting %s (%.*s) to %s: %s", from, SLICE_ARG(slice_first(expand_call_text(call), 100)), to, why);
}

enum expand_result operator_domain_to_alabel(struct expand_call *call)
{
	struct slice text = expand_call_text(call);
	char *label _cleanup_(free_label) = NULL;
	if (is_ascii(text))
		return expand_call_give(call, text);
	if (memchr(text.data, 0, text.len))
		return no_conversion(call, "utf8", "alabel", "it holds a NUL");
	int result = idn2_lookup_u8((const uint8_t *)arena_cstr(call->arena, text), (uint8_t **)&label,
				    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (result != IDN2_OK)
		return no_conversion(call, "utf8", "alabel", idn2_strerror(result));
	return expand_call_give(call, arena_copy(call->arena, slice_of(label)));
}

enum expand_result operator_domain_from_alabel(struct expand_call *call)
{
	struct slice text = expand_call_text(call);
	char *domain _cleanup_(free_label) = NULL;
	if (text.len == 0 || !is_ascii(text))
		return expand_call_give(call, text);
	if (memchr(text.data, 0, text.len))
		return no_conversion(call, "alabel", "utf8", "it holds a NUL");
	int result = idn2_to_unicode_8z8z(arena_cstr(call->arena, text), &domain, 0);
	if (result != IDN2_OK)
		return no_conversion(call, "alabel", "utf8", idn2_strerror(result));
	return expand_call_give(call, arena_copy(call->arena, slice_of(domain)));
}

/* Local parts have no standard for this: like a label of a domain, without its changes of case. */
enum expand_result operator_localpart_to_alabel(struct expand_call *call)
{
	struct slice text = expand_call_text(call), code;
	if (is_ascii(text))
		return expand_call_give(call, text);
	if (text.len > MAIL_PUNYCODE_MAX)
		return no_conversion(call, "utf8", "alabel", "it is too long");
	if (!mail_punycode_encode(text, call->arena, &code))
		return no_conversion(call, "utf8", "alabel", "bad UTF-8 input");
	return expand_call_give(call, arena_printf(call->arena, "xn--%.*s", SLICE_ARG(code)));
}

enum expand_result operator_localpart_from_alabel(struct expand_call *call)
{
	struct slice text = expand_call_text(call), out;
	if (!slice_starts_nocase(text, SLICE("xn--")))
		return no_conversion(call, "alabel", "utf8", "bad alabel prefix");
	if (!mail_punycode_decode(slice_from(text, 4), call->arena, &out))
		return no_conversion(call, "alabel", "utf8", "Invalid input");
	return expand_call_give(call, out);
}

/* Modified base64 (RFC 3501 §5.1.3) of the UTF-16 of characters, from "&" to "-". */
struct shifted {
	struct buf *out;
	unsigned bits, count; /* of what is not yet written */
	bool open;
};

static const char folder_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static void shifted_add(struct shifted *shifted, unsigned unit)
{
	if (!shifted->open)
		buf_append_byte(shifted->out, '&');
	shifted->open = true;
	shifted->bits = shifted->bits << 16 | unit;
	for (shifted->count += 16; shifted->count >= 6; shifted->count -= 6)
		buf_append_byte(shifted->out, folder_digits[(shifted->bits >> (shifted->count - 6)) & 63]);
	shifted->bits &= (1u << shifted->count) - 1;
}

static void shifted_end(struct shifted *shifted)
{
	if (!shifted->open)
		return;
	if (shifted->count > 0)
		buf_append_byte(shifted->out, folder_digits[(shifted->bits << (6 - shifted->count)) & 63]);
	buf_append_byte(shifted->out, '-');
	*shifted = (struct shifted){ .out = shifted->out };
}

static void shifted_add_character(struct shifted *shifted, uint32_t c)
{
	if (c >= 0x10000) {
		shifted_add(shifted, 0xd800 | ((c - 0x10000) >> 10));
		c = 0xdc00 | ((c - 0x10000) & 0x3ff);
	}
	shifted_add(shifted, c);
}

/* One character within a level. */
static bool folder_add(struct expand_call *call, struct slice text, size_t length, struct slice specials, struct shifted *shifted)
{
	char c = *text.data;
	if (c == '.' || c == '/') {
		expand_fail(call, "imapfolder: illegal character '%c'", c);
		return false;
	}
	if (!ascii_is_print(c) || slice_find(specials, c) < specials.len) {
		shifted_add_character(shifted, character(text, length));
		return true;
	}
	shifted_end(shifted);
	buf_append_byte(shifted->out, c);
	if (c == '&')
		buf_append_byte(shifted->out, '-');
	return true;
}

/*
 * The separator becomes a dot, which Maildir uses between levels, and empty levels are dropped; neither a dot nor a slash may come
 * in otherwise, so the result names one directory entry.
 */
static enum expand_result folder_text(struct expand_call *call, char separator, struct slice specials, struct buf *out)
{
	struct slice text = call->arguments[0].text;
	struct shifted shifted = { .out = out };
	bool between = false;
	for (size_t length; text.len > 0; text = slice_from(text, length)) {
		length = mail_utf8_char(text);
		if (length == 0)
			return expand_fail(call, "imapfolder: the folder's name is not UTF-8");
		if (*text.data == separator) {
			shifted_end(&shifted);
			between = buf_len(out) > 0;
			continue;
		}
		if (between)
			buf_append_byte(out, '.');
		between = false;
		if (!folder_add(call, text, length, specials, &shifted))
			return EXPAND_FAIL;
	}
	shifted_end(&shifted);
	return expand_call_give(call, arena_copy(call->arena, buf_slice(out)));
}

enum expand_result item_imapfolder(struct expand_call *call)
{
	struct slice separator = call->argument_count > 1 ? call->arguments[1].text : SLICE("/");
	struct slice specials = call->argument_count > 2 ? call->arguments[2].text : SLICE("");
	if (separator.len != 1)
		return expand_fail(call, "IMAP folder separator must be one character, found \"%.*s\"",
				   SLICE_ARG(slice_first(separator, 50)));
	struct buf out _cleanup_(buf_free);
	buf_init(&out, SIZE_MAX / 2);
	return folder_text(call, separator.data[0], specials, &out);
}
