/* SPDX-License-Identifier: ISC */
/* Conditions of ${if ...}: how each is written and what evaluates it. For the files of this directory only. */
#ifndef POSTERN_EXPAND_CONDITION_H
#define POSTERN_EXPAND_CONDITION_H

#include "expand/compiler.h"

enum expand_comparison { EXPAND_EQUAL, EXPAND_LESS, EXPAND_LESS_EQUAL, EXPAND_GREATER, EXPAND_GREATER_EQUAL };

/* What follows the name. */
enum expand_condition_form {
	EXPAND_FORM_PLAIN,    /* `operands` strings in braces */
	EXPAND_FORM_DEF,      /* ":" and a name */
	EXPAND_FORM_GROUP,    /* {{condition}{condition}...} */
	EXPAND_FORM_LIST,     /* {string}{list}, the list not expanded */
	EXPAND_FORM_MATCH,    /* {string}{regular expression} */
	EXPAND_FORM_EACH,     /* {list}{condition} */
	EXPAND_FORM_CALL,     /* {{name}{argument}...} */
};

struct expand_condition_kind {
	const char *name;
	enum expand_condition_form form;
	unsigned char operands;
	expand_condition_run *run;
	enum expand_comparison operator;
	bool caseless;
	bool any;           /* forany, or */
	bool json, unquote; /* the list is a JSON array */
	enum expand_list list;
};

const struct expand_condition_kind *expand_condition_kind(struct slice name);

expand_condition_run expand_condition_numbers, expand_condition_strings, expand_condition_match, expand_condition_list,
	expand_condition_ip, expand_condition_inlist, expand_condition_def, expand_condition_group, expand_condition_each, expand_condition_bool,
	expand_condition_isip, expand_condition_exists, expand_condition_first_delivery, expand_condition_queue_running,
	expand_condition_acl, expand_condition_crypteq, expand_condition_inbound_srs, expand_condition_pam;

/* Whether a relates to b as the comparison wants: for numbers and for texts. */
bool expand_compare(enum expand_comparison operator, int order);
/* One comparison of texts or numbers, for sort. */
enum expand_result expand_condition_compare(struct expand_evaluation *run, const struct expand_condition *condition, struct slice a,
					    struct slice b, bool *yes_r);

#endif
