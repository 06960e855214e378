/* SPDX-License-Identifier: ISC */
#include "tls/stream.h"

#include "task/task.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>

void stream_init(struct stream *stream, int fd)
{
	*stream = (struct stream){ .fd = fd };
}

void stream_close(struct stream *stream)
{
	if (stream->ssl) {
		ERR_clear_error();
		if (!stream->broken)
			SSL_shutdown(stream->ssl);
		SSL_free(stream->ssl);
		ERR_clear_error();
		stream->ssl = NULL;
	}
	tls_server_unref(stream->server);
	stream->server = NULL;
	io_close(&stream->fd);
}

/* What a failed call of OpenSSL asks for: 0 to try again after a wait that ended well, otherwise the negative errno. */
static int wait_for_tls(struct stream *stream, int result, int64_t deadline)
{
	int saved = errno;
	switch (SSL_get_error(stream->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return io_wait(stream->fd, IO_READ, deadline);
	case SSL_ERROR_WANT_WRITE:
		return io_wait(stream->fd, IO_WRITE, deadline);
	case SSL_ERROR_SYSCALL:
		stream->broken = true;
		return saved ? -saved : -ECONNRESET;
	default:
		stream->broken = true;
		return -EPROTO;
	}
}

bool stream_accept_tls(struct stream *stream, struct tls_server *server, int64_t deadline, struct error *error)
{
	stream->ssl = tls_server_connection(server);
	if (!stream->ssl || SSL_set_fd(stream->ssl, stream->fd) != 1)
		return tls_error(error, "starting TLS");
	stream->server = tls_server_ref(server);
	for (;;) {
		ERR_clear_error();
		errno = 0;
		int result = SSL_accept(stream->ssl);
		if (result == 1)
			return true;
		int waited = wait_for_tls(stream, result, deadline);
		if (waited == -EPROTO)
			return tls_error(error, "(SSL_accept)");
		if (waited < 0) {
			stream->broken = true;
			ERR_clear_error();
			return error_set(error, ERROR_PERMANENT, "(SSL_accept): %s",
					 waited == -ETIMEDOUT ? "timed out" : waited == -ECONNRESET ? "the client closed the connection" :
					 waited == -ECANCELED ? "shutting down" : strerror(-waited));
		}
	}
}

static ssize_t read_clear(struct stream *stream, void *out, size_t size, int64_t deadline)
{
	for (;;) {
		ssize_t n = recv(stream->fd, out, size, 0);
		if (n >= 0)
			return n;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		int waited = io_wait(stream->fd, IO_READ, deadline);
		if (waited < 0)
			return waited;
	}
}

ssize_t stream_read(struct stream *stream, void *out, size_t size, int64_t deadline)
{
	if (!stream->ssl)
		return read_clear(stream, out, size, deadline);
	if (stream->broken)
		return -EPROTO;
	for (;;) {
		size_t n = 0;
		ERR_clear_error();
		errno = 0;
		int result = SSL_read_ex(stream->ssl, out, size, &n);
		if (result == 1)
			return (ssize_t)n;
		if (SSL_get_error(stream->ssl, result) == SSL_ERROR_ZERO_RETURN)
			return 0;
		int waited = wait_for_tls(stream, result, deadline);
		ERR_clear_error();
		if (waited < 0)
			return waited;
	}
}

int stream_write(struct stream *stream, struct slice bytes, int64_t deadline)
{
	while (bytes.len) {
		size_t n = 0;
		int waited = 0;
		if (stream->ssl) {
			if (stream->broken)
				return -EPROTO;
			ERR_clear_error();
			errno = 0;
			int result = SSL_write_ex(stream->ssl, bytes.data, bytes.len, &n);
			if (result != 1) {
				n = 0;
				waited = wait_for_tls(stream, result, deadline);
				ERR_clear_error();
			}
		} else {
			ssize_t sent = send(stream->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
			if (sent >= 0)
				n = (size_t)sent;
			else if (errno == EAGAIN)
				waited = io_wait(stream->fd, IO_WRITE, deadline);
			else if (errno != EINTR)
				return -errno;
		}
		if (waited < 0)
			return waited;
		bytes = slice_from(bytes, n);
	}
	return 0;
}

bool stream_input_waiting(struct stream *stream)
{
	char byte;
	if (stream->ssl && SSL_has_pending(stream->ssl))
		return true;
	return recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}
