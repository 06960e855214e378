/* SPDX-License-Identifier: ISC */
#include "ipc/peer.h"

#include "base/fatal.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { QUEUE_MAX = 8192, SEND_BATCH = 16, RECEIVE_BATCH = 8, HEADER_LEN = 16, SECRET_ROOM = 4096 };

struct outgoing {
	struct outgoing *next;
	struct buf bytes;
	int fds[IPC_FDS_MAX];
	unsigned fd_count;
	bool secret;
	bool borrowed; /* the descriptors are those of a caller that waits for the answer: not to be closed */
	uint64_t call;
};

/* A call under way, on its task's stack. */
struct call {
	struct task *task;
	struct ipc_reply *reply;
	uint64_t number;
	int result;
	bool answered;
	struct call *next;
};

enum { CALL_BUCKETS = 256 };

struct ipc_peer {
	int fd;
	enum role self, other;
	const struct ipc_handler *handler;
	void *owner;
	struct loop *loop;
	struct task *reader, *writer;
	struct loop_hook hook;
	struct outgoing *out_first, *out_last;
	size_t out_count;
	struct call *calls[CALL_BUCKETS];
	uint64_t last_call;
	bool lost, blocked, closing;
	unsigned holds; /* tasks inside ipc_call, and those that will answer */
	struct wait_list released;
	char *buffer; /* of RECEIVE_BATCH messages; pages that no message needed cost nothing */
};

/* ---- Sending ---- */

static void free_outgoing(struct outgoing *out)
{
	if (out->secret && out->bytes.data)
		explicit_bzero(out->bytes.data, out->bytes.size);
	buf_free(&out->bytes);
	for (unsigned i = 0; i < out->fd_count && !out->borrowed; i++)
		close(out->fds[i]);
	free(out);
}

static void drop_queue(struct ipc_peer *peer)
{
	while (peer->out_first) {
		struct outgoing *out = peer->out_first;
		peer->out_first = out->next;
		free_outgoing(out);
	}
	peer->out_last = NULL;
	peer->out_count = 0;
}

union fd_control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
};

static void fill_message(struct msghdr *message, struct iovec *part, union fd_control *control, const struct outgoing *out)
{
	struct slice bytes = buf_slice(&out->bytes);
	*part = (struct iovec){ .iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.len };
	*message = (struct msghdr){ .msg_iov = part, .msg_iovlen = 1 };
	if (out->fd_count == 0)
		return;
	size_t len = sizeof(int) * out->fd_count;
	memset(control, 0, sizeof *control);
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(len);
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(header), out->fds, len);
}

/* Sends until the queue is empty (true) or the socket takes no more (false). */
static bool send_queue(struct ipc_peer *peer)
{
	while (peer->out_first && !peer->lost) {
		struct mmsghdr messages[SEND_BATCH];
		struct iovec parts[SEND_BATCH];
		union fd_control controls[SEND_BATCH];
		unsigned count = 0;
		for (struct outgoing *out = peer->out_first; out && count < SEND_BATCH; out = out->next, count++)
			fill_message(&messages[count].msg_hdr, &parts[count], &controls[count], out);
		int sent = sendmmsg(peer->fd, messages, count, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN)
			return false;
		if (sent < 0) {
			drop_queue(peer); /* the reader finds out as well, and tells the owner */
			return true;
		}
		for (int i = 0; i < sent; i++) {
			struct outgoing *out = peer->out_first;
			peer->out_first = out->next;
			peer->out_count--;
			free_outgoing(out);
		}
		if (!peer->out_first)
			peer->out_last = NULL;
	}
	return true;
}

static void flush_hook(void *arg)
{
	struct ipc_peer *peer = arg;
	if (!peer->out_first || peer->blocked)
		return;
	if (!send_queue(peer)) {
		peer->blocked = true;
		task_wake(peer->writer, 0);
	}
}

