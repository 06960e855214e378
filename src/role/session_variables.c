/* SPDX-License-Identifier: ISC */
/* The variables of a session's expansions: who the client is, how it is connected, and what is known of the message so far. */
#include "base/fatal.h"
#include "expand/message.h"
#include "expand/moment.h"
#include "mail/host.h"
#include "role/session.h"

#include <sys/socket.h>
#include <unistd.h>

static struct expand_value text_value(struct slice text)
{
	return (struct expand_value){ .text = text };
}

static struct expand_value number_value(struct session *session, int64_t number)
{
	return text_value(arena_printf(&session->message.arena, "%lld", (long long)number));
}

/* HELO's name: the one that is being decided on, or the one that was accepted. */
static struct slice helo_name(const struct session *session)
{
	return session->acl.facts.helo.len ? session->acl.facts.helo : session->smtp.helo;
}

/* As in "Received: from": "[192.0.2.1] (helo=client.example)". */
static struct slice received_host(struct session *session)
{
	struct slice helo = helo_name(session), name = session->host_names.name;
	struct slice ident = session->smtp.ident, told = { 0 };
	struct arena *arena = &session->message.arena;
	const char *address = session->host_text.text;
	if (helo.len && !slice_equal_nocase(helo, name))
		told = arena_printf(arena, " helo=%.*s", SLICE_ARG(helo));
	if (ident.len)
		told = arena_printf(arena, "%.*s ident=%.*s", SLICE_ARG(told), SLICE_ARG(ident));
	if (name.len)
		return arena_printf(arena, "%.*s ([%s]%.*s)", SLICE_ARG(name), address, SLICE_ARG(told));
	if (told.len)
		return arena_printf(arena, "[%s] (%.*s)", address, SLICE_ARG(slice_from(told, 1)));
	return arena_printf(arena, "[%s]", address);
}

static struct slice full_host(struct session *session)
{
	char text[SESSION_PEER_MAX];
	size_t len = mail_host_format(session->host_names.name, helo_name(session), slice_of(session->host_text.text), text, sizeof text);
	return arena_copy(&session->message.arena, slice_make(text, len));
}

static struct slice command_line(struct session *session)
{
	if (!session->command_verb)
		return session->command;
	return arena_printf(&session->message.arena, "%s %.*s", session->command_verb, SLICE_ARG(session->command_argument));
}

static struct slice interface_text(struct session *session)
{
	struct net_address address = session->interface;
	struct sockaddr_storage own;
	socklen_t len = sizeof own;
	/* Where the listener has all addresses, the connection has one of them. */
	if (net_address_is_any(&address) && getsockname(session->stream.fd, (struct sockaddr *)&own, &len) == 0 &&
	    net_address_from_sockaddr((const struct sockaddr *)&own, len, &address))
		address = net_address_unmap(address);
	struct net_text text = net_address_text(&address);
	return arena_copy(&session->message.arena, slice_of(text.text));
}

static struct slice added_headers(struct session *session)
{
	const struct header_edits *edits = session->message.edits;
	struct slice out = { 0 };
	for (size_t i = 0; edits && i < edits->added_count; i++)
		out = arena_printf(&session->message.arena, "%.*s%s%.*s", SLICE_ARG(out), i ? "\n" : "", SLICE_ARG(edits->added[i].text));
	return out;
}

static struct slice peer_name(struct session *session)
{
	char name[CERTIFICATE_NAME_MAX];
	tls_facts_peer_name(session->stream.ssl, name);
	return arena_copy(&session->message.arena, slice_of(name));
}

