/* SPDX-License-Identifier: ISC */
/*
 * Conditions about the text of a message (Exim's manual, chapter 45): `regex` here, `malware` and `spam` in scan.c; and what they leave in
 * variables until the next message.
 *
 * The text is the session's: as it came, with its header section as edited, lines ending in CRLF.
 */
#include "acl/content.h"

#include "base/fatal.h"
#include "expand/pieces.h"
#include "expand/regex.h"
#include "task/task.h"

enum { LINE_MAX_LOOKED_AT = 32 * 1024, LINES_AT_A_TIME = 500, EXPRESSIONS_MAX = 100 };

struct acl_content *acl_content_of(struct acl_session *session)
{
	if (session->content_found)
		return session->content_found;
	session->content_found = xcalloc(1, sizeof *session->content_found);
	arena_init(&session->content_found->arena, 0);
	return session->content_found;
}

void acl_content_free(struct acl_session *session)
{
	if (!session->content_found)
		return;
	arena_free(&session->content_found->arena);
	free(session->content_found);
	session->content_found = NULL;
}

bool acl_content_options(struct piece_text text, struct arena *arena, struct acl_content_options *options_r, struct error *error)
{
	struct piece_text rest = text, item;
	char separator = piece_text_take_separator(&text);
	if (text.at == rest.at)
		separator = '/';
	*options_r = (struct acl_content_options){ .timeout = ACL_SCAN_TIMEOUT };
	if (!piece_text_next(&text, separator, false, arena, &options_r->first))
		options_r->first = piece_text_plain(SLICE(""), arena);
	while (piece_text_next(&text, separator, false, arena, &item)) {
		struct slice option = piece_text_rest(&item);
		int64_t seconds;
		if (slice_equal_nocase(option, SLICE("defer_ok")))
			options_r->defer_ok = true;
		else if (slice_starts_nocase(option, SLICE("tmo=")) && acl_parse_time(slice_from(option, 4), true, &seconds) && seconds > 0)
			options_r->timeout = seconds < ACL_SCAN_TIMEOUT_MAX / CLOCK_SECOND ? seconds * CLOCK_SECOND : ACL_SCAN_TIMEOUT_MAX;
		else if (option.len)
			return error_set(error, ERROR_USAGE, "there is no option \"%.*s\"; expected defer_ok or tmo=TIME", SLICE_ARG(slice_first(option, 64)));
	}
	return true;
}

bool acl_content_check(struct slice value, struct arena *scratch, struct error *error)
{
	struct acl_content_options options;
	return acl_content_options(piece_text_plain(value, scratch), scratch, &options, error);
}

bool acl_content_is_off(struct slice value)
{
	return value.len == 0 || slice_equal(value, SLICE("0")) || slice_equal_nocase(value, SLICE("false"));
}

/* ---- regex ---- */

struct expressions {
	const struct regex *items[EXPRESSIONS_MAX];
	struct slice texts[EXPRESSIONS_MAX];
	size_t count;
};

/* False with *error: an expression is wrong, or a peer had a hand in it. */
static bool compile(struct piece_text text, struct regex_scratch *scratch, struct arena *arena, struct expressions *list, struct error *error)
{
	struct piece_text item;
	char separator = piece_text_take_separator(&text);
	list->count = 0;
	while (piece_text_next(&text, separator, false, arena, &item)) {
		struct slice pattern = piece_text_rest(&item);
		if (piece_text_any_bound(&item))
			return error_set(error, ERROR_PERMANENT, "a regular expression that a peer had a hand in is not used: \"%.*s\"",
					 SLICE_ARG(slice_first(pattern, 64)));
		if (pattern.len == 0)
			continue;
		if (list->count == EXPRESSIONS_MAX)
			return error_set(error, ERROR_PERMANENT, "more than %d regular expressions", EXPRESSIONS_MAX);
		if (!regex_compile(arena, scratch, pattern, false, &list->items[list->count], error, NULL))
			return false;
		list->texts[list->count++] = arena_copy(arena, pattern);
	}
	return true;
}

bool acl_regex_check(struct slice value, struct arena *scratch, struct error *error)
{
	struct regex_scratch *matching = regex_scratch_new();
	bool good = compile(piece_text_plain(value, scratch), matching, scratch, arena_new(scratch, struct expressions), error);
	regex_scratch_free(&matching);
	return good;
}

