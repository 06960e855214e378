/* SPDX-License-Identifier: ISC */
/* The condition ratelimit (Exim's manual, chapter 44 §38 to §44). The rates are kept by whoever answers limit/ask.h. */
#include "acl/private.h"

#include "acl/rates.h"
#include "limit/ask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How long the answer may take. */
#define PATIENCE (10 * CLOCK_SECOND)

enum { NUMBER_MAX = 64 };

#define NOT_SMTP (AT(NOT_SMTP) | AT(NOT_SMTP_START) | AT(NOT_SMTP_MIME))
#define WITH_MESSAGE (AT(MAIL) | AT(RCPT) | AT(PREDATA) | AT(MIME) | AT(DKIM) | AT(DATA) | AT(PRDR) | AT(NOT_SMTP))

/*
 * What is measured. `points`: where it means something; elsewhere a rate can only be read. The names are those in the keys: what
 * shares a name shares its rates.
 */
static const struct measure {
	const char *option, *name;
	unsigned points;
	enum acl_scope scope;
	bool unique; /* of different recipients */
} measures[] = {
	{ "per_mail", "per_mail", WITH_MESSAGE, ACL_SCOPE_MESSAGE, false },
	{ "per_conn", "per_conn", ACL_EVERYWHERE & ~NOT_SMTP, ACL_SCOPE_CONNECTION, false },
	{ "per_byte", "per_mail", WITH_MESSAGE, ACL_SCOPE_MESSAGE, false },
	{ "per_rcpt", "per_rcpt", AT(RCPT) | AT(PREDATA) | AT(MIME) | AT(DATA) | AT(PRDR) | AT(NOT_SMTP), ACL_SCOPE_MESSAGE, false },
	{ "per_addr", "per_rcpt", AT(RCPT), ACL_SCOPE_MESSAGE, true },
	{ "per_cmd", "per_cmd", ACL_EVERYWHERE, ACL_SCOPE_COMMAND, false },
};

enum { MEASURES = sizeof measures / sizeof *measures, MEASURE_BYTES = 2, MEASURE_RECIPIENTS = 3 };

struct limit_words {
	struct limit_rate rate;
	struct slice limit, period, key;
	const struct measure *measure; /* NULL: none was given */
	bool has_count, has_unique, leaky, strict, readonly;
};

/* A decimal number that is not negative, with an exponent if need be; `suffix`: K, M or G may follow. Nothing at all is 0. */
static bool parse_number(struct slice text, bool suffix, double *number_r)
{
	char digits[NUMBER_MAX], *end;
	double unit = 1;
	if (suffix && text.len) {
		static const char units[] = "kmg";
		const char *at = strchr(units, ascii_lower(text.data[text.len - 1]));
		if (at && *at) {
			unit = (double)(UINT64_C(1) << (10 * (at - units + 1)));
			text = slice_first(text, text.len - 1);
		}
	}
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_digit(text.data[i]) && !strchr(".eE+-", text.data[i]))
			return false;
	if (!slice_to_cstr(text, digits, sizeof digits))
		return false;
	double number = strtod(digits, &end) * unit;
	*number_r = number;
	return *end == '\0' && isfinite(number) && number >= 0;
}

static bool not_a_number(struct slice text, struct error *error)
{
	return error_set(error, ERROR_USAGE, "\"%.*s\" is not a positive number", SLICE_ARG(slice_first(text, 200)));
}

static bool take_measure(struct limit_words *words, const struct measure *measure, struct error *error)
{
	if (words->measure)
		return error_set(error, ERROR_USAGE, "conflicting per_* options");
	words->measure = measure;
	return true;
}