/* In clear texts are empty and numbers are 0. While the handshake runs, what the client asks for is there already. */
static struct expand_value tls_variable(struct session *session, enum expand_variable variable)
{
	const struct tls_facts *facts = &session->tls;
	const SSL *ssl = session->stream.ssl;
	switch (variable) {
	case EXPAND_TLS_IN_CIPHER: return text_value(slice_of(facts->cipher));
	case EXPAND_TLS_IN_CIPHER_STD: return text_value(slice_of(facts->standard));
	case EXPAND_TLS_IN_VER: return text_value(slice_of(facts->version));
	case EXPAND_TLS_IN_BITS: return number_value(session, facts->bits);
	case EXPAND_TLS_IN_CERTIFICATE_VERIFIED: return number_value(session, facts->verified);
	case EXPAND_TLS_IN_OCSP: return number_value(session, facts->ocsp);
	case EXPAND_TLS_IN_RESUMPTION: return number_value(session, facts->resumption);
	case EXPAND_TLS_IN_SNI:
		return text_value(ssl && *facts->version ? tls_facts_server_name(ssl) : slice_of(session->server_name));
	case EXPAND_TLS_IN_PEERDN: return text_value(ssl ? peer_name(session) : (struct slice){ 0 });
	case EXPAND_TLS_IN_OURCERT:
		return text_value(ssl ? tls_facts_our_certificate(ssl, &session->message.arena) : (struct slice){ 0 });
	case EXPAND_TLS_IN_PEERCERT:
		return text_value(ssl ? tls_facts_peer_certificate(ssl, &session->message.arena) : (struct slice){ 0 });
	default: return (struct expand_value){ 0 };
	}
}

static struct expand_value connection_variable(struct session *session, enum expand_variable variable)
{
	switch (variable) {
	case EXPAND_SENDER_HOST_ADDRESS: return text_value(slice_of(session->host_text.text));
	case EXPAND_SENDER_HOST_NAME: return text_value(session_look_host_up(session)->name);
	case EXPAND_SENDER_HOST_DNSSEC: return text_value(session_look_host_up(session)->dnssec ? SLICE("yes") : SLICE("no"));
	case EXPAND_HOST_LOOKUP_FAILED: return text_value(session->host_names.failed ? SLICE("1") : SLICE("0"));
	case EXPAND_HOST_LOOKUP_DEFERRED: return text_value(session->host_names.deferred ? SLICE("1") : SLICE("0"));
	case EXPAND_SENDER_HOST_PORT: return number_value(session, session->host.port);
	case EXPAND_SENDER_FULLHOST: return text_value(full_host(session));
	case EXPAND_SENDER_RCVHOST: return text_value(received_host(session));
	case EXPAND_SENDER_IDENT: return text_value(session->smtp.ident);
	case EXPAND_SENDER_HELO_NAME: return text_value(helo_name(session));
	case EXPAND_RECEIVED_PORT: return number_value(session, session->interface.port);
	case EXPAND_RECEIVED_IP_ADDRESS: return text_value(interface_text(session));
	case EXPAND_RECEIVED_PROTOCOL: return text_value(slice_of(submission_protocol(session)));
	case EXPAND_SMTP_COMMAND: return text_value(command_line(session));
	case EXPAND_SMTP_NOTQUIT_REASON: return text_value(slice_of(smtp_end_notquit(session->ended)));
	case EXPAND_SMTP_COMMAND_ARGUMENT: return text_value(session->command_argument);
	case EXPAND_PROXY_SESSION:
	case EXPAND_PROXY_LOCAL_ADDRESS:
	case EXPAND_PROXY_LOCAL_PORT:
	case EXPAND_PROXY_EXTERNAL_ADDRESS:
	case EXPAND_PROXY_EXTERNAL_PORT: return session_proxy_variable(session, variable);
	default: return tls_variable(session, variable);
	}
}

/* Separated by commas and spaces. As with Exim they are a secret until the last one is known. */
static struct slice recipients(struct session *session)
{
	struct incoming_message *message = &session->message;
	struct slice list = buf_slice(&message->recipients), address;
	struct buf out;
	if (!message->begun && !slice_starts_nocase(session->command, SLICE("DATA")) && !slice_starts_nocase(session->command, SLICE("BDAT")))
		return (struct slice){ 0 };
	buf_init(&out, 2 * list.len + 1);
	while (ipc_list_next(&list, &address))
		ensure((buf_len(&out) == 0 || buf_append(&out, SLICE(", "))) && buf_append(&out, address));
	struct slice text = arena_copy(&message->arena, buf_slice(&out));
	buf_free(&out);
	return text;
}

