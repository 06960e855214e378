/* SPDX-License-Identifier: ISC */
/*
 * TLS of the front: from the options of the configuration to the context of one connection.
 *
 *   options ── expanded for the connection ──▶ names and values ── files of the master ──▶ policy ──▶ context (tls/contexts.h)
 *
 * Where nothing but the port decides, the contexts are made once, when the configuration or a file changes, and a connection
 * just takes one. Otherwise the options are expanded when TLS begins, and again when the name that the client asks for is known, if
 * they use it or name a directory of certificates.
 *
 * Files: what the master sent is kept by kind and path; what is not there is asked for, and a "no" holds for two seconds.
 */
#ifndef POSTERN_ROLE_FRONT_TLS_H
#define POSTERN_ROLE_FRONT_TLS_H

#include "role/tls_files.h"
#include "tls/contexts.h"
#include "tls/verify.h"

enum { FRONT_FILES_MAX = 4096, FRONT_TRUSTS_MAX = 16 };

struct front;
struct session;
struct ipc_incoming;
struct tls_choice;

struct front_file;

/* What clients are verified with, by the files that it was made of. */
struct front_trust {
	uint64_t certificates, crls; /* their versions */
	struct tls_trust *trust;
	uint64_t used;
};

struct front_tls {
	struct tls_maker maker;
	struct ocsp_complaints complaints;
	struct tls_contexts *contexts;
	struct front_file **files, **next; /* in use, and of the next configuration */
	size_t file_count, next_count;
	struct front_trust trusts[FRONT_TRUSTS_MAX];
	uint64_t clock;
	bool constant;                     /* the contexts of the listeners hold for their connections */
};

void front_tls_start(struct front *front);
/* A file from the master: material of the next configuration, or a change while this one is in use. */
void front_tls_take_file(struct front *front, struct ipc_incoming *incoming);
/*
 * Takes the files of the next configuration into use and makes the contexts that can be made. False with *error when that fails;
 * at the start (`conf` is the first) the trouble is logged, and STARTTLS is refused.
 */
bool front_tls_apply(struct front *front, const struct conf *conf, bool first, struct error *error);
/* The context of a listener; NULL when it is to be made for each connection, or cannot be. */
struct tls_server *front_tls_for_port(struct front *front, const struct conf *conf, uint16_t port, bool tls_on_connect,
				      struct error *error);

/* Whether the session's configuration has TLS: forced failure of tls_certificate means that it has not. */
bool front_tls_configured(struct session *session);
/*
 * The context for this session before the client has said anything: a reference. NULL with *error when TLS cannot work as it is
 * configured; that clients cannot be verified counts, too.
 */
struct tls_server *front_tls_server(struct session *session, struct error *error);
/* Who has a say in the session's handshake (tls/stream.h). */
void front_tls_choice(struct session *session, struct tls_choice *choice_r);

#endif
