/* SPDX-License-Identifier: ISC */
#include "base/fatal.h"
#include "base/test.h"
#include "task/task.h"
#include "tls/keystore.h"
#include "tls/stream.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* A key pair with a self-signed certificate, as PEM. */
struct pair {
	char *key, *certificate;
	size_t key_len, certificate_len;
};

static void take_pem(BIO *bio, char **text_r, size_t *len_r)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);
	*text_r = xcalloc(1, (size_t)len + 1);
	memcpy(*text_r, data, (size_t)len);
	*len_r = (size_t)len;
	BIO_free(bio);
}

/* All have the same RSA key: to find its primes takes seconds under valgrind. */
static EVP_PKEY *make_key(const char *type, const char *curve)
{
	static EVP_PKEY *rsa;
	bool is_rsa = strcmp(type, "RSA") == 0;
	if (!rsa && is_rsa)
		rsa = EVP_PKEY_Q_keygen(NULL, NULL, type, (size_t)2048);
	EVP_PKEY *key = is_rsa ? rsa : curve ? EVP_PKEY_Q_keygen(NULL, NULL, type, curve) : EVP_PKEY_Q_keygen(NULL, NULL, type);
	ensure(key != NULL);
	if (is_rsa)
		EVP_PKEY_up_ref(key);
	return key;
}

static struct pair make_pair(const char *type, const char *curve)
{
	struct pair pair;
	EVP_PKEY *key = make_key(type, curve);
	X509 *certificate = X509_new();
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
				   (const unsigned char *)"mx.example", -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	ensure(X509_sign(certificate, key, strcmp(type, "ED25519") == 0 ? NULL : EVP_sha256()) > 0);
	BIO *bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	take_pem(bio, &pair.key, &pair.key_len);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, certificate);
	take_pem(bio, &pair.certificate, &pair.certificate_len);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return pair;
}

/* Everything that a handshake needs, with the signer between. */
struct fixture {
	struct loop *loop;
	struct tls_library *library;
	struct keystore *store;
	struct ticket_keys tickets;
	struct remote_signer signer;
	struct tls_server *server;
	SSL_CTX *client;
	int signatures, refused, done, failed;
	const char *why; /* of the stream that ended last */
	bool refuse, disturb;
};

static size_t yielding_sign(void *owner, const struct sign_request *request, unsigned char *signature)
{
	struct fixture *fixture = owner;
	struct error error;
	fixture->signatures++;
	for (int i = 0; i < 3; i++)
		task_yield();
	if (fixture->refuse)
		return 0;
	size_t len = keystore_sign(fixture->store, request, signature, &error);
	ensure(len > 0);
	return len;
}

static void start(struct fixture *fixture, const struct pair *pair, size_t pairs)
{
	struct error error;
	struct tls_policy policy;
	tls_policy_init(&policy, TLS_PROFILE_OPPORTUNISTIC);
	policy.chain_count = pairs;
	*fixture = (struct fixture){ .loop = loop_new(), .library = tls_library_new(&error), .store = keystore_new() };
	ensure(fixture->library != NULL);
	fixture->signer = (struct remote_signer){ yielding_sign, fixture };
	for (size_t i = 0; i < pairs; i++) {
		struct key_id id, certificate_id;
		ensure(keystore_add_pem(fixture->store, slice_make(pair[i].key, pair[i].key_len), "key", &id, &error));
		policy.chains[i] = (struct tls_file){ .name = SLICE("certificate"), .text = slice_make(pair[i].certificate, pair[i].certificate_len) };
		ensure(tls_certificate_key_id(policy.chains[i].text, "certificate", &certificate_id, &error));
		assert_memory_equal(id.bytes, certificate_id.bytes, KEY_ID_LEN);
	}
	ensure(ticket_keys_rotate(&fixture->tickets));
	const struct tls_maker maker = { .library = fixture->library, .signer = &fixture->signer, .tickets = &fixture->tickets };
	fixture->server = tls_server_new(&maker, &policy, &error);
	if (!fixture->server)
		fail_msg("%s", error.text);
	fixture->client = SSL_CTX_new(TLS_client_method());
}

static void free_pair(struct pair *pair)
{
	free(pair->key);
	free(pair->certificate);
}

/* With one key, an ECDSA one, that no other server has. */
static void start_ecdsa(struct fixture *fixture)
{
	struct pair pair = make_pair("EC", "P-256");
	start(fixture, &pair, 1);
	free_pair(&pair);
}

static void stop(struct fixture *fixture)
{
	SSL_CTX_free(fixture->client);
	tls_server_unref(fixture->server);
	keystore_free(fixture->store);
	tls_library_free(fixture->library);
	loop_free(fixture->loop);
}

struct side {
	struct fixture *fixture;
	int fd;
	int updates, updated; /* of a client that changes its keys: how often it tries, and did before the connection ended */
	SSL_SESSION *resume, **session_r;
	bool *resumed_r;
};

