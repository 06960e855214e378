/* SPDX-License-Identifier: ISC */
/* From lines to statements. A line begins with a verb, or continues the statement before with a condition or modifier. */
#include "acl/private.h"

struct compiler {
	struct arena *arena;
	const struct acl_set *set;
	const struct acl_report *report;
	struct acl *acl;
	const struct acl_statement **tail;
	struct acl_statement *statement; /* that lines now belong to; NULL before the first verb */
	const struct acl_item **item_tail;
	struct acl_line line;
	unsigned ahead; /* levels of calls that are followed now; further ones are when they run */
	size_t count;
	bool failed;
};

/* More than anybody writes, for an ACL within an ACL within an ACL has no blanks; each level needs stack. */
enum { AHEAD_MAX = 3 };

static bool fail(struct compiler *c, struct slice at, const struct error *error)
{
	size_t column = at.data && at.data >= c->line.text.data ? (size_t)(at.data - c->line.text.data) + 1 : 0;
	c->failed = true;
	c->report->error(c->report->owner, &c->line, column <= c->line.text.len + 1 ? column : 0, error);
	return false;
}

/* Error at a place in the line. */
#define FAIL(c, at, ...)                                                  \
	do {                                                              \
		struct error error_;                                      \
		error_set(&error_, ERROR_USAGE, __VA_ARGS__);             \
		return fail((c), (at), &error_);                          \
	} while (0)

static struct slice skip_blanks(struct slice text)
{
	while (text.len && ascii_is_space(text.data[0]))
		text = slice_from(text, 1);
	return text;
}

/* A word of letters, digits and underscores; *rest becomes what stands behind it and the blanks that follow. */
static struct slice take_name(struct slice *rest)
{
	size_t len = 0;
	while (len < rest->len && (ascii_is_alnum(rest->data[len]) || rest->data[len] == '_'))
		len++;
	struct slice name = slice_first(*rest, len);
	*rest = skip_blanks(slice_from(*rest, len));
	return name;
}

static bool take_negation(struct slice *rest)
{
	if (rest->len == 0 || rest->data[0] != '!')
		return false;
	*rest = skip_blanks(slice_from(*rest, 1));
	return true;
}

/* `at`: of the whole text in the line, so that the compiler's column can be added. */
static bool compile_program(struct compiler *c, struct slice text, const struct expand_program **program_r)
{
	struct error error;
	size_t column = 0;
	if (expand_compile(c->arena, text, EXPAND_PLACE_ENVELOPE, c->set->language, program_r, &error, &column))
		return true;
	return fail(c, slice_from(text, column ? column - 1 : 0), &error);
}

static bool compile_list(struct compiler *c, struct acl_item *item, struct slice text)
{
	const struct expand_language *language = c->set->language;
	struct error error;
	if (!language->list_compile)
		FAIL(c, text, "lists cannot be used here");
	if (language->list_compile(language, c->arena, item->word->list, text, EXPAND_PLACE_ENVELOPE, &item->list, &error))
		return true;
	error_context(&error, "%s", item->word->name);
	return fail(c, text, &error);
}

/* What a constant leads to is known at once; an error in its text is the call's. */
static bool find_target(struct compiler *c, struct acl_call *call, struct slice at)
{
	struct error error;
	struct slice constant;
	acl_note_file(c->set, call->name);
	if (!expand_constant(call->name, &constant))
		return true;
	if (c->ahead == 0)
		call->target = acl_set_find(c->set, constant);
	else if (!acl_find_constant(c->arena, c->set, constant, c->ahead - 1, &call->target, &error))
		return fail(c, at, &error);
	/* One of the set counts for itself. */
	c->acl->uses |= call->target && call->target->name.len == 0 ? call->target->uses : 0;
	return true;
}

/* Splits at blanks before anything is expanded, as Exim does: blanks in an expansion separate arguments too. */
static bool compile_call(struct compiler *c, struct acl_item *item, struct slice text)
{
	struct acl_call *call = arena_new(c->arena, struct acl_call);
	struct slice whole = text;
	item->call = call;
	for (text = skip_blanks(text); text.len; text = skip_blanks(text)) {
		size_t len = 0;
		while (len < text.len && !ascii_is_space(text.data[len]))
			len++;
		const struct expand_program **program = call->name ? &call->arguments[call->count] : &call->name;
		if (call->name && call->count++ == ACL_ARGUMENTS_MAX)
			FAIL(c, text, "an ACL takes at most %d arguments", ACL_ARGUMENTS_MAX);
		if (!compile_program(c, slice_first(text, len), program))
			return false;
		text = slice_from(text, len);
	}
	if (!call->name)
		FAIL(c, whole, "the name of an ACL, or its text, is missing");
	return find_target(c, call, whole);
}

