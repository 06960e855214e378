/* SPDX-License-Identifier: ISC */
/* For the files of this directory: from settings to a context of libunbound. */
#ifndef POSTERN_DNS_PRIVATE_H
#define POSTERN_DNS_PRIVATE_H

#include "dns/dns.h"

struct ub_ctx;

/*
 * A context with these settings, complete: nothing of it is read from files any more. Blocks for a moment, makes no thread and
 * sends nothing. NULL with *error.
 */
struct ub_ctx *dns_context_new(const struct dns_settings *settings, struct error *error);

#endif
