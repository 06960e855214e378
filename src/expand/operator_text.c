/* SPDX-License-Identifier: ISC */
/* Operators on the letters of a text: case, escaping, quoting, and the folding of long header lines. */
#include "expand/functions.h"

#include "expand/search.h"

/* Output under construction in the arena, of a size that was bounded before. */
struct output {
	char *data;
	size_t len;
};

static struct output output_start(struct expand_call *call, size_t most)
{
	return (struct output){ arena_alloc(call->arena, most + 1), 0 };
}

static void output_add(struct output *out, char c) { out->data[out->len++] = c; }

static void output_octal(struct output *out, unsigned char byte)
{
	output_add(out, '\\');
	for (int shift = 6; shift >= 0; shift -= 3)
		output_add(out, (char)('0' + ((byte >> shift) & 7)));
}

static enum expand_result output_give(struct expand_call *call, const struct output *out)
{
	return expand_call_give(call, slice_make(out->data, out->len));
}

enum expand_result operator_lc(struct expand_call *call)
{
	return expand_call_give(call, arena_copy_lower(call->arena, expand_call_text(call)));
}

enum expand_result operator_uc(struct expand_call *call)
{
	struct slice text = expand_call_text(call);
	struct output out = output_start(call, text.len);
	for (size_t i = 0; i < text.len; i++)
		output_add(&out, ascii_upper(text.data[i]));
	return output_give(call, &out);
}

enum expand_result operator_strlen(struct expand_call *call)
{
	return expand_call_give_number(call, (int64_t)expand_call_text(call).len);
}

/* As log lines show it: newlines and the like by their letters, other control characters and bytes above 126 in octal. */
enum expand_result operator_escape(struct expand_call *call)
{
	static const char letters[] = "\nn\rr\bb\vv\ff";
	struct slice text = expand_call_text(call);
	struct output out = output_start(call, text.len * 4);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		const char *letter = c ? strchr(letters, c) : NULL;
		if (ascii_is_print(c) || c == '\t') {
			output_add(&out, c);
		} else if (letter && (letter - letters) % 2 == 0) {
			output_add(&out, '\\');
			output_add(&out, letter[1]);
		} else {
			output_octal(&out, (unsigned char)c);
		}
	}
	return output_give(call, &out);
}

enum expand_result operator_escape8bit(struct expand_call *call)
{
	struct slice text = expand_call_text(call);
	struct output out = output_start(call, text.len * 4);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.data[i];
		if (byte < 127 && byte != '\\')
			output_add(&out, (char)byte);
		else
			output_octal(&out, byte);
	}
	return output_give(call, &out);
}

enum expand_result operator_hexquote(struct expand_call *call)
{
	static const char digits[] = "0123456789abcdef";
	struct slice text = expand_call_text(call);
	struct output out = output_start(call, text.len * 4);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.data[i];
		if (byte > 32 && byte < 127) {
			output_add(&out, (char)byte);
			continue;
		}
		output_add(&out, '\\');
		output_add(&out, 'x');
		output_add(&out, digits[byte >> 4]);
		output_add(&out, digits[byte & 15]);
	}
	return output_give(call, &out);
}

enum expand_result operator_rxquote(struct expand_call *call)
{
	struct slice text = expand_call_text(call);
	struct output out = output_start(call, text.len * 2);
	for (size_t i = 0; i < text.len; i++) {
		if (!ascii_is_alnum(text.data[i]))
			output_add(&out, '\\');
		output_add(&out, text.data[i]);
	}
	return output_give(call, &out);
}

/* In double quotes; with `lines`, newlines and carriage returns become letters. */
static enum expand_result give_quoted(struct expand_call *call, struct slice text, bool lines)
{
	struct output out = output_start(call, text.len * 2 + 2);
	output_add(&out, '"');
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		bool line = lines && (c == '\n' || c == '\r');
		if (line || c == '"' || c == '\\')
			output_add(&out, '\\');
		output_add(&out, !line ? c : c == '\n' ? 'n' : 'r');
	}
	output_add(&out, '"');
	return output_give(call, &out);
}

static enum expand_result quote_for_search(struct expand_call *call, struct slice name)
{
	struct search search;
	if (!search_parse(name, call->arena, &search, call->error))
		return EXPAND_FAIL;
	struct slice out = expand_call_text(call);
	if (search.type->quote && !search.type->quote(out, call->arena, &out, call->error))
		return EXPAND_FAIL;
	return expand_call_give(call, out);
}

enum expand_result operator_quote(struct expand_call *call)
{
	if (call->modifier_count > 0)
		return quote_for_search(call, call->modifiers[0]);
	struct slice text = expand_call_text(call);
	bool plain = text.len > 0;
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.data[i]) && (!text.data[i] || !strchr("_.-", text.data[i])))
			plain = false;
	return plain ? expand_call_give(call, text) : give_quoted(call, text, true);
}

enum expand_result operator_quote_local_part(struct expand_call *call)
{
	struct slice text = expand_call_text(call);
	/* A dot stands between atoms (RFC 5322 §3.2.3): not at an end, nor beside another. */
	bool plain = text.len > 0 && text.data[0] != '.' && text.data[text.len - 1] != '.' && !memmem(text.data, text.len, "..", 2);
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.data[i]) && (!text.data[i] || !strchr("!#$%&'*+-/=?^_`{|}~.", text.data[i])))
			plain = false;
	return plain ? expand_call_give(call, text) : give_quoted(call, text, false);
}

/* The length of the first line: up to the last white space that leaves it no longer than `columns`, or else up to the first one. */
static size_t line_length(struct slice text, size_t columns)
{
	if (text.len <= columns)
		return text.len;
	size_t found = 0;
	for (size_t i = 1; i < text.len && (i <= columns || found == 0); i++)
		if (ascii_is_space(text.data[i]))
			found = i;
	return found > 0 ? found : text.len;
}

/*
 * Folds at white space (RFC 5322 §2.2.3): continuations begin with a tab, which counts as eight columns. Line ends in the text
 * become blanks first. In all, no more than `limit` bytes come out.
 */
enum expand_result function_headerwrap(struct expand_call *call)
{
	int64_t columns = 80, limit = 998;
	if ((call->modifier_count > 0 || call->argument_count > 1) && !expand_call_numbers(call, false, &columns, &limit))
		return EXPAND_FAIL;
	if (limit < 0)
		limit = 998;
	if (columns < 10 || columns > 998)
		return expand_fail(call, "the columns of headerwrap must be from 10 to 998");
	struct slice text = slice_trim(expand_call_text(call));
	struct output out = output_start(call, text.len * 3);
	for (size_t room = (size_t)columns; text.len > 0; room = (size_t)columns - 8) {
		if (out.len > 0) {
			output_add(&out, '\n');
			output_add(&out, '\t');
		}
		struct slice line = slice_first(text, line_length(text, room));
		text = slice_trim(slice_from(text, line.len));
		line = slice_trim(line);
		for (size_t i = 0; i < line.len; i++)
			output_add(&out, line.data[i] == '\n' || line.data[i] == '\r' ? ' ' : line.data[i]);
	}
	if (out.len > (size_t)limit)
		out.len = (size_t)limit;
	return expand_call_give(call, slice_trim(slice_make(out.data, out.len)));
}
