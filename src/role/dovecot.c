/* SPDX-License-Identifier: ISC */
/* Exchanges with Dovecot, in the lookup role. */
#include "role/dovecot.h"

#include "auth/dovecot_protocol.h"
#include "base/fatal.h"
#include "lookup/lookup.h"
#include "tls/stream.h"

#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

#define CLIENT_TIME (2 * 60 * CLOCK_SECOND) /* of all responses of a client together */

struct dialogue {
	struct dialogue *next;
	uint64_t number;
	struct ipc_peer *peer;    /* the front that began it, */
	uint64_t call;            /* and its question that is to be answered; 0: it is the client's turn */
	struct wait_list turn;    /* the client has answered, or gone */
	bool dropped;
	const struct authenticator *authenticator;
	struct stream stream;
	struct buf in;
	struct dovecot_protocol protocol;
	struct arena arena;       /* of a step: a response, a challenge; overwritten after it */
	struct slice response;
	int64_t deadline;         /* of Dovecot's next answer */
	struct error error;
};

static void say(struct ipc_peer *peer, uint64_t call, enum auth_outcome outcome, uint64_t dialogue, struct slice text, const char *problem)
{
	struct ipc_dovecot_said message = { .outcome = outcome, .dialogue = dialogue, .text = text, .problem = slice_of(problem) };
	if (call)
		ipc_send(peer, dovecot_said, DOVECOT_SAID, call, &message, NULL, 0);
}

/* ---- With Dovecot ---- */

/* The socket fails, or its other end. */
static enum dovecot_event broken(struct dialogue *dialogue, const char *what, int result)
{
	error_set(&dialogue->error, ERROR_TEMPORARY, "%s%s", what,
		  result == -ETIMEDOUT ? "it did not answer in time" : result == 0 ? "it ended the connection" : strerror(-result));
	return DOVECOT_LATER;
}

static enum dovecot_event tell(struct dialogue *dialogue, struct slice line)
{
	int result = stream_write(&dialogue->stream, line, dialogue->deadline);
	return result < 0 ? broken(dialogue, "writing: ", result) : DOVECOT_WAIT;
}

/* The next event; DOVECOT_WAIT is none. */
static enum dovecot_event hear(struct dialogue *dialogue, struct slice *text_r)
{
	enum { PIECE = 1024 };
	for (;;) {
		enum dovecot_event event = dovecot_take(&dialogue->protocol, &dialogue->in, &dialogue->arena, text_r, &dialogue->error);
		if (event != DOVECOT_WAIT)
			return event;
		char *room = buf_reserve(&dialogue->in, PIECE);
		ensure(room); /* DOVECOT_INPUT_MAX is more than what dovecot_take leaves there */
		ssize_t n = stream_read(&dialogue->stream, room, PIECE, dialogue->deadline);
		if (n <= 0)
			return broken(dialogue, "", (int)n);
		buf_commit(&dialogue->in, (size_t)n);
	}
}

static enum dovecot_event greet(struct dialogue *dialogue)
{
	struct slice text;
	int fd = lookup_connect_unix(dialogue->authenticator->server_socket, dialogue->deadline);
	if (fd < 0)
		return broken(dialogue, "connecting: ", fd);
	stream_init(&dialogue->stream, fd);
	enum dovecot_event event = tell(dialogue, dovecot_greeting(&dialogue->arena));
	return event == DOVECOT_LATER ? event : hear(dialogue, &text);
}

/* ---- With the front ---- */

/* Answers the front's question; false: the dialogue is over. */
static bool answer(struct dialogue *dialogue, enum dovecot_event event, struct slice text)
{
	static const enum auth_outcome outcomes[] = {
		[DOVECOT_CHALLENGE] = AUTH_CHALLENGE, [DOVECOT_YES] = AUTH_DONE, [DOVECOT_NO] = AUTH_FAILED, [DOVECOT_LATER] = AUTH_DEFERRED,
	};
	bool goes_on = event == DOVECOT_CHALLENGE;
	uint64_t call = dialogue->call;
	if (event == DOVECOT_LATER)
		error_context(&dialogue->error, "Dovecot at %.*s", SLICE_ARG(dialogue->authenticator->server_socket));
	dialogue->call = 0;
	say(dialogue->peer, call, outcomes[event], goes_on ? dialogue->number : 0, text, event == DOVECOT_LATER ? dialogue->error.text : "");
	return goes_on;
}

/* False: the client has gone, or its front, or it took too long. */
static bool await_response(struct dialogue *dialogue, int64_t latest)
{
	while (!dialogue->call && !dialogue->dropped)
		if (wait_list_wait(&dialogue->turn, latest) < 0)
			return false;
	return !dialogue->dropped;
}

static void forget_step(struct dialogue *dialogue)
{
	arena_wipe(&dialogue->arena);
	arena_init(&dialogue->arena, 0);
}

/* From now on it is Dovecot's turn. */
static void set_deadline(struct dialogue *dialogue)
{
	dialogue->deadline = clock_after(dialogue->authenticator->server_timeout);
}

