/* SPDX-License-Identifier: ISC */
/* The table of search types, their quoting, and the parser of "partial3(.)lsearch*@,ret=key"; see search.h. */
#include "expand/search.h"

#include <string.h>

/* For SQL where it is not bound as a parameter: '' stands for ' in standard strings, \ for itself in PostgreSQL's E'' strings. */
static bool quote_pgsql(struct slice text, struct arena *arena, struct slice *out_r, struct error *error)
{
	static const char letters[] = "\nn\tt\rr\bb";
	char *out = arena_alloc(arena, text.len * 2 + 1);
	size_t len = 0;
	(void)error;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		const char *letter = c && !ascii_is_alnum(c) ? strchr(letters, c) : NULL;
		if (c == '\'')
			out[len++] = '\'';
		else if (letter || c == '\\' || c == '"')
			out[len++] = '\\';
		out[len++] = letter ? letter[1] : c;
	}
	*out_r = slice_make(out, len);
	return true;
}

static bool quote_sqlite(struct slice text, struct arena *arena, struct slice *out_r, struct error *error)
{
	char *out = arena_alloc(arena, text.len * 2 + 1);
	size_t len = 0;
	(void)error;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\'')
			out[len++] = '\'';
		out[len++] = text.data[i];
	}
	*out_r = slice_make(out, len);
	return true;
}

static bool quote_redis(struct slice text, struct arena *arena, struct slice *out_r, struct error *error)
{
	char *out = arena_alloc(arena, text.len * 2 + 1);
	size_t len = 0;
	(void)error;
	for (size_t i = 0; i < text.len; i++) {
		if (ascii_is_space(text.data[i]) || text.data[i] == '\\')
			out[len++] = '\\';
		out[len++] = text.data[i];
	}
	*out_r = slice_make(out, len);
	return true;
}

static const struct search_type types[] = {
	{ "cdb", SEARCH_SINGLE_KEY, true, false, NULL, "cache ret",
	  "A constant database file as cdb(1) makes it: keys are found at once, however large the file is. Keys are compared byte by byte.",
	  "${lookup{$domain}cdb{/etc/postern/domains.cdb}}" },
	{ "dnsdb", SEARCH_QUERY, false, true, NULL, "cache",
	  "Records from the DNS: a type and a name, as in \"mx=example.org\". Several records are separated by newlines.",
	  "${lookup dnsdb{>: mx=example.org}}" },
	{ "dsearch", SEARCH_SINGLE_KEY, true, false, NULL, "cache filter ret",
	  "Whether a directory has an entry whose name is the key; the result is that name, no longer tainted. "
	  "ret=full gives the whole path; filter=file, filter=dir and filter=subdir look at entries of that kind alone.",
	  "${lookup{$local_part}dsearch,filter=subdir{/srv/mail}}" },
	{ "iplsearch", SEARCH_SINGLE_KEY, true, false, NULL, "cache ret",
	  "A text file like lsearch's, whose keys are IP addresses and networks: the first one that holds the address decides. IPv6 keys stand in quotes.",
	  "${lookup{$sender_host_address}iplsearch{/etc/postern/networks}}" },
	{ "json", SEARCH_SINGLE_KEY, true, false, NULL, "cache ret",
	  "A file with a JSON text. The key is a list of names, and of numbers from 0 for elements of arrays, that lead to the value.",
	  "${lookup{users:0:name}json{/etc/postern/site.json}}" },
	{ "lsearch", SEARCH_SINGLE_KEY, true, false, NULL, "cache ret",
	  "A text file with a key and its data on each line, as in /etc/aliases; lines that begin with white space continue the data. Case does not matter.",
	  "${lookup{postmaster}lsearch{/etc/aliases}}" },
	{ "nwildlsearch", SEARCH_SINGLE_KEY, true, false, NULL, "cache ret",
	  "A text file like lsearch's, whose keys may begin with \"*\" or be regular expressions that begin with \"^\". Keys are not expanded.",
	  "${lookup{$sender_address}nwildlsearch{/etc/postern/senders}}" },
	{ "passwd", SEARCH_QUERY, false, true, NULL, "cache",
	  "A user of the system: the line of /etc/passwd from the second field on, with an asterisk for the password.",
	  "${extract{5}{:}{${lookup passwd{root}}}}" },
	{ "pgsql", SEARCH_QUERY, false, true, quote_pgsql, "cache servers",
	  "An SQL statement for the PostgreSQL servers of pgsql_servers. Values that an expansion computes are bound as parameters.",
	  "${lookup pgsql{SELECT home FROM users WHERE name = '$local_part'}}" },
	{ "redis", SEARCH_QUERY, false, true, quote_redis, "cache servers",
	  "A command for the Redis servers of redis_servers. A value that an expansion computes is always one word of it.",
	  "${lookup redis{get user:$local_part}}" },
	{ "sqlite", SEARCH_QUERY, false, true, quote_sqlite, "cache file",
	  "An SQL statement for the SQLite database of sqlite_dbfile, or of file=. Values that an expansion computes are bound as parameters.",
	  "${lookup sqlite,file=/etc/postern/users.db{SELECT home FROM users WHERE name = '$local_part'}}" },
	{ "wildlsearch", SEARCH_SINGLE_KEY, true, false, NULL, "cache ret",
	  "A text file like nwildlsearch's, whose keys are expanded before they are compared.",
	  "${lookup{$sender_address}wildlsearch{/etc/postern/senders}}" },
};

