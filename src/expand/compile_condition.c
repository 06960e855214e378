/* SPDX-License-Identifier: ISC */
/* The compiler's conditions (Exim's manual, chapter 11 §7 and §8). */
#include "expand/condition.h"

#define NUMBERS(name, comparison) { name, EXPAND_FORM_PLAIN, 2, expand_condition_numbers, .operator = comparison }
#define TEXTS(name, comparison) \
	{ name, EXPAND_FORM_PLAIN, 2, expand_condition_strings, .operator = comparison }, \
	{ name "i", EXPAND_FORM_PLAIN, 2, expand_condition_strings, .operator = comparison, .caseless = true }
#define EACH(name, any_, json_, unquote_) \
	{ name, EXPAND_FORM_EACH, 1, expand_condition_each, .any = any_, .json = json_, .unquote = unquote_ }
#define LIST(name, run, kind) { name, EXPAND_FORM_LIST, 2, run, .list = kind }
#define PLAIN(name, operands, run) { name, EXPAND_FORM_PLAIN, operands, run }

static const struct expand_condition_kind kinds[] = {
	NUMBERS("=", EXPAND_EQUAL),
	NUMBERS("==", EXPAND_EQUAL),
	NUMBERS("<", EXPAND_LESS),
	NUMBERS("<=", EXPAND_LESS_EQUAL),
	NUMBERS(">", EXPAND_GREATER),
	NUMBERS(">=", EXPAND_GREATER_EQUAL),
	TEXTS("eq", EXPAND_EQUAL),
	TEXTS("lt", EXPAND_LESS),
	TEXTS("le", EXPAND_LESS_EQUAL),
	TEXTS("gt", EXPAND_GREATER),
	TEXTS("ge", EXPAND_GREATER_EQUAL),
	{ "match", EXPAND_FORM_MATCH, 2, expand_condition_match },
	LIST("match_address", expand_condition_list, EXPAND_LIST_ADDRESS),
	LIST("match_domain", expand_condition_list, EXPAND_LIST_DOMAIN),
	LIST("match_ip", expand_condition_ip, EXPAND_LIST_IP),
	LIST("match_local_part", expand_condition_list, EXPAND_LIST_LOCAL_PART),
	PLAIN("inlist", 2, expand_condition_inlist),
	{ "inlisti", EXPAND_FORM_PLAIN, 2, expand_condition_inlist, .caseless = true },
	{ "def", EXPAND_FORM_DEF, 0, expand_condition_def },
	{ "and", EXPAND_FORM_GROUP, 0, expand_condition_group },
	{ "or", EXPAND_FORM_GROUP, 0, expand_condition_group, .any = true },
	EACH("forall", false, false, false),
	EACH("forany", true, false, false),
	EACH("forall_json", false, true, false),
	EACH("forany_json", true, true, false),
	EACH("forall_jsons", false, true, true),
	EACH("forany_jsons", true, true, true),
	PLAIN("bool", 1, expand_condition_bool),
	{ "bool_lax", EXPAND_FORM_PLAIN, 1, expand_condition_bool, .any = true },
	PLAIN("isip", 1, expand_condition_isip),
	PLAIN("isip4", 1, expand_condition_isip),
	PLAIN("isip6", 1, expand_condition_isip),
	PLAIN("exists", 1, expand_condition_exists),
	PLAIN("first_delivery", 0, expand_condition_first_delivery),
	PLAIN("queue_running", 0, expand_condition_queue_running),
	{ "acl", EXPAND_FORM_CALL, 1, expand_condition_acl },
	PLAIN("crypteq", 2, expand_condition_crypteq),
	PLAIN("pam", 1, expand_condition_pam),
	PLAIN("inbound_srs", 2, expand_condition_inbound_srs),
};

const struct expand_condition_kind *expand_condition_kind(struct slice name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (slice_equal(name, slice_of(kinds[i].name)))
			return &kinds[i];
	return NULL;
}

static bool compile_operands(struct expand_compiler *c, const struct expand_condition_kind *kind, struct expand_condition *condition)
{
	static const char *const what[] = { "first string", "second string" };
	struct expand_sequence *operands = arena_array(c->arena, kind->operands, sizeof *operands);
	condition->operands = operands;
	condition->count = kind->operands;
	for (size_t i = 0; i < kind->operands; i++)
		if (!compile_braced(c, true, &operands[i], what[i], kind->name))
			return false;
	if (kind->run == expand_condition_exists)
		compile_uses_path(c, operands, EXPAND_SERVICE_EXISTS);
	if (kind->run == expand_condition_pam)
		compile_uses_path(c, operands, EXPAND_SERVICE_PAM);
	return true;
}

