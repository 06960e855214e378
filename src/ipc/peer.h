/* SPDX-License-Identifier: ISC */
/*
 * A connection to another role: a SOCK_SEQPACKET socket, read by a task of its own. Messages to send are gathered and leave
 * in one system call before the loop waits. A call sends a message and parks the task until the answer, the deadline, or
 * the loss of the peer (-EPIPE).
 *
 * Ownership: the peer owns its descriptor. Descriptors to send stay the caller's: a message
 * has duplicates of them, a call borrows them until it returns. Received descriptors belong to the handler,
 * which takes them (sets them to -1) or leaves them to be closed.
 *
 *   ipc_open ──▶ OPEN ── end of stream, a forbidden message, a full queue ──▶ LOST: calls fail with -EPIPE, handler->lost
 *                 └───── ipc_close ──▶ freed                                    is called once; ipc_close frees it
 *
 * A peer is closed once: the end of the stream that arrives while ipc_close waits is not told to the handler any more.
 */
#ifndef POSTERN_IPC_PEER_H
#define POSTERN_IPC_PEER_H

#include "ipc/message.h"

#include <stdint.h>

struct ipc_peer;

struct ipc_incoming {
	enum ipc_type type;
	uint64_t call;     /* to repeat in the answer; 0 when none is wanted */
	struct slice body; /* valid during the handler's call only */
	int fds[IPC_FDS_MAX];
	unsigned fd_count;
};

struct ipc_handler {
	/* Called for every message that is not an answer, on the peer's reading task: it must not wait for long. */
	void (*message)(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming);
	/* Called once when the peer is lost, unless it is being closed; may be NULL. ipc_close is still due. */
	void (*lost)(void *owner, struct ipc_peer *peer);
};

/* `self` and `other` decide which messages may pass. Takes the descriptor. On the running loop, or before it runs with `loop`. */
struct loop;
struct ipc_peer *ipc_open(struct loop *loop, int fd, enum role self, enum role other, const struct ipc_handler *handler,
			  void *owner);
/* Waits for calls to fail and for holds to be released; NULL is allowed. Not from the peer's own handler: there ipc_close_later. */
void ipc_close(struct ipc_peer *peer);
/* The same on a task of its own; no effect on a peer that is being closed. */
void ipc_close_later(struct ipc_peer *peer);
/* A task that will answer here keeps the peer from being freed. */
void ipc_hold(struct ipc_peer *peer);
void ipc_release(struct ipc_peer *peer);
bool ipc_is_lost(const struct ipc_peer *peer);
/* Sends what is gathered now, waiting for room: before a role ends. */
void ipc_flush(struct ipc_peer *peer, int64_t deadline);

typedef bool ipc_pack_function(struct buf *buf, const void *message);

/* Queues a message: false when the peer is lost or the message is too large. `call` is 0 or that of the request answered. */
bool ipc_send_packed(struct ipc_peer *peer, enum ipc_type type, uint64_t call, ipc_pack_function *pack, const void *message,
		     const int *fds, unsigned fd_count);
/* The answer's fields, in memory that ipc_reply_free gives back. */
struct ipc_reply {
	enum ipc_type type;
	struct slice body;
	int fds[IPC_FDS_MAX];
	unsigned fd_count;
	void *memory;
};
/* 0, or -EPIPE, -ETIMEDOUT, -EMSGSIZE. Not ended by cancellation before its deadline: the answer decides about mail. */
int ipc_call_packed(struct ipc_peer *peer, enum ipc_type type, ipc_pack_function *pack, const void *message, const int *fds,
		    unsigned fd_count, int64_t deadline, struct ipc_reply *reply_r);
void ipc_reply_free(struct ipc_reply *reply);

/* ipc_send(peer, sign, SIGN, call, &message, fds, count): the typed form. The descriptors are duplicated: they stay the caller's. */
#define ipc_send(peer, name, NAME, call, message, fds, fd_count)                                                      \
	ipc_send_packed((peer), IPC_##NAME##_MESSAGE, (call), ipc_pack_##name,                                       \
			(1 ? (message) : (const struct ipc_##name *)0), (fds), (fd_count))
#define ipc_call(peer, name, NAME, message, fds, fd_count, deadline, reply_r)                                        \
	ipc_call_packed((peer), IPC_##NAME##_MESSAGE, ipc_pack_##name,                                               \
			(1 ? (message) : (const struct ipc_##name *)0), (fds), (fd_count), (deadline), (reply_r))

#endif
