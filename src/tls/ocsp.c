/* SPDX-License-Identifier: ISC */
/* Reading proofs, and what a proof is asked about a certificate. */
#include "tls/ocsp.h"

#include "base/fatal.h"
#include "tls/remote_key.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/tls1.h>
#include <openssl/x509v3.h>

enum { CERTIFICATES_MAX = 16 /* beside proofs */, PEM_BLOCKS_MAX = OCSP_PROOFS_MAX + CERTIFICATES_MAX, URLS_MAX = 8 };

/* ---- Reading ---- */

OCSP_RESPONSE *ocsp_proof_read(struct slice der, const char *name, struct error *error)
{
	const unsigned char *at = (const unsigned char *)der.data, *end = at + der.len;
	if (der.len > OCSP_RESPONSE_MAX) {
		error_set(error, ERROR_PERMANENT, "%s: an OCSP proof of %zu bytes is too large, at most %d are taken", name, der.len,
			  OCSP_RESPONSE_MAX);
		return NULL;
	}
	OCSP_RESPONSE *proof = der.len ? d2i_OCSP_RESPONSE(NULL, &at, (long)der.len) : NULL;
	ERR_clear_error();
	if (proof && at == end)
		return proof;
	OCSP_RESPONSE_free(proof);
	error_set(error, ERROR_PERMANENT, "%s: %s", name,
		  !der.len ? "the OCSP proof is empty" :
		  proof	   ? "something that is no certificate follows the OCSP proof" :
			     "this is no OCSP proof, or it was cut short");
	return NULL;
}

bool ocsp_proof_write(OCSP_RESPONSE *proof, struct buf *out)
{
	unsigned char *der = NULL;
	int len = i2d_OCSP_RESPONSE(proof, &der);
	bool done = len > 0 && len <= OCSP_RESPONSE_MAX && buf_append(out, slice_make(der, (size_t)len));
	OPENSSL_free(der);
	ERR_clear_error();
	return done;
}

void ocsp_file_free(struct ocsp_file *file)
{
	for (size_t i = 0; i < file->count; i++)
		OCSP_RESPONSE_free(file->proofs[i]);
	file->count = 0;
}

struct slice ocsp_file_path(struct slice item)
{
	item = slice_trim(item);
	if (slice_starts_nocase(item, SLICE("pem ")) || slice_starts_nocase(item, SLICE("der ")))
		item = slice_trim(slice_from(item, 4));
	return item;
}

/* The certificates stand outside of what is signed (RFC 6960 §4.2.1), so they can be added to. */
static bool add_certificates(OCSP_RESPONSE **proof, STACK_OF(X509) *certificates)
{
	OCSP_BASICRESP *basic = sk_X509_num(certificates) > 0 ? OCSP_response_get1_basic(*proof) : NULL;
	if (!basic)
		return true; /* nothing to add, or nothing that it could be added to: the check will say so */
	bool done = true;
	for (int i = 0; done && i < sk_X509_num(certificates); i++) {
		X509 *certificate = sk_X509_value(certificates, i);
		bool there = false;
		for (int n = 0; n < sk_X509_num(OCSP_resp_get0_certs(basic)); n++)
			there = there || X509_cmp(sk_X509_value(OCSP_resp_get0_certs(basic), n), certificate) == 0;
		done = there || OCSP_basic_add1_cert(basic, certificate) == 1;
	}
	OCSP_RESPONSE *whole = done ? OCSP_response_create(OCSP_response_status(*proof), basic) : NULL;
	OCSP_BASICRESP_free(basic);
	if (!whole || i2d_OCSP_RESPONSE(whole, NULL) > OCSP_RESPONSE_MAX) {
		OCSP_RESPONSE_free(whole);
		return false;
	}
	OCSP_RESPONSE_free(*proof);
	*proof = whole;
	return true;
}

static bool take_certificate(STACK_OF(X509) *certificates, const unsigned char **at, long len)
{
	X509 *certificate = sk_X509_num(certificates) < CERTIFICATES_MAX ? d2i_X509(NULL, at, len) : NULL;
	if (certificate && sk_X509_push(certificates, certificate) > 0)
		return true;
	X509_free(certificate);
	return false;
}

