/* SPDX-License-Identifier: ISC */
/* Questions to the DNS with the main options that change what their answers mean: for the files of src/lookup. */
#ifndef POSTERN_LOOKUP_NAMES_H
#define POSTERN_LOOKUP_NAMES_H

#include "dns/dns.h"
#include "lookup/private.h"

/*
 * Asks, and applies dns_again_means_nonexist: a temporary error of a name that matches it becomes absence; a failed validation does
 * not. Without a resolver every question is a temporary error.
 */
void lookup_dns(struct lookup_world *world, struct slice name, unsigned type, int64_t deadline, struct arena *arena,
		struct dns_answer *answer_r);
static inline bool lookup_dns_failed(const struct dns_answer *answer)
{
	return answer->outcome == DNS_TEMPORARY || answer->outcome == DNS_BOGUS;
}

#endif
