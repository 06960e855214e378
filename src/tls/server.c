/* SPDX-License-Identifier: ISC */
#include "tls/server.h"

#include "base/fatal.h"
#include "tls/ocsp.h"
#include "tls/stream.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

/* For TLS 1.2; ephemeral key exchange only, authenticated encryption first (RFC 9325 §4.2). */
#define CIPHER_LIST "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:!aNULL:!eNULL:!kRSA:!PSK:!SRP:!DSS:!CAMELLIA"

/* For TLS 1.3: 128 bits first, whose key schedule runs on SHA-256, which processors have instructions for. */
#define CIPHER_SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

enum { CHAIN_MAX = 16, SESSION_SECONDS = 7200 };

struct tls_server {
	unsigned references;
	SSL_CTX *context;
	const struct ticket_keys *tickets;
	/* Fetched once: fetching at each ticket costs more than sealing it. */
	EVP_CIPHER *ticket_cipher;
	BIO_METHOD *method;
	struct ocsp_stapler *stapler; /* NULL: none */
};

bool ticket_keys_rotate(struct ticket_keys *keys)
{
	memmove(&keys->keys[1], &keys->keys[0], sizeof keys->keys[0] * (TICKET_KEYS - 1));
	if (RAND_bytes(keys->keys[0].name, sizeof keys->keys[0].name) != 1 ||
	    RAND_priv_bytes(keys->keys[0].cipher_key, sizeof keys->keys[0].cipher_key) != 1 ||
	    RAND_priv_bytes(keys->keys[0].mac_key, sizeof keys->keys[0].mac_key) != 1)
		return false;
	if (keys->count < TICKET_KEYS)
		keys->count++;
	return true;
}

static int prepare_ticket(struct tls_server *server, const struct ticket_key *key, const unsigned char *iv,
			  EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac_key, sizeof key->mac_key),
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_END,
	};
	return EVP_CipherInit_ex2(cipher, server->ticket_cipher, key->cipher_key, iv, sealing, NULL) == 1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 go on, 2 opened with an old key (a new ticket is due), 0 unknown key. */
static int ticket_callback(SSL *ssl, unsigned char name[16], unsigned char iv[EVP_MAX_IV_LENGTH], EVP_CIPHER_CTX *cipher,
			   EVP_MAC_CTX *mac, int sealing)
{
	struct tls_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct ticket_keys *tickets = server->tickets;
	if (sealing) {
		if (tickets->count == 0 || RAND_bytes(iv, 16) != 1)
			return 0;
		memcpy(name, tickets->keys[0].name, 16);
		return prepare_ticket(server, &tickets->keys[0], iv, cipher, mac, 1);
	}
	for (unsigned i = 0; i < tickets->count; i++) {
		if (CRYPTO_memcmp(name, tickets->keys[i].name, 16) != 0)
			continue;
		if (!prepare_ticket(server, &tickets->keys[i], iv, cipher, mac, 0))
			return -1;
		return i == 0 ? 1 : 2;
	}
	return 0;
}

