/* SPDX-License-Identifier: ISC */
/* Evaluation of what asks the world: lookup, run, readfile, readsocket, exists, stat. The questions are in service.h. */
#include "expand/condition.h"
#include "expand/evaluation.h"

#include "base/clock.h"

static size_t request_size(const struct expand_request *request)
{
	size_t size = request->type.len + request->file.len + request->key.len;
	for (size_t i = 0; i < request->piece_count; i++)
		size += request->pieces[i].text.len;
	for (size_t i = 0; i < request->option_count; i++)
		size += request->options[i].len;
	return size;
}

enum expand_result expand_run_ask(struct expand_evaluation *run, struct expand_request *request, struct expand_answer *answer_r)
{
	const struct expand_context *context = run->context;
	*answer_r = (struct expand_answer){ 0 };
	if (!context->ask)
		return expand_run_fail(run, "nothing outside of this string can be asked here: no files, lookups or commands");
	if (request_size(request) > EXPAND_REQUEST_MAX)
		return expand_run_fail(run, "a question of more than %d bytes", EXPAND_REQUEST_MAX);
	int64_t latest = clock_after(EXPAND_ASK_SECONDS * CLOCK_SECOND);
	request->deadline = context->deadline && context->deadline < latest ? context->deadline : latest;
	return context->ask(context->owner, request, run->arena, answer_r, run->error);
}

/* The pieces of a query, while they are gathered. */
struct query {
	struct expand_piece *pieces;
	size_t count, room;
	const struct search_type *type;
};

static void add_piece(struct expand_evaluation *run, struct query *query, struct expand_value value, bool computed)
{
	query->pieces = arena_grow(run->arena, query->pieces, query->count, &query->room, sizeof *query->pieces);
	query->pieces[query->count++] = (struct expand_piece){ value.text, computed, value.tainted };
}

static enum expand_result add_sequence(struct expand_evaluation *run, struct query *query, const struct expand_sequence *sequence);

/* The branch of an "if" is part of the query as its author wrote it, not a value. */
static enum expand_result add_if(struct expand_evaluation *run, struct query *query, const struct expand_item *item)
{
	struct expand_numbers numbers = run->numbers;
	struct expand_value value = *expand_own(run, EXPAND_VALUE);
	bool yes;
	enum expand_result result = expand_run_condition(run, item->condition, &yes);
	const struct expand_sequence *branch = result == EXPAND_OK && yes ? item->yes : item->no;
	if (result == EXPAND_OK && branch) {
		result = add_sequence(run, query, branch);
	} else if (result == EXPAND_OK) {
		struct expand_value text;
		result = expand_run_branch(run, item, yes, (struct expand_value){ SLICE("true"), false }, &text);
		if (result == EXPAND_OK && text.text.len)
			add_piece(run, query, text, false);
	}
	run->numbers = numbers;
	*expand_own(run, EXPAND_VALUE) = value;
	return result;
}

/* What ${quote_TYPE:...} of the lookup's own type surrounds is bound as it is: it needs no quoting, and must not get it twice. */
static enum expand_result add_node(struct expand_evaluation *run, struct query *query, const struct expand_node *node)
{
	struct expand_value value;
	enum expand_result result;
	if (node->kind == EXPAND_NODE_LITERAL) {
		add_piece(run, query, (struct expand_value){ node->of.literal, false }, false);
		return EXPAND_OK;
	}
	if (node->kind == EXPAND_NODE_ITEM && node->of.item->run == expand_item_if)
		return add_if(run, query, node->of.item);
	if (node->kind == EXPAND_NODE_OPERATOR && node->of.operation->quotes && node->of.operation->quotes == query->type)
		result = expand_run_sequence(run, &node->of.operation->text, &value);
	else
		result = expand_run_node(run, node, &value);
	if (result == EXPAND_OK)
		add_piece(run, query, value, true);
	return result;
}

static enum expand_result add_sequence(struct expand_evaluation *run, struct query *query, const struct expand_sequence *sequence)
{
	enum expand_result result = EXPAND_OK;
	run->depth++;
	for (const struct expand_node *node = sequence->first; node && result == EXPAND_OK; node = node->next)
		result = add_node(run, query, node);
	run->depth--;
	return result;
}

enum expand_result expand_run_gather(struct expand_evaluation *run, const struct expand_sequence *sequence,
				     const struct expand_piece **pieces_r, size_t *count_r)
{
	struct query query = { 0 };
	enum expand_result result = add_sequence(run, &query, sequence);
	*pieces_r = query.pieces;
	*count_r = query.count;
	return result;
}