/* How long the first element of DER is: what follows it are certificates. 0 when it is none, or longer than there is. */
static size_t der_length(struct slice der)
{
	const unsigned char *at = (const unsigned char *)der.data;
	long len = 0;
	int tag, class;
	if (der.len == 0 || (ASN1_get_object(&at, &len, &tag, &class, (long)der.len) & 0x81) || len < 0)
		return 0;
	return (size_t)(at - (const unsigned char *)der.data) + (size_t)len;
}

static bool read_der(struct slice text, const char *name, struct ocsp_file *file, STACK_OF(X509) *certificates, struct error *error)
{
	size_t len = der_length(text);
	struct slice rest = slice_from(text, len);
	const unsigned char *at = (const unsigned char *)rest.data, *end = at + rest.len;
	OCSP_RESPONSE *proof = ocsp_proof_read(len ? slice_first(text, len) : text, name, error);
	if (!proof)
		return false;
	file->proofs[file->count++] = proof;
	while (at < end && take_certificate(certificates, &at, end - at))
		continue;
	return at == end || error_set(error, ERROR_PERMANENT, "%s: something that is no certificate follows the OCSP proof", name);
}

static bool take_block(const char *kind, const unsigned char *data, long len, const char *name, struct ocsp_file *file,
		       STACK_OF(X509) *certificates, struct error *error)
{
	if (strcmp(kind, "OCSP RESPONSE") == 0) {
		OCSP_RESPONSE *proof = NULL;
		if (file->count == OCSP_PROOFS_MAX)
			return error_set(error, ERROR_PERMANENT, "%s holds more than %d OCSP proofs", name, OCSP_PROOFS_MAX);
		proof = ocsp_proof_read(slice_make(data, (size_t)len), name, error);
		if (proof)
			file->proofs[file->count++] = proof;
		return proof != NULL;
	}
	if (strcmp(kind, "CERTIFICATE") == 0 || strcmp(kind, "X509 CERTIFICATE") == 0)
		return take_certificate(certificates, &data, len) ||
		       error_set(error, ERROR_PERMANENT, "%s: a certificate in it is malformed, or there are more than %d", name,
				 CERTIFICATES_MAX);
	return error_set(error, ERROR_PERMANENT, "%s holds \"%.60s\", which is neither an OCSP proof nor a certificate", name, kind);
}

static bool read_pem(struct slice text, const char *name, struct ocsp_file *file, STACK_OF(X509) *certificates, struct error *error)
{
	BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
	bool done = bio != NULL || error_set(error, ERROR_TEMPORARY, "%s: out of memory", name);
	for (int blocks = 0; done; blocks++) {
		char *kind = NULL, *header = NULL;
		unsigned char *data = NULL;
		long len = 0;
		if (PEM_read_bio(bio, &kind, &header, &data, &len) != 1) {
			bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
			if (!ended)
				done = error_set(error, ERROR_PERMANENT, "%s: the PEM text is malformed or cut short", name);
			break;
		}
		if (blocks == PEM_BLOCKS_MAX)
			done = error_set(error, ERROR_PERMANENT, "%s holds more than %d PEM blocks", name, PEM_BLOCKS_MAX);
		done = done && take_block(kind, data, len, name, file, certificates, error);
		OPENSSL_free(kind);
		OPENSSL_free(header);
		OPENSSL_free(data);
	}
	BIO_free(bio);
	if (done && file->count == 0)
		done = error_set(error, ERROR_PERMANENT, "%s holds no OCSP proof", name);
	return done;
}

static bool is_pem(struct slice text)
{
	while (text.len) {
		struct slice line = slice_cut(&text, '\n');
		if (slice_starts(line, SLICE("-----BEGIN ")))
			return true;
	}
	return false;
}

