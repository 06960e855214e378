/* SPDX-License-Identifier: ISC */
/* The chapters of the reference manual, for the files of this directory only. */
#ifndef POSTERN_CONF_REFERENCE_H
#define POSTERN_CONF_REFERENCE_H

#include "conf/manual.h"

/* Variables, items, operators, conditions and search types (reference_expand.c). */
void reference_expansions(struct manual *manual);
/* Access control lists: points, verbs, conditions, modifiers, controls, kinds of verification (reference_acl.c). */
void reference_acls(struct manual *manual);
/* Named lists and the items of lists (reference_lists.c). */
void reference_lists(struct manual *manual);

#endif