/* Waits for room whenever the hook found none. */
static void writer_task(void *arg)
{
	struct ipc_peer *peer = arg;
	while (!task_is_cancelled(task_current())) {
		if (!peer->blocked) {
			task_wait(CLOCK_NEVER);
			continue;
		}
		if (io_wait(peer->fd, IO_WRITE, CLOCK_NEVER) == 0 && send_queue(peer))
			peer->blocked = false;
	}
}

static bool enqueue(struct ipc_peer *peer, enum ipc_type type, uint64_t call, ipc_pack_function *pack, const void *message,
		    const int *fds, unsigned fd_count, bool borrow)
{
	if (peer->lost || peer->out_count >= QUEUE_MAX)
		return false;
	ensure(fd_count <= ipc_rules[type].fds);
	struct outgoing *out = xcalloc(1, sizeof *out);
	*out = (struct outgoing){ .borrowed = borrow, .call = call, .secret = ipc_is_secret(type) };
	buf_init(&out->bytes, IPC_MESSAGE_MAX);
	if (out->secret) /* room for all of it at once: growing would leave a copy behind */
		buf_reserve(&out->bytes, SECRET_ROOM);
	uint64_t header[2] = { type, call };
	bool fits = buf_append(&out->bytes, slice_make(header, sizeof header)) && pack(&out->bytes, message);
	for (unsigned i = 0; fits && i < fd_count; i++) {
		out->fds[i] = borrow ? fds[i] : fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		fits = out->fds[i] >= 0;
		out->fd_count += fits;
	}
	if (!fits) {
		free_outgoing(out);
		return false;
	}
	if (peer->out_last)
		peer->out_last->next = out;
	else
		peer->out_first = out;
	peer->out_last = out;
	peer->out_count++;
	return true;
}

bool ipc_send_packed(struct ipc_peer *peer, enum ipc_type type, uint64_t call, ipc_pack_function *pack, const void *message,
		     const int *fds, unsigned fd_count)
{
	return enqueue(peer, type, call, pack, message, fds, fd_count, false);
}

/* A call that was given up before its question left takes the question, and the descriptors that it borrowed, back. */
static void take_back(struct ipc_peer *peer, uint64_t call)
{
	struct outgoing *before = NULL;
	for (struct outgoing *out = peer->out_first; out; before = out, out = out->next) {
		if (out->call != call || !out->borrowed)
			continue;
		if (before)
			before->next = out->next;
		else
			peer->out_first = out->next;
		if (peer->out_last == out)
			peer->out_last = before;
		peer->out_count--;
		free_outgoing(out);
		return;
	}
}

void ipc_flush(struct ipc_peer *peer, int64_t deadline)
{
	while (peer->out_first && !peer->lost) {
		flush_hook(peer);
		if (peer->out_first && task_sleep_until(clock_after(CLOCK_MS)) < 0)
			return;
		if (clock_now() > deadline)
			return;
	}
}

/* ---- Receiving ---- */

static bool take_answer(struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct call **at = &peer->calls[incoming->call % CALL_BUCKETS];
	while (*at && (*at)->number != incoming->call)
		at = &(*at)->next;
	struct call *call = *at;
	if (!call)
		return false;
	*at = call->next;
	struct ipc_reply *reply = call->reply;
	reply->type = incoming->type;
	reply->memory = xcalloc(1, incoming->body.len);
	if (incoming->body.len)
		memcpy(reply->memory, incoming->body.data, incoming->body.len);
	reply->body = slice_make(reply->memory, incoming->body.len);
	reply->fd_count = incoming->fd_count;
	memcpy(reply->fds, incoming->fds, sizeof reply->fds);
	incoming->fd_count = 0;
	call->answered = true;
	task_wake(call->task, 0);
	return true;
}

static void fail_calls(struct ipc_peer *peer)
{
	for (size_t i = 0; i < CALL_BUCKETS; i++) {
		while (peer->calls[i]) {
			struct call *call = peer->calls[i];
			peer->calls[i] = call->next;
			call->answered = true;
			call->result = -EPIPE;
			task_wake(call->task, 0);
		}
	}
}

