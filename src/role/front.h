/* SPDX-License-Identifier: ISC */
/*
 * The one context of a front (front.c). A front holds client connections (sessions: role/session.h); it opens no file, makes no
 * connection, and has no key.
 */
#ifndef POSTERN_ROLE_FRONT_H
#define POSTERN_ROLE_FRONT_H

#include "base/id.h"
#include "net/counters.h"
#include "role/ask.h"
#include "role/front_tls.h"
#include "role/process.h"
#include "tls/ocsp.h"

struct front;
struct session;

struct front_listener {
	struct front *front;
	int fd;
	bool tls_on_connect;
	struct net_address address; /* with its port */
	struct tls_server *tls;     /* NULL: made for each connection, or there is none */
	struct task *task;
};

/* Somebody who looks on (role/rehearsal.h). */
struct front_watch {
	void *owner;
	void (*trace)(void *owner, unsigned depth, struct slice text); /* a step of a decision, and how deep in it */
	void (*waiting)(void *owner);                                  /* for the client, who has all replies so far */
};

struct front {
	const struct front_watch *watch; /* of a rehearsal, which has no master, no keeper and no network; NULL in a server */
	struct role_process *role;
	struct tls_library *library;
	struct remote_signer signer;
	struct ticket_keys tickets;
	struct front_tls tls;
	struct ocsp_pool *proofs;        /* from the fetch role */
	struct counters *counters;
	struct ipc_peer *keeper, *queue; /* NULL while they are being started again */
	struct ask_lines asked;
	struct wait_list connected;      /* of tasks that wait for one of them */
	struct front_listener **listeners, **next_listeners;
	size_t listener_count, next_count;
	struct session *sessions;
	size_t session_count;
	struct wait_list session_ended;
	size_t large_headers;            /* what their large header sections take (submission.c), bytes */
	struct message_id_source ids;
	char scratch[32 * 1024];         /* what a read returns, until its session has it: no task waits between the two */
};

/* The peer once it is there, or NULL at the deadline. */
struct ipc_peer *front_wait_peer(struct front *front, struct ipc_peer **slot, int64_t deadline);

/* The listener of this address and port; NULL when it is gone. */
struct front_listener *front_find_listener(struct front *front, const struct net_address *address);

#endif