bool ocsp_file_read(struct slice text, const char *name, struct ocsp_file *file_r, struct error *error)
{
	*file_r = (struct ocsp_file){ .count = 0 };
	if (text.len > OCSP_FILE_MAX)
		return error_set(error, ERROR_PERMANENT, "%s: a file of %zu bytes is too large for OCSP proofs, at most %d are read", name,
				 text.len, OCSP_FILE_MAX);
	STACK_OF(X509) *certificates = sk_X509_new_null();
	bool done = certificates != NULL || error_set(error, ERROR_TEMPORARY, "%s: out of memory", name);
	if (done)
		done = is_pem(text) ? read_pem(text, name, file_r, certificates, error) :
				      read_der(text, name, file_r, certificates, error);
	for (size_t i = 0; done && i < file_r->count; i++)
		if (!add_certificates(&file_r->proofs[i], certificates))
			done = error_set(error, ERROR_PERMANENT, "%s: with its certificates the OCSP proof is too large, at most %d bytes are "
					 "served", name, OCSP_RESPONSE_MAX);
	sk_X509_pop_free(certificates, X509_free);
	ERR_clear_error();
	if (!done)
		ocsp_file_free(file_r);
	return done;
}

/* ---- Certificates ---- */

STACK_OF(X509) *ocsp_chain_read(struct slice pem)
{
	BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *certificate;
	ensure(chain != NULL);
	while (bio && sk_X509_num(chain) < CERTIFICATES_MAX && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		if (sk_X509_push(chain, certificate) <= 0)
			X509_free(certificate);
	BIO_free(bio);
	ERR_clear_error();
	return chain;
}

X509 *ocsp_find_issuer(X509 *certificate, STACK_OF(X509) *chain)
{
	X509 *found = NULL;
	for (int i = 0; !found && i < sk_X509_num(chain) && i < CERTIFICATES_MAX; i++) {
		X509 *candidate = sk_X509_value(chain, i);
		if (X509_check_issued(candidate, certificate) == X509_V_OK &&
		    X509_verify(certificate, X509_get0_pubkey(candidate)) == 1)
			found = candidate;
	}
	ERR_clear_error();
	return found;
}

bool ocsp_is_must_staple(X509 *certificate)
{
	TLS_FEATURE *features = X509_get_ext_d2i(certificate, NID_tlsfeature, NULL, NULL);
	bool found = false;
	for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++)
		found = found || ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == TLSEXT_TYPE_status_request;
	TLS_FEATURE_free(features);
	ERR_clear_error();
	return found;
}

bool ocsp_responder_url(X509 *certificate, char *url_r, size_t size)
{
	STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(certificate);
	bool found = false;
	for (int i = 0; !found && i < sk_OPENSSL_STRING_num(urls) && i < URLS_MAX; i++) {
		struct slice url = slice_of(sk_OPENSSL_STRING_value(urls, i));
		found = slice_starts_nocase(url, SLICE("http://")) && slice_to_cstr(url, url_r, size);
		for (size_t n = 0; found && n < url.len; n++)
			found = url.data[n] > 32 && url.data[n] < 127;
	}
	X509_email_free(urls);
	ERR_clear_error();
	return found;
}

bool ocsp_print_of(X509 *certificate, struct ocsp_print *print_r)
{
	return X509_digest(certificate, EVP_sha256(), print_r->bytes, NULL) == 1;
}

bool ocsp_request_write(X509 *certificate, X509 *issuer, struct buf *out, struct error *error)
{
	OCSP_REQUEST *request = OCSP_REQUEST_new();
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), certificate, issuer);
	unsigned char *der = NULL;
	bool added = request && id && OCSP_request_add0_id(request, id);
	if (!added)
		OCSP_CERTID_free(id);
	int len = added ? i2d_OCSP_REQUEST(request, &der) : -1;
	bool done = len > 0 && buf_append(out, slice_make(der, (size_t)len));
	OPENSSL_free(der);
	OCSP_REQUEST_free(request);
	return done || tls_error(error, "making an OCSP request");
}

/* ---- Times ---- */

bool ocsp_parse_time(const ASN1_TIME *time, int64_t *when_r)
{
	struct tm parts;
	if (!time || ASN1_TIME_to_tm(time, &parts) != 1)
		return false;
	*when_r = timegm(&parts);
	return true;
}

