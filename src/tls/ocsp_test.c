/* SPDX-License-Identifier: ISC */
#include "tls/ocsp.h"

#include "base/clock.h"
#include "base/test.h"
#include "tls/facts.h"

#include <stdio.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

enum { DAY = 86400 };

struct party {
	EVP_PKEY *key;
	X509 *certificate;
};

/* The authority, the server, who signs proofs for the authority, and others. */
struct fixture {
	int64_t now;
	struct party authority, server, delegate, unfit, expiring, stranger, other, demanding;
};

/* ---- Making certificates ---- */

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static struct party make_party(const char *name, const struct party *issuer, int64_t from, int64_t until, int nid, const char *value)
{
	static long serial = 100;
	struct party party = { .key = EVP_EC_gen("P-256"), .certificate = X509_new() };
	X509 *made = party.certificate;
	X509_NAME *subject = X509_get_subject_name(made);
	assert_int_equal(X509_set_version(made, X509_VERSION_3), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(made), serial++);
	ASN1_TIME_set(X509_getm_notBefore(made), (time_t)from);
	ASN1_TIME_set(X509_getm_notAfter(made), (time_t)until);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(made, issuer ? X509_get_subject_name(issuer->certificate) : subject);
	X509_set_pubkey(made, party.key);
	if (nid)
		add_extension(made, issuer ? issuer->certificate : made, nid, value);
	assert_true(X509_sign(made, issuer ? issuer->key : party.key, EVP_sha256()) > 0);
	return party;
}

static void free_party(struct party *party)
{
	EVP_PKEY_free(party->key);
	X509_free(party->certificate);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	f->now = clock_wall_now() / CLOCK_SECOND;
	int64_t from = f->now - 100 * DAY, until = f->now + 100 * DAY;
	f->authority = make_party("authority", NULL, from, until, NID_basic_constraints, "critical,CA:TRUE");
	f->server = make_party("server", &f->authority, from, until, NID_info_access, "OCSP;URI:http://ocsp.example.test/x");
	f->delegate = make_party("delegate", &f->authority, from, until, NID_ext_key_usage, "OCSPSigning");
	f->unfit = make_party("unfit", &f->authority, from, until, NID_ext_key_usage, "serverAuth");
	f->expiring = make_party("expiring", &f->authority, from, f->now + 600, NID_ext_key_usage, "OCSPSigning");
	f->stranger = make_party("authority", NULL, from, until, NID_basic_constraints, "critical,CA:TRUE");
	f->other = make_party("other", &f->authority, from, until, 0, NULL);
	f->demanding = make_party("demanding", &f->authority, from, until, NID_tlsfeature, "status_request");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	struct party *const all[] = { &f->authority, &f->server, &f->delegate, &f->unfit, &f->expiring, &f->stranger, &f->other,
				      &f->demanding };
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		free_party(all[i]);
	free(f);
	return 0;
}

/* ---- Making proofs ---- */

struct recipe {
	const struct party *about, *signer;
	int status;
	int64_t from, until; /* relative to now; both 0: an hour ago to tomorrow */
	bool no_next, bare /* without the signer's certificate */, sha256;
	int repeat;          /* answers about others before it */
};

static OCSP_RESPONSE *make_proof(const struct fixture *f, const struct recipe *recipe)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	int64_t from = recipe->from || recipe->until ? recipe->from : -3600, until = recipe->from || recipe->until ? recipe->until : DAY;
	ASN1_TIME *this_update = ASN1_TIME_set(NULL, (time_t)(f->now + from));
	ASN1_TIME *next_update = ASN1_TIME_set(NULL, (time_t)(f->now + until));
	ASN1_TIME *revoked = ASN1_TIME_set(NULL, (time_t)(f->now - DAY));
	for (int i = 0; i <= recipe->repeat; i++) {
		X509 *about = i < recipe->repeat ? f->other.certificate : recipe->about->certificate;
		OCSP_CERTID *id = OCSP_cert_to_id(recipe->sha256 ? EVP_sha256() : EVP_sha1(), about, f->authority.certificate);
		assert_non_null(OCSP_basic_add1_status(basic, id, recipe->status, OCSP_REVOKED_STATUS_KEYCOMPROMISE, revoked, this_update,
						       recipe->no_next ? NULL : next_update));
		OCSP_CERTID_free(id);
	}
	assert_int_equal(OCSP_basic_sign(basic, recipe->signer->certificate, recipe->signer->key, EVP_sha256(), NULL,
					 recipe->bare ? OCSP_NOCERTS : 0), 1);
	OCSP_RESPONSE *proof = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	assert_non_null(proof);
	OCSP_BASICRESP_free(basic);
	ASN1_TIME_free(this_update);
	ASN1_TIME_free(next_update);
	ASN1_TIME_free(revoked);
	return proof;
}

