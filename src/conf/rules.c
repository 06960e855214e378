/* SPDX-License-Identifier: ISC */
/* The sections retry and rewrite: their lines into chains of rules. */
#include "conf/parse.h"

/* A rule of either section does not compile. `column`: the byte of the line, from 1. */
static void rule_error(struct conf_parser *parser, const struct conf_text_line *line, const char *what, size_t column,
		       const struct error *error)
{
	conf_error(parser->problems, conf_source_spot(parser->source, line->source, column - 1), slice_of(what), "%s",
		   error->text);
}

static void settle_retry(struct conf_parser *parser, const struct pattern_scope *scope)
{
	struct conf *conf = parser->conf;
	struct retry_rule **end = &conf->retry, *rule;
	for (size_t i = 0; i < conf->retry_text.count; i++) {
		const struct conf_text_line *line = &conf->retry_text.lines[i];
		struct error error = { 0 };
		size_t column = 1;
		if (!retry_compile(&conf->arena, line->text, scope, &rule, &error, &column)) {
			rule_error(parser, line, "retry rule", column, &error);
			continue;
		}
		*end = rule;
		end = &rule->next;
	}
}

static void settle_rewrite(struct conf_parser *parser, const struct pattern_scope *scope)
{
	struct conf *conf = parser->conf;
	struct rewrite_rule **end = &conf->rewrite, *rule;
	for (size_t i = 0; i < conf->rewrite_text.count; i++) {
		const struct conf_text_line *line = &conf->rewrite_text.lines[i];
		struct error error = { 0 };
		size_t column = 1;
		if (!rewrite_compile(&conf->arena, line->text, scope, &rule, &error, &column)) {
			rule_error(parser, line, "rewrite rule", column, &error);
			continue;
		}
		*end = rule;
		end = &rule->next;
	}
}

void conf_settle_rules(struct conf_parser *parser)
{
	struct pattern_scope scope = { &parser->scope, &parser->conf->language };
	settle_retry(parser, &scope);
	settle_rewrite(parser, &scope);
}
