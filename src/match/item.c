/* SPDX-License-Identifier: ISC */
#include "match/item.h"

static bool is_own_host(struct slice text)
{
	return slice_equal(text, SLICE("@"));
}

static bool is_own_literal(struct slice text)
{
	return slice_equal(text, SLICE("@[]"));
}

/* Patterns of Exim's that this version refuses: regular expressions and lookups ("cdb;/file", "partial-lsearch;/file"). */
static bool refuse_foreign(struct slice text, struct error *error)
{
	size_t semicolon = slice_find(text, ';'), i = 0;
	if (text.len && text.data[0] == '^')
		return error_set(error, ERROR_USAGE, "regular expressions in lists are not available in this version");
	if (semicolon == text.len || !ascii_is_alpha(text.data[0]))
		return true;
	while (i < semicolon && (ascii_is_alnum(text.data[i]) || memchr("-_*@(),=.", text.data[i], 9)))
		i++;
	if (i < semicolon)
		return true;
	return error_set(error, ERROR_USAGE, "lookups in lists (%.*s;) are not available in this version",
			 SLICE_ARG(slice_first(text, semicolon)));
}

/* "+name": a list of `kind`, already compiled. */
static bool find_named(struct list_item_context *context, enum list_kind kind, struct slice name, struct list_item *item,
		       struct error *error)
{
	const struct list_scope *scope = context->scope;
	const struct list *list = scope->named ? scope->named(scope->owner, kind, name) : NULL;
	if (!list)
		return error_set(error, ERROR_USAGE, "there is no %s list of the name \"%.*s\" before this line",
				 list_kind_text(kind), SLICE_ARG(slice_first(name, 100)));
	if (list->kind != kind || list->depth >= LIST_MAX_DEPTH)
		return error_set(error, ERROR_USAGE, "named lists are nested more than %d deep", LIST_MAX_DEPTH);
	if (context->depth <= list->depth)
		context->depth = list->depth + 1;
	item->kind = LIST_ITEM_SUBLIST;
	item->sublist = list;
	return true;
}

/* "*", "*suffix" or the text itself. */
static bool parse_plain(struct slice text, struct list_item *item, struct error *error)
{
	item->kind = LIST_ITEM_EXACT;
	item->key = text;
	if (text.len && text.data[0] == '*') {
		item->key = slice_from(text, 1);
		item->kind = item->key.len ? LIST_ITEM_SUFFIX : LIST_ITEM_ANY;
		if (item->key.len > LIST_SUFFIX_MAX)
			return error_set(error, ERROR_USAGE, "the text after the asterisk is longer than %d bytes", LIST_SUFFIX_MAX);
	}
	if (text.len > LIST_KEY_MAX)
		return error_set(error, ERROR_USAGE, "the item is longer than %d bytes", LIST_KEY_MAX);
	return true;
}

/* A domain pattern, in a domain list or behind the @ of an address. What could never match a domain is a mistake. */
static bool parse_domain(struct list_item_context *context, struct slice text, struct list_item *item, struct error *error)
{
	if (is_own_host(text)) {
		if (context->primary_hostname.len == 0)
			return error_set(error, ERROR_USAGE, "\"@\" cannot be used where the primary host name is not known");
		item->data = text = context->primary_hostname;
	} else if (is_own_literal(text)) {
		item->kind = LIST_ITEM_LITERAL;
		return true;
	} else if (slice_starts(text, SLICE("@mx_"))) {
		return error_set(error, ERROR_USAGE, "MX patterns in lists are not available in this version");
	}
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (ascii_is_space(c) || c == '@' || c == '!' || c == '\0' || (i && c == '*'))
			return error_set(error, ERROR_USAGE, "a domain or a pattern for domains is expected: no domain holds '%c'",
					 c == '\0' ? '0' : c);
	}
	return parse_plain(text, item, error);
}

static bool parse_domain_item(struct list_item_context *context, struct slice text, struct list_item *item,
			      struct error *error)
{
	if (text.len && text.data[0] == '+')
		return find_named(context, LIST_DOMAIN, slice_from(text, 1), item, error);
	if (text.len == 0) {
		item->kind = LIST_ITEM_EMPTY;
		return true;
	}
	return parse_domain(context, text, item, error);
}

/* A name, not an address gone wrong: letters, digits, dots, hyphens and underscores, and not only digits and dots. */
static bool check_host_name(struct slice text, struct error *error)
{
	size_t digits = 0, start = text.len && text.data[0] == '*';
	if (slice_find(text, '/') < text.len)
		return error_set(error, ERROR_USAGE, "not an IP address with a network length (10.0.0.0/8)");
	if (slice_find(text, ':') < text.len || text.data[0] == '[')
		return error_set(error, ERROR_USAGE,
				 "not an IP address; in a list separated by colons those of IPv6 addresses are doubled, "
				 "or another separator is set by \"<;\" at its start");
	for (size_t i = start; i < text.len; i++) {
		char c = text.data[i];
		if (!ascii_is_alnum(c) && c != '.' && c != '-' && c != '_')
			return error_set(error, ERROR_USAGE, "an IP address, a network or a host name is expected");
		digits += ascii_is_digit(c) || c == '.';
	}
	if (start == 0 && digits == text.len)
		return error_set(error, ERROR_USAGE, "not an IP address: four numbers up to 255 are expected");
	return true;
}

