/* SPDX-License-Identifier: ISC */
/* TLSA records against chains made here: every usage, selector and matching type, and the rules of RFC 7671 by their numbers. */
#include "base/test.h"
#include "tls/issue.h"
#include "tls/tlsa_guard.h"

#include <openssl/err.h>

enum { DAY = 86400 };

/* An authority, a server's certificate by it, a self-signed one; chains of them. */
struct fixture {
	struct arena arena;
	X509 *authority, *server, *own;
	EVP_PKEY *authority_key, *server_key, *own_key;
	STACK_OF(X509) *full, *alone, *self;
	struct slice host;
	time_t now;
};

static STACK_OF(X509) *chain_of(X509 *first, X509 *second)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *each[] = { first, second };
	for (size_t i = 0; i < 2 && each[i]; i++) {
		assert_true(X509_up_ref(each[i]));
		assert_true(sk_X509_push(chain, each[i]) > 0);
	}
	return chain;
}

static void set_up(struct fixture *f)
{
	struct error error;
	struct slice authority = SLICE("Test authority"), host = SLICE("mx.example.test");
	*f = (struct fixture){ .host = host, .now = time(NULL) };
	arena_init(&f->arena, 0);
	struct issue_request request = { .purpose = ISSUE_AUTHORITY, .names = &authority, .count = 1, .days = 30 };
	assert_true(issue_certificate(&request, &f->authority, &f->authority_key, &error));
	request = (struct issue_request){ .names = &host, .count = 1, .days = 10 };
	assert_true(issue_certificate(&request, &f->own, &f->own_key, &error));
	request.issuer = f->authority;
	request.issuer_key = f->authority_key;
	assert_true(issue_certificate(&request, &f->server, &f->server_key, &error));
	f->full = chain_of(f->server, f->authority);
	f->alone = chain_of(f->server, NULL);
	f->self = chain_of(f->own, NULL);
}

static void tear_down(struct fixture *f)
{
	STACK_OF(X509) **chains[] = { &f->full, &f->alone, &f->self };
	for (size_t i = 0; i < 3; i++)
		chain_free(chains[i]);
	X509_free(f->authority);
	X509_free(f->server);
	X509_free(f->own);
	EVP_PKEY_free(f->authority_key);
	EVP_PKEY_free(f->server_key);
	EVP_PKEY_free(f->own_key);
	arena_free(&f->arena);
	assert_int_equal(ERR_peek_error(), 0);
}

static struct tlsa_record record_of(struct fixture *f, const X509 *certificate, uint8_t usage, uint8_t selector, uint8_t matching)
{
	return (struct tlsa_record){ usage, selector, matching, tlsa_data(certificate, selector, matching, &f->arena) };
}

/* The verdict on one record, with the name that the server has. */
static struct tlsa_verdict judge(struct fixture *f, STACK_OF(X509) *chain, struct tlsa_record record, struct slice name, time_t when)
{
	struct tlsa_question question = { .chain = chain, .names = &name, .name_count = 1, .when = when };
	struct tlsa_verdict verdict;
	bool any = tlsa_match(&question, &record, 1, &f->arena, &verdict);
	assert_int_equal(any, verdict.outcome == TLSA_MATCHES);
	return verdict;
}

#define ASSERT_OUTCOME(chain, record, name, when, expected)                                          \
	do {                                                                                         \
		struct tlsa_verdict got_ = judge(&f, (chain), (record), (name), (when));             \
		if (got_.outcome != (expected))                                                      \
			fail_msg("expected outcome %d, got %d (%s)", (expected), got_.outcome, got_.why); \
	} while (0)

static void ee_matches_by_every_selector_and_matching_type(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	for (uint8_t selector = 0; selector < TLSA_SELECTORS; selector++)
		for (uint8_t matching = 0; matching < TLSA_MATCHINGS; matching++) {
			struct tlsa_record record = record_of(&f, f.server, TLSA_DANE_EE, selector, matching);
			ASSERT_OUTCOME(f.full, record, f.host, f.now, TLSA_MATCHES);
			ASSERT_OUTCOME(f.alone, record, f.host, f.now, TLSA_MATCHES);
			ASSERT_OUTCOME(f.self, record, f.host, f.now, TLSA_DIFFERS);
		}
	tear_down(&f);
}

