/* SPDX-License-Identifier: ISC */
/*
 * ${readsocket}: connects to a Unix socket or "inet:HOST:PORT", sends the request, ends our direction (shutdown=no: does not), and reads
 * to the end. One limit of time, 5 seconds unless the options say otherwise, holds for all of it. tls=yes encrypts; as in
 * Exim the certificate is not looked at, so it keeps out listeners, not impostors.
 */
#include "base/buf.h"
#include "lookup/net.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

enum { LOOKUP_SOCKET_MAX = 1 << 20 };

struct conversation {
	int fd;
	SSL *ssl; /* NULL: in clear */
	int64_t deadline;
	const char *name; /* for messages */
	struct error *error;
};

static enum expand_result failed(struct conversation *talk, const char *what, int result)
{
	const char *why = result == -ETIMEDOUT ? "it took too long" : strerror(-result);
	error_set(talk->error, result == -ETIMEDOUT ? ERROR_TEMPORARY : ERROR_PERMANENT, "%s %s: %s", what, talk->name, why);
	talk->error->number = -result;
	return EXPAND_FAIL;
}

/* ---- connecting ---- */

static bool parse_port(struct slice text, struct arena *arena, uint16_t *port_r)
{
	uint64_t number;
	if (slice_parse_u64(text, 65535, &number)) {
		*port_r = (uint16_t)number;
		return number > 0;
	}
	struct servent entry, *found = NULL;
	char memory[2048];
	if (text.len == 0 || slice_find(text, '\0') < text.len ||
	    getservbyname_r(arena_cstr(arena, text), "tcp", &entry, memory, sizeof memory, &found) != 0 || !found)
		return false;
	*port_r = ntohs((uint16_t)found->s_port);
	return true;
}

static enum expand_result connect_inet(struct lookup_world *world, struct conversation *talk, struct slice target, struct arena *arena,
				       struct slice *host_r)
{
	size_t colon = slice_find_last(target, ':');
	uint16_t port = 0;
	if (colon == target.len)
		return lookup_fail(talk->error, "missing port number for readsocket %s", talk->name);
	*host_r = slice_first(target, colon);
	if (!parse_port(slice_from(target, colon + 1), arena, &port))
		return lookup_fail(talk->error, "unknown port for readsocket %s", talk->name);
	struct lookup_addresses addresses;
	enum expand_result result = lookup_resolve(world, *host_r, port, talk->deadline, arena, &addresses, talk->error);
	if (result != EXPAND_OK)
		return EXPAND_FAIL;
	int fd = -ECONNREFUSED;
	for (size_t i = 0; i < addresses.count && fd < 0; i++) {
		struct sockaddr_storage storage;
		socklen_t len = net_address_to_sockaddr(&addresses.items[i], &storage);
		fd = lookup_connect((const struct sockaddr *)&storage, len, talk->deadline);
	}
	talk->fd = fd;
	return fd < 0 ? failed(talk, "failed to connect to any address for", fd) : EXPAND_OK;
}

/* ---- bytes, in clear or not ---- */

/* What OpenSSL wants next: 0 after waiting for it, a negative errno, or 1 at the end of the stream. */
static int wait_tls(struct conversation *talk, int result)
{
	int want = SSL_get_error(talk->ssl, result);
	ERR_clear_error();
	if (want == SSL_ERROR_WANT_READ)
		return io_wait(talk->fd, IO_READ, talk->deadline);
	if (want == SSL_ERROR_WANT_WRITE)
		return io_wait(talk->fd, IO_WRITE, talk->deadline);
	return want == SSL_ERROR_ZERO_RETURN ? 1 : -EPROTO;
}

static enum expand_result start_tls(struct conversation *talk, struct slice host, struct arena *arena)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	talk->ssl = context ? SSL_new(context) : NULL;
	SSL_CTX_free(context);
	if (!talk->ssl || SSL_set_fd(talk->ssl, talk->fd) != 1) {
		ERR_clear_error();
		return lookup_fail(talk->error, "readsocket: TLS cannot be started");
	}
	struct net_address address;
	if (host.len > 0 && !net_address_parse(host, &address))
		SSL_set_tlsext_host_name(talk->ssl, arena_cstr(arena, host));
	for (;;) {
		ERR_clear_error();
		int result = SSL_connect(talk->ssl);
		if (result == 1)
			return EXPAND_OK;
		int waited = wait_tls(talk, result);
		if (waited != 0)
			return failed(talk, "the TLS handshake failed with", waited < 0 ? waited : -EPROTO);
	}
}

