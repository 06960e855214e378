/* SPDX-License-Identifier: ISC */
/*
 * handshake [COUNT [CONCURRENT [PERCENT]]]: what the keeper's detour costs. The same full TLS 1.3 handshakes (ECDSA P-256), in turns, by a server
 * process that has the key itself, and by one that asks a keeper process over the real messages (ipc/), with the same tasks
 * and streams. Prints the server side's CPU (keeper included) for each handshake, and the ratio, of the best of five rounds; the
 * client is not counted. When the keeper costs more than PERCENT of a handshake, the status is 1 (`make bench-handshake`). For a quiet
 * machine: on a busy one the ratio jumps by more than that.
 */
#include "base/fatal.h"
#include "ipc/peer.h"
#include "task/task.h"
#include "tls/keystore.h"
#include "tls/stream.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum way { WAY_OWN_KEY, WAY_STORE, WAY_KEEPER, WAYS };
static const char *const way_names[WAYS] = { "key in OpenSSL itself", "remote key object, store in the same process", "keeper process" };

struct material {
	struct slice key, certificate;
};

struct server {
	struct loop *loop;
	struct tls_server *tls;
	struct keystore *store;
	struct ipc_peer *keeper;
	enum way way;
	int *sockets, count, next, done;
	EVP_PKEY *own_key;
};

static double cpu_of(int who)
{
	struct rusage usage;
	ensure(getrusage(who, &usage) == 0);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static struct slice pem_of(BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);
	return slice_make(data, (size_t)len);
}

static struct material make_material(void)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *certificate = X509_new();
	BIO *key_bio = BIO_new(BIO_s_mem()), *certificate_bio = BIO_new(BIO_s_mem());
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	ensure(X509_sign(certificate, key, EVP_sha256()) > 0);
	PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL);
	PEM_write_bio_X509(certificate_bio, certificate);
	return (struct material){ pem_of(key_bio), pem_of(certificate_bio) };
}

/* ---- The keeper process ---- */

static void on_sign(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct ipc_sign message;
	struct error error;
	unsigned char signature[SIGNATURE_MAX];
	ensure(ipc_unpack_sign(incoming->body, &message) && message.key.len == KEY_ID_LEN);
	struct sign_request request = {
		.scheme = (enum signature_scheme)message.scheme, .digest = (int)message.digest, .input = message.input };
	memcpy(request.key.bytes, message.key.data, KEY_ID_LEN);
	size_t length = keystore_sign(owner, &request, signature, &error);
	struct ipc_signed answer = { .signature = slice_make(signature, length) };
	ipc_send(peer, signed, SIGNED, incoming->call, &answer, NULL, 0);
}

static void on_lost(void *owner, struct ipc_peer *peer)
{
	(void)owner;
	(void)peer;
	_exit(0);
}

static const struct ipc_handler keeper_side = { on_sign, on_lost };

_Noreturn static void keeper_process(int fd, const struct material *material)
{
	struct keystore *store = keystore_new();
	struct key_id id;
	struct error error;
	struct loop *loop = loop_new();
	ensure(keystore_add_pem(store, material->key, "key", &id, &error));
	ipc_open(loop, fd, ROLE_KEEPER, ROLE_FRONT, &keeper_side, store);
	loop_run(loop);
	_exit(0);
}

/* ---- The server process ---- */

static size_t sign(void *owner, const struct sign_request *request, unsigned char *signature)
{
	struct server *server = owner;
	struct error error;
	if (server->way == WAY_STORE)
		return keystore_sign(server->store, request, signature, &error);
	struct ipc_sign message = { .key = slice_make(request->key.bytes, KEY_ID_LEN), .scheme = request->scheme,
				    .digest = (uint64_t)request->digest, .input = request->input };
	struct ipc_reply reply;
	struct ipc_signed answer;
	ensure(ipc_call(server->keeper, sign, SIGN, &message, NULL, 0, clock_after(60 * CLOCK_SECOND), &reply) == 0);
	ensure(ipc_unpack_signed(reply.body, &answer));
	size_t length = answer.signature.len;
	memcpy(signature, answer.signature.data, length);
	ipc_reply_free(&reply);
	return length;
}

static void on_message(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	(void)owner;
	(void)peer;
	(void)incoming;
}

static const struct ipc_handler server_side = { on_message, NULL };

static void serve_task(void *arg)
{
	struct server *server = arg;
	while (server->next < server->count) {
		struct stream stream;
		struct error error;
		char byte;
		stream_init(&stream, server->sockets[server->next++]);
		if (!stream_accept_tls(&stream, server->tls, NULL, clock_after(60 * CLOCK_SECOND), &error))
			fatal("%s", error.text);
		ensure(stream_read(&stream, &byte, 1, clock_after(60 * CLOCK_SECOND)) == 1);
		ensure(stream_write(&stream, slice_make(&byte, 1), clock_after(60 * CLOCK_SECOND)) == 0);
		stream_close(&stream);
		server->done++;
	}
	if (server->done == server->count)
		loop_stop(server->loop);
}

static EVP_PKEY *read_key(const struct tls_library *library, struct slice pem)
{
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	EVP_PKEY *key = PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, tls_library_context(library), NULL);
	BIO_free(bio);
	ensure(key != NULL);
	return key;
}

