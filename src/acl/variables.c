/* SPDX-License-Identifier: ISC */
#include "acl/variables.h"

#include "base/fatal.h"

struct acl_variable {
	struct acl_variable *next;
	struct slice name;  /* in the block's own tail */
	struct slice value; /* a block of its own, with a NUL behind it */
	bool tainted;
};

static struct acl_variable **find(struct acl_variables *variables, struct slice name)
{
	struct acl_variable **at = &variables->first;
	while (*at && !slice_equal((*at)->name, name))
		at = &(*at)->next;
	return at;
}

static struct slice copy(struct slice text)
{
	char *data = xcalloc(1, text.len + 1);
	if (text.len)
		memcpy(data, text.data, text.len);
	return slice_make(data, text.len);
}

static struct acl_variable *add(struct acl_variables *variables, struct acl_variable **at, struct slice name)
{
	struct acl_variable *variable = xcalloc(1, sizeof *variable + name.len);
	char *text = (char *)(variable + 1);
	memcpy(text, name.data, name.len);
	variable->name = slice_make(text, name.len);
	variable->value = copy(SLICE(""));
	*at = variable;
	variables->count++;
	variables->bytes += name.len;
	return variable;
}

bool acl_variables_set(struct acl_variables *variables, struct slice name, struct expand_value value, struct error *error)
{
	struct acl_variable **at = find(variables, name), *variable = *at;
	size_t before = variable ? variable->value.len : 0;
	size_t more = value.text.len + (variable ? 0 : name.len);
	if (!variable && variables->count >= ACL_VARIABLES_MAX)
		return error_set(error, ERROR_PERMANENT, "there are already %d ACL variables; \"%.*s\" cannot be set",
				 ACL_VARIABLES_MAX, SLICE_ARG(name));
	if (more > ACL_VARIABLES_BYTES_MAX - (variables->bytes - before))
		return error_set(error, ERROR_PERMANENT, "the ACL variables would hold more than %d bytes; \"%.*s\" cannot be set",
				 ACL_VARIABLES_BYTES_MAX, SLICE_ARG(name));
	if (!variable)
		variable = add(variables, at, name);
	/* The new text may be a piece of the old one: copy first. */
	struct slice text = copy(value.text);
	free((char *)variable->value.data);
	variable->value = text;
	variable->tainted = value.tainted;
	variables->bytes = variables->bytes - before + text.len;
	return true;
}

bool acl_variables_get(const struct acl_variables *variables, struct slice name, struct expand_value *value_r)
{
	for (const struct acl_variable *variable = variables->first; variable; variable = variable->next) {
		if (!slice_equal(variable->name, name))
			continue;
		*value_r = (struct expand_value){ variable->value, variable->tainted };
		return true;
	}
	return false;
}

void acl_variables_each(const struct acl_variables *variables, acl_variables_fn *each, void *owner)
{
	for (const struct acl_variable *variable = variables->first; variable; variable = variable->next)
		if (!each(owner, variable->name, (struct expand_value){ variable->value, variable->tainted }))
			return;
}

void acl_variables_clear(struct acl_variables *variables)
{
	while (variables->first) {
		struct acl_variable *variable = variables->first;
		variables->first = variable->next;
		free((char *)variable->value.data);
		free(variable);
	}
	*variables = (struct acl_variables){ 0 };
}

bool acl_variable_name(struct slice name, enum expand_family *family_r, struct slice *rest_r, struct error *error)
{
	bool connection = slice_starts(name, SLICE("acl_c"));
	if (!connection && !slice_starts(name, SLICE("acl_m")))
		return error_set(error, ERROR_USAGE, "\"set\" can only set variables whose names begin with acl_c or acl_m, not \"%.*s\"",
				 SLICE_ARG(slice_first(name, 64)));
	struct slice rest = slice_from(name, 5);
	if (rest.len == 0 || (rest.data[0] != '_' && !ascii_is_digit(rest.data[0])))
		return error_set(error, ERROR_USAGE, "a digit or an underscore must follow acl_c or acl_m in \"%.*s\"",
				 SLICE_ARG(slice_first(name, 64)));
	if (rest.len > ACL_VARIABLE_NAME_MAX)
		return error_set(error, ERROR_USAGE, "the name of the variable \"%.*s...\" is longer than %d characters",
				 SLICE_ARG(slice_first(name, 64)), ACL_VARIABLE_NAME_MAX);
	for (size_t i = 0; i < rest.len; i++)
		if (!ascii_is_alnum(rest.data[i]) && rest.data[i] != '_')
			return error_set(error, ERROR_USAGE, "the name of the variable \"%.*s\" may hold only letters, digits and "
					 "underscores", SLICE_ARG(slice_first(name, 64)));
	*family_r = connection ? EXPAND_ACL_C : EXPAND_ACL_M;
	*rest_r = rest;
	return true;
}
