/* SPDX-License-Identifier: ISC */
/* What conditions about the text of a message share, and leave behind; for the files of this directory only. */
#ifndef POSTERN_ACL_CONTENT_H
#define POSTERN_ACL_CONTENT_H

#include "acl/private.h"

enum { ACL_REGEX_CAPTURES = 9 };

#define ACL_SCAN_TIMEOUT (120 * CLOCK_SECOND)
#define ACL_SCAN_TIMEOUT_MAX (300 * CLOCK_SECOND)

/* The variables that a spam scan sets. */
struct acl_spam {
	struct slice score, score_int, bar, report, action;
};

/* The MIME part at hand (acl_session_mime), and what `decode` found of it. */
struct acl_mime {
	const struct mime_part *part; /* NULL: none */
	unsigned count;               /* $mime_part_count, once a part was `seen` */
	bool seen, decoded;
	uint64_t size;
	const char *anomaly;
};

/* Of a message; texts lie in the arena. Begins zeroed. */
struct acl_content {
	struct arena arena;
	struct slice regex, captures[ACL_REGEX_CAPTURES];
	bool scanned, infected; /* for malware, with the scanner of that text: */
	struct slice scanner, malware_name;
	bool judged, is_spam;   /* for spam, with that user and server list: */
	struct slice user, judges;
	struct acl_spam spam;
	struct acl_mime mime;
};

struct acl_content *acl_content_of(struct acl_session *session);

/* "first/defer_ok/tmo=10s": the list that malware and spam have as values. */
struct acl_content_options {
	struct piece_text first;
	bool defer_ok;
	int64_t timeout; /* ns */
};
/* A peer's text is part of `first` and adds no option. */
bool acl_content_options(struct piece_text text, struct arena *arena, struct acl_content_options *options_r, struct error *error);
/* Whether the first item asks for no scan at all: "", "0", "false". */
bool acl_content_is_off(struct slice value);

/* mime.c: the part at hand as it came, and the start of what is encoded in it. False: there is none. */
bool acl_mime_raw(const struct acl_run *run, struct slice *text_r);
bool acl_mime_decoded(struct acl_run *run, struct slice *text_r);
bool acl_mime_variable(const struct acl_session *session, enum expand_variable variable, struct expand_value *value_r);

/* The text of the message. False: the run's messages say why. */
bool acl_content_text(struct acl_run *run, struct slice *text_r);

#endif
