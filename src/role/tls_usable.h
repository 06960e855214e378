/* SPDX-License-Identifier: ISC */
/*
 * Whether the fronts' OpenSSL will take a chain: it refuses keys and signatures that are too weak for its security level, which follows from
 * tls_profile, tls_min_version and tls_require_ciphers. The master finds that out before it takes a chain into use, for with
 * the chain the key of the one before it goes.
 */
#ifndef POSTERN_ROLE_TLS_USABLE_H
#define POSTERN_ROLE_TLS_USABLE_H

#include "role/tls_content.h"

/* False with *error when the listeners of one of the ports could not use it. Options that depend on the connection count as unset. */
bool tls_usable(const struct conf *conf, const char *path, const struct tls_content *content, struct error *error);

#endif
