/* SPDX-License-Identifier: ISC */
/* Names, passwords and their proofs, the database, the table of moments, and the count of failures. */
#include "base/test.h"
#include "base/clock.h"
#include "users/database.h"
#include "users/failures.h"
#include "users/names.h"
#include "users/stamps.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	struct arena arena;
	struct error error;
	char directory[64], path[80];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	arena_init(&f->arena, 0);
	snprintf(f->directory, sizeof f->directory, "/tmp/postern-users-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->path, sizeof f->path, "%s/users.db", f->directory);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	unlink(f->path);
	rmdir(f->directory);
	arena_free(&f->arena);
	free(f);
	return 0;
}

/* ---- Names and passwords ---- */

static const char *name_of(struct fixture *f, const char *text)
{
	struct slice name;
	return users_name(slice_of(text), &f->arena, &name, &f->error) ? name.data : NULL;
}

static void test_names_have_one_form(void **state)
{
	struct fixture *f = *state;
	assert_string_equal(name_of(f, "Anna@Example.ORG"), "anna@example.org");
	assert_string_equal(name_of(f, "anna"), "anna");
	/* e and a combining acute accent; É: both are one letter in NFC, and small (RFC 8265 §3.3). */
	assert_string_equal(name_of(f, "rene\xcc\x81@example.org"), "ren\xc3\xa9@example.org");
	assert_string_equal(name_of(f, "REN\xc3\x89@example.org"), "ren\xc3\xa9@example.org");
}

static void test_names_that_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "a b@example.org", "a\tb", "a\nb", "a\x7f", "\xff\xfe", "a\xc2\xa0" "b",
		"\xef\xbd\x81nna" /* full-width a */, "\xef\xac\x81x" /* ligature fi */, "a\xe2\x80\x8b" "b" /* zero width space */,
		"\xe2\x98\x83" /* a symbol */,
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_null(name_of(f, bad[i]));
		assert_int_equal(f->error.kind, ERROR_USAGE);
	}
	char longest[USERS_NAME_MAX + 2];
	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_null(name_of(f, longest));
	assert_non_null(name_of(f, longest + 1));
}

static const char *password_of(struct fixture *f, const char *text, size_t len)
{
	struct slice password;
	return users_password(slice_make(text, len), &f->arena, &password, &f->error) ? password.data : NULL;
}

static void test_passwords_have_one_form(void **state)
{
	struct fixture *f = *state;
	assert_string_equal(password_of(f, "Correct Horse", 13), "Correct Horse");
	/* Case stays; every space is that of ASCII; NFC (RFC 8265 §4.2). */
	assert_string_equal(password_of(f, "a\xc2\xa0" "b\xe3\x80\x80" "C", 8), "a b C");
	assert_string_equal(password_of(f, "rene\xcc\x81", 6), "ren\xc3\xa9");
	assert_string_equal(password_of(f, "\xe2\x98\x83", 3), "\xe2\x98\x83");
	assert_null(password_of(f, "", 0));
	assert_null(password_of(f, "a\0b", 3));
	assert_null(password_of(f, "a\nb", 3));
	assert_null(password_of(f, "\xc3", 1));
	assert_null(password_of(f, "a\xe2\x80\x8b" "b", 5));
	assert_null(strstr(f->error.text, "a"  "\xe2"));
}

/* ---- Proofs ---- */

static void test_hashes(void **state)
{
	char yescrypt[PASSWORD_HASH_MAX], again[PASSWORD_HASH_MAX], argon2[PASSWORD_HASH_MAX];
	(void)state;
	password_hash(SLICE("secret"), PASSWORD_YESCRYPT, yescrypt);
	password_hash(SLICE("secret"), PASSWORD_YESCRYPT, again);
	password_hash(SLICE("secret"), PASSWORD_ARGON2ID, argon2);
	assert_string_not_equal(yescrypt, again);
	assert_string_equal(password_method(slice_of(yescrypt)), "yescrypt");
	assert_string_equal(password_method(slice_of(argon2)), "argon2id");
	const char *all[] = { yescrypt, again, argon2,
			      /* of `openssl passwd -6 -salt saltsalt secret` */
			      "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1" };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		assert_true(password_hash_is_known(slice_of(all[i])));
		assert_true(password_matches(SLICE("secret"), slice_of(all[i])));
		assert_false(password_matches(SLICE("secre"), slice_of(all[i])));
		assert_false(password_matches(SLICE("secrets"), slice_of(all[i])));
	}
	assert_false(password_hash_is_known(SLICE("plain text")));
	assert_false(password_hash_is_known(SLICE("$unknown$method$x")));
	assert_false(password_matches(SLICE("*0"), SLICE("*0")));
	assert_false(password_matches(SLICE(""), SLICE("")));
}

