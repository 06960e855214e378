/* SPDX-License-Identifier: ISC */
/*
 * Whole handshakes. The first byte chooses the server and the kind of client, the second how what it sends is cut into pieces.
 *
 * A client of bytes sends the rest of the input. A client of OpenSSL shakes hands, writes, and changes its keys, while the rest of the
 * input, three bytes each, changes what is on its way: where, and with what. What the server reads is then what was
 * written, or nothing: changed bytes must never come out of it.
 */
#include "tls/mini_server.h"

#include <openssl/err.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum choice { SERVER = 3, REAL_CLIENT = 4, CLIENT_TLS12 = 8, CLIENT_NAMED = 16, CLIENT_ALPN = 32, CLIENT_RESUMES = 64, CHOICE_BY_NAME = 128 };

static const char written[] = "EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nbody\r\n.\r\nQUIT\r\n";
enum { WRITTEN = sizeof written - 1, ROUNDS = 6 };

struct trial {
	struct slice input;
	unsigned step;
	size_t sent, read, edits;
	SSL *ssl;
};

static struct tls_server *choose(void *owner, struct slice name, struct error *error)
{
	(void)error;
	struct mini_world *world = owner;
	task_yield();
	return tls_server_ref(world->servers[name.len % 2 ? MINI_USUAL : MINI_ANY]);
}

/* Reads to the end, and answers all of it. */
static void serve(struct mini_connection *connection, struct stream *stream)
{
	struct trial *trial = connection->owner;
	char text[64];
	ssize_t n;
	while ((n = stream_read(stream, text, sizeof text, clock_after(30 * CLOCK_SECOND))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			ensure(text[i] == written[trial->read++ % WRITTEN]);
		if (stream_write(stream, slice_make(text, (size_t)n), clock_after(30 * CLOCK_SECOND)) < 0)
			return;
	}
	ensure(n != -ETIMEDOUT);
	ensure(n != -EPROTO || stream_read(stream, text, sizeof text, clock_after(30 * CLOCK_SECOND)) < 0);
}

static void send_bytes(struct mini_connection *connection)
{
	struct trial *trial = connection->owner;
	char waste[4096];
	if (!mini_send(connection, trial->input, trial->step))
		return;
	shutdown(connection->client_fd, SHUT_WR);
	while (mini_receive(connection, waste, sizeof waste))
		continue;
}

/* What OpenSSL wants to send, with the changes; false when the server has gone. */
static bool pass_on(struct mini_connection *connection)
{
	struct trial *trial = connection->owner;
	char block[2048];
	int n;
	while ((n = BIO_read(SSL_get_wbio(trial->ssl), block, sizeof block)) > 0) {
		for (size_t i = 0; i + 2 < trial->input.len; i += 3) {
			const unsigned char *edit = (const unsigned char *)trial->input.data + i;
			size_t at = (size_t)edit[0] << 8 | edit[1];
			if (at >= trial->sent && at < trial->sent + (size_t)n && edit[2]) {
				block[at - trial->sent] = (char)(block[at - trial->sent] ^ edit[2]);
				trial->edits++;
				connection->hasty = true;
			}
		}
		trial->sent += (size_t)n;
		if (!mini_send(connection, slice_make(block, (size_t)n), trial->step))
			return false;
	}
	return true;
}

/* After a call of OpenSSL that wants to be made again: false when that is of no use. */
static bool go_on(struct mini_connection *connection, int result)
{
	struct trial *trial = connection->owner;
	char block[4096];
	int error = SSL_get_error(trial->ssl, result);
	ERR_clear_error();
	if (!pass_on(connection) || error != SSL_ERROR_WANT_READ)
		return false;
	size_t n = mini_receive(connection, block, sizeof block);
	return n && BIO_write(SSL_get_rbio(trial->ssl), block, (int)n) == (int)n;
}

static void talk(struct mini_connection *connection)
{
	struct trial *trial = connection->owner;
	char text[sizeof written];
	int result;
	while (ERR_clear_error(), (result = SSL_connect(trial->ssl)) != 1)
		if (!go_on(connection, result))
			return;
	for (int round = 0; round < ROUNDS; round++) {
		if (round % 2 && SSL_version(trial->ssl) == TLS1_3_VERSION)
			SSL_key_update(trial->ssl, round == 1 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
		ERR_clear_error();
		if (SSL_write(trial->ssl, written, WRITTEN) != WRITTEN || !pass_on(connection))
			return;
		for (int got = 0; got < WRITTEN; got += result)
			while (ERR_clear_error(), (result = SSL_read(trial->ssl, text, sizeof text)) <= 0)
				if (!go_on(connection, result))
					return;
	}
	SSL_shutdown(trial->ssl);
	pass_on(connection);
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION **kept = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	SSL_SESSION_free(*kept);
	*kept = session;
	return 1;
}

/* Keeps its session in *kept, and resumes the one that is there. */
static SSL *client_ssl(unsigned choice, SSL_SESSION **kept)
{
	static SSL_CTX *context;
	const char *name = choice & 1 ? "mx.example" : "mail.example";
	if (!context) {
		ensure((context = SSL_CTX_new(TLS_client_method())) != NULL);
		SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(context, keep_session);
	}
	SSL_CTX_set_app_data(context, kept);
	SSL *ssl = SSL_new(context);
	ensure(ssl != NULL);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	BIO_set_mem_eof_return(SSL_get_rbio(ssl), -1);
	if (choice & CLIENT_TLS12)
		SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
	if (choice & CLIENT_NAMED)
		ensure(SSL_set_tlsext_host_name(ssl, name) == 1);
	if (choice & CLIENT_ALPN)
		ensure(SSL_set_alpn_protos(ssl, (const unsigned char *)"\4smtp", 5) == 0);
	if (*kept)
		SSL_set_session(ssl, *kept);
	return ssl;
}

static void try(struct slice input, unsigned choice, unsigned step, SSL_SESSION **kept)
{
	struct mini_world *world = mini_world();
	const struct tls_choice by_name = { .choose = choose, .owner = world };
	struct trial trial = { .input = input, .step = step };
	bool real = choice & REAL_CLIENT;
	enum mini_kind kind = (choice & SERVER) % MINI_KINDS;
	struct mini_connection connection = {
		.world = world, .server = world->servers[kind], .client = real ? talk : send_bytes, .serve = serve,
		.choice = choice & CHOICE_BY_NAME ? &by_name : NULL, .owner = &trial,
	};
	if (real)
		trial.ssl = client_ssl(choice, kept);
	mini_meet(&connection);
	mini_check_line(connection.error.text);
	ensure(real || !connection.done);
	/* Without changes all of it arrives, unless they have no version or protocol in common. */
	bool may_refuse = kind == MINI_STRICT && (choice & CLIENT_TLS12 || !(choice & CLIENT_ALPN));
	if (real && !trial.edits && !may_refuse)
		ensure(connection.done && trial.read == (size_t)WRITTEN * ROUNDS);
	SSL_free(trial.ssl);
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SSL_SESSION *session = NULL;
	if (size < 2 || size > 200000)
		return 0;
	unsigned choice = data[0], step = data[1];
	if (choice & REAL_CLIENT && choice & CLIENT_RESUMES)
		try((struct slice){ 0 }, choice, 0, &session);
	try(slice_make(data + 2, size - 2), choice, step, &session);
	SSL_SESSION_free(session);
	return 0;
}
