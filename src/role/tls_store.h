/* SPDX-License-Identifier: ISC */
/*
 * The master's part in TLS: it opens the files that the fronts need, below the directories that the configuration names, and
 * hands their text out in sealed descriptors; a private key's descriptor goes to the keeper alone. One store a configuration.
 *
 * Files are looked at once a second. One that has changed, and stays so until the next look, is taken into use and sent to
 * all fronts; a chain only if the keeper finds that the key fits, and if it belongs together and is valid now, or the one in use is no
 * better. Otherwise what was in use stays (its text, and the open descriptor of its key), for roles that are started again, too.
 *
 *   item: LOADING ── read, key fits ──▶ USABLE ── changed, fits ──▶ USABLE (another version)
 *            └── a problem ──▶ of the configuration itself: kept, watched; asked for by a front: forgotten
 */
#ifndef POSTERN_ROLE_TLS_STORE_H
#define POSTERN_ROLE_TLS_STORE_H

#include "role/tls_files.h"

struct master;
struct child;
struct ipc_incoming;
struct ipc_peer;
struct tls_store;

enum { TLS_STORE_MAX = 8192 /* items */ };

/* Reads what the configuration names by itself. Problems are kept with the items. */
struct tls_store *tls_store_new(struct master *master, const struct conf *conf);
/* NULL is allowed. What tasks still use lives until they are done. */
void tls_store_free(struct tls_store *store);
/* The first problem of what the configuration names and cannot do without, or that there is none (false). */
bool tls_store_problem(const struct tls_store *store, struct error *error);
/*
 * Whether the certificates that the configuration names may be taken into use after those of `old`; the same files are not asked
 * about. False with *error when a chain is not good and the one before it is, or would break DANE (tls_tlsa_guard). What cannot be found out is logged, and permitted. Waits.
 */
bool tls_store_guard(struct tls_store *store, const struct tls_store *old, struct error *error);
/* Logs all of them. */
void tls_store_complain(const struct tls_store *store);

/* Material of a front, and of the keeper. */
void tls_store_send_files(const struct tls_store *store, struct ipc_peer *front);
void tls_store_send_keys(const struct tls_store *store, struct ipc_peer *keeper);
/* Material of the fetch role: the chains for which it is to fetch OCSP proofs, if the configuration wants that. */
void tls_store_send_chains(const struct tls_store *store, struct child *fetch);
/* What the keeper says of a key of its material. */
void tls_store_key_taken(struct tls_store *store, struct slice body);
/* A front asks; it is answered from a task. */
void tls_store_wanted(struct tls_store *store, struct child *front, struct ipc_incoming *incoming);

/* A task of the master, once it runs: watches the files of master->tls. */
void tls_store_watch(void *master);

#endif
