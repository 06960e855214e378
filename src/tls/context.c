/* SPDX-License-Identifier: ISC */
#include "tls/context.h"

#include "base/fatal.h"
#include "tls/remote_key.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

/* A session may be resumed for two hours. */
enum { SESSION_SECONDS = 7200 };

static void set_basics(SSL_CTX *context)
{
	SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
				     SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN /* the file has the chain */);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(context, SESSION_SECONDS);
}

static bool set_versions(SSL_CTX *context, const struct tls_policy *policy, struct error *error)
{
	int min = policy->min_version ? policy->min_version : policy->profile_min_version;
	/* Handshakes of TLS 1.0 and 1.1 are signed with SHA-1 and MD5, which OpenSSL permits on this level only. */
	if (min < TLS1_2_VERSION)
		SSL_CTX_set_security_level(context, 0);
	SSL_CTX_clear_options(context, policy->cleared);
	SSL_CTX_set_options(context, policy->options);
	/* Whoever asks for an old version does not have it switched off at the same time. */
	if (policy->min_version)
		SSL_CTX_clear_options(context, SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2);
	return SSL_CTX_set_min_proto_version(context, min) == 1 || tls_error(error, "tls_min_version");
}

/* OpenSSL does not mind unknown names as long as one is left that it knows. */
static bool set_ciphers(SSL_CTX *context, const struct tls_policy *policy, struct error *error)
{
	int min = policy->min_version ? policy->min_version : policy->profile_min_version;
	char list[20000];
	const char *old = min < TLS1_2_VERSION && !policy->ciphers_given ? ":ECDHE+AES:DHE+AES:!aNULL:!eNULL:!kRSA:!PSK:!SRP:!DSS" : "";
	/* RSA key exchange would be chosen and then fail: the keeper signs, it does not decrypt. */
	int length = snprintf(list, sizeof list, "%.*s%s:!kRSA", SLICE_ARG(policy->ciphers), old);
	if (length < 0 || (size_t)length >= sizeof list)
		return error_set(error, ERROR_USAGE, "tls_require_ciphers: the list is too long");
	if (SSL_CTX_set_cipher_list(context, list) != 1)
		return tls_error(error, "tls_require_ciphers: of \"%.100s\" OpenSSL can use none (there is no RSA key exchange)", list);
	char suites[1200];
	if (!slice_to_cstr(policy->suites, suites, sizeof suites) || SSL_CTX_set_ciphersuites(context, suites) != 1)
		return tls_error(error, "tls_require_ciphers: the suites of TLS 1.3 \"%.60s\"", suites);
	return true;
}

static bool set_groups(SSL_CTX *context, const struct tls_policy *policy, struct error *error)
{
	char groups[2048];
	if (!policy->groups.len)
		return true;
	return (slice_to_cstr(policy->groups, groups, sizeof groups) && SSL_CTX_set1_groups_list(context, groups) == 1) ||
	       tls_error(error, "tls_eccurve: \"%.*s\"", SLICE_ARG(slice_first(policy->groups, 100)));
}

/* ---- Diffie-Hellman ---- */

