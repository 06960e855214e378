/* SPDX-License-Identifier: ISC */
#include "tls/verify.h"

#include "base/arena.h"
#include "base/fatal.h"
#include "tls/policy.h"
#include "tls/remote_key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum { DIGEST_LEN = 32 };

struct tls_trust {
	unsigned references;
	X509_STORE *store;
	STACK_OF(X509_NAME) *names; /* to announce; NULL: none */
	unsigned char digest[DIGEST_LEN];
};

/* ---- The material ---- */

static BIO *reader(struct slice text)
{
	BIO *bio = BIO_new_mem_buf(text.len ? text.data : "", (int)text.len);
	ensure(bio != NULL);
	return bio;
}

/* Whether reading stopped because there is no more, and not because something is damaged. */
static bool read_all(BIO *bio, size_t count, const char *what, const char *name, struct error *error)
{
	BIO_free(bio);
	unsigned long last = ERR_peek_last_error();
	bool ended = !last || (ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE);
	if (!ended)
		return tls_error(error, "reading %s %zu in %s", what, count + 1, name);
	ERR_clear_error();
	return count > 0 || error_set(error, ERROR_USAGE, "there is no %s in %s: expected a file in PEM form", what, name);
}

static void announce(struct tls_trust *trust, const X509 *certificate)
{
	X509_NAME *name = X509_NAME_dup(X509_get_subject_name(certificate));
	ensure(name && sk_X509_NAME_push(trust->names, name) > 0);
}

static bool add_certificates(struct tls_trust *trust, const struct tls_trust_source *source, struct error *error)
{
	BIO *bio = reader(source->certificates);
	X509 *certificate;
	size_t count = 0;
	bool good = true;
	while (good && count < TLS_TRUST_CERTIFICATES_MAX && (certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL))) {
		good = X509_STORE_add_cert(trust->store, certificate) == 1;
		if (good && source->announce && count < TLS_TRUST_ANNOUNCED_MAX)
			announce(trust, certificate);
		X509_free(certificate);
		count++;
	}
	if (count > TLS_TRUST_ANNOUNCED_MAX) {
		sk_X509_NAME_pop_free(trust->names, X509_NAME_free);
		trust->names = NULL;
	}
	if (count == TLS_TRUST_CERTIFICATES_MAX)
		good = error_set(error, ERROR_USAGE, "there are more than %d certificates in %s", TLS_TRUST_CERTIFICATES_MAX - 1,
				 source->certificates_name);
	if (!good) {
		BIO_free(bio);
		return count == TLS_TRUST_CERTIFICATES_MAX ? false : tls_error(error, "using a certificate in %s", source->certificates_name);
	}
	return read_all(bio, count, "certificate", source->certificates_name, error);
}

static bool add_crls(struct tls_trust *trust, const struct tls_trust_source *source, struct error *error)
{
	BIO *bio = reader(source->crls);
	X509_CRL *crl;
	size_t count = 0;
	while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
		X509_STORE_add_crl(trust->store, crl);
		X509_CRL_free(crl);
		count++;
	}
	if (!read_all(bio, count, "revocation list", source->crls_name, error))
		return false;
	return X509_STORE_set_flags(trust->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1 ||
	       tls_error(error, "setting up revocation lists");
}

static bool make_digest(struct tls_trust *trust, const struct tls_trust_source *source)
{
	unsigned char parts[2 * DIGEST_LEN];
	const char *certificates = source->certificates.len ? source->certificates.data : "";
	const char *crls = source->crls.len ? source->crls.data : "";
	return EVP_Digest(certificates, source->certificates.len, parts, NULL, EVP_sha256(), NULL) == 1 &&
	       EVP_Digest(crls, source->crls.len, parts + DIGEST_LEN, NULL, EVP_sha256(), NULL) == 1 &&
	       EVP_Digest(parts, sizeof parts, trust->digest, NULL, EVP_sha256(), NULL) == 1;
}

