/* SPDX-License-Identifier: ISC */
/*
 * The ACLs of a session: what their conditions are told, what their modifiers do, and how a refusal is answered and logged (the
 * forms of the log are Exim's).
 */
#include "base/fatal.h"
#include "net/dscp.h"
#include "role/session.h"

#include <errno.h>
#include <string.h>

/* ---- What the ACLs do to the session ---- */

static void policy_log(void *owner, unsigned targets, struct slice text)
{
	struct session *session = owner;
	struct log *log = &session->front->role->log;
	char peer[SESSION_PEER_MAX] = "";
	if (targets & ACL_LOG_CLIENT)
		session_peer(session, peer);
	const char *space = *peer ? " " : "", *id = session_log_id(session), *id_space = *id ? " " : "";
	/* The panic log's lines go to the main log as well. */
	if (targets & ACL_LOG_PANIC)
		log_line(log, LOG_KIND_PANIC, "%s%s%s%s%.*s", id, id_space, peer, space, SLICE_ARG(text));
	else if (targets & ACL_LOG_MAIN)
		log_line(log, LOG_KIND_MAIN, "%s%s%s%s%.*s", id, id_space, peer, space, SLICE_ARG(text));
	if (targets & ACL_LOG_REJECT)
		log_line(log, LOG_KIND_REJECT, "%s%s%s%s%.*s", id, id_space, peer, space, SLICE_ARG(text));
}

static void policy_delay(void *owner, int64_t time, bool flush)
{
	session_delay(owner, time, flush);
}

static void set_fake(struct session *session, unsigned code, struct slice text, const char *standard)
{
	struct incoming_message *message = &session->message;
	message->fake_code = code;
	message->fake_text = text.len ? arena_copy(&message->arena, text) : slice_of(standard);
}

/* *hold: of the envelope, which goes to the queue with the first part; where ACLs of the configuration may want this later, with the last. */
static bool hold_message(struct session *session, struct slice options, bool *hold, struct error *error)
{
	static const char *const known[] = { "no_tell", "first_pass_route" };
	while (options.len) {
		struct slice option = slice_cut(&options, '/');
		if (!slice_equal(option, slice_of(known[0])) && !slice_equal(option, slice_of(known[1])))
			return error_set(error, ERROR_USAGE, "there is no option \"%.*s\"", SLICE_ARG(slice_first(option, 64)));
	}
	if (session->message.transaction && !session->message.undecided)
		return error_set(error, ERROR_PERMANENT, "the message is larger than 256K, and was not held for an ACL that no option names");
	*hold = true;
	return true;
}

static void policy_queue(void *owner, struct slice name)
{
	session_set_queue(owner, name);
}

static bool set_dscp(struct session *session, struct slice options, struct error *error)
{
	unsigned value;
	if (!net_dscp_parse(slice_trim(options), &value))
		return error_set(error, ERROR_USAGE, "\"%.*s\" is not a class of packets", SLICE_ARG(slice_first(options, 64)));
	if (!net_dscp_set(session->stream.fd, session->host.family, value))
		session_log(session, LOG_KIND_MAIN, "the class of packets cannot be set: %s", strerror(errno));
	return true;
}

static void policy_submission(void *owner, const struct acl_submission *submission)
{
	session_start_submission(owner, submission);
}

static bool policy_control(void *owner, enum acl_control control, struct slice options, struct error *error)
{
	struct session *session = owner;
	switch (control) {
	case ACL_CONTROL_ENFORCE_SYNC: session->settings.enforce_sync = true; return true;
	case ACL_CONTROL_NO_ENFORCE_SYNC: session->settings.enforce_sync = false; return true;
	case ACL_CONTROL_NO_PIPELINING:
		smtp_server_set_options(&session->smtp, session->smtp.options & ~(unsigned)SMTP_OFFER_PIPELINING);
		return true;
	case ACL_CONTROL_ALLOW_AUTH_UNADVERTISED:
		smtp_server_set_options(&session->smtp, session->smtp.options | SMTP_AUTH_UNADVERTISED);
		return true;
	case ACL_CONTROL_FAKEREJECT:
		set_fake(session, 550, options,
			 "Your message has been rejected but is being\nkept for evaluation.\nIf it was a legitimate message, it may "
			 "still be\ndelivered to the target recipient(s).");
		return true;
	case ACL_CONTROL_FAKEDEFER:
		set_fake(session, 450, options,
			 "Your message is being deferred at this time,\nbut is being kept for evaluation.\nPlease try again later.");
		return true;
	case ACL_CONTROL_FREEZE: return hold_message(session, options, &session->message.frozen, error);
	case ACL_CONTROL_QUEUE: return hold_message(session, options, &session->message.queue_only, error);
	case ACL_CONTROL_DSCP: return set_dscp(session, options, error);
	case ACL_CONTROL_NO_MBOX_UNSPOOL: return true;
	/* There is nothing to switch off. */
	case ACL_CONTROL_DKIM_DISABLE_VERIFY:
	case ACL_CONTROL_DMARC_DISABLE_VERIFY:
	case ACL_CONTROL_NO_CALLOUT_FLUSH:
	case ACL_CONTROL_SUPPRESS_LOCAL_FIXUPS: return true;
	default: return error_set(error, ERROR_PERMANENT, "it has no effect in this session");
	}
}

