/* SPDX-License-Identifier: ISC */
/*
 * Exchanges with a Dovecot server (auth/dovecot_protocol.h) between a session in a front and the lookup role, which makes the connections.
 *
 *   front                              lookup role                                     Dovecot
 *   dovecot_begin ───────────────────▶ a task: the dialogue ── connects, AUTH ───────▶
 *        ◀── dovecot_said: challenge ── waits for the client, at most CLIENT_TIME  ◀── CONT
 *   dovecot_response, its number ────▶ finds it, and wakes it ── CONT ───────────────▶
 *        ◀── dovecot_said: done ─────── ends                                       ◀── OK
 *
 * A dialogue is its task and has one connection, which is closed with it: after an outcome, when the front says that the client has gone,
 * when the front itself has (answering.h), and when something takes too long (server_timeout for Dovecot). How many there are is bounded by answering.h.
 *
 * Which socket, and for what mechanism, the lookup role finds in its own configuration: a front can name no other. Numbers of dialogues are
 * random and hold for the front that began them, so an old one is nobody's.
 */
#ifndef POSTERN_ROLE_DOVECOT_H
#define POSTERN_ROLE_DOVECOT_H

#include "auth/auth.h"
#include "conf/conf.h"
#include "role/answering.h"

enum dovecot_flag { DOVECOT_SECURED = 1, DOVECOT_CERTIFICATE = 2, DOVECOT_HAS_RESPONSE = 4 };

/* ---- In the lookup role ---- */

struct dialogue;

/* Of a role's context, zeroed: the dialogues that are under way. */
struct dovecot {
	struct dialogue *dialogues;
};

/* Answers one of the messages, on a task, which for dovecot_begin lasts as long as the dialogue; `conf` NULL: refuses for want of room. */
void dovecot_answer(struct dovecot *dovecot, const struct conf *conf, const struct answering_other *message);

/* ---- In a front: auth_world.ask_dovecot and drop_dovecot; the owner is a struct user_ask ---- */

enum auth_outcome dovecot_ask(void *user_ask, const struct authenticator *authenticator, const struct slice *response, uint64_t *dialogue,
			      struct arena *arena, struct slice *text_r, struct error *error);
void dovecot_drop(void *user_ask, uint64_t dialogue);

#endif
