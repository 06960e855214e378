/* SPDX-License-Identifier: ISC */
/*
 * Texts of header fields: the decoder gives no NUL and does not grow its input beyond what converters may; what is encoded, decodes to
 * itself; addresses are taken out without reading beyond the end.
 */
#include "mail/rfc2047.h"

#include "base/fatal.h"
#include "mail/mailbox.h"
#include "mail/punycode.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_addresses(struct slice text, struct arena *arena)
{
	struct slice one;
	bool group = false;
	while (mail_mailbox_next(&text, &one)) {
		struct mail_mailbox mailbox;
		if (!mail_mailbox_parse(one, &group, arena, &mailbox))
			continue;
		ensure(mailbox.local_part.len > 0 && mailbox.address.len <= one.len);
		ensure(mailbox.domain.len == 0 || mailbox.domain.data[-1] == '@');
	}
}

static void try_punycode(struct slice text, struct arena *arena)
{
	struct slice code, again;
	if (mail_punycode_encode(text, arena, &code) && code.len <= MAIL_PUNYCODE_MAX)
		ensure(mail_punycode_decode(code, arena, &again) && slice_equal(text, again));
	mail_punycode_decode(text, arena, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct charset_set *charsets;
	if (!charsets)
		charsets = charset_open_all(SLICE("UTF-8"));
	struct arena arena;
	arena_init(&arena, 0);
	struct slice text = slice_make(data, size);
	struct slice decoded = mail_rfc2047_decode(text, size % 2 == 0, charsets, &arena);
	ensure(decoded.len <= 4 * text.len + 16 * text.len);
	struct slice encoded = mail_rfc2047_encode(text, SLICE("UTF-8"), size % 2 == 1, &arena);
	struct slice back = mail_rfc2047_decode(encoded, true, charsets, &arena);
	ensure(memchr(data, 0, size) || slice_equal(back, text));
	try_addresses(text, &arena);
	try_punycode(text, &arena);
	arena_free(&arena);
	return 0;
}