static bool read_chain(struct slice pem, const char *name, X509 *chain[CHAIN_MAX], size_t *count_r, struct error *error)
{
	BIO *bio = BIO_new_mem_buf(pem.data, pem.len > INT32_MAX ? INT32_MAX : (int)pem.len);
	ensure(bio != NULL);
	size_t count = 0;
	X509 *certificate;
	while (count < CHAIN_MAX && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		chain[count++] = certificate;
	BIO_free(bio);
	unsigned long last = ERR_peek_last_error();
	*count_r = count;
	if (count && (!last || ERR_GET_REASON(last) == PEM_R_NO_START_LINE)) {
		ERR_clear_error();
		return true;
	}
	return count == CHAIN_MAX ? error_set(error, ERROR_USAGE, "%s holds more than %d certificates", name, CHAIN_MAX - 1) :
				    tls_error(error, "reading the certificate chain in %s", name);
}

static bool use_chain(struct tls_server *server, struct tls_library *library, X509 *chain[], size_t count, const char *name,
		      const struct remote_signer *signer, struct error *error)
{
	EVP_PKEY *key = remote_key_new(library, X509_get0_pubkey(chain[0]), signer, error);
	if (!key)
		return error_context(error, "%s", name);
	bool done = SSL_CTX_use_certificate(server->context, chain[0]) == 1 &&
		    SSL_CTX_use_PrivateKey(server->context, key) == 1;
	for (size_t i = 1; done && i < count; i++)
		done = SSL_CTX_add1_chain_cert(server->context, chain[i]) == 1;
	EVP_PKEY_free(key);
	return done || tls_error(error, "using the certificate in %s", name);
}

static bool add_chain(struct tls_server *server, struct tls_library *library, struct slice pem, const char *name,
		      const struct remote_signer *signer, struct error *error)
{
	X509 *chain[CHAIN_MAX] = { NULL };
	size_t count = 0;
	bool done = read_chain(pem, name, chain, &count, error) &&
		    use_chain(server, library, chain, count, name, signer, error);
	for (size_t i = 0; i < count; i++)
		X509_free(chain[i]);
	return done;
}

static bool set_policy(SSL_CTX *context)
{
	SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
				     SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN /* the file has the chain */);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(context, SESSION_SECONDS);
	return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_ciphersuites(context, CIPHER_SUITES) == 1 &&
	       SSL_CTX_set_cipher_list(context, CIPHER_LIST) == 1 && SSL_CTX_set_dh_auto(context, 1) == 1 &&
	       SSL_CTX_set_num_tickets(context, 1) == 1 &&
	       SSL_CTX_set_session_id_context(context, (const unsigned char *)"postern", 7) == 1;
}

struct tls_server *tls_server_new(struct tls_library *library, const struct slice *chains, const char *const *names,
				  size_t count, const struct remote_signer *signer, const struct ticket_keys *tickets,
				  struct error *error)
{
	struct tls_server *server = xcalloc(1, sizeof *server);
	server->references = 1;
	server->tickets = tickets;
	server->context = SSL_CTX_new_ex(tls_library_context(library), NULL, TLS_server_method());
	server->ticket_cipher = EVP_CIPHER_fetch(tls_library_context(library), "AES-256-CBC", NULL);
	server->method = stream_method_new();
	bool done = server->context && server->ticket_cipher && server->method && set_policy(server->context);
	if (!done)
		tls_error(error, "preparing TLS");
	for (size_t i = 0; done && i < count; i++)
		done = add_chain(server, library, chains[i], names[i], signer, error);
	if (!done) {
		tls_server_unref(server);
		return NULL;
	}
	SSL_CTX_set_app_data(server->context, server);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(server->context, ticket_callback);
	return server;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
	server->references++;
	return server;
}

void tls_server_unref(struct tls_server *server)
{
	if (!server || --server->references)
		return;
	SSL_CTX_free(server->context);
	ocsp_stapler_free(server->stapler);
	EVP_CIPHER_free(server->ticket_cipher);
	BIO_meth_free(server->method);
	free(server);
}

void tls_server_staple(struct tls_server *server, const struct ocsp_source *sources, size_t count, struct ocsp_pool *pool,
		       const struct ocsp_complaints *complaints)
{
	ensure(!server->stapler);
	server->stapler = ocsp_stapler_new(server->context, sources, count, pool, complaints);
}

SSL *tls_server_connection(struct tls_server *server)
{
	return SSL_new(server->context);
}

const BIO_METHOD *tls_server_method(const struct tls_server *server)
{
	return server->method;
}

const char *tls_version_name(const SSL *ssl)
{
	switch (SSL_version(ssl)) {
	case TLS1_3_VERSION: return "TLS1.3";
	case TLS1_2_VERSION: return "TLS1.2";
	default: return "TLS";
	}
}

void tls_cipher_text(const SSL *ssl, char *out, size_t size)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	snprintf(out, size, "%s:%s:%d", tls_version_name(ssl), SSL_CIPHER_get_name(cipher), SSL_CIPHER_get_bits(cipher, NULL));
}

bool tls_certificate_key_id(struct slice pem, const char *name, struct key_id *id_r, struct error *error)
{
	X509 *chain[CHAIN_MAX] = { NULL };
	size_t count = 0;
	bool done = read_chain(pem, name, chain, &count, error);
	if (done && !key_id_of(X509_get0_pubkey(chain[0]), id_r))
		done = tls_error(error, "reading the public key of %s", name);
	for (size_t i = 0; i < count; i++)
		X509_free(chain[i]);
	return done;
}
