/* SPDX-License-Identifier: ISC */
#include "tls/stream.h"

#include "base/fatal.h"
#include "task/task.h"
#include "tls/hello.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>

enum { PENDING_MAX = 128 * 1024, SEND_AT = 16 * 1024, LINGER_MAX = 1024 * 1024, HELLO_MAX = 48 * 1024 };

/*
 * OpenSSL answers key updates and requests to renegotiate inside of one SSL_read, for as long as more of them arrive, and each costs
 * more than to send it. So a client may send so many bytes without any that are for us: the largest record twice (RFC 8446 §5.2).
 */
enum { QUIET_MAX = 2 * (16 * 1024 + 256) };

/*
 * A handshake. Where the context depends on the name that the client asks for, the bytes up to the end of its ClientHello are
 * kept: OpenSSL stops there, the choice is made, and a connection of the chosen context reads them again. So all of a
 * context holds for a connection, and not just the parts that OpenSSL can exchange later.
 *
 *   hello not seen ── ClientHello ──▶ stopped ── same context ──▶ goes on
 *                                        └────── another one ───▶ restarted: reads `kept` first
 */
struct stream_start {
	struct tls_hello hello;
	const struct tls_choice *choice; /* may be NULL */
	bool choosing;                   /* there is a choice to be made, and was not yet */
	struct buf kept;
	size_t replayed;                 /* bytes of `kept` that the restarted connection has read */
	bool restarted;
};

/* ---- What OpenSSL sees: a source and sink that never touches the socket when it is known to be of no use ---- */

static int replay(struct stream_start *start, char *out, int size)
{
	struct slice rest = slice_from(buf_slice(&start->kept), start->replayed);
	size_t n = rest.len < (size_t)size ? rest.len : (size_t)size;
	memcpy(out, rest.data, n);
	start->replayed += n;
	return (int)n;
}

/* Ends the stream for a reason that OpenSSL does not know. */
static int give_up(struct stream *stream, const char *why)
{
	stream->why = why;
	errno = EPROTO;
	return -1;
}

static int method_read(BIO *bio, char *out, int size)
{
	struct stream *stream = BIO_get_data(bio);
	struct stream_start *start = stream->start;
	BIO_clear_retry_flags(bio);
	if (start && start->restarted && start->replayed < buf_len(&start->kept))
		return replay(start, out, size);
	if (!stream->drained) {
		ssize_t n = recv(stream->fd, out, (size_t)size, 0);
		if (n > 0) {
			stream->drained = n < size;
			stream->quiet += (size_t)n;
			if (start && start->choosing && !buf_append(&start->kept, slice_make(out, (size_t)n)))
				return give_up(stream, "the ClientHello is too long");
			if (!start && stream->quiet > QUIET_MAX)
				return give_up(stream, "too many records without data");
			return (int)n;
		}
		stream->ended = n == 0;
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return n == 0 ? 0 : -1;
		stream->drained = errno == EAGAIN;
	}
	BIO_set_retry_read(bio);
	return -1;
}

static int method_write(BIO *bio, const char *data, int size)
{
	struct stream *stream = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (buf_append(&stream->pending, slice_make(data, (size_t)size)))
		return size;
	BIO_set_retry_write(bio);
	return -1;
}

static long method_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)number;
	(void)pointer;
	if (command == BIO_CTRL_EOF)
		return ((struct stream *)BIO_get_data(bio))->ended;
	return command == BIO_CTRL_FLUSH;
}

static int method_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

BIO_METHOD *stream_method_new(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");
	if (method && BIO_meth_set_read(method, method_read) && BIO_meth_set_write(method, method_write) &&
	    BIO_meth_set_ctrl(method, method_ctrl) && BIO_meth_set_create(method, method_create))
		return method;
	BIO_meth_free(method);
	return NULL;
}

/* ---- Streams ---- */