enum { TYPES = sizeof(types) / sizeof(types[0]) };

/* Exim's, which Postern does not have; and what to use instead, NULL: there is nothing. */
static const struct absent {
	const char *name, *instead;
} absents[] = {
	{ "dbm", "cdb or sqlite" },	{ "dbmjz", "cdb or sqlite" },	{ "dbmnz", "cdb or sqlite" }, { "ibase", "pgsql or sqlite" },
	{ "ldap", "pgsql or sqlite" },	{ "ldapdn", "pgsql or sqlite" }, { "ldapm", "pgsql or sqlite" }, { "lmdb", "cdb or sqlite" },
	{ "mysql", "pgsql or sqlite" }, { "nis", "passwd" },		{ "nis0", "passwd" },	      { "nisplus", "passwd" },
	{ "oracle", "pgsql or sqlite" }, { "spf", NULL },		{ "testdb", "a file" },	      { "whoson", "redis" },
};

const struct search_type *search_types(size_t *count_r)
{
	*count_r = TYPES;
	return types;
}

const struct search_type *search_type_find(struct slice name)
{
	for (size_t i = 0; i < TYPES; i++)
		if (slice_equal(name, slice_of(types[i].name)))
			return &types[i];
	return NULL;
}

static bool unknown_type(struct slice name, struct error *error)
{
	struct slice shown = slice_first(name, 50);
	for (size_t i = 0; i < sizeof(absents) / sizeof(absents[0]); i++)
		if (slice_equal(name, slice_of(absents[i].name)))
			return error_set(error, ERROR_USAGE, "lookup type \"%.*s\" of Exim does not exist here%s%s", SLICE_ARG(shown),
					 absents[i].instead ? ": use " : "", absents[i].instead ? absents[i].instead : "");
	const char *nearest = NULL;
	size_t least = 3;
	for (size_t i = 0; i < TYPES; i++) {
		size_t distance = slice_edit_distance(name, slice_of(types[i].name));
		if (distance < least) {
			least = distance;
			nearest = types[i].name;
		}
	}
	if (!nearest)
		return error_set(error, ERROR_USAGE, "unknown lookup type \"%.*s\"", SLICE_ARG(shown));
	return error_set(error, ERROR_USAGE, "unknown lookup type \"%.*s\": did you mean \"%s\"?", SLICE_ARG(shown), nearest);
}

