/* SPDX-License-Identifier: ISC */
/* The parts of postern expand: its arguments, and its standard input. */
#ifndef POSTERN_CLI_EXPAND_COMMAND_H
#define POSTERN_CLI_EXPAND_COMMAND_H

#include "cli/command.h"
#include "cli/expand_session.h"

#include <stdio.h>

enum { EXPAND_SETTINGS_MAX = 32 };

/* An argument that describes the session, such as -oMa, and its value. */
struct expand_setting {
	const struct expand_setting_kind *kind;
	const char *value;
};

struct expand_arguments {
	struct command_configuration configuration;
	struct expand_setting settings[EXPAND_SETTINGS_MAX];
	size_t setting_count;
	const char *message; /* -bem; NULL: none */
	bool trace, json;
	int64_t timeout; /* seconds; 0: none but those of the questions */
	bool always_done;    /* exit status 0 although an expansion failed, as Exim's -be has it */
	char **expressions;
	int expression_count; /* 0: standard input */
};

/* Takes argv[1..argc): COMMAND_DONE, or another status after a complaint. */
int expand_arguments_parse(int argc, char **argv, struct expand_arguments *arguments);
/* What the setting says goes into the session. */
bool expand_arguments_apply(const struct expand_setting *setting, struct expand_session *session, struct error *error);
int expand_command(const struct expand_arguments *arguments);

/* Lines of standard input: a backslash at the end continues a line, white space at the start of what follows is dropped. */
struct expand_input {
	FILE *stream;
	bool prompts; /* on a terminal: "> " before each line */
	struct buf line, replaced, scratch;
};

enum expand_input_result { EXPAND_INPUT_LINE, EXPAND_INPUT_END, EXPAND_INPUT_ERROR };

void expand_input_init(struct expand_input *input, FILE *stream, bool prompts);
void expand_input_free(struct expand_input *input);
/*
 * The next line, valid until the next call, with the macros of `source` (may be NULL) replaced; a line "NAME = text" defines a
 * macro and is not handed out.
 */
enum expand_input_result expand_input_next(struct expand_input *input, struct conf_source *source, struct slice *line_r,
					   struct error *error);

#endif
