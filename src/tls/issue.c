/* SPDX-License-Identifier: ISC */
#include "tls/issue.h"

#include "net/address.h"
#include "tls/remote_key.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

/* A name, an address or a mail address as a subjectAltName entry (RFC 5280 §4.2.1.6). NULL on failure. */
static GENERAL_NAME *alternative_name(struct slice text)
{
	struct net_address address;
	bool is_address = net_address_parse(text, &address);
	int type = is_address ? GEN_IPADD : slice_find(text, '@') < text.len ? GEN_EMAIL : GEN_DNS;
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *value = is_address ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
	const void *bytes = is_address ? (const void *)address.bytes : text.data;
	int len = is_address ? address.family == AF_INET ? 4 : 16 : (int)text.len;
	if (name && value && ASN1_STRING_set(value, bytes, len)) {
		GENERAL_NAME_set0_value(name, type, value);
		return name;
	}
	ASN1_STRING_free(value);
	GENERAL_NAME_free(name);
	return NULL;
}

static bool add_names(X509 *certificate, const struct slice *names, size_t count)
{
	GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
	bool good = all != NULL;
	for (size_t i = 0; good && i < count; i++) {
		GENERAL_NAME *name = alternative_name(names[i]);
		good = name && sk_GENERAL_NAME_push(all, name) > 0;
		if (!good)
			GENERAL_NAME_free(name);
	}
	good = good && X509_add1_ext_i2d(certificate, NID_subject_alt_name, all, 0, X509V3_ADD_DEFAULT) == 1;
	GENERAL_NAMES_free(all);
	return good;
}

/* Those that say what the certificate may be used for; NULL ends a list. */
enum { EXTENSIONS_MAX = 5 };
static const struct extension { int nid; const char *value; } extensions[][EXTENSIONS_MAX + 1] = {
	[ISSUE_SERVER] = {
		{ NID_basic_constraints, "critical,CA:FALSE" }, { NID_key_usage, "critical,digitalSignature" },
		{ NID_ext_key_usage, "serverAuth" }, { NID_subject_key_identifier, "hash" }, { 0, NULL },
	},
	[ISSUE_CLIENT] = {
		{ NID_basic_constraints, "critical,CA:FALSE" }, { NID_key_usage, "critical,digitalSignature" },
		{ NID_ext_key_usage, "clientAuth" }, { NID_subject_key_identifier, "hash" }, { 0, NULL },
	},
	[ISSUE_AUTHORITY] = {
		{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" }, { NID_key_usage, "critical,keyCertSign,cRLSign" },
		{ NID_subject_key_identifier, "hash" }, { 0, NULL },
	},
};

static bool add_extension(X509 *certificate, X509 *issuer, const struct extension *which)
{
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, which->nid, which->value);
	bool good = extension && X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	return good;
}

static bool add_extensions(X509 *certificate, const struct issue_request *request)
{
	static const struct extension staple = { NID_tlsfeature, "status_request" }, authority = { NID_authority_key_identifier, "keyid" };
	X509 *issuer = request->issuer ? request->issuer : certificate;
	for (const struct extension *each = extensions[request->purpose]; each->value; each++)
		if (!add_extension(certificate, issuer, each))
			return false;
	return (!request->must_staple || add_extension(certificate, issuer, &staple)) &&
	       (!request->issuer || add_extension(certificate, issuer, &authority));
}

/* A positive serial number of 127 random bits (RFC 5280 §4.1.2.2). */
static bool set_serial(X509 *certificate)
{
	unsigned char bytes[16];
	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return false;
	bytes[0] = (bytes[0] & 0x7f) | 0x40;
	BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
	bool good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return good;
}

/* From an hour ago, for clocks that differ. */
static bool set_dates(X509 *certificate, const struct issue_request *request)
{
	if (!X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) ||
	    !X509_gmtime_adj(X509_getm_notAfter(certificate), (long)request->days * 86400 - 3600))
		return false;
	const ASN1_TIME *end = request->issuer ? X509_get0_notAfter(request->issuer) : NULL;
	return !end || ASN1_TIME_compare(X509_get0_notAfter(certificate), end) <= 0 || X509_set1_notAfter(certificate, end);
}

static bool fill(X509 *certificate, EVP_PKEY *key, const struct issue_request *request)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	/* A common name has at most 64 characters (RFC 5280, appendix A.1); clients look at the alternative names. */
	int len = request->names[0].len > 64 ? 64 : (int)request->names[0].len;
	EVP_PKEY *signer = request->issuer ? request->issuer_key : key;
	/* Ed25519 hashes by itself. */
	const EVP_MD *digest = EVP_PKEY_is_a(signer, "ED25519") ? NULL : EVP_sha256();
	return X509_set_version(certificate, X509_VERSION_3) && set_serial(certificate) && set_dates(certificate, request) &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)request->names[0].data, len, -1, 0) &&
	       X509_set_issuer_name(certificate, request->issuer ? X509_get_subject_name(request->issuer) : subject) &&
	       X509_set_pubkey(certificate, key) && add_extensions(certificate, request) &&
	       (request->purpose == ISSUE_AUTHORITY || add_names(certificate, request->names, request->count)) &&
	       X509_sign(certificate, signer, digest) > 0;
}

static EVP_PKEY *make_key(enum issue_key kind)
{
	if (kind == ISSUE_RSA)
		return EVP_RSA_gen(2048);
	return kind == ISSUE_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_EC_gen("P-256");
}

bool issue_certificate(const struct issue_request *request, X509 **certificate_r, EVP_PKEY **key_r, struct error *error)
{
	ERR_clear_error();
	EVP_PKEY *key = make_key(request->key);
	X509 *certificate = X509_new();
	bool good = key && certificate && request->count;
	if (!good)
		tls_error(error, "making a private key");
	if (good && !fill(certificate, key, request))
		good = tls_error(error, "making a certificate");
	if (good) {
		*certificate_r = certificate;
		*key_r = key;
		return true;
	}
	X509_free(certificate);
	EVP_PKEY_free(key);
	return false;
}

static bool append_pem(BIO *bio, struct buf *out)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);
	return len > 0 && buf_append(out, slice_make(data, (size_t)len));
}

bool issue_write(X509 *certificate, EVP_PKEY *key, struct buf *certificate_out, struct buf *key_out, struct error *error)
{
	BIO *certificate_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_secmem());
	bool good = certificate_bio && key_bio && PEM_write_bio_X509(certificate_bio, certificate) &&
		    PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) &&
		    append_pem(certificate_bio, certificate_out) && append_pem(key_bio, key_out);
	BIO_free(certificate_bio);
	BIO_free(key_bio);
	return good || tls_error(error, "writing a certificate");
}
