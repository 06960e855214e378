/* SPDX-License-Identifier: ISC */
/*
 * Adding and removing header lines of a message on its way in, as ACLs ask for it (Exim's manual, chapter 44 §24 and §25).
 * The section is given as it came, all of it fields (mail/field.h). Nothing but whole fields is touched.
 */
#ifndef POSTERN_MAIL_EDIT_H
#define POSTERN_MAIL_EDIT_H

#include "base/buf.h"

enum mail_edit_place {
	MAIL_EDIT_AT_END,
	MAIL_EDIT_AT_START,
	MAIL_EDIT_AT_START_RFC,    /* before the first field that is neither Received nor Resent-... */
	MAIL_EDIT_AFTER_RECEIVED,  /* behind the first block of Received fields */
};

struct mail_added_field {
	enum mail_edit_place place;
	struct slice text; /* without a line end; lines within it end in LF and continue with a blank */
};

struct mail_edit {
	const struct mail_added_field *added;
	size_t added_count;
	const struct slice *removed; /* names */
	size_t removed_count;
};

/*
 * Appends the section, edited. Fields at a place but the end stand in the reverse order of their adding, as in Exim. Removal
 * does not see what is added. False when `out` is full, which leaves a part of it there.
 */
bool mail_header_edit(struct slice section, const struct mail_edit *edit, struct buf *out);

#endif