static struct ocsp_verdict judge(const struct fixture *f, struct recipe recipe, int64_t when)
{
	struct ocsp_verdict verdict;
	OCSP_RESPONSE *proof = make_proof(f, &recipe);
	ocsp_check(proof, f->server.certificate, f->authority.certificate, f->now + when, &verdict);
	OCSP_RESPONSE_free(proof);
	assert_int_equal(ERR_peek_error(), 0);
	return verdict;
}

static void expect_refusal(const struct ocsp_verdict *verdict, const char *reason)
{
	assert_false(verdict->valid);
	if (!strstr(verdict->reason, reason))
		fail_msg("expected \"%s\" in \"%s\"", reason, verdict->reason);
}

/* ---- The check ---- */

static void proof_of_the_issuer_is_valid(void **state)
{
	struct fixture *f = *state;
	for (int bare = 0; bare < 2; bare++) {
		struct ocsp_verdict verdict = judge(f, (struct recipe){ .about = &f->server, .signer = &f->authority, .bare = bare }, 0);
		assert_string_equal(verdict.reason, "");
		assert_true(verdict.valid);
		assert_int_equal(verdict.this_update, f->now - 3600);
		assert_int_equal(verdict.next_update, f->now + DAY);
		assert_int_equal(verdict.served_until, f->now + DAY + OCSP_SKEW);
	}
}

static void proof_of_a_delegate_is_valid(void **state)
{
	struct fixture *f = *state;
	assert_true(judge(f, (struct recipe){ .about = &f->server, .signer = &f->delegate }, 0).valid);
	assert_true(judge(f, (struct recipe){ .about = &f->server, .signer = &f->delegate, .sha256 = true }, 0).valid);
	assert_true(judge(f, (struct recipe){ .about = &f->server, .signer = &f->delegate, .repeat = 5 }, 0).valid);
}

static void signer_must_be_the_issuer_or_its_delegate(void **state)
{
	struct fixture *f = *state;
	struct ocsp_verdict verdict = judge(f, (struct recipe){ .about = &f->server, .signer = &f->unfit }, 0);
	expect_refusal(&verdict, "does not permit signing OCSP proofs");
	verdict = judge(f, (struct recipe){ .about = &f->server, .signer = &f->stranger }, 0);
	expect_refusal(&verdict, "its sign");
	verdict = judge(f, (struct recipe){ .about = &f->server, .signer = &f->delegate, .bare = true }, 0);
	expect_refusal(&verdict, "its signer's certificate is neither the issuer's nor in it");
	verdict = judge(f, (struct recipe){ .about = &f->server, .signer = &f->other }, 0);
	expect_refusal(&verdict, "does not permit signing OCSP proofs");
}

static void proof_is_good_from_this_to_next_update_with_300_seconds(void **state)
{
	struct fixture *f = *state;
	struct recipe recipe = { .about = &f->server, .signer = &f->authority, .from = -1000, .until = 1000 };
	assert_true(judge(f, recipe, 0).valid);
	assert_true(judge(f, recipe, 1000 + OCSP_SKEW).valid);
	assert_true(judge(f, recipe, -1000 - OCSP_SKEW).valid);
	struct ocsp_verdict verdict = judge(f, recipe, 1001 + OCSP_SKEW);
	expect_refusal(&verdict, "it has expired at ");
	verdict = judge(f, recipe, -1001 - OCSP_SKEW);
	expect_refusal(&verdict, "it holds only from ");
	recipe.no_next = true;
	verdict = judge(f, recipe, 0);
	expect_refusal(&verdict, "nextUpdate");
	verdict = judge(f, (struct recipe){ .about = &f->server, .signer = &f->authority, .from = 100, .until = 50 }, 75);
	expect_refusal(&verdict, "before its thisUpdate");
}