/* An option, or a part of the key. */
static bool take_field(struct limit_words *words, const struct acl_field *field, struct arena *arena, struct error *error)
{
	static const struct {
		const char *name;
		size_t flag;
	} modes[] = {
		{ "leaky", offsetof(struct limit_words, leaky) }, { "strict", offsetof(struct limit_words, strict) },
		{ "readonly", offsetof(struct limit_words, readonly) }, { "noupdate", offsetof(struct limit_words, readonly) },
		{ "no_update", offsetof(struct limit_words, readonly) },
	};
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		if (!slice_equal_nocase(field->name, slice_of(modes[i].name)))
			continue;
		*((bool *)words + modes[i].flag) = true;
		return true;
	}
	for (size_t i = 0; i < MEASURES; i++)
		if (slice_equal_nocase(field->name, slice_of(measures[i].option)))
			return take_measure(words, &measures[i], error);
	if (slice_equal_nocase(field->name, SLICE("count="))) {
		words->has_count = true;
		return parse_number(field->rest, false, &words->rate.count) || not_a_number(field->text, error);
	}
	if (slice_equal_nocase(field->name, SLICE("unique="))) {
		words->has_unique = true;
		words->rate.event = field->rest;
		return true;
	}
	words->key = words->key.data ? arena_printf(arena, "%.*s/%.*s", SLICE_ARG(words->key), SLICE_ARG(field->text)) :
				       slice_make(field->text.len ? field->text.data : "", field->text.len);
	return true;
}

/* A number alone is no time: its unit would be a guess. */
static bool parse_period(struct slice text, int64_t *seconds_r)
{
	return acl_parse_time(text, false, seconds_r) && *seconds_r > 0;
}

static bool parse(const struct acl_fields *fields, struct arena *arena, struct limit_words *words, struct error *error)
{
	*words = (struct limit_words){ .rate.count = 1 };
	if (fields->too_many)
		return error_set(error, ERROR_USAGE, "more than %d parts", ACL_PARTS_MAX);
	words->limit = fields->count > 0 ? fields->items[0].text : (struct slice){ 0 };
	words->period = fields->count > 1 ? fields->items[1].text : (struct slice){ 0 };
	if (words->limit.len == 0)
		return error_set(error, ERROR_USAGE, "sender rate limit not set");
	if (!parse_number(words->limit, true, &words->rate.limit))
		return not_a_number(words->limit, error);
	if (!parse_period(words->period, &words->rate.period))
		return error_set(error, ERROR_USAGE, "\"%.*s\" is not a time value", SLICE_ARG(slice_first(words->period, 200)));
	for (size_t i = 2; i < fields->count; i++)
		if (!take_field(words, &fields->items[i], arena, error))
			return false;
	if (words->leaky + words->strict + words->readonly > 1)
		return error_set(error, ERROR_USAGE, "conflicting update modes");
	if (!words->measure)
		words->measure = &measures[0];
	words->rate.unique = words->has_unique || words->measure->unique;
	return true;
}

bool acl_ratelimit_check(struct slice value, struct arena *scratch, struct error *error)
{
	struct acl_fields fields;
	struct limit_words words;
	acl_fields_cut(&fields, piece_text_plain(value, scratch), scratch);
	return parse(&fields, scratch, &words, error);
}

/* A variable that holds a number; what is no number, or not known yet, is 0. */
static double number_of(struct acl_run *run, enum expand_variable variable)
{
	uint64_t number = 0;
	slice_parse_u64(run->context.variable(run->context.owner, variable).text, UINT64_MAX, &number);
	return (double)number;
}

/* What one event counts, and which events are the same. */
static void set_event(struct acl_run *run, struct limit_words *words)
{
	const struct acl_facts *facts = &run->session->facts;
	if (!words->has_count && words->measure == &measures[MEASURE_BYTES])
		words->rate.count = number_of(run, EXPAND_MESSAGE_SIZE);
	if (!words->has_count && words->measure == &measures[MEASURE_RECIPIENTS] && run->point != ACL_POINT_RCPT)
		words->rate.count = number_of(run, EXPAND_RECIPIENTS_COUNT);
	if (words->measure->unique && !words->has_unique && facts->has_recipient)
		words->rate.event = arena_printf(run->arena, "%.*s@%.*s",
						 SLICE_ARG(run->context.variable(run->context.owner, EXPAND_LOCAL_PART).text),
						 SLICE_ARG(facts->domain));
}