static enum expand_result clean_file(struct expand_evaluation *run, struct expand_value value, struct slice *file_r)
{
	struct clean_path path;
	if (!expand_to_path(value, run->arena, &path, run->error))
		return EXPAND_FAIL;
	*file_r = path.text;
	return EXPAND_OK;
}

/* Key and file, or the pieces of the query. */
static enum expand_result prepare_lookup(struct expand_evaluation *run, const struct expand_item *item, struct expand_request *request)
{
	struct expand_value key, file = { item->file, false };
	struct query query = { .type = item->search->type };
	enum expand_result result;
	if (item->search->type->style == SEARCH_SINGLE_KEY) {
		result = expand_run_sequence(run, &item->arguments[0], &key);
		if (result == EXPAND_OK)
			result = expand_run_sequence(run, &item->arguments[1], &file);
		if (result != EXPAND_OK)
			return result;
		request->key = key.text;
		request->key_tainted = key.tainted;
	} else {
		result = add_sequence(run, &query, &item->arguments[0]);
		request->pieces = query.pieces;
		request->piece_count = query.count;
		if (result != EXPAND_OK || !file.text.len)
			return result;
	}
	return clean_file(run, file, &request->file);
}

static void set_partial(struct expand_evaluation *run, const struct expand_answer *answer)
{
	if (!answer->wild.data)
		return;
	struct expand_value *numbers = arena_array(run->arena, 3, sizeof *numbers);
	numbers[1] = (struct expand_value){ answer->wild, true };
	numbers[2] = (struct expand_value){ answer->fixed, true };
	run->numbers = (struct expand_numbers){ numbers, 3 };
}

/* A leaf: requests and answers are large. */
static __attribute__((noinline)) enum expand_result look_up(struct expand_evaluation *run, const struct expand_item *item, bool *found_r,
							     struct expand_value *found)
{
	struct expand_request *request = arena_new(run->arena, struct expand_request);
	struct expand_answer answer;
	*request = (struct expand_request){ .service = EXPAND_SERVICE_LOOKUP, .type = item->search_name,
					    .options = item->search->options, .option_count = item->search->option_count };
	enum expand_result result = prepare_lookup(run, item, request);
	if (result != EXPAND_OK)
		return result;
	result = expand_run_ask(run, request, &answer);
	if (result == EXPAND_DEFER)
		error_context(run->error, "lookup of \"%.*s\" gave DEFER", SLICE_ARG(slice_first(item->search_name, 64)));
	if (result != EXPAND_OK)
		return result;
	if (slice_equal(slice_of(item->search->type->name), SLICE("dnsdb")))
		*expand_own(run, EXPAND_LOOKUP_DNSSEC_AUTHENTICATED) =
			(struct expand_value){ !answer.number ? SLICE("") : answer.secure ? SLICE("yes") : SLICE("no"), false };
	*found_r = answer.found;
	*found = (struct expand_value){ answer.text, answer.tainted };
	if (answer.found)
		set_partial(run, &answer);
	return EXPAND_OK;
}

enum expand_result expand_item_lookup(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct expand_numbers numbers = run->numbers;
	struct expand_value found;
	bool yes;
	enum expand_result result = look_up(run, item, &yes, &found);
	if (result == EXPAND_OK)
		result = expand_run_found(run, item, yes, found, value_r);
	run->numbers = numbers;
	return result;
}

/* Every newline becomes `end`, when that was given. */
static enum expand_result replace_newlines(struct expand_evaluation *run, struct slice text, const struct expand_value *end,
					   struct slice *text_r)
{
	size_t count = 0, len = 0;
	*text_r = text;
	for (size_t i = 0; end && i < text.len; i++)
		count += text.data[i] == '\n' ? 1 : 0;
	if (count == 0)
		return EXPAND_OK;
	if (end->text.len > 1 && count > run->max_output / (end->text.len - 1))
		return expand_run_fail(run, "the result of the expansion is longer than %zu bytes", run->max_output);
	char *out = arena_alloc(run->arena, text.len + count * end->text.len + 1);
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] != '\n') {
			out[len++] = text.data[i];
		} else if (end->text.len) {
			memcpy(out + len, end->text.data, end->text.len);
			len += end->text.len;
		}
	}
	*text_r = slice_make(out, len);
	return EXPAND_OK;
}

