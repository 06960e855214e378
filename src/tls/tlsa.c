/* SPDX-License-Identifier: ISC */
#include "tls/tlsa.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

/* RFC 7218 §2.1 to §2.3. */
enum { FIELDS = 3, VALUES_MAX = 4 };
static const char *const field_names[FIELDS][VALUES_MAX] = {
	{ "PKIX-TA", "PKIX-EE", "DANE-TA", "DANE-EE" }, { "Cert", "SPKI" }, { "Full", "SHA2-256", "SHA2-512" },
};

bool tlsa_parse(struct slice rdata, struct tlsa_record *record_r)
{
	if (rdata.len < 3)
		return false;
	*record_r = (struct tlsa_record){
		.usage = (uint8_t)rdata.data[0], .selector = (uint8_t)rdata.data[1], .matching = (uint8_t)rdata.data[2],
		.data = slice_from(rdata, 3),
	};
	return true;
}

static struct slice digest(struct slice input, const EVP_MD *algorithm, struct arena *arena)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	if (!EVP_Digest(input.data, input.len, bytes, &len, algorithm, NULL))
		return (struct slice){ 0 };
	return arena_copy(arena, slice_make(bytes, len));
}

struct slice tlsa_data(const X509 *certificate, unsigned selector, unsigned matching, struct arena *arena)
{
	struct slice all = { 0 };
	if (selector == TLSA_CERTIFICATE)
		all = chain_encode(certificate, arena);
	else if (selector == TLSA_PUBLIC_KEY)
		all = chain_public_key(certificate, arena);
	if (!all.len || matching >= TLSA_MATCHINGS)
		return (struct slice){ 0 };
	return matching == TLSA_FULL ? all : digest(all, matching == TLSA_SHA256 ? EVP_sha256() : EVP_sha512(), arena);
}

/* ---- The form of a record ---- */

static X509 *record_certificate(const struct tlsa_record *record)
{
	const unsigned char *at = (const unsigned char *)record->data.data;
	X509 *certificate = record->data.len <= CHAIN_TEXT_MAX ? d2i_X509(NULL, &at, (long)record->data.len) : NULL;
	ERR_clear_error();
	return certificate;
}

static EVP_PKEY *record_key(const struct tlsa_record *record)
{
	const unsigned char *at = (const unsigned char *)record->data.data;
	EVP_PKEY *key = record->data.len <= CHAIN_TEXT_MAX ? d2i_PUBKEY(NULL, &at, (long)record->data.len) : NULL;
	ERR_clear_error();
	return key;
}

/* With matching type 0 the data is the thing itself, and must be one (RFC 6698 §2.1.4). */
static bool is_whole(const struct tlsa_record *record)
{
	X509 *certificate = record->selector == TLSA_CERTIFICATE ? record_certificate(record) : NULL;
	EVP_PKEY *key = record->selector == TLSA_PUBLIC_KEY ? record_key(record) : NULL;
	bool good = certificate || key;
	X509_free(certificate);
	EVP_PKEY_free(key);
	return good;
}

/* NULL: the record can be used. */
static const char *unusable(const struct tlsa_record *record, bool pkix)
{
	static const size_t lengths[TLSA_MATCHINGS] = { 0, 32, 64 };
	if (record->usage >= TLSA_USAGES)
		return "its usage is unknown";
	if (record->selector >= TLSA_SELECTORS)
		return "its selector is unknown";
	if (record->matching >= TLSA_MATCHINGS)
		return "its matching type is unknown";
	if (record->usage <= TLSA_PKIX_EE && !pkix)
		return "usages 0 and 1 mean nothing in SMTP (RFC 7672, section 3.1.3)";
	if (record->matching != TLSA_FULL && record->data.len != lengths[record->matching])
		return "the length of its data is not that of the digest";
	if (record->matching == TLSA_FULL && !is_whole(record))
		return record->selector == TLSA_CERTIFICATE ? "its data is no certificate" : "its data is no public key";
	return NULL;
}

/*
 * RFC 7671 §9: of the digests for one usage and selector only the strongest counts, so that a record with a weaker one,
 * which may be forged one day, cannot take its place. The whole data is always looked at.
 */
static bool outranked(const struct tlsa_record *record, const struct tlsa_record *all, size_t count, bool pkix)
{
	for (size_t i = 0; i < count && record->matching != TLSA_FULL; i++)
		if (all[i].usage == record->usage && all[i].selector == record->selector && all[i].matching > record->matching &&
		    !unusable(&all[i], pkix))
			return true;
	return false;
}

