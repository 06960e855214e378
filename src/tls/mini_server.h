/* SPDX-License-Identifier: ISC */
/*
 * What the fuzz targets of handshakes share: servers with certificates of their own, made once, and one connection to them whose
 * client is a function. Memory and descriptors of a connection are gone when mini_meet returns.
 *
 * The servers differ in all that a name may choose: MINI_ANY takes every version from TLS 1.0 on, with an RSA certificate;
 * MINI_USUAL is a profile as it is used, with tickets; MINI_STRICT is TLS 1.3 alone, and insists on a protocol name.
 */
#ifndef POSTERN_TLS_MINI_SERVER_H
#define POSTERN_TLS_MINI_SERVER_H

#include "base/fatal.h"
#include "task/task.h"
#include "tls/issue.h"
#include "tls/keystore.h"
#include "tls/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum mini_kind { MINI_ANY, MINI_USUAL, MINI_STRICT, MINI_KINDS };

struct mini_world {
	struct loop *loop;
	struct tls_library *library;
	struct keystore *store;
	struct ticket_keys tickets;
	struct remote_signer signer;
	struct tls_server *servers[MINI_KINDS];
};

/* One connection. The client's task closes `client_fd`. */
struct mini_connection {
	struct mini_world *world;
	struct tls_server *server;
	const struct tls_choice *choice;
	void (*client)(struct mini_connection *);
	/* After the handshake; may be NULL. */
	void (*serve)(struct mini_connection *, struct stream *);
	void *owner;
	int server_fd, client_fd;
	bool hasty;         /* the client has sent what the server may wait for more of: it does not wait long for an answer */
	bool done;          /* the handshake */
	struct error error; /* or why it failed */
};

static inline size_t mini_sign(void *owner, const struct sign_request *request, unsigned char *signature)
{
	struct mini_world *world = owner;
	struct error error;
	task_yield();
	return keystore_sign(world->store, request, signature, &error);
}

static inline struct tls_server *mini_server(struct mini_world *world, enum mini_kind kind)
{
	const struct slice name = SLICE("mx.example");
	const struct issue_request request = { .key = kind == MINI_ANY ? ISSUE_RSA : ISSUE_ECDSA, .names = &name, .count = 1, .days = 9 };
	const struct tls_maker maker = { .library = world->library, .signer = &world->signer, .tickets = &world->tickets };
	struct tls_policy policy;
	struct error error;
	struct key_id id;
	struct buf chain, key;
	struct arena arena;
	X509 *certificate;
	EVP_PKEY *pair;
	arena_init(&arena, 0);
	buf_init(&chain, 1 << 16);
	buf_init(&key, 1 << 16);
	ensure(issue_certificate(&request, &certificate, &pair, &error) && issue_write(certificate, pair, &chain, &key, &error));
	ensure(keystore_add_pem(world->store, buf_slice(&key), "key", &id, &error));
	tls_policy_init(&policy, kind == MINI_STRICT ? TLS_PROFILE_MODERN : TLS_PROFILE_OPPORTUNISTIC);
	ensure(kind != MINI_ANY || (tls_policy_set_min_version(&policy, SLICE("TLS1.0"), &error) &&
				    tls_policy_set_ciphers(&policy, SLICE("ALL:@SECLEVEL=0"), &arena, &error)));
	ensure(kind == MINI_ANY || tls_policy_set_alpn(&policy, SLICE("smtp : esmtp"), &arena, &error));
	policy.alpn_required = kind == MINI_STRICT;
	policy.resumption = true;
	policy.chains[policy.chain_count++] = (struct tls_file){ .name = SLICE("chain"), .text = buf_slice(&chain) };
	struct tls_server *server = tls_server_new(&maker, &policy, &error);
	ensure(server != NULL);
	X509_free(certificate);
	EVP_PKEY_free(pair);
	buf_free(&chain);
	buf_free(&key);
	arena_free(&arena);
	return server;
}

/* Made at the first call, and kept. */
static inline struct mini_world *mini_world(void)
{
	static struct mini_world world;
	struct error error;
	if (world.loop)
		return &world;
	world.loop = loop_new();
	world.library = tls_library_new(&error);
	world.store = keystore_new();
	world.signer = (struct remote_signer){ mini_sign, &world };
	ensure(world.library && ticket_keys_rotate(&world.tickets));
	for (int kind = 0; kind < MINI_KINDS; kind++)
		world.servers[kind] = mini_server(&world, (enum mini_kind)kind);
	return &world;
}

/* One line for the log, whatever a client sent: nothing in it that could end the line or be another. */
static inline void mini_check_line(const char *text)
{
	for (const char *at = text; *at; at++)
		ensure((unsigned char)*at >= 32 && (unsigned char)*at < 127);
}

static inline void mini_server_task(void *arg)
{
	struct mini_connection *connection = arg;
	struct stream stream;
	stream_init(&stream, connection->server_fd);
	connection->error = (struct error){ 0 };
	connection->done = stream_accept_tls(&stream, connection->server, connection->choice, clock_after(30 * CLOCK_SECOND),
					     &connection->error);
	ensure(connection->done == (connection->error.kind == ERROR_NONE));
	if (stream.offered)
		mini_check_line(stream.offered);
	if (connection->done && connection->serve)
		connection->serve(connection, &stream);
	stream_close(&stream);
}

static inline void mini_client_task(void *arg)
{
	struct mini_connection *connection = arg;
	connection->client(connection);
	io_close(&connection->client_fd);
}

/* Runs until both sides are done. */
static inline void mini_meet(struct mini_connection *connection)
{
	int ends[2];
	ensure(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	connection->server_fd = ends[0];
	connection->client_fd = ends[1];
	task_spawn(connection->world->loop, mini_server_task, connection, "server");
	task_spawn(connection->world->loop, mini_client_task, connection, "client");
	loop_run(connection->world->loop);
}

/* For clients: all of it, in pieces that depend on `step`; false when the server has gone. */
static inline bool mini_send(struct mini_connection *connection, struct slice bytes, unsigned step)
{
	while (bytes.len) {
		size_t piece = step ? step % 61 + 1 : bytes.len;
		ssize_t n = send(connection->client_fd, bytes.data, piece < bytes.len ? piece : bytes.len, MSG_NOSIGNAL);
		if (n < 0 && (errno != EAGAIN || io_wait(connection->client_fd, IO_WRITE, clock_after(30 * CLOCK_SECOND)) < 0))
			return false;
		bytes = slice_from(bytes, n > 0 ? (size_t)n : 0);
		step = step ? step * 5 + 3 : 0;
		if (step % 4 == 1)
			task_yield();
	}
	return true;
}

/* For clients: what has come, waiting for it; 0 at the end. The server runs whenever the client does not: a hasty one counts turns. */
static inline size_t mini_receive(struct mini_connection *connection, char *out, size_t size)
{
	enum { TURNS = 100 };
	for (int turn = 0; !connection->hasty || turn < TURNS; turn++) {
		ssize_t n = recv(connection->client_fd, out, size, 0);
		if (n >= 0)
			return (size_t)n;
		if (errno != EAGAIN)
			return 0;
		if (connection->hasty)
			task_yield();
		else if (io_wait(connection->client_fd, IO_READ, clock_after(30 * CLOCK_SECOND)) < 0)
			return 0;
	}
	return 0;
}

#endif
