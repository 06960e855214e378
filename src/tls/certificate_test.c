/* SPDX-License-Identifier: ISC */
/* Fields of certificates as ${certextract} gives them (Exim's manual, chapter 11 §5), of ones made here and of hostile ones. */
#include "base/fatal.h"
#include "base/test.h"
#include "tls/certificate.h"

#include <stdlib.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

struct fixture {
	struct arena arena;
	EVP_PKEY *key;
	struct slice der; /* of the certificate with everything */
};

static void add_part(X509_NAME *name, const char *label, const char *text, int len)
{
	assert_int_equal(X509_NAME_add_entry_by_txt(name, label, MBSTRING_UTF8, (const unsigned char *)text, len, -1, 0), 1);
}

static X509 *new_certificate(EVP_PKEY *key)
{
	X509 *certificate = X509_new();
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 0xc9aa);
	ASN1_TIME_set(X509_getm_notBefore(certificate), 1351773604); /* Nov  1 12:40:04 2012 */
	ASN1_TIME_set(X509_getm_notAfter(certificate), 2143284004);
	X509_set_pubkey(certificate, key);
	return certificate;
}

static void add_extension(X509 *certificate, int nid, const char *text)
{
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, text);
	ensure(extension != NULL);
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
}

static struct slice signed_der(struct fixture *fixture, X509 *certificate)
{
	ensure(X509_sign(certificate, fixture->key, EVP_sha256()) > 0);
	return certificate_der(certificate, &fixture->arena);
}

static struct slice full_certificate(struct fixture *fixture)
{
	X509 *certificate = new_certificate(fixture->key);
	X509_NAME *subject = X509_get_subject_name(certificate), *issuer = X509_get_issuer_name(certificate);
	add_part(subject, "O", "Foo, Inc", -1);
	add_part(subject, "OU", "a\"b\\c", -1);
	add_part(subject, "OU", "second", -1);
	add_part(subject, "CN", "client \303\274", -1);
	add_part(issuer, "O", "example.com", -1);
	add_part(issuer, "CN", "clica Signing Cert rsa", -1);
	add_extension(certificate, NID_subject_alt_name, "DNS:a.test,IP:192.0.2.1,DNS:b.test,email:x@y.test,URI:http://u.test/");
	add_extension(certificate, NID_info_access, "OCSP;URI:http://ocsp.test/,caIssuers;URI:http://ca.test/,OCSP;URI:http://two.test:80/");
	add_extension(certificate, NID_crl_distribution_points, "URI:http://crl.test/a.crl");
	struct slice der = signed_der(fixture, certificate);
	X509_free(certificate);
	return der;
}

static int set_up(void **state)
{
	struct fixture *fixture = xcalloc(1, sizeof *fixture);
	arena_init(&fixture->arena, 0);
	fixture->key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	ensure(fixture->key != NULL);
	fixture->der = full_certificate(fixture);
	*state = fixture;
	return setenv("TZ", "UTC", 1);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	arena_free(&fixture->arena);
	EVP_PKEY_free(fixture->key);
	free(fixture);
	return 0;
}

static void expect(struct fixture *fixture, struct slice der, const char *field, const char *expected)
{
	struct slice text;
	struct error error;
	enum certificate_answer answer = certificate_field(der, slice_of(field), &fixture->arena, &text, &error);
	if (answer != (expected ? CERTIFICATE_HAS : CERTIFICATE_LACKS))
		fail_msg("%s: answer %d %s", field, answer, answer == CERTIFICATE_BAD ? error.text : "");
	if (expected && !slice_equal(text, slice_of(expected)))
		fail_msg("%s: \"%.*s\" instead of \"%s\"", field, SLICE_ARG(text), expected);
}

