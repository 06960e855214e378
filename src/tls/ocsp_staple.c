/* SPDX-License-Identifier: ISC */
/* Proofs in use: which one a handshake gets. Verdicts are kept with the time at which they end, so no handshake checks a signature. */
#include "tls/ocsp.h"

#include "base/clock.h"
#include "base/fatal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

enum { POOL_MAX = 4096 /* certificates */, STAPLES_MAX = 16 /* certificates of a context */ };

struct staple {
	unsigned char *der; /* NULL: none */
	size_t len;
	bool checked;
	struct ocsp_verdict verdict;
};

struct pooled {
	struct ocsp_print certificate;
	struct staple staple;
};

struct ocsp_pool {
	struct pooled *items;
	size_t count;
	bool disabled;
};

struct shown {
	X509 *certificate, *issuer; /* references; the issuer may be NULL */
	struct ocsp_print print;
	struct staple staple;       /* of a file */
	const char *source;         /* that file's name */
	bool complained;            /* of its end */
	bool demands, told_demand;  /* a proof; that there is none */
};

struct ocsp_stapler {
	struct shown shown[STAPLES_MAX];
	size_t count;
	struct ocsp_pool *pool;
	struct ocsp_complaints complaints;
};

static int64_t now_in_seconds(void)
{
	return clock_wall_now() / CLOCK_SECOND;
}

/* ---- The pool ---- */

struct ocsp_pool *ocsp_pool_new(void)
{
	return xcalloc(1, sizeof(struct ocsp_pool));
}

static void empty_pool(struct ocsp_pool *pool)
{
	for (size_t i = 0; i < pool->count; i++)
		free(pool->items[i].staple.der);
	free(pool->items);
	pool->items = NULL;
	pool->count = 0;
}

void ocsp_pool_free(struct ocsp_pool *pool)
{
	if (pool)
		empty_pool(pool);
	free(pool);
}

void ocsp_pool_enable(struct ocsp_pool *pool, bool enabled)
{
	pool->disabled = !enabled;
	if (!enabled)
		empty_pool(pool);
}

static struct staple *find_in_pool(const struct ocsp_pool *pool, const struct ocsp_print *certificate)
{
	for (size_t i = 0; pool && i < pool->count; i++)
		if (memcmp(pool->items[i].certificate.bytes, certificate->bytes, sizeof certificate->bytes) == 0)
			return &pool->items[i].staple;
	return NULL;
}

static void set_staple(struct staple *staple, struct slice der)
{
	free(staple->der);
	*staple = (struct staple){ .der = xcalloc(1, der.len), .len = der.len };
	memcpy(staple->der, der.data, der.len);
}

bool ocsp_pool_put(struct ocsp_pool *pool, const struct ocsp_print *certificate, struct slice der)
{
	struct staple *staple = find_in_pool(pool, certificate);
	if (pool->disabled || der.len == 0 || der.len > OCSP_RESPONSE_MAX || (!staple && pool->count == POOL_MAX))
		return false;
	if (!staple) {
		pool->items = xrealloc(pool->items, (pool->count + 1) * sizeof *pool->items);
		pool->items[pool->count] = (struct pooled){ .certificate = *certificate };
		staple = &pool->items[pool->count++].staple;
	}
	set_staple(staple, der);
	return true;
}

/* ---- Choosing ---- */

static void complain(const struct ocsp_stapler *stapler, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void complain(const struct ocsp_stapler *stapler, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	stapler->complaints.complain(stapler->complaints.owner, text);
}

static void subject_of(X509 *certificate, char *out, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len = 0;
	if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0)
		len = BIO_get_mem_data(bio, &text);
	snprintf(out, size, "%.*s", (int)(len > 200 ? 200 : len), len ? text : "?");
	BIO_free(bio);
	ERR_clear_error();
}

/* A proof of the pool is checked when a context first wants it. */
static void check_pooled(const struct ocsp_stapler *stapler, const struct shown *shown, struct staple *staple)
{
	struct error error;
	char subject[256];
	if (staple->checked)
		return;
	OCSP_RESPONSE *proof = ocsp_proof_read(slice_make(staple->der, staple->len), "the fetched proof", &error);
	if (proof)
		ocsp_check(proof, shown->certificate, shown->issuer, now_in_seconds(), &staple->verdict);
	else
		snprintf(staple->verdict.reason, sizeof staple->verdict.reason, "%.200s", error.text);
	OCSP_RESPONSE_free(proof);
	staple->checked = true;
	subject_of(shown->certificate, subject, sizeof subject);
	if (!staple->verdict.valid)
		complain(stapler, "the OCSP proof that was fetched for %s is not served: %s", subject, staple->verdict.reason);
}

static bool is_current(const struct staple *staple, int64_t now)
{
	const struct ocsp_verdict *verdict = &staple->verdict;
	return staple->der && verdict->valid && now <= verdict->served_until && verdict->this_update <= now + OCSP_SKEW;
}

static const struct staple *choose(struct ocsp_stapler *stapler, struct shown *shown)
{
	int64_t now = now_in_seconds();
	char text[32];
	if (is_current(&shown->staple, now))
		return &shown->staple;
	struct staple *pooled = find_in_pool(stapler->pool, &shown->print);
	if (pooled)
		check_pooled(stapler, shown, pooled);
	if (pooled && is_current(pooled, now))
		return pooled;
	struct staple *old = shown->staple.der ? &shown->staple : pooled;
	if (old && old->verdict.valid && !shown->complained) {
		complain(stapler, "the OCSP proof %s is no longer served: it was good until %s",
			 shown->staple.der ? shown->source : "that was fetched",
			 ocsp_format_time(old->verdict.served_until, text, sizeof text));
		shown->complained = true;
	}
	return NULL;
}

