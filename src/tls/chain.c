/* SPDX-License-Identifier: ISC */
#include "tls/chain.h"

#include "net/address.h"
#include "tls/ocsp.h"
#include "tls/remote_key.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

void chain_free(STACK_OF(X509) **chain)
{
	sk_X509_pop_free(*chain, X509_free);
	*chain = NULL;
}

/* A certificate has nothing to hide; one that is encrypted all the same must not make OpenSSL ask the terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

/* Takes the next PEM block. 1: there was one; 0: the end; -1: *error. */
static int take_next(BIO *bio, STACK_OF(X509) *chain, const char *name, struct error *error)
{
	X509 *certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	if (!certificate && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return 0;
	}
	if (!certificate) {
		tls_error(error, "reading certificate %d of %s", sk_X509_num(chain) + 1, name);
		return -1;
	}
	if (sk_X509_num(chain) == CHAIN_MAX) {
		X509_free(certificate);
		error_set(error, ERROR_USAGE, "%s has more than %d certificates", name, CHAIN_MAX);
		return -1;
	}
	if (!sk_X509_push(chain, certificate)) {
		X509_free(certificate);
		tls_error(error, "reading %s", name);
		return -1;
	}
	return 1;
}

STACK_OF(X509) *chain_parse(struct slice text, const char *name, struct error *error)
{
	_cleanup_chain_ STACK_OF(X509) *chain = sk_X509_new_null();
	if (text.len > CHAIN_TEXT_MAX) {
		error_set(error, ERROR_USAGE, "%s is too large for a certificate chain: %zu bytes, at most %d", name, text.len,
			  CHAIN_TEXT_MAX);
		return NULL;
	}
	ERR_clear_error();
	/* DER begins with the tag of a SEQUENCE. */
	const unsigned char *der = (const unsigned char *)text.data;
	X509 *single = text.len && der[0] == 0x30 ? d2i_X509(NULL, &der, (long)text.len) : NULL;
	ERR_clear_error();
	if (single && chain && sk_X509_push(chain, single)) {
		STACK_OF(X509) *alone = chain;
		chain = NULL;
		return alone;
	}
	X509_free(single);
	BIO *bio = BIO_new_mem_buf(text.len ? text.data : "", (int)text.len);
	int got = bio && chain ? 1 : -1;
	if (got < 0)
		tls_error(error, "reading %s", name);
	while (got > 0)
		got = take_next(bio, chain, name, error);
	BIO_free(bio);
	if (got == 0 && sk_X509_num(chain) == 0)
		error_set(error, ERROR_USAGE, "%s has no certificate; expected PEM text with \"BEGIN CERTIFICATE\"", name);
	if (got < 0 || sk_X509_num(chain) == 0)
		return NULL;
	STACK_OF(X509) *made = chain;
	chain = NULL;
	return made;
}

/* Letters, digits, hyphens, underscores and dots; a first label of one asterisk. */
static bool is_plain_name(struct slice name)
{
	if (slice_starts(name, SLICE("*.")))
		name = slice_from(name, 2);
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.data[i]) && name.data[i] != '-' && name.data[i] != '_' && name.data[i] != '.')
			return false;
	return name.len > 0 && name.len < 254;
}

static struct slice address_text(const ASN1_STRING *value, struct arena *arena)
{
	struct net_address address = { .family = ASN1_STRING_length(value) == 4 ? AF_INET : AF_INET6 };
	if (ASN1_STRING_length(value) != 4 && ASN1_STRING_length(value) != 16)
		return (struct slice){ 0 };
	memcpy(address.bytes, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
	struct net_text text = net_address_text(&address);
	return arena_copy(arena, slice_of(text.text));
}

size_t chain_names(const X509 *certificate, struct arena *arena, struct slice *names)
{
	size_t count = 0;
	GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(all) && count < CHAIN_NAMES_MAX; i++) {
		int type;
		const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, i), &type);
		struct slice name = { 0 };
		if (type == GEN_DNS)
			name = slice_make(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
		if (type == GEN_DNS && is_plain_name(name))
			names[count++] = arena_copy_lower(arena, name);
		if (type == GEN_IPADD && (name = address_text(value, arena)).len)
			names[count++] = name;
	}
	GENERAL_NAMES_free(all);
	ERR_clear_error();
	return count;
}

bool chain_is_authority(const X509 *certificate)
{
	/* The result for version 1 certificates that are self-signed is 3: they have no extensions to say so. */
	return X509_check_ca((X509 *)(uintptr_t)certificate) > 0;
}

bool chain_signed_by(X509 *certificate, X509 *issuer)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	bool good = X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(issuer)) == 0 && key &&
		    X509_verify(certificate, key) == 1;
	ERR_clear_error();
	return good;
}

void chain_judge(STACK_OF(X509) *chain, struct chain_verdict *verdict_r)
{
	*verdict_r = (struct chain_verdict){ .broken_at = -1, .begins = INT64_MIN, .ends = INT64_MAX };
	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *certificate = sk_X509_value(chain, i);
		int64_t begins, ends;
		/* Dates that are none are never. */
		if (!ocsp_parse_time(X509_get0_notBefore(certificate), &begins) || !ocsp_parse_time(X509_get0_notAfter(certificate), &ends)) {
			begins = INT64_MAX;
			ends = INT64_MIN;
		}
		if (begins > verdict_r->begins) {
			verdict_r->begins = begins;
			verdict_r->begun_by = i;
		}
		if (ends < verdict_r->ends) {
			verdict_r->ends = ends;
			verdict_r->ended_by = i;
		}
		if (verdict_r->broken_at < 0 && i + 1 < sk_X509_num(chain) && !chain_signed_by(certificate, sk_X509_value(chain, i + 1)))
			verdict_r->broken_at = i;
	}
	ERR_clear_error();
}

bool chain_is_good(const struct chain_verdict *verdict, int64_t now, struct error *error)
{
	char text[32];
	if (verdict->broken_at >= 0)
		return error_set(error, ERROR_USAGE, "certificate %d of its chain is not signed by the one that follows it", verdict->broken_at);
	if (verdict->begins > verdict->ends && verdict->begun_by == verdict->ended_by)
		return error_set(error, ERROR_USAGE, "certificate %d of its chain is at no time valid", verdict->ended_by);
	if (now > verdict->ends)
		return error_set(error, ERROR_USAGE, "certificate %d of its chain was valid until %s", verdict->ended_by,
				 ocsp_format_time(verdict->ends, text, sizeof text));
	if (now < verdict->begins)
		return error_set(error, ERROR_USAGE, "certificate %d of its chain is not valid before %s", verdict->begun_by,
				 ocsp_format_time(verdict->begins, text, sizeof text));
	return true;
}

static struct slice take_der(unsigned char *der, int len, struct arena *arena)
{
	struct slice copy = { 0 };
	if (len > 0)
		copy = arena_copy(arena, slice_make(der, (size_t)len));
	OPENSSL_free(der);
	ERR_clear_error();
	return copy;
}

struct slice chain_public_key(const X509 *certificate, struct arena *arena)
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
	return take_der(der, len, arena);
}

struct slice chain_encode(const X509 *certificate, struct arena *arena)
{
	unsigned char *der = NULL;
	int len = i2d_X509(certificate, &der);
	return take_der(der, len, arena);
}
