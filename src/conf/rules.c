/* SPDX-License-Identifier: ISC */
/* The sections retry and rewrite: their lines into chains of rules. */
#include "conf/parse.h"

static void settle_retry(struct conf_parser *parser, const struct pattern_scope *scope)
{
	struct conf *conf = parser->conf;
	struct retry_rule **end = &conf->retry;
	for (size_t i = 0; i < conf->retry_text.count; i++) {
		const struct conf_text_line *line = &conf->retry_text.lines[i];
		struct retry_rule *rule;
		struct error error = { 0 };
		size_t column = 0;
		if (!retry_compile(&conf->arena, line->text, scope, &rule, &error, &column)) {
			conf_error(parser->problems, conf_source_place(parser->source, line->source, column - 1),
				   SLICE("retry rule"), "%s", error.text);
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
}
