/* SPDX-License-Identifier: ISC */
/*
 * The section acl, and the options that name ACLs. All names are known before any text is compiled, since ACLs call each other in
 * any order.
 */
#include "base/fatal.h"
#include "conf/parse.h"

struct warner {
	struct conf_parser *parser;
	const struct conf_setting *setting; /* of the option whose ACL it is */
};

static bool check_acl(void *owner, struct slice text, struct error *error)
{
	struct conf *conf = owner;
	return acl_text_check(conf->acl_set, text, error);
}

void conf_declare_acls(struct conf_parser *parser)
{
	struct conf *conf = parser->conf;
	conf->acl_set = acl_set_new(&conf->arena, &conf->language);
	conf->language.acl_check = check_acl;
	/* Two of one name were reported when they were collected. */
	for (size_t i = 0; i < conf->acl_count; i++)
		acl_set_add(conf->acl_set, conf->acls[i].name);
}

static void keep_first(void *owner, const struct acl_line *line, size_t column, const struct error *error)
{
	struct error *first = owner;
	(void)line;
	if (first->kind != ERROR_NONE)
		return;
	*first = *error;
	if (column)
		error_context(first, "at character %zu of the value", column);
}

bool conf_acl_option(struct conf_parser *parser, struct slice text, const struct acl_reference **reference_r, struct error *error)
{
	struct acl_report report = { .owner = error, .error = keep_first };
	*error = (struct error){ 0 };
	return acl_reference_compile(parser->conf->acl_set, text, 0, &report, reference_r);
}

/* A line's place is its number, counted over all ACLs. */
static const struct conf_text_line *find_line(const struct conf *conf, size_t place, const struct conf_acl **acl_r)
{
	for (size_t i = 0; i < conf->acl_count; i++) {
		const struct conf_text *text = &conf->acls[i].text;
		*acl_r = &conf->acls[i];
		if (place < text->count)
			return &text->lines[place];
		place -= text->count;
	}
	return NULL;
}

const struct conf_place *conf_acl_place(const struct conf *conf, size_t line)
{
	const struct conf_acl *acl;
	const struct conf_text_line *text = find_line(conf, line, &acl);
	return text ? &text->place : NULL;
}

static void note_error(void *owner, const struct acl_line *line, size_t column, const struct error *error)
{
	struct conf_parser *parser = owner;
	const struct conf_acl *acl = NULL;
	const struct conf_text_line *text = find_line(parser->conf, line->place, &acl);
	ensure(text && acl);
	struct slice label = arena_printf(&parser->problems->arena, "ACL %.*s", SLICE_ARG(acl->name));
	struct conf_place where = column ? conf_source_spot(parser->source, text->source, column - 1) :
					   conf_source_place(parser->source, text->source, 0);
	conf_error(parser->problems, where, label, "%s", error->text);
}

static void compile_acl(struct conf_parser *parser, const struct conf_acl *acl, size_t place)
{
	struct conf *conf = parser->conf;
	struct acl_report report = { .owner = parser, .error = note_error };
	struct acl_line *lines = xcalloc(acl->text.count + 1, sizeof *lines);
	for (size_t i = 0; i < acl->text.count; i++)
		lines[i] = (struct acl_line){ acl->text.lines[i].text, place + i };
	acl_compile(conf->acl_set, acl_set_find(conf->acl_set, acl->name), lines, acl->text.count, &report);
	free(lines);
}

static void note_warning(void *owner, const struct acl_line *line, size_t column, const struct error *error)
{
	struct warner *warner = owner;
	struct conf_parser *parser = warner->parser;
	const struct conf_acl *acl = NULL;
	const struct conf_text_line *text = find_line(parser->conf, line->place, &acl);
	(void)column;
	if (text && acl)
		conf_warning(parser->problems, conf_source_place(parser->source, text->source, 0),
			     arena_printf(&parser->problems->arena, "ACL %.*s", SLICE_ARG(acl->name)), "%s", error->text);
	else
		conf_warning(parser->problems, warner->setting->place,
			     conf_block_label(parser, &parser->conf->main_block, slice_of(warner->setting->option->name)), "%s", error->text);
}

void conf_settle_acls(struct conf_parser *parser)
{
	struct conf *conf = parser->conf;
	size_t place = 0;
	for (size_t i = 0; i < conf->acl_count; i++) {
		compile_acl(parser, &conf->acls[i], place);
		place += conf->acls[i].text.count;
	}
	for (enum acl_point point = 0; point < ACL_POINTS; point++) {
		struct warner warner = { parser, conf_main_setting(parser, acl_point_info(point)->option) };
		struct acl_report report = { .owner = &warner, .error = note_warning };
		if (warner.setting && conf->main.acl[point])
			acl_reference_check(conf->main.acl[point], point, &report);
	}
}
