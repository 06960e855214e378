/* SPDX-License-Identifier: ISC */
#include "cli/certificate.h"

#include "net/address.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static bool openssl_error(struct error *error, const char *what)
{
	char reason[160];
	ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
	ERR_clear_error();
	return error_set(error, ERROR_PERMANENT, "%s: %s", what, reason);
}

/* A name or an address as a subjectAltName entry (RFC 5280 §4.2.1.6). NULL on failure. */
static GENERAL_NAME *alternative_name(struct slice text)
{
	struct net_address address;
	bool is_address = net_address_parse(text, &address);
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *value = is_address ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
	const void *bytes = is_address ? (const void *)address.bytes : text.data;
	int len = is_address ? address.family == AF_INET ? 4 : 16 : (int)text.len;
	if (name && value && ASN1_STRING_set(value, bytes, len)) {
		GENERAL_NAME_set0_value(name, is_address ? GEN_IPADD : GEN_DNS, value);
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

static bool add_extensions(X509 *certificate)
{
	static const struct { int nid; const char *value; } extensions[] = {
		{ NID_basic_constraints, "critical,CA:FALSE" }, { NID_key_usage, "critical,digitalSignature" },
		{ NID_ext_key_usage, "serverAuth" }, { NID_subject_key_identifier, "hash" },
	};
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
		X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, extensions[i].nid, extensions[i].value);
		bool good = extension && X509_add_ext(certificate, extension, -1);
		X509_EXTENSION_free(extension);
		if (!good)
			return false;
	}
	return true;
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

static bool fill(X509 *certificate, EVP_PKEY *key, const struct slice *names, size_t count, int days)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	/* A common name has at most 64 characters (RFC 5280, appendix A.1); clients look at the alternative names. */
	int len = names[0].len > 64 ? 64 : (int)names[0].len;
	return X509_set_version(certificate, X509_VERSION_3) && set_serial(certificate) &&
	       X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
	       X509_gmtime_adj(X509_getm_notAfter(certificate), (long)days * 86400 - 3600) &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)names[0].data, len, -1, 0) &&
	       X509_set_issuer_name(certificate, subject) && X509_set_pubkey(certificate, key) &&
	       add_extensions(certificate) && add_names(certificate, names, count) &&
	       X509_sign(certificate, key, EVP_sha256()) > 0;
}

static bool append_pem(BIO *bio, struct buf *out)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);
	return len > 0 && buf_append(out, slice_make(data, (size_t)len));
}

static bool write_pem(X509 *certificate, EVP_PKEY *key, struct buf *certificate_out, struct buf *key_out)
{
	BIO *certificate_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_secmem());
	bool good = certificate_bio && key_bio && PEM_write_bio_X509(certificate_bio, certificate) &&
		    PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) &&
		    append_pem(certificate_bio, certificate_out) && append_pem(key_bio, key_out);
	BIO_free(certificate_bio);
	BIO_free(key_bio);
	return good;
}

bool certificate_make(const struct slice *names, size_t count, int days, struct buf *certificate_out, struct buf *key_out,
		      struct error *error)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	bool good = key && certificate && count;
	if (!good)
		openssl_error(error, "making a private key");
	if (good && !fill(certificate, key, names, count, days))
		good = openssl_error(error, "making a certificate");
	if (good && !write_pem(certificate, key, certificate_out, key_out))
		good = openssl_error(error, "writing a certificate");
	X509_free(certificate);
	EVP_PKEY_free(key);
	return good;
}
