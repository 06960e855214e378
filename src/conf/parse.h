/* SPDX-License-Identifier: ISC */
/*
 * The steps of conf_parse, for the files of this directory only: collect.c turns lines into blocks of settings as text;
 * convert.c turns the text of a setting into its field; settle.c fills in what is computed, and checks options against
 * each other. Each notes its problems and goes on.
 */
#ifndef POSTERN_CONF_PARSE_H
#define POSTERN_CONF_PARSE_H

#include "conf/conf.h"

struct conf_parser {
	struct conf *conf;
	struct conf_source *source;
	struct conf_problems *problems;
	struct list_scope scope; /* for the lists, a copy of the configuration's; complete once the scalars of the main section are converted */
	unsigned list_depth;     /* named lists that are being compiled */
};

/* Lines to blocks. */
void conf_collect(struct conf_parser *parser);

/* A logical line where it stands. */
struct conf_input {
	const struct conf_line *line;
	struct conf_place place;
};

/* The sections that are not settings of drivers (sections.c). Each takes one line. */
struct conf_sections {
	struct conf_parser *parser;
	struct conf_acl *acl;       /* being filled; NULL before the first, or after a bad name */
	bool acl_skipping;          /* the name was bad: its lines are not looked at */
	bool local_scan_told;       /* that it is refused */
};

typedef void conf_section_line(struct conf_sections *sections, const struct conf_input *input);
conf_section_line conf_acl_line, conf_retry_line, conf_rewrite_line, conf_local_scan_line;
/* At the end of a section, or of the configuration. */
void conf_sections_end(struct conf_sections *sections);
/* A word of letters, digits and underscores at the start of the line. */
struct slice conf_word(struct slice line);

/* Which types convert in which step: those that need the host name and the named lists come second. */
bool conf_type_needs_scope(enum conf_type type);
/* The setting's text (not unset) into `field`. False after a problem was noted. */
bool conf_convert(struct conf_parser *parser, const struct conf_block *block, const struct conf_setting *setting,
		  void *field);
/* All settings of a block whose type does, or does not, need the scope. `object`: what the offsets count from. */
void conf_convert_block(struct conf_parser *parser, const struct conf_block *block, void *object, bool scoped);
/* Makes scope ready and compiles the named lists. */
void conf_compile_lists(struct conf_parser *parser);

/* The main section between its two steps (names, ports), and everything after all is converted. */
void conf_settle_names(struct conf_parser *parser);
void conf_settle(struct conf_parser *parser);
/* The TLS options (settle_tls.c). */
void conf_settle_tls(struct conf_parser *parser);
/* ACLs (acls.c): first their names, at the end the rest. */
void conf_declare_acls(struct conf_parser *parser);
bool conf_acl_option(struct conf_parser *parser, struct slice text, const struct acl_reference **reference_r, struct error *error);
void conf_settle_acls(struct conf_parser *parser);
/* The rules of the sections retry and rewrite (rules.c). */
void conf_settle_rules(struct conf_parser *parser);
/* Authenticators (authenticators.c). */
void conf_settle_authenticators(struct conf_parser *parser);
/* Routers and transports: their options into their structs, references between them, users (routes.c). */
void conf_settle_routes(struct conf_parser *parser);

/* What conf_print shows of the text itself (print_source.c). */
void conf_keep_source(struct conf_parser *parser);

struct conf_setting *conf_block_setting(const struct conf_block *block, struct slice option);
/* "option X", or "router R, option X" for messages. The text is memory of the problems' arena. */
struct slice conf_block_label(struct conf_parser *parser, const struct conf_block *block, struct slice option);
/* Of an option, at the place where it is set, or else where its block begins: for the main section that is the file as a whole. */
void conf_block_error(struct conf_parser *parser, const struct conf_block *block, const char *option, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void conf_block_warning(struct conf_parser *parser, const struct conf_block *block, const char *option, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same of the main section. */
static inline struct conf_setting *conf_main_setting(const struct conf_parser *parser, const char *option)
{
	return conf_block_setting(&parser->conf->main_block, slice_of(option));
}
#define conf_main_error(parser, ...) conf_block_error((parser), &(parser)->conf->main_block, __VA_ARGS__)
#define conf_main_warning(parser, ...) conf_block_warning((parser), &(parser)->conf->main_block, __VA_ARGS__)

#endif
