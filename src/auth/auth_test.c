/* SPDX-License-Identifier: ISC */
/* Mechanisms against the examples of their RFCs, and what clients may get wrong. */
#include "base/test.h"

#include "auth/auth.h"
#include "mail/base64.h"
#include "users/password.h"

/* ---- A world, and an exchange in it ---- */

struct fixture {
	struct authenticator authenticator;
	struct auth_channel channel;
	struct auth_world world;
	struct expand_context context;
	struct auth_exchange exchange;
	struct arena arena;
	struct slice settled;      /* the last user that settle was told of */
	unsigned settled_count;
	bool settled_good;
	enum auth_verdict settle_says;
	struct auth_verifier verifier;
	uint64_t dialogue, dropped; /* with Dovecot: under way, the last that was dropped */
};

static struct expand_value no_variable(void *owner, enum expand_variable variable)
{
	(void)owner;
	(void)variable;
	return (struct expand_value){ 0 };
}

static bool named(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r)
{
	struct fixture *f = owner;
	return family == EXPAND_AUTH && auth_value(&f->exchange, name, value_r);
}

static enum auth_verdict check_password(void *owner, struct slice user, struct slice password, struct arena *arena,
					struct slice *identity_r, struct error *error)
{
	(void)owner;
	if (slice_equal(user, SLICE("later"))) {
		error_set(error, ERROR_TEMPORARY, "the database is locked");
		return AUTH_LATER;
	}
	if (slice_equal(user, SLICE("locked")))
		return AUTH_LOCKED;
	*identity_r = arena_printf(arena, "%.*s@example.test", SLICE_ARG(user));
	return slice_equal(user, SLICE("tim")) && slice_equal(password, SLICE("tanstaaftanstaaf")) ? AUTH_YES : AUTH_NO;
}

static enum auth_verdict find_verifier(void *owner, struct slice user, enum auth_hash hash, struct arena *arena,
				       struct auth_verifier *verifier_r, struct slice *identity_r, struct error *error)
{
	struct fixture *f = owner;
	(void)hash;
	(void)error;
	*verifier_r = f->verifier;
	*identity_r = arena_copy(arena, user);
	return AUTH_YES;
}

static enum auth_verdict derive(void *owner, struct slice user, struct slice password, enum auth_hash hash, struct auth_verifier *verifier,
				struct error *error)
{
	(void)owner;
	if (slice_equal(user, SLICE("later"))) {
		error_set(error, ERROR_TEMPORARY, "too many passwords are being checked");
		return AUTH_LATER;
	}
	if (slice_equal(user, SLICE("locked")))
		return AUTH_LOCKED;
	password_verifier(password, hash, verifier);
	return AUTH_YES;
}

static enum auth_verdict settle(void *owner, struct slice user, bool good, struct error *error)
{
	struct fixture *f = owner;
	(void)error;
	f->settled = arena_copy(&f->arena, user);
	f->settled_good = good;
	f->settled_count++;
	return f->settle_says == AUTH_YES && !good ? AUTH_NO : f->settle_says;
}

/* One prompt; then the response decides, and whoever says something at once is Anna. */
static enum auth_outcome ask_dovecot(void *owner, const struct authenticator *authenticator, const struct slice *response, uint64_t *dialogue,
				     struct arena *arena, struct slice *text_r, struct error *error)
{
	struct fixture *f = owner;
	assert_ptr_equal(authenticator, &f->authenticator);
	assert_int_equal(*dialogue, f->dialogue);
	*dialogue = f->dialogue = response ? 0 : 17;
	*text_r = arena_copy(arena, response ? SLICE("anna@example.test") : SLICE("who?"));
	if (!response)
		return AUTH_CHALLENGE;
	error_set(error, ERROR_TEMPORARY, "it has gone");
	return slice_equal(*response, SLICE("right")) ? AUTH_DONE : slice_equal(*response, SLICE("wrong")) ? AUTH_FAILED : AUTH_DEFERRED;
}

static void drop_dovecot(void *owner, uint64_t dialogue)
{
	struct fixture *f = owner;
	assert_int_equal(dialogue, f->dialogue);
	f->dropped = dialogue;
	f->dialogue = 0;
}

static bool binding(void *owner, enum auth_binding kind, struct arena *arena, struct slice *data_r)
{
	(void)owner;
	(void)arena;
	*data_r = SLICE("\001\002bound");
	return kind == AUTH_BINDING_EXPORTER;
}

