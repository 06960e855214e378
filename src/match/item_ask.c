/* SPDX-License-Identifier: ISC */
/* Items that ask the world when they are matched, and regular expressions: "TYPE;FILE", "TYPE;QUERY", "@mx_any", "^...". */
#include "match/item.h"

#include "expand/search.h"

static bool is_type_byte(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_';
}

/* An affix in parentheses: "partial(.)lsearch". It can hold any byte but the parenthesis that ends it. */
static size_t skip_affix(struct slice text, size_t at)
{
	if (at == text.len || text.data[at] != '(')
		return at;
	size_t close = slice_find(slice_from(text, at), ')');
	if (close == text.len - at)
		return at;
	at += close + 1;
	while (at < text.len && is_type_byte(text.data[at]))
		at++;
	return at;
}

size_t list_lookup_type_len(struct slice text)
{
	size_t at = 0;
	if (text.len == 0 || !ascii_is_alpha(text.data[0]))
		return 0;
	while (at < text.len && is_type_byte(text.data[at]))
		at++;
	at = skip_affix(text, at);
	if (at < text.len && text.data[at] == '*') {
		at++;
		if (at < text.len && text.data[at] == '@')
			at++;
	}
	if (at < text.len && text.data[at] == ',')
		at += slice_find(slice_from(text, at), ';');
	return at < text.len && text.data[at] == ';' ? at : 0;
}

/* The type without its options: up to the first comma that is not part of an affix. */
static struct slice without_options(struct slice type)
{
	size_t from = 0, open = slice_find(type, '('), comma = slice_find(type, ',');
	if (open < comma)
		from = open + slice_find(slice_from(type, open), ')');
	return slice_first(type, from + slice_find(slice_from(type, from), ','));
}

/* For whole addresses: the name and the default only, so that there is no partial matching. */
static struct slice without_partial(const struct search *search, struct arena *arena)
{
	static const char *const defaults[] = { [SEARCH_NO_DEFAULT] = "", [SEARCH_STAR] = "*", [SEARCH_STAR_AT] = "*@" };
	return arena_printf(arena, "%s%s", search->type->name, defaults[search->fallback]);
}

/* What the roles must be let into, as far as it is known now. */
static void note_uses(const struct list_item_context *context, const struct search *search, struct slice file)
{
	const struct expand_language *language = context->scope->language;
	if (!language || context->running)
		return;
	if (language->uses_search)
		language->uses_search(language->owner, slice_of(search->type->name));
	file = slice_first(file, list_text_written(&context->item, file));
	if (file.len && language->uses_path)
		language->uses_path(language->owner, file, EXPAND_SERVICE_LOOKUP);
}

static bool parse_file(struct list_item_context *context, struct slice text, struct slice *file_r, struct error *error)
{
	struct clean_path path;
	struct expand_value value = { text, list_text_tainted(&context->item, text) };
	if (text.len == 0 || text.data[0] != '/')
		return error_set(error, ERROR_USAGE, "the absolute path of a file is expected after the semicolon");
	if (!expand_to_path(value, context->arena, &path, error))
		return error->kind = ERROR_USAGE, false;
	*file_r = path.text;
	return true;
}

/* An SQLite query may have the database in front of it: "/file select ...". */
static bool take_query_file(struct list_item_context *context, const struct search *search, struct slice *query,
			    struct slice *file_r, struct error *error)
{
	if (!slice_equal(slice_of(search->type->name), SLICE("sqlite")) || query->len == 0 || query->data[0] != '/')
		return true;
	struct slice file = slice_first(*query, slice_find(*query, ' '));
	*query = slice_trim(slice_from(*query, file.len));
	return parse_file(context, file, file_r, error);
}

