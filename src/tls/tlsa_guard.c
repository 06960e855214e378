/* SPDX-License-Identifier: ISC */
#include "tls/tlsa_guard.h"

struct slice tlsa_owner(struct slice host, uint16_t port, struct arena *arena)
{
	return arena_printf(arena, "_%u._tcp.%.*s", port, SLICE_ARG(host));
}

enum tlsa_fit tlsa_fit(const struct tlsa_set *set, STACK_OF(X509) *chain, time_t when, struct arena *arena,
		       struct tlsa_verdict *verdicts)
{
	if (set->published == TLSA_UNKNOWN)
		return TLSA_FIT_UNKNOWN;
	if (set->published == TLSA_ABSENT)
		return TLSA_FIT_NOT_ASKED;
	struct tlsa_question question = { .chain = chain, .names = &set->host, .name_count = set->host.len ? 1 : 0, .when = when };
	if (tlsa_match(&question, set->records, set->count, arena, verdicts))
		return TLSA_FITS;
	/* RFC 7672 §2.2: of records that nobody can use follows encryption, but no authentication. */
	for (size_t i = 0; i < set->count; i++)
		if (verdicts[i].outcome != TLSA_UNUSABLE)
			return TLSA_FIT_BROKEN;
	return TLSA_FIT_NOT_ASKED;
}

static void tell_broken(const struct tlsa_set *set, const X509 *certificate, const struct tlsa_verdict *verdicts, struct arena *arena,
			struct error *error)
{
	struct tlsa_record missing = { TLSA_DANE_EE, TLSA_PUBLIC_KEY, TLSA_SHA256, tlsa_data(certificate, TLSA_PUBLIC_KEY,
											     TLSA_SHA256, arena) };
	const char *reason = NULL;
	for (size_t i = 0; !reason && i < set->count; i++)
		if (verdicts[i].outcome == TLSA_UNTRUSTED)
			reason = verdicts[i].why;
	error_set(error, ERROR_PERMANENT,
		  "DANE: no TLSA record of %.*s matches the certificate%s%s; missing: \"%.*s IN TLSA %.*s\"; publish it beside the "
		  "others and wait %lld seconds",
		  SLICE_ARG(set->owner), reason ? ": " : "", reason ? reason : "", SLICE_ARG(set->owner),
		  SLICE_ARG(tlsa_text(&missing, arena)), (long long)set->ttl);
}

/* One more result into *worst_r; true when it is the worst so far and there is something to tell. */
static bool worsens(enum tlsa_fit fit, enum tlsa_fit *worst_r)
{
	static const int ranks[] = {
		[TLSA_FIT_NOT_ASKED] = 0, [TLSA_FITS] = 1, [TLSA_FIT_UNKNOWN] = 2, [TLSA_FIT_BROKEN] = 3,
	};
	bool worse = ranks[fit] > ranks[*worst_r];
	if (worse)
		*worst_r = fit;
	return worse;
}

enum tlsa_fit tlsa_guard(const struct tlsa_set *sets, size_t set_count, STACK_OF(X509) *const *chains, size_t chain_count,
			 time_t when, struct arena *arena, struct error *error)
{
	struct tlsa_verdict verdicts[TLSA_RECORDS_MAX];
	enum tlsa_fit worst = TLSA_FIT_NOT_ASKED;
	for (size_t i = 0; i < set_count; i++)
		for (size_t n = 0; n < chain_count; n++) {
			enum tlsa_fit fit = tlsa_fit(&sets[i], chains[n], when, arena, verdicts);
			if (!worsens(fit, &worst))
				continue;
			if (fit == TLSA_FIT_BROKEN)
				tell_broken(&sets[i], sk_X509_value(chains[n], 0), verdicts, arena, error);
			if (fit == TLSA_FIT_UNKNOWN)
				error_set(error, ERROR_TEMPORARY, "DANE: the TLSA records of %.*s could not be looked up: %.*s",
					  SLICE_ARG(sets[i].owner), SLICE_ARG(sets[i].why));
		}
	return worst;
}
