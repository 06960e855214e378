/* SPDX-License-Identifier: ISC */
#include "cli/probe.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "tls/remote_key.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

enum { REPLIES_MAX = 65536 };

bool probe_parse(struct slice text, struct probe_target *target_r)
{
	size_t colon = slice_find_last(text, ':');
	struct slice host = slice_first(text, colon);
	uint64_t port;
	if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = slice_make(host.data + 1, host.len - 2);
	else if (slice_find(host, ':') < host.len)
		return false;
	if (!host.len || slice_find(host, '/') < host.len || !slice_parse_u64(slice_from(text, colon + 1), 65535, &port) || !port)
		return false;
	target_r->port = (uint16_t)port;
	return slice_to_cstr(host, target_r->host, sizeof target_r->host);
}

bool probe_parse_start(struct slice text, enum probe_start *start_r)
{
	if (slice_equal(text, SLICE("smtp")))
		*start_r = PROBE_STARTTLS_SMTP;
	else if (slice_equal(text, SLICE("none")))
		*start_r = PROBE_AT_ONCE;
	else
		return false;
	return true;
}

bool probe_starts_with_smtp(const struct probe_target *target)
{
	static const uint16_t ports[] = { 24, 25, 587, 2525, 2587 };
	for (size_t i = 0; target->start == PROBE_BY_PORT && i < sizeof ports / sizeof *ports; i++)
		if (target->port == ports[i])
			return true;
	return target->start == PROBE_STARTTLS_SMTP;
}

/* ---- The socket ---- */

static bool wait_for(int fd, short events, int64_t deadline, struct error *error)
{
	struct pollfd poller = { .fd = fd, .events = events };
	int64_t left = deadline - clock_now();
	int got = left > 0 ? poll(&poller, 1, (int)(left / CLOCK_MS) + 1) : 0;
	if (got > 0 || (got < 0 && errno == EINTR))
		return true;
	return got == 0 ? error_set(error, ERROR_TEMPORARY, "it did not answer in time") : error_set_errno(error, errno, "waiting");
}

static int connect_to(const struct net_address *address, int64_t deadline, struct error *error)
{
	struct sockaddr_storage to;
	socklen_t len = net_address_to_sockaddr(address, &to);
	_cleanup_fd_ int fd = socket(address->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int number = 0;
	socklen_t number_len = sizeof number;
	if (fd < 0) {
		error_set_errno(error, errno, "making a socket");
		return -1;
	}
	if (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS) {
		error_set_errno(error, errno, "connecting");
		return -1;
	}
	if (!wait_for(fd, POLLOUT, deadline, error))
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &number_len) < 0 || number) {
		error_set_errno(error, number ? number : errno, "connecting");
		return -1;
	}
	return fd_take(&fd);
}

/* ---- SMTP up to STARTTLS ---- */

struct dialogue {
	int fd;
	int64_t deadline;
	struct buf in;
	bool offers_tls;
};

/* One line without its end into *line_r; valid until the next. */
static bool read_line(struct dialogue *dialogue, struct slice *line_r, struct error *error)
{
	for (;;) {
		struct slice all = buf_slice(&dialogue->in);
		size_t end = slice_find(all, '\n');
		if (end < all.len) {
			*line_r = slice_trim(slice_first(all, end));
			return true;
		}
		char *room = buf_reserve(&dialogue->in, 4096);
		if (!room)
			return error_set(error, ERROR_PERMANENT, "its replies are too long for SMTP");
		ssize_t n = recv(dialogue->fd, room, 4096, 0);
		if (n > 0)
			buf_commit(&dialogue->in, (size_t)n);
		else if (n == 0)
			return error_set(error, ERROR_TEMPORARY, "it closed the connection before TLS");
		else if (errno != EAGAIN && errno != EINTR)
			return error_set_errno(error, errno, "reading its reply");
		else if (!wait_for(dialogue->fd, POLLIN, dialogue->deadline, error))
			return false;
	}
}

/* A whole reply, which must begin with `code` (RFC 5321 §4.2.1). */
static bool expect(struct dialogue *dialogue, const char *code, const char *to, struct error *error)
{
	bool more = true;
	for (int lines = 0; more; lines++) {
		struct slice line;
		if (!read_line(dialogue, &line, error))
			return false;
		if (!slice_starts(line, slice_of(code)) || lines > 200) {
			char shown[100];
			size_t len = 0;
			for (size_t i = 0; i < line.len && len + 1 < sizeof shown; i++)
				shown[len++] = ascii_is_print(line.data[i]) ? line.data[i] : '?';
			shown[len] = '\0';
			return error_set(error, line.len && line.data[0] == '4' ? ERROR_TEMPORARY : ERROR_PERMANENT, "it answered %s with \"%s\"",
					 to, shown);
		}
		more = line.len > 3 && line.data[3] == '-';
		dialogue->offers_tls = dialogue->offers_tls || slice_equal_nocase(slice_from(line, 4), SLICE("STARTTLS"));
		buf_consume(&dialogue->in, slice_find(buf_slice(&dialogue->in), '\n') + 1);
	}
	return true;
}

static bool say(struct dialogue *dialogue, const char *command, struct error *error)
{
	ssize_t n = send(dialogue->fd, command, strlen(command), MSG_NOSIGNAL);
	return n == (ssize_t)strlen(command) || error_set_errno(error, n < 0 ? errno : EIO, "sending a command");
}

