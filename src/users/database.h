/* SPDX-License-Identifier: ISC */
/*
 * The database of users: one SQLite file, which `postern user` writes and the lookup role reads. It holds what proves passwords (a hash,
 * verifiers for SCRAM, digests of application passwords), and no password.
 *
 *	user ──┬── verifier      one a hash of SCRAM
 *	       └── app_password  any number up to USERS_APP_PASSWORDS_MAX, each with a name of its own
 *
 * A writer holds SQLite's lock for one transaction, synced to the disk before it ends; readers wait for it, up to USERS_LOCK_WAIT. The
 * journal is a rollback journal: one who may only read the file needs nothing else.
 *
 * All functions block, and one connection is used by one thread at a time. Texts that are given back lie in the arena. False: *error says
 * why; ERROR_TEMPORARY where it may go away by itself (a lock, a file that is being replaced).
 */
#ifndef POSTERN_USERS_DATABASE_H
#define POSTERN_USERS_DATABASE_H

#include "users/password.h"

enum { USERS_LOCK_WAIT = 2000 /* ms */, USERS_APP_PASSWORDS_MAX = 50, USERS_SECRET = 32 };

struct users_database;

struct users_app_password {
	struct slice name;
	struct slice service; /* "smtp", ...; empty: any */
	int64_t created;      /* seconds since the epoch */
	unsigned char salt[PASSWORD_SALT], digest[PASSWORD_DIGEST];
};

struct users_user {
	struct slice name, hash;
	bool disabled;
	int64_t created, changed; /* seconds since the epoch; `changed`: the password was set */
	bool verifier[2];         /* by enum auth_hash: there is one */
	size_t app_password_count;
};

/* Opens one that is there, to read only. */
struct users_database *users_open(const char *path, struct error *error);
/* Opens one to write, or makes it, with this mode and group ((gid_t)-1: as it comes). */
struct users_database *users_open_to_write(const char *path, unsigned mode, gid_t group, struct error *error);
/* Clears the pointer; NULL is allowed. */
void users_close(struct users_database **database);
/* Whether another file has the name now: then the connection is of no use any more. */
bool users_was_replaced(const struct users_database *database);

/* ---- Reading ---- */

bool users_find(struct users_database *database, struct slice name, struct arena *arena, struct users_user *user_r, bool *found_r,
		struct error *error);
/* Of a user who is not there: none. */
bool users_app_passwords(struct users_database *database, struct slice name, struct arena *arena, struct users_app_password **items_r,
			 size_t *count_r, struct error *error);
bool users_find_verifier(struct users_database *database, struct slice name, enum auth_hash hash, struct arena *arena,
			 struct auth_verifier *verifier_r, bool *found_r, struct error *error);
/* Made with the database and never changed: from it comes what is shown of users who do not exist. */
bool users_secret(struct users_database *database, unsigned char secret_r[USERS_SECRET], struct error *error);
/* Calls `each` for every user in the order of their names, until it returns false. The texts are valid during the call. */
bool users_each(struct users_database *database, bool (*each)(void *owner, const struct users_user *user), void *owner,
		struct error *error);

/* ---- Writing: each is one transaction ---- */

/*
 * What proves a password: the hash, and verifiers by enum auth_hash (salt.len 0: none). `fresh`: the user must not be there yet, otherwise he
 * must. Application passwords stay.
 */
struct users_proof {
	struct slice hash;
	struct auth_verifier verifiers[2];
};
bool users_set_proof(struct users_database *database, struct slice name, const struct users_proof *proof, bool fresh, struct error *error);
bool users_set_disabled(struct users_database *database, struct slice name, bool disabled, struct error *error);
bool users_remove(struct users_database *database, struct slice name, struct error *error);
bool users_add_app_password(struct users_database *database, struct slice name, const struct users_app_password *item,
			    struct error *error);
bool users_remove_app_password(struct users_database *database, struct slice name, struct slice item, struct error *error);

#endif
