/* SPDX-License-Identifier: ISC */
#include "role/session.h"

#include "base/cleanup.h"
#include "base/fatal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- The keeper ---- */

struct ipc_peer *front_wait_peer(struct front *front, struct ipc_peer **slot, int64_t deadline)
{
	while (!*slot || ipc_is_lost(*slot))
		if (wait_list_wait(&front->connected, deadline) < 0)
			return NULL;
	return *slot;
}

/* Called by OpenSSL in the middle of a handshake; the task waits for the keeper's answer here (tls/remote_key.h). */
static size_t ask_keeper(void *owner, const struct sign_request *request, unsigned char *signature)
{
	struct front *front = owner;
	int64_t deadline = clock_after(20 * CLOCK_SECOND);
	struct ipc_peer *keeper = front_wait_peer(front, &front->keeper, deadline);
	struct ipc_sign message = {
		.key = slice_make(request->key.bytes, KEY_ID_LEN),
		.scheme = request->scheme,
		.digest = (uint64_t)request->digest,
		.input = request->input,
	};
	struct ipc_reply reply = { 0 };
	struct ipc_signed answer;
	size_t length = 0;
	if (keeper && ipc_call(keeper, sign, SIGN, &message, NULL, 0, deadline, &reply) == 0 &&
	    reply.type == IPC_SIGNED_MESSAGE && ipc_unpack_signed(reply.body, &answer) && answer.signature.len <= SIGNATURE_MAX) {
		length = answer.signature.len;
		if (length)
			memcpy(signature, answer.signature.data, length);
	}
	ipc_reply_free(&reply);
	return length;
}

/* ---- Peers ---- */

static void unexpected(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	(void)owner;
	(void)peer;
	(void)incoming; /* a late answer to a call that timed out */
}

static void peer_lost(void *owner, struct ipc_peer *peer)
{
	struct front *front = owner;
	if (front->keeper == peer)
		front->keeper = NULL;
	if (front->queue == peer)
		front->queue = NULL;
	ipc_close_later(peer);
}

static const struct ipc_handler peer_handler = { unexpected, peer_lost };

static void from_fetch(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct front *front = owner;
	struct ipc_proof message;
	struct ocsp_print print;
	(void)peer;
	if (incoming->type != IPC_PROOF_MESSAGE || !ipc_unpack_proof(incoming->body, &message) ||
	    message.certificate.len != sizeof print.bytes)
		return;
	memcpy(print.bytes, message.certificate.data, sizeof print.bytes);
	ocsp_pool_put(front->proofs, &print, message.proof);
}

static const struct ipc_handler fetch_handler = { from_fetch, peer_lost };

static void front_connected(struct role_process *role, int fd, enum role other, unsigned index, uid_t uid)
{
	struct front *front = role->state;
	(void)index;
	(void)uid;
	if (ask_lines_connected(&front->asked, role->loop, fd, ROLE_FRONT, other))
		return;
	if (other == ROLE_FETCH) {
		ipc_open(role->loop, fd, ROLE_FRONT, ROLE_FETCH, &fetch_handler, front);
		return;
	}
	struct ipc_peer **slot = other == ROLE_KEEPER ? &front->keeper : &front->queue;
	ensure(other == ROLE_KEEPER || other == ROLE_QUEUE);
	if (*slot)
		ipc_close_later(*slot);
	*slot = ipc_open(role->loop, fd, ROLE_FRONT, other, &peer_handler, front);
	wait_list_wake_all(&front->connected);
}

/* ---- Material ---- */

static void take_listener(struct front *front, struct ipc_incoming *incoming)
{
	struct ipc_listener message;
	struct net_address address;
	if (!ipc_unpack_listener(incoming->body, &message) || incoming->fd_count != 1 || message.port > UINT16_MAX ||
	    !net_address_parse(message.address, &address) || front->next_count == 2 * CONF_LISTENERS_MAX)
		fatal("the master's message about a listener is malformed");
	address.port = (uint16_t)message.port;
	struct front_listener *listener = xcalloc(1, sizeof *listener);
	*listener = (struct front_listener){ .front = front, .fd = fd_take(&incoming->fds[0]), .address = address };
	front->next_listeners = xrealloc(front->next_listeners, (front->next_count + 1) * sizeof listener);
	front->next_listeners[front->next_count++] = listener;
}

static void accept_waiting(struct front_listener *listener);

static void end_listener(struct front *front, struct ipc_incoming *incoming)
{
	struct ipc_listener_ended message;
	struct net_address address;
	if (!ipc_unpack_listener_ended(incoming->body, &message) || message.port > UINT16_MAX || !net_address_parse(message.address, &address))
		fatal("the master's message about the end of a listener is malformed");
	address.port = (uint16_t)message.port;
	for (size_t i = 0; i < front->listener_count; i++) {
		struct front_listener *listener = front->listeners[i];
		if (!net_address_equal(&listener->address, &address) || listener->address.port != address.port)
			continue;
		accept_waiting(listener);
		task_cancel(listener->task);
		front->listeners[i] = front->listeners[--front->listener_count];
		return;
	}
}

static void take_counters(struct front *front, struct ipc_incoming *incoming)
{
	struct ipc_counters message;
	struct error error;
	if (!ipc_unpack_counters(incoming->body, &message) || incoming->fd_count != 1)
		fatal("the master's message about counters is malformed");
	if (front->counters)
		return; /* a reload changes nothing here */
	front->counters = counters_open(incoming->fds[0], (unsigned)message.index, &error);
	if (!front->counters)
		fatal("%s", error.text);
}

