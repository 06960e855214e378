/* SPDX-License-Identifier: ISC */
/*
 * SMTP authentication as a server (RFC 4954, RFC 4422; Exim's manual, chapters 33 to 42): authenticators as the configuration has
 * them, and an exchange with a client as a machine without sockets. A driver turns the client's bytes into challenges and, in the
 * end, an outcome; base64, lines and SMTP codes are the protocol core's.
 *
 *	auth_begin --auth_start(initial response)--> AUTH_CHALLENGE --auth_step(response)--> AUTH_CHALLENGE ...
 *	                                        \--> any other outcome: the exchange is over          \--> any other outcome
 *
 * What a driver needs of the world it asks through struct auth_world (users and their failures, kept by the lookup role) and
 * through the expansion context (lookups in server_condition). Both may make the task wait.
 *
 * Ownership. Everything of an exchange, secrets too, lies in its own arena, which auth_end overwrites. Texts that outlive it
 * (identity, reason) are copied by the caller before that. Authenticators belong to the configuration and never change.
 *
 * Invariants: an exchange takes at most AUTH_STEPS_MAX responses of AUTH_DATA_MAX bytes; after an outcome other than AUTH_CHALLENGE
 * it takes none. Nothing of a client's secret is in a reason or any other text that may be logged.
 */
#ifndef POSTERN_AUTH_AUTH_H
#define POSTERN_AUTH_AUTH_H

#include "base/arena.h"
#include "base/error.h"
#include "expand/expand.h"

enum {
	AUTH_DATA_MAX = 9216,   /* bytes of one response: 12288 characters of base64 (RFC 4954 §4) */
	AUTH_STEPS_MAX = 20,    /* responses of one exchange */
	AUTH_VALUES_MAX = 4,    /* $auth1 to $auth4 */
	AUTH_KEY_MAX = 32,      /* bytes of the longest hash of SCRAM */
	AUTH_SALT_MAX = 256,    /* bytes */
	AUTH_DERIVE_MAX = 1000000, /* iterations of SCRAM's keys, where they are computed for a login: half a second */
};

/* ---- The world: users, and what is known of failures ---- */

enum auth_verdict {
	AUTH_YES,
	AUTH_NO,
	AUTH_LOCKED, /* too many failures of this user, or from this network */
	AUTH_LATER,  /* it cannot be told now: *error says why */
};

enum auth_hash { AUTH_SHA1, AUTH_SHA256 };

/* What comes of a step of an exchange. */
enum auth_outcome {
	AUTH_CHALLENGE,  /* send `challenge`, and give auth_step what comes back */
	AUTH_DONE,       /* 235 */
	AUTH_FAILED,     /* 535 */
	AUTH_DEFERRED,   /* 435 */
	AUTH_UNEXPECTED, /* 553: the mechanism begins with a challenge, but there was an initial response */
};

struct authenticator;

/* What a server keeps of a password for SCRAM (RFC 5802 §3): it proves nothing to another server. */
struct auth_verifier {
	struct slice salt;                    /* bytes; at most AUTH_SALT_MAX */
	uint32_t iterations;
	unsigned char stored_key[AUTH_KEY_MAX], server_key[AUTH_KEY_MAX]; /* 20 bytes of SHA-1, 32 of SHA-256 */
};

/*
 * Users of the built-in database, and the count of failures for all authenticators. The client's address and whether it uses TLS are
 * known to the owner. Functions may wait; results lie in `arena`, which is overwritten when the exchange ends. A failure is delayed
 * inside of these functions, and nobody learns from the time of an answer whether there is such a user.
 */
struct auth_world {
	void *owner;
	/*
	 * Whether that is the user's password. AUTH_YES: *identity_r is the user's name as the database has it. The try is counted, so
	 * `settle` is not called for it.
	 */
	enum auth_verdict (*check_password)(void *owner, struct slice user, struct slice password, struct arena *arena,
					    struct slice *identity_r, struct error *error);
	/*
	 * The user's verifier for SCRAM. AUTH_YES also for a user who does not exist, with a verifier that no password fits and that is the
	 * same each time. AUTH_NO: the user cannot use this hash, which is no secret. *identity_r as above.
	 */
	enum auth_verdict (*find_verifier)(void *owner, struct slice user, enum auth_hash hash, struct arena *arena,
					   struct auth_verifier *verifier_r, struct slice *identity_r, struct error *error);
	/*
	 * Computes the keys of *verifier, whose salt and iterations (AUTH_DERIVE_MAX at most) are given, from a password, which takes long. `user` is
	 * who tries. Not AUTH_NO.
	 */
	enum auth_verdict (*derive)(void *owner, struct slice user, struct slice password, enum auth_hash hash,
				    struct auth_verifier *verifier, struct error *error);
	/*
	 * What came of a try that check_password did not see: a proof of SCRAM, a server_condition. `user`: as whom, which may be empty.
	 * A failure is counted and delayed. The answer is AUTH_YES only for `good`, and AUTH_LOCKED also then, where there were
	 * too many failures before. AUTH_LATER: it could not be counted, and the exchange is deferred whatever its outcome. NULL: nothing
	 * is counted.
	 */
	enum auth_verdict (*settle)(void *owner, struct slice user, bool good, struct error *error);
	/*
	 * A step of an exchange that a Dovecot server decides. *dialogue: 0 for the first (then `response` may be NULL: the client said
	 * nothing yet); its number after AUTH_CHALLENGE, whose bytes are in *text_r, and 0 again after all else. AUTH_DONE: *text_r is the
	 * user's name; AUTH_FAILED: also, or empty; AUTH_DEFERRED: *error. NULL: there is no way to such a server.
	 */
	enum auth_outcome (*ask_dovecot)(void *owner, const struct authenticator *authenticator, const struct slice *response,
					 uint64_t *dialogue, struct arena *arena, struct slice *text_r, struct error *error);
	/* An exchange ends in the middle. Does not wait. */
	void (*drop_dovecot)(void *owner, uint64_t dialogue);
};

