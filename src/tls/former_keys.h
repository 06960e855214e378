/* SPDX-License-Identifier: ISC */
/*
 * Keys that have been replaced, by a reload or by a renewed certificate: they still sign for the handshakes that began with them. Fronts change
 * over a moment after the keeper (reload_timeout), and a handshake may take a minute (role/session.c). After FORMER_KEPT they are wiped;
 * earlier, the oldest first, when there are more than KEYSTORE_MAX together.
 *
 * Times are those of clock_now, and given by the caller.
 */
#ifndef POSTERN_TLS_FORMER_KEYS_H
#define POSTERN_TLS_FORMER_KEYS_H

#include "base/clock.h"
#include "tls/keystore.h"

#define FORMER_KEPT (10 * 60 * CLOCK_SECOND)

struct former_keys; /* NULL: there are none */

/* Takes the caller's reference to these keys; NULL is allowed, and nothing. */
void former_keys_add(struct former_keys **former, struct keystore *keys, int64_t now);
/* Forgets those whose time is over. When the next ones are due; CLOCK_NEVER: there are none left. */
int64_t former_keys_forget(struct former_keys **former, int64_t now);
/* The keys among which is this one, a borrowed reference; NULL: it is in none. */
struct keystore *former_keys_with(const struct former_keys *former, const struct key_id *id);
size_t former_keys_count(const struct former_keys *former); /* keys */
void former_keys_free(struct former_keys **former);

#endif
