/* SPDX-License-Identifier: ISC */
/*
 * Certificates that demand a stapled proof (Must-Staple, RFC 7633) and have none, where nobody would notice before a client asks for them: those
 * that a connection chooses, from a directory or by expansion. Those that every connection gets are looked at by the fronts, when they
 * make their contexts.
 */
#ifndef POSTERN_ROLE_TLS_DEMANDS_H
#define POSTERN_ROLE_TLS_DEMANDS_H

#include "conf/conf.h"

struct master;

/*
 * Tells of them in the log. Reads all certificates that the configuration can be seen to name (role/tls_walk.h) and the files of
 * tls_ocsp_file. With tls_ocsp_fetch, or where tls_ocsp_file is expanded, there is nothing to tell: proofs may be on their way. A task of
 * the master: it lets others run in between.
 */
void tls_demands_tell(struct master *master, const struct conf *conf);

#endif