enum expand_result expand_item_readfile(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct expand_value *arguments;
	struct expand_request request = { .service = EXPAND_SERVICE_READ_FILE };
	struct expand_answer answer;
	enum expand_result result = expand_run_arguments(run, item->arguments, item->count, &arguments);
	if (result == EXPAND_OK)
		result = clean_file(run, arguments[0], &request.file);
	if (result == EXPAND_OK)
		result = expand_run_ask(run, &request, &answer);
	if (result != EXPAND_OK)
		return result;
	if (!answer.found)
		return expand_run_fail(run, "failed to open %.*s: there is no such file", SLICE_ARG(slice_first(request.file, 200)));
	const struct expand_value *end = item->count > 1 ? &arguments[1] : NULL;
	value_r->tainted = answer.tainted || (end && end->tainted);
	return replace_newlines(run, answer.text, end, &value_r->text);
}

/* The first option is the time to wait; the others are written NAME=VALUE. */
static void split_options(struct expand_evaluation *run, struct slice text, struct expand_request *request)
{
	struct slice *options = arena_array(run->arena, text.len / 2 + 1, sizeof *options);
	size_t count = 0;
	while (text.len) {
		struct slice option = slice_trim(slice_cut(&text, ':'));
		bool first = count == 0 && slice_find(option, '=') == option.len;
		if (option.len)
			options[count++] = first ? arena_printf(run->arena, "timeout=%.*s", SLICE_ARG(option)) : option;
	}
	request->options = options;
	request->option_count = count;
}

static __attribute__((noinline)) enum expand_result read_socket(struct expand_evaluation *run, const struct expand_value *arguments,
								 size_t count, struct expand_value *value_r)
{
	struct expand_request request = { .service = EXPAND_SERVICE_READ_SOCKET, .key = arguments[1].text,
					  .key_tainted = arguments[1].tainted };
	struct expand_answer answer;
	enum expand_result result = EXPAND_OK;
	if (slice_starts(arguments[0].text, SLICE("inet:"))) {
		if (arguments[0].tainted)
			return expand_run_fail(run, "Tainted '%.*s' (socket name) not permitted",
					       SLICE_ARG(slice_first(arguments[0].text, 200)));
		request.type = arguments[0].text;
	} else {
		result = clean_file(run, arguments[0], &request.file);
	}
	if (count > 2)
		split_options(run, arguments[2].text, &request);
	if (result == EXPAND_OK)
		result = expand_run_ask(run, &request, &answer);
	if (result != EXPAND_OK)
		return result;
	const struct expand_value *end = count > 3 ? &arguments[3] : NULL;
	value_r->tainted = answer.tainted;
	return replace_newlines(run, answer.text, end, &value_r->text);
}

enum expand_result expand_item_readsocket(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct expand_value *arguments;
	size_t count = item->count < 4 ? item->count : 4;
	enum expand_result result = expand_run_arguments(run, item->arguments, count, &arguments);
	if (result != EXPAND_OK)
		return result;
	result = read_socket(run, arguments, count, value_r);
	bool failed = result == EXPAND_FAIL || result == EXPAND_DEFER;
	return failed && item->count > 4 ? expand_run_sequence(run, &item->arguments[4], value_r) : result;
}

/* Takes one word off the front, quotes and the backslashes in double quotes taken away; `out` has room for all of *rest. */
static struct slice cut_word(char *out, struct slice *rest)
{
	struct slice s = *rest;
	char quote = s.data[0] == '"' || s.data[0] == '\'' ? s.data[0] : '\0';
	size_t at = quote ? 1 : 0, len = 0;
	for (; at < s.len && !(quote ? s.data[at] == quote : ascii_is_space(s.data[at])); at++) {
		if (quote == '"' && s.data[at] == '\\' && at + 1 < s.len)
			at++;
		out[len++] = s.data[at];
	}
	*rest = slice_from(s, at + (quote ? 1 : 0));
	return slice_make(out, len);
}

