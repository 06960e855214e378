/* SPDX-License-Identifier: ISC */
/* Operators for the encodings of mail: base64, hexadecimal digits, the encoded words of RFC 2047. */
#include "expand/functions.h"

#include "mail/base64.h"
#include "mail/rfc2047.h"

enum expand_result operator_base64(struct expand_call *call)
{
	return expand_call_give(call, mail_base64_encode(expand_call_text(call), call->arena));
}

enum expand_result operator_base64d(struct expand_call *call)
{
	struct slice text = expand_call_text(call), out;
	if (!mail_base64_decode(text, call->arena, &out))
		return expand_fail(call, "string \"%.*s\" is not well-formed for \"%s\" operator",
				   SLICE_ARG(slice_first(text, 100)), call->name);
	return expand_call_give(call, out);
}

enum expand_result operator_hex2b64(struct expand_call *call)
{
	struct slice text = expand_call_text(call);
	char *bytes = arena_alloc(call->arena, text.len / 2 + 1);
	if (text.len % 2 != 0)
		return expand_fail(call, "\"%.*s\" contains an odd number of characters", SLICE_ARG(slice_first(text, 100)));
	for (size_t i = 0; i < text.len / 2; i++) {
		uint64_t byte;
		if (!slice_parse_hex(slice_first(slice_from(text, 2 * i), 2), 255, &byte))
			return expand_fail(call, "\"%.*s\" is not a hex string", SLICE_ARG(slice_first(text, 100)));
		bytes[i] = (char)byte;
	}
	return expand_call_give(call, mail_base64_encode(slice_make(bytes, text.len / 2), call->arena));
}

static struct charset_set *charsets(const struct expand_call *call)
{
	return call->context && call->context->language ? call->context->language->charsets : NULL;
}

enum expand_result operator_rfc2047(struct expand_call *call)
{
	return expand_call_give(call, mail_rfc2047_encode(expand_call_text(call), charset_target(charsets(call)), false, call->arena));
}

enum expand_result operator_rfc2047d(struct expand_call *call)
{
	return expand_call_give(call, mail_rfc2047_decode(expand_call_text(call), true, charsets(call), call->arena));
}
