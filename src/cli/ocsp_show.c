/* SPDX-License-Identifier: ISC */
#include "cli/ocsp_show.h"

#include "cli/json.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

enum { TEXT_SIZE = 512 };

/* What is printed of an answer about one certificate. */
struct answer_fields {
	const char *status;
	char serial[128], digest[64], since[32], until[32], revoked[32];
	const char *reason;
};

struct proof_fields {
	const char *status;
	char responder[TEXT_SIZE], produced[32], signature[64];
	STACK_OF(X509) *certificates; /* of the proof */
};

static void name_text(const X509_NAME *name, char out[TEXT_SIZE])
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len = 0;
	if (bio && name && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
		len = BIO_get_mem_data(bio, &text);
	snprintf(out, TEXT_SIZE, "%.*s", (int)len, len ? text : "");
	BIO_free(bio);
}

static void hex_text(const unsigned char *bytes, int len, char *out, size_t size)
{
	*out = '\0';
	for (int i = 0; i < len && (size_t)i * 2 + 3 <= size; i++)
		snprintf(out + 2 * i, size - (size_t)i * 2, "%02x", bytes[i]);
}

static void time_text(const ASN1_TIME *time, char *out, size_t size)
{
	int64_t when;
	*out = '\0';
	if (ocsp_parse_time(time, &when))
		ocsp_format_time(when, out, size);
}

static void object_text(const ASN1_OBJECT *object, char *out, size_t size)
{
	if (!object || OBJ_obj2txt(out, (int)size, object, 0) <= 0)
		snprintf(out, size, "unknown");
}

static void read_answer(OCSP_SINGLERESP *single, struct answer_fields *fields)
{
	ASN1_GENERALIZEDTIME *revoked = NULL, *since = NULL, *until = NULL;
	ASN1_OBJECT *digest = NULL;
	ASN1_INTEGER *serial = NULL;
	int reason = -1;
	int status = OCSP_single_get0_status(single, &reason, &revoked, &since, &until);
	*fields = (struct answer_fields){ .status = OCSP_cert_status_str(status), .reason = "" };
	OCSP_id_get0_info(NULL, &digest, NULL, &serial, (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single));
	hex_text(ASN1_STRING_get0_data(serial), ASN1_STRING_length(serial), fields->serial, sizeof fields->serial);
	object_text(digest, fields->digest, sizeof fields->digest);
	time_text(since, fields->since, sizeof fields->since);
	time_text(until, fields->until, sizeof fields->until);
	time_text(revoked, fields->revoked, sizeof fields->revoked);
	if (status == V_OCSP_CERTSTATUS_REVOKED && reason >= 0)
		fields->reason = OCSP_crl_reason_str(reason);
}

static void read_proof(OCSP_RESPONSE *proof, OCSP_BASICRESP *basic, struct proof_fields *fields)
{
	const ASN1_OCTET_STRING *key = NULL;
	const X509_NAME *name = NULL;
	const ASN1_OBJECT *algorithm = NULL;
	*fields = (struct proof_fields){ .status = OCSP_response_status_str(OCSP_response_status(proof)) };
	if (!basic)
		return;
	OCSP_resp_get0_id(basic, &key, &name);
	if (name)
		name_text(name, fields->responder);
	else if (key)
		hex_text(ASN1_STRING_get0_data(key), ASN1_STRING_length(key), fields->responder, sizeof fields->responder);
	time_text(OCSP_resp_get0_produced_at(basic), fields->produced, sizeof fields->produced);
	X509_ALGOR_get0(&algorithm, NULL, NULL, OCSP_resp_get0_tbs_sigalg(basic));
	object_text(algorithm, fields->signature, sizeof fields->signature);
	fields->certificates = (STACK_OF(X509) *)(uintptr_t)OCSP_resp_get0_certs(basic);
}

/* ---- Text ---- */

