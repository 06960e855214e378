/* SPDX-License-Identifier: ISC */
/*
 * A scanner of JSON (RFC 8259) that finds where values begin and end. A library would give values instead of their text; here
 * the text is what is wanted, and strings stay as they are written.
 */
#include "expand/json.h"

#include "mail/utf8.h"

struct scan {
	const char *at, *end;
	unsigned depth;
	const char *problem; /* the first one */
};

static bool fail(struct scan *scan, const char *problem)
{
	if (!scan->problem)
		scan->problem = problem;
	return false;
}

static void skip_space(struct scan *scan)
{
	while (scan->at < scan->end && ascii_is_space(*scan->at))
		scan->at++;
}

static bool take(struct scan *scan, char c)
{
	if (scan->at >= scan->end || *scan->at != c)
		return false;
	scan->at++;
	return true;
}

static bool take_word(struct scan *scan, const char *word)
{
	if (!slice_starts(slice_make(scan->at, (size_t)(scan->end - scan->at)), slice_of(word)))
		return fail(scan, "a value that is no string, number, object, array, true, false or null");
	scan->at += strlen(word);
	return true;
}

static bool take_escape(struct scan *scan)
{
	if (scan->at >= scan->end || !*scan->at || !strchr("\"\\/bfnrtu", *scan->at))
		return fail(scan, "a backslash that no escape follows");
	if (*scan->at++ != 'u')
		return true;
	uint64_t unused;
	if (scan->end - scan->at < 4 || !slice_parse_hex(slice_make(scan->at, 4), 0xffff, &unused))
		return fail(scan, "\\u without four hexadecimal digits");
	scan->at += 4;
	return true;
}

/* With its quotes. */
static bool take_string(struct scan *scan, struct slice *out_r)
{
	const char *start = scan->at;
	if (!take(scan, '"'))
		return fail(scan, "missing '\"'");
	while (scan->at < scan->end && *scan->at != '"') {
		unsigned char c = (unsigned char)*scan->at;
		size_t length = mail_utf8_char(slice_make(scan->at, (size_t)(scan->end - scan->at)));
		if (c < 32)
			return fail(scan, "a control character in a string");
		if (length == 0)
			return fail(scan, "a string that is not UTF-8");
		scan->at += length;
		if (c == '\\' && !take_escape(scan))
			return false;
	}
	if (!take(scan, '"'))
		return fail(scan, "a string without an end");
	*out_r = slice_make(start, (size_t)(scan->at - start));
	return true;
}

static bool take_digits(struct scan *scan)
{
	const char *start = scan->at;
	while (scan->at < scan->end && ascii_is_digit(*scan->at))
		scan->at++;
	return scan->at > start || fail(scan, "a number without digits");
}

static bool take_number(struct scan *scan)
{
	take(scan, '-');
	if (!take(scan, '0') && !take_digits(scan))
		return false;
	if (take(scan, '.') && !take_digits(scan))
		return false;
	if (!take(scan, 'e') && !take(scan, 'E'))
		return true;
	if (!take(scan, '+'))
		take(scan, '-');
	return take_digits(scan);
}

/* What is looked for, or collected, on the outermost level of an object or array. */
struct wanted {
	struct slice name; /* a member's, without quotes; of an array all elements go to `items` */
	struct slice found;
	bool is_found;
	struct slice *items; /* room for as many as were counted; NULL: they are only counted */
	size_t count;
};

static bool take_value(struct scan *scan, struct slice *out_r);

static bool take_member(struct scan *scan, struct wanted *wanted)
{
	struct slice name, value;
	skip_space(scan);
	if (!take_string(scan, &name))
		return false;
	skip_space(scan);
	if (!take(scan, ':'))
		return fail(scan, "missing ':' between a name and its value");
	if (!take_value(scan, &value))
		return false;
	if (wanted && !wanted->is_found && slice_equal(slice_make(name.data + 1, name.len - 2), wanted->name)) {
		wanted->is_found = true;
		wanted->found = value;
	}
	return true;
}

static bool take_element(struct scan *scan, struct wanted *wanted)
{
	struct slice value;
	if (!take_value(scan, &value))
		return false;
	if (wanted && wanted->items)
		wanted->items[wanted->count] = value;
	if (wanted)
		wanted->count++;
	return true;
}

