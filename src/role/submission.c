/* SPDX-License-Identifier: ISC */
/*
 * From the session to the queue. The header section is gathered until it is whole, whatever its size (header_maxsize bounds it): only then
 * it is rewritten, put right and edited, and nothing of a message goes on before. It and up to 256 KiB of the body make the first part,
 * which goes to the queue with one sealed memfd; a larger message follows in parts of 256 KiB, each acknowledged before the next. The queue
 * answers the last part when the message is durable.
 *
 * So a session holds its header section and 256 KiB. What a section has above HEADER_USUAL is counted over all sessions of a front,
 * LARGE_HEADERS_MAX at most, for a thousand clients may send a thousand of them at a time: who comes when that is full is asked to come
 * again. While such a section is worked on there are up to four copies of it.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/memory_file.h"
#include "mail/received.h"
#include "role/session.h"
#include "spool/envelope.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	PART_SIZE = 256 * 1024,
	RUN_MAX = 64 * 1024, /* of the text, as it comes in */
	HEADER_ROOM = 256 * 1024, /* what ACLs and submission add to a header section, and our Received: */
	HEADER_USUAL = 32 * 1024,
	LARGE_HEADERS_MAX = 64 * 1024 * 1024,
	VARIABLES_BYTES_MAX = 40 * 1024,   /* of ACLs, with their names */
	DELAYS_BYTES_MAX = 1024, /* why it is not delivered at once */
	RECEIVED_MAX = 8 * 1024,
	RECEIVED_ROOM = 64 * 1024, /* above any that we make */
	RECIPIENTS_BYTES_MAX = 128 * 1024, /* leaves room in a message of IPC_MESSAGE_MAX for the rest of the envelope */
};

/* The queue may have to wait for a slow disk; a client waits ten minutes (RFC 5321 §4.5.3.2.6). */
#define QUEUE_TIMEOUT (5 * 60 * CLOCK_SECOND)

void submission_init(struct incoming_message *message)
{
	*message = (struct incoming_message){ 0 };
	message->content.fd = -1;
	arena_init(&message->arena, 0);
	buf_init(&message->recipients, RECIPIENTS_BYTES_MAX);
}

/* front->large_headers, of this message: what its header section has above HEADER_USUAL. */
static void count_header(struct session *session, size_t length)
{
	size_t large = length > HEADER_USUAL ? length - HEADER_USUAL : 0;
	session->front->large_headers += large - session->message.large_header;
	session->message.large_header = large;
}

static uint64_t transaction_of(const struct session *session)
{
	return (uint64_t)(uintptr_t)session;
}

/* What the queue has of the session's message, or will find before this, is dropped. */
static void abort_transaction(struct session *session)
{
	struct ipc_peer *queue = session->front->queue;
	struct ipc_abort message = { .transaction = transaction_of(session) };
	if (queue)
		ipc_send(queue, abort, ABORT, 0, &message, NULL, 0);
}

void submission_forget(struct session *session)
{
	struct incoming_message *message = &session->message;
	if (message->transaction)
		abort_transaction(session);
	count_header(session, 0);
	session_forget_content(&message->content);
	arena_free(&message->arena);
	buf_free(&message->recipients);
	buf_free(&message->body);
	buf_free(&message->header);
	submission_init(message);
	session->expansions.list_cache = NULL;
	acl_session_new_message(&session->acl);
}

bool submission_add_recipient(struct incoming_message *message, struct slice address)
{
	if (!ipc_list_add(&message->recipients, address))
		return false;
	message->only_recipient = message->recipient_count ? (struct slice){ 0 } : arena_copy(&message->arena, address);
	message->recipient_count++;
	return true;
}

