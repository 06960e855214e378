/* SPDX-License-Identifier: ISC */
/* Running an ACL: statements in order, and within each its conditions and modifiers (Exim's manual, chapter 44 §18 to §20). */
#include "acl/private.h"

#include "acl/rates.h"
#include "base/crc32c.h"

#include <string.h>

enum { TRACE_TEXT_MAX = 300 };

struct expand_value acl_text(struct slice text)
{
	return (struct expand_value){ .text = text };
}

void acl_trace(const struct acl_run *run, const char *format, ...)
{
	va_list args;
	if (!run->session->trace)
		return;
	va_start(args, format);
	run->session->trace(run->session->owner, run->depth, arena_vprintf(run->arena, format, args));
	va_end(args);
}

__attribute__((format(printf, 2, 0)))
static void explain(struct acl_run *run, const char *format, va_list args)
{
	run->message = (struct expand_value){ 0 };
	run->log_message = (struct expand_value){ .text = arena_vprintf(run->arena, format, args), .tainted = true };
}

enum acl_step acl_broken(struct acl_run *run, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	explain(run, format, args);
	va_end(args);
	return ACL_BROKEN;
}

enum acl_step acl_later(struct acl_run *run, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	explain(run, format, args);
	va_end(args);
	return ACL_LATER;
}

void acl_log(const struct acl_run *run, unsigned targets, const char *format, ...)
{
	struct acl_session *session = run->session;
	va_list args;
	if (!session->log)
		return;
	va_start(args, format);
	session->log(session->owner, targets, arena_vprintf(run->arena, format, args));
	va_end(args);
}

/* ---- One condition or modifier ---- */

static enum acl_step not_expanded(struct acl_run *run, const struct acl_item *item, enum expand_result result, const struct error *error)
{
	if (result == EXPAND_FORCED_FAIL)
		return ACL_YES; /* as if the item were not there, whether negated or not */
	enum acl_step (*step)(struct acl_run *, const char *, ...) = result == EXPAND_DEFER ? acl_later : acl_broken;
	return step(run, "failed to expand ACL string \"%.*s\": %s", SLICE_ARG(item->source), error->text);
}

/* To run->text, and *value_r as a whole. */
static enum expand_result expand_text(struct acl_run *run, const struct expand_program *program, struct expand_value *value_r, struct error *error)
{
	const struct expand_piece *pieces;
	size_t count;
	enum expand_result result = expand_run_pieces(program, &run->context, run->arena, &pieces, &count, error);
	if (result != EXPAND_OK)
		return result;
	run->text = piece_text_join(pieces, count, run->arena);
	*value_r = (struct expand_value){ piece_text_rest(&run->text), piece_text_any_bound(&run->text) };
	return EXPAND_OK;
}

/* False: the step is decided without running the word. */
static bool expand_item(struct acl_run *run, const struct acl_item *item, struct expand_value *value_r, enum acl_step *step_r)
{
	const struct expand_program *program = item->call ? item->call->name : item->program;
	struct error error = { 0 };
	enum expand_result result = EXPAND_OK;
	if (!program)
		return true;
	if (item->word->value == ACL_VALUE_PIECES)
		result = expand_text(run, program, value_r, &error);
	else
		result = expand_run(program, &run->context, run->arena, value_r, &error);
	if (result != EXPAND_OK)
		*step_r = not_expanded(run, item, result, &error);
	return result == EXPAND_OK;
}

static enum acl_step negate(enum acl_step step)
{
	if (step == ACL_YES)
		return ACL_NO;
	return step == ACL_NO || step == ACL_DROPPED ? ACL_YES : step;
}

const char *acl_step_text(enum acl_step step)
{
	static const char *const texts[] = {
		[ACL_YES] = "yes", [ACL_NO] = "no", [ACL_LATER] = "deferred", [ACL_DISCARDED] = "discard", [ACL_DROPPED] = "drop",
		[ACL_BROKEN] = "error",
	};
	return texts[step];
}