static void server_task(void *arg)
{
	struct side *side = arg;
	struct stream stream;
	struct error error;
	char text[64];
	stream_init(&stream, side->fd);
	if (stream_accept_tls(&stream, side->fixture->server, NULL, clock_after(60 * CLOCK_SECOND), &error)) {
		ssize_t n = stream_read(&stream, text, sizeof text, clock_after(60 * CLOCK_SECOND));
		if (n == 4 && memcmp(text, "ping", 4) == 0 &&
		    stream_write(&stream, SLICE("pong"), clock_after(60 * CLOCK_SECOND)) == 0 &&
		    stream_read(&stream, text, sizeof text, clock_after(60 * CLOCK_SECOND)) == 0)
			side->fixture->done++;
	} else {
		side->fixture->failed++;
	}
	side->fixture->why = stream.why;
	stream_close(&stream);
}

static int client_step(SSL *ssl, int fd, int result)
{
	int error = SSL_get_error(ssl, result);
	ERR_clear_error();
	if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		return -1;
	return io_wait(fd, error == SSL_ERROR_WANT_READ ? IO_READ : IO_WRITE, clock_after(60 * CLOCK_SECOND));
}

/* The client's end of a handshake: NULL when it fails. */
static SSL *client_connect(struct side *side)
{
	SSL *ssl = SSL_new(side->fixture->client);
	int result;
	SSL_set_fd(ssl, side->fd);
	if (side->resume)
		SSL_set_session(ssl, side->resume);
	while (ERR_clear_error(), (result = SSL_connect(ssl)) != 1)
		if (client_step(ssl, side->fd, result) < 0) {
			SSL_free(ssl);
			return NULL;
		}
	return ssl;
}

/* The request and its answer; false when the connection fails. */
static bool client_ping(struct side *side, SSL *ssl)
{
	char text[8];
	int result;
	ensure(SSL_write(ssl, "ping", 4) == 4);
	while (ERR_clear_error(), (result = SSL_read(ssl, text, sizeof text)) <= 0)
		if (client_step(ssl, side->fd, result) < 0)
			return false;
	return true;
}

static void client_end(struct side *side, SSL *ssl)
{
	ERR_clear_error();
	SSL_free(ssl);
	io_close(&side->fd);
}

static void client_task(void *arg)
{
	struct side *side = arg;
	SSL *ssl = client_connect(side);
	if (ssl && client_ping(side, ssl)) {
		if (side->resumed_r)
			*side->resumed_r = SSL_session_reused(ssl);
		if (side->session_r)
			*side->session_r = SSL_get1_session(ssl);
		SSL_shutdown(ssl);
	}
	client_end(side, ssl);
}

/* A server and that client, tasks for the loop to run; sides[1] may have been told what the client is to do. */
static void connect_with(struct fixture *fixture, struct side sides[2], void (*client)(void *))
{
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	for (int i = 0; i < 2; i++) {
		sides[i].fixture = fixture;
		sides[i].fd = ends[i];
		task_spawn(fixture->loop, i ? client : server_task, &sides[i], i ? "client" : "server");
	}
}

static void connect_pair(struct fixture *fixture, struct side sides[2])
{
	connect_with(fixture, sides, client_task);
}

static void handshake_with(const char *type, const char *curve, int version)
{
	struct pair pair = make_pair(type, curve);
	struct fixture fixture;
	struct side sides[2] = { 0 };
	start(&fixture, &pair, 1);
	SSL_CTX_set_min_proto_version(fixture.client, version);
	SSL_CTX_set_max_proto_version(fixture.client, version);
	connect_pair(&fixture, sides);
	loop_run(fixture.loop);
	assert_int_equal(fixture.done, 1);
	assert_int_equal(fixture.signatures, 1);
	stop(&fixture);
	free_pair(&pair);
}

static void every_key_type_signs_remotely_in_tls12_and_tls13(void **state)
{
	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		handshake_with("EC", "P-256", version);
		handshake_with("EC", "P-384", version);
		handshake_with("RSA", NULL, version);
		handshake_with("ED25519", NULL, version);
	}
}

static void hundreds_of_handshakes_yield_inside_the_signature_at_once(void **state)
{
	(void)state;
	enum { COUNT = 300 };
	struct fixture fixture;
	struct side *sides = xcalloc(2 * COUNT, sizeof *sides);
	start_ecdsa(&fixture);
	for (int i = 0; i < COUNT; i++)
		connect_pair(&fixture, &sides[2 * i]);
	loop_run(fixture.loop);
	assert_int_equal(fixture.done, COUNT);
	assert_int_equal(fixture.signatures, COUNT);
	stop(&fixture);
	free(sides);
}