static bool line(struct buf *out, const char *name, const char *value)
{
	bool fits = !*value || buf_printf(out, "%s: ", name);
	/* Names come from whoever made the proof: nothing of them may move the cursor. */
	for (const char *c = value; fits && *c; c++)
		fits = buf_append_byte(out, ascii_is_print(*c) || (unsigned char)*c >= 0x80 ? *c : '?');
	return fits && (!*value || buf_append_byte(out, '\n'));
}

static bool answer_text(OCSP_SINGLERESP *single, struct buf *out)
{
	struct answer_fields fields;
	read_answer(single, &fields);
	return line(out, "certificate", fields.serial) && line(out, "  named with", fields.digest) && line(out, "  status", fields.status) &&
	       line(out, "  revoked", fields.revoked) && line(out, "  reason", fields.reason) &&
	       line(out, "  this update", fields.since) && line(out, "  next update", fields.until);
}

bool ocsp_show_text(OCSP_RESPONSE *proof, struct buf *out)
{
	OCSP_BASICRESP *basic = OCSP_response_get1_basic(proof);
	struct proof_fields fields;
	read_proof(proof, basic, &fields);
	bool fits = line(out, "response", fields.status) && line(out, "responder", fields.responder) &&
		    line(out, "produced", fields.produced) && line(out, "signed with", fields.signature);
	for (int i = 0; fits && i < sk_X509_num(fields.certificates); i++) {
		char name[TEXT_SIZE];
		name_text(X509_get_subject_name(sk_X509_value(fields.certificates, i)), name);
		fits = line(out, "certificate of signer", name);
	}
	for (int i = 0; fits && basic && i < OCSP_resp_count(basic) && i < OCSP_ANSWERS_MAX; i++)
		fits = answer_text(OCSP_resp_get0(basic, i), out);
	OCSP_BASICRESP_free(basic);
	ERR_clear_error();
	return fits;
}

/* ---- JSON ---- */

static bool member(struct buf *out, const char *name, const char *value, bool first)
{
	return (first || buf_append_byte(out, ',')) && json_name(out, name) &&
	       (*value ? json_string(out, slice_of(value)) : buf_append(out, SLICE("null")));
}

static bool answer_json(OCSP_SINGLERESP *single, struct buf *out)
{
	struct answer_fields fields;
	read_answer(single, &fields);
	return buf_append_byte(out, '{') && member(out, "serial", fields.serial, true) && member(out, "digest", fields.digest, false) &&
	       member(out, "status", fields.status, false) && member(out, "revoked", fields.revoked, false) &&
	       member(out, "reason", fields.reason, false) && member(out, "this_update", fields.since, false) &&
	       member(out, "next_update", fields.until, false) && buf_append_byte(out, '}');
}

bool ocsp_show_json(OCSP_RESPONSE *proof, struct buf *out)
{
	OCSP_BASICRESP *basic = OCSP_response_get1_basic(proof);
	struct proof_fields fields;
	read_proof(proof, basic, &fields);
	bool fits = buf_append_byte(out, '{') && member(out, "response", fields.status, true) &&
		    member(out, "responder", fields.responder, false) && member(out, "produced", fields.produced, false) &&
		    member(out, "signature", fields.signature, false) && buf_append(out, SLICE(",\"signers\":["));
	for (int i = 0; fits && i < sk_X509_num(fields.certificates); i++) {
		char name[TEXT_SIZE];
		name_text(X509_get_subject_name(sk_X509_value(fields.certificates, i)), name);
		fits = (i == 0 || buf_append_byte(out, ',')) && json_string(out, slice_of(name));
	}
	fits = fits && buf_append(out, SLICE("],\"certificates\":["));
	for (int i = 0; fits && basic && i < OCSP_resp_count(basic) && i < OCSP_ANSWERS_MAX; i++)
		fits = (i == 0 || buf_append_byte(out, ',')) && answer_json(OCSP_resp_get0(basic, i), out);
	OCSP_BASICRESP_free(basic);
	ERR_clear_error();
	return fits && buf_append(out, SLICE("]}"));
}