static void talk(struct dialogue *dialogue, const struct dovecot_client *client, const struct slice *initial)
{
	struct slice text = { 0 };
	int64_t latest = clock_after(CLIENT_TIME);
	set_deadline(dialogue);
	enum dovecot_event event = greet(dialogue);
	if (event == DOVECOT_GREETED)
		event = tell(dialogue, dovecot_request(&dialogue->protocol, client, initial, &dialogue->arena));
	if (event == DOVECOT_WAIT)
		event = hear(dialogue, &text);
	while (answer(dialogue, event, text)) {
		forget_step(dialogue);
		if (!await_response(dialogue, latest))
			return;
		set_deadline(dialogue);
		text = (struct slice){ 0 };
		event = tell(dialogue, dovecot_response(dialogue->response, &dialogue->arena));
		if (event == DOVECOT_WAIT)
			event = hear(dialogue, &text);
	}
}

static uint64_t make_number(void)
{
	uint64_t number = 0;
	while (number == 0)
		ensure(RAND_bytes((unsigned char *)&number, sizeof number) == 1);
	return number;
}

static void run(struct dovecot *dovecot, const struct authenticator *authenticator, const struct ipc_dovecot_begin *begin,
		const struct answering_other *message)
{
	struct dialogue dialogue = {
		.next = dovecot->dialogues, .number = make_number(), .peer = message->peer, .call = message->call,
		.authenticator = authenticator, .stream = { .fd = -1 }, .protocol = { .mechanism = authenticator->public_name },
	};
	const struct dovecot_client client = {
		.client = begin->client, .local = begin->local, .secured = begin->flags & DOVECOT_SECURED,
		.certificate = begin->flags & DOVECOT_CERTIFICATE,
	};
	buf_init(&dialogue.in, DOVECOT_INPUT_MAX);
	arena_init(&dialogue.arena, 0);
	dovecot->dialogues = &dialogue;
	talk(&dialogue, &client, begin->flags & DOVECOT_HAS_RESPONSE ? &begin->response : NULL);
	struct dialogue **at = &dovecot->dialogues;
	while (*at != &dialogue)
		at = &(*at)->next;
	*at = dialogue.next;
	if (dialogue.stream.fd >= 0)
		stream_close(&dialogue.stream);
	buf_free(&dialogue.in);
	arena_wipe(&dialogue.arena);
}

/* ---- Messages ---- */

static const struct authenticator *find_authenticator(const struct conf *conf, struct slice name)
{
	for (size_t i = 0; i < conf->authenticator_count; i++)
		if (slice_equal(conf->authenticators[i].name, name) && conf->authenticators[i].server_socket.len)
			return &conf->authenticators[i];
	return NULL;
}

/* The text becomes a word of a line, so it must be an address and nothing else. */
static bool is_address(struct slice text)
{
	struct net_address address;
	return text.len == 0 || net_address_parse(text, &address);
}

static void begin(struct dovecot *dovecot, const struct conf *conf, const struct answering_other *message)
{
	struct ipc_dovecot_begin begin;
	const struct authenticator *authenticator = NULL;
	bool good = ipc_unpack_dovecot_begin(message->body, &begin) && begin.response.len <= AUTH_DATA_MAX && is_address(begin.client) &&
		    is_address(begin.local);
	if (good)
		authenticator = find_authenticator(conf, begin.authenticator);
	if (authenticator)
		run(dovecot, authenticator, &begin, message);
	else
		say(message->peer, message->call, AUTH_DEFERRED, 0, (struct slice){ 0 },
		    good ? "the configuration has changed: there is no such authenticator any more" : "malformed question to Dovecot");
}

static struct dialogue *find_dialogue(const struct dovecot *dovecot, const struct ipc_peer *peer, uint64_t number)
{
	struct dialogue *dialogue = dovecot->dialogues;
	while (dialogue && (dialogue->number != number || dialogue->peer != peer))
		dialogue = dialogue->next;
	return dialogue;
}

static void hand_over(struct dovecot *dovecot, const struct answering_other *message)
{
	struct ipc_dovecot_response response;
	struct dialogue *dialogue = NULL;
	if (ipc_unpack_dovecot_response(message->body, &response) && response.response.len <= AUTH_DATA_MAX)
		dialogue = find_dialogue(dovecot, message->peer, response.dialogue);
	if (!dialogue || dialogue->call || dialogue->dropped) {
		say(message->peer, message->call, AUTH_DEFERRED, 0, (struct slice){ 0 }, "the exchange with Dovecot was over: it took too long, or "
		    "the lookup process was started again");
		return;
	}
	dialogue->dropped = !response.given || !message->call;
	dialogue->call = message->call;
	dialogue->response = arena_copy(&dialogue->arena, response.response);
	wait_list_wake_all(&dialogue->turn);
}

void dovecot_answer(struct dovecot *dovecot, const struct conf *conf, const struct answering_other *message)
{
	if (!conf)
		say(message->peer, message->call, AUTH_DEFERRED, 0, (struct slice){ 0 }, "too many logins by Dovecot are under way");
	else if (message->type == IPC_DOVECOT_BEGIN_MESSAGE)
		begin(dovecot, conf, message);
	else
		hand_over(dovecot, message);
}