const char *ocsp_format_time(int64_t when, char *out, size_t size)
{
	struct tm parts;
	time_t seconds = (time_t)when;
	if (!gmtime_r(&seconds, &parts) || strftime(out, size, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
		snprintf(out, size, "an unknown time");
	return out;
}

/* ---- The check ---- */

static void refuse(struct ocsp_verdict *verdict, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void refuse(struct ocsp_verdict *verdict, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(verdict->reason, sizeof verdict->reason, format, args);
	va_end(args);
	verdict->valid = false;
}

/* RFC 6960 §4.1.1: the ID is made with any hash, so ours is made with the one that the answer has. */
static bool is_about(const OCSP_CERTID *id, X509 *certificate, X509 *issuer)
{
	ASN1_OBJECT *algorithm = NULL;
	if (OCSP_id_get0_info(NULL, &algorithm, NULL, NULL, (OCSP_CERTID *)(uintptr_t)id) != 1)
		return false;
	const EVP_MD *digest = EVP_get_digestbyobj(algorithm);
	OCSP_CERTID *ours = digest ? OCSP_cert_to_id(digest, certificate, issuer) : NULL;
	bool same = ours && OCSP_id_cmp(ours, id) == 0;
	OCSP_CERTID_free(ours);
	return same;
}

static OCSP_SINGLERESP *find_answer(OCSP_BASICRESP *basic, X509 *certificate, X509 *issuer)
{
	for (int i = 0; i < OCSP_resp_count(basic) && i < OCSP_ANSWERS_MAX; i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
		if (is_about(OCSP_SINGLERESP_get0_id(single), certificate, issuer))
			return single;
	}
	return NULL;
}

static bool check_times(OCSP_SINGLERESP *single, int64_t now, struct ocsp_verdict *verdict)
{
	ASN1_GENERALIZEDTIME *this_update = NULL, *next_update = NULL;
	char text[32];
	OCSP_single_get0_status(single, NULL, NULL, &this_update, &next_update);
	if (!ocsp_parse_time(this_update, &verdict->this_update))
		return refuse(verdict, "it does not say since when it holds (thisUpdate)"), false;
	if (!next_update)
		return refuse(verdict, "it does not say until when it holds (nextUpdate)"), false;
	if (!ocsp_parse_time(next_update, &verdict->next_update) || verdict->next_update < verdict->this_update)
		return refuse(verdict, "its nextUpdate is malformed, or before its thisUpdate"), false;
	verdict->served_until = verdict->next_update + OCSP_SKEW;
	if (verdict->this_update > now + OCSP_SKEW)
		return refuse(verdict, "it holds only from %s on: is this machine's clock right?",
			      ocsp_format_time(verdict->this_update, text, sizeof text)), false;
	if (now > verdict->served_until)
		return refuse(verdict, "it has expired at %s", ocsp_format_time(verdict->next_update, text, sizeof text)), false;
	return true;
}

/* Nothing that was signed with a certificate that has expired since is believed. */
static bool check_expiry(X509 *signer, int64_t now, struct ocsp_verdict *verdict)
{
	int64_t end;
	char text[32];
	if (!ocsp_parse_time(X509_get0_notAfter(signer), &end))
		return refuse(verdict, "its signer's certificate has a malformed time"), false;
	if (now > end)
		return refuse(verdict, "its signer's certificate has expired at %s", ocsp_format_time(end, text, sizeof text)), false;
	if (end < verdict->served_until)
		verdict->served_until = end;
	return true;
}

static void explain_signature(struct ocsp_verdict *verdict)
{
	static const struct { int reason; const char *text; } texts[] = {
		{ OCSP_R_SIGNER_CERTIFICATE_NOT_FOUND, "its signer's certificate is neither the issuer's nor in it" },
		{ OCSP_R_SIGNATURE_FAILURE, "its signature is wrong" },
		{ OCSP_R_MISSING_OCSPSIGNING_USAGE, "its signer's certificate does not permit signing OCSP proofs (extended key usage "
						    "OCSPSigning is missing)" },
		{ OCSP_R_ROOT_CA_NOT_TRUSTED, "its signer is neither the certificate's issuer nor certified by it" },
		{ OCSP_R_CERTIFICATE_VERIFY_ERROR, "its signer is neither the certificate's issuer nor certified by it, or not at this time" },
	};
	enum { COUNT = sizeof texts / sizeof texts[0] };
	size_t best = COUNT;
	const char *last = NULL;
	/* OpenSSL leaves several: the first row says most. */
	for (unsigned long error; (error = ERR_get_error());) {
		last = ERR_reason_error_string(error);
		for (size_t i = 0; i < best; i++)
			if (ERR_GET_LIB(error) == ERR_LIB_OCSP && ERR_GET_REASON(error) == texts[i].reason)
				best = i;
	}
	if (best < COUNT)
		refuse(verdict, "%s", texts[best].text);
	else
		refuse(verdict, "its signature cannot be verified: %s", last ? last : "unknown reason");
}

/* The issuer is the only one that is trusted here, whoever may have certified it. */
static bool check_signature(OCSP_BASICRESP *basic, X509 *issuer, int64_t now, struct ocsp_verdict *verdict)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *known = sk_X509_new_null();
	X509 *signer = NULL;
	bool ready = store && known && X509_STORE_add_cert(store, issuer) == 1 && sk_X509_push(known, issuer) > 0 &&
		     X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1;
	if (ready)
		X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)now);
	bool good = ready && OCSP_basic_verify(basic, known, store, 0) == 1;
	bool found = ready && OCSP_resp_get0_signer(basic, &signer, known) == 1;
	if (found && !check_expiry(signer, now, verdict)) /* says more than a failed verification */
		good = false;
	else if (!good)
		explain_signature(verdict);
	else
		good = check_expiry(issuer, now, verdict);
	sk_X509_free(known);
	X509_STORE_free(store);
	return good;
}

