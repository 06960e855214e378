/* SPDX-License-Identifier: ISC */
/*
 * The compiler of expansion strings: sequences, escapes, variables, operators. The rules of escapes, of dollar and of names are
 * Exim's (its manual, chapter 11 §1, §2, §5 and §6). Items are in compile_item.c, conditions in compile_condition.c.
 */
#include "expand/compiler.h"

#include "base/escape.h"
#include "base/fatal.h"

static bool is_space(char c) { return ascii_is_space(c) || c == '\v' || c == '\f'; }

char compile_skip(struct expand_compiler *c)
{
	while (is_space(compile_peek(c)))
		c->at++;
	return compile_peek(c);
}

struct slice compile_name(struct expand_compiler *c, const char *more)
{
	size_t start = c->at;
	while (!compile_at_end(c) && (ascii_is_alnum(compile_peek(c)) || strchr(more, compile_peek(c))))
		c->at++;
	return slice_make(c->text.data + start, c->at - start);
}

bool compile_deeper(struct expand_compiler *c)
{
	if (++c->depth > EXPAND_DEPTH_MAX)
		return compile_fail(c, c->at, "nested more than %d deep", EXPAND_DEPTH_MAX);
	if (c->depth > c->program->depth)
		c->program->depth = c->depth;
	return true;
}

void compile_shallower(struct expand_compiler *c)
{
	c->depth--;
}

static void add_byte(struct expand_compiler *c, char byte)
{
	c->literal[c->literal_len++] = byte;
}

/* A sequence while it is being read. */
struct builder {
	struct expand_sequence *sequence;
	struct expand_node **tail;
	size_t literal_start; /* in the source */
};

static struct expand_node *add_node(struct expand_compiler *c, struct builder *builder, size_t start)
{
	struct expand_node *node = arena_new(c->arena, struct expand_node);
	node->source = slice_make(c->text.data + start, c->at - start);
	*builder->tail = node;
	/* The chain is const for its readers only. */
	builder->tail = (struct expand_node **)(uintptr_t)&node->next;
	builder->sequence->count++;
	return node;
}

static void flush_literal(struct expand_compiler *c, struct builder *builder)
{
	if (c->literal_len) {
		struct expand_node *node = add_node(c, builder, builder->literal_start);
		node->kind = EXPAND_NODE_LITERAL;
		node->of.literal = arena_copy(c->arena, slice_make(c->literal, c->literal_len));
	}
	c->literal_len = 0;
}

/* After "\N": as it stands up to the next "\N" or the end. */
static void compile_protected(struct expand_compiler *c)
{
	while (!compile_at_end(c)) {
		if (slice_starts(slice_from(c->text, c->at), SLICE("\\N"))) {
			c->at += 2;
			return;
		}
		add_byte(c, c->text.data[c->at++]);
	}
}

static bool compile_escape(struct expand_compiler *c)
{
	size_t start = c->at++;
	if (compile_at_end(c))
		return compile_fail(c, start, "\"\\\" at the end of the string; write \"\\\\\" for a backslash");
	char letter = compile_peek(c);
	if (letter == 'N') {
		c->at++;
		compile_protected(c);
		return true;
	}
	unsigned value = escape_take(c->text, &c->at);
	if (letter == 'x' && c->at == start + 2)
		return compile_fail(c, c->at, "\"\\x\" must be followed by one or two hexadecimal digits");
	if (value == 0 || value > 255)
		return compile_fail(c, start, "the escape stands for byte %u; only 1 to 255 can be written", value);
	add_byte(c, (char)value);
	return true;
}

/* The modifiers after an operator's name: "1" and "2" of "substr_1_2". False: there are too many. */
static bool split_modifiers(struct expand_compiler *c, struct slice name, struct expand_operation *operation)
{
	size_t len = strlen(operation->info->name);
	if (name.len <= len)
		return true;
	struct slice rest = slice_from(name, len + 1);
	for (size_t count = 0; count < sizeof operation->modifiers / sizeof *operation->modifiers; count++) {
		bool last = slice_find(rest, '_') == rest.len;
		operation->modifiers[count] = arena_copy(c->arena, slice_cut(&rest, '_'));
		operation->modifier_count = count + 1;
		if (last)
			return true;
	}
	return false;
}

static const char *nearest_name(struct slice name, const struct expand_function_info *rows, size_t count)
{
	const char *nearest = NULL;
	size_t best = expand_near(name);
	for (size_t i = 0; i < count; i++) {
		size_t distance = slice_edit_distance(name, slice_of(rows[i].name));
		if (distance <= best && (!nearest || distance < best)) {
			best = distance;
			nearest = rows[i].name;
		}
	}
	return nearest;
}

