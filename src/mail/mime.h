/* SPDX-License-Identifier: ISC */
/*
 * The structure of a message (RFC 2045, RFC 2046): its parts one by one, multiparts and attached messages too, in the order in which they
 * stand. All of it may be made to mislead: nothing is believed but where lines begin.
 *
 * A part's slices are of the message, or, where something had to be decoded or joined, of the walk's arena. Lines may end in CRLF or LF.
 *
 * Invariants: a walk goes on by at least one delimiter line or level at each step, so it ends; it is at most MIME_DEPTH_MAX deep and has at
 * most MIME_PARTS_MAX parts, then `limit` says so. A part lies within the one around it: what looks like a delimiter of an outer multipart
 * ends the inner parts (RFC 2046 §5.1.2).
 */
#ifndef POSTERN_MAIL_MIME_H
#define POSTERN_MAIL_MIME_H

#include "base/arena.h"

struct charset_set;

enum { MIME_DEPTH_MAX = 30, MIME_PARTS_MAX = 1000, MIME_BOUNDARY_MAX = 1024 };

struct mime_part {
	struct slice raw;         /* header section and body */
	struct slice headers, body; /* around the first empty line; without one, the body begins with the first line that is no field */
	struct slice inside;      /* where delimiters are looked for: the body, and before it all that is no header section to some readers */
	struct slice type;        /* "text/plain", in lower case; empty: no Content-Type */
	struct slice charset, boundary, filename;
	struct slice disposition, encoding, id, description; /* lower case but the last two */
	unsigned count;           /* parts of the same message before it */
	bool multipart, rfc822;   /* rfc822: within an attached message */
	bool delimited;           /* a multipart with a boundary that is usable */
	bool coverletter;         /* not an attachment, as far as one can tell (Exim's manual, chapter 45 §4) */
	const char *anomaly;      /* what is wrong with its form; NULL: nothing */
};

struct mime_level {
	struct slice rest;        /* behind a delimiter line, or a whole message */
	struct slice boundary;    /* empty: `rest` is one entity */
	bool rfc822, coverletter, first, spreads; /* spreads: all parts are a cover letter when the multipart is */
	unsigned *count;
};

struct mime_walk {
	struct arena *arena;
	struct charset_set *charsets; /* for file names; NULL: as they are */
	struct mime_level levels[MIME_DEPTH_MAX];
	size_t depth, parts;
	const char *limit;        /* why the walk ended early; NULL: it did not */
};

/* `message`: header section, empty line, body; it must stay. */
void mime_walk_start(struct mime_walk *walk, struct slice message, struct charset_set *charsets, struct arena *arena);
/* False at the end. */
bool mime_walk_next(struct mime_walk *walk, struct mime_part *part_r);

/*
 * The body without its transfer encoding, at most `most` bytes of it. What is not of the encoding is passed over, and *anomaly_r says so
 * (NULL: nothing was).
 */
struct slice mime_decode(const struct mime_part *part, size_t most, struct arena *arena, const char **anomaly_r);

#endif