static bool start_smtp(int fd, int64_t deadline, struct error *error)
{
	struct dialogue dialogue = { .fd = fd, .deadline = deadline };
	buf_init(&dialogue.in, REPLIES_MAX);
	bool good = expect(&dialogue, "220", "the connection", error) && say(&dialogue, "EHLO probe.invalid\r\n", error) &&
		    expect(&dialogue, "250", "EHLO", error);
	if (good && !dialogue.offers_tls)
		good = error_set(error, ERROR_PERMANENT, "it does not offer STARTTLS");
	good = good && say(&dialogue, "STARTTLS\r\n", error) && expect(&dialogue, "220", "STARTTLS", error);
	buf_free(&dialogue.in);
	return good;
}

/* ---- TLS ---- */

static SSL_CTX *make_context(enum probe_algorithm algorithm)
{
	static const char *const algorithms[] = {
		[PROBE_RSA] = "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA1",
		[PROBE_ECDSA] = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519",
	};
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (!context)
		return NULL;
	/* Weak certificates and versions are to be shown too. */
	SSL_CTX_set_security_level(context, 0);
	bool good = SSL_CTX_set_min_proto_version(context, TLS1_VERSION) == 1 &&
		    (!algorithms[algorithm] || SSL_CTX_set1_sigalgs_list(context, algorithms[algorithm]) == 1);
	if (good)
		return context;
	SSL_CTX_free(context);
	return NULL;
}

static bool shake_hands(SSL *ssl, int fd, int64_t deadline, struct error *error)
{
	for (;;) {
		ERR_clear_error();
		int result = SSL_connect(ssl);
		int state = SSL_get_error(ssl, result);
		if (result == 1)
			return true;
		if (state != SSL_ERROR_WANT_READ && state != SSL_ERROR_WANT_WRITE)
			return ERR_peek_error() ? tls_error(error, "the TLS handshake failed") :
						  error_set(error, ERROR_TEMPORARY, "it closed the connection in the TLS handshake");
		if (!wait_for(fd, state == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline, error))
			return false;
	}
}

static bool take_chain(const struct probe_target *target, int fd, struct probe_result *result, struct error *error)
{
	struct net_address address;
	SSL_CTX *context = make_context(target->algorithm);
	SSL *ssl = context ? SSL_new(context) : NULL;
	bool named = !net_address_parse(slice_of(target->host), &address);
	bool good = ssl && SSL_set_fd(ssl, fd) == 1 && (!named || SSL_set_tlsext_host_name(ssl, target->host) == 1);
	if (!good)
		tls_error(error, "starting TLS");
	good = good && shake_hands(ssl, fd, target->deadline, error);
	STACK_OF(X509) *chain = good ? SSL_get_peer_cert_chain(ssl) : NULL;
	if (good && sk_X509_num(chain) < 1)
		good = error_set(error, ERROR_PERMANENT, "it showed no certificate");
	if (good && !(result->chain = X509_chain_up_ref(chain)))
		good = tls_error(error, "keeping its certificates");
	if (good) {
		snprintf(result->version, sizeof result->version, "%s", SSL_get_version(ssl));
		snprintf(result->cipher, sizeof result->cipher, "%s", SSL_get_cipher_name(ssl));
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	SSL_CTX_free(context);
	ERR_clear_error();
	return good;
}

static bool try_address(const struct probe_target *target, struct net_address address, struct probe_result *result, struct error *error)
{
	address.port = target->port;
	struct net_text text = net_address_text_port(&address);
	snprintf(result->address, sizeof result->address, "%s", text.text);
	_cleanup_fd_ int fd = connect_to(&address, target->deadline, error);
	return fd >= 0 && (!probe_starts_with_smtp(target) || start_smtp(fd, target->deadline, error)) &&
	       take_chain(target, fd, result, error);
}

static size_t resolve(const struct probe_target *target, struct net_address *addresses, struct error *error)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	size_t count = 0;
	int status = getaddrinfo(target->host, NULL, &hints, &found);
	if (status) {
		error_set(error, status == EAI_AGAIN ? ERROR_TEMPORARY : ERROR_PERMANENT, "%s", gai_strerror(status));
		return 0;
	}
	for (struct addrinfo *each = found; each && count < PROBE_ADDRESSES_MAX; each = each->ai_next)
		if (net_address_from_sockaddr(each->ai_addr, each->ai_addrlen, &addresses[count]))
			count++;
	freeaddrinfo(found);
	if (!count)
		error_set(error, ERROR_PERMANENT, "it has no address");
	return count;
}

bool probe_chain(const struct probe_target *target, struct probe_result *result_r, struct error *error)
{
	struct net_address found[PROBE_ADDRESSES_MAX];
	const struct net_address *addresses = target->address_count ? target->addresses : found;
	size_t count = target->address_count ? target->address_count : resolve(target, found, error);
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
	bool good = false;
	*result_r = (struct probe_result){ 0 };
	/* OpenSSL writes to sockets without MSG_NOSIGNAL. */
	sigaction(SIGPIPE, &ignore, &before);
	for (size_t i = 0; !good && i < count; i++) {
		good = try_address(target, addresses[i], result_r, error);
		if (!good)
			error_context(error, "%s", result_r->address);
	}
	sigaction(SIGPIPE, &before, NULL);
	return good || error_context(error, "asking %s port %u for its certificate", target->host, target->port);
}
