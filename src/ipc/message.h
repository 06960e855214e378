/* SPDX-License-Identifier: ISC */
/*
 * The messages between roles: one table says which there are, who may send them to whom, how many descriptors travel with
 * each, and what fields it has. Structs, packing and unpacking are made from the table; the dispatcher refuses what the
 * table does not allow. A field is a `number` (64 bits) or `bytes` (a slice); a list of texts is a `bytes` field made with ipc_list_add.
 *
 * A message is one datagram: type, call (0, or the number that its answer repeats), then the fields in order. What arrives is
 * unpacked with bounds: a role does not trust its peers to be well.
 */
#ifndef POSTERN_IPC_MESSAGE_H
#define POSTERN_IPC_MESSAGE_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* One datagram's most; a process without privileges may send 200 KiB with the kernel's defaults. */
enum { IPC_MESSAGE_MAX = 192 * 1024, IPC_FDS_MAX = 5 };

enum role { ROLE_MASTER, ROLE_KEEPER, ROLE_FRONT, ROLE_QUEUE, ROLE_STORE, ROLE_LOOKUP, ROLE_FETCH, ROLE_RUN, ROLE_PAM, ROLE_COUNT };

#define IPC_NO_FIELDS(F)
/* The configuration: descriptor of the sealed text. All of one generation takes effect together, at `apply`. */
#define IPC_CONFIGURE(F) F(number, generation)
#define IPC_APPLY(F) F(number, generation)
#define IPC_APPLIED(F) F(number, generation) F(bytes, problem) F(bytes, sandbox)
/* Descriptors of those that `present` names: bits 0 to 2 the three logs, 3 syslog, 4 the terminal. */
#define IPC_LOGS(F) F(number, present) F(number, facility) F(number, colour)
/* The system's logger is gone (an errno): the master connects anew, and sends `logs` again. */
#define IPC_LOGGER_LOST(F) F(number, error)
/* A descriptor to another role. `index` tells fronts apart; `uid` stores. */
#define IPC_CONNECT(F) F(number, role) F(number, index) F(number, uid)
#define IPC_DRAIN(F) F(number, seconds)
/*
 * A file that TLS of the fronts needs (role/tls_files.h has the kinds): asked for by a front, or sent without being asked because the
 * configuration names it or because it has changed. No descriptor: `problem` says why. Never a private key.
 */
#define IPC_TLS_FILE_WANTED(F) F(number, kind) F(bytes, path) F(bytes, key_path)
#define IPC_TLS_FILE(F)                                                                                         \
	F(number, kind) F(bytes, path) F(bytes, key_path) F(number, version) F(number, directory) F(bytes, problem)
/* What a front finds wrong with OCSP proofs: all fronts do, and the master logs it once. */
#define IPC_COMPLAINT(F) F(bytes, text)
/* Material of the front: a listening socket; ticket keys; the shared count of connections. */
#define IPC_LISTENER(F) F(bytes, address) F(number, port)
#define IPC_TICKETS(F) F(bytes, keys)
/* It is not to be listened on any more. */
#define IPC_LISTENER_ENDED(F) F(bytes, address) F(number, port)
#define IPC_COUNTERS(F) F(number, index)
/*
 * A private key file, for the keeper alone; `expected` is the identifier of the certificate's key, or empty. As a call it is in use at
 * once, otherwise at `apply`.
 */
