/* SPDX-License-Identifier: ISC */
/* tls_tlsa_guard, on the side of the lookup role: what is published for the names of a certificate, and whether it fits. */
#ifndef POSTERN_ROLE_TLSA_ASK_H
#define POSTERN_ROLE_TLSA_ASK_H

#include "conf/conf.h"
#include "dns/dns.h"
#include "tls/tlsa_guard.h"

/* The names and ports of one certificate that are asked for; what is beyond is not looked at. */
enum { TLSA_ASK_MAX = 64 };

/*
 * The chain (PEM text) against the records of each of its host names, and of primary_hostname, at each port that the server listens on,
 * and at 25, by which the world may reach it through another machine.
 * Waits at most until `deadline`. *error: see tlsa_guard; a chain that cannot be read is TLSA_FIT_UNKNOWN.
 */
enum tlsa_fit tlsa_ask(struct dns *dns, const struct conf *conf, struct slice pem, int64_t deadline, struct arena *arena,
		       struct error *error);

#endif
