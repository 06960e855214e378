/* SPDX-License-Identifier: ISC */
/* Where `postern user` has its passwords from. */
#include "cli/user_command.h"

#include "base/fatal.h"
#include "users/names.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/ui.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_ = USERS_PASSWORD_MAX + 2 }; /* with its line end */

static bool read_terminal(char *line, size_t *len_r, struct error *error)
{
	char text[USERS_PASSWORD_MAX + 1];
	int result = UI_UTIL_read_pw_string(text, sizeof text, "Password: ", 1);
	if (result != 0)
		error_set(error, ERROR_USAGE, "%s", result == -2 ? "interrupted; nothing was changed" :
			  "the two passwords are not the same, or none could be read; nothing was changed");
	else
		memcpy(line, text, *len_r = strlen(text));
	OPENSSL_cleanse(text, sizeof text);
	return result == 0;
}

/* The first line; what follows it is an error, for it may be a second password that somebody meant. */
static bool read_input(char *line, size_t *len_r, struct error *error)
{
	size_t len = 0;
	for (;;) {
		ssize_t n = read(STDIN_FILENO, line + len, LINE_MAX_ - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(error, errno, "reading the password from standard input");
		len += (size_t)n;
		if (n == 0 || len == LINE_MAX_)
			break;
	}
	struct slice text = slice_make(line, len);
	size_t end = slice_find(text, '\n');
	if (len == LINE_MAX_)
		return error_set(error, ERROR_USAGE, "the password has more than %d bytes", USERS_PASSWORD_MAX);
	if (end + 1 < len)
		return error_set(error, ERROR_USAGE, "expected one line on standard input, the password");
	*len_r = end && line[end - 1] == '\r' ? end - 1 : end;
	return true;
}

static bool take_hash(struct slice text, struct arena *arena, struct users_proof *proof, struct error *error)
{
	if (!password_hash_is_known(text))
		return error_set(error, ERROR_USAGE, "expected a hash of crypt(3) or of argon2id, such as one that begins with $y$ or $6$");
	proof->hash = arena_copy(arena, text);
	return true;
}

static void make_proof(struct slice password, enum password_scheme scheme, struct arena *arena, struct users_proof *proof)
{
	char *hash = arena_alloc(arena, PASSWORD_HASH_MAX);
	password_hash(password, scheme, hash);
	proof->hash = slice_of(hash);
	for (enum auth_hash i = AUTH_SHA1; i <= AUTH_SHA256; i++) {
		unsigned char *salt = arena_alloc(arena, PASSWORD_SALT);
		if (RAND_bytes(salt, PASSWORD_SALT) != 1)
			fatal("no random bytes can be had");
		proof->verifiers[i] = (struct auth_verifier){ .salt = slice_make(salt, PASSWORD_SALT), .iterations = PASSWORD_ITERATIONS };
		password_verifier(password, i, &proof->verifiers[i]);
	}
}

bool user_read_proof(struct slice name, const struct user_storing *storing, struct arena *arena, struct users_proof *proof_r,
		     struct error *error)
{
	char line[LINE_MAX_];
	size_t len = 0;
	bool terminal = isatty(STDIN_FILENO);
	struct slice password = { 0 };
	*proof_r = (struct users_proof){ 0 };
	if (terminal)
		fprintf(stderr, "A %s for %.*s\n", storing->hashed ? "hash" : "password", SLICE_ARG(name));
	bool good = terminal ? read_terminal(line, &len, error) : read_input(line, &len, error);
	if (good && storing->hashed)
		good = take_hash(slice_make(line, len), arena, proof_r, error);
	else if (good && (good = users_password(slice_make(line, len), arena, &password, error)))
		make_proof(password, storing->scheme, arena, proof_r);
	if (password.len)
		OPENSSL_cleanse((char *)(uintptr_t)password.data, password.len);
	OPENSSL_cleanse(line, sizeof line);
	return good;
}
