/* SPDX-License-Identifier: ISC */
#include "route/rule.h"

#include "base/clock.h"
#include "base/interval.h"

#include <string.h>

void rule_start(struct rule_reader *reader, struct slice line, struct arena *arena, struct error *error)
{
	*reader = (struct rule_reader){ .line = line, .rest = line, .raw = slice_first(line, 0), .arena = arena, .error = error };
}

char rule_peek(struct rule_reader *reader)
{
	while (reader->rest.len && ascii_is_space(reader->rest.data[0]))
		reader->rest = slice_from(reader->rest, 1);
	return reader->rest.len ? reader->rest.data[0] : '\0';
}

bool rule_skip(struct rule_reader *reader, char c)
{
	if (rule_peek(reader) != c)
		return false;
	reader->rest = slice_from(reader->rest, 1);
	return true;
}

/* Up to three octal or two hexadecimal digits from `at` on: their value; *at moves behind them. */
static unsigned number(struct slice text, size_t *at, unsigned base, size_t most)
{
	uint64_t digit;
	unsigned value = 0;
	for (size_t n = 0; n < most && *at < text.len; n++, ++*at) {
		if (!slice_parse_hex(slice_first(slice_from(text, *at), 1), base - 1, &digit))
			break;
		value = value * base + (unsigned)digit;
	}
	return value;
}

/* What stands for the escape that begins behind the backslash at *at. */
static char escape(struct slice text, size_t *at)
{
	static const char names[] = "nrtbf", values[] = "\n\r\t\b\f";
	char c = text.data[*at];
	const char *name = c ? strchr(names, c) : NULL;
	if (c >= '0' && c <= '7')
		return (char)number(text, at, 8, 3);
	++*at;
	if (c == 'x')
		return (char)number(text, at, 16, 2);
	return name ? values[name - names] : c;
}

static bool quoted_word(struct rule_reader *reader, struct slice *word_r)
{
	struct slice text = reader->rest;
	char *out = arena_alloc(reader->arena, text.len + 1);
	size_t len = 0, at = 1;
	while (at < text.len && text.data[at] != '"') {
		if (text.data[at] == '\\' && at + 1 < text.len) {
			at++;
			out[len++] = escape(text, &at);
		} else {
			out[len++] = text.data[at++];
		}
	}
	if (at == text.len)
		return error_set(reader->error, ERROR_USAGE, "a double quote that begins here is missing its end");
	reader->raw = slice_first(text, at + 1);
	reader->rest = slice_from(text, at + 1);
	if (memchr(out, '\0', len))
		return error_set(reader->error, ERROR_USAGE, "there is a NUL in the quoted text");
	*word_r = slice_make(out, len);
	return true;
}

bool rule_word(struct rule_reader *reader, struct slice *word_r)
{
	if (rule_peek(reader) == '"')
		return quoted_word(reader, word_r);
	size_t n = 0;
	while (n < reader->rest.len && !ascii_is_space(reader->rest.data[n]))
		n++;
	*word_r = reader->raw = slice_first(reader->rest, n);
	reader->rest = slice_from(reader->rest, n);
	return true;
}

bool rule_time(struct rule_reader *reader, int64_t *nanoseconds_r)
{
	/* A century is more than any rule can mean, and leaves room for sums. */
	const struct interval_rule rule = { .bare = true, .falling = true, .number_max = 100000, .max = (int64_t)100 * 366 * 24 * 3600 };
	int64_t seconds;
	rule_peek(reader);
	if (!interval_take(&reader->rest, &rule, &seconds))
		return false;
	*nanoseconds_r = seconds * CLOCK_SECOND;
	return true;
}

size_t rule_column(const struct rule_reader *reader)
{
	return (size_t)(reader->rest.data - reader->line.data) + 1;
}

size_t rule_word_column(const struct rule_reader *reader)
{
	return (size_t)(reader->raw.data - reader->line.data) + 1;
}

size_t rule_word_offset(const struct rule_reader *reader, size_t index)
{
	struct slice raw = reader->raw;
	size_t at = 1;
	if (!raw.len || raw.data[0] != '"')
		return index;
	for (; index && at < raw.len; index--) {
		if (raw.data[at++] == '\\' && at < raw.len)
			escape(raw, &at);
	}
	return at;
}
