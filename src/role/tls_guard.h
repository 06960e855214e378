/* SPDX-License-Identifier: ISC */
/*
 * tls_tlsa_guard, on the side of the master: it asks the lookup role about a certificate that is to come into use. Neither the text
 * of certificates nor answers of the DNS are taken apart here.
 */
#ifndef POSTERN_ROLE_TLS_GUARD_H
#define POSTERN_ROLE_TLS_GUARD_H

#include "conf/conf.h"

struct master;

enum tls_guard_answer {
	TLS_GUARD_USE,
	TLS_GUARD_REFUSE, /* it would break DANE: *error has the record that is missing */
	TLS_GUARD_LATER,  /* the DNS gave no answer, or the lookup role */
};

/* `fd`: sealed memory with the chain. Waits; a task of the master. With `force` it logs what it would have refused. */
enum tls_guard_answer tls_guard_ask(struct master *master, const struct conf *conf, const char *path, int fd, struct error *error);

#endif