#define IPC_KEY(F) F(bytes, path) F(bytes, expected) F(bytes, certificate_path)
/* What became of it; `problem` is empty when it can be used. */
#define IPC_KEY_TAKEN(F) F(bytes, path) F(bytes, certificate_path) F(bytes, problem)
/* No certificate is for this key any more: it signs for handshakes that have begun. */
#define IPC_KEY_REPLACED(F) F(bytes, key)
/* The spool directory, for the queue alone. */
#define IPC_SPOOL(F) F(bytes, path)
/* A directory below which a store may deliver. */
#define IPC_MAILBOXES(F) F(bytes, path)
/* The queue asks for a store that runs as this user; the answer is a `connect`. */
#define IPC_STORE_WANTED(F) F(number, uid) F(number, gid) F(bytes, directory)
#define IPC_STORE_REFUSED(F) F(number, uid) F(number, gid) F(bytes, problem)
#define IPC_SIGN(F) F(bytes, key) F(number, scheme) F(number, digest) F(bytes, input)
#define IPC_SIGNED(F) F(bytes, signature) F(bytes, problem)
/* A message: its envelope with the first part of its text, then further parts. The descriptor is a sealed memfd of `size` bytes. */
#define IPC_SUBMIT(F)                                                                                           \
	F(number, transaction) F(number, size) F(number, complete) F(bytes, id) F(number, received_ns)         \
	F(bytes, sender) F(bytes, recipients) F(bytes, helo) F(bytes, host_name) F(bytes, host_address)        \
	F(number, host_port) F(bytes, protocol) F(bytes, cipher) F(bytes, cipher_standard) F(bytes, peer_name)  \
	F(bytes, server_name) F(bytes, authenticated) F(bytes, authenticated_id)                                \
	F(bytes, authenticated_sender) F(number, verified) F(number, resumption) F(number, ocsp) F(bytes, message_id)    \
	F(number, flags) F(bytes, variables) F(bytes, proxy) F(bytes, queue_name) F(bytes, delays)
/*
 * submit's variables: three texts for each that ACLs set: "m_name", its value, and "tainted" or nothing. proxy: its address, for the log.
 * queue_name: the queue whose runs take it, or empty. delays: a list of texts, why it is not delivered at once, for the log.
 * Its flags: BODY=8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), frozen from the start, not to be delivered at once, and that the last part says
 * whether these two hold.
 */
enum submit_flag { SUBMIT_8BITMIME = 1, SUBMIT_SMTPUTF8 = 2, SUBMIT_FROZEN = 4, SUBMIT_QUEUED = 8, SUBMIT_UNDECIDED = 16 };
/* flags and delays: of the last part of a message that was undecided. */
#define IPC_PART(F) F(number, transaction) F(number, size) F(number, complete) F(number, flags) F(bytes, delays)
/* ETRN: what waits in the queue of that name (empty: the usual one) is tried now. */
#define IPC_RUN_QUEUE(F) F(bytes, queue_name)
#define IPC_ABORT(F) F(number, transaction)
/* kind: enum error_kind; ERROR_NONE for a part that was taken, and for the last one: the message is durable. */
#define IPC_TAKEN(F) F(number, kind) F(bytes, problem)
#define IPC_FIND_USER(F) F(bytes, name)
#define IPC_USER(F) F(number, kind) F(number, uid) F(number, gid) F(bytes, home)
/* One delivery into a Maildir; the descriptor is the message. */
#define IPC_DELIVER(F)                                                                                          \
	F(bytes, directory) F(number, create) F(number, directory_mode) F(number, mode) F(bytes, prefix)       \
	F(number, offset) F(number, size)
#define IPC_DELIVERED(F) F(number, kind) F(number, number) F(bytes, text)

/* Material of the lookup role: a file of the system (enum dns_system_file); a directory below which it may read. */
#define IPC_SYSTEM_FILE(F) F(number, file)
#define IPC_READABLE(F) F(bytes, path)
/* The memory of failed logins (users/failures.h): the same over reloads, and for the process after this one. */
#define IPC_FAILURES(F) F(number, size)
/*
 * An expand_request, its deadline on the clock that all processes share; role/ask.h packs and unpacks the two. The descriptor, if there is
 * one, is its content.
 */
#define IPC_ASK(F)                                                                                              \
	F(number, service) F(bytes, type) F(bytes, file) F(bytes, key) F(bytes, pieces) F(bytes, options)      \
	F(number, flags) F(number, deadline)
/*
 * An expand_result with its answer, or with the kind and text of its error. A text too long for a message is in the descriptor,
 * a sealed memfd of `size` bytes; otherwise size is 0.
 */