static void keep_match(struct acl_content *content, struct slice pattern, const struct regex_match *match)
{
	content->regex = arena_copy(&content->arena, pattern);
	for (size_t i = 0; i < ACL_REGEX_CAPTURES; i++)
		content->captures[i] = i + 1 < match->count ? arena_copy(&content->arena, match->captures[i + 1]) : (struct slice){ 0 };
}

static enum acl_step match_text(struct acl_run *run, const struct expressions *list, struct slice text, struct acl_content *content)
{
	struct regex_match match;
	struct error error;
	for (size_t i = 0; i < list->count; i++) {
		switch (regex_match(list->items[i], text, &match, &error)) {
		case REGEX_NO: continue;
		case REGEX_YES: keep_match(content, list->texts[i], &match); return ACL_YES;
		case REGEX_LIMIT: return acl_later(run, "regex: %s", error.text);
		}
	}
	return ACL_NO;
}

/* A line without its end, at most LINE_MAX_LOOKED_AT bytes of it. */
static struct slice take_line(struct slice *rest)
{
	size_t lf = slice_find(slice_first(*rest, LINE_MAX_LOOKED_AT), '\n');
	struct slice line = slice_first(*rest, lf);
	*rest = slice_from(*rest, lf < rest->len && rest->data[lf] == '\n' ? lf + 1 : lf);
	if (line.len && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

static enum acl_step match_lines(struct acl_run *run, const struct expressions *list, struct slice text, struct acl_content *content)
{
	enum acl_step step = ACL_NO;
	for (size_t lines = 1; step == ACL_NO && text.len; lines++) {
		step = match_text(run, list, take_line(&text), content);
		if (lines % LINES_AT_A_TIME == 0 && task_current())
			task_yield(); /* other clients wait */
	}
	return step;
}

static enum acl_step run_regex(struct acl_run *run, bool lines, struct slice text)
{
	struct acl_content *content = acl_content_of(run->session);
	struct expressions *list = arena_new(run->arena, struct expressions);
	struct error error;
	if (!compile(run->text, run->session->set->language->scratch, run->arena, list, &error))
		return acl_broken(run, "regex: %s", error.text);
	content->regex = (struct slice){ 0 };
	for (size_t i = 0; i < ACL_REGEX_CAPTURES; i++)
		content->captures[i] = (struct slice){ 0 };
	return lines ? match_lines(run, list, text, content) : match_text(run, list, text, content);
}

bool acl_content_text(struct acl_run *run, struct slice *text_r)
{
	struct acl_session *session = run->session;
	struct error error;
	if (!session->content) {
		acl_broken(run, "the text of the message cannot be read here");
		return false;
	}
	if (session->content(session->owner, text_r, &error))
		return true;
	acl_later(run, "%s", error.text);
	return false;
}

enum acl_step acl_regex_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct slice text;
	(void)item;
	(void)value;
	if (run->point == ACL_POINT_MIME ? !acl_mime_raw(run, &text) : !acl_content_text(run, &text))
		return run->point == ACL_POINT_MIME ? acl_broken(run, "regex: no MIME part is being checked") : ACL_LATER;
	return run_regex(run, true, text);
}

enum acl_step acl_mime_regex_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct slice text;
	(void)item;
	(void)value;
	if (!acl_mime_decoded(run, &text))
		return acl_broken(run, "mime_regex: no MIME part is being checked");
	return run_regex(run, false, text);
}

/* ---- Variables ---- */

bool acl_content_variable(const struct acl_session *session, enum expand_variable variable, struct expand_value *value_r)
{
	static const struct acl_content none = { .malware_name = { NULL, 0 } };
	const struct acl_content *content = session->content_found ? session->content_found : &none;
	*value_r = (struct expand_value){ .tainted = true };
	if (variable >= EXPAND_REGEX1 && variable <= EXPAND_REGEX9) {
		value_r->text = content->captures[variable - EXPAND_REGEX1];
		return true;
	}
	switch (variable) {
	case EXPAND_REGEX_MATCH_STRING: *value_r = acl_text(content->regex); return true;
	case EXPAND_MALWARE_NAME: value_r->text = content->malware_name; return true;
	case EXPAND_SPAM_SCORE: *value_r = acl_text(content->spam.score); return true;
	case EXPAND_SPAM_SCORE_INT: *value_r = acl_text(content->spam.score_int); return true;
	case EXPAND_SPAM_BAR: *value_r = acl_text(content->spam.bar); return true;
	case EXPAND_SPAM_REPORT: value_r->text = content->spam.report; return true;
	case EXPAND_SPAM_ACTION: value_r->text = content->spam.action; return true;
	default: return acl_mime_variable(session, variable, value_r);
	}
}
