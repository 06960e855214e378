/* SPDX-License-Identifier: ISC */
/* What expansions within an ACL see: the session's variables, the arguments of the ACL, what lists gave, and ${acl...}. */
#include "acl/private.h"

#include "acl/rates.h"

_Static_assert(EXPAND_ACL_ARG9 - EXPAND_ACL_ARG1 + 1 == ACL_ARGUMENTS_MAX, "the arguments are variables in a row");

/* What belongs to the ACL that runs. */
static bool call_variable(struct acl_run *run, enum expand_variable variable, struct expand_value *value_r)
{
	if (variable >= EXPAND_ACL_ARG1 && variable <= EXPAND_ACL_ARG9)
		*value_r = run->arguments[variable - EXPAND_ACL_ARG1];
	else if (variable == EXPAND_ACL_NARG)
		*value_r = acl_text(arena_printf(run->arena, "%zu", run->argument_count));
	else if (variable == EXPAND_ACL_VERIFY_MESSAGE)
		*value_r = run->verify_message;
	else
		return acl_session_rate(run->session, variable, value_r);
	return true;
}

/* The address being checked, and what lists gave. */
static bool address_variable(struct acl_run *run, enum expand_variable variable, struct expand_value *value_r)
{
	const struct acl_session *session = run->session;
	bool known = session->facts.has_recipient; /* otherwise the facts have no address */
	switch (variable) {
	case EXPAND_LOCAL_PART:
		if (!known)
			return false;
		*value_r = (struct expand_value){ session->facts.local_part, true };
		if (!session->caseful_local_part)
			value_r->text = arena_copy_lower(run->arena, value_r->text);
		return true;
	case EXPAND_DOMAIN: *value_r = (struct expand_value){ session->facts.domain, true }; return known;
	case EXPAND_DOMAIN_DATA: *value_r = session->data.domain; return known;
	case EXPAND_LOCAL_PART_DATA: *value_r = session->data.local_part; return known;
	case EXPAND_HOST_DATA: *value_r = session->data.host; return true;
	case EXPAND_SENDER_DATA: *value_r = session->data.sender; return true;
	case EXPAND_RECIPIENT_DATA: *value_r = session->data.recipient; return true;
	default: return false;
	}
}

static struct expand_value run_variable(void *owner, enum expand_variable variable)
{
	struct acl_run *run = owner;
	struct expand_value value;
	if (call_variable(run, variable, &value) || address_variable(run, variable, &value) ||
	    acl_session_variable(run->session, variable, &value))
		return value;
	return run->session->context->variable(run->session->context->owner, variable);
}

static bool run_named(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r)
{
	struct acl_run *run = owner;
	const struct expand_context *outer = run->session->context;
	if (family == EXPAND_ACL_C || family == EXPAND_ACL_M)
		return acl_session_named(run->session, family, name, value_r);
	return outer->named && outer->named(outer->owner, family, name, value_r);
}

static struct slice run_headers(void *owner)
{
	struct acl_run *run = owner;
	return run->session->context->headers(run->session->context->owner);
}

static enum expand_result run_ask(void *owner, const struct expand_request *request, struct arena *arena,
				  struct expand_answer *answer_r, struct error *error)
{
	struct acl_run *run = owner;
	return run->session->context->ask(run->session->context->owner, request, arena, answer_r, error);
}

static enum expand_result call_acl(struct acl_run *run, struct expand_value name, const struct expand_value *arguments, size_t count,
				   struct expand_value *text_r, struct error *error)
{
	enum acl_step step = acl_run_nested(run, NULL, name, arguments, count < ACL_ARGUMENTS_MAX ? count : ACL_ARGUMENTS_MAX);
	struct slice why = run->log_message.text;
	*text_r = run->message.text.data ? run->message : acl_text(SLICE(""));
	if (step == ACL_YES || step == ACL_NO)
		return step == ACL_YES ? EXPAND_OK : EXPAND_FORCED_FAIL;
	error_set(error, step == ACL_LATER ? ERROR_TEMPORARY : ERROR_PERMANENT, "%s from ACL \"%.*s\"%s%.*s", acl_step_text(step),
		  SLICE_ARG(name.text), why.len ? ": " : "", SLICE_ARG(slice_first(why, 300)));
	return step == ACL_LATER ? EXPAND_DEFER : EXPAND_FAIL;
}