/* RFC 3848, RFC 6531 §4.3. */
const char *submission_protocol(const struct session *session)
{
	static const char *const names[2][2][2] = {
		{ { "esmtp", "esmtps" }, { "esmtpa", "esmtpsa" } },
		{ { "utf8esmtp", "utf8esmtps" }, { "utf8esmtpa", "utf8esmtpsa" } },
	};
	bool tls = session->smtp.tls, authenticated = session->acl.facts.authenticated.len > 0;
	if (!session->smtp.extended && !session->message.smtputf8)
		return tls ? "smtps" : "smtp";
	return names[session->message.smtputf8][authenticated][tls];
}

/* The form of Exim's default, without an expansion. */
static void add_standard_received(struct session *session, const char *date)
{
	struct incoming_message *message = &session->message;
	struct mail_received received = {
		.host_name = session->host_names.name,
		.host_address = slice_of(session->host_text.text),
		.helo = session->smtp.helo,
		.ident = session->smtp.ident,
		.primary_hostname = session->conf->main.primary_hostname,
		.protocol = slice_of(submission_protocol(session)),
		.tls_version = slice_of(session->tls.version),
		.cipher = slice_of(session->tls.standard),
		.sender = message->sender,
		.id = slice_of(message->id.text),
		.recipient = message->only_recipient,
		.date = slice_of(date),
	};
	ensure(mail_received_append(&received, &message->body));
}

/* received_header_text. False: it could not be expanded, which is logged. */
static bool add_expanded_received(struct session *session, const char *date)
{
	struct incoming_message *message = &session->message;
	struct expand_value text;
	struct error error = { 0 };
	enum expand_result result =
		expand_run(session->conf->main.received_header_text, &session->expansions, &message->arena, &text, &error);
	if (result == EXPAND_OK && slice_trim(text.text).len == 0)
		return true;
	if (result == EXPAND_OK && text.text.len > RECEIVED_MAX)
		error_set(&error, ERROR_PERMANENT, "the text is longer than %d bytes", RECEIVED_MAX);
	else if (result == EXPAND_OK && !slice_starts_nocase(text.text, SLICE("Received:")))
		error_set(&error, ERROR_PERMANENT, "the text does not begin with \"Received:\"");
	else if (result == EXPAND_OK && mail_received_append_text(text.text, slice_of(date), &message->body))
		return true;
	log_line(&session->front->role->log, LOG_KIND_PANIC, "%s received_header_text: %s; the standard text is used", message->id.text,
		 error.text);
	return false;
}

/* Our header: on top of all that the client sent. */
static void add_received(struct session *session)
{
	char date[64];
	clock_format_rfc5322((time_t)(clock_wall_now() / CLOCK_SECOND), date, sizeof date);
	if (!session->conf->main.received_header_text || !add_expanded_received(session, date))
		add_standard_received(session, date);
}

/* A rewritten address may be longer: the section as a whole is let grow to twice its limit. */
static size_t header_max(const struct session *session)
{
	return 2 * (size_t)session->conf->main.header_maxsize + HEADER_ROOM;
}

void submission_begin(struct session *session)
{
	struct incoming_message *message = &session->message;
	message->begun = true;
	message->id = message_id_make(&session->front->ids);
	mail_header_scan_init(&message->scan);
	buf_init(&message->header, (size_t)session->conf->main.header_maxsize + RUN_MAX);
	buf_init(&message->body, header_max(session) + RECEIVED_ROOM + PART_SIZE);
}

struct gathering {
	struct buf list;
	const char *family;
	bool full;
};

/* An empty value is kept as well: ${if def: tells it from one that was never set. */
static bool gather_variable(void *owner, struct slice name, struct expand_value value)
{
	struct gathering *gathering = owner;
	char full[SPOOL_VARIABLE_NAME_MAX + 1];
	int len = snprintf(full, sizeof full, "%s%.*s", gathering->family, SLICE_ARG(name));
	bool fits = value.text.len <= SPOOL_VARIABLE_MAX && ipc_list_add(&gathering->list, slice_make(full, (size_t)len)) &&
		    ipc_list_add(&gathering->list, value.text) &&
		    ipc_list_add(&gathering->list, value.tainted ? SLICE("tainted") : SLICE(""));
	gathering->full |= !fits;
	return fits;
}

