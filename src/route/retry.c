/* SPDX-License-Identifier: ISC */
#include "route/retry.h"

#include "base/clock.h"
#include "base/interval.h"
#include "route/rule.h"

/* ---- Errors ---- */

enum name_form { NAME_ALONE, NAME_HOST, NAME_DIGITS, NAME_TIME }; /* what may follow: nothing, _MX or _A, two of 4xx, _TIME */

static const struct error_name {
	const char *name;
	enum retry_kind kind;
	enum name_form form;
} error_names[] = {
	{ "*", RETRY_OTHER, NAME_ALONE },
	{ "auth_failed", RETRY_AUTH_FAILED, NAME_ALONE },
	{ "data_4", RETRY_DATA_4XX, NAME_DIGITS },
	{ "mail_4", RETRY_MAIL_4XX, NAME_DIGITS },
	{ "rcpt_4", RETRY_RCPT_4XX, NAME_DIGITS },
	{ "lost_connection", RETRY_LOST_CONNECTION, NAME_ALONE },
	{ "lookup", RETRY_LOOKUP, NAME_ALONE },
	{ "refused", RETRY_REFUSED, NAME_HOST },
	{ "timeout_connect", RETRY_TIMEOUT_CONNECT, NAME_HOST },
	{ "timeout", RETRY_TIMEOUT, NAME_HOST },
	{ "tls_required", RETRY_TLS_REQUIRED, NAME_ALONE },
	{ "quota", RETRY_QUOTA, NAME_TIME },
};
enum { ERROR_NAMES = sizeof error_names / sizeof *error_names };

static bool unknown_error(struct slice name, struct error *error)
{
	return error_set(error, ERROR_USAGE,
			 "unknown error \"%.*s\"; expected *, auth_failed, data_4xx, mail_4xx, rcpt_4xx, lost_connection, lookup, "
			 "refused, refused_MX, refused_A, timeout, timeout_MX, timeout_A, timeout_connect, timeout_connect_MX, "
			 "timeout_connect_A, tls_required, quota, or quota_TIME",
			 SLICE_ARG(slice_first(name, 40)));
}

/* "xx", "4x" or "42" behind the 4. */
static bool digits_form(struct slice rest, struct retry_error *out, struct error *error)
{
	bool first = rest.len == 2 && ascii_is_digit(rest.data[0]), second = rest.len == 2 && ascii_is_digit(rest.data[1]);
	if (rest.len != 2 || (!first && rest.data[0] != 'x') || (!second && rest.data[1] != 'x') || (!first && second))
		return error_set(error, ERROR_USAGE, "expected 4xx, 4dx or 4dd, where d is a digit and x the letter");
	out->first = first ? rest.data[0] - '0' : -1;
	out->second = second ? rest.data[1] - '0' : -1;
	return true;
}

static bool host_form(struct slice rest, struct retry_error *out, struct error *error)
{
	out->host = slice_equal(rest, SLICE("_MX")) ? RETRY_HOST_MX : slice_equal(rest, SLICE("_A")) ? RETRY_HOST_A : RETRY_HOST_ANY;
	return !rest.len || out->host != RETRY_HOST_ANY ||
	       error_set(error, ERROR_USAGE, "expected _MX, _A or nothing after the name of the error");
}

static bool time_form(struct slice rest, struct retry_error *out, struct error *error)
{
	struct rule_reader reader;
	if (!rest.len)
		return true;
	rule_start(&reader, slice_from(rest, 1), NULL, error);
	return (rest.data[0] == '_' && rest.len > 1 && rule_time(&reader, &out->unread) && !reader.rest.len) ||
	       error_set(error, ERROR_USAGE, "expected a time after quota_, such as quota_5d");
}

