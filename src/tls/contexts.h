/* SPDX-License-Identifier: ISC */
/*
 * Server contexts by what they are made of: policies with the same values and files share one. At most CONTEXTS_MAX are kept; the
 * one that was not asked for longest goes, and lives on as long as connections hold it.
 *
 * When files of a policy have changed and the new ones cannot be used, the context of the old ones stays.
 */
#ifndef POSTERN_TLS_CONTEXTS_H
#define POSTERN_TLS_CONTEXTS_H

#include "tls/server.h"

enum { CONTEXTS_MAX = 256 };

struct tls_contexts;

/* For as long as the process lives, and `maker` with it. */
struct tls_contexts *tls_contexts_new(const struct tls_maker *maker);

/*
 * A reference, or NULL with *error. With a reference *error says (kind is not ERROR_NONE) once why changed files are not
 * used: to be logged.
 */
struct tls_server *tls_contexts_get(struct tls_contexts *contexts, const struct tls_policy *policy, struct error *error);
/* Whether what it gives for this policy is of earlier files, for these could not be used: *error says why, each time. */
bool tls_contexts_refuse(struct tls_contexts *contexts, const struct tls_policy *policy, struct error *error);

#endif