static void proof_ends_with_its_signers_certificate(void **state)
{
	struct fixture *f = *state;
	struct recipe recipe = { .about = &f->server, .signer = &f->expiring };
	struct ocsp_verdict verdict = judge(f, recipe, 0);
	assert_true(verdict.valid);
	assert_int_equal(verdict.served_until, f->now + 600);
	verdict = judge(f, recipe, 601);
	expect_refusal(&verdict, "its signer's certificate has expired at ");
}

static void proof_must_be_about_the_certificate(void **state)
{
	struct fixture *f = *state;
	struct ocsp_verdict verdict = judge(f, (struct recipe){ .about = &f->other, .signer = &f->authority }, 0);
	expect_refusal(&verdict, "another certificate");
	assert_true(verdict.other);
	verdict = judge(f, (struct recipe){ .about = &f->server, .signer = &f->authority, .repeat = OCSP_ANSWERS_MAX }, 0);
	expect_refusal(&verdict, "more than 64 certificates");
}

static void proof_must_say_good(void **state)
{
	struct fixture *f = *state;
	struct ocsp_verdict verdict =
		judge(f, (struct recipe){ .about = &f->server, .signer = &f->authority, .status = V_OCSP_CERTSTATUS_REVOKED }, 0);
	expect_refusal(&verdict, "revoked since ");
	assert_true(verdict.revoked);
	verdict = judge(f, (struct recipe){ .about = &f->server, .signer = &f->authority, .status = V_OCSP_CERTSTATUS_UNKNOWN }, 0);
	expect_refusal(&verdict, "does not know the certificate");
	/* What nobody signed says nothing about revocation. */
	verdict = judge(f, (struct recipe){ .about = &f->server, .signer = &f->stranger, .status = V_OCSP_CERTSTATUS_REVOKED }, 0);
	assert_false(verdict.revoked || verdict.valid);
}

static void refusal_of_the_responder_is_no_proof(void **state)
{
	struct fixture *f = *state;
	struct ocsp_verdict verdict;
	OCSP_RESPONSE *proof = OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL);
	ocsp_check(proof, f->server.certificate, f->authority.certificate, f->now, &verdict);
	OCSP_RESPONSE_free(proof);
	expect_refusal(&verdict, "trylater");
}

static void issuer_can_be_in_the_proof(void **state)
{
	struct fixture *f = *state;
	struct ocsp_verdict verdict;
	OCSP_RESPONSE *proof = make_proof(f, &(struct recipe){ .about = &f->server, .signer = &f->authority });
	ocsp_check(proof, f->server.certificate, NULL, f->now, &verdict);
	assert_true(verdict.valid);
	OCSP_RESPONSE_free(proof);
	/* A stranger of the same name is not who signed the server's certificate. */
	proof = make_proof(f, &(struct recipe){ .about = &f->server, .signer = &f->stranger });
	ocsp_check(proof, f->server.certificate, NULL, f->now, &verdict);
	expect_refusal(&verdict, "add it to the chain");
	OCSP_RESPONSE_free(proof);
}

/* ---- Files ---- */

static struct slice write_proof(const struct fixture *f, const struct recipe *recipe, struct buf *der)
{
	OCSP_RESPONSE *proof = make_proof(f, recipe);
	buf_init(der, OCSP_FILE_MAX * 2);
	assert_true(ocsp_proof_write(proof, der));
	OCSP_RESPONSE_free(proof);
	return buf_slice(der);
}

static void append_pem(struct buf *out, const char *kind, struct slice der)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	assert_true(PEM_write_bio(bio, kind, "", (const unsigned char *)der.data, (long)der.len) > 0);
	long len = BIO_get_mem_data(bio, &text);
	assert_true(buf_append(out, slice_make(text, (size_t)len)));
	BIO_free(bio);
}

