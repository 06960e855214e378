/* SPDX-License-Identifier: ISC */
/* The compiler's names: variables, their families, header lines, and what is known of a sequence when it is constant. */
#include "expand/compiler.h"

/* "$acl_c0", "$acl_m_name": the sixth character is a digit or an underscore. */
static bool is_acl_name(struct slice rest)
{
	return rest.len && (ascii_is_digit(rest.data[0]) || rest.data[0] == '_');
}

static bool is_auth_name(struct slice rest)
{
	return rest.len == 1 && rest.data[0] >= '1' && rest.data[0] <= '4';
}

static bool is_any_name(struct slice rest)
{
	return rest.len > 0;
}

static const struct family {
	const char *prefix;
	enum expand_family family;
	enum expand_place place;
	bool (*is_name)(struct slice rest);
	const char *rule;
} families[] = {
	{ "acl_c", EXPAND_ACL_C, EXPAND_PLACE_CONNECTION, is_acl_name, "its sixth character must be a digit or an underscore" },
	{ "acl_m", EXPAND_ACL_M, EXPAND_PLACE_CONNECTION, is_acl_name, "its sixth character must be a digit or an underscore" },
	{ "r_", EXPAND_ROUTER_VARIABLE, EXPAND_PLACE_ENVELOPE, is_any_name, "a name must follow the underscore" },
	{ "auth", EXPAND_AUTH, EXPAND_PLACE_CONNECTION, is_auth_name, "it is $auth1 to $auth4" },
};

static const struct family *find_family(struct slice name)
{
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		if (!slice_starts(name, slice_of(families[i].prefix)))
			continue;
		/* "authentic" is no member of the family of $auth1, and not meant to be one. */
		if (families[i].family != EXPAND_AUTH || (name.len > 4 && ascii_is_digit(name.data[4])))
			return &families[i];
	}
	return NULL;
}

static bool compile_family(struct expand_compiler *c, const struct family *family, struct slice name, size_t start,
			   struct expand_node *node)
{
	struct slice rest = slice_from(name, strlen(family->prefix));
	if (!family->is_name(rest))
		return compile_fail(c, start, "unknown variable name \"%.*s\": %s", SLICE_ARG(slice_first(name, 64)), family->rule);
	if (family->place > c->place)
		return compile_fail(c, start, "variable $%.*s has no value here: it exists only %s", SLICE_ARG(slice_first(name, 64)),
				    expand_place_text(family->place));
	struct expand_reference *reference = arena_new(c->arena, struct expand_reference);
	*reference = (struct expand_reference){ .kind = family->family, .name = rest };
	node->kind = EXPAND_NODE_NAMED;
	node->of.reference = reference;
	return true;
}

static bool unknown_variable(struct expand_compiler *c, struct slice name, size_t start)
{
	name = slice_first(name, 64);
	if (expand_variable_is_foreign(name))
		return compile_fail(c, start, "variable $%.*s is not available in this version", SLICE_ARG(name));
	const char *nearest = expand_variable_nearest(name);
	return compile_fail(c, start, "unknown variable name \"%.*s\"%s%s%s", SLICE_ARG(name), nearest ? ", did you mean \"" : "",
			    nearest ? nearest : "", nearest ? "\"?" : "");
}

bool compile_variable(struct expand_compiler *c, struct slice name, size_t start, struct expand_node *node)
{
	if (ascii_is_digit(name.data[0])) {
		uint64_t number;
		/* As in Exim, numbers that no expression can set are empty. */
		node->kind = EXPAND_NODE_NUMBER;
		node->number = slice_parse_u64(name, EXPAND_NUMBERS - 1, &number) ? (unsigned)number : EXPAND_NUMBERS;
		return true;
	}
	const struct expand_variable_info *info = expand_variable_find(name);
	const struct family *family = info ? NULL : find_family(name);
	if (family)
		return compile_family(c, family, name, start, node);
	if (!info)
		return unknown_variable(c, name, start);
	if (info->place > c->place && info->place == EXPAND_PLACE_COMMAND)
		return compile_fail(c, start, "variable $%s is not available in this version", info->name);
	if (info->place > c->place)
		return compile_fail(c, start, "variable $%s has no value here: it exists only %s", info->name,
				    expand_place_text(info->place));
	node->kind = EXPAND_NODE_VARIABLE;
	node->of.variable = info;
	c->program->variables[info->variable / 64] |= UINT64_C(1) << info->variable % 64;
	return true;
}

