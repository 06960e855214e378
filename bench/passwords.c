/* SPDX-License-Identifier: ISC */
/*
 * passwords [SECONDS]: what a login costs, and what it need not cost. Hashes a second of each method on one thread; and the digest by
 * which an outcome is remembered (role/passwords.c), with the ratio of the two.
 */
#include "base/clock.h"
#include "base/fatal.h"
#include "users/password.h"
#include "users/stamps.h"

#include <stdio.h>

static double seconds = 2;

static double rate(void (*once)(void *arg), void *arg)
{
	int64_t began = clock_now(), end = began + (int64_t)(seconds * (double)CLOCK_SECOND);
	unsigned count = 0;
	do {
		once(arg);
		count++;
	} while (clock_now() < end);
	return count / ((double)(clock_now() - began) / (double)CLOCK_SECOND);
}

static void compare(void *hash)
{
	ensure(!password_matches(SLICE("another password"), slice_of(hash)));
}

static void derive(void *verifier)
{
	password_verifier(SLICE("a password"), AUTH_SHA256, verifier);
}

static void look_up(void *stamps)
{
	static const unsigned char key[STAMPS_SECRET] = { 1 };
	struct slice texts[] = { SLICE("anna@example.org"), SLICE("a password"),
				 SLICE("$y$j9T$abcdefghijklmnopqrstuv$abcdefghijklmnopqrstuvabcdefghijklmnopqrstu"), SLICE("") };
	for (int i = 0; i < 100; i++)
		ensure(stamps_get(stamps, stamp_key(key, texts, 4)) == 0);
}

int main(int argc, char **argv)
{
	static struct stamp items[16 * 1024];
	struct stamps stamps = { items, sizeof items / sizeof *items };
	char yescrypt[PASSWORD_HASH_MAX], argon2[PASSWORD_HASH_MAX];
	struct auth_verifier verifier = { .salt = SLICE("0123456789abcdef"), .iterations = PASSWORD_ITERATIONS };
	uint64_t given;
	if (argc > 1 && slice_parse_u64(slice_of(argv[1]), 600, &given) && given)
		seconds = (double)given;
	password_hash(SLICE("a password"), PASSWORD_YESCRYPT, yescrypt);
	password_hash(SLICE("a password"), PASSWORD_ARGON2ID, argon2);
	double slow = rate(compare, yescrypt), quick = 100 * rate(look_up, &stamps);
	printf("yescrypt            %10.1f a second\n", slow);
	printf("argon2id            %10.1f a second\n", rate(compare, argon2));
	printf("SCRAM-SHA-256       %10.1f verifiers a second\n", rate(derive, &verifier));
	printf("remembered          %10.1f a second, %.0f times yescrypt\n", quick, quick / slow);
	return 0;
}
