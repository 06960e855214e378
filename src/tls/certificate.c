/* SPDX-License-Identifier: ISC */
#include "tls/certificate.h"

#include "base/buf.h"
#include "base/fatal.h"

#include <string.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

enum { MODIFIERS_MAX = 4, FIELD_TEXT_MAX = 64 * 1024 };

/* One question: the certificate, what was asked, and the answer as it grows. */
struct field {
	const X509 *certificate;
	struct slice modifiers[MODIFIERS_MAX]; /* without the one for the separator */
	size_t modifier_count;
	char separator;
	struct buf out;
	size_t items; /* of a list */
	struct error *error;
};

static enum certificate_answer bad_modifier(struct field *field, const char *expected)
{
	error_set(field->error, ERROR_PERMANENT, "bad modifier \"%.*s\" for certextract: expected %s",
		  SLICE_ARG(slice_first(field->modifiers[0], 64)), expected);
	return CERTIFICATE_BAD;
}

static enum certificate_answer too_long(struct field *field)
{
	error_set(field->error, ERROR_PERMANENT, "a field of the certificate is longer than %d bytes", FIELD_TEXT_MAX);
	return CERTIFICATE_BAD;
}

/* What OpenSSL printed, taken over; the BIO is freed. */
static enum certificate_answer take(struct field *field, BIO *bio, bool printed)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);
	bool fits = len >= 0 && buf_append(&field->out, slice_make(data, (size_t)len));
	BIO_free(bio);
	if (!printed)
		return CERTIFICATE_LACKS;
	return fits ? CERTIFICATE_HAS : too_long(field);
}

static BIO *memory(void)
{
	BIO *bio = BIO_new(BIO_s_mem());
	ensure(bio != NULL);
	return bio;
}

/* An item of a list, after the separator; separators in it are doubled. */
static bool add_item(struct field *field, const char *tag, struct slice text)
{
	bool good = field->items++ == 0 || buf_append_byte(&field->out, field->separator);
	if (*tag)
		good = good && buf_printf(&field->out, "%s=", tag);
	for (size_t i = 0; good && i < text.len; i++) {
		good = buf_append_byte(&field->out, text.data[i]);
		if (good && text.data[i] == field->separator)
			good = buf_append_byte(&field->out, text.data[i]);
	}
	return good;
}

static enum certificate_answer list_answer(struct field *field, bool good)
{
	if (!good)
		return too_long(field);
	return field->items ? CERTIFICATE_HAS : CERTIFICATE_LACKS;
}

static struct slice string_bytes(const ASN1_STRING *string)
{
	return slice_make(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

static bool is_clean(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] <= 32 || text.data[i] == 127)
			return false;
	return text.len > 0;
}

/* ---- The fields ---- */

static enum certificate_answer field_version(struct field *field)
{
	return buf_printf(&field->out, "%ld", X509_get_version(field->certificate) + 1) ? CERTIFICATE_HAS : too_long(field);
}

static enum certificate_answer field_serial(struct field *field)
{
	struct slice bytes = string_bytes(X509_get0_serialNumber(field->certificate));
	bool negative = ASN1_STRING_type(X509_get0_serialNumber(field->certificate)) == V_ASN1_NEG_INTEGER;
	bool good = (!negative || buf_append_byte(&field->out, '-')) && (bytes.len > 0 || buf_append(&field->out, SLICE("00")));
	for (size_t i = 0; good && i < bytes.len; i++)
		good = buf_printf(&field->out, "%02x", (unsigned char)bytes.data[i]);
	return good ? CERTIFICATE_HAS : too_long(field);
}

/* "CN", "commonName" or "2.5.4.3". */
static bool has_label(const X509_NAME_ENTRY *entry, struct slice label)
{
	char number[80];
	const ASN1_OBJECT *object = X509_NAME_ENTRY_get_object(entry);
	int nid = OBJ_obj2nid(object);
	if (nid != NID_undef && (slice_equal_nocase(label, slice_of(OBJ_nid2sn(nid))) || slice_equal_nocase(label, slice_of(OBJ_nid2ln(nid)))))
		return true;
	return OBJ_obj2txt(number, sizeof number, object, 1) > 0 && slice_equal(label, slice_of(number));
}

