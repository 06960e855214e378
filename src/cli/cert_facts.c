/* SPDX-License-Identifier: ISC */
#include "cli/cert_facts.h"

#include "tls/tlsa.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

enum { DAY = 86400, STATUS_REQUEST = 5 /* RFC 6066 §1.1 */ };

/* Control characters above ASCII (U+0080 to U+009F), which terminals may obey. */
static void blank_controls(struct slice text)
{
	char *at = (char *)(uintptr_t)text.data;
	for (size_t i = 0; i + 1 < text.len; i++)
		if ((unsigned char)at[i] == 0xc2 && (unsigned char)at[i + 1] < 0xa0)
			at[i] = at[i + 1] = '?';
}

/* RFC 2253 escapes control characters of ASCII; what is above ASCII becomes UTF-8. */
static struct slice name_text(const X509_NAME *name, struct arena *arena)
{
	char *data = NULL;
	struct slice text = { 0 };
	BIO *bio = BIO_new(BIO_s_mem());
	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
		long len = BIO_get_mem_data(bio, &data);
		text = arena_copy(arena, slice_make(data, len > 0 ? (size_t)len : 0));
		blank_controls(text);
	}
	BIO_free(bio);
	return text;
}

static struct slice hexadecimal(struct slice bytes, struct arena *arena)
{
	static const char digits[] = "0123456789abcdef";
	char *text = arena_alloc(arena, bytes.len * 2 + 1);
	for (size_t i = 0; i < bytes.len; i++) {
		text[2 * i] = digits[(unsigned char)bytes.data[i] >> 4];
		text[2 * i + 1] = digits[bytes.data[i] & 15];
	}
	return slice_make(text, bytes.len * 2);
}

static struct slice date_text(const ASN1_TIME *when, struct arena *arena)
{
	struct tm tm;
	if (!ASN1_TIME_to_tm(when, &tm))
		return (struct slice){ 0 };
	return arena_printf(arena, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			    tm.tm_sec);
}

static struct slice key_text(X509 *certificate, struct arena *arena)
{
	char curve[64] = "";
	EVP_PKEY *key = X509_get0_pubkey(certificate);
	if (!key)
		return SLICE("unknown");
	if (!EVP_PKEY_is_a(key, "EC")) {
		const char *type = EVP_PKEY_get0_type_name(key);
		return EVP_PKEY_is_a(key, "RSA") ? arena_printf(arena, "RSA %d bits", EVP_PKEY_get_bits(key)) :
						   arena_printf(arena, "%.40s", type ? type : "unknown");
	}
	EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL);
	const char *nist = EC_curve_nid2nist(OBJ_txt2nid(curve));
	return arena_printf(arena, "ECDSA %s", nist ? nist : curve);
}

/* RFC 7633 §4.1: a list of TLS extensions, status_request among them. */
static bool must_staple(const X509 *certificate)
{
	bool found = false;
	TLS_FEATURE *features = X509_get_ext_d2i(certificate, NID_tlsfeature, NULL, NULL);
	for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++)
		found = found || ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == STATUS_REQUEST;
	sk_ASN1_INTEGER_pop_free(features, ASN1_INTEGER_free);
	return found;
}

static void read_dates(const X509 *certificate, int64_t now, struct arena *arena, struct cert_facts *facts)
{
	int days = 0, seconds = 0;
	time_t moment = (time_t)now;
	ASN1_TIME *present = ASN1_TIME_set(NULL, moment);
	facts->not_before = date_text(X509_get0_notBefore(certificate), arena);
	facts->not_after = date_text(X509_get0_notAfter(certificate), arena);
	if (present && ASN1_TIME_diff(&days, &seconds, present, X509_get0_notAfter(certificate)))
		facts->days_left = days;
	facts->ended = days < 0 || seconds < 0;
	facts->not_yet = present && ASN1_TIME_compare(X509_get0_notBefore(certificate), present) > 0;
	ASN1_TIME_free(present);
}

void cert_facts_read(X509 *certificate, int64_t now, struct arena *arena, struct cert_facts *facts_r)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
	int nid = X509_get_signature_nid(certificate);
	const char *signature = OBJ_nid2ln(nid);
	*facts_r = (struct cert_facts){
		.subject = name_text(X509_get_subject_name(certificate), arena),
		.issuer = name_text(X509_get_issuer_name(certificate), arena),
		.serial = hexadecimal(slice_make(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial)), arena),
		.key = key_text(certificate, arena),
		.signature = slice_of(signature ? signature : "unknown"),
		.sha256 = hexadecimal(tlsa_data(certificate, TLSA_CERTIFICATE, TLSA_SHA256, arena), arena),
		.key_sha256 = hexadecimal(tlsa_data(certificate, TLSA_PUBLIC_KEY, TLSA_SHA256, arena), arena),
		.authority = chain_is_authority(certificate),
		.must_staple = must_staple(certificate),
		.self_signed = chain_signed_by(certificate, certificate),
	};
	facts_r->name_count = chain_names(certificate, arena, facts_r->names);
	read_dates(certificate, now, arena, facts_r);
	ERR_clear_error();
}
