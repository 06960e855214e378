/* SPDX-License-Identifier: ISC */
/* A front's questions about users (user_ask) and the lookup role's answers (passwords), through the messages between them. */
#include "base/fatal.h"
#include "base/test.h"
#include "role/passwords.h"
#include "role/user_ask.h"
#include "users/database.h"
#include "users/names.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 8, CLIENTS_MAX = 16 };

/* Both ends in one process. */
struct world {
	struct role_process lookup;
	struct answering_desk desk;
	struct passwords *passwords;
	struct passwords_settings settings;
	struct ask_line line;
	struct user_ask ask;
	char directory[64], path[80];
	struct users_database *writer;
	struct arena arena;
	struct error error;
	int failures;
	/* what a test's tasks found */
	enum auth_verdict verdicts[CLIENTS_MAX];
	unsigned started, ended;
	struct wait_list all_ended;
};

static void other(struct role_process *role, void *held, const struct answering_other *message, struct arena *arena)
{
	struct world *w = role->state;
	(void)held;
	passwords_answer(w->passwords, &w->settings, message, arena);
}

static const struct answering answering = { .most = 1, .crowded = "", .most_others = MOST, .other = other };

static void set_user(struct world *w, const char *name, const char *password, bool fresh, enum password_scheme scheme)
{
	char hash[PASSWORD_HASH_MAX];
	struct users_proof proof = { 0 };
	password_hash(slice_of(password), scheme, hash);
	proof.hash = slice_of(hash);
	proof.verifiers[AUTH_SHA256] = (struct auth_verifier){ .salt = SLICE("salt"), .iterations = 4096 };
	password_verifier(slice_of(password), AUTH_SHA256, &proof.verifiers[AUTH_SHA256]);
	ensure(users_set_proof(w->writer, slice_of(name), &proof, fresh, &w->error));
}

