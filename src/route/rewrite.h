/* SPDX-License-Identifier: ISC */
/*
 * Rewrite rules (Exim's manual, chapter 31): addresses of the envelope and of header fields are replaced as a message comes in.
 *
 *	PATTERN  REPLACEMENT  FLAGS
 *
 * The rules are tried in order, each on what those before it made; a replacement of "*" ends the rewriting. A forced failure
 * of the replacement leaves the address to the next rule. Any other failure is passed on: the message cannot be taken now.
 * A replacement that is no address is told to the caller and ends the rewriting of that address.
 *
 * Rules lie in the arena that compiled them and are immutable.
 */
#ifndef POSTERN_ROUTE_REWRITE_H
#define POSTERN_ROUTE_REWRITE_H

#include "route/pattern.h"

enum rewrite_flag {
	REWRITE_ENVELOPE_FROM = 1 << 0, /* F */
	REWRITE_ENVELOPE_TO = 1 << 1,   /* T */
	REWRITE_BCC = 1 << 2,           /* b */
	REWRITE_CC = 1 << 3,            /* c */
	REWRITE_FROM = 1 << 4,          /* f */
	REWRITE_REPLY_TO = 1 << 5,      /* r */
	REWRITE_SENDER = 1 << 6,        /* s */
	REWRITE_TO = 1 << 7,            /* t */
	REWRITE_SMTP = 1 << 8,          /* S: the argument of MAIL or RCPT as it comes */
	REWRITE_QUALIFY = 1 << 9,       /* Q */
	REWRITE_QUIT = 1 << 10,         /* q */
	REWRITE_REPEAT = 1 << 11,       /* R */
	REWRITE_WHOLE = 1 << 12,        /* w */
	REWRITE_ENVELOPE = REWRITE_ENVELOPE_FROM | REWRITE_ENVELOPE_TO,                        /* E */
	REWRITE_HEADERS = REWRITE_BCC | REWRITE_CC | REWRITE_FROM | REWRITE_REPLY_TO | REWRITE_SENDER | REWRITE_TO, /* h */
};

enum { REWRITE_REPEATS = 10 };

struct rewrite_rule {
	const struct address_pattern *pattern;
	const struct expand_program *replacement; /* NULL: "*" */
	unsigned flags;
	struct rewrite_rule *next;
};

/* One line; the caller links it. False with *error; *column_r is the byte of the line, from 1, that it is about. */
bool rewrite_compile(struct arena *arena, struct slice line, const struct pattern_scope *scope, struct rewrite_rule **rule_r,
		     struct error *error, size_t *column_r);
/* All targets that some rule is for. */
unsigned rewrite_targets(const struct rewrite_rule *first);

/* What rewriting works with. */
struct rewriter {
	const struct rewrite_rule *rules;
	const struct expand_context *context; /* of the message; its numbers are set here */
	/* Where the owner of the context finds the address that $local_part and $domain are about; set while rules run. */
	const struct pattern_subject **subject;
	struct slice qualify_recipient; /* for Q */
	bool utf8;                      /* addresses may be UTF-8 */
	struct arena *arena;
	void *owner;
	void (*problem)(void *owner, const char *text); /* for the panic log; NULL: nobody wants it */
};

struct rewrite_result {
	bool changed;
	struct slice address; /* "local@domain", as on the wire */
	struct slice whole;   /* by a rule with w: the whole item of the header field; data NULL: none */
};

/* `target`: one of the flags up to REWRITE_TO. The null sender and what is not a qualified address stay as they are. */
enum expand_result rewrite_address(const struct rewriter *rewriter, unsigned target, struct slice address,
				   struct rewrite_result *result_r, struct error *error);
/* The argument of MAIL or RCPT (parameters taken away) by the rules with S. */
enum expand_result rewrite_smtp(const struct rewriter *rewriter, struct slice argument, struct slice *result_r,
				struct error *error);
/*
 * The header section at the start of `text`, with line ends of either kind; what no rule changes, and what follows the section, is
 * copied byte by byte. EXPAND_FAIL also when `out` is full.
 */
enum expand_result rewrite_headers(const struct rewriter *rewriter, struct slice text, struct buf *out, struct error *error);

#endif
