/* SPDX-License-Identifier: ISC */
/*
 * A text of headings, paragraphs and examples, written as Markdown or for man(1) (the macros of man(7)). The reference manual and
 * the manual pages are made with it from the tables of options, variables and so on.
 */
#ifndef POSTERN_CONF_MANUAL_H
#define POSTERN_CONF_MANUAL_H

#include "base/buf.h"

enum manual_form { MANUAL_MARKDOWN, MANUAL_PAGE };

struct manual {
	struct buf *out;
	enum manual_form form;
	bool after_heading; /* no paragraph needs to be begun */
	bool fits; /* false: `out` is full, and what was added last is incomplete */
};

/* Begins: for a page with its name, section and one line on what it is about; for Markdown with that line as title. */
void manual_begin(struct manual *manual, struct buf *out, enum manual_form form, const char *name, unsigned section,
		  const char *about);
/* Level 2: a chapter; level 3: an entry in it. */
void manual_heading(struct manual *manual, unsigned level, const char *text);
/* A paragraph. In `text` backquotes stand around what is literal. Lines are not broken. */
void manual_paragraph(struct manual *manual, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A term and what it means, indented below it. */
void manual_term(struct manual *manual, const char *term, const char *meaning);
/* Text as it stands, every line of it, indented. */
void manual_example(struct manual *manual, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* False when `out` was too small. */
bool manual_end(struct manual *manual);

#endif
