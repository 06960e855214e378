/* SPDX-License-Identifier: ISC */
/*
 * What a submission server puts right in the header of a message (RFC 6409 §8; Exim's manual, chapter 48 §6): a missing Date, Message-ID
 * and From, and a Sender that says who it really was. What is to be changed comes out as edits (mail/edit.h); nothing is changed
 * here.
 *
 * In a message that was resent (it has a field that begins with "Resent-") the fields are those of the resending.
 */
#ifndef POSTERN_MAIL_FIXUP_H
#define POSTERN_MAIL_FIXUP_H

#include "base/arena.h"
#include "mail/edit.h"

struct mail_fixup {
	struct slice date;            /* of now, for Date */
	struct slice message_id;      /* for Message-Id, without its brackets */
	struct slice envelope_sender; /* for From; empty: the user's address stands there */
	struct slice user;            /* the address of who submits; empty: nobody is known, and no Sender is added */
	struct slice name;            /* of that person, a phrase for From and Sender (mail_phrase); empty: none */
	bool sender_retain;           /* Sender stays what it is, and From is not compared with the user */
};

enum { MAIL_FIXUP_ADDED_MAX = 4, MAIL_FIXUP_REMOVED_MAX = 1 };

/* `section`: all of it fields (mail/field.h). The edits lie in the arena. */
void mail_fixup(struct slice section, const struct mail_fixup *fixup, struct arena *arena, struct mail_edit *edit_r);

/* Mailboxes in From and Resent-From that are looked at. */
enum { MAIL_FROM_MAX = 100 };

/*
 * Whom a message claims to be from: gives `each` every mailbox of every From and Resent-From, those of groups too, until it says false.
 * False then, and where nobody can tell whom readers show: there is no From, a field of these names has no mailbox or one that is
 * malformed, or there are more than MAIL_FROM_MAX. Addresses lie in the arena.
 */
bool mail_from_each(struct slice section, struct arena *arena, bool (*each)(void *owner, struct slice address), void *owner);

/* A person's name in front of an address (RFC 5322 §3.2.5): quoted where it must be, RFC 2047's form where it is not ASCII. */
struct slice mail_phrase(struct slice name, struct arena *arena);

#endif
