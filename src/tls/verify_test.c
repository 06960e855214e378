/* SPDX-License-Identifier: ISC */
/* Clients' certificates: which are taken, which are refused and why, by handshakes in memory (Exim's manual, chapter 43 §7, §8). */
#include "base/fatal.h"
#include "base/test.h"
#include "tls/certificate.h"
#include "tls/verify.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { DAY = 86400 };

struct party {
	EVP_PKEY *key;
	X509 *certificate;
};

struct fixture {
	struct arena arena;
	struct party authority, stranger, server;
	struct party good, expired, strange, revoked, self_made, nul, large;
	SSL_CTX *server_context;
	SSL_SESSION *session; /* the client's, of the last handshake */
	struct tls_verify_report report;
	bool shown_names;     /* the server named authorities */
};

static struct party make_party(const char *name, int len, const struct party *issuer, long serial, long from, long to, size_t padding)
{
	struct party party = { EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), X509_new() };
	X509 *certificate = party.certificate;
	X509V3_CTX context;
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
	X509_gmtime_adj(X509_getm_notBefore(certificate), from);
	X509_gmtime_adj(X509_getm_notAfter(certificate), to);
	X509_set_pubkey(certificate, party.key);
	ensure(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, (const unsigned char *)name, len, -1, 0));
	X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer->certificate : certificate));
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	X509_EXTENSION *constraints = X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints, issuer ? "CA:false" : "critical,CA:true");
	X509_add_ext(certificate, constraints, -1);
	X509_EXTENSION_free(constraints);
	if (padding) {
		char *text = xcalloc(1, padding + 8);
		memcpy(text, "DER:0C", 7);
		ASN1_OCTET_STRING *filler = ASN1_OCTET_STRING_new();
		ASN1_OCTET_STRING_set(filler, (unsigned char *)text, (int)padding);
		X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, NID_netscape_comment, 0, filler);
		X509_add_ext(certificate, extension, -1);
		X509_EXTENSION_free(extension);
		ASN1_OCTET_STRING_free(filler);
		free(text);
	}
	ensure(X509_sign(certificate, issuer ? issuer->key : party.key, EVP_sha256()) > 0);
	return party;
}

static struct slice pem_of(struct fixture *fixture, const X509 *certificate)
{
	char *data;
	BIO *bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, certificate);
	long len = BIO_get_mem_data(bio, &data);
	struct slice text = arena_copy(&fixture->arena, slice_make(data, (size_t)len));
	BIO_free(bio);
	return text;
}

/* A list that revokes `first` and then `count` serial numbers that nobody has. */
static struct slice make_crl(struct fixture *fixture, const struct party *issuer, long first, long count)
{
	char *data;
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *now = ASN1_TIME_adj(NULL, time(NULL), 0, 0), *next = ASN1_TIME_adj(NULL, time(NULL), 1, 0);
	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->certificate));
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, next);
	for (long i = 0; i <= count; i++) {
		ASN1_INTEGER *serial = ASN1_INTEGER_new();
		X509_REVOKED *revoked = X509_REVOKED_new();
		ASN1_INTEGER_set(serial, i ? 1000000 + i : first);
		X509_REVOKED_set_serialNumber(revoked, serial);
		X509_REVOKED_set_revocationDate(revoked, now);
		X509_CRL_add0_revoked(crl, revoked);
		ASN1_INTEGER_free(serial);
	}
	ensure(X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
	BIO *bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509_CRL(bio, crl);
	long len = BIO_get_mem_data(bio, &data);
	struct slice text = arena_copy(&fixture->arena, slice_make(data, (size_t)len));
	BIO_free(bio);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	X509_CRL_free(crl);
	return text;
}

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof *f);
	arena_init(&f->arena, 0);
	f->authority = make_party("Authority", -1, NULL, 1, -DAY, 9 * DAY, 0);
	f->stranger = make_party("Stranger", -1, NULL, 1, -DAY, 9 * DAY, 0);
	f->server = make_party("mx.example.test", -1, &f->authority, 2, -DAY, DAY, 0);
	f->good = make_party("good", -1, &f->authority, 3, -DAY, DAY, 0);
	f->expired = make_party("expired", -1, &f->authority, 4, -2 * DAY, -DAY, 0);
	f->strange = make_party("strange", -1, &f->stranger, 5, -DAY, DAY, 0);
	f->revoked = make_party("revoked", -1, &f->authority, 6, -DAY, DAY, 0);
	f->self_made = make_party("self made", -1, NULL, 7, -DAY, DAY, 0);
	f->nul = make_party("bank.test\0.evil.test", 20, &f->authority, 8, -DAY, DAY, 0);
	f->large = make_party("large", -1, &f->authority, 9, -DAY, DAY, 16 * 1024);
	f->server_context = SSL_CTX_new(TLS_server_method());
	ensure(SSL_CTX_use_certificate(f->server_context, f->server.certificate) == 1);
	ensure(SSL_CTX_use_PrivateKey(f->server_context, f->server.key) == 1);
	SSL_CTX_set_session_id_context(f->server_context, (const unsigned char *)"postern", 7);
	*state = f;
	return 0;
}