static const struct expand_program *program(struct fixture *f, const char *text)
{
	const struct expand_program *compiled;
	struct error error;
	if (!text)
		return NULL;
	if (!expand_compile(&f->arena, slice_of(text), EXPAND_PLACE_CONNECTION, NULL, &compiled, &error, NULL))
		fail_msg("%s: %s", text, error.text);
	return compiled;
}

static void set_up(struct fixture *f, const char *driver, const char *public_name)
{
	*f = (struct fixture){ .settle_says = AUTH_YES };
	arena_init(&f->arena, 0);
	f->authenticator.name = SLICE("test");
	f->authenticator.public_name = slice_of(public_name);
	f->authenticator.driver = auth_driver_find(slice_of(driver));
	assert_non_null(f->authenticator.driver);
	f->context = (struct expand_context){ .owner = f, .variable = no_variable, .named = named };
	f->channel = (struct auth_channel){ .owner = f, .hostname = SLICE("mx.example.test") };
	f->world = (struct auth_world){
		.owner = f, .check_password = check_password, .find_verifier = find_verifier, .derive = derive, .settle = settle,
		.ask_dovecot = ask_dovecot, .drop_dovecot = drop_dovecot,
	};
}

static void tear_down(struct fixture *f)
{
	auth_end(&f->exchange);
	arena_free(&f->arena);
}

static enum auth_outcome start_with(struct fixture *f, const struct slice *initial)
{
	auth_end(&f->exchange);
	auth_begin(&f->exchange, &f->authenticator, &f->channel, &f->world, &f->context);
	return auth_start(&f->exchange, initial);
}

static enum auth_outcome start(struct fixture *f)
{
	return start_with(f, NULL);
}

static enum auth_outcome begin(struct fixture *f, struct slice initial)
{
	return start_with(f, &initial);
}

#define BEGIN(f, text) begin(f, SLICE(text))
#define STEP(f, text) auth_step(&(f)->exchange, SLICE(text))

static void bad_options(struct fixture *f, const char *option)
{
	const char *at;
	struct error error;
	assert_false(auth_check(&f->authenticator, &at, &error));
	assert_string_equal(at, option);
}

static void good_options(struct fixture *f)
{
	const char *at;
	struct error error;
	if (!auth_check(&f->authenticator, &at, &error))
		fail_msg("%s: %s", at, error.text);
}

/* ---- plaintext ---- */

static void plain_with_condition(struct fixture *f)
{
	set_up(f, "plaintext", "PLAIN");
	f->authenticator.server_prompts = program(f, ":");
	f->authenticator.server_condition = program(f, "${if and{{eq{$auth2}{user}}{eq{$auth3}{pass}}}}");
	f->authenticator.server_set_id = program(f, "$auth2");
	good_options(f);
}

static void test_plain_takes_its_texts_from_the_initial_response_or_behind_an_empty_prompt(void **state)
{
	struct fixture f;
	(void)state;
	plain_with_condition(&f);
	assert_int_equal(BEGIN(&f, "\0user\0pass"), AUTH_DONE);
	assert_slice(f.exchange.identity, "user");
	assert_true(f.settled_good);
	assert_int_equal(BEGIN(&f, "\0user\0word"), AUTH_FAILED);
	assert_slice(f.exchange.identity, "user");
	assert_slice(f.settled, "user");
	assert_false(f.settled_good);
	assert_int_equal(start(&f), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "");
	assert_int_equal(STEP(&f, "\0user\0pass"), AUTH_DONE);
	tear_down(&f);
}

static void test_an_empty_initial_response_is_one_empty_text(void **state)
{
	struct fixture f;
	(void)state;
	plain_with_condition(&f);
	assert_int_equal(BEGIN(&f, ""), AUTH_FAILED);
	assert_int_equal(f.exchange.value_count, 1);
	tear_down(&f);
}

static void login(struct fixture *f)
{
	set_up(f, "plaintext", "LOGIN");
	f->authenticator.server_prompts = program(f, "User Name : Password");
	f->authenticator.server_condition = program(f, "${if eq{$1/$auth2}{user/pass}}");
	f->authenticator.server_set_id = program(f, "$auth1");
	good_options(f);
}

static void test_login_sends_only_the_prompts_that_are_not_answered_yet(void **state)
{
	struct fixture f;
	(void)state;
	login(&f);
	assert_int_equal(start(&f), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "User Name");
	assert_int_equal(STEP(&f, "user"), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "Password");
	assert_int_equal(STEP(&f, "pass"), AUTH_DONE);
	assert_int_equal(BEGIN(&f, "user"), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "Password");
	assert_int_equal(STEP(&f, ""), AUTH_FAILED);
	assert_slice(f.exchange.identity, "user");
	assert_int_equal(BEGIN(&f, "user\0pass"), AUTH_DONE);
	tear_down(&f);
}