bool list_lookup_parse(struct list_item_context *context, struct slice text, bool whole_address, const struct list_lookup **lookup_r,
		       struct error *error)
{
	struct search search;
	size_t len = list_lookup_type_len(text);
	struct slice type = slice_first(text, len), rest = slice_trim(slice_from(text, len + 1));
	struct list_lookup *lookup = arena_new(context->arena, struct list_lookup);
	if (list_text_tainted(&context->item, type))
		return error_set(error, ERROR_USAGE, "text from a peer cannot ask for a lookup");
	if (!search_parse(type, context->arena, &search, error))
		return false;
	*lookup = (struct list_lookup){
		.type = whole_address ? without_partial(&search, context->arena) : without_options(type),
		.query = search.type->style == SEARCH_QUERY,
		.options = search.options, .option_count = search.option_count,
		.mask = LIST_NOT_NET,
		.colons = slice_equal(slice_of(search.type->name), SLICE("iplsearch")),
	};
	lookup->type = arena_copy(context->arena, lookup->type);
	note_uses(context, &search, rest.len && rest.data[0] == '/' ? slice_first(rest, slice_find(rest, ' ')) : SLICE(""));
	if (lookup->query) {
		if (!take_query_file(context, &search, &rest, &lookup->file, error))
			return false;
		lookup->pieces = list_text_pieces(&context->item, rest, context->arena, &lookup->piece_count);
	} else if (!parse_file(context, rest, &lookup->file, error)) {
		return false;
	}
	context->asks = true;
	*lookup_r = lookup;
	return true;
}

bool list_host_lookup_parse(struct list_item_context *context, struct slice text, const struct list_lookup **lookup_r,
			    struct error *error)
{
	int mask = LIST_NOT_NET;
	size_t at = 3;
	uint64_t bits;
	if (slice_starts(text, SLICE("net"))) {
		while (at < text.len && ascii_is_digit(text.data[at]))
			at++;
		struct slice digits = slice_make(text.data + 3, at - 3);
		if (at < text.len && text.data[at] == '-') {
			mask = LIST_WHOLE_ADDRESS;
			if (digits.len && !slice_parse_u64(digits, 128, &bits))
				return error_set(error, ERROR_USAGE, "a network length is at most 128");
			if (digits.len)
				mask = (int)bits;
			text = slice_from(text, at + 1);
		}
	}
	if (list_lookup_type_len(text) == 0)
		return error_set(error, ERROR_USAGE, "a lookup type and a semicolon are expected after \"net-\"");
	const struct list_lookup *parsed;
	if (!list_lookup_parse(context, text, false, &parsed, error))
		return false;
	struct list_lookup *lookup = arena_new(context->arena, struct list_lookup);
	*lookup = *parsed;
	lookup->mask = mask;
	*lookup_r = lookup;
	return true;
}

bool list_regex_parse(struct list_item_context *context, struct slice text, bool caseless, const struct regex **regex_r,
		      struct error *error)
{
	size_t column = 0;
	const struct expand_language *language = context->scope->language;
	if (!language || !language->scratch)
		return error_set(error, ERROR_USAGE, "regular expressions cannot be used here");
	/* A peer's part of an expression that the configuration began is the administrator's wish; the limits of a match hold. */
	if (list_text_tainted(&context->item, slice_first(text, 1)))
		return error_set(error, ERROR_USAGE, "text from a peer cannot be a regular expression");
	if (regex_compile(context->arena, language->scratch, text, caseless, regex_r, error, &column))
		return true;
	error->kind = ERROR_USAGE;
	return error_context(error, "regular expression, character %zu", column);
}

bool list_mx_parse(struct list_item_context *context, struct slice text, bool *is_r, const struct list_mx **mx_r,
		   struct error *error)
{
	static const struct {
		const char *name;
		enum list_mx_rank rank;
	} names[] = {
		{ "@mx_any", LIST_MX_ANY }, { "@mx_primary", LIST_MX_PRIMARY }, { "@mx_secondary", LIST_MX_SECONDARY },
	};
	*is_r = false;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct slice name = slice_of(names[i].name), rest = slice_from(text, name.len);
		bool ignore = slice_starts_nocase(rest, SLICE("/ignore="));
		if (!slice_starts_nocase(text, name) || (rest.len && !ignore))
			continue;
		struct list_mx *mx = arena_new(context->arena, struct list_mx);
		struct list *list = NULL;
		struct list_source source = *context->source;
		source.text = (struct list_text){ .text = slice_from(rest, 8) };
		if (list_text_tainted(&context->item, text))
			return error_set(error, ERROR_USAGE, "text from a peer cannot ask for a lookup");
		if (ignore && !list_compile_source(context->arena, LIST_HOST, context->scope, &source, &list, error))
			return error_context(error, "%s/ignore", names[i].name);
		*mx = (struct list_mx){ names[i].rank, list };
		*mx_r = mx;
		*is_r = context->asks = true;
		return true;
	}
	return true;
}
