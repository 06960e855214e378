/* SPDX-License-Identifier: ISC */
/*
 * The list compiler with any text, inline, as a file of items and as what expansions and lookups give, for each kind; then matches
 * of pieces of the same text. The first byte chooses where the subject is cut out, and what the world answers.
 */
#include "match/list.h"

#include "base/fatal.h"
#include "expand/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct slice text, file;
	uint8_t choice;
	unsigned asked;
	const struct list *inner[LIST_KINDS];
	struct expand_language language;
	struct expand_context context;
	struct list_scope scope;
	struct list_forms forms;
	struct arena arena;
};

static const struct list *named(void *owner, enum list_kind kind, struct slice name)
{
	struct fuzz *fuzz = owner;
	return slice_equal(name, SLICE("n")) ? fuzz->inner[kind] : NULL;
}

static bool read_file(void *owner, struct slice path, struct slice *text_r, struct error *error)
{
	struct fuzz *fuzz = owner;
	if (!slice_equal(path, SLICE("/f")))
		return error_set(error, ERROR_USAGE, "no such file");
	*text_r = fuzz->file;
	return true;
}

/* $domain is the text, a peer's; $home likewise, but our own. */
static struct expand_value variable(void *owner, enum expand_variable number)
{
	const struct fuzz *fuzz = owner;
	bool known = number == EXPAND_DOMAIN || number == EXPAND_HOME;
	return (struct expand_value){ known ? fuzz->text : SLICE(""), false };
}

static enum expand_result ask(void *owner, const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
			      struct error *error)
{
	struct fuzz *fuzz = owner;
	unsigned turn = fuzz->choice + fuzz->asked++;
	ensure(request->file.len == 0 || request->file.data[0] == '/');
	for (size_t i = 0; i < request->piece_count; i++)
		ensure(request->pieces[i].value || !request->pieces[i].tainted);
	*answer_r = (struct expand_answer){ .found = turn % 3 != 0, .text = arena_copy(arena, fuzz->file), .tainted = turn % 5 == 0 };
	if (turn % 7 == 6) {
		error_set(error, ERROR_TEMPORARY, "not now");
		return EXPAND_DEFER;
	}
	return EXPAND_OK;
}

static void check_match(const struct list *list, const struct list_subject *subject, const struct expand_context *context,
			struct arena *arena)
{
	struct list_match match;
	struct error error = { 0 };
	enum expand_result result = list_match(list, subject, context, arena, &match, &error);
	ensure(result == EXPAND_OK || result == EXPAND_DEFER || result == EXPAND_FAIL);
	ensure(result == EXPAND_OK || (!match.yes && error.text[0]));
	ensure(match.yes || match.data.len == 0);
	ensure(match.number_count <= LIST_NUMBERS_MAX);
	/* What never asks says the same with and without a context. */
	struct list_match again;
	if (list_asks(list))
		return;
	ensure(list_match(list, subject, NULL, NULL, &again, &error) == result && again.yes == match.yes &&
	       slice_equal(again.data, match.data));
}

static void match_pieces(struct fuzz *fuzz, const struct list *list, size_t cut)
{
	struct net_address host;
	struct slice piece = slice_from(fuzz->text, cut), end = slice_from(fuzz->text, fuzz->text.len - cut);
	struct list_subject subject = { .host_names = &piece, .host_name_count = cut & 1, .local_part = end, .domain = piece,
					.string = piece, .cache = cut & 2 ? list_cache_new(&fuzz->arena) : NULL };
	if (net_address_parse(slice_first(piece, slice_find(piece, ':')), &host) || net_address_parse(piece, &host))
		subject.host = &host;
	check_match(list, &subject, &fuzz->context, &fuzz->arena);
	check_match(list, &subject, &fuzz->context, &fuzz->arena);
	subject.host = subject.host ? NULL : &host;
	net_address_parse(SLICE("192.0.2.1"), &host);
	check_match(list, &subject, &fuzz->context, &fuzz->arena);
}

static void match_condition(struct fuzz *fuzz, enum list_kind kind, size_t cut)
{
	const struct expand_language *language = &fuzz->language;
	const struct list *list;
	struct expand_list_found found;
	struct expand_value subject = { slice_from(fuzz->text, cut), true };
	struct error error;
	bool yes;
	if (language->list_compile(language, &fuzz->arena, (enum expand_list)kind, fuzz->text, EXPAND_PLACE_DELIVERY, &list, &error))
		language->list_match(list, &fuzz->context, subject, cut & 1, &fuzz->arena, &yes, &found, &error);
}

static void run(struct fuzz *fuzz, size_t cut)
{
	static const char *const texts[] = { "x : !/f : y", "$home : x", "x : $domain", "sqlite;select '$domain'", "$home : $domain" };
	const struct list *list;
	struct error error;
	for (enum list_kind kind = 0; kind < LIST_KINDS; kind++) {
		if (list_compile(&fuzz->arena, kind, SLICE("a.b : !c : *d"), &fuzz->scope, &list, &error))
			fuzz->inner[kind] = list;
		if (list_compile(&fuzz->arena, kind, fuzz->text, &fuzz->scope, &list, &error))
			match_pieces(fuzz, list, cut);
		else
			ensure(error.text[0]);
		for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
			if (list_compile(&fuzz->arena, kind, slice_of(texts[i]), &fuzz->scope, &list, &error))
				match_pieces(fuzz, list, cut);
		match_condition(fuzz, kind, cut);
	}
	if (list_compile(&fuzz->arena, LIST_ADDRESS, SLICE("@@lsearch;/x : *@$domain"), &fuzz->scope, &list, &error))
		match_pieces(fuzz, list, cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct regex_scratch *scratch; /* costly to make, and nothing stays in it */
	if (size == 0)
		return 0;
	if (!scratch)
		scratch = regex_scratch_new();
	struct slice text = slice_make(data + 1, size - 1);
	size_t cut = text.len ? data[0] % text.len : 0;
	struct net_address interface = { .family = AF_INET, .bytes = { 127, 0, 0, 1 } };
	struct fuzz fuzz = { .text = text, .file = slice_from(text, cut), .choice = data[0] };
	fuzz.scope = (struct list_scope){
		.owner = &fuzz, .named = named, .read_file = read_file, .primary_hostname = SLICE("mx.example"),
		.interfaces = &interface, .interface_count = 1, .language = &fuzz.language, .place = EXPAND_PLACE_DELIVERY,
		.forms = &fuzz.forms,
	};
	fuzz.language = (struct expand_language){ .owner = &fuzz, .scratch = scratch };
	list_language_init(&fuzz.language, &fuzz.scope);
	fuzz.context = (struct expand_context){ .owner = &fuzz, .variable = variable, .ask = ask, .language = &fuzz.language };
	arena_init(&fuzz.arena, 0);
	run(&fuzz, cut);
	list_forms_free(&fuzz.forms);
	arena_free(&fuzz.arena);
	return 0;
}