static struct tls_trust *empty_trust(void)
{
	struct tls_trust *trust = xcalloc(1, sizeof *trust);
	trust->references = 1;
	trust->store = X509_STORE_new();
	trust->names = sk_X509_NAME_new_null();
	ensure(trust->store && trust->names);
	ERR_clear_error();
	return trust;
}

bool tls_trust_check(struct slice text, bool crls, const char *name, struct error *error)
{
	const struct tls_trust_source source = { .certificates = text, .crls = text, .certificates_name = name, .crls_name = name };
	struct tls_trust *trust = empty_trust();
	bool good = crls ? add_crls(trust, &source, error) : add_certificates(trust, &source, error);
	tls_trust_unref(trust);
	return good;
}

struct tls_trust *tls_trust_new(const struct tls_trust_source *source, struct error *error)
{
	struct tls_trust *trust = empty_trust();
	bool good = make_digest(trust, source) || tls_error(error, "preparing verification");
	if (source->certificates.len > TLS_TRUST_BYTES_MAX || source->crls.len > TLS_TRUST_BYTES_MAX)
		good = error_set(error, ERROR_USAGE, "%s is longer than %d bytes",
				 source->crls.len > TLS_TRUST_BYTES_MAX ? source->crls_name : source->certificates_name,
				 TLS_TRUST_BYTES_MAX);
	good = good && add_certificates(trust, source, error);
	good = good && (source->crls.len == 0 || add_crls(trust, source, error));
	if (good)
		/* A client's own certificate may stand in the file, as well as that of its authority. */
		good = X509_STORE_set_flags(trust->store, X509_V_FLAG_PARTIAL_CHAIN) == 1 || tls_error(error, "preparing verification");
	if (good)
		return trust;
	tls_trust_unref(trust);
	return NULL;
}

struct tls_trust *tls_trust_ref(struct tls_trust *trust)
{
	trust->references++;
	return trust;
}

void tls_trust_unref(struct tls_trust *trust)
{
	if (!trust || --trust->references)
		return;
	X509_STORE_free(trust->store);
	sk_X509_NAME_pop_free(trust->names, X509_NAME_free);
	free(trust);
}

/* ---- Connections ---- */

/* The error stays in the context whatever is returned, and becomes the connection's result. */
static int check(int good, X509_STORE_CTX *context)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
	bool required = SSL_get_verify_mode(ssl) & SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	X509 *certificate = X509_STORE_CTX_get_current_cert(context);
	if (good && X509_STORE_CTX_get_error_depth(context) == 0 && certificate && certificate_has_nul(certificate)) {
		X509_STORE_CTX_set_error(context, X509_V_ERR_APPLICATION_VERIFICATION);
		good = 0;
	}
	struct tls_verify_report *report = SSL_get_app_data(ssl);
	if (!good && report && !report->bad) {
		report->bad = true;
		report->depth = X509_STORE_CTX_get_error_depth(context);
		if (certificate)
			certificate_name(certificate, report->name);
	}
	return good || !required;
}

static bool is_word_for_all(struct slice word)
{
	return slice_equal(word, SLICE("ALL")) || slice_equal(word, SLICE("DEFAULT")) || slice_equal(word, SLICE("HIGH"));
}

static bool set_ciphers(SSL *ssl, const struct tls_policy *policy, struct arena *arena)
{
	/* RSA key exchange would be chosen and then fail, as in tls/context.c. */
	const char *older = arena_printf(arena, "%.*s:!kRSA", SLICE_ARG(policy->ciphers)).data;
	bool all = false;
	for (struct slice rest = policy->ciphers; policy->ciphers_given && rest.len;)
		all = is_word_for_all(slice_cut(&rest, ':')) || all;
	return (!policy->ciphers_given || SSL_set_cipher_list(ssl, older) == 1) &&
	       (!policy->suites_given || SSL_set_ciphersuites(ssl, policy->suites.data) == 1) &&
	       /* A version that the list has nothing of is not permitted. */
	       (policy->suites_given || all || SSL_set_max_proto_version(ssl, TLS1_2_VERSION) == 1) &&
	       (policy->ciphers_given || SSL_set_min_proto_version(ssl, TLS1_3_VERSION) == 1);
}

