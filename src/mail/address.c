/* SPDX-License-Identifier: ISC */
#include "mail/address.h"

#include "mail/utf8.h"

#include <arpa/inet.h>

/* What is left to read, and what is permitted. */
struct reader {
	struct slice rest;
	unsigned flags;
	struct arena *arena;
	struct error *error;
};

static bool refuse(struct reader *reader, const char *text)
{
	return error_set(reader->error, ERROR_PERMANENT, "%s", text);
}

/* RFC 5322 §3.2.3; the dot is ours (see the header). */
static bool is_local_char(char c)
{
	return ascii_is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

static bool is_domain_char(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_';
}

static char peek(const struct reader *reader)
{
	return reader->rest.len ? reader->rest.data[0] : '\0';
}

static bool skip_char(struct reader *reader, char c)
{
	if (reader->rest.len == 0 || reader->rest.data[0] != c)
		return false;
	reader->rest = slice_from(reader->rest, 1);
	return true;
}

/* Length of the character at `at` when it is good there, else 0. */
static size_t good_char(struct slice text, size_t at, bool (*ascii_good)(char), bool utf8)
{
	char c = text.data[at];
	if ((unsigned char)c < 0x80)
		return ascii_good(c) ? 1 : 0;
	return utf8 ? mail_utf8_char(slice_from(text, at)) : 0;
}

static size_t span(struct slice text, bool (*ascii_good)(char), bool utf8)
{
	size_t at = 0, length;
	while (at < text.len && (length = good_char(text, at, ascii_good, utf8)) > 0)
		at += length;
	return at;
}

/* Says why the text stops being good where it does: a byte above 127 has its own reasons. */
static bool refuse_at(struct reader *reader, const char *otherwise)
{
	if ((unsigned char)peek(reader) < 0x80)
		return refuse(reader, otherwise);
	return refuse(reader, reader->flags & MAIL_PATH_UTF8 ? "invalid UTF-8 byte sequence"
	                                                     : "a non-ASCII address needs SMTPUTF8");
}

/* RFC 5321 §4.1.2: qtextSMTP and quoted-pairSMTP are printable ASCII; RFC 6531 §3.3 adds UTF-8 to the former. */
static bool is_quoted_char(char c)
{
	return ascii_is_print(c) && c != '"' && c != '\\';
}

static bool read_quoted(struct reader *reader, struct mail_address *address)
{
	const char *start = reader->rest.data;
	skip_char(reader, '"');
	for (;;) {
		reader->rest = slice_from(reader->rest, span(reader->rest, is_quoted_char, reader->flags & MAIL_PATH_UTF8));
		if (skip_char(reader, '"'))
			break;
		if (reader->rest.len == 0)
			return refuse(reader, "unmatched doublequote in local part");
		if (!skip_char(reader, '\\') || !ascii_is_print(peek(reader)))
			return refuse_at(reader, "missing or malformed local part");
		reader->rest = slice_from(reader->rest, 1);
	}
	struct slice raw = { start, (size_t)(reader->rest.data - start) };
	address->quoted = true;
	address->local_part = mail_local_part_unquote(raw, reader->arena);
	if (raw.len > MAIL_LOCAL_PART_MAX && !(reader->flags & MAIL_PATH_LONG_LOCAL))
		return refuse(reader, "local part too long");
	return address->local_part.len > 0 || refuse(reader, "missing or malformed local part");
}

static bool read_local_part(struct reader *reader, struct mail_address *address)
{
	if (peek(reader) == '"')
		return read_quoted(reader, address);
	size_t length = span(reader->rest, is_local_char, reader->flags & MAIL_PATH_UTF8);
	if (length == 0)
		return refuse_at(reader, "missing or malformed local part");
	address->local_part = slice_first(reader->rest, length);
	reader->rest = slice_from(reader->rest, length);
	if (length > MAIL_LOCAL_PART_MAX && !(reader->flags & MAIL_PATH_LONG_LOCAL))
		return refuse(reader, "local part too long");
	return true;
}

static bool is_dotted_domain_char(char c)
{
	return is_domain_char(c) || c == '.';
}

static bool read_domain(struct reader *reader, struct slice *domain)
{
	size_t length;
	bool good;
	if (peek(reader) == '[') {
		length = slice_find(reader->rest, ']') + 1;
		good = length <= reader->rest.len && mail_literal_valid(slice_first(reader->rest, length));
		if (!good)
			return refuse(reader, "malformed domain literal");
	} else {
		length = span(reader->rest, is_dotted_domain_char, reader->flags & MAIL_PATH_UTF8);
		good = mail_domain_valid(slice_first(reader->rest, length), reader->flags & MAIL_PATH_UTF8);
		if (!good && length < reader->rest.len && (unsigned char)reader->rest.data[length] >= 0x80) {
			reader->rest = slice_from(reader->rest, length);
			return refuse_at(reader, "domain missing or malformed");
		}
		if (!good)
			return refuse(reader, "domain missing or malformed");
	}
	*domain = slice_first(reader->rest, length);
	reader->rest = slice_from(reader->rest, length);
	return true;
}

/* RFC 5321 §4.1.2, A-d-l ":": read and dropped. */
static bool skip_source_route(struct reader *reader)
{
	struct slice ignored;
	while (skip_char(reader, '@')) {
		if (!read_domain(reader, &ignored))
			return false;
		if (skip_char(reader, ':'))
			return true;
		if (!skip_char(reader, ',') || peek(reader) != '@')
			return refuse(reader, "domain missing in source-routed address");
	}
	return true;
}

static bool may_lack_domain(const struct reader *reader, const struct mail_address *address)
{
	if (reader->flags & MAIL_PATH_UNQUALIFIED)
		return true;
	return reader->flags & MAIL_PATH_POSTMASTER && slice_equal_nocase(address->local_part, SLICE("postmaster"));
}

/* local-part [ "@" domain ]; leaves the reader behind it. */
static bool read_address(struct reader *reader, struct mail_address *address)
{
	const char *start = reader->rest.data;
	if (!read_local_part(reader, address))
		return false;
	if (skip_char(reader, '@')) {
		if (!read_domain(reader, &address->domain))
			return false;
	} else if (reader->rest.len && peek(reader) != '>' && !ascii_is_space(peek(reader))) {
		return refuse_at(reader, "missing or malformed local part");
	} else if (!may_lack_domain(reader, address)) {
		return refuse(reader, reader->flags & MAIL_PATH_SENDER ? "sender address must contain a domain"
		                                                       : "recipient address must contain a domain");
	}
	for (const char *byte = start; byte < reader->rest.data; byte++)
		address->utf8 |= (unsigned char)*byte >= 0x80;
	return true;
}

/* RFC 5321 §4.5.3.1.3: the path with its brackets (and route) has a bound. */
static bool check_length(struct reader *reader, const char *start)
{
	return (size_t)(reader->rest.data - start) <= MAIL_PATH_MAX || refuse(reader, "address too long");
}

/* The address ended where its syntax ends, and something follows all the same. `start` is where it began. */
static bool refuse_rest(struct reader *reader, const char *start)
{
	struct slice rest = slice_first(reader->rest, 32);
	struct slice address = slice_first((struct slice){ start, (size_t)(reader->rest.data - start) }, MAIL_PATH_MAX);
	return error_set(reader->error, ERROR_PERMANENT, "malformed address: %.*s may not follow %.*s", SLICE_ARG(rest), SLICE_ARG(address));
}

static bool read_path(struct reader *reader, struct mail_path *path)
{
	const char *start = reader->rest.data;
	bool brackets = skip_char(reader, '<');
	if (!brackets && !(reader->flags & MAIL_PATH_BARE))
		return refuse(reader, "'<' missing at start of address");
	if (brackets && reader->flags & MAIL_PATH_NULL && skip_char(reader, '>')) {
		path->null = true;
		return true;
	}
	if (!skip_source_route(reader) || !read_address(reader, &path->address))
		return false;
	if (brackets && !skip_char(reader, '>'))
		return reader->rest.len ? refuse_rest(reader, start) : refuse(reader, "'>' missing at end of address");
	return check_length(reader, start);
}

bool mail_path_parse(struct slice arg, struct arena *arena, unsigned flags, struct mail_path *path_r, struct error *error)
{
	struct reader reader = { slice_trim(arg), flags, arena, error };
	struct mail_path path = { 0 };
	const char *start = reader.rest.data;
	if (reader.rest.len == 0)
		return refuse(&reader, "empty address");
	if (!read_path(&reader, &path))
		return false;
	if (reader.rest.len && !ascii_is_space(peek(&reader)))
		return refuse_rest(&reader, start);
	path.rest = slice_trim(reader.rest);
	*path_r = path;
	return true;
}

bool mail_address_parse(struct slice text, struct arena *arena, unsigned flags, struct mail_address *address_r, struct error *error)
{
	struct reader reader = { text, flags, arena, error };
	struct mail_address address = { 0 };
	if (text.len == 0)
		return refuse(&reader, "empty address");
	if (!read_address(&reader, &address) || !check_length(&reader, text.data))
		return false;
	if (reader.rest.len)
		return refuse_rest(&reader, text.data);
	*address_r = address;
	return true;
}

bool mail_domain_valid(struct slice domain, bool utf8)
{
	if (domain.len == 0 || domain.len > MAIL_DOMAIN_MAX || domain.data[domain.len - 1] == '.')
		return false;
	while (domain.len) {
		struct slice label = slice_cut(&domain, '.');
		if (label.len == 0 || label.len > 63 || span(label, is_domain_char, utf8) != label.len)
			return false;
	}
	return true;
}

bool mail_literal_valid(struct slice literal)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char binary[sizeof(struct in6_addr)];
	if (literal.len < 2 || literal.data[0] != '[' || literal.data[literal.len - 1] != ']')
		return false;
	struct slice inside = { literal.data + 1, literal.len - 2 };
	bool six = slice_starts_nocase(inside, SLICE("IPv6:"));
	if (six)
		inside = slice_from(inside, 5);
	return slice_to_cstr(inside, text, sizeof text) && inet_pton(six ? AF_INET6 : AF_INET, text, binary) == 1;
}