/* A command that was expanded as a whole is split afterwards. No part of it may be a peer's. */
static enum expand_result split_command(struct expand_evaluation *run, struct expand_value command, struct expand_request *request)
{
	struct expand_piece *pieces = arena_array(run->arena, EXPAND_COMMAND_WORDS_MAX, sizeof *pieces);
	if (command.tainted)
		return expand_run_fail(run, "Tainted '%.*s' (command line) not permitted", SLICE_ARG(slice_first(command.text, 200)));
	request->pieces = pieces;
	struct slice rest = slice_trim(command.text);
	char *out = arena_alloc(run->arena, rest.len + 1); /* all words, one after the other */
	while (rest.len) {
		if (request->piece_count == EXPAND_COMMAND_WORDS_MAX)
			return expand_run_fail(run, "the command of \"run\" has more than %d words", EXPAND_COMMAND_WORDS_MAX);
		struct slice word = cut_word(out, &rest);
		pieces[request->piece_count++] = (struct expand_piece){ word, true, false };
		out += word.len;
		rest = slice_trim(rest);
	}
	return EXPAND_OK;
}

static enum expand_result prepare_command(struct expand_evaluation *run, const struct expand_item *item, struct expand_request *request)
{
	struct expand_value *words;
	enum expand_result result = expand_run_arguments(run, item->arguments, item->count, &words);
	if (result != EXPAND_OK)
		return result;
	if (item->preexpand)
		return split_command(run, words[0], request);
	struct expand_piece *pieces = arena_array(run->arena, item->count, sizeof *pieces);
	for (size_t i = 0; i < item->count; i++)
		pieces[i] = (struct expand_piece){ words[i].text, !expand_sequence_constant(&item->arguments[i], NULL), words[i].tainted };
	if (item->count && words[0].tainted)
		return expand_run_fail(run, "Tainted '%.*s' (command) not permitted", SLICE_ARG(slice_first(words[0].text, 200)));
	request->pieces = pieces;
	request->piece_count = item->count;
	return EXPAND_OK;
}

static __attribute__((noinline)) enum expand_result run_command(struct expand_evaluation *run, const struct expand_item *item, bool *yes_r,
								 struct expand_value *output_r)
{
	struct expand_request *request = arena_new(run->arena, struct expand_request);
	struct expand_answer answer;
	request->service = EXPAND_SERVICE_RUN;
	enum expand_result result = prepare_command(run, item, request);
	if (result == EXPAND_OK && request->piece_count == 0)
		return expand_run_fail(run, "the command of \"run\" is empty");
	if (result == EXPAND_OK)
		result = expand_run_ask(run, request, &answer);
	if (result != EXPAND_OK)
		return result;
	*yes_r = answer.number == 0;
	*expand_own(run, EXPAND_RUNRC) = (struct expand_value){ arena_printf(run->arena, "%lld", (long long)answer.number), false };
	*output_r = (struct expand_value){ answer.text, answer.tainted };
	return EXPAND_OK;
}

/* $value keeps the command's output, in both branches and after the item. */
enum expand_result expand_item_run_command(struct expand_evaluation *run, const struct expand_item *item, struct expand_value *value_r)
{
	struct expand_value output;
	bool yes;
	enum expand_result result = run_command(run, item, &yes, &output);
	if (result != EXPAND_OK)
		return result;
	*expand_own(run, EXPAND_VALUE) = output;
	return expand_run_branch(run, item, yes, output, value_r);
}

/* A path that cannot be one does not exist; one that a peer had a hand in is not asked for. */
enum expand_result expand_condition_exists(struct expand_evaluation *run, const struct expand_condition *condition, bool *yes_r)
{
	struct expand_value path;
	struct expand_request request = { .service = EXPAND_SERVICE_EXISTS };
	struct expand_answer answer;
	enum expand_result result = expand_run_sequence(run, condition->operands, &path);
	if (result != EXPAND_OK)
		return result;
	*yes_r = false;
	if (clean_file(run, path, &request.file) != EXPAND_OK)
		return path.tainted ? EXPAND_FAIL : EXPAND_OK;
	result = expand_run_ask(run, &request, &answer);
	*yes_r = answer.found;
	return result;
}

enum expand_result expand_run_stat(struct expand_evaluation *run, struct expand_value path, struct expand_value *value_r)
{
	struct expand_request request = { .service = EXPAND_SERVICE_STAT };
	struct expand_answer answer;
	enum expand_result result = clean_file(run, path, &request.file);
	if (result == EXPAND_OK)
		result = expand_run_ask(run, &request, &answer);
	if (result == EXPAND_OK && !answer.found)
		return expand_run_fail(run, "stat(%.*s) failed: there is no such file", SLICE_ARG(slice_first(request.file, 200)));
	*value_r = (struct expand_value){ answer.text, false };
	return result;
}