static void every_field_is_as_exim_writes_it(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *field, *text;
	} cases[] = {
		{ "version", "3" },
		{ "serial_number", "c9aa" },
		{ "subject", "CN=client \\C3\\BC,OU=second,OU=a\\\"b\\\\c,O=Foo\\, Inc" },
		{ "subject,CN", "client \303\274" },
		{ "subject,cn", "client \303\274" },
		{ "subject,commonName", "client \303\274" },
		{ "subject,2.5.4.10", "Foo, Inc" },
		{ "subject,OU", "second\na\"b\\\\c" },
		{ "subject,OU,>:", "second:a\"b\\\\c" },
		{ "subject,>;,O", "Foo, Inc" },
		{ "subject,>,,O", "Foo,, Inc" },
		{ "subject,DC", NULL },
		{ "issuer", "CN=clica Signing Cert rsa,O=example.com" },
		{ "issuer,O", "example.com" },
		{ "notbefore", "Nov  1 12:40:04 2012 +0000" },
		{ "notbefore,raw", "Nov  1 12:40:04 2012 GMT" },
		{ "notbefore,int", "1351773604" },
		{ "notafter,int", "2143284004" },
		{ "notafter", "Dec  1 12:40:04 2037 +0000" },
		{ "sig_algorithm", "ecdsa-with-SHA256" },
		{ "subj_altname", "DNS=a.test\nDNS=b.test\nMAIL=x@y.test\nURI=http://u.test/" },
		{ "subj_altname,dns", "a.test\nb.test" },
		{ "subj_altname,mail", "x@y.test" },
		{ "subj_altname,uri", "http://u.test/" },
		{ "subj_altname,dns,>:", "a.test:b.test" },
		{ "subj_altname,>:", "DNS=a.test:DNS=b.test:MAIL=x@y.test:URI=http:://u.test/" },
		{ "ocsp_uri", "http://ocsp.test/\nhttp://two.test:80/" },
		{ "ocsp_uri,>:", "http:://ocsp.test/:http:://two.test::80/" },
		{ "crl_uri", "http://crl.test/a.crl" },
		{ " version ", "3" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		expect(fixture, fixture->der, cases[i].field, cases[i].text);
}

/* Lines of 18 bytes behind nine blanks. */
static void a_signature_is_a_dump(void **state)
{
	struct fixture *fixture = *state;
	struct slice text;
	struct error error;
	assert_int_equal(certificate_field(fixture->der, SLICE("signature"), &fixture->arena, &text, &error), CERTIFICATE_HAS);
	assert_true(slice_starts(text, SLICE("         30:4")));
	assert_int_equal(slice_find(text, '\n'), 9 + 18 * 3);
	assert_int_equal(text.data[text.len - 1], '\n');
}

static void what_is_not_there_is_lacking(void **state)
{
	struct fixture *fixture = *state;
	X509 *bare = new_certificate(fixture->key);
	struct slice der = signed_der(fixture, bare);
	static const char *const fields[] = { "subj_altname", "subj_altname,dns", "ocsp_uri", "crl_uri", "subject,CN" };
	X509_free(bare);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		expect(fixture, der, fields[i], NULL);
	expect(fixture, der, "subject", "");
}

static void mistakes_are_named(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *field, *error;
	} cases[] = {
		{ "foo", "bad field selector \"foo\" for certextract" },
		{ "", "bad field selector \"\" for certextract" },
		{ "notafter,week", "bad modifier \"week\" for certextract: expected int or raw" },
		{ "subj_altname,ip", "bad modifier \"ip\" for certextract: expected dns, uri or mail" },
		{ "version,3", "bad modifier \"3\" for certextract" },
		{ "subject,CN,O", "bad modifier \"O\" for certextract" },
		{ "subj_altname,>ab", "bad separator for certextract: expected one character after \">\"" },
	};
	struct slice text;
	struct error error;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(certificate_field(fixture->der, slice_of(cases[i].field), &fixture->arena, &text, &error), CERTIFICATE_BAD);
		assert_string_equal(error.text, cases[i].error);
	}
}