bool retry_error_parse(struct slice name, struct retry_error *error_r, struct error *error)
{
	struct retry_error out = { .first = -1, .second = -1 };
	size_t i = 0;
	while (i < ERROR_NAMES && !(error_names[i].form == NAME_ALONE ? slice_equal(name, slice_of(error_names[i].name)) :
								       slice_starts(name, slice_of(error_names[i].name))))
		i++;
	if (i == ERROR_NAMES)
		return unknown_error(name, error);
	struct slice rest = slice_from(name, strlen(error_names[i].name));
	enum name_form form = error_names[i].form;
	out.kind = error_names[i].kind;
	if ((form == NAME_HOST || form == NAME_TIME) && rest.len && rest.data[0] != '_')
		return unknown_error(name, error);
	bool good = form == NAME_DIGITS ? digits_form(rest, &out, error) : form == NAME_HOST ? host_form(rest, &out, error) :
		    form == NAME_TIME ? time_form(rest, &out, error) : true;
	*error_r = out;
	return good;
}

static bool error_matches(const struct retry_error *rule, const struct retry_error *failure)
{
	bool same = rule->kind == failure->kind || (rule->kind == RETRY_TIMEOUT && failure->kind == RETRY_TIMEOUT_CONNECT);
	if (rule->kind == RETRY_OTHER)
		return true;
	return same && (rule->host == RETRY_HOST_ANY || rule->host == failure->host) &&
	       (rule->first < 0 || rule->first == failure->first) && (rule->second < 0 || rule->second == failure->second) &&
	       (rule->unread == 0 || failure->unread >= rule->unread);
}

/* ---- Rules ---- */

/* "1.5" in thousandths, at least 1. */
static bool read_factor(struct rule_reader *reader, uint32_t *factor_r)
{
	enum { WHOLE_MAX = 100000, PLACES = 3 };
	uint64_t whole, value = 0;
	size_t n = 0;
	rule_peek(reader);
	while (n < reader->rest.len && ascii_is_digit(reader->rest.data[n]))
		n++;
	if (!slice_parse_u64(slice_first(reader->rest, n), WHOLE_MAX, &whole))
		return false;
	struct slice rest = slice_from(reader->rest, n);
	size_t places = 0;
	if (rest.len && rest.data[0] == '.')
		for (rest = slice_from(rest, 1); rest.len && ascii_is_digit(rest.data[0]); rest = slice_from(rest, 1))
			if (places < PLACES) {
				value = value * 10 + (uint64_t)(rest.data[0] - '0');
				places++;
			}
	for (; places < PLACES; places++)
		value *= 10;
	reader->rest = rest;
	*factor_r = (uint32_t)(whole * 1000 + value);
	return *factor_r >= 1000;
}

static bool read_parameters(struct rule_reader *reader, struct retry_parameters *out)
{
	struct error *error = reader->error;
	char letter = ascii_upper(rule_peek(reader));
	if (letter != 'F' && letter != 'G' && letter != 'H')
		return error_set(error, ERROR_USAGE, "expected F, G or H and its times, such as F,2h,15m");
	out->letter = letter;
	reader->rest = slice_from(reader->rest, 1);
	if (!rule_skip(reader, ','))
		return error_set(error, ERROR_USAGE, "expected a comma and a cutoff time after the letter %c", letter);
	if (!rule_time(reader, &out->cutoff) || out->cutoff == 0)
		return error_set(error, ERROR_USAGE, "expected a cutoff time that is not 0, such as 4d");
	if (!rule_skip(reader, ','))
		return error_set(error, ERROR_USAGE, "expected a comma and an interval after the cutoff time");
	if (!rule_time(reader, &out->interval) || out->interval == 0)
		return error_set(error, ERROR_USAGE, "expected an interval that is not 0, such as 15m");
	if (letter == 'F')
		return true;
	if (!rule_skip(reader, ','))
		return error_set(error, ERROR_USAGE, "expected a comma and a factor after the interval");
	return read_factor(reader, &out->factor) ||
	       error_set(error, ERROR_USAGE, "expected a factor that is 1 or more, such as 1.5");
}

