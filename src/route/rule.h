/* SPDX-License-Identifier: ISC */
/*
 * The words of a rule's line (Exim's manual, chapters 31 and 32): separated by white space; a word that begins with a double
 * quote goes on to the next one, with backslash escapes in it.
 */
#ifndef POSTERN_ROUTE_RULE_H
#define POSTERN_ROUTE_RULE_H

#include "base/arena.h"
#include "base/error.h"

struct rule_reader {
	struct slice line;   /* all of it, for columns */
	struct slice rest;   /* what is not read yet */
	struct slice raw;    /* the word read last, as it is written, with its quotes */
	struct arena *arena; /* of unquoted words */
	struct error *error;
};

void rule_start(struct rule_reader *reader, struct slice line, struct arena *arena, struct error *error);
/* The next word; empty without an error at the end of the line. False with *error for quotes that do not end. */
bool rule_word(struct rule_reader *reader, struct slice *word_r);
/* Skips blanks; the next character, or NUL at the end. */
char rule_peek(struct rule_reader *reader);
/* Skips blanks and then this character. False when another one is there. */
bool rule_skip(struct rule_reader *reader, char c);
/* "1h30m", a number of each unit (w d h m s) at most once and from large to small: nanoseconds. False when it is none. */
bool rule_time(struct rule_reader *reader, int64_t *nanoseconds_r);
/* The byte of the line, from 1, at which `rest` begins, or for rule_word_column the word read last. */
size_t rule_column(const struct rule_reader *reader);
size_t rule_word_column(const struct rule_reader *reader);
/* Where byte `index` of the word read last stands in its written form: the two differ by quotes and escapes. */
size_t rule_word_offset(const struct rule_reader *reader, size_t index);

#endif
