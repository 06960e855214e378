/* SPDX-License-Identifier: ISC */
/*
 * A byte stream over a connected non-blocking socket, in clear or through TLS, for the tasks of one loop. OpenSSL never
 * blocks and never waits: when it wants to read or write, the task waits outside of it. Each call has a deadline.
 *
 * Results: a count, 0 at the end of the stream, or a negative errno: -ETIMEDOUT, -ECANCELED, -EPROTO (TLS failed)
 * -EPIPE and the like from the system. SIGPIPE must be ignored: OpenSSL writes with write(2).
 */
#ifndef POSTERN_TLS_STREAM_H
#define POSTERN_TLS_STREAM_H

#include "base/error.h"
#include "base/slice.h"
#include "tls/server.h"

#include <sys/types.h>

struct stream {
	int fd;
	SSL *ssl;                 /* NULL while in clear */
	struct tls_server *server; /* a reference, while TLS is on */
	bool broken;              /* TLS failed: no close_notify may be sent, nothing more read */
};

/* Takes the descriptor over. */
void stream_init(struct stream *stream, int fd);
/* Sends close_notify where TLS is on and well, without waiting, and closes. */
void stream_close(struct stream *stream);

/* The handshake as a server. False and *error (one line for the log) when it fails; the stream is then of no use but to close. */
bool stream_accept_tls(struct stream *stream, struct tls_server *server, int64_t deadline, struct error *error);

ssize_t stream_read(struct stream *stream, void *out, size_t size, int64_t deadline);
/* All of it, or a negative errno. Returns 0 when done. */
int stream_write(struct stream *stream, struct slice bytes, int64_t deadline);
/* Whether the peer has sent something that was not read yet, without waiting. */
bool stream_input_waiting(struct stream *stream);

#endif