void stream_init(struct stream *stream, int fd)
{
	/* A server speaks first: at the start there is nothing to read. */
	*stream = (struct stream){ .fd = fd, .drained = true };
	buf_init(&stream->pending, PENDING_MAX);
}

static int send_all(struct stream *stream, struct slice bytes, int64_t deadline)
{
	while (bytes.len) {
		ssize_t n = send(stream->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
		if (n >= 0) {
			bytes = slice_from(bytes, (size_t)n);
			continue;
		}
		int waited = errno == EAGAIN ? io_wait(stream->fd, IO_WRITE, deadline) : errno == EINTR ? 0 : -errno;
		if (waited < 0)
			return waited;
	}
	return 0;
}

int stream_flush(struct stream *stream, int64_t deadline)
{
	if (buf_len(&stream->pending) == 0)
		return 0;
	int result = send_all(stream, buf_slice(&stream->pending), deadline);
	buf_free(&stream->pending);
	return result;
}

void stream_linger(struct stream *stream, int64_t deadline)
{
	char waste[4096];
	size_t seen = 0;
	if (stream->ssl && !stream->broken) {
		ERR_clear_error();
		SSL_shutdown(stream->ssl);
	}
	if (stream_flush(stream, deadline) < 0 || shutdown(stream->fd, SHUT_WR) < 0)
		return;
	while (seen < LINGER_MAX) {
		ssize_t n = recv(stream->fd, waste, sizeof waste, 0);
		if (n > 0)
			seen += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR) || io_wait(stream->fd, IO_READ, deadline) < 0)
			return;
	}
}

void stream_close(struct stream *stream)
{
	if (stream->ssl) {
		ERR_clear_error();
		if (!stream->broken && !(SSL_get_shutdown(stream->ssl) & SSL_SENT_SHUTDOWN))
			SSL_shutdown(stream->ssl);
		stream_flush(stream, 0);
		SSL_free(stream->ssl);
		ERR_clear_error();
		stream->ssl = NULL;
	}
	tls_server_unref(stream->server);
	stream->server = NULL;
	free(stream->offered);
	stream->offered = NULL;
	buf_free(&stream->pending);
	io_close_last(&stream->fd);
}

static int wait_readable(struct stream *stream, int64_t deadline)
{
	int waited = stream_flush(stream, deadline);
	if (waited == 0)
		waited = io_wait(stream->fd, IO_READ, deadline);
	stream->drained = false;
	return waited;
}

