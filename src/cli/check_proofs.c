/* SPDX-License-Identifier: ISC */
#include "cli/check_proofs.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "conf/value.h"
#include "tls/ocsp.h"

#include <stdio.h>

enum { PATH_SIZE = 4096 };

struct proof_check {
	struct conf_problems *problems;
	struct check_certificates *certificates;
	bool guessed; /* tls_certificate is expanded: there may be certificates that are not known here */
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

static void judge(struct proof_check *check, OCSP_RESPONSE *proof, const char *path)
{
	bool about = check->guessed;
	for (size_t i = 0; i < check->certificates->count; i++) {
		struct check_certificate *item = &check->certificates->items[i];
		struct ocsp_verdict verdict;
		if (!item->certificate)
			about = true; /* it may be about this one */
		if (!item->certificate)
			continue;
		ocsp_check(proof, item->certificate, item->issuer, clock_wall_now() / CLOCK_SECOND, &verdict);
		item->proved = item->proved || verdict.valid;
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
static void check_certificate(struct proof_check *check, const struct check_certificate *file)
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

void check_proofs(const struct conf *conf, struct check_certificates *certificates, struct conf_problems *problems)
{
	struct proof_check check = { .problems = problems, .certificates = certificates, .fetched = conf->main.tls_ocsp_fetch };
	struct arena arena;
	struct slice constant;
	arena_init(&arena, 0);
	struct conf_strings proofs = conf_value_strings(&arena, conf_constant(conf->main.tls_ocsp_file));
	check.guessed = conf->main.tls_certificate && !expand_constant(conf->main.tls_certificate, &constant);
	bool computed = conf->main.tls_ocsp_file && !expand_constant(conf->main.tls_ocsp_file, &constant);
	for (size_t i = 0; certificates->count && i < proofs.count; i++)
		check_file(&check, proofs.items[i]);
	for (size_t i = 0; i < certificates->count; i++) {
		struct check_certificate *item = &certificates->items[i];
		/* Which proof an expansion will choose cannot be known here. */
		item->proved = item->proved || computed;
		if (item->certificate)
			check_certificate(&check, item);
	}
	arena_free(&arena);
}
