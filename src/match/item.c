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

/* Whether an expression takes a domain that nobody can have (RFC 6761 §6.4). */
static bool takes_any_domain(const struct regex *regex)
{
	struct error unwanted;
	return regex_match(regex, SLICE("nobody.invalid"), NULL, &unwanted) == REGEX_YES ||
	       regex_match(regex, SLICE("mx-1.nobody.invalid"), NULL, &unwanted) == REGEX_YES;
}

/* "^..." in lists of domains, local parts and hosts; in address lists the whole address. */
static bool parse_regex(struct list_item_context *context, struct slice text, struct list_item *item, struct error *error)
{
	item->kind = LIST_ITEM_REGEX;
	if (!list_regex_parse(context, text, !context->caseful, &item->regex, error))
		return false;
	item->anything = context->kind == LIST_DOMAIN && takes_any_domain(item->regex);
	return true;
}

static bool parse_lookup(struct list_item_context *context, struct slice text, bool whole_address, struct list_item *item,
			 struct error *error)
{
	item->kind = LIST_ITEM_LOOKUP;
	return list_lookup_parse(context, text, whole_address, &item->lookup, error);
}

/* "+name": a list of `kind`, already compiled. */
static bool find_named(struct list_item_context *context, enum list_kind kind, struct slice name, struct list_item *item,
		       struct error *error)
{
	const struct list_scope *scope = context->scope;
	if (list_text_tainted(&context->item, name))
		return error_set(error, ERROR_USAGE, "text from a peer cannot name a list");
	const struct list *list = scope->named ? scope->named(scope->owner, kind, name) : NULL;
	if (!list)
		return error_set(error, ERROR_USAGE, "there is no %s list of the name \"%.*s\" before this line",
				 list_kind_text(kind), SLICE_ARG(slice_first(name, 100)));
	if (list->kind != kind || list->depth >= LIST_MAX_DEPTH)
		return error_set(error, ERROR_USAGE, "named lists are nested more than %d deep", LIST_MAX_DEPTH);
	if (context->depth <= list->depth)
		context->depth = list->depth + 1;
	context->asks |= list->asks;
	context->varies |= list->varies;
	item->kind = LIST_ITEM_SUBLIST;
	item->sublist = list;
	return true;
}

/*
 * "*", "*suffix" or the text itself. What is too long to match anything is a mistake in the configuration; at run time it may be
 * somebody else's text, and is just compared.
 */
static bool parse_plain(const struct list_item_context *context, struct slice text, struct list_item *item, struct error *error)
{
	item->kind = LIST_ITEM_EXACT;
	item->key = text;
	if (context->running && text.len > LIST_SUFFIX_MAX)
		return true;
	if (text.len && text.data[0] == '*') {
		item->key = slice_from(text, 1);
		item->kind = item->key.len ? LIST_ITEM_SUFFIX : LIST_ITEM_ANY;
		item->anything = item->kind == LIST_ITEM_ANY;
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
	} else if (slice_starts_nocase(text, SLICE("@mx_"))) {
		bool is_mx;
		item->kind = LIST_ITEM_MX;
		if (!list_mx_parse(context, text, &is_mx, &item->mx, error))
			return false;
		return is_mx || error_set(error, ERROR_USAGE, "@mx_any, @mx_primary or @mx_secondary is expected");
	}
	for (size_t i = 0; i < text.len && !context->running; i++) {
		char c = text.data[i];
		if (ascii_is_space(c) || c == '@' || c == '!' || c == '\0' || (i && c == '*'))
			return error_set(error, ERROR_USAGE, "a domain or a pattern for domains is expected: no domain holds '%c'",
					 c == '\0' ? '0' : c);
	}
	return parse_plain(context, text, item, error);
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
	if (text.data[0] == '^')
		return parse_regex(context, text, item, error);
	if (list_lookup_type_len(text))
		return parse_lookup(context, text, false, item, error);
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

/* What is not an address: a name to look up, the end of one, an expression for one, or a lookup. */
static bool parse_host_name(struct list_item_context *context, struct slice text, struct list_item *item, struct error *error)
{
	context->asks = true;
	if (text.data[0] == '^') {
		item->kind = LIST_ITEM_REGEX;
		return list_regex_parse(context, text, true, &item->regex, error);
	}
	if (list_lookup_type_len(text)) {
		item->kind = LIST_ITEM_LOOKUP;
		return list_host_lookup_parse(context, text, &item->lookup, error);
	}
	bool is_name = check_host_name(text, error);
	if ((!is_name && !context->running) || !parse_plain(context, text, item, error))
		return false;
	if (item->kind == LIST_ITEM_EXACT || !is_name)
		item->kind = LIST_ITEM_HOST_NAME;
	if (!is_name) /* nothing has such a name */
		item->key = SLICE("");
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
	return parse_host_name(context, text, item, error);
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
	if (text.data[0] == '^')
		return parse_regex(context, text, item, error);
	if (list_lookup_type_len(text))
		return parse_lookup(context, text, false, item, error);
	return parse_plain(context, text, item, error);
}

/* A string list is matched as a local-part list is. */
static bool parse_string_item(struct list_item_context *context, struct slice text, struct list_item *item, struct error *error)
{
	if (text.len && text.data[0] == '+' && !context->in_file)
		return find_named(context, LIST_STRING, slice_from(text, 1), item, error);
	return parse_local_part_item(context, text, item, error);
}

/* The domain side when it is more than a name, a pattern or a list: a domain list of one item. */
static bool parse_domain_side(struct list_item_context *context, struct slice text, struct list_item *side, struct error *error)
{
	bool special = text.data[0] == '^' || text.data[0] == '!' || text.data[0] == '/' || list_lookup_type_len(text) ||
		       slice_starts_nocase(text, SLICE("@mx_"));
	if (!special)
		return parse_domain_item(context, text, side, error);
	side->kind = LIST_ITEM_SUBLIST;
	return list_compile_item(context, LIST_DOMAIN, text, &side->sublist, error);
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
	if (!parse_plain(context, local_part, &left, error) || !parse_domain_side(context, domain, &right, error))
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
		if (item->key.len > LIST_KEY_MAX && !context->running)
			return error_set(error, ERROR_USAGE, "the item is longer than %d bytes", LIST_KEY_MAX);
		return true;
	}
	struct list_item *sides = arena_array(context->arena, 2, sizeof *sides);
	sides[0] = left;
	sides[1] = right;
	*item = (struct list_item){ .kind = LIST_ITEM_PAIR, .data = whole, .pair = { &sides[0], &sides[1] } };
	return true;
}