static void trace_item(const struct acl_run *run, const struct acl_item *item)
{
	const char *family = !item->variable.len ? "" : item->family == EXPAND_ACL_C ? " acl_c" : " acl_m";
	acl_trace(run, "check %s%s%s%.*s%s%.*s", item->negated ? "!" : "", item->word->name, family, SLICE_ARG(item->variable),
		  item->source.len ? " = " : "", SLICE_ARG(slice_first(item->source, TRACE_TEXT_MAX)));
}

static enum acl_step run_item(struct acl_run *run, const struct acl_item *item)
{
	const struct acl_word *word = item->word;
	struct expand_value value = { 0 };
	enum acl_step step;
	trace_item(run, item);
	if (run->shared->steps++ == ACL_STEPS_MAX)
		return acl_broken(run, "the ACL takes more than %d steps: possible loop", ACL_STEPS_MAX);
	if (!expand_item(run, item, &value, &step))
		return step;
	if (!(word->points >> run->point & 1))
		return acl_broken(run, "cannot %s %s condition in %s ACL", word->modifier ? "use" : "test", word->name,
				  acl_point_info(run->point)->name);
	if (item->program && !item->list && !slice_equal(value.text, item->source))
		acl_trace(run, "%*s = %.*s", (int)strlen(word->name) + 5, "", SLICE_ARG(slice_first(value.text, TRACE_TEXT_MAX)));
	step = word->run(run, item, value);
	return item->negated ? negate(step) : step;
}

/* ---- Messages ---- */

static void expand_message(struct acl_run *run, const struct acl_item *item, struct expand_value before, struct expand_value *value_r)
{
	struct error error = { 0 };
	*value_r = (struct expand_value){ 0 };
	if (!item)
		return;
	run->verify_message = before;
	enum expand_result result = acl_is_message(item->word) ?
					    expand_text(run, item->program, value_r, &error) :
					    expand_run(item->program, &run->context, run->arena, value_r, &error);
	run->verify_message = (struct expand_value){ 0 };
	if (result == EXPAND_OK && value_r->text.len)
		return;
	*value_r = (struct expand_value){ 0 };
	if (result != EXPAND_OK && result != EXPAND_FORCED_FAIL)
		acl_log(run, ACL_LOG_MAIN | ACL_LOG_PANIC, "failed to expand ACL message \"%.*s\": %s", SLICE_ARG(item->source), error.text);
}

/* With which outcome of its conditions a verb looks at its messages. */
static bool uses_messages(enum acl_verb verb, enum acl_step step)
{
	bool no = step == ACL_NO || step == ACL_DROPPED;
	switch (verb) {
	case ACL_VERB_ACCEPT:
	case ACL_VERB_DISCARD: return step == ACL_YES || no;
	case ACL_VERB_REQUIRE: return no;
	default: return step == ACL_YES;
	}
}

static void settle_messages(struct acl_run *run, enum acl_step step, bool endpass, const struct acl_item *message,
			    const struct acl_item *log_message)
{
	struct expand_value old = run->message, old_log = run->log_message.text.data ? run->log_message : run->message, text;
	if (!uses_messages(run->verb, step))
		return;
	/* Behind endpass a message is one for refusals. */
	if (endpass && step == ACL_YES)
		message = NULL;
	/* What conditions left is for refusals only. */
	bool accepts = run->verb == ACL_VERB_ACCEPT || run->verb == ACL_VERB_DISCARD;
	if (run->verb == ACL_VERB_WARN || (accepts && step == ACL_YES))
		run->message = run->log_message = (struct expand_value){ 0 };
	expand_message(run, message, old, &text);
	if (text.text.data)
		run->message = text;
	expand_message(run, log_message, old_log, &text);
	if (text.text.data && run->log_message.text.data) {
		text.text = arena_printf(run->arena, "%.*s: %.*s", SLICE_ARG(text.text), SLICE_ARG(run->log_message.text));
		text.tainted |= run->log_message.tainted;
	}
	if (text.text.data)
		run->log_message = text;
	else if (!run->log_message.text.data)
		run->log_message = run->message;
}

/* ---- Statements ---- */