static void free_party(struct party *party)
{
	EVP_PKEY_free(party->key);
	X509_free(party->certificate);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	struct party *const parties[] = { &f->authority, &f->stranger, &f->server, &f->good, &f->expired, &f->strange, &f->revoked,
					  &f->self_made, &f->nul, &f->large };
	for (size_t i = 0; i < sizeof parties / sizeof parties[0]; i++)
		free_party(parties[i]);
	SSL_SESSION_free(f->session);
	SSL_CTX_free(f->server_context);
	arena_free(&f->arena);
	free(f);
	return 0;
}

static struct tls_trust *trust_of(struct fixture *f, struct slice certificates, struct slice crls)
{
	struct error error;
	const struct tls_trust_source source = { certificates, crls, "the certificates", "the lists", true };
	struct tls_trust *trust = tls_trust_new(&source, &error);
	if (!trust)
		fail_msg("%s", error.text);
	(void)f;
	return trust;
}

struct result {
	bool accepted, verified, resumed;
	const char *problem;
	int version;
};

struct attempt {
	const struct tls_trust *trust;
	enum tls_verify how;
	const struct party *client; /* NULL: shows nothing */
	const char *ciphers;        /* tls_verify_ciphers */
	int version;                /* 0: any */
	bool resume;
};

/* Carries bytes between the two until neither has anything left to say. */
static void shake_hands(SSL *server, SSL *client, struct result *result)
{
	char byte;
	bool server_done = false, client_done = false;
	for (int i = 0; i < 20; i++) {
		client_done = client_done || SSL_connect(client) == 1;
		server_done = server_done || SSL_accept(server) == 1;
		if (client_done && server_done)
			SSL_read(client, &byte, 1); /* takes the ticket */
	}
	result->accepted = server_done;
}

static struct result attempt(struct fixture *f, const struct attempt *how)
{
	struct result result = { 0 };
	struct error error;
	f->report = (struct tls_verify_report){ 0 };
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (how->client) {
		ensure(SSL_CTX_use_certificate(context, how->client->certificate) == 1);
		ensure(SSL_CTX_use_PrivateKey(context, how->client->key) == 1);
	}
	SSL *server = SSL_new(f->server_context), *client = SSL_new(context);
	BIO *one, *other;
	BIO_new_bio_pair(&one, 256 * 1024, &other, 256 * 1024);
	SSL_set_bio(server, one, one);
	SSL_set_bio(client, other, other);
	if (how->version)
		SSL_set_max_proto_version(client, how->version);
	if (how->resume)
		SSL_set_session(client, f->session);
	if (!tls_verify_use(server, how->trust, how->how, how->ciphers ? slice_of(how->ciphers) : (struct slice){ 0 }, &f->report, &error))
		fail_msg("%s", error.text);
	shake_hands(server, client, &result);
	result.verified = tls_verified(server);
	result.problem = tls_verify_problem(server);
	result.resumed = SSL_session_reused(server);
	result.version = SSL_version(server);
	f->shown_names = sk_X509_NAME_num(SSL_get0_peer_CA_list(client)) > 0;
	SSL_SESSION_free(f->session);
	f->session = SSL_get1_session(client);
	SSL_shutdown(client); /* so that the session may be resumed */
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(context);
	ERR_clear_error();
	return result;
}