static bool unknown_name(struct expand_compiler *c, size_t start, const char *what, struct slice name,
			 const struct expand_function_info *rows, size_t count)
{
	name = slice_first(name, 64);
	const char *nearest = nearest_name(name, rows, count);
	return compile_fail(c, start, "unknown %s \"%.*s\"%s%s%s", what, SLICE_ARG(name), nearest ? ", did you mean \"" : "",
			    nearest ? nearest : "", nearest ? "\"?" : "");
}

static bool check_modifiers(struct expand_compiler *c, const struct expand_operation *operation, size_t start)
{
	const struct expand_function_info *info = operation->info;
	if (info->refused)
		return compile_fail(c, start, "the operator ${%s:...} is not available: %s", info->name, info->refused);
	if (operation->modifier_count < info->least)
		return compile_fail(c, start, "the operator ${%s:...} lacks its argument: write it as %s", info->name, info->syntax);
	if (operation->modifier_count > info->most)
		return compile_fail(c, start, "the operator ${%s:...} has too many arguments: write it as %s", info->name, info->syntax);
	if (!info->call && !expand_operator_own(slice_of(info->name)))
		return compile_fail(c, start, "the operator ${%s:...} is not available in this version", info->name);
	return true;
}

/* At the colon. */
static bool compile_operator(struct expand_compiler *c, struct slice name, size_t start, struct expand_node *node)
{
	struct expand_operation *operation = arena_new(c->arena, struct expand_operation);
	operation->info = expand_operator_find(name);
	if (!operation->info) {
		size_t count;
		const struct expand_function_info *rows = expand_operators(&count);
		return unknown_name(c, start, "expansion operator", name, rows, count);
	}
	if (!split_modifiers(c, name, operation))
		return compile_fail(c, start, "the operator ${%s:...} has too many arguments: write it as %s", operation->info->name,
				    operation->info->syntax);
	if (!check_modifiers(c, operation, start))
		return false;
	if (operation->modifier_count && slice_equal(slice_of(operation->info->name), SLICE("quote"))) {
		struct search search;
		if (!search_parse(operation->modifiers[0], c->arena, &search, c->error)) {
			c->column = start + 1;
			return error_context(c->error, "${%.*s:...}", SLICE_ARG(slice_first(name, 64)));
		}
		operation->quotes = search.type;
	}
	c->at++;
	if (!compile_sequence(c, true, start, &operation->text))
		return false;
	c->at++;
	node->kind = EXPAND_NODE_OPERATOR;
	node->of.operation = operation;
	return true;
}

static bool compile_plain_item(struct expand_compiler *c, const struct expand_function_info *info, struct expand_item *item)
{
	item->info = info;
	item->run = expand_item_function;
	return compile_arguments(c, info->name, info->least, info->most, &item->arguments, &item->count) && compile_close(c, info->name);
}

static bool compile_item(struct expand_compiler *c, const struct expand_function_info *info, size_t start, struct expand_node *node)
{
	if (info->refused)
		return compile_fail(c, start, "the item ${%s...} is not available: %s", info->name, info->refused);
	struct expand_item *item = arena_new(c->arena, struct expand_item);
	item->name = info->name;
	const struct expand_control *control = info->call ? NULL : expand_control_find(slice_of(info->name));
	if (control)
		item->run = control->run;
	else if (!info->call)
		return compile_fail(c, start, "the item ${%s...} is not available in this version", info->name);
	if (control ? !control->compile(c, item, start) : !compile_plain_item(c, info, item))
		return false;
	node->kind = EXPAND_NODE_ITEM;
	node->of.item = item;
	return true;
}

/* After "${" and digits. */
static bool compile_braced_number(struct expand_compiler *c, size_t start, struct expand_node *node)
{
	struct slice digits = compile_name(c, "");
	for (size_t i = 0; i < digits.len; i++)
		if (!ascii_is_digit(digits.data[i]))
			return compile_fail(c, start, "} expected after number");
	if (compile_peek(c) != '}')
		return compile_fail(c, c->at, "} expected after number");
	c->at++;
	return compile_variable(c, digits, start, node);
}

/* After "${". */
static bool compile_after_brace(struct expand_compiler *c, size_t start, struct expand_node *node)
{
	if (ascii_is_digit(compile_peek(c)))
		return compile_braced_number(c, start, node);
	if (compile_at_end(c))
		return compile_fail(c, start, "missing } at the end of the string");
	if (!ascii_is_alpha(compile_peek(c)))
		return compile_fail(c, start, "\"${\" must be followed by a name, without white space");
	struct slice name = compile_name(c, "_-");
	const struct expand_function_info *item = expand_item_find(name);
	if (item)
		return compile_item(c, item, start, node);
	size_t count;
	const struct expand_function_info *rows = expand_items(&count);
	switch (compile_peek(c)) {
	case ':':
		return compile_operator(c, name, start, node);
	case '}':
		c->at++;
		return compile_variable(c, name, start, node);
	case '\0':
		return compile_fail(c, start, "missing } at the end of the string");
	case '{':
	case ' ':
	case '\t':
	case '\n':
		return unknown_name(c, start, "expansion item", name, rows, count);
	default:
		return compile_fail(c, c->at, "\"${%.*s\" must be followed by \"}\" for a variable, \":\" for an operator, or \"{\" for an item",
				    SLICE_ARG(slice_first(name, 64)));
	}
}

