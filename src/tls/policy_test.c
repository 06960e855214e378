/* SPDX-License-Identifier: ISC */
/* Policies from the texts of options, contexts by value, names of hosts, and files without their keys. */
#include "tls/context.h"
#include "tls/hello.h"
#include "tls/policy.h"

#include "base/test.h"
#include "role/tls_content.h"

#include <string.h>

static struct arena arena;

static int begin(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static void every_profile_makes_a_context(void **state)
{
	(void)state;
	static const char *const names[] = { "modern", "intermediate", "opportunistic" };
	unsigned found = 0;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct tls_policy policy;
		struct error error;
		enum tls_profile profile;
		assert_true(tls_profile_named(slice_of(names[i]), &profile));
		found |= 1u << profile;
		tls_policy_init(&policy, profile);
		assert_true(tls_context_check(&policy, &error));
		assert_true(policy.profile_min_version >= TLS1_2_VERSION);
	}
	assert_int_equal(found, (1u << TLS_PROFILES) - 1);
}

static void an_item_with_the_port_wins_over_one_without(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint16_t port;
		const char *item;
	} rows[] = {
		{ "modern", 25, "modern" }, { "a : 587=b", 25, "a" }, { "a : 587=b", 587, "b" }, { "587 = b : a", 587, "b" },
		{ "587=b", 25, "" }, { "<; a ; 25=c", 25, "c" }, { "", 25, "" }, { "99999=x", 25, "99999=x" }, { " : : ", 1, "" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct slice item = tls_item_for_port(slice_of(rows[i].text), rows[i].port);
		if (!slice_equal(item, slice_of(rows[i].item)))
			fail_msg("%s at %u: %.*s", rows[i].text, rows[i].port, SLICE_ARG(item));
	}
}