static void good_and_bad_certificates(void **state)
{
	struct fixture *f = *state;
	struct tls_trust *trust = trust_of(f, pem_of(f, f->authority.certificate), (struct slice){ 0 });
	const struct {
		const struct party *client;
		bool good;
		const char *problem;
	} cases[] = {
		{ &f->good, true, NULL },
		{ &f->large, true, NULL },
		{ &f->expired, false, "certificate has expired" },
		{ &f->strange, false, "unable to get local issuer certificate" },
		{ &f->self_made, false, "self-signed certificate" },
		{ &f->nul, false, "a name in the certificate holds a NUL" },
		{ NULL, false, NULL },
	};
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
		const struct party *client = cases[i / 2].client;
		struct attempt how = { .trust = trust, .how = TLS_VERIFY_TRY, .client = client, .version = versions[i % 2] };
		struct result result = attempt(f, &how);
		assert_true(result.accepted);
		assert_int_equal(result.verified, cases[i / 2].good);
		if (cases[i / 2].problem)
			assert_string_equal(result.problem, cases[i / 2].problem);
		else
			assert_null(result.problem);
		how.how = TLS_VERIFY_REQUIRE;
		result = attempt(f, &how);
		assert_int_equal(result.accepted, cases[i / 2].good);
		assert_int_equal(result.verified, cases[i / 2].good);
		if (cases[i / 2].problem)
			assert_string_equal(result.problem, cases[i / 2].problem);
		assert_int_equal(f->report.bad, cases[i / 2].problem != NULL);
		if (client == &f->expired)
			assert_string_equal(f->report.name, "/CN=expired");
		if (client == &f->nul)
			assert_string_equal(f->report.name, "/CN=bank.test\\x00.evil.test");
		assert_int_equal(f->report.depth, 0);
		how.how = TLS_VERIFY_NONE;
		result = attempt(f, &how);
		assert_true(result.accepted && !result.verified);
		assert_null(result.problem);
	}
	tls_trust_unref(trust);
}

static void a_certificate_may_stand_in_the_file_itself(void **state)
{
	struct fixture *f = *state;
	struct slice both = arena_printf(&f->arena, "%.*s%.*s", SLICE_ARG(pem_of(f, f->self_made.certificate)),
					 SLICE_ARG(pem_of(f, f->strange.certificate)));
	struct tls_trust *trust = trust_of(f, both, (struct slice){ 0 });
	assert_true(attempt(f, &(struct attempt){ .trust = trust, .how = TLS_VERIFY_REQUIRE, .client = &f->self_made }).verified);
	assert_true(attempt(f, &(struct attempt){ .trust = trust, .how = TLS_VERIFY_REQUIRE, .client = &f->strange }).verified);
	assert_false(attempt(f, &(struct attempt){ .trust = trust, .how = TLS_VERIFY_REQUIRE, .client = &f->good }).accepted);
	tls_trust_unref(trust);
}

static void revoked_certificates_are_refused(void **state)
{
	struct fixture *f = *state;
	struct slice authority = pem_of(f, f->authority.certificate);
	struct tls_trust *trust = trust_of(f, authority, make_crl(f, &f->authority, 6, 0));
	struct result result = attempt(f, &(struct attempt){ .trust = trust, .how = TLS_VERIFY_REQUIRE, .client = &f->revoked });
	assert_false(result.accepted);
	assert_string_equal(result.problem, "certificate revoked");
	assert_true(attempt(f, &(struct attempt){ .trust = trust, .how = TLS_VERIFY_REQUIRE, .client = &f->good }).verified);
	tls_trust_unref(trust);
	/* A list of another authority says nothing of this one's certificates. */
	trust = trust_of(f, authority, make_crl(f, &f->stranger, 6, 0));
	result = attempt(f, &(struct attempt){ .trust = trust, .how = TLS_VERIFY_TRY, .client = &f->good });
	assert_string_equal(result.problem, "unable to get certificate CRL");
	tls_trust_unref(trust);
}

static void a_revocation_list_of_ten_megabytes(void **state)
{
	struct fixture *f = *state;
	struct slice crl = make_crl(f, &f->authority, 6, 420000);
	assert_true(crl.len > 10 * 1024 * 1024);
	struct tls_trust *trust = trust_of(f, pem_of(f, f->authority.certificate), crl);
	assert_false(attempt(f, &(struct attempt){ .trust = trust, .how = TLS_VERIFY_REQUIRE, .client = &f->revoked }).accepted);
	assert_true(attempt(f, &(struct attempt){ .trust = trust, .how = TLS_VERIFY_REQUIRE, .client = &f->good }).verified);
	tls_trust_unref(trust);
}