/* Bytes moved, 0 at the end, or a negative errno. */
static ssize_t move_tls(struct conversation *talk, void *data, size_t len, bool sending)
{
	for (;;) {
		size_t moved;
		ERR_clear_error();
		int result = sending ? SSL_write_ex(talk->ssl, data, len, &moved) : SSL_read_ex(talk->ssl, data, len, &moved);
		if (result == 1)
			return (ssize_t)moved;
		int waited = wait_tls(talk, result);
		if (waited != 0)
			return waited < 0 ? waited : 0;
	}
}

static ssize_t move(struct conversation *talk, void *data, size_t len, bool sending)
{
	if (clock_now() >= talk->deadline)
		return -ETIMEDOUT;
	return talk->ssl ? move_tls(talk, data, len, sending) : lookup_move(talk->fd, data, len, sending, talk->deadline);
}

static enum expand_result send_request(struct conversation *talk, struct slice request, bool end)
{
	for (size_t at = 0; at < request.len;) {
		ssize_t n = move(talk, (char *)(uintptr_t)request.data + at, request.len - at, true);
		if (n <= 0)
			return failed(talk, "request write to socket failed:", n ? (int)n : -EPIPE);
		at += (size_t)n;
	}
	/* With TLS never: the peer would take it for the end of both directions. */
	if (end && !talk->ssl)
		shutdown(talk->fd, SHUT_WR);
	return EXPAND_OK;
}

static enum expand_result read_answer(struct conversation *talk, struct buf *out)
{
	char chunk[8192];
	for (;;) {
		ssize_t n = move(talk, chunk, sizeof chunk, false);
		if (n == 0)
			return EXPAND_OK;
		if (n < 0)
			return failed(talk, n == -ETIMEDOUT ? "socket read timed out:" : "reading from socket", (int)n);
		if (!buf_append(out, slice_make(chunk, (size_t)n)))
			return lookup_fail(talk->error, "%s sent more than %d KiB", talk->name, LOOKUP_SOCKET_MAX >> 10);
	}
}

static bool says_yes(const struct expand_request *request, const char *option, bool unset)
{
	struct slice value = lookup_option(NULL, request, option);
	return value.data ? slice_equal_nocase(value, SLICE("yes")) || slice_equal_nocase(value, SLICE("true")) : unset;
}

static enum expand_result talk_to(struct lookup_world *world, struct conversation *talk, const struct expand_request *request,
				  struct arena *arena, struct buf *out)
{
	static const struct slice inet = SLICE("inet:");
	struct slice host = { 0 };
	enum expand_result result = EXPAND_OK;
	if (slice_starts(request->type, inet)) {
		result = connect_inet(world, talk, slice_from(request->type, inet.len), arena, &host);
	} else {
		int fd = lookup_connect_unix(request->file, talk->deadline);
		talk->fd = fd;
		if (fd < 0)
			result = failed(talk, "failed to connect to socket", fd);
	}
	if (result == EXPAND_OK && says_yes(request, "tls", false))
		result = start_tls(talk, host, arena);
	if (result == EXPAND_OK)
		result = send_request(talk, request->key, says_yes(request, "shutdown", true));
	return result == EXPAND_OK ? read_answer(talk, out) : result;
}

enum expand_result lookup_read_socket(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
				      struct expand_answer *answer_r, struct error *error)
{
	struct slice name = request->type.len > 0 ? request->type : request->file;
	struct slice timeout = lookup_option(NULL, request, "timeout");
	int64_t interval = 5 * CLOCK_SECOND;
	if (timeout.len > 0 && !lookup_parse_time(timeout, &interval))
		return lookup_fail(error, "bad time value %.*s for readsocket", SLICE_ARG(timeout));
	struct conversation talk = { .fd = -1, .error = error, .deadline = clock_after(interval),
		.name = arena_printf(arena, "%.*s", SLICE_ARG(slice_first(name, 200))).data };
	if (talk.deadline > request->deadline)
		talk.deadline = request->deadline;
	struct buf out;
	buf_init(&out, LOOKUP_SOCKET_MAX);
	enum expand_result result = talk_to(world, &talk, request, arena, &out);
	SSL_free(talk.ssl);
	if (talk.fd >= 0)
		io_close(&talk.fd);
	if (result == EXPAND_OK) {
		answer_r->found = true;
		answer_r->tainted = true;
		answer_r->text = arena_copy(arena, buf_slice(&out));
	}
	buf_free(&out);
	return result;
}