static EVP_PKEY *named_parameters(OSSL_LIB_CTX *library, struct slice group)
{
	char name[40];
	EVP_PKEY *key = NULL;
	if (!slice_to_cstr(group, name, sizeof name))
		return NULL;
	OSSL_PARAM params[] = { OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0), OSSL_PARAM_END };
	/* Only the X9.42 form knows the groups of RFC 5114. */
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(library, slice_starts(group, SLICE("dh_")) ? "DHX" : "DH", "provider=default");
	if (ctx && EVP_PKEY_fromdata_init(ctx) == 1)
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEY_PARAMETERS, params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *file_parameters(OSSL_LIB_CTX *library, const struct tls_file *file)
{
	if (file->text.len > INT32_MAX)
		return NULL;
	BIO *bio = BIO_new_mem_buf(file->text.data, (int)file->text.len);
	ensure(bio != NULL);
	EVP_PKEY *key = PEM_read_bio_Parameters_ex(bio, NULL, library, "provider=default");
	BIO_free(bio);
	if (key && !EVP_PKEY_is_a(key, "DH") && !EVP_PKEY_is_a(key, "DHX")) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

static bool fits(const struct tls_policy *policy, int bits)
{
	return !policy->dh_max_bits || bits <= policy->dh_max_bits;
}

static bool use_group(SSL_CTX *context, OSSL_LIB_CTX *library, struct slice group, struct error *error)
{
	EVP_PKEY *key = named_parameters(library, group);
	if (key && SSL_CTX_set0_tmp_dh_pkey(context, key) == 1)
		return true;
	EVP_PKEY_free(key);
	return tls_error(error, "tls_dhparam: using the group %.*s", SLICE_ARG(group));
}

static bool use_file(SSL_CTX *context, OSSL_LIB_CTX *library, const struct tls_policy *policy, struct error *error)
{
	struct slice name = slice_first(policy->dh_file.name, 200);
	EVP_PKEY *key = file_parameters(library, &policy->dh_file);
	if (!key)
		return tls_error(error, "tls_dhparam: reading the parameters of %.*s", SLICE_ARG(name));
	int bits = EVP_PKEY_get_bits(key);
	bool good = true;
	if (bits < 1024)
		good = error_set(error, ERROR_USAGE, "tls_dhparam: %.*s has only %d bits", SLICE_ARG(name), bits);
	else if (fits(policy, bits) && SSL_CTX_set0_tmp_dh_pkey(context, key) == 1)
		return true;
	else if (fits(policy, bits))
		good = tls_error(error, "tls_dhparam: %.*s", SLICE_ARG(name));
	EVP_PKEY_free(key);
	return good;
}

/* Exim: parameters above the limit are as none. */
static bool set_dh(SSL_CTX *context, OSSL_LIB_CTX *library, const struct tls_policy *policy, struct error *error)
{
	if (policy->no_dh)
		return true;
	if (policy->dh_file.name.len)
		return use_file(context, library, policy, error);
	if (policy->dh_group.len)
		return !fits(policy, policy->dh_group_bits) || use_group(context, library, policy->dh_group, error);
	return SSL_CTX_set_dh_auto(context, 1) == 1 || tls_error(error, "tls_dhparam");
}

/* The length of the group that OpenSSL would take (SSL_CTX_set_dh_auto(3)): as strong as the certificate, and as its own level asks. */
static int automatic_bits(const SSL_CTX *context, const EVP_PKEY *key)
{
	static const int levels[] = { 0, 80, 112, 128, 192, 256 };
	int level = SSL_CTX_get_security_level(context);
	int wanted = levels[level < 0 ? 0 : level > 5 ? 5 : level], strength = EVP_PKEY_get_security_bits(key);
	strength = strength < wanted ? wanted : strength;
	return strength >= 192 ? 8192 : strength >= 152 ? 4096 : strength >= 128 ? 3072 : strength >= 112 ? 2048 : 1024;
}

bool tls_context_limit_dh(SSL_CTX *context, OSSL_LIB_CTX *library, const struct tls_policy *policy, const EVP_PKEY *key,
			  struct error *error)
{
	/* RFC 7919. OpenSSL has no group of 1024 bits that is safe. */
	static const struct {
		int bits;
		const char *name;
	} groups[] = { { 6144, "ffdhe6144" }, { 4096, "ffdhe4096" }, { 3072, "ffdhe3072" }, { 2048, "ffdhe2048" } };
	bool automatic = !policy->no_dh && !policy->dh_group.len && !policy->dh_file.name.len;
	/* Only an RSA key signs for a key exchange of this kind (RFC 5246 §7.4.2; no DSA here). */
	if (!automatic || !EVP_PKEY_is_a(key, "RSA") || fits(policy, automatic_bits(context, key)))
		return true;
	SSL_CTX_set_dh_auto(context, 0);
	for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
		if (fits(policy, groups[i].bits))
			return use_group(context, library, slice_of(groups[i].name), error);
	return true;
}

bool tls_context_configure(SSL_CTX *context, OSSL_LIB_CTX *library, const struct tls_policy *policy, struct error *error)
{
	set_basics(context);
	if (!set_versions(context, policy, error) || !set_ciphers(context, policy, error) || !set_groups(context, policy, error) ||
	    !set_dh(context, library, policy, error))
		return false;
	/* Tickets of TLS 1.2 go by the option, those of TLS 1.3 by their number. */
	bool tickets = policy->resumption && !(SSL_CTX_get_options(context) & SSL_OP_NO_TICKET);
	if (!tickets)
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	return SSL_CTX_set_num_tickets(context, tickets ? 1 : 0) == 1 || tls_error(error, "preparing TLS");
}

bool tls_context_check(const struct tls_policy *policy, struct error *error)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	bool good = context ? tls_context_configure(context, NULL, policy, error) : tls_error(error, "preparing TLS");
	SSL_CTX_free(context);
	return good;
}

bool tls_context_use_chain(SSL_CTX *context, STACK_OF(X509) *chain, struct error *error)
{
	bool done = SSL_CTX_use_certificate(context, sk_X509_value(chain, 0)) == 1;
	for (int i = 1; done && i < sk_X509_num(chain); i++)
		done = SSL_CTX_add1_chain_cert(context, sk_X509_value(chain, i)) == 1;
	return done || tls_error(error, "OpenSSL refuses it");
}

bool tls_context_takes(const struct tls_policy *policy, STACK_OF(X509) *chain, struct error *error)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	bool good = context ? tls_context_configure(context, NULL, policy, error) && tls_context_use_chain(context, chain, error) :
			      tls_error(error, "preparing TLS");
	SSL_CTX_free(context);
	return good;
}
