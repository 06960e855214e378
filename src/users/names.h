/* SPDX-License-Identifier: ISC */
/*
 * Names of users and passwords as text (RFC 8265): what may be in them, and the one form in which they are stored and compared. Both sides
 * of a comparison go through here: the command that writes the database, and what a client sends.
 *
 * Results are copies in the arena; *error says what is wrong in words that may be shown to anybody, for no secret is in them.
 */
#ifndef POSTERN_USERS_NAMES_H
#define POSTERN_USERS_NAMES_H

#include "base/arena.h"
#include "base/error.h"

enum { USERS_NAME_MAX = 320, USERS_PASSWORD_MAX = 1024 }; /* bytes; a longest mail address is 64 + 1 + 255 */

/*
 * UsernameCaseMapped (RFC 8265 §3.3): small letters, NFC; letters, digits and the visible characters of ASCII, no spaces. Characters that
 * are another form of others (full-width letters, ligatures) are refused, where the RFC maps some of them.
 */
bool users_name(struct slice text, struct arena *arena, struct slice *name_r, struct error *error);

/*
 * OpaqueString (RFC 8265 §4.2): every kind of space becomes the space of ASCII, NFC; no control characters, none that are invisible, and none
 * that Unicode has not assigned. The caller overwrites the result.
 */
bool users_password(struct slice text, struct arena *arena, struct slice *password_r, struct error *error);

#endif