static struct header_edits *edits_of(struct incoming_message *message)
{
	if (!message->edits)
		message->edits = arena_new(&message->arena, struct header_edits);
	return message->edits;
}

static bool has_room(struct header_edits *edits, size_t count, struct slice text, struct error *error)
{
	if (count == EDITED_FIELDS_MAX)
		return error_set(error, ERROR_PERMANENT, "more than %d header lines of this message", EDITED_FIELDS_MAX);
	if (text.len > EDITED_BYTES_MAX - edits->bytes)
		return error_set(error, ERROR_PERMANENT, "more than %d bytes for the header of this message", EDITED_BYTES_MAX);
	edits->bytes += text.len;
	return true;
}

static bool policy_add_header(void *owner, enum acl_header_place place, struct slice line, struct error *error)
{
	static const enum mail_edit_place places[] = {
		[ACL_HEADER_AT_END] = MAIL_EDIT_AT_END, [ACL_HEADER_AT_START] = MAIL_EDIT_AT_START,
		[ACL_HEADER_AT_START_RFC] = MAIL_EDIT_AT_START_RFC, [ACL_HEADER_AFTER_RECEIVED] = MAIL_EDIT_AFTER_RECEIVED,
	};
	struct session *session = owner;
	struct incoming_message *message = &session->message;
	struct header_edits *edits = edits_of(message);
	for (size_t i = 0; i < edits->added_count; i++)
		if (slice_equal(edits->added[i].text, line))
			return true;
	if (message->transaction) {
		session_log(session, LOG_KIND_MAIN, "header line of an ACL is not added: the message is larger than 256K");
		return true;
	}
	if (!has_room(edits, edits->added_count, line, error))
		return false;
	edits->added[edits->added_count++] = (struct mail_added_field){ places[place], arena_copy(&message->arena, line) };
	return true;
}

static bool policy_remove_header(void *owner, struct slice name, struct error *error)
{
	struct session *session = owner;
	struct incoming_message *message = &session->message;
	struct header_edits *edits = edits_of(message);
	if (message->transaction)
		return error_set(error, ERROR_PERMANENT, "the message is larger than 256K, and its header is on its way already; remove "
				 "header lines before DATA");
	if (!has_room(edits, edits->removed_count, name, error))
		return false;
	edits->removed[edits->removed_count++] = arena_copy(&message->arena, name);
	return true;
}

static struct slice policy_headers(void *owner)
{
	struct session *session = owner;
	return session->message.headers;
}

/* Only addresses that a local router would take can be verified; whether others exist is for the sending side to find out. */
static enum expand_result policy_verify(void *owner, enum acl_verify_kind kind, struct slice text, struct arena *arena, bool *yes_r,
					struct slice *message_r, struct error *error)
{
	struct session *session = owner;
	struct mail_path path;
	struct route_result route;
	struct slice bracketed = arena_printf(arena, "<%.*s>", SLICE_ARG(text));
	unsigned flags = MAIL_PATH_UTF8 | MAIL_PATH_POSTMASTER;
	*yes_r = false;
	*message_r = SLICE("Unrouteable address");
	if (!mail_path_parse(bracketed, arena, flags, &path, error)) {
		*message_r = arena_printf(arena, "%.*s: %s", SLICE_ARG(text), error->text);
		return EXPAND_OK;
	}
	switch (session_route(session, &path.address, arena, &route)) {
	case ROUTE_ACCEPTED: *yes_r = true; return EXPAND_OK;
	case ROUTE_UNROUTEABLE: return EXPAND_OK;
	case ROUTE_NOT_LOCAL:
		if (kind == ACL_VERIFY_RECIPIENT)
			return EXPAND_OK;
		*yes_r = true;
		return EXPAND_OK;
	case ROUTE_DEFERRED:
	case ROUTE_EXPANSION_FAILED: break;
	}
	*error = route.error;
	return EXPAND_DEFER;
}