#define IPC_ANSWERED(F)                                                                                         \
	F(number, result) F(number, kind) F(bytes, problem) F(number, flags) F(number, number) F(bytes, text)  \
	F(number, size) F(bytes, wild) F(bytes, fixed) F(bytes, name)

/*
 * Users of the built-in database and their failures (role/passwords.h): a password, the verifier of a hash of SCRAM (enum auth_hash), and
 * what came of a try that the lookup role did not see. The client is an address as text; deadlines are on the clock that all share.
 */
#define IPC_CHECK_PASSWORD(F) F(bytes, user) F(bytes, password) F(bytes, service) F(bytes, client) F(number, deadline)
#define IPC_FIND_VERIFIER(F) F(bytes, user) F(number, hash) F(bytes, client) F(number, deadline)
#define IPC_DERIVE_KEYS(F)                                                                                      \
	F(bytes, user) F(bytes, password) F(number, hash) F(bytes, salt) F(number, iterations) F(bytes, client) F(number, deadline)
#define IPC_SETTLE_TRY(F) F(bytes, user) F(bytes, client) F(number, good)
/* verdict: enum auth_verdict; the identity is the user's name as the database has it; the rest is the verifier's, where one was asked for. */
#define IPC_TRIED(F)                                                                                            \
	F(number, verdict) F(bytes, identity) F(bytes, problem) F(bytes, salt) F(number, iterations)           \
	F(bytes, stored_key) F(bytes, server_key)

/*
 * An exchange with a Dovecot server (role/dovecot.h): its first question, which names an authenticator of the configuration and has flags of
 * enum dovecot_flag; a response of the client, or, if it is not `given`, the end of it, which wants no answer. An answer is an enum
 * auth_outcome with a challenge or a user's name; the dialogue's number is there with a challenge only.
 */
#define IPC_DOVECOT_BEGIN(F) F(bytes, authenticator) F(bytes, client) F(bytes, local) F(number, flags) F(bytes, response)
#define IPC_DOVECOT_RESPONSE(F) F(number, dialogue) F(number, given) F(bytes, response)
#define IPC_DOVECOT_SAID(F) F(number, outcome) F(number, dialogue) F(bytes, text) F(bytes, problem)

/* A directory of the role's own in the spool directory: of the fetch role for its proofs, of the lookup role for limits. */
#define IPC_STATE(F) F(bytes, path)
/* Material of the fetch role: a file with a certificate for which it is to fetch proofs, at any time. */
#define IPC_PROOF_WANTED(F) F(bytes, path)
/* An OCSP proof in DER for the certificate with that SHA-256 (struct ocsp_print). */
#define IPC_PROOF(F) F(bytes, certificate) F(bytes, proof)
/* The master asks the lookup role whether a certificate (the descriptor: sealed PEM text) fits what is published; enum tlsa_fit. */
#define IPC_TLSA_CHECK(F) F(number, deadline)
#define IPC_TLSA_CHECKED(F) F(number, fit) F(bytes, problem)

/* M(name, NAME, from, to, descriptors, fields): `from` and `to` are masks of roles. */
#define IPC_R(role) (1u << ROLE_##role)
#define IPC_ALL                                                                                                          \
	(IPC_R(KEEPER) | IPC_R(FRONT) | IPC_R(QUEUE) | IPC_R(STORE) | IPC_R(LOOKUP) | IPC_R(FETCH) | IPC_R(RUN) | IPC_R(PAM))