/* ---- The chain ---- */

/* Whether the chain verifies with these roots; the reason into `why` when not. *verified_r (may be NULL) is the chain found. */
static bool verify(const struct tlsa_question *question, X509_STORE *roots, unsigned long flags, STACK_OF(X509) **verified_r,
		   char *why)
{
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	bool good = context && X509_STORE_CTX_init(context, roots, sk_X509_value(question->chain, 0), question->chain) == 1 &&
		    X509_STORE_CTX_set_default(context, "ssl_server") == 1;
	X509_VERIFY_PARAM *param = good ? X509_STORE_CTX_get0_param(context) : NULL;
	if (good) {
		X509_VERIFY_PARAM_set_flags(param, flags);
		X509_VERIFY_PARAM_set_time(param, question->when);
		X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	}
	for (size_t i = 0; good && i < question->name_count; i++)
		good = X509_VERIFY_PARAM_add1_host(param, question->names[i].data, question->names[i].len) == 1;
	if (!good)
		snprintf(why, TLSA_REASON_SIZE, "it cannot be verified");
	else if (X509_verify_cert(context) != 1) {
		good = false;
		snprintf(why, TLSA_REASON_SIZE, "%s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
	}
	if (good && verified_r)
		*verified_r = X509_STORE_CTX_get1_chain(context);
	X509_STORE_CTX_free(context);
	ERR_clear_error();
	return good;
}

/* Verification up to one trusted certificate, which need not be a root. */
static bool verify_up_to(const struct tlsa_question *question, X509 *anchor, char *why)
{
	X509_STORE *roots = X509_STORE_new();
	bool good = roots && X509_STORE_add_cert(roots, anchor) == 1;
	if (!good)
		snprintf(why, TLSA_REASON_SIZE, "it cannot be verified");
	good = good && verify(question, roots, X509_V_FLAG_PARTIAL_CHAIN, NULL, why);
	X509_STORE_free(roots);
	return good;
}

static bool certificate_has(const X509 *certificate, const struct tlsa_record *record, struct arena *arena)
{
	return slice_equal(tlsa_data(certificate, record->selector, record->matching, arena), record->data);
}

/* The first of the chain from `depth` on that has the record's data; -1: none. */
static int find(STACK_OF(X509) *chain, int depth, const struct tlsa_record *record, struct arena *arena)
{
	for (; depth < sk_X509_num(chain); depth++)
		if (certificate_has(sk_X509_value(chain, depth), record, arena))
			return depth;
	return -1;
}

/* RFC 7671 §5.2.3: an authority whose bare key is published may be left out of the chain; what it signed is then the anchor. */
static int find_signed_by(STACK_OF(X509) *chain, const struct tlsa_record *record)
{
	EVP_PKEY *key = record_key(record);
	int depth = -1;
	for (int i = 0; key && depth < 0 && i < sk_X509_num(chain); i++)
		if (X509_verify(sk_X509_value(chain, i), key) == 1)
			depth = i;
	EVP_PKEY_free(key);
	ERR_clear_error();
	return depth;
}

static void settle(struct tlsa_verdict *verdict, bool good, int depth)
{
	verdict->outcome = good ? TLSA_MATCHES : TLSA_UNTRUSTED;
	verdict->depth = depth;
}

/* RFC 7671 §5.2: an authority of the chain, above the server's own certificate; name and dates count. */
static void judge_dane_ta(const struct tlsa_question *question, const struct tlsa_record *record, struct arena *arena,
			  struct tlsa_verdict *verdict)
{
	int length = sk_X509_num(question->chain), depth = find(question->chain, 1, record, arena);
	if (depth >= 1) {
		settle(verdict, verify_up_to(question, sk_X509_value(question->chain, depth), verdict->why), depth);
		return;
	}
	if (record->matching != TLSA_FULL)
		return;
	/* The record holds the authority itself, which need not be served (§5.2.1). It counts if the chain leads to it. */
	if (record->selector == TLSA_CERTIFICATE) {
		X509 *anchor = record_certificate(record);
		if (anchor && verify_up_to(question, anchor, verdict->why))
			settle(verdict, true, length);
		else
			verdict->why[0] = '\0';
		X509_free(anchor);
		return;
	}
	depth = find_signed_by(question->chain, record);
	if (depth >= 0)
		settle(verdict, verify_up_to(question, sk_X509_value(question->chain, depth), verdict->why), length);
}

/* RFC 6698 §2.1.1, RFC 7671 §5.3, §5.4: public authorities decide, and the record narrows what they may say. */
static void judge_pkix(const struct tlsa_question *question, const struct tlsa_record *record, struct arena *arena,
		       struct tlsa_verdict *verdict)
{
	_cleanup_chain_ STACK_OF(X509) *verified = NULL;
	bool good = verify(question, question->authorities, 0, &verified, verdict->why);
	STACK_OF(X509) *chain = verified ? verified : question->chain;
	int depth = record->usage == TLSA_PKIX_TA ? find(chain, 1, record, arena) : -1;
	if (record->usage == TLSA_PKIX_EE && certificate_has(sk_X509_value(chain, 0), record, arena))
		depth = 0;
	if (depth >= 0)
		settle(verdict, good, depth);
}

static void judge(const struct tlsa_question *question, const struct tlsa_record *record, struct arena *arena,
		  struct tlsa_verdict *verdict)
{
	verdict->outcome = TLSA_DIFFERS;
	/* RFC 7671 §5.1: the record binds the name, and says for how long; names and dates in the certificate mean nothing. */
	if (record->usage == TLSA_DANE_EE && certificate_has(sk_X509_value(question->chain, 0), record, arena))
		settle(verdict, true, 0);
	else if (record->usage == TLSA_DANE_TA)
		judge_dane_ta(question, record, arena, verdict);
	else if (record->usage <= TLSA_PKIX_EE)
		judge_pkix(question, record, arena, verdict);
}

bool tlsa_match(const struct tlsa_question *question, const struct tlsa_record *records, size_t count, struct arena *arena,
		struct tlsa_verdict *verdicts)
{
	bool pkix = question->authorities != NULL, any = false;
	for (size_t i = 0; i < count; i++) {
		const char *reason = unusable(&records[i], pkix);
		verdicts[i] = (struct tlsa_verdict){ .outcome = TLSA_UNUSABLE, .depth = -1 };
		if (reason)
			snprintf(verdicts[i].why, sizeof verdicts[i].why, "%s", reason);
		else if (outranked(&records[i], records, count, pkix))
			verdicts[i].outcome = TLSA_OUTRANKED;
		else
			judge(question, &records[i], arena, &verdicts[i]);
		any = any || verdicts[i].outcome == TLSA_MATCHES;
	}
	return any;
}

/* ---- Text ---- */

struct slice tlsa_text(const struct tlsa_record *record, struct arena *arena)
{
	static const char digits[] = "0123456789abcdef";
	char head[16];
	int len = snprintf(head, sizeof head, "%u %u %u ", record->usage, record->selector, record->matching);
	char *text = arena_alloc(arena, (size_t)len + 2 * record->data.len + 1);
	memcpy(text, head, (size_t)len);
	for (size_t i = 0; i < record->data.len; i++) {
		unsigned byte = (unsigned char)record->data.data[i];
		text[(size_t)len + 2 * i] = digits[byte >> 4];
		text[(size_t)len + 2 * i + 1] = digits[byte & 15];
	}
	return slice_make(text, (size_t)len + 2 * record->data.len);
}

struct slice tlsa_names(const struct tlsa_record *record, struct arena *arena)
{
	const uint8_t values[FIELDS] = { record->usage, record->selector, record->matching };
	char texts[FIELDS][12];
	for (size_t i = 0; i < FIELDS; i++) {
		const char *name = values[i] < VALUES_MAX ? field_names[i][values[i]] : NULL;
		if (name)
			snprintf(texts[i], sizeof texts[i], "%s", name);
		else
			snprintf(texts[i], sizeof texts[i], "%u", values[i]);
	}
	return arena_printf(arena, "%s %s %s", texts[0], texts[1], texts[2]);
}

bool tlsa_field_parse(unsigned field, struct slice text, uint8_t *value_r)
{
	static const uint8_t most[FIELDS] = { TLSA_USAGES - 1, TLSA_SELECTORS - 1, TLSA_MATCHINGS - 1 };
	uint64_t number;
	if (slice_parse_u64(text, most[field], &number)) {
		*value_r = (uint8_t)number;
		return true;
	}
	for (uint8_t i = 0; i < VALUES_MAX && field_names[field][i]; i++)
		if (slice_equal_nocase(text, slice_of(field_names[field][i]))) {
			*value_r = i;
			return true;
		}
	return false;
}
