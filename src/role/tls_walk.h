/* SPDX-License-Identifier: ISC */
/*
 * All certificates that a configuration can be seen to name, without a connection: those of constant options, those in directories of
 * certificates by name, and, where tls_certificate is expanded, those that lie where its literal text leads to: a guess, for
 * what it will choose cannot be known. For `postern check`, and for what the master says of them when it loads a configuration.
 */
#ifndef POSTERN_ROLE_TLS_WALK_H
#define POSTERN_ROLE_TLS_WALK_H

#include "role/tls_files.h"

enum { TLS_WALK_MAX = 8192 /* certificates; the others are left out */ };

/* `guessed`: it need not be one that is served. The texts of `want` live as long as the call's arena. */
typedef void tls_walk_function(void *owner, const struct tls_want *want, bool guessed);
/* Reads directories, but no certificate. */
void tls_walk(const struct conf *conf, struct arena *arena, tls_walk_function *each, void *owner);

#endif
