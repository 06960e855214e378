/* SPDX-License-Identifier: ISC */
/*
 * The text files of lsearch and its kin (Exim's manual, chapter 9 §3): items of a key and data, a line each, continued by lines that
 * begin with white space. Traditional alias files have this form.
 *
 * Lines that are empty, blank or begin with "#" are passed over, also in the middle of an item. A key ends at white space or a colon;
 * one that begins with a double quote ends at the next, with backslash escapes inside. A colon after the key is no part of
 * the data. At each continuation the data gets one space.
 */
#ifndef POSTERN_LOOKUP_LINES_H
#define POSTERN_LOOKUP_LINES_H

#include "base/arena.h"

struct lookup_lines {
	struct slice rest; /* the file from the next line on */
	size_t number;     /* of the line read last, from 1; zeroed at the start */
};

struct lookup_line {
	struct slice key;  /* without quotes, escapes replaced; may be empty */
	struct slice full; /* key and data as they stand, the key without its quotes: what ret=full gives */
	struct slice data; /* the end of `full` */
	size_t number;     /* the line on which it begins */
};

/* The next item; false at the end. Its texts are slices of the file, or in `arena` where they had to be put together. */
bool lookup_lines_next(struct lookup_lines *lines, struct arena *arena, struct lookup_line *line_r);

#endif
