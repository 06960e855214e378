/* SPDX-License-Identifier: ISC */
/* What the commands that read a configuration have in common. */
#include "cli/command.h"

#include "cli/json.h"

#include <stdio.h>
#include <stdlib.h>

bool command_add_macro(struct command_configuration *configuration, const char *argument, struct error *error)
{
	if (configuration->macro_count == COMMAND_MACROS_MAX)
		return error_set(error, ERROR_USAGE, "more than %d macros with -D", COMMAND_MACROS_MAX);
	if (!conf_macro_parse(slice_of(argument), &configuration->macros[configuration->macro_count], error))
		return false;
	configuration->macro_count++;
	return true;
}

const char *command_configuration_file(const struct command_configuration *configuration)
{
	const char *environment = getenv("POSTERN_CONF");
	if (configuration->file)
		return configuration->file;
	return environment && *environment ? environment : "/etc/postern/postern.conf";
}

struct conf *command_read_configuration(const struct command_configuration *configuration, struct conf_problems *problems,
					struct conf_source **source_r)
{
	struct conf *conf = NULL;
	struct conf_source *source = conf_source_read(command_configuration_file(configuration), configuration->macros,
						      configuration->macro_count, conf_system_local(), problems);
	/* What could be read is parsed even after an error, so that all errors show; a file that is not there has nothing. */
	if (source->file_count)
		conf = conf_parse(source, problems);
	if (source_r)
		*source_r = source;
	else
		conf_source_free(source);
	return conf;
}

void command_print_problems(const struct conf_problems *problems)
{
	struct buf line;
	for (size_t i = 0; i < problems->count; i++) {
		buf_init(&line, 16384);
		conf_problem_format(&problems->items[i], &line);
		buf_append_byte(&line, '\n');
		conf_problem_excerpt(&problems->items[i], &line);
		fprintf(stderr, "%.*s", SLICE_ARG(buf_slice(&line)));
		buf_free(&line);
	}
	size_t all = problems->errors + problems->warnings;
	if (all > problems->count)
		fprintf(stderr, "and %zu more\n", all - problems->count);
}

bool command_problem_json(const struct conf_problem *problem, struct buf *out)
{
	const struct conf_place *place = &problem->place;
	return json_name(out, "severity") && buf_printf(out, "\"%s\",", problem->warning ? "warning" : "error") && json_name(out, "file") &&
	       json_string(out, place->file) && buf_append_byte(out, ',') && json_name(out, "line") && buf_printf(out, "%u,", place->line) &&
	       json_name(out, "column") && buf_printf(out, "%u,", place->column) && json_name(out, "macro") && json_string(out, place->macro) &&
	       buf_append_byte(out, ',') && json_name(out, "option") && json_string(out, problem->option) && buf_append_byte(out, ',') &&
	       json_name(out, "text") && json_string(out, problem->text);
}
