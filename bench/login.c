/* SPDX-License-Identifier: ISC */
#include "login.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void encode(const void *bytes, size_t size, char *out)
{
	EVP_EncodeBlock((unsigned char *)out, bytes, (int)size);
}

/* The bytes, with a NUL behind them; -1: no base64. `out` has room for as many as `text` has characters, and one. */
static int decode(const char *text, unsigned char *out)
{
	size_t length = strlen(text);
	int size = length % 4 ? -1 : EVP_DecodeBlock(out, (const unsigned char *)text, (int)length);
	for (size_t i = length; size > 0 && i > 0 && text[i - 1] == '='; i--)
		size--;
	if (size >= 0)
		out[size] = '\0';
	return size;
}

static void sign(const unsigned char key[32], const char *text, unsigned char out[32])
{
	HMAC(EVP_sha256(), key, 32, (const unsigned char *)text, strlen(text), out, NULL);
}

/* RFC 5802 §3, once for a salt. */
static void derive(struct login *login, const char *salt, int iterations)
{
	unsigned char bytes[192], salted[32];
	char wanted[sizeof login->salt_and_iterations];
	snprintf(wanted, sizeof wanted, "%s,%d", salt, iterations);
	if (!strcmp(wanted, login->salt_and_iterations))
		return;
	strcpy(login->salt_and_iterations, wanted);
	int size = decode(salt, bytes);
	PKCS5_PBKDF2_HMAC(login->password, -1, bytes, size > 0 ? size : 0, iterations, EVP_sha256(), 32, salted);
	sign(salted, "Client Key", login->client_key);
	sign(salted, "Server Key", login->server_key);
	EVP_Digest(login->client_key, 32, login->stored_key, NULL, EVP_sha256(), NULL);
}

void login_begin(struct login *login, char line[LOGIN_LINE])
{
	char text[256], base64[352];
	int size;
	login->step = 0;
	if (login->scram) {
		unsigned char random[18];
		RAND_bytes(random, sizeof random);
		encode(random, sizeof random, login->nonce);
		snprintf(login->first_bare, sizeof login->first_bare, "n=%s,r=%s", login->user, login->nonce);
		size = snprintf(text, sizeof text, "n,,%s", login->first_bare);
	} else {
		size = snprintf(text, sizeof text, "%c%s%c%s", 0, login->user, 0, login->password);
	}
	encode(text, (size_t)size, base64);
	snprintf(line, LOGIN_LINE, "AUTH %s %s\r\n", login->scram ? "SCRAM-SHA-256" : "PLAIN", base64);
}

static bool prove(struct login *login, const char *server_first, char line[LOGIN_LINE])
{
	char nonce[160], salt[160], bare[192], message[2 * LOGIN_LINE], proof64[64], final[320];
	unsigned char signature[32], proof[32];
	int iterations;
	if (sscanf(server_first, "r=%159[^,],s=%159[^,],i=%d", nonce, salt, &iterations) != 3 || iterations < 1 ||
	    strncmp(nonce, login->nonce, strlen(login->nonce)) != 0)
		return false;
	derive(login, salt, iterations);
	snprintf(bare, sizeof bare, "c=biws,r=%s", nonce);
	snprintf(message, sizeof message, "%s,%s,%s", login->first_bare, server_first, bare);
	sign(login->stored_key, message, signature);
	for (int i = 0; i < 32; i++)
		proof[i] = login->client_key[i] ^ signature[i];
	encode(proof, 32, proof64);
	int size = snprintf(final, sizeof final, "%s,p=%s", bare, proof64);
	encode(final, (size_t)size, line);
	strcat(line, "\r\n");
	sign(login->server_key, message, signature);
	encode(signature, 32, login->server_signature);
	return true;
}

bool login_answer(struct login *login, const char *challenge, char line[LOGIN_LINE])
{
	unsigned char text[LOGIN_LINE + 1];
	if (!login->scram || strlen(challenge) >= LOGIN_LINE || decode(challenge, text) < 0)
		return false;
	if (++login->step == 1)
		return prove(login, (const char *)text, line);
	strcpy(line, "\r\n");
	return login->step == 2 && !strncmp((const char *)text, "v=", 2) && !strcmp((const char *)text + 2, login->server_signature);
}