/* What the condition `spam` found (Exim's manual, chapter 45 §2): all but the report. */
static void gather_spam(const struct session *session, struct gathering *gathering)
{
	static const enum expand_variable kept[] = { EXPAND_SPAM_SCORE, EXPAND_SPAM_SCORE_INT, EXPAND_SPAM_BAR, EXPAND_SPAM_ACTION };
	struct expand_value value;
	gathering->family = "";
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		if (acl_session_variable(&session->acl, kept[i], &value) && value.text.len)
			gather_variable(gathering, slice_of(expand_variable_name(kept[i])), value);
}

/* What ACLs set stays with the message. False when that is too much: routers must not decide without it. */
static bool gather_variables(struct session *session, struct gathering *gathering)
{
	*gathering = (struct gathering){ 0 };
	buf_init(&gathering->list, VARIABLES_BYTES_MAX);
	gathering->family = "c";
	acl_variables_each(&session->acl_connection, gather_variable, gathering);
	gathering->family = "m";
	acl_variables_each(&session->acl_message, gather_variable, gathering);
	gather_spam(session, gathering);
	return !gathering->full;
}

/* Whether ACLs that run when all of the message is here may freeze it, or leave it to a run of its queue. */
static bool may_be_held_later(const struct session *session)
{
	return acl_set_uses(session->conf->acl_set, ACL_USE_HOLD) &&
	       (policy_has(session, ACL_POINT_DATA) || policy_has(session, ACL_POINT_MIME));
}

static unsigned hold_flags(struct session *session, struct buf *delays)
{
	bool waits = session_waits_for_run(session, delays);
	return (session->message.frozen ? SUBMIT_FROZEN : 0u) | (waits ? SUBMIT_QUEUED : 0u);
}

static int call_submit(struct session *session, struct ipc_peer *queue, int fd, bool complete, struct ipc_reply *reply)
{
	struct incoming_message *message = &session->message;
	struct gathering gathering;
	if (!gather_variables(session, &gathering)) {
		buf_free(&gathering.list);
		session_log(session, LOG_KIND_PANIC, "the variables that ACLs set are more than %d bytes", VARIABLES_BYTES_MAX);
		return -EMSGSIZE;
	}
	struct buf delays;
	buf_init(&delays, DELAYS_BYTES_MAX);
	message->undecided = !complete && may_be_held_later(session);
	unsigned hold = message->undecided ? SUBMIT_UNDECIDED : hold_flags(session, &delays);
	const SSL *ssl = session->stream.ssl;
	char peer_name[CERTIFICATE_NAME_MAX] = "";
	if (ssl)
		tls_facts_peer_name(ssl, peer_name);
	struct net_text proxy = net_address_text(&session->proxy.local);
	struct ipc_submit submit = {
		.transaction = transaction_of(session),
		.size = buf_len(&message->body),
		.complete = complete,
		.id = slice_of(message->id.text),
		.received_ns = (uint64_t)clock_wall_now(),
		.sender = message->sender,
		.recipients = buf_slice(&message->recipients),
		.helo = session->smtp.helo,
		.host_name = session->host_names.name,
		.host_address = slice_of(session->host_text.text),
		.host_port = session->host.port,
		.protocol = slice_of(submission_protocol(session)),
		.cipher = slice_of(session->tls.cipher),
		.cipher_standard = slice_of(session->tls.standard),
		.peer_name = slice_of(peer_name),
		.server_name = ssl ? tls_facts_server_name(ssl) : (struct slice){ 0 },
		.verified = session->tls.verified,
		.authenticated = session->acl.facts.authenticated,
		.authenticated_id = slice_of(session->auth.id),
		.authenticated_sender = message->authenticated_sender,
		.resumption = session->tls.resumption,
		.ocsp = session->tls.ocsp,
		.message_id = mail_header_scan_message_id(&message->scan),
		.flags = (message->eight_bit_mime ? SUBMIT_8BITMIME : 0u) | (message->smtputf8 ? SUBMIT_SMTPUTF8 : 0u) | hold,
		.variables = buf_slice(&gathering.list),
		.proxy = slice_of(proxy.text),
		.queue_name = session_queue_name(session),
		.delays = buf_slice(&delays),
	};
	int result = ipc_call(queue, submit, SUBMIT, &submit, &fd, 1, clock_after(QUEUE_TIMEOUT), reply);
	buf_free(&gathering.list);
	buf_free(&delays);
	return result;
}