/* In the order of RFC 4514 §2.1, the last of the certificate first. */
static enum certificate_answer name_parts(struct field *field, const X509_NAME *name, struct slice label)
{
	bool good = true;
	for (int i = X509_NAME_entry_count(name); good && i-- > 0;) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		if (!has_label(entry, label))
			continue;
		BIO *bio = memory();
		char *data = NULL;
		ASN1_STRING_print_ex(bio, X509_NAME_ENTRY_get_data(entry), ASN1_STRFLGS_UTF8_CONVERT | ASN1_STRFLGS_ESC_CTRL);
		long len = BIO_get_mem_data(bio, &data);
		good = len >= 0 && add_item(field, "", slice_make(data, (size_t)len));
		BIO_free(bio);
	}
	return list_answer(field, good);
}

static enum certificate_answer print_name(struct field *field, const X509_NAME *name)
{
	if (field->modifier_count)
		return name_parts(field, name, field->modifiers[0]);
	BIO *bio = memory();
	int printed = X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
	return take(field, bio, printed >= 0);
}

static enum certificate_answer field_subject(struct field *field)
{
	return print_name(field, X509_get_subject_name(field->certificate));
}

static enum certificate_answer field_issuer(struct field *field)
{
	return print_name(field, X509_get_issuer_name(field->certificate));
}

/* "Nov  1 12:40:04 2012 +0000", in this machine's zone; "raw" in that of the certificate, "int" in seconds. */
static enum certificate_answer print_time(struct field *field, const ASN1_TIME *when)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct slice how = field->modifier_count ? field->modifiers[0] : SLICE("");
	struct tm tm;
	if (slice_equal(how, SLICE("raw"))) {
		BIO *bio = memory();
		int printed = ASN1_TIME_print(bio, when);
		return take(field, bio, printed == 1);
	}
	if (how.len && !slice_equal(how, SLICE("int")))
		return bad_modifier(field, "int or raw");
	if (ASN1_TIME_to_tm(when, &tm) != 1)
		return CERTIFICATE_LACKS;
	time_t seconds = timegm(&tm);
	bool good;
	if (how.len) {
		good = buf_printf(&field->out, "%lld", (long long)seconds);
	} else {
		if (!localtime_r(&seconds, &tm))
			return CERTIFICATE_LACKS;
		long minutes = tm.tm_gmtoff / 60, away = minutes < 0 ? -minutes : minutes;
		good = buf_printf(&field->out, "%s %2d %02d:%02d:%02d %d %c%02ld%02ld", months[tm.tm_mon % 12], tm.tm_mday, tm.tm_hour,
				  tm.tm_min, tm.tm_sec, tm.tm_year + 1900, minutes < 0 ? '-' : '+', away / 60, away % 60);
	}
	return good ? CERTIFICATE_HAS : too_long(field);
}

static enum certificate_answer field_not_before(struct field *field)
{
	return print_time(field, X509_get0_notBefore(field->certificate));
}

static enum certificate_answer field_not_after(struct field *field)
{
	return print_time(field, X509_get0_notAfter(field->certificate));
}

static enum certificate_answer field_algorithm(struct field *field)
{
	const X509_ALGOR *algorithm;
	const ASN1_OBJECT *object;
	char text[128];
	X509_get0_signature(NULL, &algorithm, field->certificate);
	X509_ALGOR_get0(&object, NULL, NULL, algorithm);
	if (OBJ_obj2txt(text, sizeof text, object, 0) <= 0)
		return CERTIFICATE_LACKS;
	return buf_append(&field->out, slice_of(text)) ? CERTIFICATE_HAS : too_long(field);
}

