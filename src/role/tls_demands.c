/* SPDX-License-Identifier: ISC */
#include "role/tls_demands.h"

#include "role/master.h"
#include "role/tls_content.h"
#include "role/tls_walk.h"
#include "tls/ocsp.h"

enum { AT_ONCE = 64 /* certificates, before others run */ };

struct demands {
	struct master *master;
	struct ocsp_file files[TLS_CHAINS_MAX];
	size_t file_count, certificates;
};

/* An unreadable file, or one without proofs, is told of by others. */
static void take_proofs(struct demands *demands, const struct tls_want *want)
{
	struct tls_content content;
	struct error ignored;
	char path[TLS_PATH_MAX];
	if (demands->file_count == TLS_CHAINS_MAX || !slice_to_cstr(want->path, path, sizeof path) ||
	    !tls_content_read(TLS_FILE_PROOFS, path, "", &content, &ignored))
		return;
	struct slice text = tls_content_map(&content);
	demands->file_count += ocsp_file_read(text, path, &demands->files[demands->file_count], &ignored);
	tls_content_unmap(text);
	tls_content_drop(&content);
}

static bool is_proved(const struct demands *demands, X509 *certificate, X509 *issuer)
{
	for (size_t i = 0; i < demands->file_count; i++)
		for (size_t k = 0; k < demands->files[i].count; k++) {
			struct ocsp_verdict verdict;
			ocsp_check(demands->files[i].proofs[k], certificate, issuer, clock_wall_now() / CLOCK_SECOND, &verdict);
			if (verdict.valid)
				return true;
		}
	return false;
}

static void look_at(void *owner, const struct tls_want *want, bool guessed)
{
	struct demands *demands = owner;
	struct tls_content content;
	struct error ignored;
	char path[TLS_PATH_MAX], demand[OCSP_DEMAND_MAX], text[OCSP_DEMAND_MAX + 8];
	(void)guessed;
	if (++demands->certificates % AT_ONCE == 0)
		task_yield();
	if (!slice_to_cstr(want->path, path, sizeof path) || !tls_content_read(TLS_FILE_PROOFS, path, "", &content, &ignored))
		return;
	struct slice pem = tls_content_map(&content);
	STACK_OF(X509) *chain = ocsp_chain_read(pem);
	X509 *certificate = sk_X509_num(chain) > 0 ? sk_X509_value(chain, 0) : NULL;
	if (certificate && ocsp_is_must_staple(certificate) && !is_proved(demands, certificate, ocsp_find_issuer(certificate, chain)))
		master_complain_once(demands->master, slice_make(text, (size_t)snprintf(text, sizeof text, "OCSP: %s", ocsp_demand_text(certificate, demand))));
	sk_X509_pop_free(chain, X509_free);
	tls_content_unmap(pem);
	tls_content_drop(&content);
}

void tls_demands_tell(struct master *master, const struct conf *conf)
{
	struct demands demands = { .master = master };
	struct tls_want wants[TLS_WANTS_MAX];
	struct arena arena;
	arena_init(&arena, 0);
	bool computed = conf->main.tls_ocsp_file && !expand_constant(conf->main.tls_ocsp_file, NULL);
	if (conf->main.tls_certificate && !conf->main.tls_ocsp_fetch && !computed && !tls_is_constant(conf, &arena)) {
		size_t count = tls_wants_of(conf, &arena, wants);
		for (size_t i = 0; i < count; i++)
			if (wants[i].kind == TLS_FILE_PROOFS)
				take_proofs(&demands, &wants[i]);
		tls_walk(conf, &arena, look_at, &demands);
	}
	for (size_t i = 0; i < demands.file_count; i++)
		ocsp_file_free(&demands.files[i]);
	arena_free(&arena);
}
