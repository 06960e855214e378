/* SPDX-License-Identifier: ISC */
/*
 * Passwords as they are stored: a hash that takes time and memory to compute (yescrypt, or argon2id), and verifiers for SCRAM. Passwords of
 * applications are random, so that a quick digest with a salt is as good for them. All are in the form that users_password gives.
 *
 * Every function may run on an offload thread, overwrites what it computed, and takes the same time wherever texts differ.
 */
#ifndef POSTERN_USERS_PASSWORD_H
#define POSTERN_USERS_PASSWORD_H

#include "auth/auth.h"
#include "base/error.h"

enum password_scheme { PASSWORD_YESCRYPT, PASSWORD_ARGON2ID };

enum {
	PASSWORD_HASH_MAX = 384,      /* bytes of a hash with its NUL */
	PASSWORD_ITERATIONS = 32768,  /* of SCRAM's verifiers; RFC 7677 §4 asks for 4096 at least */
	PASSWORD_SALT = 16,           /* bytes of salts made here */
	PASSWORD_RANDOM_MAX = 32,     /* bytes of a random password with its NUL */
	PASSWORD_DIGEST = 32,
};

/* A new salt each time. Ends the process where the system has no randomness. */
void password_hash(struct slice password, enum password_scheme scheme, char hash_r[PASSWORD_HASH_MAX]);
/*
 * Whether that is the password of the hash: of argon2id, or any that crypt(3) knows ("$y$", "$6$", ...). A hash of an unknown method fits no
 * password.
 */
bool password_matches(struct slice password, struct slice hash);
/* Whether the text is a hash of a method that can be computed here. */
bool password_hash_is_known(struct slice hash);
/* "yescrypt", "argon2id", "sha512crypt", or "crypt" for others. */
const char *password_method(struct slice hash);

/* What a server keeps for SCRAM (RFC 5802 §3). The salt is the caller's, of verifier->salt. */
void password_verifier(struct slice password, enum auth_hash hash, struct auth_verifier *verifier);
size_t password_key_size(enum auth_hash hash);
/*
 * A verifier that no password fits, always the same for a name and a secret, and like one that was made here: for users who do not exist
 * (RFC 5802 §9 has what a server may give away).
 */
void password_false_verifier(struct slice name, enum auth_hash hash, const void *secret, size_t secret_size, struct arena *arena,
			     struct auth_verifier *verifier_r);

/* A random password of 120 bits: "abcd-efgh-ijkl-mnop-qrst-uvwx" without letters that look alike. */
void password_random(char out_r[PASSWORD_RANDOM_MAX]);
/* The digest under which a random password is stored. */
void password_digest(struct slice password, const unsigned char salt[PASSWORD_SALT], unsigned char digest_r[PASSWORD_DIGEST]);

#endif
