/* SPDX-License-Identifier: ISC */
#include "route/rule.h"

#include "base/clock.h"
#include "base/escape.h"
#include "base/interval.h"

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

static bool quoted_word(struct rule_reader *reader, struct slice *word_r)
{
	size_t len;
	if (!escape_unquote(reader->rest, reader->arena, word_r, &len))
		return error_set(reader->error, ERROR_USAGE, "a double quote that begins here is missing its end");
	reader->raw = slice_first(reader->rest, len);
	reader->rest = slice_from(reader->rest, len);
	if (slice_find(*word_r, '\0') < word_r->len)
		return error_set(reader->error, ERROR_USAGE, "there is a NUL in the quoted text");
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
	return escape_offset(reader->raw, index);
}
