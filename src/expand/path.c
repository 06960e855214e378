/* SPDX-License-Identifier: ISC */
/* The checking conversion to a path: the only place where struct clean_path is made. */
#include "expand/program.h"

/* A path in a message: not so long that the reason is cut off, and no control bytes. */
static bool path_error(struct error *error, struct slice text, const char *before, const char *after)
{
	char shown[160];
	size_t len = 0;
	for (; len < text.len && len < sizeof shown - 1; len++)
		shown[len] = ascii_is_print(text.data[len]) ? text.data[len] : '?';
	shown[len] = '\0';
	return error_set(error, ERROR_PERMANENT, "%s'%s%s' %s", before, shown, len < text.len ? "..." : "", after);
}

bool expand_to_path(struct expand_value value, struct arena *arena, struct clean_path *path_r, struct error *error)
{
	struct slice text = value.text;
	if (value.tainted)
		return path_error(error, text, "Tainted ", "(file or directory name) not permitted");
	if (text.len == 0 || text.data[0] != '/')
		return path_error(error, text, "", "is not an absolute path");
	if (text.len > CLEAN_PATH_MAX)
		return path_error(error, text, "", "is too long for a path");
	if (slice_find(text, '\0') < text.len)
		return path_error(error, text, "", "holds a NUL byte and cannot be a path");

	struct slice rest = slice_from(text, 1);
	for (bool last = false; !last;) {
		last = slice_find(rest, '/') == rest.len;
		struct slice component = slice_cut(&rest, '/');
		if (component.len == 0)
			return path_error(error, text, "", "has an empty component, so a variable in it may be empty");
		if (slice_equal(component, SLICE(".")) || slice_equal(component, SLICE("..")))
			return path_error(error, text, "", "has a component \".\" or \"..\"");
		if (component.len > CLEAN_PATH_COMPONENT_MAX)
			return path_error(error, text, "", "has a component longer than a file name may be");
	}
	path_r->text = arena_copy(arena, text);
	return true;
}

static bool ends_in_slash(const struct expand_program *program)
{
	const struct expand_node *last = program->body.first;
	while (last && last->next)
		last = last->next;
	return last && last->kind == EXPAND_NODE_LITERAL && last->of.literal.data[last->of.literal.len - 1] == '/';
}

enum expand_result expand_run_path(const struct expand_program *program, const struct expand_context *context,
				   struct arena *arena, struct clean_path *path_r, struct error *error)
{
	struct expand_value value;
	enum expand_result result = expand_run(program, context, arena, &value, error);
	if (result != EXPAND_OK)
		return result;
	if (ends_in_slash(program))
		value.text.len--;
	return expand_to_path(value, arena, path_r, error) ? EXPAND_OK : EXPAND_FAIL;
}