/* ---- Authenticators, as the configuration has them ---- */

struct auth_driver;

/* One for all drivers: options that a driver does not have stay unset. Programs are NULL when unset. */
struct authenticator {
	struct slice name;        /* of the instance: $sender_host_authenticated, A= in the log */
	struct slice public_name; /* of the mechanism: "PLAIN" */
	const struct auth_driver *driver;
	const struct expand_program *server_advertise_condition, *server_condition, *server_set_id, *server_debug_print;
	const struct expand_program *server_mail_auth_condition;
	bool server_user_database;                     /* plaintext, scram: the built-in users decide */
	const struct expand_program *server_prompts;   /* plaintext: a list */
	const struct expand_program *server_secret;    /* cram_md5 */
	struct slice server_mech;                      /* scram: "SCRAM-SHA-256"; empty: public_name */
	const struct expand_program *server_password, *server_scram_iter, *server_scram_salt, *server_skey, *server_key; /* scram */
	const struct expand_program *server_params[3]; /* external (without the first), tls: $auth1 to $auth3 */
	struct slice server_socket;                    /* dovecot: an absolute path, */
	int64_t server_timeout;                        /* and ns for each answer from there */
};

/* NULL: there is no such driver. */
const struct auth_driver *auth_driver_find(struct slice name);
/* Whether the options that are set make a working server. False with *error: what is missing, and the option's name in *option_r. */
bool auth_check(const struct authenticator *authenticator, const char **option_r, struct error *error);
/* Not for the AUTH command: run when TLS begins (driver tls). */
bool auth_is_implicit(const struct authenticator *authenticator);
/* Binds to the TLS channel (SCRAM-...-PLUS), so it is of no use without one. */
bool auth_binds_channel(const struct authenticator *authenticator);

/* ---- An exchange ---- */

/* Channel bindings that exist (RFC 9266; RFC 5929 §4). */
enum auth_binding { AUTH_BINDING_EXPORTER, AUTH_BINDING_SERVER_END_POINT };

/* What an exchange is told of the connection. Outlives it. */
struct auth_channel {
	void *owner;
	struct slice hostname; /* for challenges */
	bool plus_offered;     /* the client was offered a mechanism that binds to the channel */
	/* The binding's data, in `arena`. NULL, or false: there is none. */
	bool (*binding)(void *owner, enum auth_binding kind, struct arena *arena, struct slice *data_r);
	/* Where server_debug_print goes; NULL: nowhere. The text may hold the client's secrets, if the configuration says so. */
	void (*debug)(void *owner, struct slice text);
	struct slice nonce;    /* for tests: in place of a random one */
};

/* Read what stands above `state`; the rest is the drivers'. */
struct auth_exchange {
	const struct authenticator *authenticator;
	struct slice challenge;   /* AUTH_CHALLENGE: bytes for the client, before base64 */
	struct slice identity;    /* of all other outcomes: as whom, printable; may be empty */
	struct slice client_text; /* AUTH_DEFERRED: what the configuration wants the client to be told; empty: nothing */
	struct error problem;     /* for the log: why; text empty: there is nothing to say beyond the outcome */
	void *state;
	const struct auth_world *world;
	const struct auth_channel *channel;
	struct expand_context context;
	struct expand_value values[EXPAND_NUMBERS]; /* $1 and so on, from 1; the first four are $auth1 to $auth4 */
	size_t value_count;
	struct slice user;        /* as the database has it */
	unsigned steps;
	bool counted;             /* check_password has counted this try */
	bool finished;            /* the outcome stands, only its last challenge had to be answered */
	bool over;
	struct arena arena;
};

/*
 * Begins one. `context`: of the session's expansions; it is copied, and its `named` gives $auth1 and so on through auth_value. `world` may be
 * NULL where no authenticator has server_user_database and nothing is counted.
 */
void auth_begin(struct auth_exchange *exchange, const struct authenticator *authenticator, const struct auth_channel *channel,
		const struct auth_world *world, const struct expand_context *context);
/* `initial`: the initial response (RFC 4954 §4), decoded; NULL when there was none, which differs from an empty one. */
enum auth_outcome auth_start(struct auth_exchange *exchange, const struct slice *initial);
enum auth_outcome auth_step(struct auth_exchange *exchange, struct slice response);
/* Overwrites and frees all of it; also in the middle of an exchange, and twice. */
void auth_end(struct auth_exchange *exchange);

/* The value of $authN, `name` being "N". NULL: no exchange is under way. */
bool auth_value(const struct auth_exchange *exchange, struct slice name, struct expand_value *value_r);
/* What a condition that is a text has for no: nothing, "0", "no", "false". */
bool auth_says_no(struct slice text);
/* Expands server_mail_auth_condition; true when there is none. False: the authenticated sender is not to be believed. */
bool auth_mail_condition(const struct authenticator *authenticator, const struct expand_context *context, struct arena *arena);

#endif