const char *ocsp_demand_text(X509 *certificate, char out[OCSP_DEMAND_MAX])
{
	char subject[256];
	subject_of(certificate, subject, sizeof subject);
	snprintf(out, OCSP_DEMAND_MAX, "the certificate of %s demands a stapled OCSP proof (Must-Staple, RFC 7633), and there is no valid one: "
		 "clients that heed it refuse this server until there is", subject);
	return out;
}

static void tell_demand(struct ocsp_stapler *stapler, struct shown *shown)
{
	char text[OCSP_DEMAND_MAX];
	if (!shown->demands || shown->told_demand)
		return;
	shown->told_demand = true;
	complain(stapler, "%s", ocsp_demand_text(shown->certificate, text));
}

/* SSL_CTX_set_tlsext_status_cb(3). OpenSSL has chosen the certificate by now. */
static int staple_callback(SSL *ssl, void *arg)
{
	struct ocsp_stapler *stapler = arg;
	X509 *certificate = SSL_get_certificate(ssl);
	for (size_t i = 0; i < stapler->count; i++) {
		if (stapler->shown[i].certificate != certificate)
			continue;
		const struct staple *staple = choose(stapler, &stapler->shown[i]);
		unsigned char *copy = staple ? OPENSSL_memdup(staple->der, staple->len) : NULL;
		if (!copy) {
			tell_demand(stapler, &stapler->shown[i]);
			return SSL_TLSEXT_ERR_NOACK;
		}
		SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple->len);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

/* ---- Making ---- */

static void show_certificates(struct ocsp_stapler *stapler, SSL_CTX *context)
{
	long more = SSL_CTX_set_current_cert(context, SSL_CERT_SET_FIRST);
	for (; more == 1 && stapler->count < STAPLES_MAX; more = SSL_CTX_set_current_cert(context, SSL_CERT_SET_NEXT)) {
		struct shown *shown = &stapler->shown[stapler->count];
		STACK_OF(X509) *chain = NULL;
		shown->certificate = SSL_CTX_get0_certificate(context);
		if (!shown->certificate || !ocsp_print_of(shown->certificate, &shown->print))
			continue;
		SSL_CTX_get0_chain_certs(context, &chain);
		shown->issuer = ocsp_find_issuer(shown->certificate, chain);
		if (!shown->issuer && X509_self_signed(shown->certificate, 0) == 1)
			shown->issuer = shown->certificate;
		shown->demands = ocsp_is_must_staple(shown->certificate);
		X509_up_ref(shown->certificate);
		if (shown->issuer)
			X509_up_ref(shown->issuer);
		stapler->count++;
	}
	ERR_clear_error();
}

/* Gives the proof to the certificate that it speaks of; a later one wins when it lasts longer. */
static bool place_proof(struct ocsp_stapler *stapler, OCSP_RESPONSE *proof, const struct ocsp_source *source)
{
	bool about = false;
	for (size_t i = 0; i < stapler->count; i++) {
		struct shown *shown = &stapler->shown[i];
		struct ocsp_verdict verdict;
		struct buf der;
		ocsp_check(proof, shown->certificate, shown->issuer, now_in_seconds(), &verdict);
		if (verdict.other)
			continue;
		about = true;
		if (!verdict.valid) {
			complain(stapler, "the OCSP proof %s is not served: %s", source->name, verdict.reason);
			continue;
		}
		buf_init(&der, OCSP_RESPONSE_MAX);
		if (ocsp_proof_write(proof, &der) && verdict.served_until > shown->staple.verdict.served_until) {
			set_staple(&shown->staple, buf_slice(&der));
			shown->staple.verdict = verdict;
			free((void *)(uintptr_t)shown->source);
			shown->source = xstrdup(source->name);
		}
		buf_free(&der);
	}
	return about;
}

static void read_source(struct ocsp_stapler *stapler, const struct ocsp_source *source)
{
	struct ocsp_file file;
	struct error error;
	bool about = false;
	if (!ocsp_file_read(source->text, source->name, &file, &error)) {
		complain(stapler, "no OCSP proof is served: %s", error.text);
		return;
	}
	for (size_t i = 0; i < file.count; i++)
		about = place_proof(stapler, file.proofs[i], source) || about;
	if (!about && !stapler->complaints.shared)
		complain(stapler, "the OCSP proof %s is not served: it is about none of the server's certificates", source->name);
	ocsp_file_free(&file);
}

struct ocsp_stapler *ocsp_stapler_new(SSL_CTX *context, const struct ocsp_source *sources, size_t count, struct ocsp_pool *pool,
				      const struct ocsp_complaints *complaints)
{
	struct ocsp_stapler *stapler = xcalloc(1, sizeof *stapler);
	stapler->pool = pool;
	stapler->complaints = *complaints;
	show_certificates(stapler, context);
	for (size_t i = 0; i < count; i++)
		read_source(stapler, &sources[i]);
	for (size_t i = 0; i < stapler->count; i++) {
		bool expected = pool && !pool->disabled;
		if (!expected && !choose(stapler, &stapler->shown[i]))
			tell_demand(stapler, &stapler->shown[i]);
	}
	SSL_CTX_set_tlsext_status_cb(context, staple_callback);
	SSL_CTX_set_tlsext_status_arg(context, stapler);
	return stapler;
}

void ocsp_stapler_free(struct ocsp_stapler *stapler)
{
	for (size_t i = 0; stapler && i < stapler->count; i++) {
		struct shown *shown = &stapler->shown[i];
		X509_free(shown->certificate);
		X509_free(shown->issuer);
		free(shown->staple.der);
		free((void *)(uintptr_t)shown->source);
	}
	free(stapler);
}
