/* SPDX-License-Identifier: ISC */
/*
 * A byte stream over a connected non-blocking socket, in clear or through TLS, for the tasks of one loop. OpenSSL never
 * blocks and never waits: when it wants to read or write, the task waits outside of it. Each call has a deadline.
 *
 * Results: a count, 0 at the end of the stream, or a negative errno: -ETIMEDOUT, -ECANCELED, -EPROTO (TLS failed),
 * -EPIPE and the like from the system.
 */
#ifndef POSTERN_TLS_STREAM_H
#define POSTERN_TLS_STREAM_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "tls/server.h"

#include <sys/types.h>

/* Who has a say in a handshake. */
struct tls_choice {
	/*
	 * Chooses the context by the name that the client asks for: called once, outside of OpenSSL, so it may wait. Returns a
	 * reference: to the same server when nothing changes, or NULL with *error, which ends the handshake. May be NULL.
	 */
	struct tls_server *(*choose)(void *owner, struct slice server_name, struct error *error);
	/* What is to be set for this connection alone, before it begins, and again where another context is chosen. May be NULL. */
	bool (*prepare)(void *owner, SSL *ssl, struct error *error);
	void *owner;
};

struct stream_start;

struct stream {
	int fd;
	SSL *ssl;                  /* NULL while in clear */
	struct tls_server *server; /* a reference, while TLS is on */
	struct buf pending;        /* TLS records that are to be sent: with the next ones, or before the stream waits to read */
	bool drained;              /* the last read took all that was there: the next one waits first */
	bool ended;                /* the peer has closed its direction */
	bool broken;               /* TLS failed: no close_notify may be sent, nothing more read */
	const char *why;           /* static text: why TLS failed, where that is known */
	size_t quiet;              /* bytes received since the last that were for the reader: a client's key updates are bounded */
	char *offered;             /* what the client offered in a handshake that failed (tls_hello_describe); NULL: nothing is known of it */
	struct stream_start *start; /* while the handshake runs */
};

/* Takes the descriptor over. */
void stream_init(struct stream *stream, int fd);
/* Sends close_notify where TLS is on and well, without waiting, and closes. */
void stream_close(struct stream *stream);
/*
 * Before stream_close, when the peer may still be sending: ends our direction and throws away what comes, until the peer has
 * ended its own, the deadline, or 1 MiB. Otherwise the system would answer with a reset, which can overtake our last reply.
 */
void stream_linger(struct stream *stream, int64_t deadline);

/*
 * The handshake as a server. `choice` may be NULL. False and *error (one line for the log, which says why) when it fails, with
 * `offered` set; the stream is then of no use but to close.
 */
bool stream_accept_tls(struct stream *stream, struct tls_server *server, const struct tls_choice *choice, int64_t deadline,
		       struct error *error);

ssize_t stream_read(struct stream *stream, void *out, size_t size, int64_t deadline);
/*
 * In clear only: what is there to be read, without taking it, after a wait for the first byte; and takes the first `count` of what was
 * seen so. What was taken is not seen again, so that a caller who takes all of it waits for more.
 */
ssize_t stream_peek(struct stream *stream, void *out, size_t size, int64_t deadline);
void stream_take(struct stream *stream, size_t count);
/* All of it, or a negative errno. Returns 0 when done. In TLS the bytes may leave only with stream_flush, or when the stream is read. */
int stream_write(struct stream *stream, struct slice bytes, int64_t deadline);
int stream_flush(struct stream *stream, int64_t deadline);
/* Whether the peer has sent something that was not read yet, without waiting. */
bool stream_input_waiting(struct stream *stream);
/* The same, but waits for it until the deadline, the end of the stream, or until the task is cancelled. */
bool stream_wait_input(struct stream *stream, int64_t deadline);
/*
 * Waits until the deadline, or until the task is cancelled: false; or until the peer has ended its direction or both: true. What it has
 * sent before that stays to be read. TLS's own end (close_notify) does not count until the connection's follows.
 */
bool stream_wait_end(struct stream *stream, int64_t deadline);

/* For tls/server.c: the ClientHello is here (SSL_CTX_set_client_hello_cb(3) says what is returned). */
int stream_client_hello(struct stream *stream, SSL *ssl, bool alpn_required, int *alert);
/* For tls/tickets.c, while the handshake runs: the name that the client asks for; empty: none. */
struct slice stream_server_name(const struct stream *stream);
/* For tls_server_new: how OpenSSL reads and writes a stream. Free with BIO_meth_free. */
BIO_METHOD *stream_method_new(void);

#endif
