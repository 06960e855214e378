/* SPDX-License-Identifier: ISC */
#include "role/tls_walk.h"

#include "base/cleanup.h"
#include "role/tls_content.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct walk {
	struct arena *arena;
	tls_walk_function *each;
	void *owner;
	size_t count;
	bool guessing;
};

static void visit(struct walk *walk, struct slice path, struct slice key_path)
{
	const struct tls_want want = { .kind = TLS_FILE_CHAIN, .path = path, .key_path = key_path, .option = "tls_certificate" };
	if (walk->count++ < TLS_WALK_MAX)
		walk->each(walk->owner, &want, walk->guessing);
}

static bool is_there(struct slice path)
{
	char text[TLS_PATH_MAX];
	return slice_to_cstr(path, text, sizeof text) && access(text, F_OK) == 0;
}

/* A line of a directory's listing (tls_files.h): NAME.pem with NAME.key if that is there; or NAME/. */
static void visit_line(struct walk *walk, struct slice directory, struct slice line)
{
	struct arena *arena = walk->arena;
	struct slice name = slice_first(line, slice_find_last(line, '.'));
	if (slice_ends_nocase(line, SLICE("/"))) {
		visit(walk, arena_printf(arena, "%.*s%.*sfullchain.pem", SLICE_ARG(directory), SLICE_ARG(line)),
		      arena_printf(arena, "%.*s%.*sprivkey.pem", SLICE_ARG(directory), SLICE_ARG(line)));
	} else if (slice_ends_nocase(line, SLICE(".pem"))) {
		struct slice path = arena_printf(arena, "%.*s%.*s", SLICE_ARG(directory), SLICE_ARG(line));
		struct slice key = arena_printf(arena, "%.*s%.*s.key", SLICE_ARG(directory), SLICE_ARG(name));
		visit(walk, path, is_there(key) ? key : path);
	}
}

/* `directory` ends with a slash. One that cannot be read has nothing. */
static void visit_directory(struct walk *walk, struct slice directory)
{
	char path[TLS_PATH_MAX];
	struct tls_content content;
	struct error ignored;
	if (!slice_to_cstr(directory, path, sizeof path) || !tls_content_read(TLS_FILE_NAMES, path, "", &content, &ignored))
		return;
	struct slice text = tls_content_map(&content), names = text;
	while (names.len)
		visit_line(walk, directory, slice_cut(&names, '\n'));
	tls_content_unmap(text);
	tls_content_drop(&content);
}

/* A literal is a list, or a part of one: an item of it is a file, or the beginning of the paths of some. */
static void guess(void *owner, struct slice literal)
{
	struct walk *walk = owner;
	char path[TLS_PATH_MAX];
	struct stat st;
	while (literal.len) {
		size_t end = 0;
		while (end < literal.len && !strchr(":;,", literal.data[end]))
			end++;
		struct slice item = slice_trim(slice_first(literal, end));
		literal = slice_from(literal, end + 1);
		struct slice directory = slice_first(item, slice_find_last(item, '/') + 1);
		if (!item.len || item.data[0] != '/' || !slice_to_cstr(item, path, sizeof path))
			continue;
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
			visit(walk, arena_copy(walk->arena, item), arena_copy(walk->arena, item));
		else if (directory.len > 1)
			visit_directory(walk, directory);
	}
}

void tls_walk(const struct conf *conf, struct arena *arena, tls_walk_function *each, void *owner)
{
	struct walk walk = { .arena = arena, .each = each, .owner = owner };
	struct tls_want wants[TLS_WANTS_MAX];
	size_t count = tls_wants_of(conf, arena, wants);
	for (size_t i = 0; i < count; i++)
		if (wants[i].kind == TLS_FILE_CHAIN)
			visit(&walk, wants[i].path, wants[i].key_path);
		else if (wants[i].kind == TLS_FILE_NAMES)
			visit_directory(&walk, wants[i].path);
	walk.guessing = true;
	if (conf->main.tls_certificate && !expand_constant(conf->main.tls_certificate, NULL))
		expand_literals(conf->main.tls_certificate, guess, &walk);
}
