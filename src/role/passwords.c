/* SPDX-License-Identifier: ISC */
#include "role/passwords.h"

#include "base/fatal.h"
#include "task/offload.h"
#include "users/database.h"
#include "users/names.h"
#include "users/stamps.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

enum { REMEMBERED = 16 * 1024 };

static const char crowded_text[] = "too many passwords are being checked";

/* A check of a password under way. */
struct try {
	struct failures_try who;
	struct try *next;
};

struct passwords {
	struct log *log;
	struct failures *failures; /* NULL: none are counted */
	/* Outcomes, by the digest of all that they depend on under a key that only this process has; until when they hold. */
	unsigned char key[STAMPS_SECRET];
	struct stamp good_items[REMEMBERED], bad_items[REMEMBERED];
	struct stamps good, bad;
	char nobody[PASSWORD_HASH_MAX]; /* the hash of no password */
	/* One connection to the database, used by one task at a time. */
	struct users_database *database;
	char *database_path;
	bool reading;
	struct wait_list readers;
	unsigned computing; /* how many of the questions */
	struct wait_list computers;
	struct try *tries;
	struct wait_list tried; /* one of the tries has ended */
};

struct passwords *passwords_new(struct log *log)
{
	struct passwords *passwords = xcalloc(1, sizeof *passwords);
	passwords->log = log;
	passwords->good = (struct stamps){ passwords->good_items, REMEMBERED };
	passwords->bad = (struct stamps){ passwords->bad_items, REMEMBERED };
	if (RAND_bytes(passwords->key, sizeof passwords->key) != 1)
		fatal("no random bytes can be had");
	return passwords;
}

void passwords_free(struct passwords **passwords)
{
	if (!*passwords)
		return;
	users_close(&(*passwords)->database);
	free((*passwords)->database_path);
	failures_close(&(*passwords)->failures);
	OPENSSL_cleanse(*passwords, sizeof **passwords);
	free(*passwords);
	*passwords = NULL;
}

void passwords_prepare(struct passwords *passwords)
{
	char random[PASSWORD_RANDOM_MAX];
	if (*passwords->nobody)
		return;
	password_random(random);
	password_hash(slice_of(random), PASSWORD_YESCRYPT, passwords->nobody);
	OPENSSL_cleanse(random, sizeof random);
}

bool passwords_use_failures(struct passwords *passwords, int fd, struct error *error)
{
	if (!passwords->failures)
		passwords->failures = failures_open(fd, error);
	return passwords->failures != NULL;
}

/* ---- A question ---- */

struct question {
	struct passwords *passwords;
	const struct passwords_settings *settings;
	struct arena *arena;
	int64_t deadline;
	struct try try;         /* whose it is */
	struct users_user user; /* as the database has it */
	bool found;
	struct error error;
};

static enum auth_verdict later(struct question *question, const char *why)
{
	error_set(&question->error, ERROR_TEMPORARY, "%s", why);
	return AUTH_LATER;
}

/* Waits for a turn; false at the deadline. */
static bool wait_for(struct wait_list *list, const struct question *question)
{
	return wait_list_wait(list, question->deadline) >= 0;
}

/* ---- The database, on an offload thread ---- */

struct reading {
	struct question *question;
	const char *path;
	enum auth_hash hash;
	/* What is read: the user always, and one of these. */
	bool wants_verifier;
	struct users_app_password *items;
	size_t item_count;
	struct auth_verifier *verifier;
	bool verifier_found;
	unsigned char secret[USERS_SECRET];
	bool good;
};

static bool read_rest(struct reading *reading)
{
	struct question *question = reading->question;
	struct users_database *database = question->passwords->database;
	struct slice name = question->try.who.user;
	if (!reading->wants_verifier)
		return users_app_passwords(database, name, question->arena, &reading->items, &reading->item_count, &question->error);
	return users_find_verifier(database, name, reading->hash, question->arena, reading->verifier, &reading->verifier_found,
				   &question->error) &&
	       users_secret(database, reading->secret, &question->error);
}

static void run_reading(void *arg)
{
	struct reading *reading = arg;
	struct question *question = reading->question;
	struct passwords *passwords = question->passwords;
	if (passwords->database && (strcmp(passwords->database_path, reading->path) != 0 || users_was_replaced(passwords->database)))
		users_close(&passwords->database);
	if (!passwords->database) {
		free(passwords->database_path);
		passwords->database_path = xstrdup(reading->path);
		passwords->database = users_open(reading->path, &question->error);
	}
	reading->good = passwords->database &&
			users_find(passwords->database, question->try.who.user, question->arena, &question->user, &question->found,
				   &question->error) &&
			read_rest(reading);
	/* What is wrong with a connection goes with it. */
	if (!reading->good)
		users_close(&passwords->database);
}