static void test_more_texts_than_there_are_numbers_are_dropped(void **state)
{
	struct fixture f;
	char many[100] = { 0 };
	(void)state;
	plain_with_condition(&f);
	assert_int_equal(begin(&f, slice_make(many, sizeof many)), AUTH_FAILED);
	assert_int_equal(f.exchange.value_count, EXPAND_NUMBERS - 1);
	tear_down(&f);
}

static void test_a_condition_that_is_neither_yes_nor_no_defers_with_its_text_for_the_client(void **state)
{
	struct fixture f;
	(void)state;
	login(&f);
	f.authenticator.server_condition = program(&f, "${if eq{$auth1}{x}{please wait}{${if eq{$auth1}{y}{1}fail}}}");
	assert_int_equal(BEGIN(&f, "x\0p"), AUTH_DEFERRED);
	assert_slice(f.exchange.client_text, "please wait");
	assert_string_equal(f.exchange.problem.text, "please wait");
	assert_int_equal(f.settled_count, 0);
	assert_int_equal(BEGIN(&f, "y\0p"), AUTH_DONE);
	assert_int_equal(BEGIN(&f, "z\0p"), AUTH_FAILED);
	f.authenticator.server_condition = program(&f, "${eval:1/0}");
	assert_int_equal(BEGIN(&f, "y\0p"), AUTH_DEFERRED);
	assert_slice(f.exchange.client_text, "");
	tear_down(&f);
}

static void test_an_identity_that_cannot_be_expanded_defers(void **state)
{
	struct fixture f;
	(void)state;
	plain_with_condition(&f);
	f.authenticator.server_set_id = program(&f, "${eval:1/0}");
	assert_int_equal(BEGIN(&f, "\0user\0pass"), AUTH_DEFERRED);
	tear_down(&f);
}

static void test_an_identity_is_printable(void **state)
{
	struct fixture f;
	(void)state;
	login(&f);
	f.authenticator.server_condition = program(&f, "true");
	assert_int_equal(BEGIN(&f, "a\r\nb\177\0p"), AUTH_DONE);
	assert_slice(f.exchange.identity, "a\\015\\012b\\177");
	tear_down(&f);
}

static void test_who_is_locked_out_is_not_let_in_with_the_right_password(void **state)
{
	struct fixture f;
	(void)state;
	plain_with_condition(&f);
	f.settle_says = AUTH_LOCKED;
	assert_int_equal(BEGIN(&f, "\0user\0pass"), AUTH_FAILED);
	assert_non_null(strstr(f.exchange.problem.text, "locked out"));
	tear_down(&f);
}

/* Otherwise whoever keeps the count from being asked may guess for nothing. */
static void test_wrong_and_right_passwords_get_one_answer_while_failures_cannot_be_counted(void **state)
{
	struct fixture f;
	(void)state;
	plain_with_condition(&f);
	f.settle_says = AUTH_LATER;
	assert_int_equal(BEGIN(&f, "\0user\0pass"), AUTH_DEFERRED);
	assert_int_equal(BEGIN(&f, "\0user\0word"), AUTH_DEFERRED);
	tear_down(&f);
}

static void test_built_in_users_are_asked_once_and_counted_there(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "plaintext", "PLAIN");
	f.authenticator.server_user_database = true;
	good_options(&f);
	assert_int_equal(BEGIN(&f, "\0tim\0tanstaaftanstaaf"), AUTH_DONE);
	assert_slice(f.exchange.identity, "tim@example.test");
	assert_int_equal(BEGIN(&f, "\0tim\0x"), AUTH_FAILED);
	assert_int_equal(f.settled_count, 0);
	assert_int_equal(BEGIN(&f, "\0later\0x"), AUTH_DEFERRED);
	assert_string_equal(f.exchange.problem.text, "the database is locked");
	assert_int_equal(BEGIN(&f, "\0locked\0x"), AUTH_FAILED);
	assert_non_null(strstr(f.exchange.problem.text, "locked out"));
	/* RFC 4616 §2: three texts, of which none may be missing. */
	assert_int_equal(BEGIN(&f, "tim\0tanstaaftanstaaf"), AUTH_FAILED);
	assert_int_equal(BEGIN(&f, "\0tim\0tanstaaftanstaaf\0x"), AUTH_FAILED);
	/* Nobody acts for others, unless a condition says so. */
	assert_int_equal(BEGIN(&f, "tim\0tim\0tanstaaftanstaaf"), AUTH_DONE);
	assert_int_equal(BEGIN(&f, "ann\0tim\0tanstaaftanstaaf"), AUTH_FAILED);
	f.authenticator.server_condition = program(&f, "${if eq{$auth1}{ann}}");
	assert_int_equal(BEGIN(&f, "ann\0tim\0tanstaaftanstaaf"), AUTH_DONE);
	assert_int_equal(BEGIN(&f, "bob\0tim\0tanstaaftanstaaf"), AUTH_FAILED);
	tear_down(&f);
	set_up(&f, "plaintext", "LOGIN");
	f.authenticator.server_user_database = true;
	assert_int_equal(start(&f), AUTH_CHALLENGE);
	assert_int_equal(STEP(&f, "tim"), AUTH_CHALLENGE);
	assert_int_equal(STEP(&f, "tanstaaftanstaaf"), AUTH_DONE);
	tear_down(&f);
}

