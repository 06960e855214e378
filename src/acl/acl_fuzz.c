/* SPDX-License-Identifier: ISC */
/*
 * Any text as an ACL that may call itself, and as the value of an option: compiled, checked against each point, and run. What the
 * conditions ask for comes from the same bytes. A run must end, with a code that fits its outcome.
 */
#include "acl/acl.h"

#include "base/fatal.h"
#include "base/id.h"
#include "limit/ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct expand_value piece(void *owner, enum expand_variable variable)
{
	struct slice *source = owner;
	return (struct expand_value){ slice_first(slice_from(*source, (size_t)variable), 100), variable % 2 == 0 };
}

static bool list_compile_any(const struct expand_language *language, struct arena *arena, enum expand_list kind, struct slice text,
			     enum expand_place place, const struct list **list_r, struct error *error)
{
	const struct expand_program *program;
	(void)kind;
	if (!expand_compile(arena, text, place, language, &program, error, NULL))
		return false;
	*list_r = (const struct list *)(const void *)program;
	return true;
}

/* The list's first byte says how it matches. */
static enum expand_result list_match_any(const struct list *list, const struct expand_context *context, struct expand_value subject,
					 bool caseless, struct arena *arena, bool *yes_r, struct expand_list_found *found_r,
					 struct error *error)
{
	struct expand_value text;
	(void)caseless;
	(void)subject;
	enum expand_result result = expand_run((const void *)list, context, arena, &text, error);
	if (result != EXPAND_OK)
		return result;
	char first = text.text.len ? text.text.data[0] : 0;
	if (first == 'd')
		error_set(error, ERROR_TEMPORARY, "later");
	*yes_r = first == '*';
	found_r->data = text;
	return first == 'd' ? EXPAND_DEFER : EXPAND_OK;
}

static void take_queue(void *owner, struct slice name)
{
	(void)owner;
	ensure(name.len == 0 || queue_name_valid(name));
}

static bool take_header(void *owner, enum acl_header_place place, struct slice line, struct error *error)
{
	(void)owner;
	(void)place;
	(void)error;
	ensure(line.len && slice_find(line, ':') < line.len && slice_find(line, '\0') == line.len && slice_find(line, '\r') == line.len);
	for (size_t i = 0; i + 1 < line.len; i++)
		ensure(line.data[i] != '\n' || line.data[i + 1] == ' ' || line.data[i + 1] == '\t');
	return true;
}

/* Rates are measured for real; there is nothing else to ask. */
static enum expand_result answer(void *owner, const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
				 struct error *error)
{
	static struct limit_table *limits;
	(void)owner;
	if (!limits)
		limits = limit_table_new(64, NULL);
	if (limit_is_asked(request))
		return limit_answer(limits, request, clock_wall_now(), arena, answer_r, error);
	error_set(error, ERROR_TEMPORARY, "nobody answers");
	return EXPAND_DEFER;
}

static void ignore_error(void *owner, const struct acl_line *line, size_t column, const struct error *error)
{
	(void)owner;
	ensure(column <= line->text.len + 1 && error->text[0]);
}

static void run_at(const struct acl_reference *reference, struct acl_session *session, enum acl_point point, struct arena *arena)
{
	struct acl_result result;
	acl_run(reference, session, point, arena, &result);
	ensure(result.outcome != ACL_DISCARD || acl_point_info(point)->discards);
	struct acl_answer answer = acl_reply(session, point, &result, arena);
	ensure(answer.code < 600 && (answer.code >= 200 || answer.code == 0));
	if (result.outcome == ACL_DEFER || result.outcome == ACL_ERROR)
		ensure(answer.code / 100 == 4 || point == ACL_POINT_VRFY);
	struct slice log = acl_log_text(&result, &answer, arena);
	ensure(slice_find(log, '\n') == log.len);
}

static void compile_section(struct acl_set *set, struct slice text, const struct acl_report *report)
{
	struct acl_line lines[100];
	struct acl *acl = acl_set_add(set, SLICE("a"));
	size_t count = 0;
	while (text.len && count < sizeof lines / sizeof *lines)
		lines[count++] = (struct acl_line){ slice_cut(&text, '\n'), 0 };
	acl_compile(set, acl, lines, count, report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct slice source = slice_make(data, size > 4000 ? 4000 : size);
	struct expand_language language = { .list_compile = list_compile_any, .list_match = list_match_any };
	struct expand_context context = { .variable = piece, .ask = answer, .owner = &source, .language = &language, .max_output = 4096 };
	struct acl_variables connection = { 0 }, message = { 0 };
	struct acl_report report = { .error = ignore_error };
	const struct acl_reference *named, *inline_text;
	arena_init(&arena, 0);
	struct acl_set *set = acl_set_new(&arena, &language);
	struct acl_session session = {
		.owner = &source, .context = &context, .set = set, .connection = &connection, .message = &message,
		.add_header = take_header, .queue = take_queue,
		.facts = { .host_address = SLICE("192.0.2.1"), .has_recipient = true, .recipient = source, .local_part = source },
	};
	compile_section(set, source, &report);
	ensure(acl_reference_compile(set, SLICE("a"), 0, &report, &named));
	for (enum acl_point point = 0; point < ACL_POINTS; point++) {
		acl_reference_check(named, point, &report);
		run_at(named, &session, point, &arena);
	}
	if (acl_reference_compile(set, source, 0, &report, &inline_text))
		run_at(inline_text, &session, ACL_POINT_RCPT, &arena);
	acl_session_free(&session);
	acl_variables_clear(&connection);
	acl_variables_clear(&message);
	arena_free(&arena);
	return 0;
}