/* ${acl...} within an ACL: its messages are not those of the statement that it stands in. */
static enum expand_result run_call(void *owner, struct expand_value name, const struct expand_value *arguments, size_t count,
				   struct arena *arena, struct expand_value *text_r, struct error *error)
{
	struct acl_run *run = owner;
	struct acl_run *caller = arena_new(arena, struct acl_run);
	acl_run_prepare(caller, run->session, run);
	caller->depth = run->depth;
	caller->arena = arena;
	return call_acl(caller, name, arguments, count, text_r, error);
}

void acl_run_prepare(struct acl_run *run, struct acl_session *session, const struct acl_run *outer)
{
	*run = (struct acl_run){ .session = session, .context = *session->context };
	run->context.owner = run;
	run->context.variable = run_variable;
	run->context.named = run_named;
	run->context.headers = session->context->headers ? run_headers : NULL;
	run->context.ask = session->context->ask ? run_ask : NULL;
	run->context.acl = run_call;
	run->context.language = session->set->language;
	if (!outer)
		return;
	run->point = outer->point;
	run->depth = outer->depth + 1;
	run->arena = outer->arena;
	run->shared = outer->shared;
	run->context.memory = &outer->shared->memory;
}

/* What routing needs of the stack between an ACL that verifies and one that a router's option runs, in levels of ACLs. */
enum { ROUTING_DEPTH = 3 };

enum expand_result acl_expand(struct acl_session *session, struct expand_value name, const struct expand_value *arguments, size_t count,
			      struct arena *arena, struct expand_value *text_r, struct error *error)
{
	struct acl_run *run = arena_new(arena, struct acl_run);
	struct acl_shared shared = { 0 };
	struct acl_data outer = session->data;
	acl_run_prepare(run, session, NULL);
	run->point = ACL_POINT_EXPANSION;
	run->depth = session->depth ? session->depth + ROUTING_DEPTH : 0;
	run->arena = arena;
	run->shared = &shared;
	run->context.memory = &shared.memory;
	session->data = (struct acl_data){ 0 };
	enum expand_result result = call_acl(run, name, arguments, count, text_r, error);
	session->data = outer;
	return result;
}

bool acl_session_variable(const struct acl_session *session, enum expand_variable variable, struct expand_value *value_r)
{
	if (variable == EXPAND_SENDER_VERIFY_FAILURE)
		*value_r = acl_text(session->sender_failure ? slice_of(session->sender_failure) : SLICE(""));
	else if (variable == EXPAND_RECIPIENT_VERIFY_FAILURE)
		*value_r = acl_text(session->recipient_failure ? slice_of(session->recipient_failure) : SLICE(""));
	else
		return acl_dnslists_variable(session, variable, value_r) || acl_content_variable(session, variable, value_r);
	return true;
}

bool acl_session_named(const struct acl_session *session, enum expand_family family, struct slice name,
		       struct expand_value *value_r)
{
	const struct acl_variables *store = family == EXPAND_ACL_C ? session->connection : session->message;
	if ((family != EXPAND_ACL_C && family != EXPAND_ACL_M) || !store)
		return false;
	return acl_variables_get(store, name, value_r);
}

void acl_session_free(struct acl_session *session)
{
	acl_rates_forget(session, ACL_SCOPE_CONNECTION);
	acl_dnslists_free(session);
	acl_content_free(session);
}

void acl_session_new_recipient(struct acl_session *session)
{
	struct acl_facts *facts = &session->facts;
	session->caseful_local_part = false;
	facts->has_recipient = false;
	/* They may lie in the memory of the command. */
	facts->recipient = facts->local_part = facts->domain = (struct slice){ 0 };
	session->recipient_failure = NULL;
}

void acl_session_new_message(struct acl_session *session)
{
	acl_session_new_recipient(session);
	acl_rates_forget(session, ACL_SCOPE_MESSAGE);
	session->rate_texts = (struct acl_rate_texts){ 0 };
	acl_dnslists_forget(session);
	acl_content_free(session);
	session->warned_count = 0;
	session->sender_failure_told = false;
	session->sender_failure = NULL;
	session->facts.has_sender = false;
	session->facts.sender = session->facts.sender_domain = (struct slice){ 0 };
	if (session->message)
		acl_variables_clear(session->message);
}