static enum certificate_answer field_signature(struct field *field)
{
	const ASN1_BIT_STRING *signature;
	X509_get0_signature(&signature, NULL, field->certificate);
	BIO *bio = memory();
	int printed = X509_signature_dump(bio, signature, 9);
	return take(field, bio, printed == 1);
}

/* Names of other kinds are passed over, as in Exim. */
static const struct name_kind {
	int type;
	const char *tag, *modifier;
} name_kinds[] = { { GEN_DNS, "DNS", "dns" }, { GEN_URI, "URI", "uri" }, { GEN_EMAIL, "MAIL", "mail" } };

enum { NAME_KINDS = sizeof name_kinds / sizeof name_kinds[0] };

static bool add_name(struct field *field, const GENERAL_NAME *name, const struct name_kind *wanted)
{
	int type;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
	for (size_t i = 0; i < NAME_KINDS; i++) {
		if (name_kinds[i].type != type || (wanted && wanted != &name_kinds[i]))
			continue;
		struct slice text = string_bytes(value);
		return !is_clean(text) || add_item(field, wanted ? "" : name_kinds[i].tag, text);
	}
	return true;
}

static enum certificate_answer field_names(struct field *field)
{
	const struct name_kind *wanted = NULL;
	for (size_t i = 0; field->modifier_count && i < NAME_KINDS; i++)
		if (slice_equal(field->modifiers[0], slice_of(name_kinds[i].modifier)))
			wanted = &name_kinds[i];
	if (field->modifier_count && !wanted)
		return bad_modifier(field, "dns, uri or mail");
	GENERAL_NAMES *names = X509_get_ext_d2i(field->certificate, NID_subject_alt_name, NULL, NULL);
	bool good = true;
	for (int i = 0; good && i < sk_GENERAL_NAME_num(names); i++)
		good = add_name(field, sk_GENERAL_NAME_value(names, i), wanted);
	GENERAL_NAMES_free(names);
	return list_answer(field, good);
}

static bool add_uri(struct field *field, const GENERAL_NAME *name)
{
	int type;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
	return type != GEN_URI || !is_clean(string_bytes(value)) || add_item(field, "", string_bytes(value));
}

static enum certificate_answer field_ocsp(struct field *field)
{
	AUTHORITY_INFO_ACCESS *access = X509_get_ext_d2i(field->certificate, NID_info_access, NULL, NULL);
	bool good = true;
	for (int i = 0; good && i < sk_ACCESS_DESCRIPTION_num(access); i++) {
		const ACCESS_DESCRIPTION *one = sk_ACCESS_DESCRIPTION_value(access, i);
		if (OBJ_obj2nid(one->method) == NID_ad_OCSP)
			good = add_uri(field, one->location);
	}
	AUTHORITY_INFO_ACCESS_free(access);
	return list_answer(field, good);
}

static enum certificate_answer field_crl(struct field *field)
{
	CRL_DIST_POINTS *points = X509_get_ext_d2i(field->certificate, NID_crl_distribution_points, NULL, NULL);
	bool good = true;
	for (int i = 0; good && i < sk_DIST_POINT_num(points); i++) {
		const DIST_POINT_NAME *point = sk_DIST_POINT_value(points, i)->distpoint;
		if (!point || point->type != 0) /* named relative to the issuer: no address */
			continue;
		for (int n = 0; good && n < sk_GENERAL_NAME_num(point->name.fullname); n++)
			good = add_uri(field, sk_GENERAL_NAME_value(point->name.fullname, n));
	}
	CRL_DIST_POINTS_free(points);
	return list_answer(field, good);
}

static const struct {
	const char *name;
	enum certificate_answer (*print)(struct field *field);
	bool modified; /* takes a modifier beside that for the separator */
} fields[] = {
	{ "version", field_version, false },           { "serial_number", field_serial, false },
	{ "subject", field_subject, true },            { "issuer", field_issuer, true },
	{ "notbefore", field_not_before, true },       { "notafter", field_not_after, true },
	{ "sig_algorithm", field_algorithm, false },   { "signature", field_signature, false },
	{ "subj_altname", field_names, true },         { "ocsp_uri", field_ocsp, false },
	{ "crl_uri", field_crl, false },
};