static void append_certificate(struct buf *out, X509 *certificate, bool pem)
{
	unsigned char *der = NULL;
	int len = i2d_X509(certificate, &der);
	if (pem)
		append_pem(out, "CERTIFICATE", slice_make(der, (size_t)len));
	else
		assert_true(buf_append(out, slice_make(der, (size_t)len)));
	OPENSSL_free(der);
}

static void expect_unread(struct slice text, const char *reason)
{
	struct ocsp_file file;
	struct error error;
	assert_false(ocsp_file_read(text, "/etc/proof", &file, &error));
	if (!strstr(error.text, reason) || !strstr(error.text, "/etc/proof"))
		fail_msg("expected \"%s\" in \"%s\"", reason, error.text);
}

static void files_are_read_in_both_forms(void **state)
{
	struct fixture *f = *state;
	struct buf der, pem;
	struct ocsp_file file;
	struct error error;
	struct slice proof = write_proof(f, &(struct recipe){ .about = &f->server, .signer = &f->authority }, &der);
	assert_true(ocsp_file_read(proof, "x", &file, &error));
	assert_int_equal(file.count, 1);
	ocsp_file_free(&file);
	buf_init(&pem, OCSP_FILE_MAX);
	buf_append(&pem, SLICE("a comment\n"));
	append_pem(&pem, "OCSP RESPONSE", proof);
	append_pem(&pem, "OCSP RESPONSE", proof);
	assert_true(ocsp_file_read(buf_slice(&pem), "x", &file, &error));
	assert_int_equal(file.count, 2);
	ocsp_file_free(&file);
	assert_slice(ocsp_file_path(SLICE(" PEM  /a/b ")), "/a/b");
	assert_slice(ocsp_file_path(SLICE("der /a/b")), "/a/b");
	assert_slice(ocsp_file_path(SLICE("/a/b")), "/a/b");
	buf_free(&pem);
	buf_free(&der);
}

/* The manual: "intermediate certificates should be added to the server OCSP stapling file". */
static void certificates_in_the_file_become_part_of_the_proof(void **state)
{
	struct fixture *f = *state;
	for (int pem = 0; pem < 2; pem++) {
		struct buf der, text;
		struct ocsp_file file;
		struct ocsp_verdict verdict;
		struct error error;
		struct slice proof = write_proof(f, &(struct recipe){ .about = &f->server, .signer = &f->delegate, .bare = true }, &der);
		buf_init(&text, OCSP_FILE_MAX);
		if (pem)
			append_pem(&text, "OCSP RESPONSE", proof);
		else
			buf_append(&text, proof);
		append_certificate(&text, f->delegate.certificate, pem);
		assert_true(ocsp_file_read(buf_slice(&text), "x", &file, &error));
		ocsp_check(file.proofs[0], f->server.certificate, f->authority.certificate, f->now, &verdict);
		assert_string_equal(verdict.reason, "");
		ocsp_file_free(&file);
		buf_free(&text);
		buf_free(&der);
	}
}