bool compile_header(struct expand_compiler *c, struct slice name, const struct expand_reference **reference_r)
{
	static const struct {
		const char *prefix;
		enum expand_header kind;
	} prefixes[] = {
		{ "h_", EXPAND_HEADER },          { "header_", EXPAND_HEADER },           { "bh_", EXPAND_HEADER_BASE },
		{ "bheader_", EXPAND_HEADER_BASE }, { "rh_", EXPAND_HEADER_RAW },         { "rheader_", EXPAND_HEADER_RAW },
		{ "lh_", EXPAND_HEADER_LIST },    { "lheader_", EXPAND_HEADER_LIST },
	};
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		if (!slice_starts(name, slice_of(prefixes[i].prefix)))
			continue;
		struct expand_reference *reference = arena_new(c->arena, struct expand_reference);
		reference->kind = prefixes[i].kind;
		reference->name = slice_from(name, strlen(prefixes[i].prefix));
		/* RFC 5322 §2.2: printable characters but the colon; the name so far is part of it. */
		while (compile_peek(c) > ' ' && compile_peek(c) < 127 && compile_peek(c) != ':')
			c->at++;
		reference->name.len = (size_t)(c->text.data + c->at - reference->name.data);
		c->odd_header |= slice_find(reference->name, '}') < reference->name.len;
		if (compile_peek(c) == ':')
			c->at++;
		*reference_r = reference;
		return true;
	}
	return false;
}

bool expand_sequence_constant(const struct expand_sequence *sequence, struct slice *text_r)
{
	if (sequence->count > 1 || (sequence->count == 1 && sequence->first->kind != EXPAND_NODE_LITERAL))
		return false;
	if (text_r)
		*text_r = expand_sequence_prefix(sequence);
	return true;
}

struct slice expand_sequence_prefix(const struct expand_sequence *sequence)
{
	const struct expand_node *first = sequence->first;
	return first && first->kind == EXPAND_NODE_LITERAL ? first->of.literal : SLICE("");
}

bool compile_constant_regex(struct expand_compiler *c, const struct expand_sequence *pattern, size_t start, const struct regex **regex_r)
{
	struct slice text;
	size_t column;
	if (!expand_sequence_constant(pattern, &text))
		return true;
	if (!c->language || !c->language->scratch)
		return compile_fail(c, start, "regular expressions cannot be used here");
	if (regex_compile(c->arena, c->language->scratch, text, false, regex_r, c->error, &column))
		return true;
	/* The exact byte, when the pattern stands in the source as it is, or after "\N". */
	struct slice source = slice_from(c->text, start);
	if (slice_starts(source, SLICE("\\N"))) {
		source = slice_from(source, 2);
		start += 2;
	}
	c->column = slice_starts(source, text) ? start + column : start + 1;
	return false;
}

void compile_include(struct expand_compiler *c, const struct expand_program *program)
{
	for (size_t i = 0; i < EXPAND_VARIABLE_WORDS; i++)
		c->program->variables[i] |= program->variables[i];
	if (program->depth > c->program->depth)
		c->program->depth = program->depth;
}

void compile_uses_path(struct expand_compiler *c, const struct expand_sequence *path, enum expand_service service)
{
	if (c->language && c->language->uses_path)
		c->language->uses_path(c->language->owner, expand_sequence_prefix(path), service);
}