static void ee_knows_only_the_servers_own_certificate(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	ASSERT_OUTCOME(f.full, record_of(&f, f.authority, TLSA_DANE_EE, 1, 1), f.host, f.now, TLSA_DIFFERS);
	tear_down(&f);
}

/* RFC 7671 §5.1: neither names nor dates of the certificate are looked at. */
static void ee_ignores_names_and_dates(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	struct tlsa_record record = record_of(&f, f.own, TLSA_DANE_EE, 1, 1);
	ASSERT_OUTCOME(f.self, record, SLICE("other.test"), f.now, TLSA_MATCHES);
	ASSERT_OUTCOME(f.self, record, f.host, f.now + 1000 * DAY, TLSA_MATCHES);
	tear_down(&f);
}

static void ta_matches_an_authority_that_is_served(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	for (uint8_t selector = 0; selector < TLSA_SELECTORS; selector++)
		for (uint8_t matching = 0; matching < TLSA_MATCHINGS; matching++) {
			struct tlsa_verdict verdict = judge(&f, f.full, record_of(&f, f.authority, TLSA_DANE_TA, selector, matching),
							    f.host, f.now);
			assert_int_equal(verdict.outcome, TLSA_MATCHES);
			assert_int_equal(verdict.depth, 1);
		}
	tear_down(&f);
}

/* RFC 7671 §5.2.1: with a digest only, the authority must be in the chain; with the whole of it in the DNS it need not. */
static void ta_that_is_not_served_must_be_whole_in_the_record(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	for (uint8_t selector = 0; selector < TLSA_SELECTORS; selector++) {
		ASSERT_OUTCOME(f.alone, record_of(&f, f.authority, TLSA_DANE_TA, selector, TLSA_SHA256), f.host, f.now, TLSA_DIFFERS);
		struct tlsa_verdict verdict = judge(&f, f.alone, record_of(&f, f.authority, TLSA_DANE_TA, selector, TLSA_FULL), f.host, f.now);
		assert_int_equal(verdict.outcome, TLSA_MATCHES);
		assert_int_equal(verdict.depth, 1);
		ASSERT_OUTCOME(f.self, record_of(&f, f.authority, TLSA_DANE_TA, selector, TLSA_FULL), f.host, f.now, TLSA_DIFFERS);
	}
	tear_down(&f);
}

/* RFC 7671 §5.2: below an authority, names and dates count. */
static void ta_checks_names_and_dates(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	struct tlsa_record record = record_of(&f, f.authority, TLSA_DANE_TA, 0, 2);
	ASSERT_OUTCOME(f.full, record, SLICE("other.test"), f.now, TLSA_UNTRUSTED);
	ASSERT_OUTCOME(f.full, record, f.host, f.now + 20 * DAY, TLSA_UNTRUSTED);
	ASSERT_OUTCOME(f.full, record, slice_make("mx.example.test\0.evil.test", 26), f.now, TLSA_UNTRUSTED);
	struct tlsa_verdict verdict = judge(&f, f.full, record, f.host, f.now + 20 * DAY);
	assert_non_null(strstr(verdict.why, "expired"));
	tear_down(&f);
}

/* An authority's certificate beside a server's that it never signed. */
static void ta_must_have_signed_the_chain(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	STACK_OF(X509) *mixed = chain_of(f.own, f.authority);
	for (uint8_t matching = 0; matching < TLSA_MATCHINGS; matching++)
		ASSERT_OUTCOME(mixed, record_of(&f, f.authority, TLSA_DANE_TA, 1, matching), f.host, f.now, TLSA_UNTRUSTED);
	chain_free(&mixed);
	tear_down(&f);
}