static enum acl_step run_items(struct acl_run *run, const struct acl_statement *statement, bool *endpass_r)
{
	const struct acl_item *message = NULL, *log_message = NULL;
	enum acl_step step = ACL_YES;
	*endpass_r = false;
	for (const struct acl_item *item = statement->first; item && step == ACL_YES; item = item->next) {
		if (acl_is_message(item->word))
			message = item;
		else if (acl_is_log_message(item->word))
			log_message = item;
		else if (acl_is_endpass(item->word))
			*endpass_r = true;
		else
			step = run_item(run, item);
	}
	settle_messages(run, step, *endpass_r, message, log_message);
	return step;
}

/* The same text is logged once a message. */
static bool warned_before(struct acl_session *session, struct slice text)
{
	uint64_t mark = (uint64_t)crc32c(0, text.data, text.len) << 32 | (uint32_t)text.len;
	for (size_t i = 0; i < session->warned_count; i++)
		if (session->warned[i] == mark)
			return true;
	if (session->warned_count < ACL_WARNINGS_MAX)
		session->warned[session->warned_count++] = mark;
	return false;
}

/* A warn statement whose conditions hold. Its message is a header line, where there is a message. */
static void warn(struct acl_run *run)
{
	struct expand_value message = run->message, text = run->log_message;
	bool own_text = text.text.data && text.text.data != message.text.data;
	if (own_text && !warned_before(run->session, text.text))
		acl_log(run, ACL_LOG_MAIN | ACL_LOG_CLIENT, "Warning: %.*s", SLICE_ARG(text.text));
	if (message.text.data && run->session->add_header && acl_word_find(SLICE("add_header"))->points >> run->point & 1)
		acl_add_header_run(run, NULL, message); /* run->text is still the message's */
}

static void forget_messages(struct acl_run *run)
{
	run->message = run->log_message = (struct expand_value){ 0 };
}

static enum acl_step bad_quit(struct acl_run *run)
{
	return acl_broken(run, "QUIT or not-QUIT toplevel ACL may not fail ('%s' verb used incorrectly)", acl_verb_text(run->verb));
}

enum flow { FLOW_NEXT, FLOW_END };

/* What the verb makes of what its conditions came to: FLOW_END with the ACL's outcome in *step. */
static enum flow decide(struct acl_run *run, bool endpass, enum acl_step *step)
{
	bool yes = *step == ACL_YES;
	switch (run->verb) {
	case ACL_VERB_ACCEPT:
		return yes || *step == ACL_DISCARDED || endpass ? FLOW_END : FLOW_NEXT;
	case ACL_VERB_DISCARD:
		if (yes)
			*step = ACL_DISCARDED;
		return *step == ACL_DISCARDED || endpass ? FLOW_END : FLOW_NEXT;
	case ACL_VERB_DEFER:
		*step = ACL_LATER;
		run->shared->details |= yes;
		return yes ? FLOW_END : FLOW_NEXT;
	case ACL_VERB_DENY: *step = ACL_NO; return yes ? FLOW_END : FLOW_NEXT;
	case ACL_VERB_DROP: *step = ACL_DROPPED; return yes ? FLOW_END : FLOW_NEXT;
	case ACL_VERB_REQUIRE: return yes ? FLOW_NEXT : FLOW_END;
	case ACL_VERB_WARN:
		if (yes)
			warn(run);
		else if (*step == ACL_LATER)
			acl_log(run, ACL_LOG_MAIN | ACL_LOG_CLIENT, "Warning: ACL \"warn\" statement skipped: condition test deferred: %.*s",
				 SLICE_ARG(run->log_message.text));
		forget_messages(run);
		return FLOW_NEXT;
	case ACL_VERBS: break;
	}
	return FLOW_END;
}

static void trace_statement(const struct acl_run *run, const struct acl_statement *statement)
{
	const struct acl_session *session = run->session;
	struct slice where = { 0 };
	if (session->trace && session->where && statement->line.place != ACL_NO_PLACE)
		where = session->where(session->owner, statement->line.place, run->arena);
	acl_trace(run, "processing \"%s\"%s%.*s%s", acl_verb_text(statement->verb), where.len ? " (" : "", SLICE_ARG(where),
	      where.len ? ")" : "");
}

