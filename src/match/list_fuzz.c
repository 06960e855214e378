/* SPDX-License-Identifier: ISC */
/*
 * The list compiler with any text, inline and as a file of items, for each kind; then matches of pieces of the same text. The
 * first byte chooses where the subject is cut out.
 */
#include "match/list.h"

#include "base/fatal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_scope {
	struct slice file;
	const struct list *inner[LIST_KINDS];
};

static const struct list *named(void *owner, enum list_kind kind, struct slice name)
{
	struct fuzz_scope *scope = owner;
	return slice_equal(name, SLICE("n")) ? scope->inner[kind] : NULL;
}

static bool read_file(void *owner, struct slice path, struct slice *text_r, struct error *error)
{
	struct fuzz_scope *scope = owner;
	if (!slice_equal(path, SLICE("/f")))
		return error_set(error, ERROR_USAGE, "no such file");
	*text_r = scope->file;
	return true;
}

static void match_pieces(const struct list *list, struct slice text, size_t cut)
{
	struct net_address host;
	struct list_match match;
	struct slice piece = slice_from(text, cut), end = slice_from(text, text.len - cut);
	struct list_subject subject = { .host_names = &piece, .host_name_count = cut & 1, .local_part = end, .domain = piece,
					.string = piece };
	if (net_address_parse(slice_first(piece, slice_find(piece, ':')), &host) || net_address_parse(piece, &host))
		subject.host = &host;
	bool yes = list_match(list, &subject, &match);
	ensure(yes == match.yes && (yes || match.data.len == 0));
	struct list_match again;
	ensure(list_match(list, &subject, &again) == yes && slice_equal(match.data, again.data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct slice text = slice_make(data + 1, size - 1);
	size_t cut = text.len ? data[0] % text.len : 0;
	struct net_address interface = { .family = AF_INET, .bytes = { 127, 0, 0, 1 } };
	struct fuzz_scope owner = { .file = slice_from(text, cut) };
	const struct list_scope scope = { &owner, named, read_file, SLICE("mx.example"), &interface, 1, NULL };
	struct arena arena;
	struct error error;
	arena_init(&arena, 0);
	for (enum list_kind kind = 0; kind < LIST_KINDS; kind++) {
		const struct list *list;
		if (list_compile(&arena, kind, SLICE("a.b : !c : *d"), &scope, &list, &error))
			owner.inner[kind] = list;
		if (list_compile(&arena, kind, text, &scope, &list, &error))
			match_pieces(list, text, cut);
		else
			ensure(error.text[0]);
		if (list_compile(&arena, kind, SLICE("x : !/f : y"), &scope, &list, &error))
			match_pieces(list, text, cut);
	}
	arena_free(&arena);
	return 0;
}