/* Prints its CPU seconds, the keeper's included, to `result`. */
_Noreturn static void server_process(enum way way, const struct material *material, int *sockets, int count, int concurrent, int result)
{
	struct error error;
	struct key_id id;
	struct ticket_keys tickets = { 0 };
	struct server server = { .loop = loop_new(), .store = keystore_new(), .way = way, .sockets = sockets, .count = count };
	struct remote_signer signer = { sign, &server };
	struct tls_library *library = tls_library_new(&error);
	struct tls_policy policy;
	tls_policy_init(&policy, TLS_PROFILE_OPPORTUNISTIC);
	policy.chains[policy.chain_count++] = (struct tls_file){ .name = SLICE("certificate"), .text = material->certificate };
	const struct tls_maker maker = { .library = library, .signer = &signer, .tickets = &tickets };
	ensure(library && ticket_keys_rotate(&tickets) && keystore_add_pem(server.store, material->key, "key", &id, &error));
	server.tls = tls_server_new(&maker, &policy, &error);
	if (!server.tls)
		fatal("%s", error.text);
	if (way == WAY_OWN_KEY) {
		SSL *probe = tls_server_connection(server.tls);
		ensure(SSL_CTX_use_PrivateKey(SSL_get_SSL_CTX(probe), read_key(library, material->key)) == 1);
		SSL_free(probe);
	}
	if (way == WAY_KEEPER) {
		int ends[2];
		ensure(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
		if (fork() == 0) {
			close(ends[0]);
			keeper_process(ends[1], material);
		}
		close(ends[1]);
		server.keeper = ipc_open(server.loop, ends[0], ROLE_FRONT, ROLE_KEEPER, &server_side, &server);
	}
	double before = cpu_of(RUSAGE_SELF);
	for (int i = 0; i < concurrent; i++)
		task_spawn(server.loop, serve_task, &server, "serve");
	loop_run(server.loop);
	double used = cpu_of(RUSAGE_SELF) - before;
	if (way == WAY_KEEPER) {
		/* The keeper ends when its peer is gone. */
		close_range(3, (unsigned)result - 1, 0);
		close_range((unsigned)result + 1, ~0u, 0);
		while (wait(NULL) > 0)
			continue;
		used += cpu_of(RUSAGE_CHILDREN);
	}
	ensure(write(result, &used, sizeof used) == sizeof used);
	_exit(0);
}

/* ---- The client process ---- */

_Noreturn static void client_process(const int *sockets, int count, int first, int step)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	for (int i = first; i < count; i += step) {
		SSL *ssl = SSL_new(context);
		char byte = 'x';
		SSL_set_fd(ssl, sockets[i]);
		ensure(SSL_connect(ssl) == 1 && SSL_write(ssl, &byte, 1) == 1 && SSL_read(ssl, &byte, 1) == 1);
		SSL_free(ssl);
		close(sockets[i]);
	}
	_exit(0);
}

static double measure(enum way way, const struct material *material, int count, int concurrent)
{
	int *near = xcalloc((size_t)count, sizeof *near), *far = xcalloc((size_t)count, sizeof *far), result[2];
	double used = 0;
	ensure(pipe(result) == 0);
	for (int i = 0; i < count; i++) {
		int ends[2];
		ensure(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
		near[i] = ends[0];
		far[i] = ends[1];
		int flags = 1;
		ensure(ioctl(near[i], FIONBIO, &flags) == 0);
	}
	if (fork() == 0)
		server_process(way, material, near, count, concurrent, result[1]);
	for (int i = 0; i < concurrent; i++)
		if (fork() == 0)
			client_process(far, count, i, concurrent);
	for (int i = 0; i < count; i++) {
		close(near[i]);
		close(far[i]);
	}
	ensure(read(result[0], &used, sizeof used) == sizeof used);
	while (wait(NULL) > 0)
		continue;
	close(result[0]);
	close(result[1]);
	free(near);
	free(far);
	return used / count * 1e6;
}

/* What else the machine does only adds: the best round says most. */
static double smaller(double best, double other)
{
	return best > 0 && best < other ? best : other;
}

int main(int argc, char **argv)
{
	uint64_t count = 2000, concurrent = 8, percent = 0;
	struct material material = make_material();
	double best[WAYS] = { 0 };
	enum { ROUNDS = 5 };
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1)
		ensure(slice_parse_u64(slice_of(argv[1]), 9000, &count) && count > 0);
	if (argc > 2)
		ensure(slice_parse_u64(slice_of(argv[2]), 64, &concurrent) && concurrent > 0);
	if (argc > 3)
		ensure(slice_parse_u64(slice_of(argv[3]), 1000, &percent) && percent > 0);
	for (int round = 0; round < ROUNDS; round++)
		for (enum way way = 0; way < WAYS; way++)
			best[way] = smaller(best[way], measure(way, &material, (int)count, (int)concurrent));
	for (enum way way = 0; way < WAYS; way++)
		printf("%-46s %7.1f us of server CPU a handshake, %.3f of the first\n", way_names[way], best[way], best[way] / best[0]);
	double costs = (best[WAY_KEEPER] / best[WAY_OWN_KEY] - 1) * 100;
	if (percent == 0 || costs <= (double)percent)
		return 0;
	printf("the keeper costs %.1f %% of a handshake, more than %d\n", costs, (int)percent);
	return 1;
}