static bool read_all_parameters(struct rule_reader *reader, struct retry_rule *rule)
{
	struct retry_parameters *all = arena_array(reader->arena, RETRY_PARAMETERS_MAX, sizeof *all);
	rule->parameters = all;
	while (rule_peek(reader)) {
		if (rule->count == RETRY_PARAMETERS_MAX)
			return error_set(reader->error, ERROR_USAGE, "more than %d sets of parameters", RETRY_PARAMETERS_MAX);
		if (!read_parameters(reader, &all[rule->count++]))
			return false;
		if (rule_peek(reader) && !rule_skip(reader, ';'))
			return error_set(reader->error, ERROR_USAGE, "expected a semicolon between sets of parameters");
	}
	return true;
}

static bool read_senders(struct rule_reader *reader, const struct pattern_scope *scope, struct retry_rule *rule,
			 size_t *column_r)
{
	const size_t prefix = sizeof "senders=" - 1;
	rule_peek(reader);
	if (!slice_starts(reader->rest, SLICE("senders=")))
		return true;
	reader->rest = slice_from(reader->rest, prefix);
	*column_r = rule_column(reader);
	if (!reader->rest.len || ascii_is_space(reader->rest.data[0]))
		return error_set(reader->error, ERROR_USAGE, "expected an address list after senders=");
	struct slice list;
	if (!rule_word(reader, &list))
		return false;
	rule->senders_text = list;
	return pattern_compile_list(reader->arena, list, scope, &rule->senders, reader->error);
}

bool retry_compile(struct arena *arena, struct slice line, const struct pattern_scope *scope, struct retry_rule **rule_r,
		   struct error *error, size_t *column_r)
{
	struct retry_rule *rule = arena_new(arena, struct retry_rule);
	struct rule_reader reader;
	struct slice word;
	size_t ignored, *column = column_r ? column_r : &ignored;
	*rule_r = rule;
	*column = 1;
	rule_start(&reader, line, arena, error);
	if (!rule_word(&reader, &word))
		return false;
	rule->pattern_text = word;
	if (!pattern_compile(arena, word, PATTERN_CASELESS, scope, &rule->pattern, error))
		return false;
	rule_peek(&reader);
	*column = rule_column(&reader);
	if (!rule_word(&reader, &word))
		return false;
	rule->error_text = word;
	if (!word.len)
		return error_set(error, ERROR_USAGE, "the name of an error, or *, is missing after the pattern");
	if (!retry_error_parse(word, &rule->error, error) || !read_senders(&reader, scope, rule, column))
		return false;
	if (read_all_parameters(&reader, rule))
		return true;
	*column = rule_column(&reader);
	return false;
}

static bool format_time(int64_t nanoseconds, struct buf *out)
{
	char text[32];
	return buf_append(out, slice_make(text, interval_format(nanoseconds / CLOCK_SECOND, text, sizeof text)));
}

bool retry_rule_format(const struct retry_rule *rule, struct buf *out)
{
	bool fits = buf_printf(out, "%.*s  %.*s  ", SLICE_ARG(rule->pattern_text), SLICE_ARG(rule->error_text));
	for (size_t i = 0; fits && i < rule->count; i++) {
		const struct retry_parameters *set = &rule->parameters[i];
		fits = buf_printf(out, "%c,", set->letter) && format_time(set->cutoff, out) && buf_append_byte(out, ',') &&
		       format_time(set->interval, out);
		uint32_t part = set->factor % 1000;
		/* One place at least, and no zeros behind the last that counts. */
		if (fits && set->letter != 'F')
			fits = part % 100 == 0 ? buf_printf(out, ",%u.%u", set->factor / 1000, part / 100) :
			       part % 10 == 0 ? buf_printf(out, ",%u.%02u", set->factor / 1000, part / 10) :
						buf_printf(out, ",%u.%03u", set->factor / 1000, part);
		fits = fits && buf_append(out, SLICE("; "));
	}
	return fits;
}