static void bad_files_are_refused(void **state)
{
	struct fixture *f = *state;
	struct buf der, text;
	struct slice proof = write_proof(f, &(struct recipe){ .about = &f->server, .signer = &f->authority }, &der);
	for (size_t len = 0; len < proof.len; len++) {
		struct ocsp_file file;
		struct error error;
		assert_false(ocsp_file_read(slice_first(proof, len), "x", &file, &error));
	}
	expect_unread(slice_first(proof, proof.len / 2), "cut short");
	expect_unread(SLICE(""), "empty");
	expect_unread(SLICE("hello\n"), "no OCSP proof");
	expect_unread(SLICE("-----BEGIN OCSP RESPONSE-----\nMIIB\n"), "cut short");
	expect_unread(SLICE("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"), "\"PRIVATE KEY\"");
	buf_init(&text, OCSP_FILE_MAX * 2);
	append_certificate(&text, f->server.certificate, true);
	expect_unread(buf_slice(&text), "holds no OCSP proof");
	buf_reset(&text);
	buf_append(&text, proof);
	buf_append(&text, SLICE("garbage"));
	expect_unread(buf_slice(&text), "no certificate follows");
	buf_reset(&text);
	for (int i = 0; i <= OCSP_PROOFS_MAX; i++)
		append_pem(&text, "OCSP RESPONSE", proof);
	expect_unread(buf_slice(&text), "more than 16 OCSP proofs");
	buf_reset(&text);
	while (buf_len(&text) <= OCSP_FILE_MAX)
		append_pem(&text, "OCSP RESPONSE", proof);
	expect_unread(buf_slice(&text), "too large");
	buf_free(&text);
	buf_free(&der);
	proof = write_proof(f, &(struct recipe){ .about = &f->server, .signer = &f->authority, .repeat = 50 }, &der);
	buf_init(&text, OCSP_FILE_MAX);
	buf_append(&text, proof);
	char *room = buf_reserve(&text, OCSP_RESPONSE_MAX);
	memset(room, 0, OCSP_RESPONSE_MAX);
	buf_commit(&text, OCSP_RESPONSE_MAX);
	expect_unread(buf_slice(&text), "no certificate follows");
	buf_free(&text);
	buf_free(&der);
}

static void one_oversize_proof_is_refused(void **state)
{
	(void)state;
	/* SEQUENCE of 70,000 bytes. */
	struct buf text;
	buf_init(&text, OCSP_FILE_MAX);
	buf_append(&text, slice_make("\x30\x83\x01\x11\x70", 5));
	memset(buf_reserve(&text, 70000), 5, 70000);
	buf_commit(&text, 70000);
	expect_unread(buf_slice(&text), "too large");
	buf_free(&text);
}

/* ---- Certificates ---- */

static void certificate_says_who_answers_for_it(void **state)
{
	struct fixture *f = *state;
	char url[64];
	assert_true(ocsp_responder_url(f->server.certificate, url, sizeof url));
	assert_string_equal(url, "http://ocsp.example.test/x");
	assert_false(ocsp_responder_url(f->server.certificate, url, 10));
	assert_false(ocsp_responder_url(f->other.certificate, url, sizeof url));
	assert_true(ocsp_is_must_staple(f->demanding.certificate));
	assert_false(ocsp_is_must_staple(f->server.certificate));
}

static void issuer_is_found_by_name_and_signature(void **state)
{
	struct fixture *f = *state;
	STACK_OF(X509) *chain = sk_X509_new_null();
	sk_X509_push(chain, f->stranger.certificate);
	assert_null(ocsp_find_issuer(f->server.certificate, chain));
	assert_null(ocsp_find_issuer(f->server.certificate, NULL));
	sk_X509_push(chain, f->authority.certificate);
	assert_ptr_equal(ocsp_find_issuer(f->server.certificate, chain), f->authority.certificate);
	sk_X509_free(chain);
}

static void request_names_the_certificate(void **state)
{
	struct fixture *f = *state;
	struct buf out;
	struct error error;
	buf_init(&out, 4096);
	assert_true(ocsp_request_write(f->server.certificate, f->authority.certificate, &out, &error));
	const unsigned char *at = (const unsigned char *)buf_slice(&out).data;
	OCSP_REQUEST *request = d2i_OCSP_REQUEST(NULL, &at, (long)buf_len(&out));
	assert_non_null(request);
	assert_int_equal(OCSP_request_onereq_count(request), 1);
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), f->server.certificate, f->authority.certificate);
	assert_int_equal(OCSP_id_cmp(id, OCSP_onereq_get0_id(OCSP_request_onereq_get0(request, 0))), 0);
	OCSP_CERTID_free(id);
	OCSP_REQUEST_free(request);
	buf_free(&out);
}

/* ---- Stapling ---- */

struct complaints {
	char text[4][1024];
	int count;
};

static void note(void *owner, const char *text)
{
	struct complaints *complaints = owner;
	if (complaints->count < 4)
		snprintf(complaints->text[complaints->count], sizeof complaints->text[0], "%s", text);
	complaints->count++;
}