/* RFC 7672 §3.1.3: PKIX usages are unusable in SMTP; with authorities given they are judged. */
static void pkix_usages_need_authorities(void **state)
{
	struct fixture f;
	struct tlsa_verdict verdicts[2];
	(void)state;
	set_up(&f);
	struct tlsa_record records[] = { record_of(&f, f.authority, TLSA_PKIX_TA, 0, 1), record_of(&f, f.server, TLSA_PKIX_EE, 1, 1) };
	ASSERT_OUTCOME(f.full, records[0], f.host, f.now, TLSA_UNUSABLE);
	ASSERT_OUTCOME(f.full, records[1], f.host, f.now, TLSA_UNUSABLE);
	X509_STORE *trusted = X509_STORE_new(), *empty = X509_STORE_new();
	assert_true(X509_STORE_add_cert(trusted, f.authority));
	struct tlsa_question question = { .chain = f.alone, .names = &f.host, .name_count = 1, .authorities = trusted, .when = f.now };
	assert_true(tlsa_match(&question, records, 2, &f.arena, verdicts));
	assert_int_equal(verdicts[0].outcome, TLSA_MATCHES);
	assert_int_equal(verdicts[1].outcome, TLSA_MATCHES);
	question.authorities = empty;
	question.chain = f.full;
	assert_false(tlsa_match(&question, records, 2, &f.arena, verdicts));
	assert_int_equal(verdicts[0].outcome, TLSA_UNTRUSTED);
	assert_int_equal(verdicts[1].outcome, TLSA_UNTRUSTED);
	X509_STORE_free(trusted);
	X509_STORE_free(empty);
	tear_down(&f);
}