/* "acl_m_name": what stands before the "=". */
static bool take_variable(struct compiler *c, struct acl_item *item, struct slice *rest)
{
	struct error error;
	size_t len = 0;
	while (len < rest->len && rest->data[len] != '=' && !ascii_is_space(rest->data[len]))
		len++;
	if (!acl_variable_name(slice_first(*rest, len), &item->family, &item->variable, &error))
		return fail(c, *rest, &error);
	*rest = skip_blanks(slice_from(*rest, len));
	return true;
}

static bool check_constant(const struct acl_word *word, struct slice value, struct error *error)
{
	struct arena scratch;
	arena_init(&scratch, 0);
	bool good = word->check(value, &scratch, error);
	arena_free(&scratch);
	if (!good)
		error_context(error, "%s", word->name);
	return good;
}

static bool compile_value(struct compiler *c, struct acl_item *item, struct slice text)
{
	struct slice constant;
	struct error error;
	item->source = text;
	if (item->word->value == ACL_VALUE_LIST)
		return compile_list(c, item, text);
	if (item->word->value == ACL_VALUE_CALL)
		return compile_call(c, item, text);
	if (!compile_program(c, text, &item->program))
		return false;
	bool known = expand_constant(item->program, &constant);
	if (item->word->run == acl_control_run)
		c->acl->uses |= known ? acl_control_uses(constant) : ACL_USE_HOLD;
	if (!item->word->check || !known || check_constant(item->word, constant, &error))
		return true;
	return fail(c, text, &error);
}