static struct expand_value message_variable(struct session *session, enum expand_variable variable)
{
	const struct incoming_message *message = &session->message;
	struct slice sender = message->sender;
	size_t at = slice_find_last(sender, '@');
	switch (variable) {
	case EXPAND_SENDER_ADDRESS: return text_value(sender);
	case EXPAND_SENDER_ADDRESS_LOCAL_PART: return text_value(slice_first(sender, at));
	case EXPAND_SENDER_ADDRESS_DOMAIN: return text_value(slice_from(sender, at + 1));
	case EXPAND_MESSAGE_EXIM_ID: return text_value(slice_of(message->begun ? message->id.text : ""));
	case EXPAND_MESSAGE_SIZE: return number_value(session, message->header_done ? (int64_t)message->size : message->declared_size);
	case EXPAND_RECEIVED_FOR: return text_value(message->only_recipient);
	case EXPAND_RECIPIENTS_COUNT: return number_value(session, message->recipient_count);
	case EXPAND_MAX_RECEIVED_LINELENGTH: return number_value(session, (int64_t)message->longest_line);
	case EXPAND_RECIPIENTS: return text_value(recipients(session));
	case EXPAND_MESSAGE_AGE: return number_value(session, 0);
	case EXPAND_RECEIVED_TIME: return number_value(session, clock_wall_now() / CLOCK_SECOND);
	case EXPAND_RCPT_COUNT: return number_value(session, message->rcpt_count);
	case EXPAND_QUEUE_NAME: return text_value(session_queue_name(session));
	case EXPAND_HEADERS_ADDED: return text_value(added_headers(session));
	case EXPAND_LOCAL_PART: return text_value(session->rewriting ? session->rewriting->local_part : (struct slice){ 0 });
	case EXPAND_DOMAIN: return text_value(session->rewriting ? session->rewriting->domain : (struct slice){ 0 });
	default: return connection_variable(session, variable);
	}
}

/* What the message's own text gives, while its ACL can see that. */
static bool text_variable(struct session *session, enum expand_variable variable, struct slice *text_r)
{
	struct incoming_message *message = &session->message;
	const struct conf_main *main = &session->conf->main;
	struct expand_message text = {
		.headers = message->headers, .whole = !message->transaction, .visible = (size_t)main->message_body_visible,
		.newlines = main->message_body_newlines,
	};
	if (text.whole)
		text.body = slice_from(buf_slice(&message->body), text.headers.len);
	/* The empty line. */
	if (slice_starts(text.body, SLICE("\r\n")))
		text.body = slice_from(text.body, 2);
	else if (slice_starts(text.body, SLICE("\n")))
		text.body = slice_from(text.body, 1);
	return message->headers.len && expand_message_variable(&text, variable, &message->arena, text_r);
}

struct expand_value session_variable(void *owner, enum expand_variable variable)
{
	struct session *session = owner;
	struct expand_value value;
	struct slice text;
	if (acl_session_variable(&session->acl, variable, &value))
		return value;
	if (variable == EXPAND_SMTP_ACTIVE_HOSTNAME)
		return text_value(session->settings.hostname);
	struct expand_value rate;
	if (acl_session_rate(&session->acl, variable, &rate))
		return rate;
	if (variable == EXPAND_PID)
		return number_value(session, getpid());
	if (conf_variable(session->conf, variable, &text) ||
	    expand_moment_variable(variable, clock_wall_now(), &session->message.arena, &text))
		return text_value(text);
	if (session_auth_variable(session, variable, &text))
		return text_value(text);
	if (text_variable(session, variable, &text))
		return (struct expand_value){ .text = text, .tainted = true };
	return message_variable(session, variable);
}