static int call_part(struct session *session, struct ipc_peer *queue, int fd, bool complete, struct ipc_reply *reply)
{
	struct incoming_message *message = &session->message;
	struct ipc_part part = { .transaction = message->transaction, .size = buf_len(&message->body), .complete = complete };
	struct buf delays;
	buf_init(&delays, DELAYS_BYTES_MAX);
	if (complete && message->undecided)
		part.flags = hold_flags(session, &delays);
	part.delays = buf_slice(&delays);
	int result = ipc_call(queue, part, PART, &part, &fd, 1, clock_after(QUEUE_TIMEOUT), reply);
	buf_free(&delays);
	return result;
}

static bool read_answer(int result, const struct ipc_reply *reply, struct error *error)
{
	struct ipc_taken taken;
	if (result < 0) {
		error_set_errno(error, -result, "handing the message to the queue");
		error->kind = ERROR_TEMPORARY; /* a queue of messages that is full is not the client's fault, nor is what ACLs set */
		return false;
	}
	if (reply->type != IPC_TAKEN_MESSAGE || !ipc_unpack_taken(reply->body, &taken))
		return error_set(error, ERROR_TEMPORARY, "the queue's answer is malformed");
	if (taken.kind != ERROR_NONE)
		return error_set(error, taken.kind == ERROR_PERMANENT ? ERROR_PERMANENT : ERROR_TEMPORARY, "%.*s",
				 SLICE_ARG(taken.problem));
	return true;
}

/* Sends what is gathered. A queue that was restarted between two parts does not know the message any more, and says so. */
static bool send_part(struct session *session, bool complete, struct error *error)
{
	struct front *front = session->front;
	struct incoming_message *message = &session->message;
	struct ipc_reply reply = { 0 };
	_cleanup_fd_ int fd = memory_file_sealed("message", buf_slice(&message->body));
	if (fd < 0)
		return error_set_errno(error, errno, "making memory for a message");
	if (!complete && !session_keep_content(session, buf_slice(&message->body), error))
		return false;
	struct ipc_peer *queue = front_wait_peer(front, &front->queue, clock_after(60 * CLOCK_SECOND));
	if (!queue)
		return error_set(error, ERROR_TEMPORARY, "the queue is not running");
	int result = message->transaction ? call_part(session, queue, fd, complete, &reply) :
					    call_submit(session, queue, fd, complete, &reply);
	bool done = read_answer(result, &reply, error);
	ipc_reply_free(&reply);
	if (result < 0)
		abort_transaction(session); /* the queue may take the part yet, and would wait for the next */
	message->transaction = done && !complete ? transaction_of(session) : 0;
	buf_consume(&message->body, buf_len(&message->body));
	return done;
}

static bool append(struct session *session, struct slice run, struct error *error)
{
	struct incoming_message *message = &session->message;
	message->size += run.len;
	while (run.len) {
		size_t part = message->transaction ? PART_SIZE : message->header_size + PART_SIZE;
		size_t room = part - buf_len(&message->body);
		if (room == 0) {
			if (!send_part(session, false, error))
				return false;
			continue;
		}
		struct slice piece = slice_first(run, room);
		ensure(buf_append(&message->body, piece));
		run = slice_from(run, piece.len);
	}
	return true;
}

