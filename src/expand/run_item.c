/* SPDX-License-Identifier: ISC */
/* Evaluation of items that choose or take apart: if, extract, listextract, acl, env, prvscheck, and those that only compute. */
#include "expand/evaluation.h"
#include "expand/items.h"
#include "expand/json.h"
#include "expand/prvs.h"
#include "tls/certificate.h"

static const struct expand_value empty = { { "", 0 }, false };

enum expand_result expand_item_if(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct expand_numbers numbers = run->numbers;
	struct expand_value value = *expand_own(run, EXPAND_VALUE);
	bool yes;
	enum expand_result result = expand_run_condition(run, item->condition, &yes);
	if (result == EXPAND_OK)
		result = expand_run_branch(run, item, yes, (struct expand_value){ SLICE("true"), false }, value_r);
	run->numbers = numbers;
	*expand_own(run, EXPAND_VALUE) = value;
	return result;
}

/* A leaf, for struct expand_call is large. */
static __attribute__((noinline)) enum expand_result call_function(struct expand_evaluation *run, const struct expand_item *item,
								   const struct expand_value *arguments, struct expand_value *value_r)
{
	struct expand_call call = { .context = run->context, .arena = run->arena, .name = item->name, .argument_count = item->count,
				    .error = run->error };
	for (size_t i = 0; i < item->count; i++) {
		call.arguments[i] = arguments[i];
		call.out.tainted |= arguments[i].tainted;
	}
	enum expand_result result = item->info->call(&call);
	*value_r = call.out;
	return result;
}

enum expand_result expand_item_function(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct expand_value *arguments;
	enum expand_result result = expand_run_arguments(run, item->arguments, item->count, &arguments);
	return result == EXPAND_OK ? call_function(run, item, arguments, value_r) : result;
}

/* A field's number: digits, perhaps after a minus. */
static bool parse_number(struct slice text, int64_t *number_r)
{
	bool negative = text.len && text.data[0] == '-';
	uint64_t number;
	if (!slice_parse_u64(negative ? slice_from(text, 1) : text, INT32_MAX, &number))
		return false;
	*number_r = negative ? -(int64_t)number : (int64_t)number;
	return true;
}

static size_t find_any(struct slice text, struct slice bytes)
{
	size_t at = 0;
	while (at < text.len && slice_find(bytes, text.data[at]) == bytes.len)
		at++;
	return at;
}

/* The field of that number: from 1 on, or from the end; 0 is all of the text. */
static bool numbered_field(struct slice text, struct slice separators, int64_t number, struct slice *field_r)
{
	int64_t count = 1;
	*field_r = text;
	if (number == 0)
		return true;
	for (struct slice rest = text; number < 0; count++) {
		size_t at = find_any(rest, separators);
		if (at == rest.len)
			break;
		rest = slice_from(rest, at + 1);
	}
	if (number < 0)
		number = count + number + 1;
	if (number < 1)
		return false;
	struct slice rest = text;
	for (; number > 1; number--) {
		size_t at = find_any(rest, separators);
		if (at == rest.len)
			return false;
		rest = slice_from(rest, at + 1);
	}
	*field_r = slice_first(rest, find_any(rest, separators));
	return true;
}

static size_t skip_space(struct slice text, size_t at)
{
	while (at < text.len && ascii_is_space(text.data[at]))
		at++;
	return at;
}

/* Past the value that starts at `at`: a word, or a string in double quotes, in which a backslash protects the next byte. */
static size_t value_end(struct slice text, size_t at)
{
	if (at >= text.len || text.data[at] != '"') {
		while (at < text.len && !ascii_is_space(text.data[at]))
			at++;
		return at;
	}
	for (at++; at < text.len && text.data[at] != '"'; at++)
		if (text.data[at] == '\\' && at + 1 < text.len)
			at++;
	return at < text.len ? at + 1 : at;
}

/* What a value stands for: without its quotes, backslashes having their meaning (chapter 6 §17). */
static struct slice unquote(struct arena *arena, struct slice value)
{
	static const char from[] = "nrtbfv", to[] = "\n\r\t\b\f\v";
	if (value.len == 0 || value.data[0] != '"')
		return value;
	char *out = arena_alloc(arena, value.len);
	size_t len = 0;
	for (size_t at = 1; at < value.len && value.data[at] != '"'; at++) {
		char byte = value.data[at];
		if (byte == '\\' && at + 1 < value.len) {
			byte = value.data[++at];
			const char *letter = byte ? strchr(from, byte) : NULL;
			byte = letter ? to[letter - from] : byte;
		}
		out[len++] = byte;
	}
	return slice_make(out, len);
}