static void assert_hex(const unsigned char *bytes, size_t size, const char *hex)
{
	char text[2 * AUTH_KEY_MAX + 1];
	for (size_t i = 0; i < size; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(text, hex);
}

/* The examples of RFC 5802 §5 and RFC 7677 §3 have salt, iterations and password; the keys are computed from them by hashlib in Python. */
static void test_verifiers_of_the_rfcs(void **state)
{
	static const unsigned char sha1_salt[] = { 0x41, 0x25, 0xc2, 0x47, 0xe4, 0x3a, 0xb1, 0xe9, 0x3c, 0x6d, 0xff, 0x76 };
	static const unsigned char sha256_salt[] = { 0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
						     0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81 };
	struct auth_verifier verifier = { .salt = slice_make(sha1_salt, sizeof sha1_salt), .iterations = 4096 };
	(void)state;
	password_verifier(SLICE("pencil"), AUTH_SHA1, &verifier);
	assert_hex(verifier.stored_key, 20, "e9d94660c39d65c38fbad91c358f14da0eef2bd6");
	assert_hex(verifier.server_key, 20, "0fe09258b3ac852ba502cc62ba903eaacdbf7d31");
	verifier = (struct auth_verifier){ .salt = slice_make(sha256_salt, sizeof sha256_salt), .iterations = 4096 };
	password_verifier(SLICE("pencil"), AUTH_SHA256, &verifier);
	assert_hex(verifier.server_key, 32, "c1f3cbc1c13a9d35a14c0990eed97629ea225863e566a4314ab99f3f00e5d9d5");
	assert_hex(verifier.stored_key, 32, "586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6");
}

static void test_random_passwords(void **state)
{
	char a[PASSWORD_RANDOM_MAX], b[PASSWORD_RANDOM_MAX];
	unsigned char salt[PASSWORD_SALT] = { 1 }, digest[PASSWORD_DIGEST], other[PASSWORD_DIGEST];
	(void)state;
	password_random(a);
	password_random(b);
	assert_int_equal(strlen(a), 29);
	assert_string_not_equal(a, b);
	password_digest(slice_of(a), salt, digest);
	password_digest(slice_of(b), salt, other);
	assert_memory_not_equal(digest, other, sizeof digest);
	salt[0] = 2;
	password_digest(slice_of(a), salt, other);
	assert_memory_not_equal(digest, other, sizeof digest);
}

/* ---- The database ---- */

static struct users_database *to_write(struct fixture *f)
{
	struct users_database *database = users_open_to_write(f->path, 0600, (gid_t)-1, &f->error);
	if (!database)
		fail_msg("%s", f->error.text);
	return database;
}

static struct users_proof proof_of(const char *hash)
{
	struct users_proof proof = { .hash = slice_of(hash) };
	proof.verifiers[AUTH_SHA256] = (struct auth_verifier){ .salt = SLICE("0123456789abcdef"), .iterations = 5000, .stored_key = { 7 },
							       .server_key = { 9 } };
	return proof;
}

static void test_a_user_is_read_as_it_was_written(void **state)
{
	struct fixture *f = *state;
	struct users_database *writer = to_write(f);
	struct users_proof proof = proof_of("$y$a"), changed = { .hash = SLICE("$y$b") };
	struct users_user user;
	struct auth_verifier verifier;
	bool found;
	assert_true(users_set_proof(writer, SLICE("anna@example.org"), &proof, true, &f->error));
	assert_false(users_set_proof(writer, SLICE("anna@example.org"), &proof, true, &f->error));
	assert_int_equal(f->error.kind, ERROR_USAGE);
	assert_false(users_set_proof(writer, SLICE("bert"), &proof, false, &f->error));
	struct users_database *reader = users_open(f->path, &f->error);
	assert_non_null(reader);
	assert_true(users_find(reader, SLICE("anna@example.org"), &f->arena, &user, &found, &f->error) && found);
	assert_slice(user.hash, "$y$a");
	assert_true(user.verifier[AUTH_SHA256] && !user.verifier[AUTH_SHA1] && !user.disabled && user.created > 0);
	assert_true(users_find_verifier(reader, user.name, AUTH_SHA256, &f->arena, &verifier, &found, &f->error) && found);
	assert_slice(verifier.salt, "0123456789abcdef");
	assert_int_equal(verifier.iterations, 5000);
	assert_int_equal(verifier.stored_key[0], 7);
	assert_int_equal(verifier.server_key[0], 9);
	/* A new password takes the verifiers of the old one away. The reader sees it without being opened again. */
	assert_true(users_set_proof(writer, SLICE("anna@example.org"), &changed, false, &f->error));
	assert_true(users_set_disabled(writer, SLICE("anna@example.org"), true, &f->error));
	assert_true(users_find(reader, SLICE("anna@example.org"), &f->arena, &user, &found, &f->error) && found);
	assert_slice(user.hash, "$y$b");
	assert_true(user.disabled && !user.verifier[AUTH_SHA256]);
	assert_true(users_remove(writer, SLICE("anna@example.org"), &f->error));
	assert_false(users_remove(writer, SLICE("anna@example.org"), &f->error));
	assert_true(users_find(reader, SLICE("anna@example.org"), &f->arena, &user, &found, &f->error));
	assert_false(found);
	users_close(&reader);
	users_close(&writer);
}

static void test_app_passwords_are_bounded_and_go_with_their_user(void **state)
{
	struct fixture *f = *state;
	struct users_database *database = to_write(f);
	struct users_proof proof = proof_of("$y$a");
	struct users_app_password *items, item = { .service = SLICE("smtp"), .salt = { 3 }, .digest = { 4 } };
	size_t count;
	char name[16];
	item.name = SLICE("phone");
	assert_false(users_add_app_password(database, SLICE("anna"), &item, &f->error));
	assert_true(users_set_proof(database, SLICE("anna"), &proof, true, &f->error));
	assert_true(users_add_app_password(database, SLICE("anna"), &item, &f->error));
	assert_false(users_add_app_password(database, SLICE("anna"), &item, &f->error));
	for (int i = 1; i < USERS_APP_PASSWORDS_MAX; i++) {
		snprintf(name, sizeof name, "app%d", i);
		item.name = slice_of(name);
		assert_true(users_add_app_password(database, SLICE("anna"), &item, &f->error));
	}
	item.name = SLICE("too many");
	assert_false(users_add_app_password(database, SLICE("anna"), &item, &f->error));
	assert_true(users_remove_app_password(database, SLICE("anna"), SLICE("app1"), &f->error));
	assert_false(users_remove_app_password(database, SLICE("anna"), SLICE("app1"), &f->error));
	assert_true(users_app_passwords(database, SLICE("anna"), &f->arena, &items, &count, &f->error));
	assert_int_equal(count, USERS_APP_PASSWORDS_MAX - 1);
	assert_slice(items[count - 1].name, "phone");
	assert_slice(items[count - 1].service, "smtp");
	assert_int_equal(items[count - 1].salt[0], 3);
	assert_int_equal(items[count - 1].digest[0], 4);
	assert_true(users_remove(database, SLICE("anna"), &f->error) && users_set_proof(database, SLICE("anna"), &proof, true, &f->error));
	assert_true(users_app_passwords(database, SLICE("anna"), &f->arena, &items, &count, &f->error));
	assert_int_equal(count, 0);
	users_close(&database);
}

static void test_mode_secret_and_replacement(void **state)
{
	struct fixture *f = *state;
	unsigned char secret[USERS_SECRET], again[USERS_SECRET], other[USERS_SECRET];
	struct stat status;
	struct users_database *first = to_write(f);
	assert_int_equal(stat(f->path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_true(users_secret(first, secret, &f->error));
	users_close(&first);
	first = to_write(f);
	assert_true(users_secret(first, again, &f->error));
	assert_memory_equal(secret, again, sizeof secret);
	assert_false(users_was_replaced(first));
	unlink(f->path);
	assert_true(users_was_replaced(first));
	struct users_database *second = to_write(f);
	assert_true(users_was_replaced(first) && !users_was_replaced(second));
	assert_true(users_secret(second, other, &f->error));
	assert_memory_not_equal(secret, other, sizeof secret);
	users_close(&first);
	users_close(&second);
}

static void test_files_that_are_no_user_database(void **state)
{
	struct fixture *f = *state;
	assert_null(users_open(f->path, &f->error));
	assert_int_equal(f->error.kind, ERROR_TEMPORARY);
	int fd = open(f->path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "not a database, but long enough to be looked at as one, if it were", 60), 60);
	close(fd);
	assert_null(users_open(f->path, &f->error));
	assert_int_equal(f->error.kind, ERROR_PERMANENT);
	assert_null(users_open_to_write(f->path, 0600, (gid_t)-1, &f->error));
	truncate(f->path, 0) == 0 ? (void)0 : fail();
	assert_null(users_open(f->path, &f->error));
	assert_int_equal(f->error.kind, ERROR_PERMANENT);
}

/* ---- Moments and failures ---- */

static void test_a_full_set_forgets_what_is_nearest_its_end(void **state)
{
	struct stamp items[STAMPS_WAYS] = { 0 };
	struct stamps stamps = { items, STAMPS_WAYS };
	unsigned char secret[STAMPS_SECRET] = { 1 };
	struct stamp_key keys[STAMPS_WAYS + 1];
	(void)state;
	for (unsigned i = 0; i <= STAMPS_WAYS; i++) {
		struct slice text = slice_make(&i, sizeof i);
		keys[i] = stamp_key(secret, &text, 1);
		stamps_put(&stamps, keys[i], 100 + (i == 3 ? -50 : (int64_t)i));
	}
	assert_int_equal(stamps_get(&stamps, keys[3]), 0);
	assert_int_equal(stamps_get(&stamps, keys[0]), 100);
	assert_int_equal(stamps_get(&stamps, keys[STAMPS_WAYS]), 100 + STAMPS_WAYS);
	stamps_put(&stamps, keys[0], 0);
	assert_int_equal(stamps_get(&stamps, keys[0]), 0);
	stamps_put(&stamps, keys[3], 0);
	assert_int_equal(stamps_get(&stamps, keys[1]), 101);
	/* Where a text ends counts. */
	struct slice one[] = { SLICE("ab"), SLICE("c") }, two[] = { SLICE("a"), SLICE("bc") };
	struct stamp_key a = stamp_key(secret, one, 2), b = stamp_key(secret, two, 2);
	assert_memory_not_equal(&a, &b, sizeof a);
}

struct counting {
	struct failures *failures;
	struct failures_limit limit;
};

static struct failures_try try_of(const char *user, const char *address)
{
	struct failures_try who = { .user = slice_of(user) };
	if (*address)
		assert_true(net_address_parse(slice_of(address), &who.client));
	return who;
}

static enum failures_lock check(struct counting *c, const char *user, const char *address, int64_t now)
{
	struct failures_try who = try_of(user, address);
	bool crowded;
	return failures_check(c->failures, &c->limit, &who, 0, &crowded, now);
}

static bool count(struct counting *c, const char *user, const char *address, int64_t now, enum failures_lock *lock)
{
	struct failures_try who = try_of(user, address);
	return failures_count(c->failures, &c->limit, &who, lock, now);
}

static struct counting start(struct fixture *f, unsigned most, int64_t period, int *fd)
{
	*fd = failures_create(&f->error);
	struct counting c = { failures_open(*fd, &f->error), { most, period } };
	assert_non_null(c.failures);
	return c;
}

static void test_the_limit_locks_a_user_and_lets_one_through_each_part_of_it(void **state)
{
	struct fixture *f = *state;
	int64_t now = 1000 * CLOCK_SECOND, part = 360 * CLOCK_SECOND;
	enum failures_lock lock;
	char address[32];
	int fd;
	struct counting c = start(f, 10, 10 * part, &fd);
	for (int i = 0; i < 10; i++) {
		snprintf(address, sizeof address, "192.0.%d.1", i); /* a network each */
		assert_int_equal(check(&c, "anna", address, now), FAILURES_OPEN);
		assert_int_equal(count(&c, "anna", address, now, &lock), i == 9);
	}
	assert_int_equal(lock, FAILURES_USER_LOCKED);
	assert_int_equal(check(&c, "anna", "198.51.100.1", now), FAILURES_USER_LOCKED);
	assert_int_equal(check(&c, "bert", "198.51.100.1", now), FAILURES_OPEN);
	assert_int_equal(check(&c, "anna", "198.51.100.1", now + part - 1), FAILURES_USER_LOCKED);
	assert_int_equal(check(&c, "anna", "198.51.100.1", now + part), FAILURES_OPEN);
	assert_true(count(&c, "anna", "198.51.100.1", now + part, &lock));
	assert_int_equal(check(&c, "anna", "198.51.100.1", now + part), FAILURES_USER_LOCKED);
	assert_int_equal(check(&c, "anna", "198.51.100.1", now + 2 * part), FAILURES_OPEN);
	/* The memory outlives who used it. */
	failures_close(&c.failures);
	c.failures = failures_open(fd, &f->error);
	assert_int_equal(check(&c, "anna", "198.51.100.1", now + part), FAILURES_USER_LOCKED);
	failures_close(&c.failures);
	close(fd);
}

static void test_networks_are_counted_whoever_is_tried(void **state)
{
	struct fixture *f = *state;
	int64_t now = CLOCK_SECOND;
	enum failures_lock lock = FAILURES_OPEN;
	char user[32], address[64];
	int fd;
	struct counting c = start(f, 5, 5 * CLOCK_SECOND, &fd);
	for (int i = 0; i < 5; i++) {
		snprintf(user, sizeof user, "user%d", i);
		snprintf(address, sizeof address, "192.0.2.%d", i * 50);
		assert_int_equal(count(&c, user, address, now, &lock), i == 4);
		snprintf(address, sizeof address, "2001:db8:0:1::%d", i);
		count(&c, "", address, now, &lock);
	}
	assert_int_equal(lock, FAILURES_NETWORK_LOCKED);
	assert_int_equal(check(&c, "new", "192.0.2.255", now), FAILURES_NETWORK_LOCKED);
	assert_int_equal(check(&c, "new", "::ffff:192.0.2.7", now), FAILURES_NETWORK_LOCKED);
	assert_int_equal(check(&c, "new", "192.0.3.1", now), FAILURES_OPEN);
	assert_int_equal(check(&c, "new", "2001:db8:0:1:ffff::1", now), FAILURES_NETWORK_LOCKED);
	assert_int_equal(check(&c, "new", "2001:db8:0:2::1", now), FAILURES_OPEN);
	struct failures_try who = try_of("new", "192.0.2.9");
	assert_string_equal(failures_network_text(&who.client).text, "192.0.2.0/24");
	failures_close(&c.failures);
	close(fd);
}

static void test_who_has_logged_in_from_a_network_is_not_locked_out_there(void **state)
{
	struct fixture *f = *state;
	enum failures_lock lock;
	int fd;
	struct counting c = start(f, 2, 3600 * CLOCK_SECOND, &fd);
	struct failures_try home = try_of("anna", "203.0.113.5");
	failures_succeeded(c.failures, &home, CLOCK_SECOND);
	count(&c, "anna", "192.0.2.1", CLOCK_SECOND, &lock);
	assert_true(count(&c, "anna", "198.51.100.1", CLOCK_SECOND, &lock));
	assert_int_equal(check(&c, "anna", "198.51.100.1", CLOCK_SECOND), FAILURES_USER_LOCKED);
	assert_int_equal(check(&c, "anna", "203.0.113.77", CLOCK_SECOND), FAILURES_OPEN);
	assert_int_equal(check(&c, "anna", "203.0.114.77", CLOCK_SECOND), FAILURES_USER_LOCKED);
	failures_close(&c.failures);
	close(fd);
}

static void test_tries_under_way_count_as_if_they_failed(void **state)
{
	struct fixture *f = *state;
	enum failures_lock lock;
	bool crowded;
	int fd;
	struct counting c = start(f, 3, 3600 * CLOCK_SECOND, &fd);
	struct failures_try who = try_of("anna", "192.0.2.1");
	assert_int_equal(failures_check(c.failures, &c.limit, &who, 2, &crowded, 1), FAILURES_OPEN);
	assert_false(crowded);
	assert_int_equal(failures_check(c.failures, &c.limit, &who, 3, &crowded, 1), FAILURES_OPEN);
	assert_true(crowded);
	count(&c, "anna", "192.0.2.1", 1, &lock);
	assert_int_equal(failures_check(c.failures, &c.limit, &who, 2, &crowded, 1), FAILURES_OPEN);
	assert_true(crowded);
	failures_close(&c.failures);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names_have_one_form, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names_that_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_passwords_have_one_form, set_up, tear_down),
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_verifiers_of_the_rfcs),
		cmocka_unit_test(test_random_passwords),
		cmocka_unit_test_setup_teardown(test_a_user_is_read_as_it_was_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_app_passwords_are_bounded_and_go_with_their_user, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mode_secret_and_replacement, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_files_that_are_no_user_database, set_up, tear_down),
		cmocka_unit_test(test_a_full_set_forgets_what_is_nearest_its_end),
		cmocka_unit_test_setup_teardown(test_the_limit_locks_a_user_and_lets_one_through_each_part_of_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_networks_are_counted_whoever_is_tried, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_has_logged_in_from_a_network_is_not_locked_out_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tries_under_way_count_as_if_they_failed, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