static void garbage_task(void *arg)
{
	struct side *side = arg;
	char text[128];
	int fd = side->fd;
	ensure(write(fd, "EHLO not.tls\r\n", 14) == 14);
	while (read(fd, text, sizeof text) < 0 && errno == EAGAIN)
		if (io_wait(fd, IO_READ, clock_after(60 * CLOCK_SECOND)) < 0)
			break;
	io_close(&fd);
}

/* The error queue is shared by all tasks of a thread: failures on one connection must not leak into another that yielded. */
static void failing_connections_do_not_disturb_those_that_wait_for_a_signature(void **state)
{
	(void)state;
	enum { COUNT = 100 };
	struct fixture fixture;
	struct side *good = xcalloc(2 * COUNT, sizeof *good), *bad = xcalloc(2 * COUNT, sizeof *bad);
	start_ecdsa(&fixture);
	for (int i = 0; i < COUNT; i++) {
		connect_pair(&fixture, &good[2 * i]);
		connect_with(&fixture, &bad[2 * i], garbage_task);
	}
	loop_run(fixture.loop);
	assert_int_equal(fixture.done, COUNT);
	assert_int_equal(fixture.failed, COUNT);
	stop(&fixture);
	free(good);
	free(bad);
}

static void a_refused_signature_fails_the_handshake_and_nothing_else(void **state)
{
	(void)state;
	struct fixture fixture;
	struct side sides[4] = { 0 };
	start_ecdsa(&fixture);
	fixture.refuse = true;
	connect_pair(&fixture, sides);
	loop_run(fixture.loop);
	assert_int_equal(fixture.failed, 1);
	fixture.refuse = false;
	connect_pair(&fixture, sides + 2);
	loop_run(fixture.loop);
	assert_int_equal(fixture.done, 1);
	stop(&fixture);
}

static void resume_after(struct fixture *first, struct fixture *second, int version, bool *resumed_r)
{
	SSL_SESSION *session = NULL;
	struct side sides[4] = { 0 };
	SSL_CTX_set_max_proto_version(first->client, version);
	sides[1].session_r = &session;
	connect_pair(first, sides);
	loop_run(first->loop);
	ensure(session != NULL);
	sides[3].resume = session;
	sides[3].resumed_r = resumed_r;
	SSL_CTX_set_max_proto_version(second->client, version);
	connect_pair(second, sides + 2);
	loop_run(second->loop);
	SSL_SESSION_free(session);
}

static void tickets_resume_across_fronts_that_share_keys_and_survive_one_rotation(void **state)
{
	(void)state;
	struct pair pair = make_pair("EC", "P-256");
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct fixture one, other;
		bool resumed = false;
		start(&one, &pair, 1);
		start(&other, &pair, 1);
		resume_after(&one, &other, version, &resumed);
		assert_false(resumed); /* each made its own keys */
		other.tickets = one.tickets;
		resume_after(&one, &other, version, &resumed);
		assert_true(resumed);
		ticket_keys_rotate(&other.tickets);
		resume_after(&one, &other, version, &resumed);
		assert_true(resumed);
		for (int i = 0; i < TICKET_KEYS; i++)
			ticket_keys_rotate(&other.tickets);
		resume_after(&one, &other, version, &resumed);
		assert_false(resumed);
		stop(&one);
		stop(&other);
	}
	free_pair(&pair);
}