/* "key1=value1 key2 = value2 ...". */
static bool keyed_field(struct arena *arena, struct slice text, struct slice key, struct slice *field_r)
{
	size_t at = skip_space(text, 0);
	while (at < text.len) {
		size_t start = at;
		while (at < text.len && text.data[at] != '=' && !ascii_is_space(text.data[at]))
			at++;
		struct slice name = slice_make(text.data + start, at - start);
		at = skip_space(text, at);
		if (at < text.len && text.data[at] == '=')
			at = skip_space(text, at + 1);
		size_t end = value_end(text, at);
		if (slice_equal_nocase(name, key)) {
			*field_r = unquote(arena, slice_make(text.data + at, end - at));
			return true;
		}
		at = skip_space(text, end);
	}
	return false;
}

static enum expand_result extract(struct expand_evaluation *run, const struct expand_item *item, const struct expand_value *arguments,
				  bool *found_r, struct expand_value *found)
{
	struct slice key = slice_trim(arguments[0].text);
	int64_t number;
	*found = empty;
	if (key.len == 0)
		return expand_run_fail(run, "first argument of \"extract\" must not be empty");
	if (item->json) {
		found->tainted = arguments[1].tainted;
		return expand_json_extract(arguments[1].text, key, item->unquote, run->arena, &found->text, found_r, run->error);
	}
	bool numbered = parse_number(key, &number);
	if (numbered && item->count < 3)
		return expand_run_fail(run, "missing third argument of \"extract\": with a number it takes {number}{separators}{string}");
	if (!numbered && item->count == 3)
		return expand_run_fail(run, "too many arguments for \"extract\" with the key \"%.*s\"", SLICE_ARG(slice_first(key, 64)));
	found->tainted = arguments[numbered ? 2 : 1].tainted;
	*found_r = numbered ? numbered_field(arguments[2].text, arguments[1].text, number, &found->text) :
			      keyed_field(run->arena, arguments[1].text, key, &found->text);
	return EXPAND_OK;
}

/*
 * With a key that was computed, {a}{b}{c} may be a key, a text and what is wanted when it is found, or a number, separators
 * and a text: only the key's value tells, and the third must not be evaluated before that.
 */
static enum expand_result extract_computed(struct expand_evaluation *run, const struct expand_item *item, struct expand_item *as)
{
	struct expand_value key;
	int64_t number;
	enum expand_result result = expand_run_sequence(run, &item->arguments[0], &key);
	*as = *item;
	if (result != EXPAND_OK || item->count < 3 || parse_number(slice_trim(key.text), &number))
		return result;
	if (item->no || (item->yes && item->fail))
		return expand_run_fail(run, "too many arguments for \"extract\" with the key \"%.*s\"",
				       SLICE_ARG(slice_first(key.text, 64)));
	as->count = 2;
	as->no = item->yes;
	as->yes = &item->arguments[2];
	return EXPAND_OK;
}

enum expand_result expand_item_extract(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct expand_value *arguments, found;
	bool yes;
	if (item->count == 3 && !expand_sequence_constant(&item->arguments[0], NULL)) {
		struct expand_item *as = arena_new(run->arena, struct expand_item);
		enum expand_result result = extract_computed(run, item, as);
		if (result != EXPAND_OK)
			return result;
		item = as;
	}
	enum expand_result result = expand_run_arguments(run, item->arguments, item->count, &arguments);
	if (result == EXPAND_OK)
		result = extract(run, item, arguments, &yes, &found);
	return result == EXPAND_OK ? expand_run_found(run, item, yes, found, value_r) : result;
}

static bool list_item(struct expand_evaluation *run, struct slice list, int64_t number, struct slice *item_r)
{
	char separator = 0;
	if (number < 0)
		number += (int64_t)expand_list_count(list, run->arena) + 1;
	if (number < 1)
		return false;
	while (expand_list_next(&list, &separator, run->arena, item_r))
		if (--number == 0)
			return true;
	return false;
}

enum expand_result expand_item_listextract(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct expand_value *arguments, found = empty;
	int64_t number;
	enum expand_result result = expand_run_arguments(run, item->arguments, item->count, &arguments);
	if (result != EXPAND_OK)
		return result;
	struct slice text = slice_trim(arguments[0].text);
	if (text.len == 0)
		return expand_run_fail(run, "first argument of \"listextract\" must not be empty");
	if (!parse_number(text, &number))
		return expand_run_fail(run, "first argument of \"listextract\" must be numeric");
	found.tainted = arguments[1].tainted;
	bool yes = list_item(run, arguments[1].text, number, &found.text);
	return expand_run_found(run, item, yes, found, value_r);
}