static const char *end_text(enum acl_step step)
{
	static const char *const texts[] = {
		[ACL_YES] = "ACCEPT", [ACL_NO] = "DENY", [ACL_LATER] = "DEFER", [ACL_DISCARDED] = "DISCARD", [ACL_DROPPED] = "DROP",
		[ACL_BROKEN] = "ERROR",
	};
	return texts[step];
}

static const char *outcome_text(enum acl_step step)
{
	return step == ACL_LATER ? "deferred" : step == ACL_BROKEN ? "could not be done" : step == ACL_NO || step == ACL_DROPPED ? "failed" : "succeeded";
}

static enum acl_step run_statements(struct acl_run *run, const struct acl *acl)
{
	bool endpass, quit = run->depth == 0 && acl_point_info(run->point)->accept_only;
	run->name = acl->name;
	const char *what = acl->name.len ? "ACL" : "inline ACL";
	acl_trace(run, "using %s \"%.*s\"", what, SLICE_ARG(acl->name));
	for (const struct acl_statement *statement = acl->first; statement; statement = statement->next) {
		forget_messages(run);
		run->verb = statement->verb;
		trace_statement(run, statement);
		enum acl_step step = run_items(run, statement, &endpass);
		acl_trace(run, "%s: condition test %s in %s \"%.*s\"", acl_verb_text(run->verb), outcome_text(step), what, SLICE_ARG(acl->name));
		if (step == ACL_BROKEN || (step == ACL_LATER && run->verb != ACL_VERB_WARN))
			return step;
		if (decide(run, endpass, &step) == FLOW_NEXT)
			continue;
		if (quit && step != ACL_YES)
			step = bad_quit(run);
		acl_trace(run, "end of %s \"%.*s\": %s", what, SLICE_ARG(acl->name), end_text(step));
		return step;
	}
	acl_trace(run, "end of %s \"%.*s\": implicit DENY", what, SLICE_ARG(acl->name));
	return ACL_NO;
}

static enum acl_step run_acl(struct acl_run *run, const struct acl *acl)
{
	struct acl_session *session = run->session;
	unsigned outer = session->depth;
	session->depth = run->depth + 1;
	enum acl_step step = run_statements(run, acl);
	session->depth = outer;
	return step;
}

/* ---- Finding what to run ---- */

static enum acl_step read_acl(struct acl_run *run, struct slice path, struct slice *text_r)
{
	struct expand_request request = { .service = EXPAND_SERVICE_READ_FILE, .deadline = clock_after(30 * CLOCK_SECOND) };
	struct expand_answer answer = { 0 };
	struct clean_path clean;
	struct error error = { 0 };
	if (!expand_to_path(acl_text(path), run->arena, &clean, &error))
		return acl_broken(run, "ACL file: %s", error.text);
	if (!run->session->context->ask)
		return acl_broken(run, "the ACL file \"%.*s\" cannot be read here", SLICE_ARG(path));
	request.file = clean.text;
	if (run->context.ask(run->context.owner, &request, run->arena, &answer, &error) != EXPAND_OK)
		return acl_broken(run, "%s", error.text);
	*text_r = answer.text;
	return ACL_YES;
}

/*
 * By the rules of chapter 44 §12: a file, a name, or the text itself. What a peer had a hand in is a name and nothing else: what that
 * finds is the configuration's own text.
 */
static enum acl_step find_acl(struct acl_run *run, struct expand_value what, const struct acl **acl_r)
{
	struct error error;
	struct slice text = slice_trim(what.text);
	bool file = text.len && text.data[0] == '/';
	*acl_r = file ? NULL : acl_set_find(run->session->set, text);
	if (*acl_r)
		return ACL_YES;
	if (what.tainted) {
		acl_log(run, ACL_LOG_MAIN | ACL_LOG_PANIC, "attempt to use tainted ACL text \"%.*s\"", SLICE_ARG(slice_first(text, 200)));
		return acl_broken(run, "internal configuration error");
	}
	enum acl_step step = file ? read_acl(run, text, &text) : ACL_YES;
	if (step != ACL_YES)
		return step;
	struct acl *acl = arena_new(run->arena, struct acl);
	if (!acl_compile_text(run->arena, run->session->set, text, 0, acl, &error))
		return acl_broken(run, "%s", error.text);
	*acl_r = acl;
	return ACL_YES;
}