static void take_tickets(struct front *front, struct ipc_incoming *incoming)
{
	struct ipc_tickets message;
	if (!ipc_unpack_tickets(incoming->body, &message) || message.keys.len != sizeof front->tickets)
		fatal("the master's message about ticket keys is malformed");
	memcpy(&front->tickets, message.keys.data, sizeof front->tickets);
	if (front->tickets.count > TICKET_KEYS)
		front->tickets.count = 0;
}

static void front_material(struct role_process *role, struct ipc_incoming *incoming)
{
	switch (incoming->type) {
	case IPC_TLS_FILE_MESSAGE: front_tls_take_file(role->state, incoming); break;
	case IPC_LISTENER_MESSAGE: take_listener(role->state, incoming); break;
	case IPC_LISTENER_ENDED_MESSAGE: end_listener(role->state, incoming); break;
	case IPC_COUNTERS_MESSAGE: take_counters(role->state, incoming); break;
	case IPC_TICKETS_MESSAGE: take_tickets(role->state, incoming); break;
	default: break;
	}
}

/* ---- Listening ---- */

static void accept_connection(struct front_listener *listener, int fd, const struct sockaddr_storage *from, socklen_t len)
{
	struct net_address host;
	if (!net_address_from_sockaddr((const struct sockaddr *)from, len, &host)) {
		close(fd);
		return;
	}
	host = net_address_unmap(host);
	session_start(listener->front, fd, &host, listener);
}

/* False with errno: there was none. */
static bool accept_one(struct front_listener *listener)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	int fd = accept4(listener->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		accept_connection(listener, fd, &from, len);
	return fd >= 0;
}

/* Whom the closing of the socket would reset: as many as its queue can hold. */
static void accept_waiting(struct front_listener *listener)
{
	int64_t most = listener->front->role->conf->main.smtp_connect_backlog;
	while (most-- >= 0 && accept_one(listener))
		continue;
}

static void accept_task(void *arg)
{
	struct front_listener *listener = arg;
	struct front *front = listener->front;
	bool complained = false;
	while (!task_is_cancelled(task_current())) {
		if (accept_one(listener)) {
			complained = false;
		} else if (errno == EAGAIN) {
			io_wait(listener->fd, IO_READ, CLOCK_NEVER);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			if (!complained)
				log_line(&front->role->log, LOG_KIND_PANIC, "cannot accept connections: %s", strerror(errno));
			complained = true;
			task_sleep_until(clock_after(100 * CLOCK_MS));
		}
	}
	io_close(&listener->fd);
	task_release(listener->task);
	tls_server_unref(listener->tls);
	free(listener);
}

static bool is_tls_on_connect(const struct conf *conf, const struct net_address *address)
{
	for (size_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i].address.port == address->port && conf->listeners[i].tls_on_connect)
			return true;
	return false;
}

static void stop_listening(struct front *front)
{
	for (size_t i = 0; i < front->listener_count; i++)
		task_cancel(front->listeners[i]->task);
	free(front->listeners);
	front->listeners = NULL;
	front->listener_count = 0;
}

/* The sockets of the new set are the old ones' descriptors again where nothing changed: no connection is lost between. */
static void start_listening(struct front *front, const struct conf *conf)
{
	stop_listening(front);
	front->listeners = front->next_listeners;
	front->listener_count = front->next_count;
	front->next_listeners = NULL;
	front->next_count = 0;
	for (size_t i = 0; i < front->listener_count; i++) {
		struct front_listener *listener = front->listeners[i];
		listener->tls_on_connect = is_tls_on_connect(conf, &listener->address);
		struct error ignored; /* told by front_tls_apply */
		listener->tls = front_tls_for_port(front, conf, listener->address.port, listener->tls_on_connect, &ignored);
		listener->task = task_spawn(front->role->loop, accept_task, listener, "accept");
		task_hold(listener->task);
	}
}

struct front_listener *front_find_listener(struct front *front, const struct net_address *address)
{
	for (size_t i = 0; i < front->listener_count; i++)
		if (net_address_equal(&front->listeners[i]->address, address) && front->listeners[i]->address.port == address->port)
			return front->listeners[i];
	return NULL;
}

static void drop_next_listeners(struct front *front)
{
	for (size_t i = 0; i < front->next_count; i++) {
		fd_close(&front->next_listeners[i]->fd);
		free(front->next_listeners[i]);
	}
	free(front->next_listeners);
	front->next_listeners = NULL;
	front->next_count = 0;
}

/* ---- Life ---- */

static bool front_start(struct role_process *role, struct error *error)
{
	struct front *front = role->state;
	front->role = role;
	front->signer = (struct remote_signer){ ask_keeper, front };
	front->proofs = ocsp_pool_new();
	front->library = tls_library_new(error);
	if (!front->library)
		return false;
	front_tls_start(front);
	return true;
}

static bool front_apply(struct role_process *role, struct error *error)
{
	struct front *front = role->state;
	ocsp_pool_enable(front->proofs, role->next->main.tls_ocsp_fetch);
	if (!front_tls_apply(front, role->next, !role->conf, error)) {
		drop_next_listeners(front);
		return false;
	}
	start_listening(front, role->next);
	return true;
}

static void front_drain(struct role_process *role)
{
	struct front *front = role->state;
	stop_listening(front);
	for (int hard = 0; hard < 2; hard++) {
		for (struct session *session = front->sessions, *next; session; session = next) {
			next = session->next;
			session_interrupt(session, hard);
		}
		int64_t deadline = hard ? clock_after(CLOCK_SECOND) : role->drain_deadline;
		while (front->session_count && wait_list_wait(&front->session_ended, deadline) == 0)
			continue;
	}
}

const struct role_ops front_ops = {
	.state_size = sizeof(struct front),
	.start = front_start,
	.material = front_material,
	.apply = front_apply,
	.connected = front_connected,
	.drain = front_drain,
};