static bool read_database(struct reading *reading)
{
	struct question *question = reading->question;
	struct passwords *passwords = question->passwords;
	if (question->settings->database.len == 0) {
		later(question, "user_database is not set, so there are no users");
		return false;
	}
	while (passwords->reading)
		if (!wait_for(&passwords->readers, question)) {
			later(question, crowded_text);
			return false;
		}
	passwords->reading = true;
	reading->path = arena_cstr(question->arena, question->settings->database);
	offload(run_reading, reading);
	passwords->reading = false;
	wait_list_wake_one(&passwords->readers);
	/* A database that is not right is the server's trouble, not the client's mistake. */
	question->error.kind = reading->good ? ERROR_NONE : ERROR_TEMPORARY;
	return reading->good;
}

/* ---- Failures ---- */

static enum failures_lock find_lock(const struct question *question, unsigned others, bool *crowded_r)
{
	*crowded_r = false;
	if (!question->passwords->failures)
		return FAILURES_OPEN;
	return failures_check(question->passwords->failures, &question->settings->limit, &question->try.who, others, crowded_r, clock_now());
}

static bool is_locked(const struct question *question)
{
	bool crowded;
	return find_lock(question, 0, &crowded) != FAILURES_OPEN;
}

static void count_failure(const struct question *question)
{
	struct passwords *passwords = question->passwords;
	const struct failures_try *who = &question->try.who;
	enum failures_lock lock;
	if (!passwords->failures || !failures_count(passwords->failures, &question->settings->limit, who, &lock, clock_now()))
		return;
	struct net_text client = net_address_text(&who->client);
	if (lock == FAILURES_NETWORK_LOCKED)
		log_line(passwords->log, LOG_KIND_MAIN, "login from %s locked out: auth_fail_limit = %.*s, last failure from [%s] as <%.*s>",
			 failures_network_text(&who->client).text, SLICE_ARG(question->settings->limit_text), client.text,
			 SLICE_ARG(who->user));
	else
		log_line(passwords->log, LOG_KIND_MAIN, "login of <%.*s> locked out: auth_fail_limit = %.*s, last failure from [%s]",
			 SLICE_ARG(who->user), SLICE_ARG(question->settings->limit_text), client.text);
}

static void note_success(const struct question *question)
{
	if (question->passwords->failures)
		failures_succeeded(question->passwords->failures, &question->try.who, clock_now());
}

/* ---- Passwords ---- */

/* What an outcome depends on: with another hash in the database it is another question. */
static struct stamp_key memory_key(const struct question *question, struct slice password)
{
	const struct users_user *user = &question->user;
	struct slice texts[] = { question->try.who.user, password, question->found ? user->hash : (struct slice){ 0 },
				 user->disabled ? SLICE("disabled") : (struct slice){ 0 } };
	return stamp_key(question->passwords->key, texts, 4);
}

static void remember(const struct question *question, struct stamps *stamps, struct stamp_key key)
{
	if (question->settings->remember)
		stamps_put(stamps, key, clock_after(question->settings->remember));
}

static bool is_remembered(const struct question *question, const struct stamps *stamps, struct stamp_key key)
{
	return question->settings->remember && stamps_get(stamps, key) > clock_now();
}

/* Looks at all of them, whichever fits. */
static bool fits_app_password(const struct reading *reading, struct slice password, struct slice service)
{
	unsigned char digest[PASSWORD_DIGEST];
	bool fits = false;
	for (size_t i = 0; i < reading->item_count; i++) {
		const struct users_app_password *item = &reading->items[i];
		bool serves = item->service.len == 0 || slice_equal_nocase(item->service, service);
		password_digest(password, item->salt, digest);
		fits |= CRYPTO_memcmp(digest, item->digest, sizeof digest) == 0 && serves;
	}
	OPENSSL_cleanse(digest, sizeof digest);
	return fits;
}

/* On a thread that computes, as soon as one is free; false at the deadline. */
static bool compute(struct question *question, void (*fn)(void *), void *arg)
{
	struct passwords *passwords = question->passwords;
	while (passwords->computing >= offload_computing_width())
		if (!wait_for(&passwords->computers, question))
			return false;
	passwords->computing++;
	offload_computing(fn, arg);
	passwords->computing--;
	wait_list_wake_one(&passwords->computers);
	return true;
}

struct hashing {
	struct slice password, hash;
	bool equal;
};

static void run_hashing(void *arg)
{
	struct hashing *hashing = arg;
	hashing->equal = password_matches(hashing->password, hashing->hash);
}