static bool use_ciphers(SSL *ssl, struct slice list, struct error *error)
{
	struct tls_policy policy;
	struct arena arena;
	arena_init(&arena, 0);
	tls_policy_init(&policy, TLS_PROFILE_OPPORTUNISTIC);
	bool good = tls_policy_set_ciphers(&policy, list, &arena, error) || error_context(error, "tls_verify_ciphers");
	ERR_clear_error();
	if (good && !set_ciphers(ssl, &policy, &arena))
		good = tls_error(error, "tls_verify_ciphers \"%.*s\"", SLICE_ARG(slice_first(list, 100)));
	arena_free(&arena);
	return good;
}

/* One who was let in unverified, or with another cipher, must not come back with that session where this is required. */
static bool bind_sessions(SSL *ssl, const struct tls_trust *trust, enum tls_verify how, struct slice ciphers)
{
	const unsigned char kind = (unsigned char)how;
	unsigned char digest[DIGEST_LEN];
	EVP_MD_CTX *sum = EVP_MD_CTX_new();
	bool good = sum && EVP_DigestInit_ex2(sum, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(sum, &kind, 1) == 1 &&
		    EVP_DigestUpdate(sum, trust->digest, sizeof trust->digest) == 1 &&
		    EVP_DigestUpdate(sum, ciphers.data, ciphers.len) == 1 && EVP_DigestFinal_ex(sum, digest, NULL) == 1 &&
		    SSL_set_session_id_context(ssl, digest, sizeof digest) == 1;
	EVP_MD_CTX_free(sum);
	return good;
}

bool tls_verify_use(SSL *ssl, const struct tls_trust *trust, enum tls_verify how, struct slice ciphers,
		    struct tls_verify_report *report, struct error *error)
{
	static const unsigned char nothing[] = "postern";
	bool good = true;
	SSL_set_app_data(ssl, report);
	if (ciphers.len && !use_ciphers(ssl, ciphers, error))
		return false;
	if (how == TLS_VERIFY_NONE) {
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
		return SSL_set_session_id_context(ssl, nothing, sizeof nothing - 1) == 1 || tls_error(error, "preparing TLS");
	}
	SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE |
			    (how == TLS_VERIFY_REQUIRE ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), check);
	SSL_set_verify_depth(ssl, TLS_VERIFY_DEPTH_MAX);
	if (!trust) {
		X509_STORE *empty = X509_STORE_new();
		return (empty && SSL_set0_verify_cert_store(ssl, empty) == 1) || tls_error(error, "preparing verification");
	}
	if (trust->names && sk_X509_NAME_num(trust->names)) {
		STACK_OF(X509_NAME) *names = sk_X509_NAME_deep_copy(trust->names, X509_NAME_dup, X509_NAME_free);
		good = names != NULL;
		SSL_set0_CA_list(ssl, names);
	}
	good = good && SSL_set1_verify_cert_store(ssl, trust->store) == 1 && bind_sessions(ssl, trust, how, ciphers);
	return good || tls_error(error, "preparing verification");
}

bool tls_verify_ciphers_check(struct slice list, struct error *error)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	SSL *ssl = context ? SSL_new(context) : NULL;
	bool good = ssl ? use_ciphers(ssl, list, error) : tls_error(error, "preparing TLS");
	SSL_free(ssl);
	SSL_CTX_free(context);
	return good;
}

bool tls_verified(const SSL *ssl)
{
	return SSL_get0_peer_certificate(ssl) && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) &&
	       SSL_get_verify_result(ssl) == X509_V_OK;
}

const char *tls_verify_problem(const SSL *ssl)
{
	long result = SSL_get_verify_result(ssl);
	if (result == X509_V_OK || !(SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER))
		return NULL;
	return result == X509_V_ERR_APPLICATION_VERIFICATION ? "a name in the certificate holds a NUL" : X509_verify_cert_error_string(result);
}
