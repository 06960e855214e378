/* SPDX-License-Identifier: ISC */
/* Addresses back into text: quoting and unquoting of local parts. */
#include "mail/address.h"

struct slice mail_local_part_unquote(struct slice quoted, struct arena *arena)
{
	if (quoted.len >= 2 && quoted.data[0] == '"' && quoted.data[quoted.len - 1] == '"')
		quoted = (struct slice){ quoted.data + 1, quoted.len - 2 };
	char *text = arena_alloc(arena, quoted.len + 1);
	size_t length = 0;
	for (size_t i = 0; i < quoted.len; i++) {
		if (quoted.data[i] == '\\' && i + 1 < quoted.len)
			i++;
		text[length++] = quoted.data[i];
	}
	return (struct slice){ text, length };
}

static bool needs_quotes(struct slice local_part)
{
	for (size_t i = 0; i < local_part.len; i++) {
		char c = local_part.data[i];
		if (c == '\0' || (!ascii_is_alnum(c) && (unsigned char)c < 0x80 && !strchr("!#$%&'*+-/=?^_`{|}~.", c)))
			return true;
	}
	return local_part.len == 0;
}

struct slice mail_local_part_quote(struct slice local_part, struct arena *arena)
{
	if (!needs_quotes(local_part))
		return local_part;
	char *text = arena_alloc(arena, 2 * local_part.len + 3);
	size_t length = 0;
	text[length++] = '"';
	for (size_t i = 0; i < local_part.len; i++) {
		if (local_part.data[i] == '"' || local_part.data[i] == '\\')
			text[length++] = '\\';
		text[length++] = local_part.data[i];
	}
	text[length++] = '"';
	return (struct slice){ text, length };
}

struct slice mail_address_format(const struct mail_address *address, struct arena *arena)
{
	if (address->local_part.len == 0 && address->domain.len == 0)
		return (struct slice){ 0 };
	struct slice local = mail_local_part_quote(address->local_part, arena);
	if (address->domain.len == 0)
		return local;
	return arena_printf(arena, "%.*s@%.*s", SLICE_ARG(local), SLICE_ARG(address->domain));
}
