/* SPDX-License-Identifier: ISC */
/*
 * Retry and rewrite rules: the first line is a rule of both kinds, the rest a header section that the rewrite rule is applied to.
 * A rule that compiles prints and is applied without harm.
 */
#include "route/retry.h"
#include "route/rewrite.h"

#include "expand/regex.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct expand_value variable(void *owner, enum expand_variable which)
{
	(void)owner;
	(void)which;
	return (struct expand_value){ SLICE("x"), true };
}

static void try_retry(struct arena *arena, struct slice line, const struct pattern_scope *scope, const struct expand_context *context)
{
	struct retry_rule *rule;
	const struct retry_rule *found;
	struct error error;
	struct retry_failure failure = { .local_part = SLICE("user"), .domain = SLICE("example.org"), .error = { .unread = -1 } };
	struct retry_state state = { 0 };
	struct buf out;
	size_t column;
	if (!retry_compile(arena, line, scope, &rule, &error, &column)) {
		if (column < 1 || column > line.len + 1)
			abort();
		return;
	}
	buf_init(&out, 1 << 20);
	retry_rule_format(rule, &out);
	buf_free(&out);
	retry_find(rule, &failure, context, arena, &found, &error);
	for (int64_t now = 1000000000, i = 0; i < 20; i++) {
		retry_failed(&state, rule, now, 0, INT64_C(86400000000000), (uint64_t)now);
		if (state.next_try < now || state.next_try - now > INT64_C(86400000000000))
			abort();
		now = state.next_try + 1;
	}
}

static void try_rewrite(struct arena *arena, struct slice line, struct slice text, const struct pattern_scope *scope,
			const struct expand_context *context)
{
	const struct pattern_subject *subject = NULL;
	struct rewriter rewriter = { .context = context, .subject = &subject, .qualify_recipient = SLICE("q.example"), .utf8 = true,
				     .arena = arena };
	struct rewrite_rule *rule;
	struct error error;
	struct slice changed;
	struct buf out;
	size_t column;
	if (!rewrite_compile(arena, line, scope, &rule, &error, &column)) {
		if (column < 1 || column > line.len + 1)
			abort();
		return;
	}
	rewriter.rules = rule;
	buf_init(&out, 1 << 20);
	rewrite_headers(&rewriter, text, &out, &error);
	rewrite_smtp(&rewriter, slice_first(text, 1000), &changed, &error);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct slice text = slice_make(data, size), line = slice_trim(slice_cut(&text, '\n'));
	struct expand_context context = { .variable = variable };
	struct expand_language language = { .scratch = regex_scratch_new() };
	struct list_scope lists = { .constants = &context, .primary_hostname = SLICE("h.example") };
	struct pattern_scope scope = { &lists, &language };
	arena_init(&arena, 0);
	if (line.len < 10000 && text.len < 100000 && slice_find(line, '\0') == line.len) {
		try_retry(&arena, line, &scope, &context);
		try_rewrite(&arena, line, text, &scope, &context);
	}
	arena_free(&arena);
	regex_scratch_free(&language.scratch);
	return 0;
}