static bool policy_content(void *owner, struct slice *text_r, struct error *error)
{
	return session_content(owner, text_r, error);
}

static enum expand_result policy_scan(void *owner, const struct expand_request *request, struct arena *arena,
				      struct expand_answer *answer_r, struct error *error)
{
	return session_scan(owner, request, arena, answer_r, error);
}

static void policy_recipients(void *owner, bool (*each)(void *arg, struct slice address), void *arg)
{
	struct session *session = owner;
	struct slice list = buf_slice(&session->message.recipients), address;
	while (ipc_list_next(&list, &address) && each(arg, address))
		continue;
}

static bool policy_named(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r)
{
	const struct session *session = owner;
	if (family == EXPAND_AUTH)
		return auth_value(session->auth.exchange, name, value_r);
	return acl_session_named(&session->acl, family, name, value_r);
}

static enum expand_result policy_expand(void *owner, struct expand_value name, const struct expand_value *arguments, size_t count,
					struct arena *arena, struct expand_value *text_r, struct error *error)
{
	struct session *session = owner;
	return acl_expand(&session->acl, name, arguments, count, arena, text_r, error);
}

static void policy_trace(void *owner, unsigned depth, struct slice text)
{
	struct session *session = owner;
	session->front->watch->trace(session->front->watch->owner, depth, text);
}

static struct slice policy_where(void *owner, size_t place, struct arena *arena)
{
	struct session *session = owner;
	const struct conf_place *line = conf_acl_place(session->conf, place);
	return line ? arena_printf(arena, "%.*s %u", SLICE_ARG(line->file), line->line) : (struct slice){ 0 };
}

/* ---- What they are told ---- */

/* "TLS1.3:TLS_AES_256_GCM_SHA384:256": the part in the middle. */
static struct slice cipher_name(const char *cipher)
{
	struct slice rest = slice_of(cipher);
	slice_cut(&rest, ':');
	return slice_cut(&rest, ':');
}

void policy_init(struct session *session)
{
	session->expansions = (struct expand_context){
		.owner = session, .variable = session_variable, .named = policy_named, .acl = policy_expand, .ask = session_ask,
		.headers = policy_headers,
		.language = &session->conf->language,
	};
	session->acl = (struct acl_session){
		.owner = session, .context = &session->expansions, .set = session->conf->acl_set,
		.connection = &session->acl_connection, .message = &session->acl_message,
		.log = policy_log, .delay = policy_delay, .verify = policy_verify, .recipients = policy_recipients, .control = policy_control,
		.submission = policy_submission,
		.add_header = policy_add_header, .queue = policy_queue, .remove_header = policy_remove_header, .content = policy_content, .scan = policy_scan,
		.av_scanner = session->conf->main.av_scanner, .spamd_address = session->conf->main.spamd_address,
		.trace = session->front->watch ? policy_trace : NULL, .where = policy_where,
	};
}

void policy_free(struct session *session)
{
	acl_session_free(&session->acl);
	acl_variables_clear(&session->acl_connection);
	acl_variables_clear(&session->acl_message);
}

void policy_set_sender(struct session *session, struct slice domain)
{
	struct acl_facts *facts = &session->acl.facts;
	facts->has_sender = true;
	facts->sender = session->message.sender;
	facts->sender_domain = facts->sender.len ? arena_copy_lower(&session->message.arena, domain) : domain;
}

void policy_set_recipient(struct session *session, const struct mail_address *address, struct slice text)
{
	struct acl_facts *facts = &session->acl.facts;
	struct slice domain = address->domain.len ? address->domain : session->conf->main.qualify_recipient;
	acl_session_new_recipient(&session->acl);
	facts->has_recipient = true;
	facts->recipient = text;
	facts->local_part = address->local_part;
	facts->domain = arena_copy_lower(&session->message.arena, domain);
}

/* ---- Running ---- */