static bool compile_match(struct expand_compiler *c, const struct expand_condition_kind *kind, struct expand_condition *condition)
{
	struct expand_sequence *operands = arena_array(c->arena, 2, sizeof *operands);
	condition->operands = operands;
	condition->count = 2;
	if (!compile_braced(c, true, &operands[0], "first string", kind->name))
		return false;
	compile_skip(c);
	size_t pattern = c->at + 1;
	return compile_braced(c, true, &operands[1], "regular expression", kind->name) &&
	       compile_constant_regex(c, &operands[1], pattern, &condition->regex);
}

/* So that the list's own expansion leaves the text as it is. */
static struct slice protect(struct arena *arena, struct slice text)
{
	char *out = arena_alloc(arena, 2 * text.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\\' || text.data[i] == '$')
			out[len++] = '\\';
		out[len++] = text.data[i];
	}
	return slice_make(out, len);
}

/* The list is not expanded: it could hold what a peer sent (chapter 11 §7, match_local_part). */
static bool compile_list(struct expand_compiler *c, const struct expand_condition_kind *kind, struct expand_condition *condition)
{
	struct expand_sequence *subject = arena_new(c->arena, struct expand_sequence), list;
	condition->operands = subject;
	condition->count = 1;
	if (!compile_braced(c, true, subject, "first string", kind->name))
		return false;
	compile_skip(c);
	size_t start = c->at;
	if (!compile_braced(c, false, &list, "list", kind->name))
		return false;
	if (!c->language || !c->language->list_compile)
		return compile_fail(c, start, "lists cannot be used here, so \"%s\" cannot", kind->name);
	struct slice text = protect(c->arena, expand_sequence_prefix(&list));
	if (c->language->list_compile(c->language, c->arena, kind->list, text, c->place, &condition->list, c->error))
		return true;
	c->column = start + 2;
	return false;
}

static bool compile_def_name(struct expand_compiler *c, struct expand_condition *condition, struct slice name, size_t start)
{
	struct expand_node node = { 0 };
	condition->header = compile_header(c, name, &condition->reference);
	if (condition->header)
		return true;
	if (name.len == 0 || ascii_is_digit(name.data[0]))
		return compile_fail(c, start, "unknown variable \"%.*s\" after \"def:\"", SLICE_ARG(slice_first(name, 64)));
	if (!compile_variable(c, name, start, &node))
		return error_context(c->error, "after \"def:\"");
	if (node.kind == EXPAND_NODE_VARIABLE)
		condition->variable = node.of.variable;
	else
		condition->reference = node.of.reference;
	return true;
}

static bool compile_def(struct expand_compiler *c, const struct expand_condition_kind *kind, struct expand_condition *condition)
{
	(void)kind;
	if (compile_peek(c) != ':')
		return compile_fail(c, c->at, "\":\" expected after \"def\"");
	size_t start = ++c->at;
	return compile_def_name(c, condition, compile_name(c, "_"), start);
}

/* A condition between braces, the first of which was read. */
static bool compile_inner(struct expand_compiler *c, const char *name, const struct expand_condition **condition_r)
{
	size_t open = c->at - 1;
	if (!compile_condition(c, condition_r))
		return false;
	if (compile_skip(c) != '}')
		return compile_fail(c, compile_at_end(c) ? open : c->at, "missing } at the end of a condition inside \"%s\"", name);
	c->at++;
	return true;
}

static bool compile_group(struct expand_compiler *c, const struct expand_condition_kind *kind, struct expand_condition *condition)
{
	const struct expand_condition **tail = &condition->children;
	if (compile_skip(c) != '{')
		return compile_fail(c, c->at, "missing { after \"%s\"", kind->name);
	size_t open = c->at++;
	while (compile_skip(c) != '}') {
		if (compile_at_end(c))
			return compile_fail(c, open, "missing } at the end of the string: what opens here is not closed");
		if (compile_peek(c) != '{')
			return compile_fail(c, c->at, "each condition inside \"%s{...}\" must be in braces of its own", kind->name);
		c->at++;
		if (!compile_inner(c, kind->name, tail))
			return false;
		tail = (const struct expand_condition **)(uintptr_t)&(*tail)->next;
	}
	c->at++;
	return true;
}

