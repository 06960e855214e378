/* SPDX-License-Identifier: ISC */
/*
 * The compiler and the evaluation with any source, in a world that answers. The variables of peers hold a mark: where it comes out
 * again, the value must be tainted; no path, command or ACL name may hold it. Some variables are pieces of the source, so that
 * the path conversion sees hostile text; what it lets through must hold its invariants.
 */
#include "expand/expand.h"
#include "expand/regex.h"

#include "base/fatal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char mark[] = "QxTaintMarkxQ";

static bool is_marked(struct slice text)
{
	return text.len && memmem(text.data, text.len, mark, sizeof mark - 1);
}

static struct expand_value piece(void *owner, enum expand_variable variable)
{
	struct slice *source = owner;
	if (variable == EXPAND_SENDER_ADDRESS || variable == EXPAND_LOCAL_PART)
		return (struct expand_value){ slice_of(mark), true };
	return (struct expand_value){ slice_from(*source, (size_t)variable % 16), false };
}

static bool named(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r)
{
	(void)owner;
	*value_r = (struct expand_value){ slice_of(mark), true };
	return family == EXPAND_ACL_M && name.len < 4;
}

static struct slice headers(void *owner)
{
	return *(struct slice *)owner;
}

static enum expand_result ask(void *owner, const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
			      struct error *error)
{
	struct slice *source = owner;
	(void)arena;
	if (request->file.len)
		ensure(request->file.data[0] == '/' && !memmem(request->file.data, request->file.len, "/../", 4) && !is_marked(request->file));
	for (size_t i = 0; i < request->piece_count; i++) {
		ensure(!is_marked(request->pieces[i].text) || request->pieces[i].tainted);
		ensure(!request->pieces[i].tainted || request->pieces[i].value);
		ensure(request->service != EXPAND_SERVICE_RUN || i || !request->pieces[i].tainted);
	}
	*answer_r = (struct expand_answer){ .found = request->key.len % 2, .text = slice_from(*source, 3), .number = (int64_t)(request->key.len % 3) };
	if (request->key.len % 5 != 4)
		return EXPAND_OK;
	error_set(error, ERROR_TEMPORARY, "the world is down");
	return EXPAND_DEFER;
}

static enum expand_result acl(void *owner, struct expand_value name, const struct expand_value *arguments, size_t count, struct arena *arena,
			      struct expand_value *text_r, struct error *error)
{
	(void)owner, (void)arena;
	ensure(!name.tainted && !is_marked(name.text) && count < 10);
	*text_r = count ? arguments[0] : (struct expand_value){ 0 };
	error_set(error, ERROR_PERMANENT, "denied");
	return name.text.len % 2 ? EXPAND_OK : EXPAND_FORCED_FAIL;
}

static bool list_compile(const struct expand_language *language, struct arena *arena, enum expand_list kind, struct slice text,
			 enum expand_place place, const struct list **list_r, struct error *error)
{
	(void)kind, (void)place, (void)error;
	const struct expand_program *program;
	*list_r = (const struct list *)(const void *)language;
	/* The text was protected from expansion, so it is constant. */
	ensure(expand_compile(arena, text, EXPAND_PLACE_LOAD, NULL, &program, error, NULL) && expand_constant(program, NULL));
	return true;
}

static enum expand_result list_match(const struct list *list, const struct expand_context *context, struct expand_value subject, bool caseless,
				     struct arena *arena, bool *yes_r, struct expand_list_found *found_r, struct error *error)
{
	(void)list, (void)context, (void)caseless, (void)arena, (void)error;
	*yes_r = subject.text.len % 2;
	found_r->data = (struct expand_value){ SLICE("item"), false };
	return EXPAND_OK;
}

static bool list_text(void *owner, char kind, struct slice name, struct slice *text_r)
{
	(void)owner, (void)kind;
	*text_r = name.len % 4 == 1 ? SLICE("a : +ab : b::c") : SLICE("<; x;+a");
	return name.len % 2;
}

static void step(void *owner, unsigned depth, struct slice source, enum expand_result result, struct expand_value value)
{
	(void)owner, (void)source;
	ensure(depth <= 2 * EXPAND_DEPTH_MAX);
	ensure(result != EXPAND_OK || !is_marked(value.text) || value.tainted);
}

static void check_run(const struct expand_program *program, const struct expand_context *context, struct arena *arena)
{
	struct expand_value value;
	struct clean_path path;
	struct error error = { 0 };
	enum expand_result result = expand_run(program, context, arena, &value, &error);
	if (result != EXPAND_OK) {
		ensure(error.text[0]);
		return;
	}
	ensure(expand_constant(program, NULL) || value.text.len <= 4096);
	ensure(slice_starts(value.text, expand_constant_prefix(program)));
	ensure(value.text.data[value.text.len] == '\0');
	if (expand_run_path(program, context, arena, &path, &error) == EXPAND_OK) {
		ensure(!is_marked(path.text));
		ensure(path.text.data[0] == '/' && path.text.data[path.text.len] == '\0');
		ensure(!strstr(path.text.data, "//") && !strstr(path.text.data, "/../"));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct regex_scratch *scratch;
	struct arena arena;
	struct slice source = slice_make(data, size), constant;
	if (!scratch)
		scratch = regex_scratch_new();
	if (is_marked(source))
		return 0;
	const struct expand_trace trace = { .step = step };
	const struct expand_language language = { .scratch = scratch, .list_compile = list_compile, .list_match = list_match,
						  .list_text = list_text };
	struct expand_memory memory = { 0 };
	const struct expand_context context = { .variable = piece, .named = named, .headers = headers, .ask = ask, .acl = acl, .owner = &source,
						.language = &language, .trace = &trace, .memory = &memory, .max_output = 4096,
						.max_steps = 2000 };
	const struct expand_program *program;
	struct error error;
	size_t column;
	arena_init(&arena, 0);
	for (enum expand_place place = 0; place < EXPAND_PLACES; place += EXPAND_PLACES - 1) {
		if (!expand_compile(&arena, source, place, &language, &program, &error, &column)) {
			ensure(column >= 1 && column <= size + 1 && error.text[0]);
			continue;
		}
		if (expand_constant(program, &constant))
			ensure(slice_find(constant, '\0') == constant.len);
		check_run(program, &context, &arena);
	}
	arena_free(&arena);
	return 0;
}