/* "partial", "partial3", and "-" or an affix in parentheses; a name without it is left alone. */
static bool parse_partial(struct slice *name, struct arena *arena, struct search *search, struct error *error)
{
	static const struct slice word = SLICE("partial");
	if (!slice_starts(*name, word))
		return true;
	struct slice rest = slice_from(*name, word.len), whole = slice_first(*name, 50);
	size_t digits = 0;
	while (digits < rest.len && ascii_is_digit(rest.data[digits]))
		digits++;
	uint64_t minimum = 2;
	if (digits > 0 && !slice_parse_u64(slice_first(rest, digits), 127, &minimum))
		return error_set(error, ERROR_USAGE, "\"%.*s\": the number after \"partial\" is larger than 127", SLICE_ARG(whole));
	rest = slice_from(rest, digits);
	char first = rest.len > 0 ? *rest.data : 0;
	size_t end = first == '(' ? slice_find(rest, ')') : 0;
	if ((first != '-' && first != '(') || end == rest.len)
		return error_set(error, ERROR_USAGE, "\"%.*s\": after \"partial\" comes \"-\", or a prefix in parentheses", SLICE_ARG(whole));
	search->partial = true;
	search->partial_minimum = (unsigned)minimum;
	if (first == '(')
		search->affix = arena_copy(arena, slice_first(slice_from(rest, 1), end - 1));
	for (size_t i = 0; i < search->affix.len; i++)
		if (!ascii_is_print(search->affix.data[i]) || ascii_is_alnum(search->affix.data[i]))
			return error_set(error, ERROR_USAGE, "\"%.*s\": a prefix of partial keys is made of punctuation", SLICE_ARG(whole));
	*name = slice_from(rest, end + 1);
	return true;
}

static void parse_default(struct slice *name, struct search *search)
{
	if (slice_ends_nocase(*name, SLICE("*@")))
		search->fallback = SEARCH_STAR_AT;
	else if (slice_ends_nocase(*name, SLICE("*")))
		search->fallback = SEARCH_STAR;
	name->len -= search->fallback;
}

_Static_assert(SEARCH_STAR == 1 && SEARCH_STAR_AT == 2, "the lengths of \"*\" and \"*@\"");

static bool option_known(const struct search_type *type, struct slice name)
{
	struct slice names = slice_of(type->options);
	while (names.len > 0)
		if (slice_equal(slice_cut(&names, ' '), name))
			return true;
	return false;
}

/* Commas separate; a comma in a value is doubled. */
static bool parse_options(struct slice rest, struct arena *arena, struct search *search, struct error *error)
{
	size_t most = 1;
	for (size_t i = 0; i < rest.len; i++)
		most += rest.data[i] == ',';
	struct slice *options = arena_array(arena, most, sizeof(struct slice));
	char *text = arena_alloc(arena, rest.len + 1);
	for (size_t len = 0; rest.len > 0; text += len, len = 0) {
		size_t at = 0;
		for (; at < rest.len && (rest.data[at] != ',' || (at + 1 < rest.len && rest.data[at + 1] == ',')); at++) {
			text[len++] = rest.data[at];
			at += rest.data[at] == ',';
		}
		rest = slice_from(rest, at + 1);
		struct slice option = slice_trim(slice_make(text, len)), name;
		size_t equals = slice_find(option, '=');
		name = slice_first(option, equals);
		if (equals == option.len || equals == 0)
			return error_set(error, ERROR_USAGE, "lookup option \"%.*s\" lacks \"=\" and a value", SLICE_ARG(slice_first(option, 50)));
		if (!option_known(search->type, name))
			return error_set(error, ERROR_USAGE, "lookup type \"%s\" has no option \"%.*s\" (it has: %s)", search->type->name,
					 SLICE_ARG(slice_first(name, 50)), search->type->options);
		options[search->option_count++] = option;
	}
	search->options = options;
	return true;
}

bool search_parse(struct slice text, struct arena *arena, struct search *search_r, struct error *error)
{
	if (text.len > 4096)
		return error_set(error, ERROR_USAGE, "a lookup type with its options cannot be longer than 4096 bytes");
	struct search search = { .partial_minimum = 2, .affix = SLICE("*.") };
	/* The prefix of partial keys may hold a comma: options begin after it. */
	struct slice name = slice_trim(text);
	if (!parse_partial(&name, arena, &search, error))
		return false;
	struct slice options = name;
	name = slice_cut(&options, ',');
	parse_default(&name, &search);
	search.type = search_type_find(name);
	if (!search.type)
		return unknown_type(name, error);
	if (!search.type->partial && (search.partial || search.fallback != SEARCH_NO_DEFAULT))
		return error_set(error, ERROR_USAGE, "\"%s\" takes a query, not a key: it has neither partial matching nor \"*\" defaults",
				 search.type->name);
	if (!parse_options(options, arena, &search, error))
		return false;
	*search_r = search;
	return true;
}
