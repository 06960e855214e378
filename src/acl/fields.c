/* SPDX-License-Identifier: ISC */
/*
 * Values that are parts with slashes between them ("100 / 1h / strict / $sender_address"; a double slash stands for itself). They
 * are cut after they are expanded, and what a peer had a hand in is no syntax (expand/pieces.h): it cannot add a part, take one
 * away, or name an option. What an expansion of the configuration's own data gives (a lookup of "100 / 1h") is cut as if it had
 * been written there.
 */
#include "acl/private.h"

/* The name of an option, with which the part begins: letters and underscores that no peer gave; *rest_r is what follows its "=". */
static struct slice option_name(const struct piece_text *part, struct slice *rest_r)
{
	struct slice whole = piece_text_rest(part), written = slice_first(whole, piece_text_written(part));
	size_t len = 0;
	while (len < written.len && (ascii_is_alpha(written.data[len]) || written.data[len] == '_'))
		len++;
	bool equals = len < written.len && written.data[len] == '=';
	*rest_r = equals ? slice_from(whole, len + 1) : (struct slice){ 0 };
	return equals || len == whole.len ? slice_first(whole, len + equals) : (struct slice){ 0 };
}

void acl_fields_cut(struct acl_fields *fields, struct piece_text text, struct arena *arena)
{
	struct piece_text part;
	*fields = (struct acl_fields){ 0 };
	while (fields->count < ACL_PARTS_MAX && piece_text_next(&text, '/', false, arena, &part)) {
		struct acl_field *field = &fields->items[fields->count++];
		field->text = piece_text_rest(&part);
		field->name = option_name(&part, &field->rest);
	}
	fields->too_many = text.at < text.len;
}
