/* SPDX-License-Identifier: ISC */
/*
 * Lists with expansions. At load the text is cut into what is written and what is computed, and the items that are wholly
 * written are checked. At each match the computed parts are evaluated; the text and its origins are looked for among the forms
 * kept from earlier matches, otherwise compiled.
 *
 * A match may wait, and meanwhile another may want the place of the form that it uses; so a form in use is never dropped.
 */
#include "match/item.h"
#include "match/matching.h"
#include "match/segment.h"

#include "base/fatal.h"

enum { KEPT_TEXT_MAX = 64 * 1024 };

struct list_form {
	struct arena arena;
	struct list_text text;
	const struct list *list;
	unsigned users;
	uint64_t used; /* the list's count of matches at the last use */
};

struct list_dynamic {
	const struct list_segment *segments;
	size_t count;
	struct list_scope scope;
	struct list_file *files; /* named by items that are wholly written */
	bool keeps;
	struct list_form *forms[LIST_FORMS_MAX];
	uint64_t matches;
	struct list_dynamic *next; /* of the same owner */
};

/* ---- At load ---- */

/* Each computed part is one byte of which nothing is known. */
static struct list_text text_to_check(const struct list_dynamic *dynamic, struct arena *arena)
{
	struct list_origin *origins = arena_array(arena, dynamic->count, sizeof *origins);
	size_t len = 0, at = 0;
	for (size_t i = 0; i < dynamic->count; i++)
		len += dynamic->segments[i].program ? 1 : dynamic->segments[i].literal.len;
	char *text = arena_alloc(arena, len + 1);
	struct list_text result = { .text = slice_make(text, len), .origins = origins };
	for (size_t i = 0; i < dynamic->count; i++) {
		struct slice part = dynamic->segments[i].program ? SLICE("x") : dynamic->segments[i].literal;
		if (dynamic->segments[i].program)
			origins[result.count++] = (struct list_origin){ at, at + 1, false };
		if (part.len)
			memcpy(text + at, part.data, part.len);
		at += part.len;
	}
	return result;
}

/* Checks what can be checked; the list gets its depth from the named lists that it is known to use. */
static bool check(struct list_dynamic *dynamic, struct list *list, struct arena *arena, struct error *error)
{
	struct arena scratch;
	struct list *checked;
	bool later;
	arena_init(&scratch, 0);
	const struct list_source source = {
		.text = text_to_check(dynamic, &scratch), .checking = true,
		.files = &dynamic->files, .files_arena = arena, .read_later = &later,
	};
	bool ok = list_compile_source(&scratch, list->kind, &dynamic->scope, &source, &checked, error);
	if (ok)
		list->depth = checked->depth;
	arena_free(&scratch);
	return ok;
}

static bool compile_segments(struct arena *arena, enum list_kind kind, const struct list_segment *segments, size_t count,
			     const struct list_scope *scope, const struct list **list_r, struct error *error)
{
	struct list_dynamic *dynamic = arena_new(arena, struct list_dynamic);
	struct list *list = arena_new(arena, struct list);
	*dynamic = (struct list_dynamic){ .segments = segments, .count = count, .scope = *scope };
	*list = (struct list){ .kind = kind, .depth = 1, .asks = true, .varies = !scope->cached, .dynamic = dynamic };
	if (!check(dynamic, list, arena, error))
		return false;
	if (scope->forms && !scope->forms->closed) {
		dynamic->keeps = true;
		dynamic->next = scope->forms->first;
		scope->forms->first = dynamic;
	}
	*list_r = list;
	return true;
}

/* A text that turned out to be constant. With a file that can only be read when it is asked for, it is compiled at each match. */
static bool compile_constant(struct arena *arena, enum list_kind kind, struct slice text, const struct list_scope *scope,
			     const struct list **list_r, struct error *error)
{
	struct list *list;
	bool later = false;
	const struct list_source source = { .text = { .text = text }, .read_later = &later };
	if (!list_compile_source(arena, kind, scope, &source, &list, error))
		return false;
	*list_r = list;
	if (!later)
		return true;
	struct list_segment *segment = arena_new(arena, struct list_segment);
	segment->literal = text;
	return compile_segments(arena, kind, segment, 1, scope, list_r, error);
}

bool list_compile(struct arena *arena, enum list_kind kind, struct slice text, const struct list_scope *scope,
		  const struct list **list_r, struct error *error)
{
	const struct expand_program *program;
	const struct list_segment *segments;
	size_t column, count;
	if (!expand_compile(arena, text, scope->place, scope->language, &program, error, &column))
		return error_context(error, "column %zu", column);
	if (expand_constant(program, &text))
		return compile_constant(arena, kind, text, scope, list_r, error);
	if (!list_segments_cut(arena, text, scope, &segments, &count, error))
		return false;
	if (count == 1 && !segments[0].program)
		return compile_constant(arena, kind, segments[0].literal, scope, list_r, error);
	return compile_segments(arena, kind, segments, count, scope, list_r, error);
}

static void free_form(struct list_form *form)
{
	arena_free(&form->arena);
	free(form);
}