/* What a ticket says was verified counts only where the same material would say so again. */
static void sessions_are_resumed_with_the_same_material_only(void **state)
{
	struct fixture *f = *state;
	struct slice authority = pem_of(f, f->authority.certificate);
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	for (size_t i = 0; i < 2; i++) {
		struct tls_trust *one = trust_of(f, authority, (struct slice){ 0 });
		struct tls_trust *same = trust_of(f, authority, (struct slice){ 0 });
		struct tls_trust *other = trust_of(f, authority, make_crl(f, &f->authority, 6, 0));
		struct attempt how = { .trust = one, .how = TLS_VERIFY_REQUIRE, .client = &f->revoked, .version = versions[i] };
		assert_true(attempt(f, &how).verified);
		how.resume = true;
		how.trust = same;
		struct result result = attempt(f, &how);
		assert_true(result.resumed && result.verified);
		how.ciphers = "HIGH:!aNULL";
		result = attempt(f, &how);
		assert_true(!result.resumed && result.verified);
		result = attempt(f, &how);
		assert_true(result.resumed && result.verified);
		how.trust = other;
		result = attempt(f, &how);
		assert_true(!result.resumed && !result.accepted);
		/* And one from before a certificate was asked for lets nobody in. */
		assert_true(attempt(f, &(struct attempt){ .how = TLS_VERIFY_NONE, .version = versions[i] }).accepted);
		result = attempt(f, &(struct attempt){ .trust = one, .how = TLS_VERIFY_REQUIRE, .version = versions[i], .resume = true });
		assert_true(!result.resumed && !result.accepted);
		/* A bad one that was let in stays a bad one. */
		how = (struct attempt){ .trust = one, .how = TLS_VERIFY_TRY, .client = &f->strange, .version = versions[i] };
		assert_false(attempt(f, &how).verified);
		how.resume = true;
		result = attempt(f, &how);
		assert_true(result.resumed && !result.verified && result.problem);
		how.how = TLS_VERIFY_REQUIRE;
		result = attempt(f, &how);
		assert_false(result.verified);
		assert_false(result.accepted);
		tls_trust_unref(one);
		tls_trust_unref(same);
		tls_trust_unref(other);
	}
}

static void without_material_nobody_is_verified(void **state)
{
	struct fixture *f = *state;
	assert_false(attempt(f, &(struct attempt){ .how = TLS_VERIFY_REQUIRE, .client = &f->good }).accepted);
	assert_false(attempt(f, &(struct attempt){ .how = TLS_VERIFY_TRY, .client = &f->good }).verified);
}

static void clients_are_told_the_authorities(void **state)
{
	struct fixture *f = *state;
	struct slice authority = pem_of(f, f->authority.certificate);
	struct error error;
	struct tls_trust *trust = trust_of(f, authority, (struct slice){ 0 });
	attempt(f, &(struct attempt){ .trust = trust, .how = TLS_VERIFY_TRY, .client = &f->good });
	assert_true(f->shown_names);
	tls_trust_unref(trust);
	const struct tls_trust_source quiet = { .certificates = authority, .certificates_name = "x" };
	trust = tls_trust_new(&quiet, &error);
	attempt(f, &(struct attempt){ .trust = trust, .how = TLS_VERIFY_TRY, .client = &f->good });
	assert_false(f->shown_names);
	tls_trust_unref(trust);
}

