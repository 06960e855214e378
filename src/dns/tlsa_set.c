/* SPDX-License-Identifier: ISC */
#include "dns/tlsa_set.h"

void dns_tlsa_set(const struct dns_answer *answer, struct slice owner, struct slice host, struct arena *arena, struct tlsa_set *set_r)
{
	*set_r = (struct tlsa_set){ .owner = owner, .host = host, .ttl = answer->ttl, .published = TLSA_ABSENT };
	if (answer->outcome == DNS_TEMPORARY || answer->outcome == DNS_BOGUS) {
		set_r->published = TLSA_UNKNOWN;
		set_r->why = answer->why.len ? answer->why : SLICE("the DNS gave no answer");
		return;
	}
	if (answer->outcome != DNS_FOUND || answer->security != DNS_SECURE) {
		set_r->why = answer->outcome == DNS_FOUND ? SLICE("the records are not signed by DNSSEC, so nobody uses them") :
							    SLICE("there are no TLSA records");
		return;
	}
	struct tlsa_record *records = arena_array(arena, TLSA_RECORDS_MAX, sizeof *records);
	for (size_t i = 0; i < answer->count && set_r->count < TLSA_RECORDS_MAX; i++)
		if (tlsa_parse(answer->records[i].data, &records[set_r->count]))
			set_r->count++;
	set_r->records = records;
	set_r->published = TLSA_PUBLISHED;
}