enum expand_result expand_run_acl(struct expand_evaluation *run, const struct expand_sequence *sequences, size_t count, bool *accepted_r,
				  struct expand_value *text_r)
{
	struct expand_value *arguments;
	const struct expand_context *context = run->context;
	enum expand_result result = expand_run_arguments(run, sequences, count, &arguments);
	if (result != EXPAND_OK)
		return result;
	if (!context->acl)
		return expand_run_fail(run, "ACL \"%.*s\" cannot be run here", SLICE_ARG(slice_first(arguments[0].text, 64)));
	if (arguments[0].tainted)
		return expand_run_fail(run, "Tainted name for an ACL: \"%.*s\"", SLICE_ARG(slice_first(arguments[0].text, 64)));
	*text_r = empty;
	result = context->acl(context->owner, arguments[0], arguments + 1, count - 1, run->arena, text_r, run->error);
	*accepted_r = result == EXPAND_OK;
	if (result == EXPAND_DEFER)
		return EXPAND_FORCED_FAIL;
	return result == EXPAND_FAIL ? EXPAND_FAIL : EXPAND_OK;
}

enum expand_result expand_item_acl(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	bool accepted;
	return expand_run_acl(run, item->arguments, item->count, &accepted, value_r);
}

enum expand_result expand_item_env(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct expand_value name;
	enum expand_result result = expand_run_sequence(run, item->arguments, &name);
	if (result != EXPAND_OK)
		return result;
	struct slice key = slice_trim(name.text);
	const char *text = key.len ? getenv(arena_cstr(run->arena, key)) : NULL;
	struct expand_value found = { slice_of(text), false };
	return expand_run_found(run, item, text != NULL, found, value_r);
}

enum expand_result expand_item_certextract(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct expand_value field, der, found = empty;
	enum expand_result result = expand_run_sequence(run, &item->arguments[0], &field);
	if (result != EXPAND_OK)
		return result;
	if (!expand_run_certificate(run, &item->arguments[1], &der))
		return expand_run_found(run, item, false, empty, value_r);
	enum certificate_answer answer = certificate_field(der.text, field.text, run->arena, &found.text, run->error);
	if (answer == CERTIFICATE_BAD)
		return EXPAND_FAIL;
	found.tainted = der.tainted || field.tainted;
	return expand_run_found(run, item, answer == CERTIFICATE_HAS, found, value_r);
}

static enum expand_result check_prvs(struct expand_evaluation *run, const struct expand_item *item, bool tainted,
				     const struct expand_prvs *prvs, struct expand_value *value_r)
{
	struct expand_value secret, given = empty;
	*expand_own(run, EXPAND_PRVSCHECK_ADDRESS) = (struct expand_value){ prvs->address, tainted };
	*expand_own(run, EXPAND_PRVSCHECK_KEYNUM) = (struct expand_value){ prvs->key_number, false };
	enum expand_result result = expand_run_sequence(run, &item->arguments[1], &secret);
	if (result != EXPAND_OK)
		return result;
	bool good = expand_prvs_check(prvs, secret.text, time(NULL));
	*expand_own(run, EXPAND_PRVSCHECK_RESULT) = (struct expand_value){ good ? SLICE("1") : SLICE(""), false };
	if (item->count > 2)
		result = expand_run_sequence(run, &item->arguments[2], &given);
	*value_r = given.text.len ? given : (struct expand_value){ prvs->address, tainted };
	return result;
}

enum expand_result expand_item_prvscheck(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct expand_value address;
	struct expand_prvs prvs;
	enum expand_result result = expand_run_sequence(run, &item->arguments[0], &address);
	if (result != EXPAND_OK)
		return result;
	*expand_own(run, EXPAND_PRVSCHECK_RESULT) = empty;
	*value_r = empty;
	if (!expand_prvs_parse(address.text, &prvs))
		return EXPAND_OK;
	result = check_prvs(run, item, address.tainted, &prvs, value_r);
	*expand_own(run, EXPAND_PRVSCHECK_ADDRESS) = empty;
	*expand_own(run, EXPAND_PRVSCHECK_KEYNUM) = empty;
	return result;
}
