/* SPDX-License-Identifier: ISC */
/*
 * A pretended session: the code of a front's session (role/session.h) and of the lookup and run roles in one process and on one
 * loop, with a queue that says yes to every message and keeps none. So what a session does here is what it does in the server, but for
 * the walls, the limits over all fronts, and TLS, which is there from the start or not at all.
 *
 *   descriptor ⇄ session ── questions ──▶ lookup role, run role
 *                   └────── messages, local users ──▶ a queue that logs what it would have taken
 */
#ifndef POSTERN_ROLE_REHEARSAL_H
#define POSTERN_ROLE_REHEARSAL_H

#include "base/log.h"
#include "conf/conf.h"
#include "net/address.h"

struct loop;

struct rehearsal {
	struct conf *conf;
	struct net_address host, interface; /* with their ports */
	struct slice host_name;             /* found already; empty: looked up when it is wanted */
	struct slice ident;                 /* $sender_ident; empty: none */
	struct slice authenticated;         /* name of the authenticator that the client has passed already; empty: none */
	struct slice authenticated_id;      /* as whom; may be empty */
	bool tls;                           /* as if within TLS */
	void *owner;
	/* A line for the logs, and a step of a decision. Texts may be a peer's; lines have their control characters escaped. */
	void (*log)(void *owner, enum log_kind kind, struct slice line);
	void (*trace)(void *owner, unsigned depth, struct slice text);
	/* Replies so far are sent, and the session waits for more from the client. */
	void (*waiting)(void *owner);
};

/*
 * Runs a session with the client at the other end of `fd`, a stream socket that does not block, which is taken. To be called on a task; returns when
 * the session has ended: false with *error when it could not begin.
 */
bool rehearse(struct loop *loop, const struct rehearsal *rehearsal, int fd, struct error *error);

#endif