void list_forms_free(struct list_forms *forms)
{
	for (struct list_dynamic *dynamic = forms->first; dynamic; dynamic = dynamic->next)
		for (size_t i = 0; i < LIST_FORMS_MAX; i++)
			if (dynamic->forms[i])
				free_form(dynamic->forms[i]);
	*forms = (struct list_forms){ 0 };
}

/* ---- The context of a list's expansions ---- */

/*
 * The caller's context with one change: while a domain list is matched and $domain is not set, it is the domain that is looked for
 * (Exim's manual, chapter 10). It also tells how deep lists stand in each other's expansions.
 */
struct expanding {
	const struct expand_context *inner;
	struct slice domain; /* empty: none */
	unsigned depth;
};

static struct expand_value forward_variable(void *owner, enum expand_variable variable)
{
	const struct expanding *expanding = owner;
	struct expand_value value = expanding->inner->variable(expanding->inner->owner, variable);
	if (variable == EXPAND_DOMAIN && value.text.len == 0 && expanding->domain.len)
		value = (struct expand_value){ expanding->domain, true };
	return value;
}

static bool forward_named(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r)
{
	const struct expanding *expanding = owner;
	return expanding->inner->named(expanding->inner->owner, family, name, value_r);
}

static struct slice forward_headers(void *owner)
{
	const struct expanding *expanding = owner;
	return expanding->inner->headers(expanding->inner->owner);
}

static enum expand_result forward_ask(void *owner, const struct expand_request *request, struct arena *arena,
				      struct expand_answer *answer_r, struct error *error)
{
	const struct expanding *expanding = owner;
	return expanding->inner->ask(expanding->inner->owner, request, arena, answer_r, error);
}

static enum expand_result forward_acl(void *owner, struct expand_value name, const struct expand_value *arguments, size_t count,
				      struct arena *arena, struct expand_value *text_r, struct error *error)
{
	const struct expanding *expanding = owner;
	return expanding->inner->acl(expanding->inner->owner, name, arguments, count, arena, text_r, error);
}

static struct expand_context make_context(struct expanding *expanding)
{
	struct expand_context context = *expanding->inner;
	context.owner = expanding;
	context.variable = forward_variable;
	context.named = context.named ? forward_named : NULL;
	context.headers = context.headers ? forward_headers : NULL;
	context.ask = context.ask ? forward_ask : NULL;
	context.acl = context.acl ? forward_acl : NULL;
	return context;
}

static unsigned expanding_depth(const struct expand_context *context)
{
	return context->variable == forward_variable ? ((const struct expanding *)context->owner)->depth : 0;
}

/* ---- At each match ---- */

static enum expand_result expand_parts(const struct list_dynamic *dynamic, const struct expand_context *context, struct arena *arena,
				       struct expand_value *parts, size_t *total_r, struct error *error)
{
	size_t max = context->max_output ? context->max_output : EXPAND_DEFAULT_OUTPUT, computed = 0;
	*total_r = 0;
	for (size_t i = 0; i < dynamic->count; i++) {
		const struct list_segment *segment = &dynamic->segments[i];
		parts[i] = (struct expand_value){ segment->literal, false };
		if (segment->program) {
			enum expand_result result = expand_run(segment->program, context, arena, &parts[i], error);
			if (result != EXPAND_OK)
				return result;
			computed += parts[i].text.len;
		}
		if (computed > max) {
			error_set(error, ERROR_PERMANENT, "the result of the expansion is longer than %zu bytes", max);
			return EXPAND_FAIL;
		}
		*total_r += parts[i].text.len;
	}
	return EXPAND_OK;
}

static enum expand_result expand_text(const struct list_dynamic *dynamic, const struct expand_context *context, struct arena *arena,
				      struct list_text *text_r, struct error *error)
{
	struct expand_value *parts = arena_array(arena, dynamic->count, sizeof *parts);
	struct list_origin *origins = arena_array(arena, dynamic->count, sizeof *origins);
	size_t total, at = 0, count = 0;
	enum expand_result result = expand_parts(dynamic, context, arena, parts, &total, error);
	if (result != EXPAND_OK)
		return result;
	char *text = arena_alloc(arena, total + 1);
	for (size_t i = 0; i < dynamic->count; i++) {
		size_t len = parts[i].text.len;
		if (len == 0)
			continue;
		memcpy(text + at, parts[i].text.data, len);
		if (dynamic->segments[i].program)
			origins[count++] = (struct list_origin){ at, at + len, parts[i].tainted };
		at += len;
	}
	*text_r = (struct list_text){ slice_make(text, total), origins, count };
	return EXPAND_OK;
}

static bool same_text(const struct list_text *a, const struct list_text *b)
{
	if (a->count != b->count || !slice_equal(a->text, b->text))
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->origins[i].start != b->origins[i].start || a->origins[i].end != b->origins[i].end ||
		    a->origins[i].tainted != b->origins[i].tainted)
			return false;
	return true;
}