/* False at the deadline. */
static bool compare_hash(struct question *question, struct slice password, bool *equal_r)
{
	struct passwords *passwords = question->passwords;
	struct hashing hashing = { password, question->found ? question->user.hash : slice_of(passwords->nobody), false };
	if (!compute(question, run_hashing, &hashing))
		return false;
	*equal_r = hashing.equal && question->found && !question->user.disabled;
	return true;
}

/* How many tries of the same network are under way; *same_user_r: one of them, or another, is for the same user. */
static unsigned count_others(const struct question *question, bool *same_user_r)
{
	unsigned others = 0;
	*same_user_r = false;
	for (const struct try *try = question->passwords->tries; try; try = try->next) {
		others += failures_same_network(&try->who.client, &question->try.who.client);
		*same_user_r = *same_user_r || slice_equal(try->who.user, question->try.who.user);
	}
	return others;
}

static void begin_try(struct question *question)
{
	question->try.next = question->passwords->tries;
	question->passwords->tries = &question->try;
}

static void end_try(struct question *question)
{
	struct try **at = &question->passwords->tries;
	while (*at != &question->try)
		at = &(*at)->next;
	*at = question->try.next;
	wait_list_wake_all(&question->passwords->tried);
}

/*
 * Waits until this try has its turn: one for a user at a time, and no more of a network than may still fail. So the count of failures is
 * exact, and programs that log in several times at once cost one hash. AUTH_YES: it has begun.
 */
static enum auth_verdict await_turn(struct question *question)
{
	for (;;) {
		bool crowded, same_user;
		unsigned others = count_others(question, &same_user);
		if (find_lock(question, others, &crowded) != FAILURES_OPEN)
			return AUTH_LOCKED;
		if (!crowded && !same_user)
			break;
		if (!wait_for(&question->passwords->tried, question))
			return later(question, crowded_text);
	}
	begin_try(question);
	return AUTH_YES;
}

/* Within a turn. */
static enum auth_verdict prove(struct question *question, struct slice password, struct slice service)
{
	struct passwords *passwords = question->passwords;
	struct reading reading = { .question = question };
	bool equal = false;
	if (!read_database(&reading))
		return AUTH_LATER;
	struct stamp_key key = memory_key(question, password);
	if (is_remembered(question, &passwords->bad, key))
		return AUTH_NO;
	if (is_remembered(question, &passwords->good, key) ||
	    (question->found && !question->user.disabled && fits_app_password(&reading, password, service)))
		return AUTH_YES;
	if (!compare_hash(question, password, &equal))
		return later(question, crowded_text);
	remember(question, equal ? &passwords->good : &passwords->bad, key);
	if (!equal)
		count_failure(question);
	return equal ? AUTH_YES : AUTH_NO;
}

static enum auth_verdict check_password(struct question *question, struct slice password, struct slice service)
{
	enum auth_verdict verdict = await_turn(question);
	if (verdict != AUTH_YES)
		return verdict;
	verdict = prove(question, password, service);
	if (verdict == AUTH_YES)
		note_success(question);
	end_try(question);
	return verdict;
}

/* ---- Messages ---- */

static void send_verdict(const struct question *question, const struct answering_other *message, enum auth_verdict verdict,
		 const struct auth_verifier *verifier, enum auth_hash hash)
{
	struct ipc_tried answer = { .verdict = verdict, .problem = slice_of(question->error.text) };
	if (verdict == AUTH_YES)
		answer.identity = question->try.who.user;
	if (verdict == AUTH_YES && verifier) {
		answer.salt = verifier->salt;
		answer.iterations = verifier->iterations;
		answer.stored_key = slice_make(verifier->stored_key, password_key_size(hash));
		answer.server_key = slice_make(verifier->server_key, password_key_size(hash));
	}
	ipc_send(message->peer, tried, TRIED, message->call, &answer, NULL, 0);
}

/*
 * Who tries; false: no user can have such a name. Then the user is empty, so that only the network counts. No address, or one that is none:
 * only the user does.
 */
static bool begin_question(struct question *question, struct slice user, struct slice client, uint64_t deadline)
{
	struct error ignored;
	int64_t latest = clock_after(ASK_TIME_MAX);
	question->deadline = deadline && deadline < (uint64_t)latest ? (int64_t)deadline : latest;
	net_address_parse(client, &question->try.who.client);
	return users_name(user, question->arena, &question->try.who.user, &ignored);
}

static enum auth_verdict refuse_and_count(struct question *question)
{
	if (is_locked(question))
		return AUTH_LOCKED;
	count_failure(question);
	return AUTH_NO;
}

