/* SPDX-License-Identifier: ISC */
#include "cli/check_certificates.h"

#include "base/clock.h"
#include "cli/cert_files.h"
#include "role/tls_walk.h"
#include "tls/ocsp.h"

#include <openssl/err.h>
#include <unistd.h>

#define warn(certificates, option, ...) conf_warning((certificates)->problems, (struct conf_place){ 0 }, SLICE("option " option), __VA_ARGS__)

static void free_text(struct buf *text)
{
	if (text->data)
		explicit_bzero(text->data, text->size); /* there may be a key in it */
	buf_free(text);
}

static void judge_key(struct check_certificates *certificates, const struct check_certificate *item, const char *key_path, struct slice text)
{
	bool encrypted;
	EVP_PKEY *key = cert_key_parse(text, &encrypted);
	if (!key && encrypted)
		warn(certificates, "tls_privatekey", "the private key in %s is encrypted; store it without a pass phrase", key_path);
	else if (!key)
		conf_warning(certificates->problems, (struct conf_place){ 0 },
			     strcmp(key_path, item->path) == 0 ? SLICE("option tls_certificate") : SLICE("option tls_privatekey"),
			     "%s has no private key; expected PEM text", key_path);
	else if (X509_check_private_key(item->certificate, key) != 1)
		warn(certificates, "tls_privatekey", "the private key in %s does not belong to the certificate in %s", key_path, item->path);
	EVP_PKEY_free(key);
	ERR_clear_error();
}

/* A key that this user may not read cannot be judged; that it cannot be read is said by whoever looks at files. */
static void check_key(struct check_certificates *certificates, const struct check_certificate *item, const char *key_path, struct slice chain)
{
	struct buf text;
	struct error ignored;
	if (strcmp(key_path, item->path) == 0) {
		judge_key(certificates, item, key_path, chain);
		return;
	}
	buf_init(&text, CHAIN_TEXT_MAX + 16384);
	if (cert_file_read(key_path, &text, &ignored))
		judge_key(certificates, item, key_path, buf_slice(&text));
	free_text(&text);
}

static void check_chain(struct check_certificates *certificates, struct check_certificate *item, const char *key_path, struct slice text)
{
	struct chain_verdict verdict;
	struct error error;
	item->chain = chain_parse(text, item->path, &error);
	if (!item->chain) {
		if (!item->guessed)
			warn(certificates, "tls_certificate", "%s", error.text);
		return;
	}
	item->certificate = sk_X509_value(item->chain, 0);
	item->issuer = ocsp_find_issuer(item->certificate, item->chain);
	chain_judge(item->chain, &verdict);
	if (item->guessed)
		return;
	if (!chain_is_good(&verdict, clock_wall_now() / CLOCK_SECOND, &error))
		warn(certificates, "tls_certificate", "%s: %s", item->path, error.text);
	check_key(certificates, item, key_path, text);
}

static void add(void *owner, const struct tls_want *want, bool guessed)
{
	struct check_certificates *certificates = owner;
	char path[TLS_PATH_MAX], key_path[TLS_PATH_MAX];
	struct buf text;
	struct error ignored;
	if (!slice_to_cstr(want->path, path, sizeof path) || !slice_to_cstr(want->key_path, key_path, sizeof key_path))
		return;
	certificates->items = arena_grow(&certificates->arena, certificates->items, certificates->count, &certificates->room,
					 sizeof *certificates->items);
	struct check_certificate *item = &certificates->items[certificates->count++];
	*item = (struct check_certificate){ .path = arena_printf(&certificates->arena, "%s", path).data, .guessed = guessed };
	buf_init(&text, CHAIN_TEXT_MAX + 16384);
	if (cert_file_read(path, &text, &ignored))
		check_chain(certificates, item, key_path, buf_slice(&text));
	free_text(&text);
}

void check_certificates_read(struct check_certificates *certificates, const struct conf *conf, struct conf_problems *problems)
{
	struct arena paths;
	*certificates = (struct check_certificates){ .problems = problems };
	arena_init(&certificates->arena, 0);
	arena_init(&paths, 0);
	tls_walk(conf, &paths, add, certificates);
	arena_free(&paths);
}

void check_certificates_free(struct check_certificates *certificates)
{
	for (size_t i = 0; i < certificates->count; i++)
		chain_free(&certificates->items[i].chain);
	arena_free(&certificates->arena);
}
