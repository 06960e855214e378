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
};

/* ---- The world: users, and what is known of failures ---- */

enum auth_verdict {
	AUTH_YES,
	AUTH_NO,
	AUTH_LOCKED, /* too many failures of this user, or from this network */
	AUTH_LATER,  /* it cannot be told now: *error says why */
};

enum auth_hash { AUTH_SHA1, AUTH_SHA256 };

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
	 * What came of a try that check_password did not see: a proof of SCRAM, a server_condition. `user`: as whom, which may be empty.
	 * A failure is counted and delayed. The answer is AUTH_YES only for `good`, and AUTH_LOCKED also then, where there were
	 * too many failures before. NULL: nothing is counted.
	 */
	enum auth_verdict (*settle)(void *owner, struct slice user, bool good, struct error *error);
};

#endif
