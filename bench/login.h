/* SPDX-License-Identifier: ISC */
/*
 * A client's side of AUTH PLAIN and SCRAM-SHA-256 (RFC 4616, RFC 7677), as texts: lines to send for lines that came. For load.c. What is computed
 * of a password is kept for the next login with the same salt and iterations, so that the hash is the server's work alone.
 */
#ifndef BENCH_LOGIN_H
#define BENCH_LOGIN_H

#include <stdbool.h>

enum { LOGIN_LINE = 1024 };

struct login {
	bool scram;
	const char *user, *password;
	int step;
	char first_bare[128], nonce[64], server_signature[64];
	/* Of the salt and iterations that came last; stay over logins. */
	char salt_and_iterations[256];
	unsigned char client_key[32], stored_key[32], server_key[32];
};

/* The AUTH command for the next login, with its CRLF. */
void login_begin(struct login *login, char line[LOGIN_LINE]);
/* The line that answers a challenge (without its "334 "); false: the server's message is not right. */
bool login_answer(struct login *login, const char *challenge, char line[LOGIN_LINE]);

#endif