static void open_line(struct world *w)
{
	int ends[2];
	ensure(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	answering_connected(&w->desk, &w->lookup, &answering, ends[0], ROLE_FRONT);
	ask_connected(&w->line, w->lookup.loop, ends[1], ROLE_FRONT, ROLE_LOOKUP);
}

static void close_line(struct world *w)
{
	ipc_close(w->line.peer);
	w->line.peer = NULL;
	while (w->desk.askers)
		task_sleep_until(clock_after(CLOCK_MS));
	/* the other end closes itself on a task of its own */
	task_sleep_until(clock_after(20 * CLOCK_MS));
}

static void run(struct world *w, task_function *test)
{
	*w = (struct world){ .lookup = { .kind = ROLE_LOOKUP } };
	snprintf(w->directory, sizeof w->directory, "/tmp/postern-passwords-XXXXXX");
	ensure(mkdtemp(w->directory));
	snprintf(w->path, sizeof w->path, "%s/users.db", w->directory);
	arena_init(&w->arena, 0);
	log_init(&w->lookup.log, "lookup");
	w->lookup.state = w;
	w->lookup.loop = loop_new();
	w->passwords = passwords_new(&w->lookup.log);
	passwords_prepare(w->passwords);
	w->failures = failures_create(&w->error);
	ensure(passwords_use_failures(w->passwords, w->failures, &w->error));
	w->settings = (struct passwords_settings){ .database = slice_of(w->path), .limit = { 3, 3600 * CLOCK_SECOND },
						   .limit_text = SLICE("3 / 1h"), .remember = 60 * CLOCK_SECOND };
	w->ask = (struct user_ask){ .line = &w->line, .service = "smtp" };
	net_address_parse(SLICE("192.0.2.1"), &w->ask.client);
	w->writer = users_open_to_write(w->path, 0600, (gid_t)-1, &w->error);
	ensure(w->writer);
	set_user(w, "anna@example.org", "right", true, PASSWORD_YESCRYPT);
	open_line(w);
	task_spawn(w->lookup.loop, test, w, "test");
	loop_run(w->lookup.loop);
	loop_free(w->lookup.loop);
	passwords_free(&w->passwords);
	users_close(&w->writer);
	unlink(w->path);
	rmdir(w->directory);
	close(w->failures);
	arena_free(&w->arena);
}

static enum auth_verdict check_from(struct world *w, const char *client, const char *user, const char *password)
{
	struct user_ask ask = w->ask;
	struct auth_world world = user_ask_world(&ask);
	struct slice identity;
	w->error = (struct error){ 0 };
	ask.client = (struct net_address){ 0 };
	net_address_parse(slice_of(client), &ask.client);
	enum auth_verdict verdict = world.check_password(world.owner, slice_of(user), slice_of(password), &w->arena, &identity, &w->error);
	if (verdict == AUTH_YES)
		ensure(slice_equal(identity, SLICE("anna@example.org")));
	return verdict;
}

static enum auth_verdict check(struct world *w, const char *user, const char *password)
{
	return check_from(w, "192.0.2.1", user, password);
}

static void outcomes_task(void *arg)
{
	struct world *w = arg;
	w->settings.limit.count = 0;
	ensure(check(w, "anna@example.org", "right") == AUTH_YES);
	ensure(check(w, "Anna@EXAMPLE.org", "right") == AUTH_YES);
	ensure(check(w, "anna@example.org", "Right") == AUTH_NO);
	ensure(check(w, "nobody@example.org", "right") == AUTH_NO);
	ensure(check(w, "", "right") == AUTH_NO);
	ensure(check(w, "an na", "right") == AUTH_NO);
	ensure(check(w, "anna@example.org", "") == AUTH_NO);
	ensure(check(w, "anna@example.org", "right\n") == AUTH_NO);
	/* A new password counts at once, though the old one is remembered. */
	set_user(w, "anna@example.org", "new", false, PASSWORD_ARGON2ID);
	ensure(check(w, "anna@example.org", "right") == AUTH_NO);
	ensure(check(w, "anna@example.org", "new") == AUTH_YES);
	ensure(users_set_disabled(w->writer, SLICE("anna@example.org"), true, &w->error));
	ensure(check(w, "anna@example.org", "new") == AUTH_NO);
	ensure(users_set_disabled(w->writer, SLICE("anna@example.org"), false, &w->error));
	ensure(check(w, "anna@example.org", "new") == AUTH_YES);
	ensure(users_remove(w->writer, SLICE("anna@example.org"), &w->error));
	ensure(check(w, "anna@example.org", "new") == AUTH_NO);
	close_line(w);
}

static void a_password_is_right_for_as_long_as_the_database_says_so(void **state)
{
	static struct world w;
	(void)state;
	run(&w, outcomes_task);
}

static void app_task(void *arg)
{
	struct world *w = arg;
	struct users_app_password any = { .name = SLICE("phone"), .salt = { 1 } };
	struct users_app_password mail = { .name = SLICE("imap"), .service = SLICE("imap"), .salt = { 2 } };
	w->settings.limit.count = 0;
	password_digest(SLICE("for-phone"), any.salt, any.digest);
	password_digest(SLICE("for-imap"), mail.salt, mail.digest);
	ensure(users_add_app_password(w->writer, SLICE("anna@example.org"), &any, &w->error));
	ensure(users_add_app_password(w->writer, SLICE("anna@example.org"), &mail, &w->error));
	ensure(check(w, "anna@example.org", "for-phone") == AUTH_YES);
	ensure(check(w, "anna@example.org", "for-imap") == AUTH_NO);
	ensure(check(w, "anna@example.org", "right") == AUTH_YES);
	ensure(users_set_disabled(w->writer, SLICE("anna@example.org"), true, &w->error));
	ensure(check(w, "anna@example.org", "for-phone") == AUTH_NO);
	ensure(users_set_disabled(w->writer, SLICE("anna@example.org"), false, &w->error));
	ensure(users_remove_app_password(w->writer, SLICE("anna@example.org"), SLICE("phone"), &w->error));
	ensure(check(w, "anna@example.org", "for-phone") == AUTH_NO);
	close_line(w);
}

static void app_passwords_are_good_for_their_service_until_they_are_removed(void **state)
{
	static struct world w;
	(void)state;
	run(&w, app_task);
}

static void lock_task(void *arg)
{
	struct world *w = arg;
	ensure(check_from(w, "192.0.2.1", "anna@example.org", "a") == AUTH_NO);
	ensure(check_from(w, "192.0.2.1", "anna@example.org", "a") == AUTH_NO); /* the same again does not count */
	ensure(check_from(w, "192.0.3.1", "anna@example.org", "b") == AUTH_NO);
	ensure(check_from(w, "192.0.5.1", "anna@example.org", "right") == AUTH_YES); /* nor does a success */
	ensure(check_from(w, "192.0.4.1", "anna@example.org", "c") == AUTH_NO);
	ensure(check_from(w, "198.51.100.1", "anna@example.org", "right") == AUTH_LOCKED);
	ensure(check_from(w, "198.51.100.1", "ANNA@example.org", "right") == AUTH_LOCKED);
	ensure(check_from(w, "192.0.5.77", "anna@example.org", "right") == AUTH_YES); /* has logged in from there */
	for (int i = 0; i < 3; i++) {
		char user[16];
		snprintf(user, sizeof user, "user%d", i);
		ensure(check_from(w, "2001:db8::1", user, "x") == AUTH_NO);
	}
	ensure(check_from(w, "2001:db8::2", "bert", "x") == AUTH_LOCKED);
	ensure(check_from(w, "2001:db8:0:1::2", "bert", "x") == AUTH_NO);
	close_line(w);
}

static void failures_lock_out_users_and_networks(void **state)
{
	static struct world w;
	(void)state;
	run(&w, lock_task);
}

/* ---- Many at once ---- */

static void client_task(void *arg)
{
	struct world *w = arg;
	unsigned number = w->started++;
	char password[16];
	struct user_ask ask = w->ask;
	struct auth_world world = user_ask_world(&ask);
	struct arena arena;
	struct slice identity;
	struct error error;
	arena_init(&arena, 0);
	snprintf(password, sizeof password, "%u", number);
	w->verdicts[number] = world.check_password(world.owner, SLICE("anna@example.org"), slice_of(password), &arena, &identity, &error);
	arena_free(&arena);
	w->ended++;
	wait_list_wake_all(&w->all_ended);
}

static unsigned count_verdicts(const struct world *w, enum auth_verdict verdict)
{
	unsigned count = 0;
	for (unsigned i = 0; i < w->ended; i++)
		count += w->verdicts[i] == verdict;
	return count;
}

static void crowd_task(void *arg)
{
	struct world *w = arg;
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		task_spawn(w->lookup.loop, client_task, w, "client");
	while (w->ended < CLIENTS_MAX)
		ensure(wait_list_wait(&w->all_ended, clock_after(60 * CLOCK_SECOND)) == 0);
	/* An asker that has half of the room is one alone, so it may have all of it; the others are refused at once. */
	ensure(count_verdicts(w, AUTH_NO) == 3);
	ensure(count_verdicts(w, AUTH_LOCKED) == MOST - 3);
	ensure(count_verdicts(w, AUTH_LATER) == CLIENTS_MAX - MOST);
	close_line(w);
}

static void guesses_at_the_same_time_get_no_more_than_the_limit(void **state)
{
	static struct world w;
	(void)state;
	run(&w, crowd_task);
}

/* ---- SCRAM, and what others found ---- */

static enum auth_verdict find(struct world *w, const char *user, enum auth_hash hash, struct auth_verifier *verifier)
{
	struct auth_world world = user_ask_world(&w->ask);
	struct slice identity;
	return world.find_verifier(world.owner, slice_of(user), hash, &w->arena, verifier, &identity, &w->error);
}

static void scram_task(void *arg)
{
	struct world *w = arg;
	struct auth_verifier real, first, again, other_user, wanted = { .salt = SLICE("salt"), .iterations = 4096 };
	password_verifier(SLICE("right"), AUTH_SHA256, &wanted);
	ensure(find(w, "Anna@example.org", AUTH_SHA256, &real) == AUTH_YES);
	ensure(slice_equal(real.salt, SLICE("salt")));
	ensure(real.iterations == 4096);
	ensure(memcmp(real.stored_key, wanted.stored_key, 32) == 0);
	ensure(memcmp(real.server_key, wanted.server_key, 32) == 0);
	ensure(find(w, "anna@example.org", AUTH_SHA1, &real) == AUTH_NO); /* it was not made */
	/* Who is not there looks like somebody, and always the same. */
	ensure(find(w, "nobody@example.org", AUTH_SHA256, &first) == AUTH_YES);
	ensure(find(w, "nobody@example.org", AUTH_SHA256, &again) == AUTH_YES);
	ensure(find(w, "somebody@example.org", AUTH_SHA256, &other_user) == AUTH_YES);
	ensure(first.salt.len == PASSWORD_SALT);
	ensure(first.iterations == PASSWORD_ITERATIONS);
	ensure(slice_equal(first.salt, again.salt) && !slice_equal(first.salt, other_user.salt));
	ensure(memcmp(first.stored_key, again.stored_key, 32) == 0);
	ensure(users_set_disabled(w->writer, SLICE("anna@example.org"), true, &w->error));
	ensure(find(w, "anna@example.org", AUTH_SHA256, &real) == AUTH_YES);
	ensure(memcmp(real.stored_key, wanted.stored_key, 32) != 0);
	close_line(w);
}

static void verifiers_do_not_tell_who_exists(void **state)
{
	static struct world w;
	(void)state;
	run(&w, scram_task);
}

static enum auth_verdict derive(struct world *w, const char *user, const char *password, enum auth_hash hash, struct auth_verifier *verifier)
{
	struct auth_world world = user_ask_world(&w->ask);
	w->error = (struct error){ 0 };
	return world.derive(world.owner, slice_of(user), slice_of(password), hash, verifier, &w->error);
}

static void derive_task(void *arg)
{
	struct world *w = arg;
	static const enum auth_hash hashes[] = { AUTH_SHA1, AUTH_SHA256 };
	for (size_t i = 0; i < 2; i++) {
		struct auth_verifier verifier = { .salt = SLICE("salt"), .iterations = 5000 }, wanted = verifier;
		size_t size = password_key_size(hashes[i]);
		password_verifier(SLICE("right"), hashes[i], &wanted);
		ensure(derive(w, "who ever", "right", hashes[i], &verifier) == AUTH_YES);
		ensure(memcmp(verifier.stored_key, wanted.stored_key, size) == 0);
		ensure(memcmp(verifier.server_key, wanted.server_key, size) == 0);
	}
	struct auth_verifier none = { .salt = SLICE("salt") }, many = { .salt = SLICE("salt"), .iterations = AUTH_DERIVE_MAX + 1 };
	ensure(derive(w, "user", "right", AUTH_SHA256, &none) == AUTH_LATER && strstr(w->error.text, "malformed"));
	ensure(derive(w, "user", "right", AUTH_SHA256, &many) == AUTH_LATER && strstr(w->error.text, "malformed"));
	close_line(w);
}

static void keys_of_a_password_are_those_of_scram(void **state)
{
	static struct world w;
	(void)state;
	run(&w, derive_task);
}

static void slow_task(void *arg)
{
	struct world *w = arg;
	struct auth_verifier verifier = { .salt = SLICE("salt"), .iterations = AUTH_DERIVE_MAX };
	w->verdicts[0] = derive(w, "slow", "right", AUTH_SHA256, &verifier);
	w->ended++;
	wait_list_wake_all(&w->all_ended);
}

static void meanwhile_task(void *arg)
{
	struct world *w = arg;
	struct auth_world world = user_ask_world(&w->ask);
	task_spawn(w->lookup.loop, slow_task, w, "slow");
	task_yield();
	for (int i = 0; i < 3; i++)
		ensure(world.settle(world.owner, SLICE("carl"), false, &w->error) == AUTH_NO);
	ensure(w->ended == 0);
	while (!w->ended)
		ensure(wait_list_wait(&w->all_ended, clock_after(60 * CLOCK_SECOND)) >= 0);
	ensure(w->verdicts[0] == AUTH_YES);
	/* The failures that came meanwhile have locked the network out: nothing more is computed for it. */
	struct auth_verifier verifier = { .salt = SLICE("salt"), .iterations = 4096 };
	ensure(derive(w, "slow", "right", AUTH_SHA256, &verifier) == AUTH_LOCKED);
	close_line(w);
}

static void others_are_answered_while_keys_are_computed(void **state)
{
	static struct world w;
	(void)state;
	run(&w, meanwhile_task);
}

static void settle_task(void *arg)
{
	struct world *w = arg;
	struct auth_world world = user_ask_world(&w->ask);
	struct auth_verifier verifier;
	ensure(world.settle(world.owner, SLICE("anna@example.org"), true, &w->error) == AUTH_YES);
	for (int i = 0; i < 3; i++)
		ensure(world.settle(world.owner, SLICE("carl"), false, &w->error) == AUTH_NO);
	ensure(world.settle(world.owner, SLICE("carl"), true, &w->error) == AUTH_LOCKED);
	ensure(world.settle(world.owner, SLICE(""), true, &w->error) == AUTH_LOCKED); /* the network is, too */
	ensure(find(w, "anna@example.org", AUTH_SHA256, &verifier) == AUTH_LOCKED);
	ensure(check(w, "anna@example.org", "right") == AUTH_LOCKED);
	close_line(w);
}

static void failures_of_other_mechanisms_count_as_well(void **state)
{
	static struct world w;
	(void)state;
	run(&w, settle_task);
}

/* ---- Trouble ---- */

static void trouble_task(void *arg)
{
	struct world *w = arg;
	char aside[96];
	snprintf(aside, sizeof aside, "%s.old", w->path);
	ensure(check(w, "anna@example.org", "right") == AUTH_YES);
	ensure(rename(w->path, aside) == 0);
	ensure(check(w, "anna@example.org", "right") == AUTH_LATER);
	ensure(strstr(w->error.text, "No such file"));
	/* Another file of that name is another database. */
	users_close(&w->writer);
	w->writer = users_open_to_write(w->path, 0600, (gid_t)-1, &w->error);
	set_user(w, "anna@example.org", "another", true, PASSWORD_YESCRYPT);
	ensure(check(w, "anna@example.org", "another") == AUTH_YES);
	ensure(check(w, "anna@example.org", "right") == AUTH_NO);
	ensure(truncate(w->path, 1000) == 0);
	ensure(check(w, "anna@example.org", "another") == AUTH_LATER);
	w->settings.database = (struct slice){ 0 };
	ensure(check(w, "anna@example.org", "another") == AUTH_LATER);
	ensure(strstr(w->error.text, "user_database is not set"));
	unlink(aside);
	close_line(w);
}

static void a_database_that_is_missing_or_damaged_is_a_temporary_error(void **state)
{
	static struct world w;
	(void)state;
	run(&w, trouble_task);
}

static void delay_task(void *arg)
{
	struct world *w = arg;
	w->ask.delay = 700 * CLOCK_MS;
	int64_t began = clock_now();
	ensure(check(w, "nobody", "x") == AUTH_NO);
	ensure(clock_now() - began >= 700 * CLOCK_MS);
	began = clock_now();
	ensure(check(w, "nobody", "x") == AUTH_NO); /* remembered, and yet it takes its time */
	ensure(clock_now() - began >= 700 * CLOCK_MS);
	close_line(w);
}

static void failures_are_answered_after_the_delay_whatever_was_wrong(void **state)
{
	static struct world w;
	(void)state;
	run(&w, delay_task);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_password_is_right_for_as_long_as_the_database_says_so),
		cmocka_unit_test(app_passwords_are_good_for_their_service_until_they_are_removed),
		cmocka_unit_test(failures_lock_out_users_and_networks),
		cmocka_unit_test(guesses_at_the_same_time_get_no_more_than_the_limit),
		cmocka_unit_test(verifiers_do_not_tell_who_exists),
		cmocka_unit_test(keys_of_a_password_are_those_of_scram),
		cmocka_unit_test(others_are_answered_while_keys_are_computed),
		cmocka_unit_test(failures_of_other_mechanisms_count_as_well),
		cmocka_unit_test(a_database_that_is_missing_or_damaged_is_a_temporary_error),
		cmocka_unit_test(failures_are_answered_after_the_delay_whatever_was_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