static bool take_check(struct question *question, const struct answering_other *message)
{
	struct ipc_check_password check;
	struct slice password;
	struct error ignored;
	if (!ipc_unpack_check_password(message->body, &check))
		return false;
	bool possible = begin_question(question, check.user, check.client, check.deadline) &&
			users_password(check.password, question->arena, &password, &ignored);
	if (possible) {
		send_verdict(question, message, check_password(question, password, check.service), NULL, 0);
		OPENSSL_cleanse((char *)(uintptr_t)password.data, password.len);
	} else {
		send_verdict(question, message, refuse_and_count(question), NULL, 0);
	}
	return true;
}

static bool take_find(struct question *question, const struct answering_other *message)
{
	struct ipc_find_verifier find;
	if (!ipc_unpack_find_verifier(message->body, &find) || find.hash > AUTH_SHA256)
		return false;
	enum auth_hash hash = (enum auth_hash)find.hash;
	struct auth_verifier verifier = { 0 };
	struct reading reading = { .question = question, .wants_verifier = true, .hash = hash, .verifier = &verifier };
	enum auth_verdict verdict = AUTH_YES;
	/* Of a name that nobody can have as it is, there is a false verifier, too. */
	if (!begin_question(question, find.user, find.client, find.deadline))
		question->try.who.user = arena_copy(question->arena, find.user);
	if (is_locked(question))
		verdict = AUTH_LOCKED;
	else if (!read_database(&reading))
		verdict = AUTH_LATER;
	else if (!question->found || question->user.disabled)
		password_false_verifier(question->try.who.user, hash, reading.secret, sizeof reading.secret, question->arena, &verifier);
	else if (!reading.verifier_found)
		verdict = AUTH_NO;
	send_verdict(question, message, verdict, &verifier, hash);
	OPENSSL_cleanse(&verifier, sizeof verifier);
	OPENSSL_cleanse(&reading, sizeof reading);
	return true;
}

struct deriving {
	struct slice password;
	enum auth_hash hash;
	struct auth_verifier verifier;
};

static void run_deriving(void *arg)
{
	struct deriving *deriving = arg;
	password_verifier(deriving->password, deriving->hash, &deriving->verifier);
}

static bool take_derive(struct question *question, const struct answering_other *message)
{
	struct ipc_derive_keys derive;
	if (!ipc_unpack_derive_keys(message->body, &derive) || derive.hash > AUTH_SHA256 || derive.password.len > AUTH_DATA_MAX ||
	    derive.salt.len > AUTH_SALT_MAX || derive.iterations == 0 || derive.iterations > AUTH_DERIVE_MAX)
		return false;
	struct deriving deriving = {
		derive.password, (enum auth_hash)derive.hash, { .salt = derive.salt, .iterations = (uint32_t)derive.iterations },
	};
	enum auth_verdict verdict = AUTH_YES;
	begin_question(question, derive.user, derive.client, derive.deadline);
	if (is_locked(question))
		verdict = AUTH_LOCKED;
	else if (!compute(question, run_deriving, &deriving))
		verdict = later(question, crowded_text);
	send_verdict(question, message, verdict, &deriving.verifier, deriving.hash);
	OPENSSL_cleanse(&deriving, sizeof deriving);
	return true;
}

static bool take_settle(struct question *question, const struct answering_other *message)
{
	struct ipc_settle_try settle;
	if (!ipc_unpack_settle_try(message->body, &settle))
		return false;
	begin_question(question, settle.user, settle.client, 0);
	enum auth_verdict verdict = AUTH_YES;
	if (is_locked(question))
		verdict = AUTH_LOCKED;
	else if (settle.good)
		note_success(question);
	else
		verdict = refuse_and_count(question);
	send_verdict(question, message, verdict, NULL, 0);
	return true;
}

void passwords_answer(struct passwords *passwords, const struct passwords_settings *settings, const struct answering_other *message,
		      struct arena *arena)
{
	struct question question = { .passwords = passwords, .settings = settings, .arena = arena };
	bool taken = false;
	if (message->body.len == 0) {
		send_verdict(&question, message, later(&question, crowded_text), NULL, 0);
		return;
	}
	if (message->type == IPC_CHECK_PASSWORD_MESSAGE)
		taken = take_check(&question, message);
	else if (message->type == IPC_FIND_VERIFIER_MESSAGE)
		taken = take_find(&question, message);
	else if (message->type == IPC_DERIVE_KEYS_MESSAGE)
		taken = take_derive(&question, message);
	else if (message->type == IPC_SETTLE_TRY_MESSAGE)
		taken = take_settle(&question, message);
	if (!taken)
		send_verdict(&question, message, later(&question, "malformed question about a user"), NULL, 0);
}