enum acl_step acl_run_nested(struct acl_run *run, const struct acl *acl, struct expand_value what, const struct expand_value *arguments,
			     size_t count)
{
	struct acl_run *inner = arena_new(run->arena, struct acl_run);
	enum acl_step step = ACL_YES;
	if (run->depth + 1 > ACL_DEPTH_MAX)
		return acl_broken(run, "ACL nested too deep: possible loop");
	acl_run_prepare(inner, run->session, run);
	for (size_t i = 0; i < count; i++)
		inner->arguments[i] = arguments[i];
	inner->argument_count = count;
	if (!acl)
		step = find_acl(inner, what, &acl);
	if (step == ACL_YES)
		step = run_acl(inner, acl);
	run->message = inner->message;
	run->log_message = inner->log_message;
	return step;
}

/* ---- The top ---- */

static enum acl_step run_reference(struct acl_run *run, const struct acl_reference *reference)
{
	const struct acl *acl = reference->acl;
	struct expand_value text;
	struct error error;
	if (acl)
		return run_acl(run, acl);
	switch (expand_run(reference->program, &run->context, run->arena, &text, &error)) {
	case EXPAND_OK: break;
	case EXPAND_FORCED_FAIL: run->shared->none = true; return ACL_YES;
	default: return acl_broken(run, "failed to expand ACL string \"%.*s\": %s", SLICE_ARG(reference->line.text), error.text);
	}
	enum acl_step step = find_acl(run, text, &acl);
	return step == ACL_YES ? run_acl(run, acl) : step;
}

static const enum acl_outcome outcomes[] = {
	[ACL_YES] = ACL_ACCEPT, [ACL_NO] = ACL_DENY, [ACL_LATER] = ACL_DEFER, [ACL_DISCARDED] = ACL_DISCARD, [ACL_DROPPED] = ACL_DROP,
	[ACL_BROKEN] = ACL_ERROR,
};

enum acl_outcome acl_run(const struct acl_reference *reference, struct acl_session *session, enum acl_point point,
			 struct arena *arena, struct acl_result *result_r)
{
	struct acl_run *run = arena_new(arena, struct acl_run);
	struct acl_shared shared = { .log_targets = ACL_LOG_MAIN | ACL_LOG_REJECT };
	struct acl_data outer = session->data;
	acl_run_prepare(run, session, NULL);
	run->point = point;
	run->arena = arena;
	run->shared = &shared;
	run->context.memory = &shared.memory;
	session->data = (struct acl_data){ 0 };
	/* These follow the ACL of DATA in the same command. */
	if (!((AT(DATA) | AT(PRDR) | AT(MIME) | AT(DKIM)) >> point & 1))
		acl_rates_forget(session, ACL_SCOPE_COMMAND);
	enum acl_step step = run_reference(run, reference);
	/* There is nothing to discard: the configuration is wrong, and the sender must not lose mail for it. */
	if (step == ACL_DISCARDED && !acl_point_info(point)->discards)
		step = acl_broken(run, "\"discard\" verb not allowed in %s ACL", acl_point_info(point)->name);
	session->data = outer;
	*result_r = (struct acl_result){
		.outcome = outcomes[step], .message = run->message.text, .log_message = run->log_message.text,
		.log_targets = shared.log_targets, .details = shared.details, .tainted = run->message.tainted, .none = shared.none,
	};
	if (step == ACL_NO || step == ACL_DROPPED) {
		result_r->sender_failure = shared.sender_failure;
		session->sender_failure_told |= shared.sender_failure.address.len > 0;
	}
	return result_r->outcome;
}