static struct list_form *find_form(struct list_dynamic *dynamic, const struct list_text *text)
{
	for (size_t i = 0; i < LIST_FORMS_MAX; i++)
		if (dynamic->forms[i] && same_text(&dynamic->forms[i]->text, text))
			return dynamic->forms[i];
	return NULL;
}

/* The place of the form used longest ago; NULL when all are in use. */
static struct list_form **find_place(struct list_dynamic *dynamic)
{
	struct list_form **best = NULL;
	for (size_t i = 0; i < LIST_FORMS_MAX; i++) {
		struct list_form **place = &dynamic->forms[i];
		if (!*place)
			return place;
		if ((*place)->users == 0 && (!best || (*place)->used < (*best)->used))
			best = place;
	}
	return best;
}

static bool compile_text(struct list_matching *m, struct list_dynamic *dynamic, enum list_kind kind, const struct list_text *text,
			 struct arena *arena, bool *read_now, const struct list **list_r)
{
	const struct list_source source = {
		.text = *text, .running = m->context, .files = &dynamic->files, .read_now = read_now,
	};
	struct list *list;
	if (!list_compile_source(arena, kind, &dynamic->scope, &source, &list, m->error))
		return false;
	*list_r = list;
	return true;
}

static struct list_text copy_text(const struct list_text *text, struct arena *arena)
{
	struct list_origin *origins = arena_array(arena, text->count, sizeof *origins);
	if (text->count)
		memcpy(origins, text->origins, text->count * sizeof *origins);
	return (struct list_text){ arena_copy(arena, text->text), origins, text->count };
}

/* A form that may be kept, not yet in its place. */
static struct list_form *make_form(struct list_matching *m, struct list_dynamic *dynamic, enum list_kind kind,
				   const struct list_text *text, bool *read_now)
{
	struct list_form *form = xcalloc(1, sizeof *form);
	arena_init(&form->arena, 0);
	form->text = copy_text(text, &form->arena);
	if (compile_text(m, dynamic, kind, &form->text, &form->arena, read_now, &form->list))
		return form;
	free_form(form);
	return NULL;
}

static void use_form(struct list_form *form, struct list_dynamic *dynamic)
{
	form->users++;
	form->used = dynamic->matches;
}

/*
 * The compiled form. *form_r is set when it must be given back, and *place_r false when nobody keeps it, so that giving it back
 * frees it.
 */
static bool get_form(struct list_matching *m, struct list_dynamic *dynamic, enum list_kind kind, const struct list_text *text,
		     struct list_form **form_r, bool *kept_r)
{
	bool read_now = false;
	struct list_form *form = find_form(dynamic, text);
	*kept_r = true;
	if (!form) {
		form = make_form(m, dynamic, kind, text, &read_now);
		if (!form)
			return false;
		bool keep = dynamic->keeps && !read_now && text->text.len <= KEPT_TEXT_MAX;
		struct list_form **place = keep ? find_place(dynamic) : NULL;
		if (place && *place)
			free_form(*place);
		if (place)
			*place = form;
		*kept_r = place != NULL;
	}
	use_form(form, dynamic);
	*form_r = form;
	return true;
}

static enum expand_result match_form(struct list_matching *m, const struct list *list, const struct list_text *text,
				     const struct list_probe *probe, struct list_match *result)
{
	struct list_dynamic *dynamic = list->dynamic;
	struct list_form *form;
	bool kept;
	dynamic->matches++;
	if (!get_form(m, dynamic, list->kind, text, &form, &kept))
		return EXPAND_FAIL;
	enum expand_result outcome = list_match_probe(m, form->list, probe, result);
	result->data = arena_copy(m->arena, result->data);
	result->item = arena_copy(m->arena, result->item);
	form->users--;
	if (!kept)
		free_form(form);
	return outcome;
}

enum expand_result list_dynamic_match(struct list_matching *m, const struct list *list, const struct list_probe *probe,
				      struct list_match *result)
{
	struct list_text text;
	if (!m->context || !m->arena) {
		error_set(m->error, ERROR_PERMANENT, "the list holds expansions, and nothing can be expanded here");
		return EXPAND_FAIL;
	}
	struct expanding expanding = { .inner = m->context, .depth = expanding_depth(m->context) + 1 };
	if (list->kind == LIST_DOMAIN)
		expanding.domain = probe->name;
	if (expanding.depth > LIST_MAX_EXPANDING || m->depth >= LIST_MAX_DEPTH) {
		error_set(m->error, ERROR_PERMANENT, "lists with expansions refer to each other more than %d deep, or in a circle",
			  LIST_MAX_EXPANDING);
		return EXPAND_FAIL;
	}
	const struct expand_context context = make_context(&expanding);
	enum expand_result outcome = expand_text(list->dynamic, &context, m->arena, &text, m->error);
	if (outcome == EXPAND_FORCED_FAIL)
		return EXPAND_OK; /* the list is taken for one that nothing is in */
	if (outcome != EXPAND_OK) {
		error_context(m->error, "expanding a %s list", list_kind_text(list->kind));
		return outcome;
	}
	m->depth++;
	outcome = match_form(m, list, &text, probe, result);
	m->depth--;
	return outcome;
}
