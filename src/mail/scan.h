/* SPDX-License-Identifier: ISC */
/*
 * Looks at the header section of a message while its bytes stream by, in runs of any size, without keeping them: how many
 * Received: fields there are (a loop shows by their number, RFC 5321 §6.3), how large the section is, where it ends, and
 * the Message-ID for the log. Memory is fixed: sizeof(struct mail_header_scan).
 *
 * The rule is that of mail/field.h: the section ends with an empty line, or before the first line that can be neither a field nor the
 * continuation of one (`broken` is then set: such a line belongs to the body, as Exim sees it too).
 */
#ifndef POSTERN_MAIL_SCAN_H
#define POSTERN_MAIL_SCAN_H

#include "base/slice.h"

enum { MAIL_SCAN_NAME_MAX = 16, MAIL_SCAN_ID_MAX = 250 };

struct mail_header_scan {
	uint64_t size;          /* octets looked at until the section was over, the empty line included */
	uint64_t section;       /* octets of the section's fields: when it is over, where the empty line or the line that is no field begins */
	uint64_t longest_field; /* octets of the longest field so far, with its continuations */
	unsigned received;      /* fields so named */
	unsigned fields;        /* of any name */
	bool ended;             /* the section is over: feeding more changes nothing */
	bool broken;            /* ... by a line that is no field */
	/* Private from here. */
	unsigned char state;
	unsigned char name_len;   /* of name[]; MAIL_SCAN_NAME_MAX + 1: longer than any that matters */
	unsigned char id_len;
	bool capture;             /* this field's value goes into id[] */
	bool has_id;              /* a Message-ID was seen; later ones are not taken */
	uint64_t field_size;
	char name[MAIL_SCAN_NAME_MAX];
	char id[MAIL_SCAN_ID_MAX];
};

void mail_header_scan_init(struct mail_header_scan *scan);
/* Takes the next run of the message. Returns whether the section still goes on. */
bool mail_header_scan_feed(struct mail_header_scan *scan, struct slice run);
/* The first Message-ID's value without blanks, control characters and angle brackets; empty when there is none. */
struct slice mail_header_scan_message_id(const struct mail_header_scan *scan);

#endif
