/* SPDX-License-Identifier: ISC */
/* The variables of a session's expansions: who the client is, how it is connected, and what is known of the message so far. */
#include "role/front.h"

#include <time.h>
#include <unistd.h>

static struct expand_value text_value(struct slice text)
{
	return (struct expand_value){ .text = text };
}

static struct expand_value number_value(struct session *session, int64_t number)
{
	return text_value(arena_printf(&session->message.arena, "%lld", (long long)number));
}

static struct expand_value date_value(struct session *session, size_t (*format)(time_t, char *, size_t))
{
	char text[64];
	size_t len = format((time_t)(clock_wall_now() / CLOCK_SECOND), text, sizeof text);
	return text_value(arena_copy(&session->message.arena, slice_make(text, len)));
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
	const char *address = session->host_text.text;
	if (name.len && (helo.len == 0 || slice_equal_nocase(helo, name)))
		return arena_printf(&session->message.arena, "%.*s ([%s])", SLICE_ARG(name), address);
	if (name.len)
		return arena_printf(&session->message.arena, "%.*s ([%s] helo=%.*s)", SLICE_ARG(name), address, SLICE_ARG(helo));
	if (helo.len == 0)
		return arena_printf(&session->message.arena, "[%s]", session->host_text.text);
	return arena_printf(&session->message.arena, "[%s] (helo=%.*s)", session->host_text.text, SLICE_ARG(helo));
}

static struct slice full_host(struct session *session)
{
	char peer[512];
	session_peer(session, peer, sizeof peer);
	return arena_copy(&session->message.arena, slice_of(peer + 2)); /* without "H=" */
}

static struct slice command_line(struct session *session)
{
	if (!session->command_verb)
		return session->command;
	return arena_printf(&session->message.arena, "%s %.*s", session->command_verb, SLICE_ARG(session->command_argument));
}

static struct slice interface_text(struct session *session)
{
	struct net_text text = net_address_text(&session->interface);
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
		return text_value(*facts->version ? tls_facts_server_name(ssl) : slice_of(session->server_name));
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
	case EXPAND_SENDER_HELO_NAME: return text_value(helo_name(session));
	case EXPAND_RECEIVED_PORT: return number_value(session, session->interface.port);
	case EXPAND_RECEIVED_IP_ADDRESS: return text_value(interface_text(session));
	case EXPAND_RECEIVED_PROTOCOL: return text_value(slice_of(submission_protocol(session)));
	case EXPAND_SMTP_COMMAND: return text_value(command_line(session));
	case EXPAND_SMTP_COMMAND_ARGUMENT: return text_value(session->command_argument);
	default: return tls_variable(session, variable);
	}
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
	case EXPAND_RCPT_COUNT: return number_value(session, message->rcpt_count);
	case EXPAND_RECEIVED_COUNT: return number_value(session, message->scan.received);
	case EXPAND_HEADERS_ADDED: return text_value(added_headers(session));
	case EXPAND_LOCAL_PART: return text_value(session->rewriting ? session->rewriting->local_part : (struct slice){ 0 });
	case EXPAND_DOMAIN: return text_value(session->rewriting ? session->rewriting->domain : (struct slice){ 0 });
	default: return connection_variable(session, variable);
	}
}

struct expand_value session_variable(void *owner, enum expand_variable variable)
{
	struct session *session = owner;
	const struct conf_main *main = &session->conf->main;
	switch (variable) {
	case EXPAND_PRIMARY_HOSTNAME:
	case EXPAND_SMTP_ACTIVE_HOSTNAME: return text_value(main->primary_hostname);
	case EXPAND_QUALIFY_DOMAIN: return text_value(main->qualify_domain);
	case EXPAND_QUALIFY_RECIPIENT: return text_value(main->qualify_recipient);
	case EXPAND_SPOOL_DIRECTORY: return text_value(main->spool_directory);
	case EXPAND_VERSION_NUMBER: return text_value(SLICE(POSTERN_VERSION));
	case EXPAND_PID: return number_value(session, getpid());
	case EXPAND_TOD_FULL: return date_value(session, clock_format_rfc5322);
	case EXPAND_TOD_LOG: return date_value(session, clock_format_log);
	case EXPAND_TOD_EPOCH: return number_value(session, clock_wall_now() / CLOCK_SECOND);
	default: return message_variable(session, variable);
	}
}