/* ---- Choice ---- */

static enum expand_result domain_matches(const struct retry_rule *rule, struct slice local_part, struct slice domain,
					 const struct expand_context *context, struct arena *arena, bool *yes_r,
					 struct error *error)
{
	if (!local_part.len) /* a regular expression then sees an asterisk in its place */
		local_part = SLICE("*");
	struct pattern_subject subject = { .local_part = local_part, .domain = domain, .tainted = true };
	subject.whole = arena_printf(arena, "%.*s@%.*s", SLICE_ARG(local_part), SLICE_ARG(domain));
	return pattern_match(rule->pattern, &subject, context, arena, yes_r, NULL, error);
}

enum expand_result retry_find(const struct retry_rule *first, const struct retry_failure *failure,
			      const struct expand_context *context, struct arena *arena, const struct retry_rule **rule_r,
			      struct error *error)
{
	*rule_r = NULL;
	for (const struct retry_rule *rule = first; rule; rule = rule->next) {
		bool yes = false;
		enum expand_result result = EXPAND_OK;
		if (!error_matches(&rule->error, &failure->error) || (rule->senders && !failure->sender))
			continue;
		if (failure->host.len)
			result = domain_matches(rule, (struct slice){ 0 }, failure->host, context, arena, &yes, error);
		if (result == EXPAND_OK && !yes)
			result = domain_matches(rule, failure->local_part, failure->domain, context, arena, &yes, error);
		if (result == EXPAND_OK && yes && rule->senders)
			result = pattern_match(rule->senders, failure->sender, context, arena, &yes, NULL, error);
		if (result != EXPAND_OK)
			return result;
		if (yes) {
			*rule_r = rule;
			break;
		}
	}
	return EXPAND_OK;
}

/* ---- Times ---- */

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The gap before the last try, as it was meant or as it was, if that was shorter; and what the factor makes of it. */
static int64_t grown_gap(const struct retry_state *state, const struct retry_parameters *set, int64_t now, int64_t *last_r)
{
	int64_t last = state->last_try ? least(state->next_try - state->last_try, now - state->last_try) : 0;
	*last_r = last > 0 ? last : 0;
	/* No gap is longer than a century (rule_time), so this needs no more than 128 bits. */
	__int128 grown = (__int128)*last_r * set->factor / 1000;
	return grown > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)grown;
}

static int64_t interval(const struct retry_state *state, const struct retry_parameters *set, int64_t now, uint64_t random)
{
	int64_t last, grown = grown_gap(state, set, now, &last);
	if (set->letter == 'F')
		return set->interval;
	if (set->letter == 'G')
		return last < set->interval ? set->interval : grown;
	/* H: anywhere from the interval to the grown gap. */
	int64_t spread = grown - set->interval;
	return spread > 0 ? set->interval + (int64_t)(random % (uint64_t)spread) : set->interval;
}

void retry_failed(struct retry_state *state, const struct retry_rule *rule, int64_t now, int64_t received, int64_t longest,
		  uint64_t random)
{
	if (!state->first_failed)
		*state = (struct retry_state){ .first_failed = now };
	int64_t since = received ? least(received, state->first_failed) : state->first_failed;
	size_t i = 0;
	while (rule && i < rule->count && rule->parameters[i].cutoff <= now - since)
		i++;
	state->expired = !rule || i == rule->count;
	if (!rule || !rule->count) {
		state->next_try = now;
	} else {
		const struct retry_parameters *set = &rule->parameters[state->expired ? rule->count - 1 : i];
		state->next_try = now + least(interval(state, set, now, random), longest);
	}
	state->last_try = now;
}

bool retry_message_expired(const struct retry_rule *rule, int64_t received, int64_t now)
{
	return !rule || !rule->count || now - received > rule->parameters[rule->count - 1].cutoff;
}