/* RFC 7671 §4.1 and §10.1: what is not understood is passed over. */
static void unknown_and_malformed_records_are_passed_over(void **state)
{
	static char zeros[64];
	struct fixture f;
	(void)state;
	set_up(&f);
	struct slice digest = slice_make(zeros, 32);
	const struct tlsa_record bad[] = {
		{ 4, 1, 1, digest }, { 255, 1, 1, digest }, { 3, 2, 1, digest }, { 3, 1, 3, digest }, { 3, 1, 255, digest },
		{ 3, 1, 1, slice_make(zeros, 31) }, { 3, 1, 1, slice_make(zeros, 33) }, { 3, 1, 1, { 0 } }, { 3, 1, 2, digest },
		{ 3, 0, 0, digest }, { 2, 1, 0, digest }, { 3, 1, 0, { 0 } },
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ASSERT_OUTCOME(f.full, bad[i], f.host, f.now, TLSA_UNUSABLE);
	tear_down(&f);
}

/* RFC 7671 §9. */
static void the_strongest_digest_decides(void **state)
{
	static char zeros[64];
	struct fixture f;
	struct tlsa_verdict verdicts[4];
	(void)state;
	set_up(&f);
	struct tlsa_record records[] = {
		record_of(&f, f.server, TLSA_DANE_EE, 1, 1), { 3, 1, 2, slice_make(zeros, 64) },
		{ 3, 1, 2, slice_make(zeros, 63) }, record_of(&f, f.server, TLSA_DANE_EE, 0, 1),
	};
	struct tlsa_question question = { .chain = f.full, .names = &f.host, .name_count = 1, .when = f.now };
	assert_true(tlsa_match(&question, records, 4, &f.arena, verdicts)); /* another selector is another set */
	assert_int_equal(verdicts[0].outcome, TLSA_OUTRANKED);
	assert_int_equal(verdicts[1].outcome, TLSA_DIFFERS);
	assert_int_equal(verdicts[2].outcome, TLSA_UNUSABLE);
	assert_int_equal(verdicts[3].outcome, TLSA_MATCHES);
	/* One that cannot be used outranks nothing. */
	records[1] = records[2];
	assert_true(tlsa_match(&question, records, 1 + 1, &f.arena, verdicts));
	assert_int_equal(verdicts[0].outcome, TLSA_MATCHES);
	/* The whole key is no digest. */
	records[1] = record_of(&f, f.server, TLSA_DANE_EE, 1, 0);
	records[0] = (struct tlsa_record){ 3, 1, 2, slice_make(zeros, 64) };
	assert_true(tlsa_match(&question, records, 2, &f.arena, verdicts));
	assert_int_equal(verdicts[1].outcome, TLSA_MATCHES);
	tear_down(&f);
}

static void rdata_is_taken_apart(void **state)
{
	struct tlsa_record record;
	struct arena arena;
	(void)state;
	arena_init(&arena, 0);
	assert_false(tlsa_parse(slice_make("\3\1", 2), &record));
	assert_true(tlsa_parse(slice_make("\3\1\1", 3), &record));
	assert_int_equal(record.data.len, 0);
	assert_true(tlsa_parse(slice_make("\2\0\2\x0f\xa0", 5), &record));
	assert_slice(tlsa_text(&record, &arena), "2 0 2 0fa0");
	assert_slice(tlsa_names(&record, &arena), "DANE-TA Cert SHA2-512");
	record.usage = 77;
	assert_slice(tlsa_names(&record, &arena), "77 Cert SHA2-512");
	arena_free(&arena);
}

static void fields_have_numbers_and_names(void **state)
{
	uint8_t value = 99;
	(void)state;
	assert_true(tlsa_field_parse(0, SLICE("dane-ta"), &value) && value == 2);
	assert_true(tlsa_field_parse(1, SLICE("1"), &value) && value == 1);
	assert_true(tlsa_field_parse(2, SLICE("SHA2-512"), &value) && value == 2);
	assert_false(tlsa_field_parse(0, SLICE("4"), &value));
	assert_false(tlsa_field_parse(1, SLICE("2"), &value));
	assert_false(tlsa_field_parse(2, SLICE(""), &value));
	assert_int_equal(value, 2);
}

static void guard_names_the_record_that_is_missing(void **state)
{
	struct fixture f;
	struct error error = { 0 };
	(void)state;
	set_up(&f);
	struct tlsa_record now = record_of(&f, f.server, TLSA_DANE_EE, 1, 1), both[] = { now, record_of(&f, f.own, TLSA_DANE_EE, 1, 1) };
	struct tlsa_set set = { tlsa_owner(f.host, 25, &f.arena), f.host, TLSA_PUBLISHED, &now, 1, 3600, { 0 } };
	assert_slice(set.owner, "_25._tcp.mx.example.test");
	assert_int_equal(tlsa_guard(&set, 1, &f.full, 1, f.now, &f.arena, &error), TLSA_FITS);
	assert_int_equal(tlsa_guard(&set, 1, &f.self, 1, f.now, &f.arena, &error), TLSA_FIT_BROKEN);
	struct slice missing = tlsa_text(&both[1], &f.arena);
	assert_non_null(strstr(error.text, arena_cstr(&f.arena, missing)));
	assert_non_null(strstr(error.text, "wait 3600 seconds"));
	/* Two certificates side by side: both must match, for a client chooses. */
	STACK_OF(X509) *two[] = { f.full, f.self };
	assert_int_equal(tlsa_guard(&set, 1, two, 2, f.now, &f.arena, &error), TLSA_FIT_BROKEN);
	set.records = both;
	set.count = 2;
	assert_int_equal(tlsa_guard(&set, 1, two, 2, f.now, &f.arena, &error), TLSA_FITS);
	tear_down(&f);
}

static void guard_passes_what_nobody_checks_and_tells_what_it_does_not_know(void **state)
{
	static char zeros[32];
	struct fixture f;
	struct error error = { 0 };
	struct tlsa_record odd = { 1, 1, 1, slice_make(zeros, 32) };
	(void)state;
	set_up(&f);
	struct tlsa_set sets[] = {
		{ SLICE("_25._tcp.a.test"), SLICE("a.test"), TLSA_ABSENT, NULL, 0, 0, { 0 } },
		{ SLICE("_25._tcp.b.test"), SLICE("b.test"), TLSA_PUBLISHED, &odd, 1, 60, { 0 } },
		{ SLICE("_25._tcp.c.test"), SLICE("c.test"), TLSA_UNKNOWN, NULL, 0, 0, SLICE("no server") },
	};
	assert_int_equal(tlsa_guard(sets, 2, &f.self, 1, f.now, &f.arena, &error), TLSA_FIT_NOT_ASKED);
	assert_int_equal(tlsa_guard(sets, 3, &f.self, 1, f.now, &f.arena, &error), TLSA_FIT_UNKNOWN);
	assert_non_null(strstr(error.text, "_25._tcp.c.test could not be looked up: no server"));
	odd.usage = TLSA_DANE_EE;
	assert_int_equal(tlsa_guard(sets, 3, &f.self, 1, f.now, &f.arena, &error), TLSA_FIT_BROKEN);
	tear_down(&f);
}

static void chains_are_bounded_and_named(void **state)
{
	struct fixture f;
	struct error error;
	struct buf pem, key;
	struct slice names[CHAIN_NAMES_MAX];
	(void)state;
	set_up(&f);
	buf_init(&pem, 1 << 20);
	buf_init(&key, 1 << 16);
	assert_null(chain_parse((struct slice){ 0 }, "empty", &error));
	assert_non_null(strstr(error.text, "empty has no certificate"));
	for (int i = 1; i <= CHAIN_MAX + 1; i++) {
		assert_true(issue_write(f.server, f.server_key, &pem, &key, &error));
		buf_reset(&key);
		STACK_OF(X509) *chain = chain_parse(buf_slice(&pem), "file", &error);
		assert_int_equal(sk_X509_num(chain), i <= CHAIN_MAX ? i : -1);
		chain_free(&chain);
	}
	assert_null(chain_parse(SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "bad", &error));
	assert_non_null(strstr(error.text, "certificate 1 of bad"));
	assert_null(chain_parse(SLICE("-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
				      "DEK-Info: AES-128-CBC,00000000000000000000000000000000\n\nAAAA\n-----END CERTIFICATE-----\n"), "locked", &error));
	STACK_OF(X509) *der = chain_parse(chain_encode(f.server, &f.arena), "der", &error);
	assert_int_equal(sk_X509_num(der), 1);
	assert_int_equal(chain_names(sk_X509_value(der, 0), &f.arena, names), 1);
	assert_slice(names[0], "mx.example.test");
	assert_false(chain_is_authority(f.server));
	assert_true(chain_is_authority(f.authority));
	chain_free(&der);
	buf_free(&pem);
	buf_free(&key);
	tear_down(&f);
}

/* RFC 5280 §6.1.4: an authority of ours signs no further authorities, and nothing outlives it. */
static void issued_certificates_end_with_their_issuer(void **state)
{
	struct fixture f;
	struct error error;
	X509 *late;
	EVP_PKEY *key;
	struct slice names[] = { SLICE("a.test"), SLICE("192.0.2.1"), SLICE("x@a.test") }, found[CHAIN_NAMES_MAX];
	(void)state;
	set_up(&f);
	struct issue_request request = {
		.key = ISSUE_ED25519, .purpose = ISSUE_CLIENT, .names = names, .count = 3, .days = 3000, .must_staple = true,
		.issuer = f.authority, .issuer_key = f.authority_key,
	};
	assert_true(issue_certificate(&request, &late, &key, &error));
	assert_int_equal(ASN1_TIME_compare(X509_get0_notAfter(late), X509_get0_notAfter(f.authority)), 0);
	assert_int_equal(chain_names(late, &f.arena, found), 2);
	assert_slice(found[1], "192.0.2.1");
	assert_true(X509_get_ext_by_NID(late, NID_tlsfeature, -1) >= 0);
	X509_free(late);
	EVP_PKEY_free(key);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ee_matches_by_every_selector_and_matching_type),
		cmocka_unit_test(ee_knows_only_the_servers_own_certificate),
		cmocka_unit_test(ee_ignores_names_and_dates),
		cmocka_unit_test(ta_matches_an_authority_that_is_served),
		cmocka_unit_test(ta_that_is_not_served_must_be_whole_in_the_record),
		cmocka_unit_test(ta_checks_names_and_dates),
		cmocka_unit_test(ta_must_have_signed_the_chain),
		cmocka_unit_test(pkix_usages_need_authorities),
		cmocka_unit_test(unknown_and_malformed_records_are_passed_over),
		cmocka_unit_test(the_strongest_digest_decides),
		cmocka_unit_test(rdata_is_taken_apart),
		cmocka_unit_test(fields_have_numbers_and_names),
		cmocka_unit_test(guard_names_the_record_that_is_missing),
		cmocka_unit_test(guard_passes_what_nobody_checks_and_tells_what_it_does_not_know),
		cmocka_unit_test(chains_are_bounded_and_named),
		cmocka_unit_test(issued_certificates_end_with_their_issuer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
