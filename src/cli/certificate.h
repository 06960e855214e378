/* SPDX-License-Identifier: ISC */
/* Self-signed certificates, for a first configuration and for tests. */
#ifndef POSTERN_CLI_CERTIFICATE_H
#define POSTERN_CLI_CERTIFICATE_H

#include "base/buf.h"
#include "base/error.h"

/*
 * Makes an ECDSA P-256 key and a certificate for it, both as PEM. `names`: the host names and IP addresses that it is for, at
 * least one, of which the first is its subject; they are checked by the caller. Valid for `days` from now.
 */
bool certificate_make(const struct slice *names, size_t count, int days, struct buf *certificate, struct buf *key,
		      struct error *error);

#endif