static void test_a_plaintext_server_needs_something_that_decides(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "plaintext", "PLAIN");
	bad_options(&f, "server_condition");
	f.authenticator.server_user_database = true;
	good_options(&f);
	f.authenticator.public_name = SLICE("X-OTHER");
	bad_options(&f, "public_name");
	f.authenticator.public_name = SLICE("PL AIN");
	bad_options(&f, "public_name");
	tear_down(&f);
}

/* ---- CRAM-MD5 ---- */

static void test_cram_md5_is_as_in_rfc_2195(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "cram_md5", "CRAM-MD5");
	bad_options(&f, "server_secret");
	f.authenticator.server_secret = program(&f, "${if eq{$auth1}{tim}{tanstaaftanstaaf}fail}");
	f.authenticator.server_set_id = program(&f, "$auth1");
	good_options(&f);
	f.channel.nonce = SLICE("<1896.697170952@postoffice.reston.mci.net>");
	assert_int_equal(start(&f), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "<1896.697170952@postoffice.reston.mci.net>");
	assert_int_equal(STEP(&f, "tim b913a602c7eda7a495b4e6e7334d3890"), AUTH_DONE);
	assert_slice(f.exchange.identity, "tim");
	start(&f);
	assert_int_equal(STEP(&f, "tim b913a602c7eda7a495b4e6e7334d3891"), AUTH_FAILED);
	start(&f);
	assert_int_equal(STEP(&f, "tom b913a602c7eda7a495b4e6e7334d3890"), AUTH_FAILED);
	assert_slice(f.exchange.identity, "tom");
	start(&f);
	assert_int_equal(STEP(&f, "tim"), AUTH_FAILED);
	start(&f);
	assert_int_equal(STEP(&f, "tim b913a602c7eda7a495b4e6e7334d389"), AUTH_FAILED);
	assert_int_equal(BEGIN(&f, "tim"), AUTH_UNEXPECTED);
	tear_down(&f);
}

static void test_challenges_of_cram_md5_differ(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "cram_md5", "CRAM-MD5");
	assert_int_equal(start(&f), AUTH_CHALLENGE);
	struct slice first = arena_copy(&f.arena, f.exchange.challenge);
	assert_true(slice_ends_nocase(first, SLICE("@mx.example.test>")));
	start(&f);
	assert_false(slice_equal(first, f.exchange.challenge));
	tear_down(&f);
}

/* ---- SCRAM ---- */

#define SHA1_FIRST "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
#define SHA1_NONCE "fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"
#define SHA1_FINAL "c=biws,r=" SHA1_NONCE ",p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="

static void scram_sha1(struct fixture *f)
{
	set_up(f, "scram", "SCRAM-SHA-1");
	f->channel.nonce = SLICE("3rfcNHYJY1ZVvWVs7j");
	f->authenticator.server_password = program(f, "${if eq{$auth1}{user}{pencil}fail}");
	f->authenticator.server_scram_salt = program(f, "QSXCR+Q6sek8bf92");
	f->authenticator.server_set_id = program(f, "$auth1");
	good_options(f);
}