/* Sends that many key updates (RFC 8446 §4.6.3), each of which asks for one, and then its request. */
static void update_task(void *arg)
{
	struct side *side = arg;
	SSL *ssl = client_connect(side);
	int result;
	ensure(ssl != NULL);
	for (; side->updated < side->updates; side->updated++) {
		ensure(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
		while (ERR_clear_error(), (result = SSL_do_handshake(ssl)) != 1)
			if (client_step(ssl, side->fd, result) < 0)
				goto out;
	}
	if (client_ping(side, ssl))
		SSL_shutdown(ssl);
out:
	client_end(side, ssl);
}

static void keys_may_change_now_and_then_but_a_storm_of_it_ends_the_connection(void **state)
{
	(void)state;
	struct fixture fixture;
	struct side good[2] = { 0 }, bad[2] = { 0 };
	start_ecdsa(&fixture);
	good[1].updates = 100;
	connect_with(&fixture, good, update_task);
	loop_run(fixture.loop);
	assert_int_equal(fixture.done, 1);
	assert_int_equal(good[1].updated, 100);
	bad[1].updates = 1000 * 1000;
	connect_with(&fixture, bad, update_task);
	loop_run(fixture.loop);
	assert_int_equal(fixture.done, 1);
	assert_non_null(fixture.why);
	assert_string_equal(fixture.why, "too many records without data");
	/* What the system holds on the way is all that is more than the server took. */
	assert_in_range(bad[1].updated, 500, 50 * 1000);
	stop(&fixture);
}

/* After the handshake: the client asks for another one, and is told no (RFC 5246 §7.2.2). */
static void renegotiate_task(void *arg)
{
	struct side *side = arg;
	SSL *ssl = client_connect(side);
	int result;
	ensure(ssl != NULL && SSL_renegotiate(ssl) == 1);
	while (ERR_clear_error(), (result = SSL_do_handshake(ssl)) != 1) {
		if (SSL_get_error(ssl, result) == SSL_ERROR_SSL)
			side->updated = ERR_GET_REASON(ERR_peek_error());
		if (client_step(ssl, side->fd, result) < 0)
			break;
	}
	client_end(side, ssl);
}

static void renegotiation_is_refused(void **state)
{
	(void)state;
	struct fixture fixture;
	struct side sides[2] = { 0 };
	start_ecdsa(&fixture);
	SSL_CTX_set_max_proto_version(fixture.client, TLS1_2_VERSION);
	connect_with(&fixture, sides, renegotiate_task);
	loop_run(fixture.loop);
	assert_int_equal(sides[1].updated, SSL_R_NO_RENEGOTIATION);
	assert_int_equal(fixture.signatures, 1);
	assert_int_equal(fixture.done, 0);
	stop(&fixture);
}

static void tls11_is_refused(void **state)
{
	(void)state;
	struct fixture fixture;
	struct side sides[2] = { 0 };
	start_ecdsa(&fixture);
	SSL_CTX_set_security_level(fixture.client, 0);
	SSL_CTX_set_min_proto_version(fixture.client, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(fixture.client, TLS1_1_VERSION);
	connect_pair(&fixture, sides);
	loop_run(fixture.loop);
	assert_int_equal(fixture.failed, 1);
	stop(&fixture);
}

static void rsa_and_ecdsa_certificates_serve_side_by_side(void **state)
{
	(void)state;
	struct pair pairs[2] = { make_pair("RSA", NULL), make_pair("EC", "P-256") };
	struct fixture fixture;
	struct side sides[4] = { 0 };
	start(&fixture, pairs, 2);
	SSL_CTX_set1_sigalgs_list(fixture.client, "RSA-PSS+SHA256:RSA+SHA256");
	connect_pair(&fixture, sides);
	loop_run(fixture.loop);
	SSL_CTX_set1_sigalgs_list(fixture.client, "ECDSA+SHA256");
	connect_pair(&fixture, sides + 2);
	loop_run(fixture.loop);
	assert_int_equal(fixture.done, 2);
	stop(&fixture);
	free_pair(&pairs[0]);
	free_pair(&pairs[1]);
}

static void the_keystore_refuses_what_does_not_fit(void **state)
{
	(void)state;
	struct pair rsa = make_pair("RSA", NULL);
	struct keystore *store = keystore_new();
	struct error error;
	struct key_id id;
	unsigned char signature[SIGNATURE_MAX];
	assert_false(keystore_add_pem(store, SLICE("no key here"), "empty.pem", &id, &error));
	assert_true(strstr(error.text, "empty.pem") != NULL);
	assert_true(keystore_add_pem(store, slice_make(rsa.key, rsa.key_len), "rsa.pem", &id, &error));
	/* The same key takes one place, however often it is added. */
	for (int i = 0; i < 3; i++)
		assert_true(keystore_add_pem(store, slice_make(rsa.key, rsa.key_len), "again.pem", &id, &error));
	assert_int_equal(keystore_count(store), 1);
	struct sign_request request = { .key = id, .scheme = SCHEME_ECDSA, .digest = NID_sha256, .input = SLICE("short") };
	assert_int_equal(keystore_sign(store, &request, signature, &error), 0);
	request.scheme = SCHEME_RSA_PSS;
	assert_int_equal(keystore_sign(store, &request, signature, &error), 0); /* not a digest's length */
	request.key.bytes[0] ^= 1;
	assert_int_equal(keystore_sign(store, &request, signature, &error), 0);
	keystore_free(store);
	free_pair(&rsa);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_type_signs_remotely_in_tls12_and_tls13),
		cmocka_unit_test(hundreds_of_handshakes_yield_inside_the_signature_at_once),
		cmocka_unit_test(failing_connections_do_not_disturb_those_that_wait_for_a_signature),
		cmocka_unit_test(a_refused_signature_fails_the_handshake_and_nothing_else),
		cmocka_unit_test(tickets_resume_across_fronts_that_share_keys_and_survive_one_rotation),
		cmocka_unit_test(keys_may_change_now_and_then_but_a_storm_of_it_ends_the_connection),
		cmocka_unit_test(renegotiation_is_refused),
		cmocka_unit_test(tls11_is_refused),
		cmocka_unit_test(rsa_and_ecdsa_certificates_serve_side_by_side),
		cmocka_unit_test(the_keystore_refuses_what_does_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
