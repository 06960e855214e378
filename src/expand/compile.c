/* SPDX-License-Identifier: ISC */
/*
 * The compiler of expansion strings: one pass, a cursor over the source, literal bytes gathered until a variable comes. The
 * rules of escapes and of dollar are Exim's (its manual, chapter 11 §1, §2 and §5).
 */
#include "expand/program.h"

#include "base/fatal.h"

struct compiler {
	struct arena *arena;
	struct slice text;
	size_t at; /* of the next byte to read */
	enum expand_place place;
	struct expand_program *program;
	struct expand_node **tail;
	char *literal; /* as long as the source, and room for a NUL: an escape is never shorter than what it stands for */
	size_t literal_len;
	struct error *error;
	size_t column; /* of the error, from 1 */
};

#define fail_at(compiler, offset, ...) \
	((compiler)->column = (offset) + 1, error_set((compiler)->error, ERROR_USAGE, __VA_ARGS__))

static bool at_end(const struct compiler *c)
{
	return c->at >= c->text.len;
}

/* The next byte, or NUL at the end: a NUL in the source was refused before. */
static char peek(const struct compiler *c)
{
	return at_end(c) ? '\0' : c->text.data[c->at];
}

static void add_byte(struct compiler *c, char byte)
{
	c->literal[c->literal_len++] = byte;
}

static struct expand_node *add_node(struct compiler *c, enum expand_node_kind kind)
{
	struct expand_node *node = arena_new(c->arena, struct expand_node);
	node->kind = kind;
	*c->tail = node;
	c->tail = &node->next;
	c->program->count++;
	return node;
}

static void flush_literal(struct compiler *c)
{
	if (c->literal_len == 0)
		return;
	add_node(c, EXPAND_NODE_LITERAL)->literal = arena_copy(c->arena, slice_make(c->literal, c->literal_len));
	c->literal_len = 0;
}

/* Up to `max_digits` digits of the base (8 or 16) from the cursor on. */
static bool compile_number(struct compiler *c, unsigned base, size_t max_digits)
{
	size_t start = c->at, digits = 0;
	unsigned value = 0;
	for (; digits < max_digits && !at_end(c); digits++, c->at++) {
		char byte = ascii_lower(peek(c));
		unsigned digit = 16;
		if (ascii_is_digit(byte))
			digit = (unsigned)(byte - '0');
		else if (byte >= 'a' && byte <= 'f')
			digit = (unsigned)(byte - 'a') + 10;
		if (digit >= base)
			break;
		value = value * base + digit;
	}
	if (digits == 0)
		return fail_at(c, start, "\"\\x\" must be followed by one or two hexadecimal digits");
	if (value == 0 || value > 255)
		return fail_at(c, start - 1, "the escape stands for byte %u; only 1 to 255 can be written", value);
	add_byte(c, (char)value);
	return true;
}

/* After "\N": as it stands up to the next "\N" or the end. */
static void compile_protected(struct compiler *c)
{
	while (!at_end(c)) {
		if (slice_starts(slice_from(c->text, c->at), SLICE("\\N"))) {
			c->at += 2;
			return;
		}
		add_byte(c, c->text.data[c->at++]);
	}
}

static bool compile_escape(struct compiler *c)
{
	static const char letters[][2] = {
		{ 'b', '\b' }, { 'f', '\f' }, { 'n', '\n' }, { 'r', '\r' }, { 't', '\t' }, { 'v', '\v' },
	};
	size_t start = c->at++;
	if (at_end(c))
		return fail_at(c, start, "\"\\\" at the end of the string; write \"\\\\\" for a backslash");
	char byte = peek(c);
	if (byte >= '0' && byte <= '7')
		return compile_number(c, 8, 3);
	c->at++;
	if (byte == 'x')
		return compile_number(c, 16, 2);
	if (byte == 'N') {
		compile_protected(c);
		return true;
	}
	for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
		if (byte == letters[i][0])
			byte = letters[i][1];
	add_byte(c, byte);
	return true;
}

/* Families of Exim's variables whose members are not in the table. */
static bool is_foreign_family(struct slice name)
{
	static const char *const families[] = { "h_", "rh_", "bh_", "lh_", "header_", "rheader_", "bheader_", "lheader_",
						"acl_c", "acl_m", "r_", "auth" };
	if (ascii_is_digit(name.data[0]))
		return true;
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (slice_starts(name, slice_of(families[i])))
			return true;
	return false;
}