static void test_scram_sha_1_is_as_in_rfc_5802(void **state)
{
	struct fixture f;
	(void)state;
	scram_sha1(&f);
	assert_int_equal(BEGIN(&f, SHA1_FIRST), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "r=" SHA1_NONCE ",s=QSXCR+Q6sek8bf92,i=4096");
	assert_int_equal(STEP(&f, SHA1_FINAL), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=");
	assert_int_equal(STEP(&f, ""), AUTH_DONE);
	assert_slice(f.exchange.identity, "user");
	assert_int_equal(f.settled_count, 1);
	tear_down(&f);
}

static void test_scram_sha_256_is_as_in_rfc_7677_also_without_an_initial_response(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "scram", "SCRAM-SHA-256");
	f.channel.nonce = SLICE("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
	f.authenticator.server_password = program(&f, "pencil");
	f.authenticator.server_scram_salt = program(&f, "W22ZaJ0SNY7soEsUEjb6gQ==");
	assert_int_equal(start(&f), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "");
	assert_int_equal(STEP(&f, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge,
		     "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
	assert_int_equal(STEP(&f, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
				  "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
			 AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	assert_int_equal(STEP(&f, "x"), AUTH_FAILED);
	tear_down(&f);
}

/* RFC 5802's example again, by keys computed beforehand from its password and salt. */
static void test_scram_works_with_stored_keys_as_well(void **state)
{
	struct fixture f;
	(void)state;
	scram_sha1(&f);
	f.authenticator.server_password = NULL;
	f.authenticator.server_skey = program(&f, "6dlGYMOdZcOPutkcNY8U2g7vK9Y=");
	bad_options(&f, "server_skey");
	f.authenticator.server_key = program(&f, "D+CSWLOshSulAsxiupA+qs2/fTE=");
	good_options(&f);
	assert_int_equal(BEGIN(&f, SHA1_FIRST), AUTH_CHALLENGE);
	assert_int_equal(STEP(&f, SHA1_FINAL), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=");
	f.authenticator.server_key = program(&f, "D+CSWLOshSulAsxiupA+");
	assert_int_equal(BEGIN(&f, SHA1_FIRST), AUTH_DEFERRED);
	tear_down(&f);
}

static void test_keys_that_cannot_be_computed_now_defer_scram_and_who_is_locked_out_goes_on_as_nobody(void **state)
{
	struct fixture f;
	(void)state;
	scram_sha1(&f);
	f.authenticator.server_password = program(&f, "pencil");
	assert_int_equal(BEGIN(&f, "n,,n=later,r=fyko+d2lbbFgONRv9qkxdawL"), AUTH_DEFERRED);
	assert_string_equal(f.exchange.problem.text, "too many passwords are being checked");
	assert_int_equal(BEGIN(&f, "n,,n=locked,r=fyko+d2lbbFgONRv9qkxdawL"), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "r=" SHA1_NONCE ",s=QSXCR+Q6sek8bf92,i=4096");
	f.settle_says = AUTH_LOCKED;
	assert_int_equal(STEP(&f, SHA1_FINAL), AUTH_FAILED);
	assert_false(f.settled_good);
	f.world.derive = NULL;
	assert_int_equal(BEGIN(&f, SHA1_FIRST), AUTH_DEFERRED);
	tear_down(&f);
}

static void test_wrong_and_right_proofs_get_one_answer_while_failures_cannot_be_counted(void **state)
{
	static const char *const finals[] = { SHA1_FINAL, "c=biws,r=" SHA1_NONCE ",p=w0X8v3Bz2T0CJGbJQyF0X+HI4Ts=" };
	struct fixture f;
	(void)state;
	scram_sha1(&f);
	f.settle_says = AUTH_LATER;
	for (size_t i = 0; i < sizeof finals / sizeof *finals; i++) {
		assert_int_equal(BEGIN(&f, SHA1_FIRST), AUTH_CHALLENGE);
		assert_int_equal(auth_step(&f.exchange, slice_of(finals[i])), AUTH_DEFERRED);
		assert_slice(f.exchange.challenge, "");
	}
	tear_down(&f);
}

static void test_scram_with_a_wrong_proof_fails_without_the_servers_proof(void **state)
{
	static const char *const finals[] = {
		"c=biws,r=" SHA1_NONCE ",p=w0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", /* the proof */
		"c=biws,r=" SHA1_NONCE ",p=AAAA",
		"c=biws,r=" SHA1_NONCE ",p=!!!!",
		"c=biws,r=fyko+d2lbbFgONRv9qkxdawL,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", /* only its own nonce */
		"c=eSws,r=" SHA1_NONCE ",p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",          /* another header than in the first message */
		"c=biws,r=" SHA1_NONCE, "c=biws", "", "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
		"c=biws,r=" SHA1_NONCE ",p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=,x=y",
	};
	struct fixture f;
	(void)state;
	scram_sha1(&f);
	for (size_t i = 0; i < sizeof finals / sizeof *finals; i++) {
		assert_int_equal(BEGIN(&f, SHA1_FIRST), AUTH_CHALLENGE);
		assert_int_equal(auth_step(&f.exchange, slice_of(finals[i])), AUTH_FAILED);
		assert_slice(f.exchange.challenge, "");
		assert_slice(f.settled, "user");
		assert_false(f.settled_good);
	}
	tear_down(&f);
}

static void test_a_user_who_does_not_exist_is_told_only_by_the_proof(void **state)
{
	struct fixture f;
	(void)state;
	scram_sha1(&f);
	f.authenticator.server_scram_salt = NULL;
	assert_int_equal(BEGIN(&f, "n,,n=nobody,r=fyko+d2lbbFgONRv9qkxdawL"), AUTH_CHALLENGE);
	assert_true(slice_starts(f.exchange.challenge, SLICE("r=" SHA1_NONCE ",s=")));
	assert_int_equal(STEP(&f, SHA1_FINAL), AUTH_FAILED);
	assert_slice(f.settled, "nobody");
	tear_down(&f);
}

static void test_scram_asks_the_built_in_users(void **state)
{
	struct fixture f;
	struct slice stored, server;
	(void)state;
	scram_sha1(&f);
	f.authenticator.server_password = f.authenticator.server_scram_salt = NULL;
	f.authenticator.server_user_database = true;
	good_options(&f);
	assert_true(mail_base64_decode(SLICE("6dlGYMOdZcOPutkcNY8U2g7vK9Y="), &f.arena, &stored));
	assert_true(mail_base64_decode(SLICE("D+CSWLOshSulAsxiupA+qs2/fTE="), &f.arena, &server));
	assert_true(mail_base64_decode(SLICE("QSXCR+Q6sek8bf92"), &f.arena, &f.verifier.salt));
	memcpy(f.verifier.stored_key, stored.data, 20);
	memcpy(f.verifier.server_key, server.data, 20);
	f.verifier.iterations = 4096;
	assert_int_equal(BEGIN(&f, SHA1_FIRST), AUTH_CHALLENGE);
	assert_int_equal(STEP(&f, SHA1_FINAL), AUTH_CHALLENGE);
	assert_int_equal(STEP(&f, ""), AUTH_DONE);
	assert_true(f.settled_good);
	f.settle_says = AUTH_LOCKED;
	assert_int_equal(BEGIN(&f, SHA1_FIRST), AUTH_CHALLENGE);
	assert_int_equal(STEP(&f, SHA1_FINAL), AUTH_FAILED);
	tear_down(&f);
}

static void test_malformed_first_messages_of_scram_fail(void **state)
{
	static const char *const firsts[] = {
		"", "n", "n,", "n,,", "n,,n=user", "n,,n=,r=abc", "n,,n=user,r=", "n,,r=abc,n=user", "x,,n=user,r=abc", "nn,,n=user,r=abc",
		"n,x,n=user,r=abc", "n,a=,n=user,r=abc", "n,,n=us=er,r=abc", "n,,n=us=2cer,r=abc", "n,,n=user=,r=abc", "n,,n=user,r=a b",
		"n,,m=must,n=user,r=abc", "p=,,n=user,r=abc", "p=tls exporter,,n=user,r=abc", "n,,n=\xff,r=abc", "n,,n=user,r=\xc3\xa4",
	};
	struct fixture f;
	(void)state;
	scram_sha1(&f);
	for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++)
		if (begin(&f, slice_of(firsts[i])) != AUTH_FAILED || strcmp(f.exchange.problem.text, "malformed first message") != 0)
			fail_msg("\"%s\": %s", firsts[i], f.exchange.problem.text);
	assert_int_equal(BEGIN(&f, "n,,n=us\0er,r=abc"), AUTH_FAILED);
	/* Names with a comma and an equals sign; an extension that may be passed over. */
	f.authenticator.server_password = program(&f, "x");
	assert_int_equal(BEGIN(&f, "n,,n=a=2Cb=3Dc,r=abc,t=extension"), AUTH_CHALLENGE);
	assert_slice(f.exchange.values[1].text, "a,b=c");
	tear_down(&f);
}

static void test_acting_for_another_user_in_scram_needs_a_condition(void **state)
{
	struct fixture f;
	(void)state;
	scram_sha1(&f);
	assert_int_equal(BEGIN(&f, "n,a=user,n=user,r=abc"), AUTH_CHALLENGE);
	assert_int_equal(BEGIN(&f, "n,a=other,n=user,r=abc"), AUTH_FAILED);
	f.authenticator.server_condition = program(&f, "${if eq{$auth2}{other}}");
	assert_int_equal(BEGIN(&f, "n,a=other,n=user,r=abc"), AUTH_CHALLENGE);
	assert_slice(f.exchange.values[2].text, "other");
	tear_down(&f);
}

/* RFC 5802 §6. */
static void test_channel_binding_has_its_own_mechanisms_and_notices_meddling(void **state)
{
	struct fixture f;
	(void)state;
	scram_sha1(&f);
	f.channel.binding = binding;
	assert_false(auth_binds_channel(&f.authenticator));
	assert_int_equal(BEGIN(&f, "y,,n=user,r=abc"), AUTH_CHALLENGE);
	assert_int_equal(BEGIN(&f, "p=tls-exporter,,n=user,r=abc"), AUTH_FAILED);
	f.channel.plus_offered = true;
	assert_int_equal(BEGIN(&f, "y,,n=user,r=abc"), AUTH_FAILED);
	assert_int_equal(BEGIN(&f, "n,,n=user,r=abc"), AUTH_CHALLENGE);
	f.authenticator.public_name = SLICE("scram-sha-1-plus");
	assert_true(auth_binds_channel(&f.authenticator));
	assert_int_equal(BEGIN(&f, "n,,n=user,r=abc"), AUTH_FAILED);
	assert_int_equal(BEGIN(&f, "y,,n=user,r=abc"), AUTH_FAILED);
	assert_int_equal(BEGIN(&f, "p=tls-unique,,n=user,r=abc"), AUTH_FAILED);
	assert_int_equal(BEGIN(&f, "p=tls-server-end-point,,n=user,r=abc"), AUTH_FAILED);
	assert_int_equal(BEGIN(&f, "p=tls-exporter,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"), AUTH_CHALLENGE);
	/* The binding of another connection, whatever the proof. */
	assert_int_equal(STEP(&f, "c=cD10bHMtZXhwb3J0ZXIsLAE=,r=" SHA1_NONCE ",p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="), AUTH_FAILED);
	assert_string_equal(f.exchange.problem.text, "the client is in another TLS connection");
	f.channel.binding = NULL;
	assert_int_equal(BEGIN(&f, "p=tls-exporter,,n=user,r=abc"), AUTH_FAILED);
	tear_down(&f);
}

static void test_scram_options_must_give_a_verifier(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "scram", "SCRAM-SHA-512");
	bad_options(&f, "public_name");
	f.authenticator.server_mech = SLICE("SCRAM-MD5");
	bad_options(&f, "server_mech");
	f.authenticator.server_mech = SLICE("SCRAM-SHA-256");
	bad_options(&f, "server_password");
	f.authenticator.server_password = program(&f, "x");
	good_options(&f);
	f.authenticator.server_scram_iter = program(&f, "4095");
	assert_int_equal(BEGIN(&f, SHA1_FIRST), AUTH_DEFERRED);
	f.authenticator.server_scram_iter = program(&f, "1000001");
	assert_int_equal(BEGIN(&f, SHA1_FIRST), AUTH_DEFERRED);
	f.authenticator.server_scram_iter = program(&f, " 5000 ");
	assert_int_equal(BEGIN(&f, SHA1_FIRST), AUTH_CHALLENGE);
	assert_true(slice_ends_nocase(f.exchange.challenge, SLICE(",i=5000")));
	tear_down(&f);
}

/* ---- external, tls ---- */

static void test_external_puts_the_identity_before_its_parameters(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "external", "EXTERNAL");
	bad_options(&f, "server_condition");
	f.authenticator.server_params[1] = program(&f, "ann:bob");
	f.authenticator.server_condition = program(&f, "${if forany{$auth2}{eq{$item}{$auth1}}}");
	f.authenticator.server_set_id = program(&f, "$auth1");
	good_options(&f);
	assert_false(auth_is_implicit(&f.authenticator));
	assert_int_equal(BEGIN(&f, "bob"), AUTH_DONE);
	assert_slice(f.exchange.identity, "bob");
	assert_int_equal(BEGIN(&f, "eve"), AUTH_FAILED);
	assert_int_equal(BEGIN(&f, "bob\0x"), AUTH_FAILED);
	assert_int_equal(start(&f), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "");
	assert_int_equal(STEP(&f, "ann"), AUTH_DONE);
	f.authenticator.server_params[1] = program(&f, "${if eq{1}{2}{x}fail}");
	assert_int_equal(BEGIN(&f, "bob"), AUTH_FAILED);
	f.authenticator.server_params[1] = program(&f, "${eval:1/0}");
	assert_int_equal(BEGIN(&f, "bob"), AUTH_DEFERRED);
	tear_down(&f);
}

static void test_tls_needs_no_client(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "tls", "tls");
	f.authenticator.server_params[0] = program(&f, "one");
	f.authenticator.server_params[2] = program(&f, "three");
	f.authenticator.server_condition = program(&f, "${if eq{$auth1/$auth2/$auth3}{one//three}}");
	good_options(&f);
	assert_true(auth_is_implicit(&f.authenticator));
	assert_int_equal(start(&f), AUTH_DONE);
	tear_down(&f);
}

static void test_dovecot_decides_and_gives_the_users_name(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "dovecot", "LOGIN");
	bad_options(&f, "server_socket");
	f.authenticator.server_socket = SLICE("/run/dovecot/auth-client");
	good_options(&f);
	assert_int_equal(BEGIN(&f, "right"), AUTH_DONE);
	assert_slice(f.exchange.identity, "anna@example.test");
	assert_true(f.settled_good);
	f.authenticator.server_set_id = program(&f, "<$auth1>");
	assert_int_equal(start(&f), AUTH_CHALLENGE);
	assert_slice(f.exchange.challenge, "who?");
	assert_int_equal(STEP(&f, "wrong"), AUTH_FAILED);
	assert_slice(f.exchange.identity, "<anna@example.test>");
	assert_false(f.settled_good);
	f.settled_count = 0;
	assert_int_equal(BEGIN(&f, "later"), AUTH_DEFERRED);
	assert_string_equal(f.exchange.problem.text, "it has gone");
	assert_int_equal(f.settled_count, 0);
	f.authenticator.server_condition = program(&f, "false");
	assert_int_equal(BEGIN(&f, "right"), AUTH_FAILED);
	tear_down(&f);
	assert_int_equal(f.dropped, 0);
}

static void test_an_exchange_that_ends_early_is_dropped_at_dovecot(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f, "dovecot", "LOGIN");
	f.authenticator.server_socket = SLICE("/run/dovecot/auth-client");
	assert_int_equal(start(&f), AUTH_CHALLENGE);
	auth_end(&f.exchange);
	assert_int_equal(f.dropped, 17);
	f.dropped = 0;
	auth_end(&f.exchange);
	assert_int_equal(f.dropped, 0);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_takes_its_texts_from_the_initial_response_or_behind_an_empty_prompt),
		cmocka_unit_test(test_an_empty_initial_response_is_one_empty_text),
		cmocka_unit_test(test_login_sends_only_the_prompts_that_are_not_answered_yet),
		cmocka_unit_test(test_more_texts_than_there_are_numbers_are_dropped),
		cmocka_unit_test(test_a_condition_that_is_neither_yes_nor_no_defers_with_its_text_for_the_client),
		cmocka_unit_test(test_an_identity_that_cannot_be_expanded_defers),
		cmocka_unit_test(test_an_identity_is_printable),
		cmocka_unit_test(test_who_is_locked_out_is_not_let_in_with_the_right_password),
		cmocka_unit_test(test_wrong_and_right_passwords_get_one_answer_while_failures_cannot_be_counted),
		cmocka_unit_test(test_built_in_users_are_asked_once_and_counted_there),
		cmocka_unit_test(test_a_plaintext_server_needs_something_that_decides),
		cmocka_unit_test(test_cram_md5_is_as_in_rfc_2195),
		cmocka_unit_test(test_challenges_of_cram_md5_differ),
		cmocka_unit_test(test_scram_sha_1_is_as_in_rfc_5802),
		cmocka_unit_test(test_scram_sha_256_is_as_in_rfc_7677_also_without_an_initial_response),
		cmocka_unit_test(test_scram_works_with_stored_keys_as_well),
		cmocka_unit_test(test_keys_that_cannot_be_computed_now_defer_scram_and_who_is_locked_out_goes_on_as_nobody),
		cmocka_unit_test(test_wrong_and_right_proofs_get_one_answer_while_failures_cannot_be_counted),
		cmocka_unit_test(test_scram_with_a_wrong_proof_fails_without_the_servers_proof),
		cmocka_unit_test(test_a_user_who_does_not_exist_is_told_only_by_the_proof),
		cmocka_unit_test(test_scram_asks_the_built_in_users),
		cmocka_unit_test(test_malformed_first_messages_of_scram_fail),
		cmocka_unit_test(test_acting_for_another_user_in_scram_needs_a_condition),
		cmocka_unit_test(test_channel_binding_has_its_own_mechanisms_and_notices_meddling),
		cmocka_unit_test(test_scram_options_must_give_a_verifier),
		cmocka_unit_test(test_external_puts_the_identity_before_its_parameters),
		cmocka_unit_test(test_tls_needs_no_client),
		cmocka_unit_test(test_dovecot_decides_and_gives_the_users_name),
		cmocka_unit_test(test_an_exchange_that_ends_early_is_dropped_at_dovecot),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
