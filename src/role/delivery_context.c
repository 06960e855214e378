/* SPDX-License-Identifier: ISC */
/* What expansions find while a message is routed and delivered: the envelope, the header section, and the way to those who answer. */
#include "base/fatal.h"
#include "base/files.h"
#include "expand/message.h"
#include "expand/moment.h"
#include "mail/field.h"
#include "mail/host.h"
#include "role/queue.h"

#include <stdio.h>
#include <unistd.h>

/* Above the most that a message can have: twice the largest header_maxsize, and what ACLs add. */
enum { HEADERS_READ_FIRST = 16 * 1024, HEADERS_READ_MAX = 256 * 1024 * 1024 };

static struct expand_value text_value(struct slice text)
{
	return (struct expand_value){ .text = text };
}

static struct expand_value peer_value(struct slice text)
{
	return (struct expand_value){ .text = text, .tainted = true };
}

static struct expand_value number_value(struct delivery_context *context, int64_t number)
{
	return text_value(arena_printf(&context->entry->arena, "%lld", (long long)number));
}

/* The message's bytes from `from` on, `most` at most. What cannot be read is left out: the delivery will say why. */
static struct slice read_message(struct queue_entry *entry, uint64_t from, size_t most)
{
	uint64_t size = entry->envelope->body_size, left = from < size ? size - from : 0;
	size_t room = left < most ? (size_t)left : most;
	char *bytes = arena_alloc(&entry->arena, room + 1);
	ssize_t n = files_read_full(&files_real, entry->fd, bytes, room, entry->body_offset + from);
	return slice_make(bytes, n > 0 ? (size_t)n : 0);
}

/*
 * The header section. Its length is not known, and header_maxsize does not tell it: rewriting and ACLs let it grow, and the configuration
 * may have been another one. So what is read doubles until the line behind the section is there, or all of the message.
 */
static struct slice read_headers(struct queue_entry *entry)
{
	for (size_t room = HEADERS_READ_FIRST;; room *= 2) {
		struct slice all = read_message(entry, 0, room);
		size_t length = mail_header_length(all);
		struct slice behind = slice_from(all, length);
		if (all.len < room || room >= HEADERS_READ_MAX || slice_find(behind, '\n') < behind.len)
			return slice_first(all, length);
	}
}

static struct slice headers(void *owner)
{
	struct delivery_context *context = owner;
	if (!context->headers.data) {
		context->headers = read_headers(context->entry);
		/* The empty line: LF or CR LF. */
		struct slice gap = read_message(context->entry, context->headers.len, 2);
		context->body_start = context->headers.len + (slice_equal(gap, SLICE("\r\n")) ? 2u : slice_starts(gap, SLICE("\n")) ? 1u : 0u);
	}
	return context->headers;
}

/* The visible start or end of the body, behind the empty line. */
static struct slice visible_body(struct delivery_context *context, uint64_t start, bool end)
{
	uint64_t size = context->entry->envelope->body_size;
	uint64_t visible = (uint64_t)context->conf->main.message_body_visible;
	bool hides = end && size > start && size - start > visible;
	return read_message(context->entry, hides ? size - visible : start, (size_t)visible);
}

/* What the message's text gives. Of the body only what is visible is read: its lines are not counted. */
static bool text_variable(struct delivery_context *context, enum expand_variable variable, struct slice *text_r)
{
	struct arena *arena = &context->entry->arena;
	const struct conf_main *main = &context->conf->main;
	struct expand_message text = { .visible = (size_t)main->message_body_visible, .newlines = main->message_body_newlines };
	text.headers = headers(context);
	uint64_t start = context->body_start, size = context->entry->envelope->body_size;
	if (variable == EXPAND_MESSAGE_BODY_SIZE) {
		*text_r = arena_printf(arena, "%llu", (unsigned long long)(size > start ? size - start : 0));
		return true;
	}
	if (variable == EXPAND_MESSAGE_BODY || variable == EXPAND_MESSAGE_BODY_END)
		text.body = visible_body(context, start, variable == EXPAND_MESSAGE_BODY_END);
	/* What was read is the end already. */
	return expand_message_variable(&text, variable == EXPAND_MESSAGE_BODY_END ? EXPAND_MESSAGE_BODY : variable, arena, text_r);
}