/* Chapter 38.1: "all TLS sessions must use one of the listed ciphers". */
static void ciphers_are_limited_to_a_list(void **state)
{
	struct fixture *f = *state;
	struct attempt how = { .how = TLS_VERIFY_TRY, .client = &f->good, .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" };
	assert_int_equal(attempt(f, &how).version, TLS1_2_VERSION);
	how.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384";
	assert_int_equal(attempt(f, &how).version, TLS1_3_VERSION);
	how.ciphers = "HIGH:!aNULL";
	assert_int_equal(attempt(f, &how).version, TLS1_3_VERSION);
	how.ciphers = "TLS_AES_256_GCM_SHA384";
	how.version = TLS1_2_VERSION;
	assert_false(attempt(f, &how).accepted);
	how.ciphers = "ECDHE-RSA-AES256-GCM-SHA384"; /* the certificate is not for it */
	assert_false(attempt(f, &how).accepted);
	struct error error;
	/* As in tls_require_ciphers: its separators, its named list, without RSA key exchange, without GnuTLS's words. */
	assert_true(tls_verify_ciphers_check(SLICE("string-b"), &error));
	assert_true(tls_verify_ciphers_check(SLICE("ECDHE+AESGCM, ECDHE+CHACHA20"), &error));
	assert_false(tls_verify_ciphers_check(SLICE("AES256-SHA:AES128-SHA"), &error));
	assert_false(tls_verify_ciphers_check(SLICE("NORMAL:%COMPAT"), &error));
	assert_non_null(strstr(error.text, "tls_verify_ciphers: \"NORMAL\" belongs to a priority string of GnuTLS"));
	assert_false(tls_verify_ciphers_check(SLICE("IDEA-CBC-MD5"), &error));
	assert_string_equal(error.text, "tls_verify_ciphers \"IDEA-CBC-MD5\": no cipher match");
}

static void material_that_is_of_no_use(void **state)
{
	struct fixture *f = *state;
	struct slice good = pem_of(f, f->authority.certificate);
	struct slice cut = slice_first(good, good.len / 2);
	const struct {
		struct slice certificates, crls;
		const char *text;
	} cases[] = {
		{ SLICE(""), { 0 }, "there is no certificate in certs: expected a file in PEM form" },
		{ SLICE("rubbish\n"), { 0 }, "there is no certificate in certs: expected a file in PEM form" },
		{ cut, { 0 }, "reading certificate 1 in certs: bad end line" },
		{ arena_printf(&f->arena, "%.*s%.*s", SLICE_ARG(good), SLICE_ARG(cut)), { 0 }, "reading certificate 2 in certs: bad end line" },
		{ good, SLICE("rubbish\n"), "there is no revocation list in lists: expected a file in PEM form" },
	};
	struct error error;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct tls_trust_source source = { cases[i].certificates, cases[i].crls, "certs", "lists", false };
		assert_null(tls_trust_new(&source, &error));
		assert_string_equal(error.text, cases[i].text);
	}
}

static void write_text(const char *path, struct slice text)
{
	FILE *file = fopen(path, "w");
	ensure(file && fwrite(text.data, 1, text.len, file) == text.len && fclose(file) == 0);
}

static void files_and_hashed_directories(void **state)
{
	struct fixture *f = *state;
	char place[] = "/tmp/verify-test-XXXXXX", path[200];
	struct slice text = pem_of(f, f->authority.certificate);
	struct buf out;
	struct error error;
	bool directory;
	ensure(mkdtemp(place) != NULL);
	buf_init(&out, TLS_TRUST_BYTES_MAX);
	static const char *const names[] = { "9d66eef0.0", "9d66eef0.1", "notes.txt", "ca.pem", "9d66eef0.r0", "9d66eef.0" };
	assert_false(tls_trust_read(place, false, &out, &directory, &error));
	assert_non_null(strstr(error.text, "run openssl rehash"));
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", place, names[i]);
		write_text(path, text);
	}
	assert_true(tls_trust_read(place, false, &out, &directory, &error));
	assert_true(directory);
	assert_int_equal(buf_len(&out), 2 * (text.len + 1));
	buf_free(&out);
	assert_true(tls_trust_read(place, true, &out, &directory, &error));
	assert_int_equal(buf_len(&out), text.len + 1);
	buf_free(&out);
	snprintf(path, sizeof path, "%s/ca.pem", place);
	assert_true(tls_trust_read(path, false, &out, &directory, &error));
	assert_false(directory);
	assert_int_equal(buf_len(&out), text.len + 1);
	buf_free(&out);
	assert_false(tls_trust_read("/nonexistent/ca.pem", false, &out, &directory, &error));
	assert_string_equal(error.text, "opening /nonexistent/ca.pem: No such file or directory");
	assert_false(tls_trust_read("/dev/null", false, &out, &directory, &error));
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", place, names[i]);
		unlink(path);
	}
	rmdir(place);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_and_bad_certificates),
		cmocka_unit_test(a_certificate_may_stand_in_the_file_itself),
		cmocka_unit_test(revoked_certificates_are_refused),
		cmocka_unit_test(a_revocation_list_of_ten_megabytes),
		cmocka_unit_test(sessions_are_resumed_with_the_same_material_only),
		cmocka_unit_test(without_material_nobody_is_verified),
		cmocka_unit_test(clients_are_told_the_authorities),
		cmocka_unit_test(ciphers_are_limited_to_a_list),
		cmocka_unit_test(material_that_is_of_no_use),
		cmocka_unit_test(files_and_hashed_directories),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
