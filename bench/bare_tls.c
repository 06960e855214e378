/* SPDX-License-Identifier: ISC */
/*
 * bare_tls [COUNT]: what OpenSSL alone takes of the server's CPU for a TLS 1.3 handshake, full (ECDSA P-256) and resumed: no sockets, no
 * keeper, nothing of Postern; both ends in memory, and only the server's calls are counted. Below that no server on this library can get.
 */
#include "base/fatal.h"
#include "base/slice.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

static SSL_SESSION *session;

static int keep_session(SSL *ssl, SSL_SESSION *fresh)
{
	(void)ssl;
	SSL_SESSION_free(session);
	session = fresh;
	return 1;
}

static double cpu_now(void)
{
	struct timespec now;
	ensure(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static SSL_CTX *make_server(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	ensure(context && key && certificate);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	ensure(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)"bench", -1, -1, 0) == 1);
	ensure(X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1 && X509_set_pubkey(certificate, key) == 1);
	ensure(X509_sign(certificate, key, EVP_sha256()) > 0);
	ensure(SSL_CTX_use_certificate(context, certificate) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1);
	ensure(SSL_CTX_set_num_tickets(context, 1) == 1);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

/* One connection, closed by the client; returns the server's microseconds. */
static double connect_once(SSL_CTX *server_context, SSL_CTX *client_context, bool resume)
{
	BIO *client_end, *server_end;
	char byte;
	bool client_done = false, server_done = false;
	ensure(BIO_new_bio_pair(&client_end, 65536, &server_end, 65536) == 1);
	SSL *client = SSL_new(client_context);
	ensure(client != NULL);
	SSL_set_bio(client, client_end, client_end);
	SSL_set_connect_state(client);
	ensure(!resume || SSL_set_session(client, session) == 1);
	double begun = cpu_now(), used;
	SSL *server = SSL_new(server_context);
	ensure(server != NULL);
	SSL_set_bio(server, server_end, server_end);
	SSL_set_accept_state(server);
	used = cpu_now() - begun;
	while (!client_done || !server_done) {
		client_done = SSL_do_handshake(client) == 1;
		begun = cpu_now();
		server_done = SSL_do_handshake(server) == 1;
		used += cpu_now() - begun;
	}
	SSL_read(client, &byte, 1); /* the ticket */
	ensure(SSL_session_reused(client) == (resume ? 1 : 0));
	SSL_shutdown(client);
	begun = cpu_now();
	SSL_read(server, &byte, 1);
	SSL_shutdown(server);
	SSL_free(server);
	used += cpu_now() - begun;
	SSL_free(client);
	return used;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 3000;
	SSL_CTX *server = make_server(), *client = SSL_CTX_new(TLS_client_method());
	ensure(count > 0 && client != NULL);
	SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(client, keep_session);
	double used[2] = { 0 };
	connect_once(server, client, false);
	for (int i = 0; i < count; i++)
		for (int resume = 0; resume < 2; resume++)
			used[resume] += connect_once(server, client, resume == 1);
	printf("%s: %.0f us full, %.0f us resumed, of the server's CPU in OpenSSL alone\n", OpenSSL_version(OPENSSL_VERSION), used[0] / count,
	       used[1] / count);
	SSL_SESSION_free(session);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	return 0;
}