static bool is_of_text(enum expand_variable variable)
{
	static const enum expand_variable variables[] = {
		EXPAND_MESSAGE_HEADERS, EXPAND_MESSAGE_HEADERS_RAW, EXPAND_REPLY_ADDRESS, EXPAND_RECEIVED_COUNT, EXPAND_MESSAGE_BODY,
		EXPAND_MESSAGE_BODY_END, EXPAND_MESSAGE_BODY_SIZE,
	};
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		if (variables[i] == variable)
			return true;
	return false;
}

static struct slice full_host(struct delivery_context *context)
{
	const struct spool_envelope *envelope = context->entry->envelope;
	char host[640];
	size_t len = mail_host_format(envelope->host_name, envelope->helo, envelope->host_address, host, sizeof host);
	return arena_copy(&context->entry->arena, slice_make(host, len));
}

static struct expand_value server_variable(struct delivery_context *context, enum expand_variable variable)
{
	struct slice text;
	if (variable == EXPAND_SMTP_ACTIVE_HOSTNAME)
		return text_value(context->conf->main.primary_hostname);
	if (variable == EXPAND_PID)
		return number_value(context, getpid());
	if (conf_variable(context->conf, variable, &text) ||
	    expand_moment_variable(variable, clock_wall_now(), &context->entry->arena, &text))
		return text_value(text);
	if (is_of_text(variable) && text_variable(context, variable, &text))
		return peer_value(text);
	return (struct expand_value){ 0 };
}

/* How the message came in. The version and the bits are the ends of "TLS1.3:TLS_AES_256_GCM_SHA384:256". */
static struct expand_value tls_variable(struct delivery_context *context, enum expand_variable variable)
{
	const struct spool_envelope *envelope = context->entry->envelope;
	struct slice cipher = envelope->cipher;
	uint64_t bits = 0;
	switch (variable) {
	case EXPAND_TLS_IN_CIPHER: return text_value(cipher);
	case EXPAND_TLS_IN_CIPHER_STD: return text_value(envelope->cipher_standard);
	case EXPAND_TLS_IN_VER: return text_value(slice_first(cipher, slice_find(cipher, ':')));
	case EXPAND_TLS_IN_BITS:
		slice_parse_u64(slice_from(cipher, slice_find_last(cipher, ':') + 1), UINT16_MAX, &bits);
		return number_value(context, (int64_t)bits);
	case EXPAND_TLS_IN_CERTIFICATE_VERIFIED: return number_value(context, envelope->verified);
	case EXPAND_TLS_IN_OCSP: return number_value(context, envelope->tls_ocsp);
	case EXPAND_TLS_IN_RESUMPTION: return number_value(context, envelope->tls_resumption);
	case EXPAND_TLS_IN_PEERDN: return peer_value(envelope->peer_name);
	case EXPAND_TLS_IN_SNI: return peer_value(envelope->server_name);
	default: return server_variable(context, variable);
	}
}

/* A variable of the envelope; false: there is none of that name. */
static bool kept_value(const struct delivery_context *context, struct slice name, struct expand_value *value_r)
{
	const struct spool_envelope *envelope = context->entry->envelope;
	for (size_t i = 0; i < envelope->variable_count; i++) {
		const struct spool_variable *variable = &envelope->variables[i];
		if (!slice_equal(variable->name, name))
			continue;
		*value_r = (struct expand_value){ variable->value, variable->tainted };
		return true;
	}
	return false;
}