static bool compile_each(struct expand_compiler *c, const struct expand_condition_kind *kind, struct expand_condition *condition)
{
	struct expand_sequence *list = arena_new(c->arena, struct expand_sequence);
	condition->operands = list;
	condition->count = 1;
	if (!compile_braced(c, true, list, "list", kind->name))
		return false;
	if (compile_skip(c) != '{')
		return compile_fail(c, c->at, "missing { for the condition of \"%s\"", kind->name);
	c->at++;
	return compile_inner(c, kind->name, &condition->children);
}

static bool compile_call(struct expand_compiler *c, const struct expand_condition_kind *kind, struct expand_condition *condition)
{
	if (compile_skip(c) != '{')
		return compile_fail(c, c->at, "missing { after \"%s\"", kind->name);
	c->at++;
	return compile_acl_call(c, kind->name, &condition->operands, &condition->count);
}

/* Letters, digits and underscores; or one or two characters of a comparison of numbers. */
static struct slice read_condition_name(struct expand_compiler *c)
{
	if (ascii_is_alpha(compile_peek(c)))
		return compile_name(c, "_");
	size_t start = c->at;
	if (strchr("<>=", compile_peek(c)) && !compile_at_end(c))
		c->at++;
	if (c->at > start && compile_peek(c) == '=')
		c->at++;
	return slice_make(c->text.data + start, c->at - start);
}

static bool unknown_condition(struct expand_compiler *c, struct slice name, size_t start)
{
	const struct expand_function_info *refused = expand_condition_find(name);
	size_t best = expand_near(name);
	const char *nearest = NULL;
	if (refused && refused->refused)
		return compile_fail(c, start, "the condition \"%s\" is not available: %s", refused->name, refused->refused);
	if (name.len == 0)
		return compile_fail(c, start, "the name of a condition expected, but found \"%.*s\"",
				    SLICE_ARG(slice_first(slice_from(c->text, start), 1)));
	name = slice_first(name, 64);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		size_t distance = slice_edit_distance(name, slice_of(kinds[i].name));
		if (distance <= best && (!nearest || distance < best)) {
			best = distance;
			nearest = kinds[i].name;
		}
	}
	return compile_fail(c, start, "unknown condition \"%.*s\"%s%s%s", SLICE_ARG(name), nearest ? ", did you mean \"" : "",
			    nearest ? nearest : "", nearest ? "\"?" : "");
}

static struct expand_condition *new_condition(struct expand_compiler *c, const struct expand_condition_kind *kind)
{
	struct expand_condition *condition = arena_new(c->arena, struct expand_condition);
	*condition = (struct expand_condition){ .name = kind->name, .run = kind->run, .caseless = kind->caseless, .any = kind->any,
						.json = kind->json, .unquote = kind->unquote,
						.operator = (unsigned char)kind->operator };
	return condition;
}

bool compile_condition(struct expand_compiler *c, const struct expand_condition **condition_r)
{
	static bool (*const forms[])(struct expand_compiler *, const struct expand_condition_kind *, struct expand_condition *) = {
		[EXPAND_FORM_PLAIN] = compile_operands, [EXPAND_FORM_DEF] = compile_def,   [EXPAND_FORM_GROUP] = compile_group,
		[EXPAND_FORM_LIST] = compile_list,      [EXPAND_FORM_MATCH] = compile_match, [EXPAND_FORM_EACH] = compile_each,
		[EXPAND_FORM_CALL] = compile_call,
	};
	if (!compile_deeper(c))
		return false;
	compile_skip(c);
	size_t start = c->at;
	bool negated = false;
	for (; compile_skip(c) == '!'; c->at++)
		negated = !negated;
	size_t name_start = c->at;
	struct slice name = read_condition_name(c);
	const struct expand_condition_kind *kind = expand_condition_kind(name);
	if (!kind)
		return unknown_condition(c, name, name_start);
	struct expand_condition *condition = new_condition(c, kind);
	condition->negated = negated;
	*condition_r = condition;
	if (!forms[kind->form](c, kind, condition))
		return false;
	condition->source = slice_make(c->text.data + start, c->at - start);
	compile_shallower(c);
	return true;
}

bool compile_comparison(struct expand_compiler *c, struct slice name, size_t at, const struct expand_condition **condition_r)
{
	const struct expand_condition_kind *kind = expand_condition_kind(name);
	bool compares = kind && (kind->run == expand_condition_numbers || kind->run == expand_condition_strings);
	if (!compares || kind->operator == EXPAND_EQUAL)
		return compile_fail(c, at, "\"%.*s\" is no comparison for \"sort\": it takes <, <=, >, >=, lt, le, gt, ge and lti, lei, gti, gei",
				    SLICE_ARG(slice_first(name, 64)));
	*condition_r = new_condition(c, kind);
	return true;
}