#define IPC_ASKERS (IPC_R(FRONT) | IPC_R(QUEUE) | IPC_R(FETCH))
#define IPC_ASKED (IPC_R(LOOKUP) | IPC_R(RUN) | IPC_R(PAM))
#define IPC_MESSAGES(M)                                                                    \
	M(configure, CONFIGURE, IPC_R(MASTER), IPC_ALL, 1, IPC_CONFIGURE)                  \
	M(apply, APPLY, IPC_R(MASTER), IPC_ALL, 0, IPC_APPLY)                              \
	M(applied, APPLIED, IPC_ALL, IPC_R(MASTER), 0, IPC_APPLIED)                        \
	M(logs, LOGS, IPC_R(MASTER), IPC_ALL, 5, IPC_LOGS)                                 \
	M(connect, CONNECT, IPC_R(MASTER), IPC_ALL, 1, IPC_CONNECT)                        \
	M(drain, DRAIN, IPC_R(MASTER), IPC_ALL, 0, IPC_DRAIN)                              \
	M(complaint, COMPLAINT, IPC_R(FRONT), IPC_R(MASTER), 0, IPC_COMPLAINT)             \
	M(tls_file_wanted, TLS_FILE_WANTED, IPC_R(FRONT), IPC_R(MASTER), 0, IPC_TLS_FILE_WANTED) \
	M(tls_file, TLS_FILE, IPC_R(MASTER), IPC_R(FRONT), 1, IPC_TLS_FILE)                \
	M(listener, LISTENER, IPC_R(MASTER), IPC_R(FRONT), 1, IPC_LISTENER)                \
	M(tickets, TICKETS, IPC_R(MASTER), IPC_R(FRONT), 0, IPC_TICKETS)                   \
	M(counters, COUNTERS, IPC_R(MASTER), IPC_R(FRONT), 1, IPC_COUNTERS)                \
	M(key, KEY, IPC_R(MASTER), IPC_R(KEEPER), 1, IPC_KEY)                              \
	M(key_taken, KEY_TAKEN, IPC_R(KEEPER), IPC_R(MASTER), 0, IPC_KEY_TAKEN)            \
	M(key_replaced, KEY_REPLACED, IPC_R(MASTER), IPC_R(KEEPER), 0, IPC_KEY_REPLACED)   \
	M(spool, SPOOL, IPC_R(MASTER), IPC_R(QUEUE), 1, IPC_SPOOL)                         \
	M(mailboxes, MAILBOXES, IPC_R(MASTER), IPC_R(STORE), 1, IPC_MAILBOXES)             \
	M(store_wanted, STORE_WANTED, IPC_R(QUEUE), IPC_R(MASTER), 0, IPC_STORE_WANTED)    \
	M(store_refused, STORE_REFUSED, IPC_R(MASTER), IPC_R(QUEUE), 0, IPC_STORE_REFUSED) \
	M(sign, SIGN, IPC_R(FRONT), IPC_R(KEEPER), 0, IPC_SIGN)                            \
	M(signed, SIGNED, IPC_R(KEEPER), IPC_R(FRONT), 0, IPC_SIGNED)                      \
	M(submit, SUBMIT, IPC_R(FRONT), IPC_R(QUEUE), 1, IPC_SUBMIT)                       \
	M(part, PART, IPC_R(FRONT), IPC_R(QUEUE), 1, IPC_PART)                             \
	M(abort, ABORT, IPC_R(FRONT), IPC_R(QUEUE), 0, IPC_ABORT)                          \
	M(run_queue, RUN_QUEUE, IPC_R(FRONT), IPC_R(QUEUE), 0, IPC_RUN_QUEUE)              \
	M(taken, TAKEN, IPC_R(QUEUE), IPC_R(FRONT), 0, IPC_TAKEN)                          \
	M(find_user, FIND_USER, IPC_R(FRONT), IPC_R(QUEUE), 0, IPC_FIND_USER)              \
	M(user, USER, IPC_R(QUEUE), IPC_R(FRONT), 0, IPC_USER)                             \
	M(deliver, DELIVER, IPC_R(QUEUE), IPC_R(STORE), 1, IPC_DELIVER)                    \
	M(delivered, DELIVERED, IPC_R(STORE), IPC_R(QUEUE), 0, IPC_DELIVERED)              \
	M(system_file, SYSTEM_FILE, IPC_R(MASTER), IPC_R(LOOKUP), 1, IPC_SYSTEM_FILE)      \
	M(readable, READABLE, IPC_R(MASTER), IPC_R(LOOKUP), 1, IPC_READABLE)               \
	M(ask, ASK, IPC_ASKERS, IPC_ASKED, 1, IPC_ASK)                                     \
	M(answered, ANSWERED, IPC_ASKED, IPC_ASKERS, 1, IPC_ANSWERED)                      \
	M(failures, FAILURES, IPC_R(MASTER), IPC_R(LOOKUP), 1, IPC_FAILURES)               \
	M(check_password, CHECK_PASSWORD, IPC_R(FRONT), IPC_R(LOOKUP), 0, IPC_CHECK_PASSWORD) \
	M(find_verifier, FIND_VERIFIER, IPC_R(FRONT), IPC_R(LOOKUP), 0, IPC_FIND_VERIFIER) \
	M(derive_keys, DERIVE_KEYS, IPC_R(FRONT), IPC_R(LOOKUP), 0, IPC_DERIVE_KEYS)       \
	M(settle_try, SETTLE_TRY, IPC_R(FRONT), IPC_R(LOOKUP), 0, IPC_SETTLE_TRY)          \
	M(tried, TRIED, IPC_R(LOOKUP), IPC_R(FRONT), 0, IPC_TRIED)                         \
	M(dovecot_begin, DOVECOT_BEGIN, IPC_R(FRONT), IPC_R(LOOKUP), 0, IPC_DOVECOT_BEGIN) \
	M(dovecot_response, DOVECOT_RESPONSE, IPC_R(FRONT), IPC_R(LOOKUP), 0, IPC_DOVECOT_RESPONSE) \
	M(dovecot_said, DOVECOT_SAID, IPC_R(LOOKUP), IPC_R(FRONT), 0, IPC_DOVECOT_SAID)    \
	M(state, STATE, IPC_R(MASTER), IPC_R(FETCH) | IPC_R(LOOKUP), 1, IPC_STATE)         \
	M(proof_wanted, PROOF_WANTED, IPC_R(MASTER), IPC_R(FETCH), 1, IPC_PROOF_WANTED)    \
	M(proof, PROOF, IPC_R(FETCH), IPC_R(FRONT), 0, IPC_PROOF)                          \
	M(tlsa_check, TLSA_CHECK, IPC_R(MASTER), IPC_R(LOOKUP), 1, IPC_TLSA_CHECK)         \
	M(tlsa_checked, TLSA_CHECKED, IPC_R(LOOKUP), IPC_R(MASTER), 0, IPC_TLSA_CHECKED)   \
	M(listener_ended, LISTENER_ENDED, IPC_R(MASTER), IPC_R(FRONT), 0, IPC_LISTENER_ENDED) \
	M(logger_lost, LOGGER_LOST, IPC_ALL, IPC_R(MASTER), 0, IPC_LOGGER_LOST)

