/* SPDX-License-Identifier: ISC */
#include "cli/expand_command.h"

#include "conf/macro.h"

#include <errno.h>

void expand_input_init(struct expand_input *input, FILE *stream, bool prompts)
{
	*input = (struct expand_input){ .stream = stream, .prompts = prompts };
	buf_init(&input->line, EXPAND_MAX_SOURCE + 1);
	buf_init(&input->replaced, EXPAND_MAX_SOURCE);
	buf_init(&input->scratch, EXPAND_MAX_SOURCE);
}

void expand_input_free(struct expand_input *input)
{
	buf_free(&input->line);
	buf_free(&input->replaced);
	buf_free(&input->scratch);
}

/*
 * Appends a physical line without the white space at its end; of a continuation also without that at its start. A line that
 * does not fit is read to its end all the same. False at the end of the input.
 */
static bool read_physical(struct expand_input *input, bool continuation, bool *fits)
{
	int c = EOF;
	bool blank = continuation, any = false;
	if (input->prompts) {
		fputs("> ", stdout);
		fflush(stdout);
	}
	while ((c = getc_unlocked(input->stream)) != EOF) {
		any = true;
		if (c == '\n')
			break;
		if (blank && (c == ' ' || c == '\t'))
			continue;
		blank = false;
		*fits = *fits && buf_append_byte(&input->line, (char)c);
	}
	while (buf_len(&input->line) && ascii_is_space(input->line.data[input->line.end - 1]))
		input->line.end--;
	return any;
}

/* Whether the line goes on; the backslash that says so is taken away. */
static bool continues(struct expand_input *input)
{
	if (!buf_len(&input->line) || input->line.data[input->line.end - 1] != '\\')
		return false;
	input->line.end--;
	return true;
}

static enum expand_input_result replace_macros(struct expand_input *input, struct conf_source *source, struct slice *line_r,
					       struct error *error)
{
	struct slice name;
	bool again;
	size_t count;
	uint32_t last;
	size_t definition = conf_macro_definition(*line_r, &name, &again);
	if (!conf_macro_replace(source, *line_r, definition, &input->replaced, &input->scratch, &count, &last)) {
		error_set(error, ERROR_USAGE, "the line with its macros replaced is longer than %d bytes", EXPAND_MAX_SOURCE);
		return EXPAND_INPUT_ERROR;
	}
	*line_r = buf_slice(&input->replaced);
	if (!definition)
		return EXPAND_INPUT_LINE;
	struct slice value = slice_trim(slice_from(*line_r, definition));
	if (!conf_macro_define(source, arena_copy(&source->arena, name), arena_copy(&source->arena, value), again, error))
		return EXPAND_INPUT_ERROR;
	line_r->data = NULL;
	return EXPAND_INPUT_LINE;
}

enum expand_input_result expand_input_next(struct expand_input *input, struct conf_source *source, struct slice *line_r,
					   struct error *error)
{
	do {
		bool fits = true, continuation = false;
		buf_reset(&input->line);
		do {
			if (!read_physical(input, continuation, &fits)) {
				if (!continuation)
					return EXPAND_INPUT_END;
				break;
			}
			continuation = true;
		} while (continues(input));
		if (!fits) {
			error_set(error, ERROR_USAGE, "the expression is longer than %d bytes", EXPAND_MAX_SOURCE);
			return EXPAND_INPUT_ERROR;
		}
		*line_r = buf_len(&input->line) ? buf_slice(&input->line) : SLICE("");
		if (!source)
			return EXPAND_INPUT_LINE;
		enum expand_input_result result = replace_macros(input, source, line_r, error);
		if (result != EXPAND_INPUT_LINE)
			return result;
	} while (!line_r->data); /* it defined a macro */
	return EXPAND_INPUT_LINE;
}
