/* SPDX-License-Identifier: ISC */
/* Which policies share a context, how many are kept, and what becomes of one whose files change. */
#include "base/fatal.h"
#include "base/test.h"
#include "tls/contexts.h"
#include "tls/issue.h"

struct fixture {
	struct tls_library *library;
	struct ticket_keys tickets;
	struct remote_signer signer;
	struct tls_maker maker;
	struct tls_contexts *contexts;
	struct buf chain;
	struct tls_policy policy;
};

static size_t no_signature(void *owner, const struct sign_request *request, unsigned char *signature)
{
	(void)owner;
	(void)request;
	(void)signature;
	return 0;
}

/* Contexts live as long as their process, so all tests share them. */
static struct fixture *fixture(void)
{
	static struct fixture f;
	struct error error;
	if (!f.library) {
		const struct slice name = SLICE("mx.example");
		const struct issue_request request = { .key = ISSUE_ECDSA, .names = &name, .count = 1, .days = 9 };
		struct buf key;
		X509 *certificate;
		EVP_PKEY *pair;
		buf_init(&f.chain, 1 << 16);
		buf_init(&key, 1 << 16);
		ensure(issue_certificate(&request, &certificate, &pair, &error) && issue_write(certificate, pair, &f.chain, &key, &error));
		X509_free(certificate);
		EVP_PKEY_free(pair);
		buf_free(&key);
		f.library = tls_library_new(&error);
		f.signer = (struct remote_signer){ no_signature, NULL };
		ensure(f.library && ticket_keys_rotate(&f.tickets));
		f.maker = (struct tls_maker){ .library = f.library, .signer = &f.signer, .tickets = &f.tickets };
		f.contexts = tls_contexts_new(&f.maker);
	}
	tls_policy_init(&f.policy, TLS_PROFILE_OPPORTUNISTIC);
	f.policy.chains[f.policy.chain_count++] = (struct tls_file){ .name = SLICE("/c/chain.pem"), .text = buf_slice(&f.chain), .version = 1 };
	return &f;
}

/* A reference to the context of the fixture's policy. */
static struct tls_server *get(struct fixture *f)
{
	struct error error;
	struct tls_server *server = tls_contexts_get(f->contexts, &f->policy, &error);
	if (!server || error.kind != ERROR_NONE)
		fail_msg("%s", error.text);
	return server;
}

static void expect(struct fixture *f, const struct tls_server *server, bool same)
{
	struct tls_server *found = get(f);
	assert_int_equal(found == server, same);
	tls_server_unref(found);
}

static void equal_values_share_one_context_and_any_other_value_has_its_own(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	struct tls_server *first = get(f);
	struct arena arena;
	struct error error;
	arena_init(&arena, 0);
	/* The same values in other memory. */
	f = fixture();
	f->policy.ciphers = arena_copy(&arena, f->policy.ciphers);
	expect(f, first, true);
	assert_true(tls_policy_set_groups(&f->policy, SLICE("P-256"), &arena, &error));
	expect(f, first, false);
	f = fixture();
	assert_true(tls_policy_set_alpn(&f->policy, SLICE("smtp"), &arena, &error));
	expect(f, first, false);
	f = fixture();
	f->policy.resumption = false;
	expect(f, first, false);
	f = fixture();
	f->policy.min_version = TLS1_3_VERSION;
	expect(f, first, false);
	f = fixture();
	f->policy.chains[0].name = SLICE("/c/other.pem");
	expect(f, first, false);
	f = fixture();
	expect(f, first, true);
	tls_server_unref(first);
	arena_free(&arena);
}

static void changed_files_make_it_anew_and_bad_ones_leave_it_and_are_told_of_once(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	struct error error;
	struct tls_server *first = get(f);
	f->policy.chains[0].version = 2;
	struct tls_server *second = get(f);
	assert_ptr_not_equal(first, second);
	expect(f, second, true);
	f->policy.chains[0] = (struct tls_file){ .name = SLICE("/c/chain.pem"), .text = SLICE("junk"), .version = 3 };
	struct tls_server *found = tls_contexts_get(f->contexts, &f->policy, &error);
	assert_ptr_equal(found, second);
	assert_int_not_equal(error.kind, ERROR_NONE);
	assert_non_null(strstr(error.text, "/c/chain.pem"));
	tls_server_unref(found);
	expect(f, second, true); /* and nothing is said again */
	error = (struct error){ 0 };
	assert_true(tls_contexts_refuse(f->contexts, &f->policy, &error)); /* unless it is asked for */
	assert_non_null(strstr(error.text, "/c/chain.pem"));
	f = fixture();
	f->policy.chains[0].version = 4;
	expect(f, second, false);
	assert_false(tls_contexts_refuse(f->contexts, &f->policy, &error));
	/* One that was never good is none. */
	f->policy.chains[0] = (struct tls_file){ .name = SLICE("/c/new.pem"), .text = SLICE("junk"), .version = 1 };
	assert_null(tls_contexts_get(f->contexts, &f->policy, &error));
	tls_server_unref(first);
	tls_server_unref(second);
}

static void the_one_that_was_not_asked_for_longest_gives_way(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	char name[24];
	struct tls_server *asked = get(f), *forgotten = NULL;
	for (int i = 0; i <= CONTEXTS_MAX; i++) {
		f = fixture();
		snprintf(name, sizeof name, "/c/%d.pem", i);
		f->policy.chains[0].name = slice_of(name);
		struct tls_server *server = get(f);
		if (i == 0)
			forgotten = server;
		else
			tls_server_unref(server);
		f = fixture();
		expect(f, asked, true);
	}
	f = fixture();
	f->policy.chains[0].name = slice_of(name);
	struct tls_server *last = get(f);
	expect(f, last, true);
	f->policy.chains[0].name = SLICE("/c/0.pem");
	expect(f, forgotten, false);
	tls_server_unref(last);
	tls_server_unref(forgotten); /* whoever holds one still has it */
	tls_server_unref(asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_values_share_one_context_and_any_other_value_has_its_own),
		cmocka_unit_test(changed_files_make_it_anew_and_bad_ones_leave_it_and_are_told_of_once),
		cmocka_unit_test(the_one_that_was_not_asked_for_longest_gives_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
