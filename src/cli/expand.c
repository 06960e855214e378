/* SPDX-License-Identifier: ISC */
/*
 * postern expand: evaluates expansion strings as the server would, against a session and a message that the arguments
 * describe. It asks the world (files, databases, the DNS, commands) from this process, with the rights of who gives the command:
 * started as root it can read what root can.
 */
#include "cli/expand_command.h"

#include "base/clock.h"
#include "conf/environment.h"
#include "cli/expand_session.h"
#include "cli/expand_trace.h"
#include "cli/expand_world.h"
#include "cli/json.h"
#include "task/task.h"

#include <stdio.h>
#include <unistd.h>

enum { OUTPUT_MAX = 4 << 20, REPORT_MAX = 64 << 20 };

/* One run of the command. */
struct run {
	const struct expand_arguments *arguments;
	struct conf *conf;
	struct conf_source *source; /* for its macros; NULL without a configuration */
	struct expand_session session;
	struct expand_world world;
	struct loop *loop;
	struct expand_context context;
	struct expand_memory memory;
	int status;
};

/* What one expression gave. */
struct outcome {
	struct slice expression;
	enum expand_result result;
	struct expand_value value;
	struct error error;
	size_t column; /* of a mistake in the expression; 0: none */
	struct expand_trace_tree tree;
};

static const char *reason_of(const struct outcome *outcome)
{
	return *outcome->error.text ? outcome->error.text : expand_result_text(outcome->result);
}

static void report_text(const struct outcome *outcome)
{
	if (outcome->result == EXPAND_OK) {
		if (outcome->value.text.len)
			fwrite(outcome->value.text.data, 1, outcome->value.text.len, stdout);
		fputc('\n', stdout);
	} else if (outcome->column) {
		printf("Failed: %s (at column %zu)\n", reason_of(outcome), outcome->column);
	} else {
		printf("Failed: %s\n", reason_of(outcome));
	}
}

static bool json_outcome(const struct outcome *outcome, bool trace, struct buf *out)
{
	bool fits = buf_append_byte(out, '{') && json_name(out, "expression") && json_string(out, outcome->expression) &&
		    buf_append_byte(out, ',') && json_name(out, "result") &&
		    buf_printf(out, "\"%s\",", expand_result_text(outcome->result));
	if (outcome->result == EXPAND_OK)
		fits = fits && json_name(out, "value") && json_string(out, outcome->value.text) && buf_append_byte(out, ',') &&
		       json_name(out, "tainted") && buf_printf(out, "%s", outcome->value.tainted ? "true" : "false");
	else
		fits = fits && json_name(out, "reason") && json_string(out, slice_of(reason_of(outcome)));
	if (outcome->column)
		fits = fits && buf_append_byte(out, ',') && json_name(out, "column") && buf_printf(out, "%zu", outcome->column);
	if (trace)
		fits = fits && buf_append_byte(out, ',') && json_name(out, "trace") && expand_trace_json(&outcome->tree, out);
	return fits && buf_append(out, SLICE("}\n"));
}

static void report_json(const struct outcome *outcome, bool trace)
{
	struct buf out;
	buf_init(&out, REPORT_MAX);
	if (json_outcome(outcome, trace, &out))
		fwrite(buf_slice(&out).data, 1, buf_len(&out), stdout);
	else
		fputs("{\"result\":\"failed\",\"reason\":\"the result is too long\"}\n", stdout);
	buf_free(&out);
}

/* $runrc and the like outlive the expression that set them, and so must their texts. */
static void keep_memory(struct run *run)
{
	for (size_t i = 0; i < EXPAND_MEMORY_VALUES; i++)
		run->memory.values[i].text = arena_copy(&run->session.arena, run->memory.values[i].text);
}

static void evaluate(struct run *run, struct arena *arena, struct outcome *outcome)
{
	const struct expand_program *program;
	struct expand_trace trace;
	if (!expand_compile(arena, outcome->expression, EXPAND_PLACE_COMMAND, run->context.language, &program, &outcome->error,
			    &outcome->column)) {
		outcome->result = EXPAND_FAIL;
		return;
	}
	expand_trace_begin(&outcome->tree, arena, &trace);
	run->context.trace = run->arguments->trace ? &trace : NULL;
	run->context.deadline = run->arguments->timeout ? clock_after(run->arguments->timeout * CLOCK_SECOND) : 0;
	outcome->column = 0;
	outcome->result = expand_run(program, &run->context, arena, &outcome->value, &outcome->error);
	expand_trace_end(&outcome->tree);
	keep_memory(run);
}

static void note_status(struct run *run, enum expand_result result)
{
	if (result == EXPAND_DEFER && run->status == COMMAND_DONE)
		run->status = COMMAND_TEMPORARY;
	else if (result != EXPAND_OK && result != EXPAND_DEFER)
		run->status = COMMAND_NO;
}

