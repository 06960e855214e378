/* SPDX-License-Identifier: ISC */
#include "tls/server.h"

#include "base/fatal.h"
#include "tls/chain.h"
#include "tls/context.h"
#include "tls/stream.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>

struct tls_server {
	unsigned references;
	SSL_CTX *context;
	struct tls_tickets tickets;
	BIO_METHOD *method;
	/* Protocols that a client may ask for, as in RFC 7301 §3.1; NULL: whatever it asks for is ignored. */
	unsigned char *alpn;
	size_t alpn_length;
	bool alpn_required;
	struct ocsp_stapler *stapler; /* NULL: no proofs */
};

static bool use_chain(struct tls_server *server, struct tls_library *library, STACK_OF(X509) *chain, const struct remote_signer *signer,
		      struct error *error)
{
	EVP_PKEY *key = remote_key_new(library, X509_get0_pubkey(sk_X509_value(chain, 0)), signer, error);
	if (!key)
		return false;
	bool done = tls_context_use_chain(server->context, chain, error) &&
		    (SSL_CTX_use_PrivateKey(server->context, key) == 1 || tls_error(error, "using its key"));
	EVP_PKEY_free(key);
	return done;
}

static bool add_chain(struct tls_server *server, const struct tls_maker *maker, const struct tls_policy *policy,
		      const struct tls_file *file, struct error *error)
{
	char name[240];
	snprintf(name, sizeof name, "%.*s", SLICE_ARG(file->name));
	_cleanup_chain_ STACK_OF(X509) *chain = chain_parse(file->text, name, error);
	if (!chain)
		return false;
	if (!use_chain(server, maker->library, chain, maker->signer, error))
		return error_context(error, "%s", name);
	return tls_context_limit_dh(server->context, tls_library_context(maker->library), policy, X509_get0_pubkey(sk_X509_value(chain, 0)), error);
}

/* ---- Protocol names ---- */

/*
 * Exim's manual, chapter 14: who asks for more than one protocol, or for one that is not in the list, gets no connection. That
 * keeps a connection for another service from being led here (RFC 9325 §3.7).
 */
static int alpn_callback(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in, unsigned in_length,
			 void *arg)
{
	const struct tls_server *server = arg;
	(void)ssl;
	if (in_length < 2 || in_length != in[0] + 1u)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	for (size_t i = 0; i < server->alpn_length; i += server->alpn[i] + 1u) {
		if (server->alpn[i] != in[0] || memcmp(server->alpn + i, in, in_length) != 0)
			continue;
		*out = in + 1;
		*out_length = in[0];
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void set_alpn(struct tls_server *server, const struct tls_policy *policy)
{
	server->alpn_required = policy->alpn_required && policy->alpn.len;
	if (!policy->alpn.len)
		return;
	server->alpn = xcalloc(1, policy->alpn.len);
	server->alpn_length = policy->alpn.len;
	memcpy(server->alpn, policy->alpn.data, policy->alpn.len);
	SSL_CTX_set_alpn_select_cb(server->context, alpn_callback, server);
}

/* The choice was made at the ClientHello. This keeps the name with the session, for which alone it is resumed (tls/tickets.h). */
static int name_callback(SSL *ssl, int *alert, void *arg)
{
	(void)alert;
	(void)arg;
	return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static int hello_callback(SSL *ssl, int *alert, void *arg)
{
	struct tls_server *server = arg;
	struct stream *stream = BIO_get_data(SSL_get_rbio(ssl));
	return stream_client_hello(stream, ssl, server->alpn_required, alert);
}

static void add_proofs(struct tls_server *server, const struct tls_maker *maker, const struct tls_policy *policy)
{
	struct ocsp_source sources[TLS_CHAINS_MAX];
	char names[TLS_CHAINS_MAX][256];
	if (!maker->complaints)
		return;
	for (size_t i = 0; i < policy->proof_count; i++) {
		snprintf(names[i], sizeof names[i], "%.*s", SLICE_ARG(policy->proofs[i].name));
		sources[i] = (struct ocsp_source){ .text = policy->proofs[i].text, .name = names[i] };
	}
	server->stapler = ocsp_stapler_new(server->context, sources, policy->proof_count, maker->proofs, maker->complaints);
}

struct tls_server *tls_server_new(const struct tls_maker *maker, const struct tls_policy *policy, struct error *error)
{
	struct tls_library *library = maker->library;
	struct tls_server *server = xcalloc(1, sizeof *server);
	server->references = 1;
	server->context = SSL_CTX_new_ex(tls_library_context(library), NULL, TLS_server_method());
	server->method = stream_method_new();
	bool done = server->context && server->method;
	if (!done)
		tls_error(error, "preparing TLS");
	done = done && tls_context_configure(server->context, tls_library_context(library), policy, error);
	for (size_t i = 0; done && i < policy->chain_count; i++)
		done = add_chain(server, maker, policy, &policy->chains[i], error);
	done = done && tls_tickets_use(&server->tickets, server->context, tls_library_context(library), maker->tickets, policy, error);
	if (!done) {
		tls_server_unref(server);
		return NULL;
	}
	set_alpn(server, policy);
	add_proofs(server, maker, policy);
	SSL_CTX_set_client_hello_cb(server->context, hello_callback, server);
	SSL_CTX_set_tlsext_servername_callback(server->context, name_callback);
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
	tls_tickets_clear(&server->tickets);
	BIO_meth_free(server->method);
	free(server->alpn);
	free(server);
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
	case TLS1_1_VERSION: return "TLS1.1";
	case TLS1_VERSION: return "TLS1";
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
	_cleanup_chain_ STACK_OF(X509) *chain = chain_parse(pem, name, error);
	return chain && (key_id_of(X509_get0_pubkey(sk_X509_value(chain, 0)), id_r) || tls_error(error, "reading the public key of %s", name));
}