/* ---- Questions ---- */

/* The modifiers behind the name; ">," makes the comma the separator. */
static bool read_modifiers(struct field *field, struct slice rest, bool modified)
{
	while (rest.len) {
		if (rest.data[0] == '>' && rest.len > 1) {
			field->separator = rest.data[1];
			rest = slice_from(rest, 2);
			if (rest.len && rest.data[0] != ',')
				return error_set(field->error, ERROR_PERMANENT, "bad separator for certextract: expected one character after \">\"");
			rest = slice_from(rest, 1);
			continue;
		}
		struct slice modifier = slice_trim(slice_cut(&rest, ','));
		if (modifier.len && field->modifier_count == (modified ? 1 : 0))
			return error_set(field->error, ERROR_PERMANENT, "bad modifier \"%.*s\" for certextract",
					 SLICE_ARG(slice_first(modifier, 64)));
		if (modifier.len)
			field->modifiers[field->modifier_count++] = modifier;
	}
	return true;
}

static enum certificate_answer ask(struct field *field, struct slice question)
{
	struct slice rest = question, name = slice_trim(slice_cut(&rest, ','));
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		if (!slice_equal(name, slice_of(fields[i].name)))
			continue;
		return read_modifiers(field, rest, fields[i].modified) ? fields[i].print(field) : CERTIFICATE_BAD;
	}
	error_set(field->error, ERROR_PERMANENT, "bad field selector \"%.*s\" for certextract", SLICE_ARG(slice_first(name, 64)));
	return CERTIFICATE_BAD;
}

enum certificate_answer certificate_field(struct slice der, struct slice question, struct arena *arena, struct slice *text_r,
					  struct error *error)
{
	const unsigned char *at = (const unsigned char *)der.data;
	X509 *certificate = der.len && der.len <= CERTIFICATE_DER_MAX ? d2i_X509(NULL, &at, (long)der.len) : NULL;
	struct field field = { .certificate = certificate, .separator = '\n', .error = error };
	enum certificate_answer answer = CERTIFICATE_BAD;
	buf_init(&field.out, FIELD_TEXT_MAX);
	if (certificate)
		answer = ask(&field, question);
	else
		error_set(error, ERROR_PERMANENT, "the certificate cannot be read");
	if (answer == CERTIFICATE_HAS)
		*text_r = arena_copy(arena, buf_slice(&field.out));
	buf_free(&field.out);
	X509_free(certificate);
	ERR_clear_error();
	return answer;
}

/* ---- Of certificates that OpenSSL holds ---- */

void certificate_name(const X509 *certificate, char out[CERTIFICATE_NAME_MAX])
{
	if (!X509_NAME_oneline(X509_get_subject_name(certificate), out, CERTIFICATE_NAME_MAX))
		out[0] = '\0';
}

static bool has_nul(const ASN1_STRING *string)
{
	unsigned char *text = NULL;
	int len = ASN1_STRING_to_UTF8(&text, string); /* in two bytes a character every other byte is one */
	bool found = len > 0 && memchr(text, 0, (size_t)len);
	OPENSSL_free(text);
	return found;
}

bool certificate_has_nul(const X509 *certificate)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	bool found = false;
	for (int i = 0; i < X509_NAME_entry_count(subject); i++)
		found = found || has_nul(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		int type;
		const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
		if (type == GEN_DNS || type == GEN_URI || type == GEN_EMAIL)
			found = found || has_nul(value);
	}
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	return found;
}

struct slice certificate_der(const X509 *certificate, struct arena *arena)
{
	int len = i2d_X509(certificate, NULL);
	if (len <= 0 || len > CERTIFICATE_DER_MAX) {
		ERR_clear_error();
		return (struct slice){ 0 };
	}
	unsigned char *bytes = arena_alloc(arena, (size_t)len), *end = bytes;
	i2d_X509(certificate, &end);
	return slice_make(bytes, (size_t)len);
}