static bool check_status(OCSP_SINGLERESP *single, struct ocsp_verdict *verdict)
{
	ASN1_GENERALIZEDTIME *revoked = NULL;
	int reason = OCSP_REVOKED_STATUS_NOSTATUS;
	int64_t when = 0;
	char text[32];
	int status = OCSP_single_get0_status(single, &reason, &revoked, NULL, NULL);
	if (status == V_OCSP_CERTSTATUS_GOOD)
		return true;
	verdict->revoked = status == V_OCSP_CERTSTATUS_REVOKED;
	if (!verdict->revoked)
		return refuse(verdict, "it says that the responder does not know the certificate"), false;
	ocsp_parse_time(revoked, &when);
	refuse(verdict, "it says that the certificate is revoked since %s%s%s", ocsp_format_time(when, text, sizeof text),
	       reason >= 0 ? ": " : "", reason >= 0 ? OCSP_crl_reason_str(reason) : "");
	return false;
}

static void check_basic(OCSP_BASICRESP *basic, X509 *certificate, X509 *issuer, int64_t now, struct ocsp_verdict *verdict)
{
	if (!issuer)
		issuer = ocsp_find_issuer(certificate, (STACK_OF(X509) *)(uintptr_t)OCSP_resp_get0_certs(basic));
	if (!issuer)
		return refuse(verdict, "the certificate of who issued the server's certificate is not known: add it to the chain");
	if (OCSP_resp_count(basic) > OCSP_ANSWERS_MAX)
		return refuse(verdict, "it speaks of more than %d certificates", OCSP_ANSWERS_MAX);
	OCSP_SINGLERESP *single = find_answer(basic, certificate, issuer);
	verdict->other = !single;
	if (!single)
		return refuse(verdict, "it is about another certificate");
	verdict->valid = check_times(single, now, verdict) && check_signature(basic, issuer, now, verdict) &&
			 check_status(single, verdict);
}

void ocsp_check(OCSP_RESPONSE *proof, X509 *certificate, X509 *issuer, int64_t now, struct ocsp_verdict *verdict_r)
{
	*verdict_r = (struct ocsp_verdict){ .valid = false };
	ERR_clear_error();
	int status = OCSP_response_status(proof);
	OCSP_BASICRESP *basic = status == OCSP_RESPONSE_STATUS_SUCCESSFUL ? OCSP_response_get1_basic(proof) : NULL;
	if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		refuse(verdict_r, "the responder answered \"%s\" instead of a proof", OCSP_response_status_str(status));
	else if (!basic)
		refuse(verdict_r, "its content is malformed, or of a kind that is not known");
	else
		check_basic(basic, certificate, issuer, now, verdict_r);
	OCSP_BASICRESP_free(basic);
	ERR_clear_error();
}