/* An object or an array, from its opening bracket on. */
static bool take_container(struct scan *scan, char opening, struct wanted *wanted)
{
	char closing = opening == '{' ? '}' : ']';
	if (!take(scan, opening))
		return fail(scan, opening == '{' ? "missing '{' wrapping object" : "missing '[' wrapping array");
	if (++scan->depth > EXPAND_JSON_DEPTH_MAX)
		return fail(scan, "too deeply nested");
	skip_space(scan);
	if (!take(scan, closing)) {
		do {
			if (!(opening == '{' ? take_member(scan, wanted) : take_element(scan, wanted)))
				return false;
			skip_space(scan);
		} while (take(scan, ','));
		if (!take(scan, closing))
			return fail(scan, opening == '{' ? "missing '}' wrapping object" : "missing ']' wrapping array");
	}
	scan->depth--;
	return true;
}

/* With white space around it, which is not part of *out_r. */
static bool take_value(struct scan *scan, struct slice *out_r)
{
	skip_space(scan);
	const char *start = scan->at;
	bool good;
	switch (scan->at < scan->end ? *scan->at : 0) {
	case '{':
	case '[': good = take_container(scan, *start, NULL); break;
	case '"': good = take_string(scan, out_r); break;
	case 't': good = take_word(scan, "true"); break;
	case 'f': good = take_word(scan, "false"); break;
	case 'n': good = take_word(scan, "null"); break;
	default: good = take_number(scan); break;
	}
	*out_r = slice_make(start, (size_t)(scan->at - start));
	return good;
}

/* All of the text is one object or array, as `opening` says. */
static bool scan_all(struct slice json, char opening, struct wanted *wanted, struct error *error)
{
	if (json.len > EXPAND_JSON_SIZE_MAX)
		return error_set(error, ERROR_PERMANENT, "JSON text is longer than %d bytes", EXPAND_JSON_SIZE_MAX);
	json = slice_trim(json);
	struct scan scan = { .at = json.data, .end = json.data + json.len };
	if (take_container(&scan, opening, wanted) && (scan.at == scan.end || fail(&scan, "something after the end")))
		return true;
	return error_set(error, ERROR_PERMANENT, "JSON text is not well formed at byte %zu: %s", (size_t)(scan.at - json.data) + 1,
			 scan.problem);
}

static bool unquote_string(struct slice *value, struct error *error)
{
	if (value->len < 2 || value->data[0] != '"')
		return error_set(error, ERROR_PERMANENT, "missing '\"' wrapping string result: \"%.*s\" is no JSON string",
				 SLICE_ARG(slice_first(*value, 100)));
	*value = slice_make(value->data + 1, value->len - 2);
	return true;
}

bool expand_json_array(struct slice json, bool unquote, struct arena *arena, struct slice **items_r, size_t *count_r,
		       struct error *error)
{
	struct wanted wanted = { 0 };
	if (!scan_all(json, '[', &wanted, error))
		return false;
	if (wanted.count > EXPAND_JSON_ITEMS_MAX)
		return error_set(error, ERROR_PERMANENT, "JSON array has more than %d elements", EXPAND_JSON_ITEMS_MAX);
	*count_r = wanted.count;
	*items_r = wanted.items = arena_array(arena, wanted.count, sizeof(struct slice));
	wanted.count = 0;
	if (!scan_all(json, '[', &wanted, error))
		return false;
	for (size_t i = 0; unquote && i < *count_r; i++)
		if (!unquote_string(&(*items_r)[i], error))
			return false;
	return true;
}

static bool is_index(struct slice key)
{
	for (size_t i = 0; i < key.len; i++)
		if (!ascii_is_digit(key.data[i]))
			return false;
	return key.len > 0;
}

enum expand_result expand_json_extract(struct slice json, struct slice key_or_index, bool unquote, struct arena *arena,
				       struct slice *out_r, bool *found_r, struct error *error)
{
	*found_r = false;
	struct slice key = slice_trim(key_or_index);
	if (key.len > 1 && *key.data == '-' && is_index(slice_from(key, 1))) {
		error_set(error, ERROR_PERMANENT, "first argument of \"extract\" must be greater than zero");
		return EXPAND_FAIL;
	}
	if (is_index(key)) {
		uint64_t index;
		struct slice *items;
		size_t count;
		if (!expand_json_array(json, false, arena, &items, &count, error))
			return EXPAND_FAIL;
		if (!slice_parse_u64(key, SIZE_MAX, &index) || index > count)
			return EXPAND_OK;
		if (index == 0) {
			error_set(error, ERROR_PERMANENT, "first argument of \"extract\" must be greater than zero");
			return EXPAND_FAIL;
		}
		*out_r = items[index - 1];
		*found_r = true;
	} else {
		struct wanted wanted = { .name = key };
		if (!scan_all(json, '{', &wanted, error))
			return EXPAND_FAIL;
		*out_r = wanted.found;
		*found_r = wanted.is_found;
	}
	return *found_r && unquote && !unquote_string(out_r, error) ? EXPAND_FAIL : EXPAND_OK;
}