struct slice submission_header(const struct session *session)
{
	const struct incoming_message *message = &session->message;
	return message->transaction ? (struct slice){ 0 } : slice_first(buf_slice(&message->body), message->header_size);
}

bool submission_edit_header(struct session *session, struct error *error)
{
	struct incoming_message *message = &session->message;
	struct slice all = buf_slice(&message->body), header = submission_header(session);
	const struct header_edits *edits = message->edits;
	struct buf edited;
	if (!edits)
		return true;
	struct mail_edit edit = { edits->added, edits->added_count, edits->removed, edits->removed_count };
	message->edits = NULL;
	if (edit.added_count + edit.removed_count == 0)
		return true;
	if (message->transaction)
		return error_set(error, ERROR_PERMANENT, "the header is too large to be changed");
	buf_init(&edited, message->body.max);
	if (!mail_header_edit(header, &edit, &edited) || buf_len(&edited) > header_max(session)) {
		buf_free(&edited);
		return error_set(error, ERROR_PERMANENT, "the header is too large for what was added to it");
	}
	message->header_size = buf_len(&edited);
	ensure(buf_append(&edited, slice_from(all, header.len)));
	message->size = message->size - all.len + buf_len(&edited);
	buf_free(&message->body);
	message->body = edited;
	return true;
}

bool submission_take_header(struct session *session, struct error *error)
{
	struct incoming_message *message = &session->message;
	struct slice all = buf_slice(&message->header), section = slice_first(all, message->scan.section);
	struct buf header;
	buf_init(&header, header_max(session));
	bool done = rewriting_has_rules(session) ? rewriting_message(session, section, &header, error) : buf_append(&header, section);
	if (done && session_fix_up(session, &header, error)) {
		add_received(session);
		ensure(buf_append(&message->body, buf_slice(&header)));
		message->size = message->header_size = buf_len(&message->body);
		/* RFC 5322 §2.1: the empty line is what begins the body. Where a line that is no field does it, readers differ. */
		done = (!message->scan.broken || append(session, SLICE("\r\n"), error)) && append(session, slice_from(all, section.len), error);
	} else {
		done = false;
	}
	buf_free(&header);
	buf_free(&message->header);
	return done;
}

/* Lines end with LF, or CR LF. */
static void measure_lines(struct incoming_message *message, struct slice run)
{
	while (run.len) {
		size_t end = slice_find(run, '\n');
		bool whole = end < run.len, returned = end > 0 ? run.data[end - 1] == '\r' : message->line_returned;
		uint64_t length = message->line_length + end;
		if (length - returned > message->longest_line)
			message->longest_line = length - returned;
		message->line_length = whole ? 0 : length;
		message->line_returned = returned && !whole;
		run = slice_from(run, whole ? end + 1 : end);
	}
}

/* Keeps a run of the header section, or the one with its end. */
static bool keep_header(struct session *session, struct slice run, struct error *error)
{
	struct incoming_message *message = &session->message;
	if (!buf_append(&message->header, run))
		return error_set(error, ERROR_PERMANENT, "the header section is too large");
	count_header(session, buf_len(&message->header));
	if (!message->large_header || session->front->large_headers <= LARGE_HEADERS_MAX)
		return true;
	/* The others have this room now: the message is refused. */
	buf_free(&message->header);
	count_header(session, 0);
	return error_set(error, ERROR_TEMPORARY, "large header sections of messages take more than %d MiB", LARGE_HEADERS_MAX >> 20);
}

bool submission_append(struct session *session, struct slice run, struct error *error)
{
	struct incoming_message *message = &session->message;
	measure_lines(message, run);
	return message->header_done ? append(session, run, error) : keep_header(session, run, error);
}

bool submission_commit(struct session *session, struct error *error)
{
	return send_part(session, true, error);
}
