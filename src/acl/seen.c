/* SPDX-License-Identifier: ISC */
/* The condition seen (Exim's manual, chapter 44 §37). When keys were seen is kept by whoever answers limit/ask.h. */
#include "acl/private.h"

#include "limit/ask.h"

#define PATIENCE (10 * CLOCK_SECOND)

enum { REFRESH_SECONDS = 10 * 24 * 3600 };

static bool take_option(const struct acl_field *field, struct limit_seen *seen, bool *bad_time)
{
	if (slice_equal(field->name, SLICE("key=")))
		seen->key = field->rest;
	else if (slice_equal(field->name, SLICE("readonly")))
		seen->write = LIMIT_WRITE_NEVER;
	else if (slice_equal(field->name, SLICE("write")))
		seen->write = LIMIT_WRITE_ALWAYS;
	else if (slice_equal(field->name, SLICE("refresh=")))
		*bad_time |= !acl_parse_time(field->rest, false, &seen->refresh);
	else
		return false;
	return true;
}

static bool parse(const struct acl_fields *fields, struct slice whole, struct limit_seen *seen, struct error *error)
{
	struct slice interval = fields->count ? fields->items[0].text : (struct slice){ 0 };
	bool bad_time = false;
	*seen = (struct limit_seen){ .refresh = REFRESH_SECONDS };
	seen->before = interval.len && interval.data[0] == '-';
	bad_time = fields->too_many || !acl_parse_time(slice_from(interval, seen->before), false, &seen->interval);
	for (size_t i = 1; i < fields->count && !bad_time; i++)
		if (!take_option(&fields->items[i], seen, &bad_time))
			return error_set(error, ERROR_USAGE, "unrecognised option '%.*s' in '%.*s'", SLICE_ARG(slice_first(fields->items[i].text, 100)),
					 SLICE_ARG(slice_first(whole, 200)));
	return !bad_time || error_set(error, ERROR_USAGE, "failed to parse '%.*s'", SLICE_ARG(slice_first(whole, 200)));
}

bool acl_seen_check(struct slice value, struct arena *scratch, struct error *error)
{
	struct acl_fields fields;
	struct limit_seen seen;
	acl_fields_cut(&fields, piece_text_plain(value, scratch), scratch);
	return parse(&fields, value, &seen, error);
}

enum acl_step acl_seen_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct acl_fields *fields = arena_new(run->arena, struct acl_fields);
	struct expand_answer answer = { 0 };
	struct limit_packed packed;
	struct limit_seen seen;
	struct error error = { 0 };
	(void)value;
	acl_fields_cut(fields, run->text, run->arena);
	if (!parse(fields, item->source, &seen, &error))
		return acl_broken(run, "%s", error.text);
	if (!seen.key.len)
		seen.key = run->session->facts.host_address;
	struct expand_request request = limit_seen_request(&seen, &packed);
	request.deadline = clock_after(PATIENCE);
	if (!run->context.ask)
		return acl_broken(run, "seen: there is no database here");
	if (run->context.ask(run->context.owner, &request, run->arena, &answer, &error) != EXPAND_OK)
		return acl_later(run, "database for 'seen' not available: %s", error.text);
	return answer.found ? ACL_YES : ACL_NO;
}
