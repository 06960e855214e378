/* SPDX-License-Identifier: ISC */
/* The compiler of lists: expansion, splitting, negation, flags and files. Single items are item.c's, the sets build.c's. */
#include "match/item.h"
#include "match/split.h"

#include "base/fatal.h"

struct compiler {
	struct list_item_context context;
	struct list_item *items; /* on the heap while it grows */
	size_t count, size;
	bool caseful;
	enum list_unknown unknown;
	bool last_negative;
	struct error *error;
};

const char *list_kind_text(enum list_kind kind)
{
	static const char *const texts[LIST_KINDS] = { "host", "domain", "address", "local part", "string" };
	return texts[kind];
}

/* "!" and the space after it, if any. */
static bool take_negation(struct slice *item)
{
	if (item->len == 0 || item->data[0] != '!')
		return false;
	*item = slice_from(*item, 1);
	while (item->len && ascii_is_space(item->data[0]))
		*item = slice_from(*item, 1);
	return true;
}

static bool item_error(struct compiler *c, struct slice item)
{
	return error_context(c->error, "item \"%.*s\" of the %s list", SLICE_ARG(slice_first(item, 100)),
			     list_kind_text(c->context.kind));
}

static bool add_item(struct compiler *c, struct slice text, bool negative)
{
	if (c->count == c->size) {
		c->size = c->size ? c->size * 2 : 16;
		c->items = xrealloc(c->items, c->size * sizeof *c->items);
	}
	struct list_item item = { 0 };
	if (!list_item_parse(&c->context, text, &item, c->error))
		return item_error(c, text);
	item.negative = negative;
	item.caseful = c->caseful;
	item.unknown = c->unknown;
	c->items[c->count++] = item;
	c->last_negative = negative;
	return true;
}

/* The line without its comment: "#" anywhere, or for kinds whose items may hold one only after a space or at the start. */
static struct slice strip_comment(struct slice line, enum list_kind kind)
{
	bool anywhere = kind == LIST_HOST || kind == LIST_DOMAIN;
	for (size_t i = 0; i < line.len; i++)
		if (line.data[i] == '#' && (anywhere || i == 0 || ascii_is_space(line.data[i - 1])))
			return slice_trim(slice_first(line, i));
	return slice_trim(line);
}

static bool add_file_lines(struct compiler *c, struct slice text, bool negative)
{
	for (size_t number = 1; text.len; number++) {
		struct slice line = strip_comment(slice_cut(&text, '\n'), c->context.kind);
		if (line.len == 0)
			continue;
		bool line_negative = take_negation(&line) != negative;
		bool ok = line.len && line.data[0] == '/' ?
				  error_set(c->error, ERROR_USAGE, "a file of items cannot name another file") :
				  add_item(c, line, line_negative);
		if (!ok)
			return error_context(c->error, "line %zu", number);
	}
	return true;
}

static bool add_file(struct compiler *c, struct slice path, bool negative)
{
	const struct list_scope *scope = c->context.scope;
	struct slice text;
	if (!scope->read_file) {
		error_set(c->error, ERROR_USAGE, "files of items cannot be used here");
		return item_error(c, path);
	}
	if (!scope->read_file(scope->owner, path, &text, c->error))
		return item_error(c, path);
	if (text.len > LIST_MAX_BYTES) {
		error_set(c->error, ERROR_USAGE, "the file is larger than %d bytes", LIST_MAX_BYTES);
		return item_error(c, path);
	}
	c->last_negative = negative; /* decides if the file has no items */
	c->context.in_file = true;
	bool ok = add_file_lines(c, arena_copy(c->context.arena, text), negative);
	c->context.in_file = false;
	return ok || error_context(c->error, "file \"%.*s\"", SLICE_ARG(slice_first(path, 200)));
}

/* Items that are no items: they change how those after them are matched. */
static bool take_flag(struct compiler *c, struct slice item)
{
	static const struct {
		const char *name;
		enum list_unknown unknown;
	} host_flags[] = {
		{ "+ignore_unknown", LIST_UNKNOWN_IGNORE },
		{ "+include_unknown", LIST_UNKNOWN_INCLUDE },
	};
	if (c->context.kind == LIST_ADDRESS || c->context.kind == LIST_LOCAL_PART) {
		if (!slice_equal(item, SLICE("+caseful")))
			return false;
		c->caseful = true;
		return true;
	}
	if (c->context.kind != LIST_HOST)
		return false;
	/* Temporary failures come only from lookups of names, and lists do none. */
	if (slice_equal(item, SLICE("+ignore_defer")) || slice_equal(item, SLICE("+include_defer")))
		return true;
	for (size_t i = 0; i < sizeof host_flags / sizeof *host_flags; i++) {
		if (slice_equal(item, slice_of(host_flags[i].name))) {
			c->unknown = host_flags[i].unknown;
			return true;
		}
	}
	return false;
}

static bool add_items(struct compiler *c, struct slice text)
{
	struct list_splitter splitter;
	struct slice item;
	list_split_start(&splitter, text);
	while (list_split_next(&splitter, c->context.arena, &item)) {
		if (take_flag(c, item))
			continue;
		bool negative = take_negation(&item);
		bool ok = item.len && item.data[0] == '/' ? add_file(c, item, negative) : add_item(c, item, negative);
		if (!ok)
			return false;
	}
	return true;
}

/* The list's text after expansion, in the arena. */
static bool expand_text(struct arena *arena, struct slice text, const struct list_scope *scope, struct slice *text_r,
			struct error *error)
{
	const struct expand_program *program;
	struct expand_value value;
	size_t column;
	if (!expand_compile(arena, text, EXPAND_PLACE_LOAD, NULL, &program, error, &column))
		return error_context(error, "column %zu", column);
	if (expand_constant(program, text_r))
		return true;
	if (!scope->constants)
		return error_set(error, ERROR_USAGE, "variables in this list are not available in this version");
	if (expand_run(program, scope->constants, arena, &value, error) != EXPAND_OK)
		return false;
	*text_r = value.text;
	return true;
}

bool list_compile(struct arena *arena, enum list_kind kind, struct slice text, const struct list_scope *scope,
		  const struct list **list_r, struct error *error)
{
	struct compiler c = {
		.context = { .kind = kind, .scope = scope, .arena = arena, .depth = 1 },
		.caseful = kind == LIST_STRING,
		.error = error,
	};
	if (!expand_text(arena, text, scope, &text, error))
		return false;
	c.context.primary_hostname = arena_copy(arena, scope->primary_hostname);
	bool ok = add_items(&c, text);
	if (ok) {
		struct list *list = arena_new(arena, struct list);
		struct net_address *interfaces = arena_array(arena, scope->interface_count, sizeof *interfaces);
		for (size_t i = 0; i < scope->interface_count; i++)
			interfaces[i] = net_address_unmap(scope->interfaces[i]);
		*list = (struct list){ .kind = kind, .depth = c.context.depth, .last_negative = c.last_negative,
				       .interfaces = interfaces, .interface_count = scope->interface_count };
		list_build_runs(list, arena, c.items, c.count);
		*list_r = list;
	}
	free(c.items);
	return ok;
}