static void ciphers_by_port_need_a_separator_of_their_own(void **state)
{
	(void)state;
	static const struct { const char *text; uint16_t port; const char *item; } rows[] = {
		{ "A:B, !C +D", 25, "A:B, !C +D" }, { "587=A:B", 587, "A:B" }, { "587=A:B", 25, "" }, { "", 25, "" },
		{ "<; A:B ; 587=C:!D ; 465 = E", 25, "A:B" }, { "<; A:B ; 587=C:!D ; 465 = E", 587, "C:!D" },
		{ "<; A:B ; 587=C:!D ; 465 = E", 465, "E" }, { "<; 587=ALL:@SECLEVEL=0", 587, "ALL:@SECLEVEL=0" },
		{ "ALL:@SECLEVEL=0", 587, "ALL:@SECLEVEL=0" }, { "<; 587=A", 25, "" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct slice item = tls_ciphers_for_port(slice_of(rows[i].text), rows[i].port);
		if (!slice_equal(item, slice_of(rows[i].item)))
			fail_msg("%s at %u: %.*s", rows[i].text, rows[i].port, SLICE_ARG(item));
	}
	struct tls_policy policy;
	struct error error;
	tls_policy_init(&policy, TLS_PROFILE_OPPORTUNISTIC);
	assert_false(tls_policy_set_ciphers(&policy, SLICE("ECDHE+AES:587=ECDHE+AESGCM"), &arena, &error));
	assert_non_null(strstr(error.text, "\"<; LIST ; 587=LIST\""));
	assert_true(tls_policy_set_ciphers(&policy, SLICE("ECDHE+AES:@SECLEVEL=0"), &arena, &error));
}

static void options_set_and_clear_but_never_allow_compression(void **state)
{
	(void)state;
	struct tls_policy policy;
	struct error error;
	struct buf notes;
	buf_init(&notes, 200);
	tls_policy_init(&policy, TLS_PROFILE_OPPORTUNISTIC);
	assert_true(tls_policy_set_options(&policy, SLICE("+all -no_compression  -no_renegotiation\t+no_tlsv1_3 +single_dh_use"), &notes, &error));
	assert_false(policy.cleared & (SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION));
	assert_true(policy.options & SSL_OP_NO_TLSv1_3);
	assert_true(slice_equal(buf_slice(&notes), SLICE("single_dh_use")));
	buf_free(&notes);
	assert_int_equal(policy.profile_min_version, TLS1_2_VERSION);
	assert_true(tls_policy_set_options(&policy, SLICE("-no_tlsv1_1"), NULL, &error));
	assert_int_equal(policy.profile_min_version, TLS1_1_VERSION);
	assert_false(tls_policy_set_options(&policy, SLICE("+"), NULL, &error));
	assert_false(tls_policy_set_options(&policy, SLICE("no_tlsv1"), NULL, &error));
}

static void suites_and_ciphers_are_told_apart(void **state)
{
	(void)state;
	struct tls_policy policy;
	struct error error;
	tls_policy_init(&policy, TLS_PROFILE_OPPORTUNISTIC);
	assert_true(tls_policy_set_ciphers(&policy, SLICE("AES256-SHA: TLS_AES_128_GCM_SHA256,ECDHE+AESGCM"), &arena, &error));
	assert_true(slice_equal(policy.suites, SLICE("TLS_AES_128_GCM_SHA256")));
	assert_true(slice_equal(policy.ciphers, SLICE("AES256-SHA:ECDHE+AESGCM")));
	static const char *const gnutls[] = { "NORMAL", "PERFORMANCE:%COMPAT", "NONE:+VERS-TLS1.2", "SECURE128:-MAC-ALL", "-CIPHER-ALL" };
	for (size_t i = 0; i < sizeof gnutls / sizeof gnutls[0]; i++) {
		assert_false(tls_policy_set_ciphers(&policy, slice_of(gnutls[i]), &arena, &error));
		assert_non_null(strstr(error.text, "GnuTLS"));
	}
	assert_true(tls_policy_set_ciphers(&policy, SLICE("NOSUCH"), &arena, &error));
	assert_false(tls_context_check(&policy, &error));
	assert_non_null(strstr(error.text, "tls_require_ciphers"));
	assert_true(tls_policy_set_ciphers(&policy, SLICE("@@@CIPHERSTRINGB@@@"), &arena, &error));
	assert_true(tls_context_check(&policy, &error));
}

static void groups_and_parameters(void **state)
{
	(void)state;
	struct tls_policy policy;
	struct error error;
	static const char *const good[] = { "ffdhe2048", "ffdhe8192", "ike14", "ike18", "ike23", "ike24", "default", "none", "", "exim.dev.20160529.3" };
	static const char *const bad[] = { "historic", "ike1", "ike5", "ike22", "file", "ffdhe" };
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		tls_policy_init(&policy, TLS_PROFILE_OPPORTUNISTIC);
		assert_true(tls_policy_set_dh(&policy, slice_of(good[i]), &arena, &error));
		if (!tls_context_check(&policy, &error))
			fail_msg("%s: %s", good[i], error.text);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(tls_policy_set_dh(&policy, slice_of(bad[i]), &arena, &error));
	tls_policy_init(&policy, TLS_PROFILE_OPPORTUNISTIC);
	assert_true(tls_policy_set_groups(&policy, SLICE(" X25519 : P-256 "), &arena, &error));
	assert_true(slice_equal(policy.groups, SLICE("X25519:P-256")) && tls_context_check(&policy, &error));
	assert_true(tls_policy_set_groups(&policy, SLICE("nosuch"), &arena, &error));
	assert_false(tls_context_check(&policy, &error));
	assert_non_null(strstr(error.text, "tls_eccurve"));
}

static void equal_values_have_equal_keys(void **state)
{
	(void)state;
	struct tls_policy a, b;
	struct buf x, y;
	struct error error;
	buf_init(&x, 10000);
	buf_init(&y, 10000);
	tls_policy_init(&a, TLS_PROFILE_MODERN);
	tls_policy_init(&b, TLS_PROFILE_MODERN);
	a.chains[0] = (struct tls_file){ SLICE("/a"), SLICE("one"), 1 };
	b.chains[0] = (struct tls_file){ SLICE("/a"), SLICE("two"), 2 };
	a.chain_count = b.chain_count = 1;
	assert_true(tls_policy_key(&a, false, &x) && tls_policy_key(&b, false, &y));
	assert_true(slice_equal(buf_slice(&x), buf_slice(&y)));
	buf_reset(&x);
	buf_reset(&y);
	assert_true(tls_policy_key(&a, true, &x) && tls_policy_key(&b, true, &y));
	assert_false(slice_equal(buf_slice(&x), buf_slice(&y)));
	buf_reset(&x);
	buf_reset(&y);
	assert_true(tls_policy_set_alpn(&b, SLICE("smtp : esmtp"), &arena, &error));
	assert_true(slice_equal(b.alpn, SLICE("\4smtp\5esmtp")));
	assert_true(tls_policy_key(&a, false, &x) && tls_policy_key(&b, false, &y));
	assert_false(slice_equal(buf_slice(&x), buf_slice(&y)));
	buf_free(&x);
	buf_free(&y);
}

static void only_names_of_hosts_become_parts_of_paths(void **state)
{
	(void)state;
	struct tls_host_name name, parent;
	static const char *const good[] = { "a", "mx.example.org", "MX.Example.ORG", "xn--a.test", "_x.test", "mx.example.org.", "1.2.3.4" };
	static const char *const bad[] = { "", ".", "..", ".a", "a..b", "-a", "a.-b", "a/b", "../a", "a b", "a\nb", "*.a", "a%00", "\303\251.test" };
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_true(tls_host_name_of(slice_of(good[i]), &name));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (tls_host_name_of(slice_of(bad[i]), &name))
			fail_msg("\"%s\" was taken", bad[i]);
	assert_false(tls_host_name_of(slice_make("a\0b", 3), &name));
	char longest[HOST_NAME_MAX_LENGTH + 2];
	memset(longest, 'a', sizeof longest);
	assert_true(tls_host_name_of(slice_make(longest, HOST_NAME_MAX_LENGTH), &name));
	assert_false(tls_host_name_of(slice_make(longest, sizeof longest), &name));
	assert_true(tls_host_name_of(SLICE("A.b.C"), &name));
	assert_true(tls_host_name_parent(&name, &parent));
	assert_string_equal(parent.text, "b.c");
	assert_false(tls_host_name_parent(&parent, &name));
}

static void private_keys_are_taken_out_of_files(void **state)
{
	(void)state;
	static const struct {
		const char *text, *public;
	} rows[] = {
		{ "x\n-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\ny\n", "x\ny\n" },
		{ "-----BEGIN RSA PRIVATE KEY-----\nsecret\n-----END RSA PRIVATE KEY-----", "" },
		{ "-----BEGIN EC PRIVATE KEY-----\r\nsecret\r\n-----END EC PRIVATE KEY-----\r\nz", "z" },
		{ "a\n  -----BEGIN ENCRYPTED PRIVATE KEY-----\nsecret without an end\n", "a\n" },
		{ "-----BEGIN CERTIFICATE-----\nq\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nq\n-----END CERTIFICATE-----\n" },
		{ "", "" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[200] = "";
		size_t length = strlen(rows[i].text), public = 0;
		memcpy(text, rows[i].text, length);
		assert_true(tls_public_part(text, length, &public));
		assert_true(slice_equal(slice_make(text, public), slice_of(rows[i].public)));
		assert_null(memmem(text, sizeof text, "secret", 6));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_profile_makes_a_context),
		cmocka_unit_test(an_item_with_the_port_wins_over_one_without),
		cmocka_unit_test(ciphers_by_port_need_a_separator_of_their_own),
		cmocka_unit_test(options_set_and_clear_but_never_allow_compression),
		cmocka_unit_test(suites_and_ciphers_are_told_apart),
		cmocka_unit_test(groups_and_parameters),
		cmocka_unit_test(equal_values_have_equal_keys),
		cmocka_unit_test(only_names_of_hosts_become_parts_of_paths),
		cmocka_unit_test(private_keys_are_taken_out_of_files),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