static void set_texts(struct acl_session *session, const struct limit_words *words, double rate)
{
	struct acl_rate_texts *texts = &session->rate_texts;
	snprintf(texts->rate, sizeof texts->rate, "%.1f", rate);
	snprintf(texts->limit, sizeof texts->limit, "%.*s", SLICE_ARG(words->limit));
	snprintf(texts->period, sizeof texts->period, "%.*s", SLICE_ARG(words->period));
}

/* Asks who keeps the rates. False: *step_r is the outcome. */
static bool measure(struct acl_run *run, const struct limit_rate *rate, double *measured_r, enum acl_step *step_r)
{
	struct expand_answer answer = { 0 };
	struct error error = { 0 };
	struct limit_packed packed;
	struct expand_request request = limit_rate_request(rate, &packed);
	request.deadline = clock_after(PATIENCE);
	if (!run->context.ask)
		*step_r = acl_broken(run, "ratelimit: rates cannot be measured here");
	else if (run->context.ask(run->context.owner, &request, run->arena, &answer, &error) != EXPAND_OK)
		*step_r = acl_later(run, "ratelimit database not available: %s", error.text);
	else if (!limit_rate_answered(&answer, measured_r))
		*step_r = acl_later(run, "ratelimit database not available: malformed answer");
	else
		return true;
	return false;
}

enum acl_step acl_ratelimit_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct acl_session *session = run->session;
	struct limit_words words;
	struct acl_fields *fields = arena_new(run->arena, struct acl_fields);
	struct error error;
	enum acl_step step;
	double rate;
	(void)item;
	(void)value;
	acl_fields_cut(fields, run->text, run->arena);
	if (!parse(fields, run->arena, &words, &error))
		return acl_broken(run, "error in arguments to \"ratelimit\" condition: %s", error.text);
	bool misplaced = !(words.measure->points >> run->point & 1) && run->point != ACL_POINT_EXPANSION;
	if (misplaced && (words.leaky || words.strict))
		return acl_broken(run, "error in arguments to \"ratelimit\" condition: \"%s\" must not have /leaky or /strict option, or cannot be "
				  "used in %s ACL", words.measure->name, acl_point_info(run->point)->name);
	words.rate.update = words.readonly || misplaced ? LIMIT_READONLY : words.strict ? LIMIT_STRICT : LIMIT_LEAKY;
	set_event(run, &words);
	struct slice key = words.key.len ? words.key : session->facts.host_address;
	words.rate.key = arena_printf(run->arena, "%.*s/%s/%s%.*s", SLICE_ARG(words.period), words.measure->name,
				      words.rate.unique ? "unique/" : "", SLICE_ARG(key));
	/* A rate that is only read, and one of recipients while they are given one by one, is asked for at each command. */
	enum acl_scope scope = words.measure->scope;
	bool each = words.measure == &measures[MEASURE_RECIPIENTS] || words.measure->unique;
	if (words.rate.update == LIMIT_READONLY || (each && run->point == ACL_POINT_RCPT))
		scope = ACL_SCOPE_COMMAND;
	if (!acl_rates_find(session, scope, words.rate.key, &rate)) {
		if (!measure(run, &words.rate, &rate, &step))
			return step;
		acl_rates_keep(session, scope, words.rate.key, rate);
	}
	set_texts(session, &words, rate);
	return rate < words.rate.limit ? ACL_NO : ACL_YES;
}

bool acl_session_rate(const struct acl_session *session, enum expand_variable variable, struct expand_value *value_r)
{
	const struct acl_rate_texts *texts = &session->rate_texts;
	const char *text = variable == EXPAND_SENDER_RATE ? texts->rate : variable == EXPAND_SENDER_RATE_LIMIT ? texts->limit :
			   variable == EXPAND_SENDER_RATE_PERIOD ? texts->period : NULL;
	if (text)
		*value_r = (struct expand_value){ .text = slice_of(text) };
	return text != NULL;
}
