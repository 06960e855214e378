/* SPDX-License-Identifier: ISC */
/*
 * What is wrong with a configuration: a list of errors and warnings, each with the place that it is about. Reading and
 * parsing go on after an error, so that one run of `postern check` shows them all; at most CONF_PROBLEMS_MAX are kept and
 * the rest is only counted. The list owns the texts.
 */
#ifndef POSTERN_CONF_PROBLEM_H
#define POSTERN_CONF_PROBLEM_H

#include "base/arena.h"
#include "base/buf.h"

enum { CONF_PROBLEMS_MAX = 100 };

/* Where in the files a piece of text stands. */
struct conf_place {
	struct slice file;  /* empty: the configuration as a whole, or a command line */
	uint32_t line;      /* from 1; 0: the file as a whole */
	struct slice macro; /* the macro that was replaced in this line, or empty */
	uint32_t column;    /* the byte of the physical line, from 1; 0: not known */
};

struct conf_problem {
	struct conf_place place;
	struct slice option; /* "tls_certificate", "router local: user", or empty */
	struct slice text;   /* what is wrong, what was expected */
	struct slice line;   /* the physical line, when the column is known */
	bool warning;
};

struct conf_problems {
	struct arena arena;
	struct conf_problem *items;
	size_t count;
	size_t errors, warnings; /* all of them, kept or not */
};

void conf_problems_init(struct conf_problems *problems);
void conf_problems_free(struct conf_problems *problems);

/* `option` may be empty. All copy what they are given. */
void conf_error(struct conf_problems *problems, struct conf_place place, struct slice option, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void conf_warning(struct conf_problems *problems, struct conf_place place, struct slice option, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void conf_verror(struct conf_problems *problems, struct conf_place place, struct slice option, const char *format, va_list args)
	__attribute__((format(printf, 4, 0)));

/* Puts the problems of each file in the order of its lines; what has no line comes first. */
void conf_problems_sort(struct conf_problems *problems);

/*
 * One line without newline: "FILE:12:7: error: option X: text (macro Y was replaced in this line)"; the column only where it is
 * known. False when `out` is full.
 */
bool conf_problem_format(const struct conf_problem *problem, struct buf *out);
/* Two lines with newlines, the line of the file and a caret below the column; nothing where that is not known. */
bool conf_problem_excerpt(const struct conf_problem *problem, struct buf *out);

#endif
