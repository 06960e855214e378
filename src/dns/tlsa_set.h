/* SPDX-License-Identifier: ISC */
/* From an answer for TLSA to what tls/tlsa_guard.h judges by. */
#ifndef POSTERN_DNS_TLSA_SET_H
#define POSTERN_DNS_TLSA_SET_H

#include "dns/dns.h"
#include "tls/tlsa_guard.h"

/*
 * `answer` is that for `owner`, TLSA. Records that are too short are left out, and what is beyond TLSA_RECORDS_MAX. Only a
 * validated answer counts as published; one that failed validation, or never came, is unknown (RFC 7672 §2.1).
 */
void dns_tlsa_set(const struct dns_answer *answer, struct slice owner, struct slice host, struct arena *arena, struct tlsa_set *set_r);

#endif
