/* SPDX-License-Identifier: ISC */
#include "tls/former_keys.h"

#include "base/test.h"

#include <openssl/objects.h>
#include <openssl/pem.h>

#define START (1000 * CLOCK_SECOND)

static void add_key(struct keystore *store, struct key_id *id_r)
{
	struct error error;
	char *text;
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	BIO *bio = BIO_new(BIO_s_mem());
	assert_true(key && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
	long len = BIO_get_mem_data(bio, &text);
	assert_true(keystore_add_pem(store, slice_make(text, (size_t)len), "key", id_r, &error));
	BIO_free(bio);
	EVP_PKEY_free(key);
}

/* As the keeper does it: by the store in use, or else by a former one. */
static bool signs(struct keystore *store, const struct former_keys *former, const struct key_id *id)
{
	struct error error;
	unsigned char signature[SIGNATURE_MAX];
	struct sign_request request = { .key = *id, .scheme = SCHEME_ECDSA, .digest = NID_sha256, .input = SLICE("the digest of it, of 32 bytes....") };
	struct keystore *with = keystore_has(store, id) ? store : former_keys_with(former, id);
	request.input.len = 32;
	return with && keystore_sign(with, &request, signature, &error) > 0;
}

static void a_replaced_key_signs_for_ten_minutes_and_then_no_more(void **state)
{
	(void)state;
	struct former_keys *former = NULL;
	struct keystore *store = keystore_new();
	struct key_id old, kept;
	add_key(store, &old);
	add_key(store, &kept);
	struct keystore *gone = keystore_only(store, &old), *rest = keystore_without(store, gone);
	keystore_free(store);
	assert_int_equal(keystore_count(rest), 1);
	former_keys_add(&former, gone, START);
	assert_true(former_keys_forget(&former, START + FORMER_KEPT - 1) == START + FORMER_KEPT);
	assert_true(signs(rest, former, &old) && signs(rest, former, &kept));
	assert_true(former_keys_forget(&former, START + FORMER_KEPT) == CLOCK_NEVER);
	assert_null(former);
	assert_false(signs(rest, former, &old));
	assert_true(signs(rest, former, &kept));
	keystore_free(rest);
}

static void each_has_its_own_time(void **state)
{
	(void)state;
	struct former_keys *former = NULL;
	struct key_id ids[3];
	for (int i = 0; i < 3; i++) {
		struct keystore *store = keystore_new();
		add_key(store, &ids[i]);
		former_keys_add(&former, store, START + i * CLOCK_SECOND);
	}
	former_keys_add(&former, NULL, START);
	assert_int_equal(former_keys_count(former), 3);
	assert_true(former_keys_forget(&former, START + FORMER_KEPT) == START + CLOCK_SECOND + FORMER_KEPT);
	assert_null(former_keys_with(former, &ids[0]));
	assert_non_null(former_keys_with(former, &ids[1]));
	assert_non_null(former_keys_with(former, &ids[2]));
	former_keys_free(&former);
	assert_null(former);
}

static void only_what_a_store_has_can_be_taken_from_it(void **state)
{
	(void)state;
	struct keystore *store = keystore_new();
	struct key_id id;
	add_key(store, &id);
	id.bytes[0] ^= 1;
	assert_null(keystore_only(store, &id));
	keystore_free(store);
}

/* References to one store count each, so that the bound is reached without thousands of keys being made. */
static void the_oldest_go_first_when_there_are_too_many(void **state)
{
	(void)state;
	struct former_keys *former = NULL;
	struct key_id first, other;
	struct keystore *oldest = keystore_new(), *store = keystore_new();
	add_key(oldest, &first);
	add_key(store, &other);
	former_keys_add(&former, oldest, START);
	for (int i = 1; i < KEYSTORE_MAX; i++)
		former_keys_add(&former, keystore_ref(store), START);
	assert_int_equal(former_keys_count(former), KEYSTORE_MAX);
	assert_non_null(former_keys_with(former, &first));
	former_keys_add(&former, store, START);
	assert_int_equal(former_keys_count(former), KEYSTORE_MAX);
	assert_null(former_keys_with(former, &first));
	assert_non_null(former_keys_with(former, &other));
	former_keys_free(&former);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_replaced_key_signs_for_ten_minutes_and_then_no_more),
		cmocka_unit_test(each_has_its_own_time),
		cmocka_unit_test(only_what_a_store_has_can_be_taken_from_it),
		cmocka_unit_test(the_oldest_go_first_when_there_are_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
