/* SPDX-License-Identifier: ISC */
/*
 * The variables that ACLs set ($acl_c_NAME, $acl_m_NAME): a store of texts with their taint. A session has one for the connection
 * and one for the message; each owns copies of what is set, and has bounds, because an ACL may run for every recipient.
 *
 * Invariant: names are unique, `bytes` is the sum of all names and values.
 */
#ifndef POSTERN_ACL_VARIABLES_H
#define POSTERN_ACL_VARIABLES_H

#include "base/error.h"
#include "expand/expand.h"

enum { ACL_VARIABLES_MAX = 1000, ACL_VARIABLES_BYTES_MAX = 1 << 20, ACL_VARIABLE_NAME_MAX = 64 };

struct acl_variable;

struct acl_variables {
	struct acl_variable *first;
	size_t count, bytes;
};

/* All zero is an empty store. Sets one; `name` is what follows "acl_c" or "acl_m". False, with *error, when it is full. */
bool acl_variables_set(struct acl_variables *variables, struct slice name, struct expand_value value, struct error *error);
/* The value lives until the variable is set again, which is long enough for expansions (expand/expand.h). False: it was never set. */
bool acl_variables_get(const struct acl_variables *variables, struct slice name, struct expand_value *value_r);
/* In the order in which they were first set; false ends the walk. */
typedef bool acl_variables_fn(void *owner, struct slice name, struct expand_value value);
void acl_variables_each(const struct acl_variables *variables, acl_variables_fn *each, void *owner);
/* Forgets all, and gives the memory back. */
void acl_variables_clear(struct acl_variables *variables);

/*
 * Whether it is a name for `set`: a digit or an underscore after "acl_c" or "acl_m", then letters, digits and underscores.
 * *family_r and *rest_r ("_NAME", "0") are the two parts.
 */
bool acl_variable_name(struct slice name, enum expand_family *family_r, struct slice *rest_r, struct error *error);

#endif
