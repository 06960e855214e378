/* SPDX-License-Identifier: ISC */
/*
 * The compiler of lists, after expansion: splitting, negation, flags and files. Single items are item.c's, the sets build.c's;
 * expansions are dynamic.c's.
 */
#include "match/item.h"
#include "match/split.h"

#include "base/clock.h"
#include "base/fatal.h"

enum { READ_TIMEOUT_SECONDS = 30 };

struct compiler {
	struct list_item_context context;
	struct list_item *items; /* on the heap while it grows */
	size_t count, size;
	enum list_unknown unknown, deferred;
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

static void push_item(struct compiler *c, struct list_item item, bool negative)
{
	if (c->count == c->size) {
		c->size = c->size ? c->size * 2 : 16;
		c->items = xrealloc(c->items, c->size * sizeof *c->items);
	}
	item.negative = negative;
	item.caseful = c->context.caseful;
	item.unknown = c->unknown;
	item.deferred = c->deferred;
	c->items[c->count++] = item;
	c->last_negative = negative;
}

static bool add_item(struct compiler *c, struct slice text, bool negative)
{
	struct list_item item = { 0 };
	if (!list_item_parse(&c->context, text, &item, c->error))
		return item_error(c, text);
	push_item(c, item, negative);
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

/* The file of that name that was read when the list was compiled first. */
static const struct list_file *known_file(const struct compiler *c, struct slice path)
{
	for (const struct list_file *file = *c->context.source->files; file; file = file->next)
		if (slice_equal(file->path, path))
			return file;
	return NULL;
}

/* At run time: the text that was read with the configuration, otherwise the file as it is now. */
static bool find_file(struct compiler *c, struct slice path, struct slice *text_r)
{
	const struct list_file *known = known_file(c, path);
	const struct expand_context *running = c->context.source->running;
	const struct expand_request request = {
		.service = EXPAND_SERVICE_READ_FILE, .file = path, .deadline = clock_after(READ_TIMEOUT_SECONDS * CLOCK_SECOND),
	};
	struct expand_answer answer = { 0 };
	if (known) {
		*text_r = known->text;
		return true;
	}
	if (c->context.source->read_now)
		*c->context.source->read_now = true;
	if (!running->ask)
		return error_set(c->error, ERROR_PERMANENT, "files cannot be read here");
	if (running->ask(running->owner, &request, c->context.arena, &answer, c->error) != EXPAND_OK)
		return false;
	*text_r = answer.text;
	return answer.found || error_set(c->error, ERROR_PERMANENT, "there is no such file");
}

static struct list *finish(struct compiler *c);

/*
 * Remembers a file for run time. Its items are compiled now, so that a large file costs nothing at each match; as a list within
 * the list they mean the same unless one is negated (then no match is not the end) or asks (then the flags before it count).
 */
static void remember_file(struct compiler *c, struct slice path, struct slice text)
{
	struct arena *arena = c->context.source->files_arena;
	struct list_file *file = arena_new(arena, struct list_file);
	struct error ignored; /* the same items are compiled once more, and a mistake is told then */
	struct compiler inner = { .context = c->context, .error = &ignored };
	*file = (struct list_file){ arena_copy(arena, path), arena_copy(arena, text), NULL, c->context.caseful,
				    *c->context.source->files };
	*c->context.source->files = file;
	inner.context.arena = arena;
	inner.context.in_file = true;
	inner.context.asks = false;
	inner.context.item = (struct list_text){ 0 };
	inner.context.primary_hostname = arena_copy(arena, c->context.primary_hostname);
	if (!add_file_lines(&inner, file->text, false)) {
		free(inner.items);
		return;
	}
	bool plain = !inner.context.asks;
	for (size_t i = 0; i < inner.count; i++)
		plain = plain && !inner.items[i].negative;
	const struct list *list = finish(&inner);
	if (plain)
		file->list = list;
}

static bool read_file(struct compiler *c, struct slice path, struct slice *text_r)
{
	const struct list_scope *scope = c->context.scope;
	struct clean_path clean;
	struct expand_value value = { path, list_text_tainted(&c->context.item, path) };
	if (value.tainted)
		return expand_to_path(value, c->context.arena, &clean, c->error);
	if (c->context.running)
		return expand_to_path(value, c->context.arena, &clean, c->error) && find_file(c, clean.text, text_r);
	if (!scope->read_file && c->context.source->read_later) {
		*c->context.source->read_later = true;
		*text_r = SLICE("");
		return expand_to_path(value, c->context.arena, &clean, c->error);
	}
	if (!scope->read_file)
		return error_set(c->error, ERROR_USAGE, "files of items cannot be used here");
	if (!scope->read_file(scope->owner, path, text_r, c->error))
		return false;
	if (c->context.source->files && text_r->len <= LIST_MAX_BYTES)
		remember_file(c, path, *text_r);
	return true;
}

/* At run time: a file whose items are compiled already. False: there is none. */
static bool add_known_file(struct compiler *c, struct slice path, bool negative)
{
	const struct list_file *file = NULL;
	if (c->context.running && !list_text_tainted(&c->context.item, path))
		file = known_file(c, path);
	if (!file || !file->list || file->caseful != c->context.caseful)
		return false;
	struct list_item item = { .kind = LIST_ITEM_SUBLIST, .data = path, .sublist = file->list };
	push_item(c, item, negative);
	return true;
}

static bool add_file(struct compiler *c, struct slice path, bool negative)
{
	struct slice text;
	if (add_known_file(c, path, negative))
		return true;
	if (!read_file(c, path, &text))
		return item_error(c, path);
	if (text.len > LIST_MAX_BYTES) {
		error_set(c->error, ERROR_USAGE, "the file is larger than %d bytes", LIST_MAX_BYTES);
		return item_error(c, path);
	}
	c->last_negative = negative; /* decides if the file has no items */
	c->context.in_file = true;
	c->context.item = (struct list_text){ 0 };
	bool ok = add_file_lines(c, arena_copy(c->context.arena, text), negative);
	c->context.in_file = false;
	return ok || error_context(c->error, "file \"%.*s\"", SLICE_ARG(slice_first(path, 200)));
}

/* Items that are no items: they change how those after them are matched. */
static bool take_flag(struct compiler *c, struct slice item)
{
	static const struct {
		const char *name;
		bool deferred;
		enum list_unknown value;
	} host_flags[] = {
		{ "+ignore_unknown", false, LIST_UNKNOWN_IGNORE },
		{ "+include_unknown", false, LIST_UNKNOWN_INCLUDE },
		{ "+ignore_defer", true, LIST_UNKNOWN_IGNORE },
		{ "+include_defer", true, LIST_UNKNOWN_INCLUDE },
	};
	if (list_text_tainted(&c->context.item, item))
		return false;
	if (c->context.kind == LIST_ADDRESS || c->context.kind == LIST_LOCAL_PART) {
		if (!slice_equal(item, SLICE("+caseful")))
			return false;
		c->context.caseful = true;
		return true;
	}
	for (size_t i = 0; c->context.kind == LIST_HOST && i < sizeof host_flags / sizeof *host_flags; i++) {
		if (slice_equal(item, slice_of(host_flags[i].name))) {
			*(host_flags[i].deferred ? &c->deferred : &c->unknown) = host_flags[i].value;
			return true;
		}
	}
	return false;
}

/*
 * While the text is only checked, what an expansion is part of cannot be compiled; a lookup's type may be known already, and the
 * beginning of the path of a file that will be opened.
 */
static bool check_computed(struct compiler *c, struct slice item)
{
	const struct list_lookup *lookup;
	const struct expand_language *language = c->context.scope->language;
	struct slice written = slice_first(item, list_text_written(&c->context.item, item));
	if (written.len && written.data[0] == '/' && language && language->uses_path)
		language->uses_path(language->owner, written, EXPAND_SERVICE_READ_FILE);
	if (list_lookup_type_len(written) == 0)
		return true;
	bool ok = c->context.kind == LIST_HOST ? list_host_lookup_parse(&c->context, item, &lookup, c->error) :
						 list_lookup_parse(&c->context, item, false, &lookup, c->error);
	return ok || item_error(c, item);
}

static bool add_split_item(struct compiler *c, struct slice item)
{
	if (take_flag(c, item))
		return true;
	bool negative = take_negation(&item);
	if (c->context.source->checking && list_text_computed(&c->context.item, item))
		return check_computed(c, item);
	return item.len && item.data[0] == '/' ? add_file(c, item, negative) : add_item(c, item, negative);
}

static bool add_items(struct compiler *c)
{
	struct list_splitter splitter;
	struct slice item;
	const struct list_text *text = &c->context.source->text;
	list_split_start(&splitter, text->text);
	while (list_split_next(&splitter, c->context.arena, &item)) {
		c->context.item = list_text_item(text, splitter.raw, item, splitter.separator, c->context.arena);
		if (!add_split_item(c, item))
			return false;
	}
	return true;
}

/* From the items gathered; frees them. */
static struct list *finish(struct compiler *c)
{
	const struct list_item_context *context = &c->context;
	const struct list_scope *scope = context->scope;
	struct list *list = arena_new(context->arena, struct list);
	struct net_address *interfaces = arena_array(context->arena, scope->interface_count, sizeof *interfaces);
	for (size_t i = 0; i < scope->interface_count; i++)
		interfaces[i] = net_address_unmap(scope->interfaces[i]);
	*list = (struct list){
		.kind = context->kind, .depth = context->depth, .last_negative = c->last_negative,
		.asks = context->asks, .varies = context->varies && !scope->cached,
		.interfaces = interfaces, .interface_count = scope->interface_count,
		.treat_as_local = scope->hosts_treat_as_local,
	};
	list_build_runs(list, context->arena, c->items, c->count);
	free(c->items);
	return list;
}

/* Strings are compared with or without case, as the match wants: so both forms are there. */
static bool add_caseless(struct compiler *c, struct list *list)
{
	c->items = NULL;
	c->count = c->size = 0;
	c->context.caseful = false;
	if (!add_items(c)) {
		free(c->items);
		return false;
	}
	list->caseless = finish(c);
	return true;
}

bool list_compile_source(struct arena *arena, enum list_kind kind, const struct list_scope *scope, const struct list_source *source,
			 struct list **list_r, struct error *error)
{
	struct compiler c = {
		.context = { .kind = kind, .scope = scope, .arena = arena, .depth = 1, .source = source,
			     .running = source->running != NULL, .caseful = kind == LIST_STRING,
			     .primary_hostname = arena_copy(arena, scope->primary_hostname) },
		.error = error,
	};
	if (!add_items(&c)) {
		free(c.items);
		return false;
	}
	*list_r = finish(&c);
	return kind != LIST_STRING || add_caseless(&c, *list_r);
}

bool list_compile_item(struct list_item_context *context, enum list_kind kind, struct slice text, const struct list **list_r,
		       struct error *error)
{
	struct compiler c = { .context = *context, .error = error };
	c.context.kind = kind;
	c.context.caseful = kind != LIST_DOMAIN && context->caseful;
	bool negative = take_negation(&text);
	bool file = text.len && text.data[0] == '/' && !context->in_file;
	if (!(file ? add_file(&c, text, negative) : add_item(&c, text, negative))) {
		free(c.items);
		return false;
	}
	context->depth = c.context.depth;
	context->asks = c.context.asks;
	context->varies = c.context.varies;
	*list_r = finish(&c);
	return true;
}