static void log_refusal(struct policy *policy, struct session *session, enum acl_point point, const struct acl_result *result,
			const char *command, struct slice argument)
{
	struct acl_facts *facts = &session->acl.facts;
	struct slice sender;
	bool temporary = policy->outcome == ACL_DEFER || policy->outcome == ACL_ERROR;
	char tls[SESSION_TLS_FIELDS_MAX];
	session_tls_fields(session, tls);
	sender = arena_printf(&policy->arena, "%s%s", *tls ? tls + 1 : "", *tls ? " " : "");
	char by[SESSION_AUTH_FIELD_MAX];
	if (facts->has_sender && point != ACL_POINT_MAIL)
		sender = arena_printf(&policy->arena, "%.*sF=<%.*s>%s ", SLICE_ARG(sender), SLICE_ARG(facts->sender),
				      session_auth_field(session, by));
	const struct acl_sender_failure *failure = &result->sender_failure;
	if (failure->address.len)
		policy_log(session, ACL_LOG_MAIN | ACL_LOG_REJECT | ACL_LOG_CLIENT,
			   arena_printf(&policy->arena, "sender verify fail for <%.*s>: %.*s", SLICE_ARG(failure->address),
					SLICE_ARG(failure->message)));
	struct slice text = acl_log_text(result, &policy->answer, &policy->arena);
	text = arena_printf(&policy->arena, "%.*s%srejected %s%s%.*s%.*s", SLICE_ARG(sender), temporary ? "temporarily " : "", command,
			    argument.len ? " " : "", SLICE_ARG(slice_first(argument, 512)), SLICE_ARG(text));
	policy_log(session, result->log_targets ? result->log_targets | ACL_LOG_CLIENT : 0, text);
}

static void log_discard(struct policy *policy, struct session *session, const struct acl_result *result, const char *command,
			struct slice argument)
{
	struct slice text = acl_log_text(result, &policy->answer, &policy->arena);
	char tls[SESSION_TLS_FIELDS_MAX];
	session_tls_fields(session, tls);
	text = arena_printf(&policy->arena, "%s%sF=<%.*s> %s%s%.*s: discarded by %s ACL%.*s", *tls ? tls + 1 : "", *tls ? " " : "", SLICE_ARG(session->message.sender), command,
			    argument.len ? " " : "", SLICE_ARG(slice_first(argument, 512)), acl_point_info(ACL_POINT_RCPT)->name,
			    SLICE_ARG(text));
	policy_log(session, ACL_LOG_MAIN | ACL_LOG_REJECT | ACL_LOG_CLIENT, text);
}

bool policy_has(const struct session *session, enum acl_point point)
{
	return session->conf->main.acl[point] != NULL;
}

bool policy_run(struct policy *policy, struct session *session, enum acl_point point, const char *command, struct slice argument)
{
	struct acl_result result;
	*policy = (struct policy){ .outcome = ACL_ACCEPT };
	arena_init(&policy->arena, 0);
	if (!policy_has(session, point))
		return true;
	struct acl_facts *facts = &session->acl.facts;
	facts->helo = point == ACL_POINT_HELO ? argument : session->smtp.helo;
	facts->cipher = cipher_name(session->tls.cipher);
	facts->certificate_verified = session->tls.verified;
	policy->outcome = acl_run(session->conf->main.acl[point], &session->acl, point, &policy->arena, &result);
	policy->decided = !result.none;
	policy->answer = acl_reply(&session->acl, point, &result, &policy->arena);
	if (policy->answer.wrong_digit)
		log_line(&session->front->role->log, LOG_KIND_PANIC,
			 "configured error code starts with incorrect digit (expected %u) in \"%.*s\"", policy->answer.code / 100,
			 SLICE_ARG(result.message));
	bool accepted = policy->outcome == ACL_ACCEPT || policy->outcome == ACL_DISCARD;
	if (policy->outcome == ACL_DISCARD && point == ACL_POINT_RCPT)
		log_discard(policy, session, &result, command, argument);
	if (!accepted)
		log_refusal(policy, session, point, &result, command, argument);
	facts->helo = (struct slice){ 0 }; /* the command's memory */
	return accepted;
}

void policy_end(struct policy *policy)
{
	arena_free(&policy->arena);
}

void policy_answer(const struct policy *policy, struct session *session)
{
	if (policy->answer.text.len)
		smtp_reply(&session->smtp, policy->answer.code, policy->answer.text);
	else
		smtp_accept(&session->smtp);
	if (policy->answer.drop)
		smtp_server_close(&session->smtp, SMTP_END_ACL);
}