enum ipc_type {
#define M(name, NAME, from, to, fds, fields) IPC_##NAME##_MESSAGE,
	IPC_MESSAGES(M)
#undef M
	IPC_TYPES
};

/* struct ipc_sign { struct slice key; uint64_t scheme; ... }; slices point into what was received, or into the sender's memory. */
#define IPC_FIELD_number(name) uint64_t name;
#define IPC_FIELD_bytes(name) struct slice name;
#define IPC_FIELD(type, name) IPC_FIELD_##type(name)
#define M(name, NAME, from, to, fds, fields)                              \
	struct ipc_##name {                                               \
		fields(IPC_FIELD)                                         \
	};                                                                \
	bool ipc_pack_##name(struct buf *buf, const void *message);       \
	bool ipc_unpack_##name(struct slice body, struct ipc_##name *message);
IPC_MESSAGES(M)
#undef M

struct ipc_rule {
	const char *name;
	unsigned from, to; /* masks of 1 << role */
	unsigned fds;      /* most descriptors */
};
extern const struct ipc_rule ipc_rules[IPC_TYPES];

const char *role_name(enum role role);
/* Whether such messages hold passwords or keys of users: what carried one is overwritten when it is not needed any more. */
bool ipc_is_secret(enum ipc_type type);

/* Lists of texts inside a bytes field. ipc_list_next cuts the first off *list; false at the end or when it is malformed. */
bool ipc_list_add(struct buf *buf, struct slice text);
bool ipc_list_next(struct slice *list, struct slice *text_r);

#endif
