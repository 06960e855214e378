/* SPDX-License-Identifier: ISC */
/*
 * What a header field is, for all who read a header section: it begins with a name and a colon, and goes on over the lines that begin with a
 * blank (RFC 5322 §2.2). The section ends where no field begins: at the empty line, or at a line that is none, which belongs to the body then.
 *
 * A name is printable ASCII without the colon (RFC 5322 §3.6.8). Bytes above 127 are let pass in it, as in Exim: `verify = header_names_ascii`
 * tells. Blanks may stand between the name and the colon (§4.5.8). Lines end in LF, with or without CR before it.
 *
 * Two scanners that differ in this let a message show one thing to a policy and another to a reader. So there is one rule, here; only
 * mail/scan.h goes by the same one in another form, for text that comes in runs, and its fuzz target compares the two.
 */
#ifndef POSTERN_MAIL_FIELD_H
#define POSTERN_MAIL_FIELD_H

#include "base/slice.h"

/* Whether the byte may stand in a field's name. */
static inline bool mail_is_field_name(char c)
{
	return (unsigned char)c > 32 && c != 127 && c != ':';
}

/* Takes the next field off *rest: its name, and all behind the colon, line ends included. False at the end of the section: *rest stays. */
bool mail_field_next(struct slice *rest, struct slice *name_r, struct slice *value_r);
/* The whole of a field that mail_field_next gave, from the first byte of its name to the last of its value. */
struct slice mail_field_whole(struct slice name, struct slice value);
/* The length of the header section at the start of a message. */
size_t mail_header_length(struct slice message);

#endif