static bool parse_host_item(struct list_item_context *context, struct slice text, struct list_item *item, struct error *error)
{
	if (text.len == 0) {
		item->kind = LIST_ITEM_EMPTY;
		return true;
	}
	if (text.data[0] == '+')
		return find_named(context, LIST_HOST, slice_from(text, 1), item, error);
	if (is_own_literal(text)) {
		item->kind = LIST_ITEM_LOCAL_HOST;
		return true;
	}
	if (net_network_parse(text, &item->network)) {
		item->kind = LIST_ITEM_NETWORK;
		return true;
	}
	if (is_own_host(text)) {
		if (context->primary_hostname.len == 0)
			return error_set(error, ERROR_USAGE, "\"@\" cannot be used where the primary host name is not known");
		item->data = text = context->primary_hostname;
	}
	return check_host_name(text, error) && parse_plain(text, item, error);
}

static bool parse_local_part_item(struct list_item_context *context, struct slice text, struct list_item *item,
				  struct error *error)
{
	if (text.len == 0) {
		item->kind = LIST_ITEM_EMPTY;
		return true;
	}
	if (text.data[0] == '+' && !context->in_file)
		return find_named(context, LIST_LOCAL_PART, slice_from(text, 1), item, error);
	return parse_plain(text, item, error);
}

static bool parse_string_item(struct list_item_context *context, struct slice text, struct list_item *item, struct error *error)
{
	if (text.len && text.data[0] == '+' && !context->in_file)
		return find_named(context, LIST_STRING, slice_from(text, 1), item, error);
	if (text.len == 0) {
		item->kind = LIST_ITEM_EMPTY;
		return true;
	}
	return parse_plain(text, item, error);
}

/* "local@domain" with patterns on either side, split already. */
static bool parse_address_pair(struct list_item_context *context, struct slice local_part, struct slice domain,
			       struct list_item *item, struct error *error)
{
	struct list_item left = { 0 }, right = { 0 };
	struct slice whole = item->data;
	if (local_part.len == 0)
		return error_set(error, ERROR_USAGE, "a local part, or \"*\", is expected before the @");
	if (domain.len == 0)
		return error_set(error, ERROR_USAGE, "a domain, or a pattern for one, is expected after the @");
	if (!parse_plain(local_part, &left, error) || !refuse_foreign(domain, error) ||
	    !parse_domain_item(context, domain, &right, error))
		return false;
	/* Patterns of the domain alone and whole addresses have sets of their own. */
	if (left.kind == LIST_ITEM_ANY && right.kind != LIST_ITEM_SUBLIST && right.kind != LIST_ITEM_LITERAL) {
		item->kind = right.kind;
		item->key = right.key;
		return true;
	}
	if (left.kind == LIST_ITEM_EXACT && right.kind == LIST_ITEM_EXACT) {
		struct slice lower = arena_copy_lower(context->arena, right.key);
		item->kind = LIST_ITEM_ADDRESS;
		item->key = arena_printf(context->arena, "%.*s@%.*s", SLICE_ARG(local_part), SLICE_ARG(lower));
		if (item->key.len > LIST_KEY_MAX)
			return error_set(error, ERROR_USAGE, "the item is longer than %d bytes", LIST_KEY_MAX);
		return true;
	}
	struct list_item *sides = arena_array(context->arena, 2, sizeof *sides);
	sides[0] = left;
	sides[1] = right;
	*item = (struct list_item){ .kind = LIST_ITEM_PAIR, .data = whole, .pair = { &sides[0], &sides[1] } };
	return true;
}

static bool parse_address_item(struct list_item_context *context, struct slice text, struct list_item *item,
			       struct error *error)
{
	size_t at = slice_find_last(text, '@');
	if (text.len == 0) {
		item->kind = LIST_ITEM_EMPTY;
		return true;
	}
	if (slice_starts(text, SLICE("@@")))
		return error_set(error, ERROR_USAGE, "lookups in lists (@@...) are not available in this version");
	if (at == text.len) {
		if (text.data[0] == '+' && !context->in_file)
			return find_named(context, LIST_ADDRESS, slice_from(text, 1), item, error);
		return parse_domain(context, text, item, error);
	}
	/* "local@@" and "local@@[]" mean this host's name and addresses. */
	struct slice domain = slice_from(text, at + 1);
	if (at && text.data[at - 1] == '@' && (domain.len == 0 || slice_equal(domain, SLICE("[]"))))
		domain = slice_from(text, at--);
	return parse_address_pair(context, slice_first(text, at), domain, item, error);
}

bool list_item_parse(struct list_item_context *context, struct slice text, struct list_item *item, struct error *error)
{
	static bool (*const parsers[LIST_KINDS])(struct list_item_context *, struct slice, struct list_item *, struct error *) = {
		[LIST_HOST] = parse_host_item,       [LIST_DOMAIN] = parse_domain_item,   [LIST_ADDRESS] = parse_address_item,
		[LIST_LOCAL_PART] = parse_local_part_item, [LIST_STRING] = parse_string_item,
	};
	item->data = text;
	if (slice_find(text, '\0') < text.len)
		return error_set(error, ERROR_USAGE, "the item holds a NUL byte");
	if (slice_equal(text, SLICE("*"))) {
		item->kind = LIST_ITEM_ANY;
		return true;
	}
	if (!refuse_foreign(text, error))
		return false;
	if (context->in_file && text.len && text.data[0] == '+' && (context->kind == LIST_HOST || context->kind == LIST_DOMAIN))
		return error_set(error, ERROR_USAGE, "a file of items cannot refer to named lists");
	return parsers[context->kind](context, text, item, error);
}