/* "set acl_m0 = text" gives a variable its value for the expressions that follow. True when the line is such. */
static bool assign(struct run *run, struct slice line, struct arena *arena)
{
	if (!slice_starts(line, SLICE("set ")))
		return false;
	struct slice rest = slice_from(line, 4), name = slice_trim(slice_cut(&rest, '='));
	struct outcome outcome = { .expression = slice_trim(rest) };
	evaluate(run, arena, &outcome);
	if (outcome.result == EXPAND_OK && !expand_session_assign(&run->session, name, outcome.value.text, &outcome.error))
		outcome.result = EXPAND_FAIL;
	if (outcome.result != EXPAND_OK)
		report_text(&outcome);
	note_status(run, outcome.result);
	return true;
}

static void expand_one(struct run *run, struct slice expression)
{
	struct arena arena;
	struct outcome outcome = { .expression = expression };
	arena_init(&arena, 0);
	arena_reset(&run->session.momentary);
	expand_world_begin(&run->world, &arena);
	if (!assign(run, expression, &arena)) {
		evaluate(run, &arena, &outcome);
		if (run->arguments->trace && !run->arguments->json) {
			fflush(stdout);
			expand_trace_print(&outcome.tree, stderr);
			fflush(stderr);
		}
		if (run->arguments->json)
			report_json(&outcome, run->arguments->trace);
		else
			report_text(&outcome);
		note_status(run, outcome.result);
	}
	fflush(stdout);
	arena_free(&arena);
}

/* The next expression of standard input, with macros replaced. False at the end. */
static bool next_line(struct run *run, struct expand_input *input, struct slice *line_r)
{
	struct error error;
	for (;;) {
		enum expand_input_result result = expand_input_next(input, run->source, line_r, &error);
		if (result == EXPAND_INPUT_END)
			return false;
		if (result == EXPAND_INPUT_LINE)
			return true;
		printf("Failed: %s\n", error.text);
		fflush(stdout);
		run->status = COMMAND_NO;
	}
}

static void expand_input_lines(struct run *run)
{
	struct expand_input input;
	struct slice line;
	expand_input_init(&input, stdin, isatty(STDIN_FILENO));
	while (next_line(run, &input, &line))
		expand_one(run, line);
	if (input.prompts)
		fputc('\n', stdout);
	expand_input_free(&input);
}

static void expand_all(void *arg)
{
	struct run *run = arg;
	expand_world_open(&run->world, run->loop, run->conf, run->source);
	run->session.world = &run->world;
	run->context.ask = expand_session_ask;
	run->context.language = &run->world.language;
	run->context.acl = expand_session_acl;
	expand_session_acls(&run->session, &run->context);
	for (int i = 0; i < run->arguments->expression_count; i++)
		expand_one(run, slice_of(run->arguments->expressions[i]));
	if (!run->arguments->expression_count)
		expand_input_lines(run);
	expand_world_close(&run->world);
}

static bool take_session(struct run *run, struct error *error)
{
	const struct expand_arguments *arguments = run->arguments;
	struct expand_session *session = &run->session;
	for (size_t i = 0; i < arguments->setting_count; i++)
		if (!expand_arguments_apply(&arguments->settings[i], session, error))
			return false;
	expand_session_settle(session);
	return !arguments->message || expand_session_message(session, arguments->message, error);
}

static void start(struct run *run)
{
	struct error error = { 0 };
	expand_session_init(&run->session, run->conf);
	if (!take_session(run, &error)) {
		fprintf(stderr, "postern expand: %s\n", error.text);
		run->status = COMMAND_USAGE;
	} else {
		run->context = (struct expand_context){
			.owner = &run->session,
			.variable = expand_session_variable,
			.named = expand_session_named,
			.headers = run->session.has_message ? expand_session_headers : NULL,
			.max_output = OUTPUT_MAX,
			.memory = &run->memory,
		};
		run->memory.values[EXPAND_RUNRC - EXPAND_FIRST_KEPT].text = SLICE("0");
		run->loop = loop_new();
		task_spawn(run->loop, expand_all, run, "expand");
		loop_run(run->loop);
		loop_free(run->loop);
	}
	expand_session_free(&run->session);
}

/* Without any configuration the language can be tried all the same: then all options have their defaults. */
static struct conf *read_configuration(struct run *run, struct conf_problems *problems)
{
	const struct command_configuration *configuration = &run->arguments->configuration;
	bool chosen = configuration->file || getenv("POSTERN_CONF");
	if (chosen || access(command_configuration_file(configuration), F_OK) == 0)
		return command_read_configuration(configuration, problems, &run->source);
	run->source = conf_source_from_text(SLICE(""), "(no configuration)", configuration->macros, configuration->macro_count,
					    conf_system_local(), problems);
	return conf_parse(run->source, problems);
}

int expand_command(const struct expand_arguments *arguments)
{
	struct run run = { .arguments = arguments };
	struct conf_problems problems;
	conf_problems_init(&problems);
	run.conf = read_configuration(&run, &problems);
	if (!run.conf || problems.errors) {
		command_print_problems(&problems);
		run.status = COMMAND_USAGE;
	} else {
		environment_apply(&run.conf->main);
		start(&run);
	}
	conf_unref(&run.conf);
	conf_source_free(run.source);
	conf_problems_free(&problems);
	return arguments->always_done && run.status != COMMAND_USAGE ? COMMAND_DONE : run.status;
}