static SSL_CTX *make_context(const struct fixture *f, const struct party *shown)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(context, shown->certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, shown->key), 1);
	assert_int_equal(SSL_CTX_add1_chain_cert(context, f->authority.certificate), 1);
	return context;
}

/* A handshake in memory: what proof the client got, and Exim's number on the server's side. */
static long shake(SSL_CTX *server_context, bool asks, int version, unsigned *state_r)
{
	SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(client_context, version);
	SSL *client = SSL_new(client_context), *server = SSL_new(server_context);
	struct tls_facts facts;
	BIO *a = NULL, *b = NULL;
	unsigned char *proof = NULL;
	assert_int_equal(BIO_new_bio_pair(&a, 65536, &b, 65536), 1);
	SSL_set_bio(client, a, a);
	SSL_set_bio(server, b, b);
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	if (asks)
		SSL_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp);
	for (int i = 0; i < 10 && !(SSL_is_init_finished(client) && SSL_is_init_finished(server)); i++) {
		SSL_do_handshake(client);
		SSL_do_handshake(server);
	}
	assert_true(SSL_is_init_finished(client) && SSL_is_init_finished(server));
	long len = SSL_get_tlsext_status_ocsp_resp(client, &proof);
	tls_facts_read(server, &facts);
	*state_r = facts.ocsp;
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(client_context);
	ERR_clear_error();
	return len;
}

static void valid_proof_is_stapled_to_who_asks(void **state)
{
	struct fixture *f = *state;
	struct buf der;
	struct complaints said = { 0 };
	const struct ocsp_complaints complaints = { note, &said };
	unsigned number;
	struct ocsp_source source = { write_proof(f, &(struct recipe){ .about = &f->server, .signer = &f->delegate }, &der), "/p" };
	SSL_CTX *context = make_context(f, &f->server);
	struct ocsp_stapler *stapler = ocsp_stapler_new(context, &source, 1, NULL, &complaints);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		assert_int_equal(shake(context, true, version, &number), buf_len(&der));
		assert_int_equal(number, 4);
		assert_int_equal(shake(context, false, version, &number), -1);
		assert_int_equal(number, 0);
	}
	assert_int_equal(said.count, 0);
	SSL_CTX_free(context);
	ocsp_stapler_free(stapler);
	buf_free(&der);
}

static void invalid_proof_is_not_served_and_told_once(void **state)
{
	struct fixture *f = *state;
	struct buf der;
	struct complaints said = { 0 };
	const struct ocsp_complaints complaints = { note, &said };
	unsigned number;
	struct recipe recipe = { .about = &f->server, .signer = &f->authority, .from = -2 * DAY, .until = -DAY };
	struct ocsp_source source = { write_proof(f, &recipe, &der), "/p" };
	SSL_CTX *context = make_context(f, &f->server);
	struct ocsp_stapler *stapler = ocsp_stapler_new(context, &source, 1, NULL, &complaints);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(shake(context, true, TLS1_3_VERSION, &number), -1);
		assert_int_equal(number, 1);
	}
	assert_int_equal(said.count, 1);
	assert_non_null(strstr(said.text[0], "/p is not served: it has expired at "));
	SSL_CTX_free(context);
	ocsp_stapler_free(stapler);
	buf_free(&der);
}

static void proof_of_another_certificate_is_told(void **state)
{
	struct fixture *f = *state;
	struct buf der;
	struct complaints said = { 0 };
	const struct ocsp_complaints complaints = { note, &said };
	struct ocsp_source sources[] = {
		{ write_proof(f, &(struct recipe){ .about = &f->other, .signer = &f->authority }, &der), "/p" }, { SLICE("junk"), "/q" },
	};
	SSL_CTX *context = make_context(f, &f->server);
	struct ocsp_stapler *stapler = ocsp_stapler_new(context, sources, 2, NULL, &complaints);
	assert_int_equal(said.count, 2);
	assert_non_null(strstr(said.text[0], "/p is not served: it is about none of the server's certificates"));
	assert_non_null(strstr(said.text[1], "/q"));
	SSL_CTX_free(context);
	ocsp_stapler_free(stapler);
	buf_free(&der);
}