/* "@@lsearch;/file". */
static bool parse_split_lookup(struct list_item_context *context, struct slice text, struct list_item *item, struct error *error)
{
	const struct list_lookup *parsed;
	if (list_lookup_type_len(text) == 0)
		return error_set(error, ERROR_USAGE, "a lookup type and a semicolon are expected after \"@@\"");
	if (!list_lookup_parse(context, text, false, &parsed, error))
		return false;
	struct list_lookup *lookup = arena_new(context->arena, struct list_lookup);
	struct list_scope *scope = arena_new(context->arena, struct list_scope);
	*scope = *context->scope;
	*lookup = *parsed;
	lookup->scope = scope;
	item->kind = LIST_ITEM_SPLIT;
	item->lookup = lookup;
	return true;
}

/* Whether "@" and these stand for this host behind another "@": "local@@", "local@@[]", "local@@mx_any". */
static bool is_special_domain(struct slice domain)
{
	return domain.len == 0 || slice_equal(domain, SLICE("[]")) || slice_starts_nocase(domain, SLICE("mx_"));
}

static bool parse_address_item(struct list_item_context *context, struct slice text, struct list_item *item,
			       struct error *error)
{
	size_t at = slice_find_last(text, '@');
	if (text.len == 0) {
		item->kind = LIST_ITEM_EMPTY;
		return true;
	}
	if (text.data[0] == '^')
		return parse_regex(context, text, item, error);
	if (list_lookup_type_len(text))
		return parse_lookup(context, text, true, item, error);
	if (slice_starts(text, SLICE("@@")))
		return parse_split_lookup(context, slice_from(text, 2), item, error);
	if (at == text.len) {
		if (text.data[0] == '+' && !context->in_file)
			return find_named(context, LIST_ADDRESS, slice_from(text, 1), item, error);
		return parse_domain(context, text, item, error);
	}
	struct slice domain = slice_from(text, at + 1);
	if (at && text.data[at - 1] == '@' && is_special_domain(domain))
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
	item->tainted = list_text_tainted(&context->item, text);
	if (slice_find(text, '\0') < text.len)
		return error_set(error, ERROR_USAGE, "the item holds a NUL byte");
	if (slice_equal(text, SLICE("*"))) {
		item->kind = LIST_ITEM_ANY;
		item->anything = true;
		return true;
	}
	if (context->in_file && text.len && text.data[0] == '+' && (context->kind == LIST_HOST || context->kind == LIST_DOMAIN))
		return error_set(error, ERROR_USAGE, "a file of items cannot refer to named lists");
	return parsers[context->kind](context, text, item, error);
}
