/* SPDX-License-Identifier: ISC */
/* Sections that are not made of options: the lines of acl, retry and rewrite are kept as text. */
#include "conf/parse.h"

enum { ACLS_MAX = 10000, LINES_MAX = 100000 };

/* "name:" that begins an ACL: a word and a colon at once behind it. Empty when it is something else. */
static struct slice label_of(struct slice line)
{
	struct slice name = conf_word(line), rest = slice_trim(slice_from(line, name.len));
	if (!name.len || !ascii_is_alpha(name.data[0]) || !rest.len || rest.data[0] != ':')
		return (struct slice){ 0 };
	return name;
}

static void add_line(struct conf_parser *parser, struct conf_text *text, const struct conf_input *input)
{
	struct conf *conf = parser->conf;
	if (text->count == LINES_MAX) {
		conf_error(parser->problems, input->place, (struct slice){ 0 }, "there are more than %d lines", LINES_MAX);
		return;
	}
	text->lines = arena_grow(&conf->arena, text->lines, text->count, &text->room, sizeof *text->lines);
	text->lines[text->count++] = (struct conf_text_line){
		.text = arena_copy(&conf->arena, input->line->text), .place = input->place, .source = input->line,
	};
}

/* ---- ACLs ---- */

static struct conf_acl *add_acl(struct conf *conf)
{
	conf->acls = arena_grow(&conf->arena, conf->acls, conf->acl_count, &conf->acl_room, sizeof *conf->acls);
	return &conf->acls[conf->acl_count++];
}

static void begin_acl(struct conf_sections *sections, struct slice name, const struct conf_input *input)
{
	struct conf_parser *parser = sections->parser;
	struct conf *conf = parser->conf;
	const struct conf_acl *same = conf_acl_find(conf, name);
	struct slice rest = slice_trim(slice_from(slice_trim(slice_from(input->line->text, name.len)), 1));
	sections->acl = NULL;
	sections->acl_skipping = true;
	if (same || conf->acl_count == ACLS_MAX) {
		conf_error(parser->problems, input->place, (struct slice){ 0 }, same ?
			   "there are two ACLs called %.*s" : "there are too many ACLs; %.*s is one too much",
			   SLICE_ARG(name));
		return;
	}
	if (rest.len)
		conf_error(parser->problems, input->place, (struct slice){ 0 },
			   "text after the colon of ACL %.*s; its first statement goes on the next line", SLICE_ARG(name));
	sections->acl = add_acl(conf);
	sections->acl->name = arena_copy(&conf->arena, name);
	sections->acl->place = input->place;
	sections->acl_skipping = false;
}

void conf_acl_line(struct conf_sections *sections, const struct conf_input *input)
{
	struct slice label = label_of(input->line->text);
	if (label.len)
		begin_acl(sections, label, input);
	else if (sections->acl)
		add_line(sections->parser, &sections->acl->text, input);
	else if (!sections->acl_skipping)
		conf_error(sections->parser->problems, input->place, (struct slice){ 0 },
			   "expected a name and a colon, which begin an ACL");
	sections->acl_skipping |= !sections->acl;
}

/* ---- Rules ---- */

void conf_retry_line(struct conf_sections *sections, const struct conf_input *input)
{
	add_line(sections->parser, &sections->parser->conf->retry_text, input);
}

void conf_rewrite_line(struct conf_sections *sections, const struct conf_input *input)
{
	add_line(sections->parser, &sections->parser->conf->rewrite_text, input);
}

/* Empty it does no harm. */
void conf_local_scan_line(struct conf_sections *sections, const struct conf_input *input)
{
	if (!sections->local_scan_told)
		conf_error(sections->parser->problems, input->place, (struct slice){ 0 },
			   "the section local_scan sets options of a C function that was compiled into Exim; Postern has no "
			   "such function: remove the section, and check messages in an ACL");
	sections->local_scan_told = true;
}

void conf_sections_end(struct conf_sections *sections)
{
	sections->acl = NULL;
}
