/* SPDX-License-Identifier: ISC */
/*
 * tls_tlsa_guard, on the side of the master: it asks the lookup role about a certificate that is to come into use. Neither the text
 * of certificates nor answers of the DNS are taken apart here.
 *
 *   changed ── fits, or nothing is published ──▶ used
 *      ├────── does not fit ──▶ refused: what was there before stays, also over a reload
 *      └────── no answer ──▶ waits: asked again each minute, for an hour; then used (guard_plan.c)
 *
 * One that is new has nothing before it that could stay: it is used, and the log says what is wrong.
 */
#ifndef POSTERN_ROLE_TLS_GUARD_H
#define POSTERN_ROLE_TLS_GUARD_H

#include "base/clock.h"
#include "conf/conf.h"

struct master;

enum tls_guard_answer {
	TLS_GUARD_USE,
	TLS_GUARD_REFUSE, /* it would break DANE: *error has the record that is missing */
	TLS_GUARD_LATER,  /* the DNS gave no answer, or the lookup role */
};

/* `fd`: sealed memory with the chain. Waits; a task of the master. With `force` it logs what it would have refused. */
enum tls_guard_answer tls_guard_ask(struct master *master, const struct conf *conf, const char *path, int fd, struct error *error);

/* ---- When: of one certificate; times are those of clock_now ---- */

/* Zeroed: nothing waits. */
struct guard_wait {
	int64_t since; /* without an answer */
	int64_t again; /* when to ask; 0: not */
};

/* Whether the certificate is to be looked at: it has changed, or it is time to ask again. Then it is due no more. */
bool guard_wait_take(struct guard_wait *wait, bool changed, int64_t now);
/* There was no answer: whether to wait for one (a minute), or to use the certificate without it, after an hour. */
bool guard_wait_on(struct guard_wait *wait, int64_t now);

#endif