/* What a failed call of OpenSSL asks for: 0 to try again after a wait that ended well, otherwise the negative errno. */
static int wait_for_tls(struct stream *stream, int result, int64_t deadline)
{
	int saved = errno;
	switch (SSL_get_error(stream->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return wait_readable(stream, deadline);
	case SSL_ERROR_WANT_WRITE:
		return stream_flush(stream, deadline);
	case SSL_ERROR_SYSCALL:
		stream->broken = true;
		return saved ? -saved : -ECONNRESET;
	default:
		stream->broken = true;
		/* The last: before it stands which primitive said no. */
		if (!stream->start)
			stream->why = ERR_reason_error_string(ERR_peek_last_error());
		return stream->ended ? -ECONNRESET : -EPROTO;
	}
}

int stream_client_hello(struct stream *stream, SSL *ssl, bool alpn_required, int *alert)
{
	struct stream_start *start = stream->start;
	if (!start)
		return SSL_CLIENT_HELLO_ERROR; /* there are no other handshakes than the first */
	if (!start->hello.seen)
		tls_hello_take(&start->hello, ssl);
	if (start->choosing && start->hello.has_name)
		return SSL_CLIENT_HELLO_RETRY;
	start->choosing = false;
	if (!alpn_required || start->hello.has_alpn)
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	ERR_raise(ERR_LIB_SSL, SSL_R_NO_APPLICATION_PROTOCOL);
	return SSL_CLIENT_HELLO_ERROR;
}

struct slice stream_server_name(const struct stream *stream)
{
	const struct stream_start *start = stream->start;
	return start ? slice_make(start->hello.name, start->hello.name_length) : (struct slice){ 0 };
}

/* A new connection object of this server, which reads and writes through the stream. */
static bool bind_server(struct stream *stream, struct tls_server *server, const struct tls_choice *choice, struct error *error)
{
	SSL *ssl = tls_server_connection(server);
	BIO *bio = BIO_new(tls_server_method(server));
	if (!ssl || !bio) {
		SSL_free(ssl);
		BIO_free(bio);
		return tls_error(error, "starting TLS");
	}
	BIO_set_data(bio, stream);
	SSL_set_bio(ssl, bio, bio);
	if (choice && choice->prepare && !choice->prepare(choice->owner, ssl, error)) {
		SSL_free(ssl);
		return false;
	}
	SSL_free(stream->ssl);
	tls_server_ref(server);
	tls_server_unref(stream->server);
	stream->ssl = ssl;
	stream->server = server;
	return true;
}

/* The name is known: asks which server it is to be, and begins again where it is another one. */
static bool choose_server(struct stream *stream, struct error *error)
{
	struct stream_start *start = stream->start;
	const struct tls_choice *choice = start->choice;
	start->choosing = false;
	struct tls_server *chosen = choice->choose(choice->owner, slice_make(start->hello.name, start->hello.name_length), error);
	if (!chosen)
		return false;
	bool done = true;
	if (chosen != stream->server) {
		start->restarted = true;
		done = bind_server(stream, chosen, choice, error);
	}
	tls_server_unref(chosen);
	return done;
}

static void keep_offer(struct stream *stream)
{
	if (!stream->start->hello.seen)
		return;
	stream->offered = xcalloc(1, TLS_HELLO_TEXT_MAX);
	tls_hello_describe(&stream->start->hello, stream->ssl, stream->offered, TLS_HELLO_TEXT_MAX);
}

/* Why OpenSSL ended the handshake; `waited` is what wait_for_tls said. */
static bool handshake_failed(struct stream *stream, int waited, struct error *error)
{
	stream->broken = true;
	/* The alert that tells the client is among the pending records. */
	stream_flush(stream, 0);
	if (waited == -EPROTO && stream->why)
		error_set(error, ERROR_PERMANENT, "(SSL_accept): %s", stream->why);
	else if (waited == -EPROTO)
		tls_error(error, "(SSL_accept)");
	else
		error_set(error, ERROR_PERMANENT, "(SSL_accept): %s",
			  waited == -ETIMEDOUT ? "timed out" : waited == -ECONNRESET ? "the client closed the connection" :
			  waited == -ECANCELED ? "shutting down" : strerror(-waited));
	ERR_clear_error();
	return false;
}

static bool handshake(struct stream *stream, int64_t deadline, struct error *error)
{
	for (;;) {
		ERR_clear_error();
		errno = 0;
		int result = SSL_accept(stream->ssl);
		if (result == 1)
			return true;
		if (SSL_get_error(stream->ssl, result) == SSL_ERROR_WANT_CLIENT_HELLO_CB) {
			if (choose_server(stream, error))
				continue;
			stream->broken = true;
			return false;
		}
		int waited = wait_for_tls(stream, result, deadline);
		if (waited < 0)
			return handshake_failed(stream, waited, error);
	}
}

bool stream_accept_tls(struct stream *stream, struct tls_server *server, const struct tls_choice *choice, int64_t deadline,
		       struct error *error)
{
	struct stream_start start = { .choice = choice, .choosing = choice && choice->choose };
	buf_init(&start.kept, HELLO_MAX);
	if (!bind_server(stream, server, choice, error))
		return false;
	stream->start = &start;
	bool done = handshake(stream, deadline, error);
	if (!done)
		keep_offer(stream);
	stream->start = NULL;
	stream->quiet = 0;
	buf_free(&start.kept);
	return done;
}

static ssize_t receive(struct stream *stream, void *out, size_t size, int flags, int64_t deadline)
{
	for (;;) {
		int waited = stream->drained ? wait_readable(stream, deadline) : 0;
		if (waited < 0)
			return waited;
		ssize_t n = recv(stream->fd, out, size, flags);
		/* What was only looked at is still there. */
		stream->drained = n < 0 ? errno == EAGAIN : !(flags & MSG_PEEK) && (size_t)n < size;
		if (n >= 0)
			return n;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

ssize_t stream_peek(struct stream *stream, void *out, size_t size, int64_t deadline)
{
	ensure(!stream->ssl);
	return receive(stream, out, size, MSG_PEEK, deadline);
}

void stream_take(struct stream *stream, size_t count)
{
	char waste[512];
	while (count) {
		ssize_t n = recv(stream->fd, waste, count < sizeof waste ? count : sizeof waste, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* reset meanwhile: the next read tells */
		count -= (size_t)n;
	}
}

ssize_t stream_read(struct stream *stream, void *out, size_t size, int64_t deadline)
{
	if (!stream->ssl)
		return receive(stream, out, size, 0, deadline);
	if (stream->broken)
		return -EPROTO;
	for (;;) {
		size_t n = 0;
		ERR_clear_error();
		errno = 0;
		int result = SSL_read_ex(stream->ssl, out, size, &n);
		if (result == 1) {
			stream->quiet = 0;
			return (ssize_t)n;
		}
		if (SSL_get_error(stream->ssl, result) == SSL_ERROR_ZERO_RETURN)
			return 0;
		int waited = wait_for_tls(stream, result, deadline);
		ERR_clear_error();
		if (waited == -ECONNRESET && stream->ended)
			return 0; /* closed without close_notify: whoever reads knows whether anything was cut off */
		if (waited < 0)
			return waited;
	}
}

int stream_write(struct stream *stream, struct slice bytes, int64_t deadline)
{
	if (!stream->ssl)
		return send_all(stream, bytes, deadline);
	while (bytes.len) {
		size_t n = 0;
		if (stream->broken)
			return -EPROTO;
		ERR_clear_error();
		errno = 0;
		int result = SSL_write_ex(stream->ssl, bytes.data, bytes.len, &n);
		int waited = result == 1 ? 0 : wait_for_tls(stream, result, deadline);
		ERR_clear_error();
		if (waited == 0 && buf_len(&stream->pending) >= SEND_AT)
			waited = stream_flush(stream, deadline);
		if (waited < 0)
			return waited;
		bytes = slice_from(bytes, result == 1 ? n : 0);
	}
	return 0;
}

enum input { INPUT_NONE_YET, INPUT_THERE, INPUT_OVER };

/* Without waiting. What is there stays; at the end of the stream, or after an error, nothing will come. */
static enum input look_for_input(struct stream *stream)
{
	char byte;
	if (stream->ssl && SSL_has_pending(stream->ssl))
		return INPUT_THERE;
	ssize_t n = recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? INPUT_NONE_YET : INPUT_OVER;
	if (n == 0)
		return INPUT_OVER;
	/* Whoever waited for it has had the event: the next read must not wait for another. */
	stream->drained = false;
	return INPUT_THERE;
}

bool stream_input_waiting(struct stream *stream)
{
	return look_for_input(stream) == INPUT_THERE;
}

bool stream_wait_input(struct stream *stream, int64_t deadline)
{
	enum input input;
	if (stream->ssl)
		stream_flush(stream, deadline);
	while ((input = look_for_input(stream)) == INPUT_NONE_YET)
		if (io_wait(stream->fd, IO_READ, deadline) < 0)
			break;
	return input == INPUT_THERE;
}

bool stream_wait_end(struct stream *stream, int64_t deadline)
{
	if (stream->ssl)
		stream_flush(stream, deadline);
	return stream->ended || io_wait_end(stream->fd, deadline) == 0;
}