static void proof_that_ends_while_served_is_told_once(void **state)
{
	struct fixture *f = *state;
	struct buf der;
	struct complaints said = { 0 };
	const struct ocsp_complaints complaints = { note, &said };
	unsigned number;
	struct recipe recipe = { .about = &f->server, .signer = &f->authority, .from = -2 * DAY, .until = -OCSP_SKEW + 2 };
	f->now = clock_wall_now() / CLOCK_SECOND;
	struct ocsp_source source = { write_proof(f, &recipe, &der), "/p" };
	SSL_CTX *context = make_context(f, &f->server);
	struct ocsp_stapler *stapler = ocsp_stapler_new(context, &source, 1, NULL, &complaints);
	assert_true(shake(context, true, TLS1_3_VERSION, &number) > 0);
	while (clock_wall_now() / CLOCK_SECOND <= f->now + 2)
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(shake(context, true, TLS1_3_VERSION, &number), -1);
	assert_int_equal(said.count, 1);
	assert_non_null(strstr(said.text[0], "no longer served"));
	SSL_CTX_free(context);
	ocsp_stapler_free(stapler);
	buf_free(&der);
}

static void certificate_that_demands_a_proof_is_told(void **state)
{
	struct fixture *f = *state;
	struct complaints said = { 0 };
	const struct ocsp_complaints complaints = { note, &said };
	SSL_CTX *context = make_context(f, &f->demanding);
	struct ocsp_stapler *stapler = ocsp_stapler_new(context, NULL, 0, NULL, &complaints);
	assert_int_equal(said.count, 1);
	assert_non_null(strstr(said.text[0], "CN=demanding demands a stapled OCSP proof (Must-Staple"));
	SSL_CTX_free(context);
	ocsp_stapler_free(stapler);
	/* Where somebody fetches, it is told when a client wants one and there is none. */
	struct ocsp_pool *pool = ocsp_pool_new();
	unsigned number;
	said.count = 0;
	context = make_context(f, &f->demanding);
	stapler = ocsp_stapler_new(context, NULL, 0, pool, &complaints);
	assert_int_equal(said.count, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(shake(context, true, TLS1_3_VERSION, &number), -1);
	assert_int_equal(said.count, 1);
	SSL_CTX_free(context);
	ocsp_stapler_free(stapler);
	ocsp_pool_free(pool);
}

static void pool_serves_where_no_file_does(void **state)
{
	struct fixture *f = *state;
	struct buf der, bad;
	struct complaints said = { 0 };
	const struct ocsp_complaints complaints = { note, &said };
	struct ocsp_print print;
	unsigned number;
	struct ocsp_pool *pool = ocsp_pool_new();
	SSL_CTX *context = make_context(f, &f->server);
	struct ocsp_stapler *stapler = ocsp_stapler_new(context, NULL, 0, pool, &complaints);
	assert_int_equal(shake(context, true, TLS1_3_VERSION, &number), -1);
	assert_true(ocsp_print_of(f->server.certificate, &print));
	write_proof(f, &(struct recipe){ .about = &f->server, .signer = &f->authority }, &der);
	assert_true(ocsp_pool_put(pool, &print, buf_slice(&der)));
	assert_int_equal(shake(context, true, TLS1_3_VERSION, &number), buf_len(&der));
	assert_int_equal(said.count, 0);
	write_proof(f, &(struct recipe){ .about = &f->other, .signer = &f->authority }, &bad);
	assert_true(ocsp_pool_put(pool, &print, buf_slice(&bad)));
	for (int i = 0; i < 3; i++)
		assert_int_equal(shake(context, true, TLS1_3_VERSION, &number), -1);
	assert_int_equal(said.count, 1);
	assert_false(ocsp_pool_put(pool, &print, SLICE("")));
	assert_true(ocsp_pool_put(pool, &print, buf_slice(&der)));
	assert_true(shake(context, true, TLS1_3_VERSION, &number) > 0);
	ocsp_pool_enable(pool, false);
	assert_int_equal(shake(context, true, TLS1_3_VERSION, &number), -1);
	assert_false(ocsp_pool_put(pool, &print, buf_slice(&der)));
	SSL_CTX_free(context);
	ocsp_stapler_free(stapler);
	ocsp_pool_free(pool);
	buf_free(&der);
	buf_free(&bad);
}

/* RSA and ECDSA side by side: each client gets the proof of the certificate that it is shown. */
static void each_certificate_of_a_context_has_its_own_proof(void **state)
{
	struct fixture *f = *state;
	struct buf first, second;
	struct complaints said = { 0 };
	const struct ocsp_complaints complaints = { note, &said };
	struct party rsa = { .key = EVP_RSA_gen(2048), .certificate = X509_dup(f->server.certificate) };
	unsigned number;
	ASN1_INTEGER_set(X509_get_serialNumber(rsa.certificate), 7);
	X509_set_pubkey(rsa.certificate, rsa.key);
	assert_true(X509_sign(rsa.certificate, f->authority.key, EVP_sha256()) > 0);
	struct ocsp_source sources[] = {
		{ write_proof(f, &(struct recipe){ .about = &f->server, .signer = &f->authority }, &first), "/p" },
		{ write_proof(f, &(struct recipe){ .about = &rsa, .signer = &f->delegate, .repeat = 3 }, &second), "/q" },
	};
	SSL_CTX *context = make_context(f, &f->server);
	assert_int_equal(SSL_CTX_use_certificate(context, rsa.certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, rsa.key), 1);
	assert_int_equal(SSL_CTX_add1_chain_cert(context, f->authority.certificate), 1);
	struct ocsp_stapler *stapler = ocsp_stapler_new(context, sources, 2, NULL, &complaints);
	SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES128-GCM-SHA256");
	assert_int_equal(shake(context, true, TLS1_2_VERSION, &number), buf_len(&first));
	SSL_CTX_set_cipher_list(context, "ECDHE-RSA-AES128-GCM-SHA256");
	assert_int_equal(shake(context, true, TLS1_2_VERSION, &number), buf_len(&second));
	assert_int_not_equal(buf_len(&first), buf_len(&second));
	assert_int_equal(said.count, 0);
	SSL_CTX_free(context);
	ocsp_stapler_free(stapler);
	free_party(&rsa);
	buf_free(&first);
	buf_free(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(proof_of_the_issuer_is_valid),
		cmocka_unit_test(proof_of_a_delegate_is_valid),
		cmocka_unit_test(signer_must_be_the_issuer_or_its_delegate),
		cmocka_unit_test(proof_is_good_from_this_to_next_update_with_300_seconds),
		cmocka_unit_test(proof_ends_with_its_signers_certificate),
		cmocka_unit_test(proof_must_be_about_the_certificate),
		cmocka_unit_test(proof_must_say_good),
		cmocka_unit_test(refusal_of_the_responder_is_no_proof),
		cmocka_unit_test(issuer_can_be_in_the_proof),
		cmocka_unit_test(files_are_read_in_both_forms),
		cmocka_unit_test(certificates_in_the_file_become_part_of_the_proof),
		cmocka_unit_test(bad_files_are_refused),
		cmocka_unit_test(one_oversize_proof_is_refused),
		cmocka_unit_test(certificate_says_who_answers_for_it),
		cmocka_unit_test(issuer_is_found_by_name_and_signature),
		cmocka_unit_test(request_names_the_certificate),
		cmocka_unit_test(valid_proof_is_stapled_to_who_asks),
		cmocka_unit_test(invalid_proof_is_not_served_and_told_once),
		cmocka_unit_test(proof_of_another_certificate_is_told),
		cmocka_unit_test(proof_that_ends_while_served_is_told_once),
		cmocka_unit_test(certificate_that_demands_a_proof_is_told),
		cmocka_unit_test(pool_serves_where_no_file_does),
		cmocka_unit_test(each_certificate_of_a_context_has_its_own_proof),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