static bool compile_dollar(struct expand_compiler *c, struct builder *builder)
{
	size_t start = c->at++;
	char next = compile_peek(c);
	struct expand_node node = { 0 };
	if (next == '{') {
		c->at++;
		if (!compile_after_brace(c, start, &node))
			return false;
	} else if (!ascii_is_alnum(next)) {
		return compile_fail(c, start, "$ not followed by a letter, a digit, or {; write \"\\$\" for a dollar");
	} else {
		struct slice name = compile_name(c, "_");
		/* "$1st" is $1 and "st". */
		if (ascii_is_digit(next))
			for (c->at = start + 1; ascii_is_digit(compile_peek(c)); c->at++)
				name.len = c->at - start;
		else if (compile_header(c, name, &node.of.reference))
			node.kind = EXPAND_NODE_HEADER;
		if (node.kind != EXPAND_NODE_HEADER && !compile_variable(c, name, start, &node))
			return false;
	}
	struct expand_node *added = add_node(c, builder, start);
	added->kind = node.kind;
	added->number = node.number;
	added->of = node.of;
	return true;
}

/* One step of a sequence, which is not at its end. */
static bool compile_part(struct expand_compiler *c, struct builder *builder, bool dollar)
{
	char byte = compile_peek(c);
	if (byte == '$' && dollar) {
		flush_literal(c, builder);
		return compile_dollar(c, builder);
	}
	if (c->literal_len == 0)
		builder->literal_start = c->at;
	if (byte == '\\')
		return compile_escape(c);
	add_byte(c, byte);
	c->at++;
	return true;
}

/* To the end of the text, or (`nested`) to the brace that closes it. */
static bool compile_parts(struct expand_compiler *c, bool dollar, bool nested, struct expand_sequence *sequence_r)
{
	*sequence_r = (struct expand_sequence){ 0 };
	struct expand_node *first = NULL;
	struct builder builder = { .sequence = sequence_r, .tail = &first };
	while (!compile_at_end(c) && !(nested && compile_peek(c) == '}'))
		if (!compile_part(c, &builder, dollar))
			return false;
	flush_literal(c, &builder);
	sequence_r->first = first;
	return true;
}

bool compile_sequence(struct expand_compiler *c, bool dollar, size_t open, struct expand_sequence *sequence_r)
{
	if (!compile_deeper(c) || !compile_parts(c, dollar, true, sequence_r))
		return false;
	compile_shallower(c);
	if (compile_at_end(c))
		return compile_fail(c, open, "missing } at the end of the string: what opens here is not closed");
	return true;
}

bool expand_compile_within(unsigned depth, struct arena *arena, struct slice text, enum expand_place place,
			   const struct expand_language *language, const struct expand_program **program_r, struct error *error,
			   size_t *column_r)
{
	struct expand_compiler c = { .arena = arena, .place = place, .language = language, .depth = depth, .error = error };
	size_t nul = slice_find(text, '\0');
	bool ok;
	if (text.len > EXPAND_MAX_SOURCE) {
		ok = compile_fail(&c, (size_t)EXPAND_MAX_SOURCE, "the string is longer than %d bytes", EXPAND_MAX_SOURCE);
	} else if (nul < text.len) {
		ok = compile_fail(&c, nul, "the string holds a NUL byte");
	} else {
		c.program = arena_new(arena, struct expand_program);
		c.program->place = place;
		c.program->depth = depth;
		c.text = arena_copy(arena, text);
		c.literal = xcalloc(text.len + 1, 1);
		ok = compile_parts(&c, true, false, &c.program->body);
		free(c.literal);
		if (!ok && c.odd_header)
			error_context(error, "a header's name may lack the colon at its end");
	}
	if (!ok) {
		expand_clean_error(error);
		if (column_r)
			*column_r = c.column;
		return false;
	}
	*program_r = c.program;
	return true;
}

bool expand_compile(struct arena *arena, struct slice text, enum expand_place place, const struct expand_language *language,
		    const struct expand_program **program_r, struct error *error, size_t *column_r)
{
	return expand_compile_within(0, arena, text, place, language, program_r, error, column_r);
}