static bool compile_variable(struct compiler *c, struct slice name, size_t start)
{
	const struct expand_variable_info *info = expand_variable_find(name);
	if (!info && is_foreign_family(name))
		return fail_at(c, start, "variable $%.*s is not available in this version", SLICE_ARG(slice_first(name, 64)));
	if (!info) {
		const char *nearest = expand_variable_nearest(name);
		return fail_at(c, start, "unknown variable name \"%.*s\"%s%s%s", SLICE_ARG(slice_first(name, 64)),
			       nearest ? ", did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
	}
	if (info->place > c->place)
		return fail_at(c, start, "variable $%s has no value here: it exists only %s", info->name,
			       expand_place_text(info->place));
	flush_literal(c);
	add_node(c, EXPAND_NODE_VARIABLE)->variable = info;
	c->program->variables |= UINT64_C(1) << info->variable;
	return true;
}

/* Letters, digits and underscores; only digits when it starts with one, as Exim reads $1. */
static struct slice read_name(struct compiler *c)
{
	size_t start = c->at;
	bool digits = ascii_is_digit(peek(c));
	while (!at_end(c) && (ascii_is_digit(peek(c)) || (!digits && (ascii_is_alpha(peek(c)) || peek(c) == '_'))))
		c->at++;
	return slice_make(c->text.data + start, c->at - start);
}

/* After "${". */
static bool compile_braced(struct compiler *c, size_t start)
{
	struct slice name = read_name(c);
	char next = peek(c);
	if (name.len && next == '}') {
		c->at++;
		return compile_variable(c, name, start);
	}
	if (at_end(c))
		return fail_at(c, start, "missing } at the end of the string");
	if (name.len == 0)
		return fail_at(c, start, "\"${\" must be followed by a name");
	name = slice_first(name, 64);
	if (next == ':' || next == '_')
		return fail_at(c, start, "the operator ${%.*s:...} is not available in this version", SLICE_ARG(name));
	if (next == '{' || next == ' ' || next == '\t' || next == '\n')
		return fail_at(c, start, "the item ${%.*s ...} is not available in this version", SLICE_ARG(name));
	return fail_at(c, c->at, "} expected after the variable name \"%.*s\"", SLICE_ARG(name));
}

static bool compile_dollar(struct compiler *c)
{
	size_t start = c->at++;
	char next = peek(c);
	if (next == '{') {
		c->at++;
		return compile_braced(c, start);
	}
	if (!ascii_is_alnum(next))
		return fail_at(c, start, "$ not followed by a letter, a digit, or {; write \"\\$\" for a dollar");
	return compile_variable(c, read_name(c), start);
}

static bool compile_sequence(struct compiler *c)
{
	while (!at_end(c)) {
		char byte = peek(c);
		if (byte == '\\') {
			if (!compile_escape(c))
				return false;
		} else if (byte == '$') {
			if (!compile_dollar(c))
				return false;
		} else {
			add_byte(c, byte);
			c->at++;
		}
	}
	flush_literal(c);
	return true;
}

bool expand_compile(struct arena *arena, struct slice text, enum expand_place place, const struct expand_language *language,
		    const struct expand_program **program_r,
		    struct error *error, size_t *column_r)
{
	(void)language;
	struct compiler c = { .arena = arena, .text = text, .place = place, .error = error };
	size_t nul = slice_find(text, '\0');
	bool ok;
	if (text.len > EXPAND_MAX_SOURCE) {
		ok = fail_at(&c, (size_t)EXPAND_MAX_SOURCE, "the string is longer than %d bytes", EXPAND_MAX_SOURCE);
	} else if (nul < text.len) {
		ok = fail_at(&c, nul, "the string holds a NUL byte");
	} else {
		c.program = arena_new(arena, struct expand_program);
		struct expand_node *first = NULL;
		c.tail = &first;
		c.literal = xcalloc(text.len + 1, 1);
		ok = compile_sequence(&c);
		free(c.literal);
		c.program->first = first;
	}
	if (!ok) {
		if (column_r)
			*column_r = c.column;
		return false;
	}
	*program_r = c.program;
	return true;
}