static bool unknown_word(struct compiler *c, struct slice name)
{
	const char *nearest = acl_word_nearest(name);
	FAIL(c, name, "unknown ACL condition or modifier \"%.*s\"%s%s%s", SLICE_ARG(slice_first(name, 64)),
	     nearest ? ", did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static bool check_word(struct compiler *c, const struct acl_word *word, struct slice name, bool negated)
{
	enum acl_verb verb = c->statement->verb;
	if (word->refused)
		FAIL(c, name, "the ACL %s \"%s\" is not available in this version: %s", word->modifier ? "modifier" : "condition",
		     word->name, word->refused);
	if (negated && word->modifier)
		FAIL(c, name, "\"!\" cannot stand before \"%s\": it is a modifier, not a condition", word->name);
	if (acl_is_endpass(word) && verb != ACL_VERB_ACCEPT && verb != ACL_VERB_DISCARD)
		FAIL(c, name, "\"endpass\" has no meaning in a \"%s\" statement, only in \"accept\" and \"discard\"", acl_verb_text(verb));
	return true;
}

/* A condition or modifier: "!name = value". `rest` begins behind the negation. */
static bool compile_item(struct compiler *c, struct slice rest, bool negated)
{
	struct slice name = take_name(&rest);
	const struct acl_word *word = acl_word_find(name);
	if (!word)
		return unknown_word(c, name.len ? name : rest);
	if (!check_word(c, word, name, negated))
		return false;
	struct acl_item *item = arena_new(c->arena, struct acl_item);
	item->word = word;
	item->negated = negated;
	item->line = c->line;
	c->acl->uses |= word->uses;
	if (word->value == ACL_VALUE_SET && !take_variable(c, item, &rest))
		return false;
	if (word->value == ACL_VALUE_NONE) {
		if (rest.len)
			FAIL(c, rest, "\"%s\" takes no value", word->name);
	} else {
		if (rest.len == 0 || rest.data[0] != '=')
			FAIL(c, rest, "\"=\" is missing after the ACL %s \"%s\"", word->modifier ? "modifier" : "condition", word->name);
		if (!compile_value(c, item, skip_blanks(slice_from(rest, 1))))
			return false;
	}
	*c->item_tail = item;
	c->item_tail = &item->next;
	return true;
}

static bool begin_statement(struct compiler *c, enum acl_verb verb)
{
	if (c->count++ >= ACL_STATEMENTS_MAX)
		FAIL(c, c->line.text, "an ACL can have at most %d statements", ACL_STATEMENTS_MAX);
	struct acl_statement *statement = arena_new(c->arena, struct acl_statement);
	statement->verb = verb;
	statement->line = c->line;
	*c->tail = statement;
	c->tail = &statement->next;
	c->statement = statement;
	c->item_tail = &statement->first;
	return true;
}

static bool compile_line(struct compiler *c, struct slice text)
{
	struct slice rest = slice_trim(text), after;
	if (rest.len == 0)
		return true;
	bool negated = take_negation(&rest);
	after = rest;
	struct slice name = take_name(&after);
	enum acl_verb verb = acl_verb_find(name);
	if (verb == ACL_VERBS && !c->statement)
		FAIL(c, rest, "unknown ACL verb \"%.*s\"; expected accept, defer, deny, discard, drop, require or warn",
		     SLICE_ARG(slice_first(name.len ? name : rest, 64)));
	if (verb == ACL_VERBS)
		return compile_item(c, rest, negated);
	if (negated)
		FAIL(c, rest, "\"!\" cannot stand before the verb \"%s\"", acl_verb_text(verb));
	if (!begin_statement(c, verb))
		return false;
	negated = take_negation(&after);
	return after.len == 0 && !negated ? true : compile_item(c, after, negated);
}

bool acl_compile(struct acl_set *set, struct acl *acl, const struct acl_line *lines, size_t count, const struct acl_report *report)
{
	struct compiler c = { .arena = set->arena, .set = set, .report = report, .acl = acl, .tail = &acl->first, .ahead = AHEAD_MAX };
	for (size_t i = 0; i < count && c.count <= ACL_STATEMENTS_MAX; i++) {
		/* A copy: the compiled form refers to pieces of it. */
		c.line = (struct acl_line){ arena_copy(set->arena, lines[i].text), lines[i].place };
		compile_line(&c, c.line.text);
	}
	set->uses |= acl->uses;
	return !c.failed;
}

/* ---- Text of an ACL outside of the configuration's section ---- */

struct first_error {
	struct error *error;
	bool given;
};

static void keep_first(void *owner, const struct acl_line *line, size_t column, const struct error *error)
{
	struct first_error *first = owner;
	(void)column;
	if (first->given)
		return;
	first->given = true;
	*first->error = *error;
	error_context(first->error, "in \"%.*s\"", SLICE_ARG(slice_first(line->text, 100)));
}

/* The next logical line: comments and empty lines are left out, a backslash at the end joins the next line. */
static bool take_logical_line(struct arena *arena, struct slice *rest, struct slice *line_r)
{
	struct slice joined = { 0 };
	bool more = false;
	while (rest->len) {
		struct slice line = slice_trim(slice_cut(rest, '\n'));
		if (line.len == 0 || line.data[0] == '#') {
			if (more && line.len == 0)
				break;
			continue;
		}
		more = line.data[line.len - 1] == '\\';
		if (more)
			line = slice_first(line, line.len - 1); /* blanks before it stay */
		joined = joined.len ? arena_printf(arena, "%.*s%.*s", SLICE_ARG(joined), SLICE_ARG(line)) : line;
		if (!more)
			break;
	}
	*line_r = joined;
	return joined.len > 0;
}

bool acl_compile_text(struct arena *arena, const struct acl_set *set, struct slice text, unsigned ahead, struct acl *acl, struct error *error)
{
	struct first_error first = { .error = error };
	struct acl_report report = { .owner = &first, .error = keep_first };
	struct compiler c = { .arena = arena, .set = set, .report = &report, .acl = acl, .tail = &acl->first, .ahead = ahead };
	struct slice line;
	if (text.len > ACL_INLINE_MAX)
		return error_set(error, ERROR_PERMANENT, "the text of the ACL is longer than %d bytes", ACL_INLINE_MAX);
	while (!c.failed && take_logical_line(arena, &text, &line)) {
		c.line = (struct acl_line){ arena_copy(arena, line), ACL_NO_PLACE };
		compile_line(&c, c.line.text);
	}
	return !c.failed;
}