static void take_fds(struct msghdr *message, struct ipc_incoming *incoming)
{
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
			if (incoming->fd_count < IPC_FDS_MAX)
				incoming->fds[incoming->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

static bool allowed(const struct ipc_peer *peer, const struct ipc_incoming *incoming)
{
	if ((uint64_t)incoming->type >= IPC_TYPES)
		return false;
	const struct ipc_rule *rule = &ipc_rules[incoming->type];
	return (rule->from & 1u << peer->other) && (rule->to & 1u << peer->self) && incoming->fd_count <= rule->fds;
}

/* One datagram. False: it breaks the rules. */
static bool take_message(struct ipc_peer *peer, struct msghdr *message, size_t len)
{
	struct ipc_incoming incoming = { 0 };
	char *bytes = message->msg_iov->iov_base;
	uint64_t header[2] = { IPC_TYPES, 0 };
	take_fds(message, &incoming);
	bool fine = len >= HEADER_LEN && !(message->msg_flags & (MSG_TRUNC | MSG_CTRUNC));
	if (fine) {
		memcpy(header, bytes, sizeof header);
		incoming.body = slice_make(bytes + HEADER_LEN, len - HEADER_LEN);
	}
	incoming.type = header[0] < IPC_TYPES ? (enum ipc_type)header[0] : IPC_TYPES;
	incoming.call = header[1];
	fine = fine && allowed(peer, &incoming);
	if (fine && !(incoming.call && take_answer(peer, &incoming)))
		peer->handler->message(peer->owner, peer, &incoming);
	if (ipc_is_secret(incoming.type))
		explicit_bzero(bytes, len);
	for (unsigned i = 0; i < incoming.fd_count; i++)
		if (incoming.fds[i] >= 0)
			close(incoming.fds[i]);
	return fine;
}

/* What is there, up to a batch. 1: there may be more, 0: all was taken, -1: the peer is gone or breaks the rules. */
static int receive_batch(struct ipc_peer *peer)
{
	struct mmsghdr messages[RECEIVE_BATCH];
	struct iovec parts[RECEIVE_BATCH];
	union fd_control controls[RECEIVE_BATCH];
	for (unsigned i = 0; i < RECEIVE_BATCH; i++) {
		parts[i] = (struct iovec){ peer->buffer + (size_t)i * IPC_MESSAGE_MAX, IPC_MESSAGE_MAX };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1, .msg_control = &controls[i],
						       .msg_controllen = sizeof controls[i] };
	}
	int count = recvmmsg(peer->fd, messages, RECEIVE_BATCH, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	/* Told once, before what the other side has sent, when it ended and left something of ours unread: its last words follow. */
	if (count < 0 && errno == ECONNRESET)
		return 1;
	if (count < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	bool fine = count > 0;
	for (int i = 0; i < count; i++)
		fine = take_message(peer, &messages[i].msg_hdr, messages[i].msg_len) && fine;
	return !fine ? -1 : count == RECEIVE_BATCH;
}

static void reader_task(void *arg)
{
	struct ipc_peer *peer = arg;
	for (;;) {
		int result = receive_batch(peer);
		if (result < 0)
			break;
		if (result == 0 && io_wait(peer->fd, IO_READ, CLOCK_NEVER) < 0)
			break;
	}
	if (task_is_cancelled(task_current()))
		return;
	peer->lost = true;
	drop_queue(peer);
	fail_calls(peer);
	/* Whoever closes it knows, and may have a successor in its place by now. */
	if (peer->handler->lost && !peer->closing)
		peer->handler->lost(peer->owner, peer);
}

/* ---- Opening, closing, calling ---- */

struct ipc_peer *ipc_open(struct loop *loop, int fd, enum role self, enum role other, const struct ipc_handler *handler,
			  void *owner)
{
	struct ipc_peer *peer = xcalloc(1, sizeof *peer);
	*peer = (struct ipc_peer){ .fd = fd, .self = self, .other = other, .handler = handler, .owner = owner, .loop = loop };
	/* Answers and calls are numbered from different ends, so that a request is never taken for an answer. */
	peer->last_call = self < other ? 1 : 2;
	peer->buffer = xcalloc(RECEIVE_BATCH, IPC_MESSAGE_MAX);
	peer->hook = (struct loop_hook){ .call = flush_hook, .arg = peer };
	loop_add_hook(loop, &peer->hook);
	peer->reader = task_spawn(loop, reader_task, peer, "ipc reader");
	peer->writer = task_spawn(loop, writer_task, peer, "ipc writer");
	task_hold(peer->reader);
	task_hold(peer->writer);
	return peer;
}

static void end_task(struct task *task)
{
	ensure(task != task_current()); /* a handler must not close its own peer: spawn a task that does */
	task_cancel(task);
	while (!task_is_done(task))
		if (task_join(task, CLOCK_NEVER) == -ECANCELED)
			task_yield();
	task_release(task);
}

void ipc_close(struct ipc_peer *peer)
{
	if (!peer)
		return;
	peer->closing = true;
	peer->lost = true;
	fail_calls(peer);
	while (peer->holds)
		if (wait_list_wait(&peer->released, CLOCK_NEVER) == -ECANCELED)
			task_yield();
	end_task(peer->reader);
	end_task(peer->writer);
	loop_remove_hook(peer->loop, &peer->hook);
	drop_queue(peer);
	io_close(&peer->fd);
	free(peer->buffer);
	free(peer);
}

bool ipc_is_lost(const struct ipc_peer *peer)
{
	return peer->lost;
}

void ipc_hold(struct ipc_peer *peer)
{
	peer->holds++;
}

void ipc_release(struct ipc_peer *peer)
{
	ensure(peer->holds > 0);
	if (--peer->holds == 0)
		wait_list_wake_all(&peer->released);
}

static void close_task(void *arg)
{
	ipc_close(arg);
}

void ipc_close_later(struct ipc_peer *peer)
{
	if (peer->closing)
		return;
	peer->closing = true;
	task_spawn(peer->loop, close_task, peer, "close peer");
}

static void remove_call(struct ipc_peer *peer, struct call *gone)
{
	for (struct call **at = &peer->calls[gone->number % CALL_BUCKETS]; *at; at = &(*at)->next) {
		if (*at == gone) {
			*at = gone->next;
			return;
		}
	}
}

/* Waits for the answer; a task that is cancelled meanwhile still waits, for what it asked is being done. */
static int await_answer(struct call *call, int64_t deadline)
{
	while (!call->answered) {
		if (task_wait_uncancellable(deadline) == -ETIMEDOUT && !call->answered)
			return -ETIMEDOUT;
	}
	return call->result;
}

int ipc_call_packed(struct ipc_peer *peer, enum ipc_type type, ipc_pack_function *pack, const void *message, const int *fds,
		    unsigned fd_count, int64_t deadline, struct ipc_reply *reply_r)
{
	*reply_r = (struct ipc_reply){ 0 };
	peer->last_call += 2;
	struct call call = { .task = task_current(), .reply = reply_r, .number = peer->last_call };
	if (!enqueue(peer, type, call.number, pack, message, fds, fd_count, true))
		return peer->lost ? -EPIPE : -EMSGSIZE;
	struct call **bucket = &peer->calls[call.number % CALL_BUCKETS];
	call.next = *bucket;
	*bucket = &call;
	ipc_hold(peer);
	int result = await_answer(&call, deadline);
	if (!call.answered) {
		remove_call(peer, &call);
		take_back(peer, call.number);
	}
	ipc_release(peer);
	return result;
}

void ipc_reply_free(struct ipc_reply *reply)
{
	for (unsigned i = 0; i < reply->fd_count; i++)
		if (reply->fds[i] >= 0)
			close(reply->fds[i]);
	if (ipc_is_secret(reply->type) && reply->memory)
		explicit_bzero(reply->memory, reply->body.len);
	free(reply->memory);
	*reply = (struct ipc_reply){ 0 };
}