static struct expand_value variable_value(void *owner, enum expand_variable variable)
{
	struct delivery_context *context = owner;
	const struct spool_envelope *envelope = context->entry->envelope;
	size_t at = slice_find_last(envelope->sender, '@');
	struct expand_value kept = { 0 };
	switch (variable) {
	case EXPAND_MESSAGE_EXIM_ID: return text_value(slice_of(context->entry->id.text));
	case EXPAND_MESSAGE_SIZE: return number_value(context, (int64_t)envelope->body_size);
	case EXPAND_MESSAGE_AGE: return number_value(context, (clock_wall_now() - envelope->received_ns) / CLOCK_SECOND);
	case EXPAND_RECEIVED_TIME: return number_value(context, envelope->received_ns / CLOCK_SECOND);
	case EXPAND_RECIPIENTS_COUNT: return number_value(context, (int64_t)envelope->recipient_count);
	case EXPAND_RETURN_PATH:
	case EXPAND_SENDER_ADDRESS: return peer_value(envelope->sender);
	case EXPAND_SENDER_ADDRESS_LOCAL_PART: return peer_value(slice_first(envelope->sender, at));
	case EXPAND_SENDER_ADDRESS_DOMAIN: return peer_value(slice_from(envelope->sender, at + 1));
	case EXPAND_SENDER_HOST_ADDRESS: return text_value(envelope->host_address);
	case EXPAND_SENDER_HOST_PORT: return number_value(context, envelope->port);
	case EXPAND_SENDER_HOST_NAME: return peer_value(envelope->host_name);
	case EXPAND_SENDER_FULLHOST: return envelope->host_address.len ? peer_value(full_host(context)) : (struct expand_value){ 0 };
	case EXPAND_SENDER_HOST_AUTHENTICATED: return text_value(envelope->authenticated);
	case EXPAND_AUTHENTICATED_ID: return peer_value(envelope->authenticated_id);
	case EXPAND_AUTHENTICATED_SENDER: return peer_value(envelope->authenticated_sender);
	case EXPAND_SENDER_HELO_NAME: return peer_value(envelope->helo);
	case EXPAND_RECEIVED_PROTOCOL: return text_value(envelope->protocol);
	case EXPAND_SPAM_SCORE:
	case EXPAND_SPAM_SCORE_INT:
	case EXPAND_SPAM_BAR:
	case EXPAND_SPAM_ACTION: kept_value(context, slice_of(expand_variable_name(variable)), &kept); return kept;
	case EXPAND_QUEUE_NAME: return text_value(envelope->queue_name);
	default: return tls_variable(context, variable);
	}
}

/* What ACLs set when the message came in. */
static bool named(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r)
{
	char full[SPOOL_VARIABLE_NAME_MAX + 1];
	if (family != EXPAND_ACL_C && family != EXPAND_ACL_M)
		return false;
	int len = snprintf(full, sizeof full, "%c%.*s", family == EXPAND_ACL_C ? 'c' : 'm', SLICE_ARG(name));
	return (size_t)len < sizeof full && kept_value(owner, slice_make(full, (size_t)len), value_r);
}

static enum expand_result ask(void *owner, const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
			      struct error *error)
{
	struct delivery_context *context = owner;
	if (!context->lookups)
		context->lookups = lookup_cache_new(&context->entry->arena);
	struct ask_world world = { &context->entry->queue->asked, context->conf };
	return lookup_cache_ask(context->lookups, ask_world, &world, request, arena, answer_r, error);
}

void delivery_context_init(struct delivery_context *context, struct queue_entry *entry, const struct conf *conf)
{
	*context = (struct delivery_context){ .entry = entry, .conf = conf };
	context->expansions = (struct expand_context){
		.owner = context, .variable = variable_value, .named = named, .ask = ask, .headers = headers, .language = &conf->language,
		.list_cache = list_cache_new(&entry->arena), .queue_running = entry->in_run,
	};
}
