/* SPDX-License-Identifier: ISC */
#include "conf/conf.h"

#include "base/fatal.h"
#include "conf/parse.h"
#include "expand/regex.h"

static void free_conf(struct conf *conf)
{
	list_forms_free(&conf->list_forms);
	arena_free(&conf->arena);
	regex_scratch_free(&conf->language.scratch);
	free(conf);
}

struct conf *conf_ref(struct conf *conf)
{
	ensure(conf->references > 0 && conf->references < SIZE_MAX);
	conf->references++;
	return conf;
}

void conf_unref(struct conf **conf)
{
	struct conf *dropped = *conf;
	*conf = NULL;
	if (!dropped)
		return;
	ensure(dropped->references > 0);
	if (--dropped->references == 0)
		free_conf(dropped);
}

/* Exim hides an option in all instances of a driver when it is hidden in one of them. */
static void spread_hidden(struct conf_block *blocks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t s = 0; s < blocks[i].setting_count; s++) {
			if (!blocks[i].settings[s].given || !blocks[i].settings[s].hidden)
				continue;
			for (size_t j = 0; j < count; j++)
				if (s < blocks[j].setting_count &&
				    blocks[j].settings[s].option == blocks[i].settings[s].option)
					blocks[j].settings[s].hidden = true;
		}
}

/* What points into the source, and was for messages only. */
static void forget_places(struct conf_block *block)
{
	block->place = (struct conf_place){ 0 };
	for (size_t i = 0; i < block->setting_count; i++) {
		block->settings[i].place = (struct conf_place){ 0 };
		block->settings[i].source = NULL;
		block->settings[i].raw = (struct slice){ 0 };
	}
}

static void forget_all_places(struct conf *conf)
{
	forget_places(&conf->main_block);
	for (size_t i = 0; i < conf->router_count; i++)
		forget_places(&conf->router_blocks[i]);
	for (size_t i = 0; i < conf->transport_count; i++)
		forget_places(&conf->transport_blocks[i]);
	for (size_t i = 0; i < conf->authenticator_count; i++)
		forget_places(&conf->authenticator_blocks[i]);
	for (size_t i = 0; i < conf->list_count; i++)
		conf->lists[i].place = (struct conf_place){ 0 };
}

/* Text lines keep their places (a log line may name one), but not the source. */
static void keep_places(struct conf *conf, struct conf_text *text)
{
	struct slice file = { 0 };
	for (size_t i = 0; i < text->count; i++) {
		struct conf_text_line *line = &text->lines[i];
		if (!slice_equal(file, line->place.file))
			file = arena_copy(&conf->arena, line->place.file);
		line->place.file = file;
		line->place.macro = arena_copy(&conf->arena, line->place.macro);
		line->source = NULL;
	}
}

static void keep_all_places(struct conf *conf)
{
	keep_places(conf, &conf->retry_text);
	keep_places(conf, &conf->rewrite_text);
	for (size_t i = 0; i < conf->acl_count; i++) {
		struct conf_acl *acl = &conf->acls[i];
		keep_places(conf, &acl->text);
		acl->place.file = arena_copy(&conf->arena, acl->place.file);
		acl->place.macro = arena_copy(&conf->arena, acl->place.macro);
	}
}

bool conf_ports_have(const struct conf_ports *ports, uint16_t port)
{
	for (size_t i = 0; i < ports->count; i++)
		if (ports->items[i] == port)
			return true;
	return false;
}

struct slice conf_constant(const struct expand_program *program)
{
	struct slice text;
	return program && expand_constant(program, &text) ? text : (struct slice){ 0 };
}

const struct conf_acl *conf_acl_find(const struct conf *conf, struct slice name)
{
	for (size_t i = 0; i < conf->acl_count; i++)
		if (slice_equal(conf->acls[i].name, name))
			return &conf->acls[i];
	return NULL;
}

static void take_command_line(struct conf_parser *parser)
{
	for (size_t i = 0; i < parser->source->fact_count; i++) {
		const struct conf_fact *fact = &parser->source->facts[i];
		const struct conf_option *option =
			fact->kind == CONF_FACT_OPTION ? conf_option_find(conf_table(CONF_TABLE_MAIN), fact->name) : NULL;
		if (!option)
			continue;
		struct conf_setting *setting = conf_main_setting(parser, option->name);
		*setting = (struct conf_setting){ .option = option, .text = arena_copy(&parser->conf->arena, fact->value), .given = true };
	}
}

struct conf *conf_parse(struct conf_source *source, struct conf_problems *problems)
{
	struct conf *conf = xcalloc(1, sizeof *conf);
	struct conf_parser parser = { .conf = conf, .source = source, .problems = problems };
	arena_init(&conf->arena, 0);
	conf->references = 1;
	conf->language.scratch = regex_scratch_new();
	conf->parser = &parser;
	if (source->file_count)
		conf->config_file = arena_copy(&conf->arena, source->files[0]);
	conf_collect(&parser);
	take_command_line(&parser);
	conf_convert_block(&parser, &conf->main_block, &conf->main, false);
	conf_settle_names(&parser);
	conf_declare_acls(&parser);
	conf_compile_lists(&parser);
	conf_convert_block(&parser, &conf->main_block, &conf->main, true);
	conf_settle(&parser);
	spread_hidden(conf->router_blocks, conf->router_count);
	spread_hidden(conf->transport_blocks, conf->transport_count);
	spread_hidden(conf->authenticator_blocks, conf->authenticator_count);
	conf_keep_source(&parser);
	forget_all_places(conf);
	keep_all_places(conf);
	conf_problems_sort(problems);
	conf->parser = NULL;
	conf->list_scope.read_file = NULL; /* from now on files are asked for */
	conf->list_forms.closed = true;
	conf_source_quote(source, problems);
	if (!problems->errors)
		return conf;
	conf_unref(&conf);
	return NULL;
}
