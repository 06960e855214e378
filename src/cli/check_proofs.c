/* SPDX-License-Identifier: ISC */
#include "cli/check_proofs.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "conf/value.h"
#include "tls/ocsp.h"

#include <stdio.h>

enum { FILES_MAX = 8, CERTIFICATE_FILE_MAX = 1024 * 1024, PATH_SIZE = 4096 };

struct certificate_file {
	char path[PATH_SIZE];
	STACK_OF(X509) *chain;
	X509 *certificate, *issuer; /* of the chain; the issuer may be NULL */
	bool proved;                /* a valid proof speaks of it */
};

struct proof_check {
	struct conf_problems *problems;
	struct certificate_file certificates[FILES_MAX];
	size_t count;
	bool fetched; /* tls_ocsp_fetch */
};

/* Of an option, not of a line: what is wrong is in a file that it names. */
#define warn(check, option, ...) conf_warning((check)->problems, (struct conf_place){ 0 }, SLICE("option " option), __VA_ARGS__)

/* False: there is no such file here, or it is too large to be one. */
static bool read_file(const char *path, size_t max, struct buf *text)
{
	_cleanup_file_ FILE *file = fopen(path, "re");
	buf_init(text, max + 4096);
	for (char *room; file && buf_len(text) <= max && (room = buf_reserve(text, 4096));) {
		size_t n = fread(room, 1, 4096, file);
		buf_commit(text, n);
		if (n == 0)
			break;
	}
	return file && !ferror(file) && buf_len(text) <= max;
}

static void add_certificate(struct proof_check *check, struct slice path)
{
	struct certificate_file *file = &check->certificates[check->count];
	struct buf text;
	if (!slice_to_cstr(path, file->path, sizeof file->path))
		return;
	if (read_file(file->path, CERTIFICATE_FILE_MAX, &text))
		file->chain = ocsp_chain_read(buf_slice(&text));
	buf_free(&text);
	file->certificate = sk_X509_num(file->chain) > 0 ? sk_X509_value(file->chain, 0) : NULL;
	file->issuer = file->certificate ? ocsp_find_issuer(file->certificate, file->chain) : NULL;
	check->count++; /* one that cannot be read is told of elsewhere */
}

static void judge(struct proof_check *check, OCSP_RESPONSE *proof, const char *path)
{
	bool about = false;
	for (size_t i = 0; i < check->count; i++) {
		struct certificate_file *file = &check->certificates[i];
		struct ocsp_verdict verdict;
		if (!file->certificate)
			return; /* it may be about this one */
		ocsp_check(proof, file->certificate, file->issuer, clock_wall_now() / CLOCK_SECOND, &verdict);
		file->proved = file->proved || verdict.valid;
		about = about || !verdict.other;
		if (!verdict.valid && !verdict.other)
			warn(check, "tls_ocsp_file", "%s will not be served: %s", path, verdict.reason);
	}
	if (!about)
		warn(check, "tls_ocsp_file", "%s will not be served: it is about none of the certificates in tls_certificate", path);
}

static void check_file(struct proof_check *check, struct slice item)
{
	char path[PATH_SIZE];
	struct buf text;
	struct ocsp_file file;
	struct error error;
	if (!slice_to_cstr(ocsp_file_path(item), path, sizeof path))
		return;
	if (!read_file(path, OCSP_FILE_MAX, &text)) {
		warn(check, "tls_ocsp_file", "%s cannot be read, or is larger than %d bytes", path, OCSP_FILE_MAX);
	} else if (!ocsp_file_read(buf_slice(&text), path, &file, &error)) {
		warn(check, "tls_ocsp_file", "%s", error.text);
	} else {
		for (size_t i = 0; i < file.count; i++)
			judge(check, file.proofs[i], path);
		ocsp_file_free(&file);
	}
	buf_free(&text);
}

/* A proof that the running server fetches is its own matter, if only it can be fetched. */
static void check_certificate(struct proof_check *check, const struct certificate_file *file)
{
	char url[1024];
	const char *missing = !ocsp_responder_url(file->certificate, url, sizeof url) ?
				      "it names no OCSP responder that is reached by http" :
			      !file->issuer ? "the certificate of its issuer does not follow in the file" :
					      NULL;
	if (check->fetched && missing)
		warn(check, "tls_ocsp_fetch", "no proof can be fetched for the certificate %s: %s", file->path, missing);
	if (ocsp_is_must_staple(file->certificate) && !file->proved && (!check->fetched || missing))
		warn(check, "tls_certificate",
		     "the certificate %s demands a stapled OCSP proof (Must-Staple, RFC 7633), and there is no valid one: clients that heed "
		     "it will refuse this server. Set tls_ocsp_fetch = true, or tls_ocsp_file to a current proof", file->path);
}

void check_proofs(const struct conf *conf, struct conf_problems *problems)
{
	struct proof_check check = { .problems = problems, .fetched = conf->main.tls_ocsp_fetch };
	struct arena arena;
	struct slice constant;
	arena_init(&arena, 0);
	struct conf_strings certificates = conf_value_strings(&arena, conf_constant(conf->main.tls_certificate));
	struct conf_strings proofs = conf_value_strings(&arena, conf_constant(conf->main.tls_ocsp_file));
	bool computed = conf->main.tls_ocsp_file && !expand_constant(conf->main.tls_ocsp_file, &constant);
	for (size_t i = 0; i < certificates.count && check.count < FILES_MAX; i++)
		add_certificate(&check, certificates.items[i]);
	for (size_t i = 0; check.count && i < proofs.count; i++)
		check_file(&check, proofs.items[i]);
	for (size_t i = 0; i < check.count; i++) {
		struct certificate_file *file = &check.certificates[i];
		/* Which proof an expansion will choose cannot be known here. */
		file->proved = file->proved || computed;
		if (file->certificate)
			check_certificate(&check, file);
		sk_X509_pop_free(file->chain, X509_free);
	}
	arena_free(&arena);
}
