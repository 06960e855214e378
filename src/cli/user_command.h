/* SPDX-License-Identifier: ISC */
/* What the files of `postern user` share; nobody else includes this. */
#ifndef POSTERN_CLI_USER_COMMAND_H
#define POSTERN_CLI_USER_COMMAND_H

#include "base/buf.h"
#include "users/database.h"

/* How a password is to be stored. */
struct user_storing {
	enum password_scheme scheme;
	bool hashed; /* what is read is a hash already */
};

/*
 * Reads a password: from the terminal, twice and without echo, or a line of standard input where that is no terminal; and makes from it what
 * proves it. Memory is of the arena. False with *error; nothing of the password is left anywhere.
 */
bool user_read_proof(struct slice name, const struct user_storing *storing, struct arena *arena, struct users_proof *proof_r,
		     struct error *error);

/* Lists to standard output. False with *error. */
bool user_list(struct users_database *database, bool json, struct error *error);
bool user_list_app_passwords(struct users_database *database, struct slice name, bool json, struct arena *arena, struct error *error);

#endif