static void broken_der_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct slice text;
	struct error error;
	for (size_t len = 0; len < fixture->der.len; len += 1 + len / 16)
		assert_int_equal(certificate_field(slice_first(fixture->der, len), SLICE("subject"), &fixture->arena, &text, &error),
				 CERTIFICATE_BAD);
	char *huge = arena_alloc(&fixture->arena, CERTIFICATE_DER_MAX + 1);
	memcpy(huge, fixture->der.data, fixture->der.len);
	assert_int_equal(certificate_field(slice_make(huge, CERTIFICATE_DER_MAX + 1), SLICE("subject"), &fixture->arena, &text, &error),
			 CERTIFICATE_BAD);
	assert_string_equal(error.text, "the certificate cannot be read");
	assert_int_equal(ERR_peek_error(), 0);
}

/* An alternative name of these bytes, which no tool would make. */
static void add_name(X509 *certificate, int type, const char *bytes, int len)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *string = ASN1_IA5STRING_new();
	if (!names)
		names = GENERAL_NAMES_new();
	ASN1_STRING_set(string, bytes, len);
	GENERAL_NAME_set0_value(name, type, string);
	sk_GENERAL_NAME_push(names, name);
	ensure(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE) == 1);
	GENERAL_NAMES_free(names);
}

static void names_with_a_nul_are_left_out_and_noticed(void **state)
{
	struct fixture *fixture = *state;
	X509 *certificate = new_certificate(fixture->key);
	assert_false(certificate_has_nul(certificate));
	add_name(certificate, GEN_DNS, "good.test", 9);
	assert_false(certificate_has_nul(certificate));
	add_name(certificate, GEN_DNS, "bank.test\0.evil.test", 20);
	assert_true(certificate_has_nul(certificate));
	add_name(certificate, GEN_EMAIL, "a@b\nDNS=forged.test", 19);
	expect(fixture, signed_der(fixture, certificate), "subj_altname", "DNS=good.test");
	X509_free(certificate);

	char name[CERTIFICATE_NAME_MAX];
	certificate = new_certificate(fixture->key);
	add_part(X509_get_subject_name(certificate), "CN", "bank.test\0.evil\ntest", 20);
	assert_true(certificate_has_nul(certificate));
	certificate_name(certificate, name);
	assert_string_equal(name, "/CN=bank.test\\x00.evil\\x0Atest");
	struct slice der = signed_der(fixture, certificate);
	expect(fixture, der, "subject", "CN=bank.test\\00.evil\\0Atest");
	expect(fixture, der, "subject,CN", "bank.test\\00.evil\\0Atest");
	X509_free(certificate);
}

static void a_long_name_is_cut(void **state)
{
	struct fixture *fixture = *state;
	X509 *certificate = new_certificate(fixture->key);
	char name[CERTIFICATE_NAME_MAX];
	for (int i = 0; i < 50; i++)
		add_part(X509_get_subject_name(certificate), "OU", "a unit that has a long name, which is repeated", -1);
	certificate_name(certificate, name);
	assert_true(strlen(name) > 200 && strlen(name) < sizeof name);
	X509_free(certificate);
}

/* Serial numbers are up to 20 bytes by RFC 5280 §4.1.2.2, and of any length and sign from elsewhere. */
static void serial_numbers_of_any_size(void **state)
{
	struct fixture *fixture = *state;
	X509 *certificate = new_certificate(fixture->key);
	BIGNUM *number = NULL;
	BN_hex2bn(&number, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	expect(fixture, signed_der(fixture, certificate), "serial_number",
	       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	BN_set_word(number, 5);
	BN_set_negative(number, 1);
	BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	expect(fixture, signed_der(fixture, certificate), "serial_number", "-05");
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 0);
	expect(fixture, signed_der(fixture, certificate), "serial_number", "00");
	BN_free(number);
	X509_free(certificate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_as_exim_writes_it),
		cmocka_unit_test(a_signature_is_a_dump),
		cmocka_unit_test(what_is_not_there_is_lacking),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(broken_der_is_refused),
		cmocka_unit_test(names_with_a_nul_are_left_out_and_noticed),
		cmocka_unit_test(a_long_name_is_cut),
		cmocka_unit_test(serial_numbers_of_any_size),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
