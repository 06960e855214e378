/* SPDX-License-Identifier: ISC */
#include "conf/parse.h"

#include <stddef.h>
#include <string.h>

enum section { SECTION_MAIN, SECTION_ROUTERS, SECTION_TRANSPORTS, SECTION_AUTHENTICATORS, SECTION_LINES, SECTION_SKIPPED };

/* Sections of instances of drivers. */
static const struct kind {
	const char *word, *letter;           /* how messages call one; "a" or "an" */
	enum conf_table_id generic;          /* options of all of them */
	enum conf_table_id first, last;      /* tables of the drivers */
	size_t blocks, count, room;          /* fields of struct conf */
	bool (*exim_has)(struct slice name); /* an option */
	bool (*exim_has_driver)(struct slice name);
} kinds[] = {
	[SECTION_ROUTERS] = { "router", "a", CONF_TABLE_ROUTER, CONF_TABLE_ROUTER_ACCEPT, CONF_TABLE_ROUTER_ACCEPT,
			      offsetof(struct conf, router_blocks), offsetof(struct conf, router_count),
			      offsetof(struct conf, router_room), conf_exim_has_router, conf_exim_has_router_driver },
	[SECTION_TRANSPORTS] = { "transport", "a", CONF_TABLE_TRANSPORT, CONF_TABLE_TRANSPORT_APPENDFILE, CONF_TABLE_TRANSPORT_APPENDFILE,
				 offsetof(struct conf, transport_blocks), offsetof(struct conf, transport_count),
				 offsetof(struct conf, transport_room), conf_exim_has_transport, conf_exim_has_transport_driver },
	[SECTION_AUTHENTICATORS] = { "authenticator", "an", CONF_TABLE_AUTHENTICATOR, CONF_TABLE_PLAINTEXT, CONF_TABLE_DOVECOT,
				     offsetof(struct conf, authenticator_blocks), offsetof(struct conf, authenticator_count),
				     offsetof(struct conf, authenticator_room), conf_exim_has_authenticator,
				     conf_exim_has_authenticator_driver },
};

/* Sections of which a configuration may have one each, in any order. */
static const struct section_info {
	const char *name;
	enum section section;
	conf_section_line *take; /* of SECTION_LINES */
} sections[] = {
	{ "routers", SECTION_ROUTERS, NULL },
	{ "transports", SECTION_TRANSPORTS, NULL },
	{ "acl", SECTION_LINES, conf_acl_line },
	{ "retry", SECTION_LINES, conf_retry_line },
	{ "rewrite", SECTION_LINES, conf_rewrite_line },
	{ "authenticators", SECTION_AUTHENTICATORS, NULL },
	{ "local_scan", SECTION_LINES, conf_local_scan_line },
};
enum { SECTIONS = sizeof sections / sizeof *sections, INSTANCES_MAX = 10000, LISTS_MAX = 10000 };

struct collector {
	struct conf_parser *parser;
	enum section section;
	const struct section_info *info; /* of SECTION_LINES */
	struct conf_sections lines;
	bool seen[SECTIONS];
	struct conf_block *block;      /* being filled; NULL between instances, or after a bad name */
	bool skipping;                 /* the instance's name was bad: its options are not looked at */
	const struct conf_line *source;
	struct conf_place place;
};

struct slice conf_word(struct slice s)
{
	size_t n = 0;
	while (n < s.len && (ascii_is_alnum(s.data[n]) || s.data[n] == '_'))
		n++;
	return slice_first(s, n);
}

struct conf_setting *conf_block_setting(const struct conf_block *block, struct slice option)
{
	for (size_t i = 0; i < block->setting_count; i++)
		if (slice_equal(option, slice_of(block->settings[i].option->name)))
			return &block->settings[i];
	return NULL;
}

/* NULL for the main section. */
static const struct kind *kind_of(const struct conf_block *block)
{
	for (size_t i = SECTION_ROUTERS; i < sizeof kinds / sizeof *kinds; i++)
		if (block->tables[0] == conf_table(kinds[i].generic))
			return &kinds[i];
	return NULL;
}

struct slice conf_block_label(struct conf_parser *parser, const struct conf_block *block, struct slice option)
{
	struct arena *arena = &parser->problems->arena;
	if (!block->name.len)
		return arena_printf(arena, "option %.*s", SLICE_ARG(option));
	const char *kind = kind_of(block)->word;
	if (!option.len)
		return arena_printf(arena, "%s %.*s", kind, SLICE_ARG(block->name));
	return arena_printf(arena, "%s %.*s, option %.*s", kind, SLICE_ARG(block->name), SLICE_ARG(option));
}

static struct conf_place place_of(const struct conf_block *block, const char *option)
{
	const struct conf_setting *setting = conf_block_setting(block, slice_of(option));
	return setting && setting->given ? setting->place : block->place;
}

void conf_block_error(struct conf_parser *parser, const struct conf_block *block, const char *option, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	conf_verror(parser->problems, place_of(block, option), conf_block_label(parser, block, slice_of(option)), format, args);
	va_end(args);
}

void conf_block_warning(struct conf_parser *parser, const struct conf_block *block, const char *option, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	struct slice text = arena_vprintf(&parser->problems->arena, format, args);
	va_end(args);
	conf_warning(parser->problems, place_of(block, option), conf_block_label(parser, block, slice_of(option)), "%.*s", SLICE_ARG(text));
}

/* Appends the settings of one table, unset or with their defaults. */
static void add_table(struct conf *conf, struct conf_block *block, const struct conf_table *table)
{
	size_t total = block->setting_count + table->count;
	struct conf_setting *settings = arena_array(&conf->arena, total, sizeof *settings);
	if (block->setting_count)
		memcpy(settings, block->settings, block->setting_count * sizeof *settings);
	for (size_t i = 0; i < table->count; i++) {
		const struct conf_option *option = &table->options[i];
		settings[block->setting_count + i] =
			(struct conf_setting){ .option = option, .text = slice_of(option->fallback) };
	}
	block->tables[block->tables[0] ? 1 : 0] = table;
	block->settings = settings;
	block->setting_count = total;
}

static struct conf_block **blocks_of(struct conf *conf, const struct kind *kind)
{
	return (struct conf_block **)(void *)((char *)conf + kind->blocks);
}

static size_t *count_of(struct conf *conf, const struct kind *kind)
{
	return (size_t *)(void *)((char *)conf + kind->count);
}

static struct conf_block *add_block(struct conf *conf, const struct kind *kind)
{
	struct conf_block **blocks = blocks_of(conf, kind);
	size_t *count = count_of(conf, kind), *room = (size_t *)(void *)((char *)conf + kind->room);
	*blocks = arena_grow(&conf->arena, *blocks, *count, room, sizeof **blocks);
	return &(*blocks)[(*count)++];
}

/* The table of a driver's own options; NULL when there is no such driver. */
static const struct conf_table *driver_table(const struct kind *kind, struct slice driver)
{
	for (enum conf_table_id id = kind->first; id <= kind->last; id++)
		if (slice_equal(driver, slice_of(conf_table(id)->driver)))
			return conf_table(id);
	return NULL;
}

/* "accept", or "plaintext, cram_md5 ...", for messages. */
static struct slice driver_names(struct conf_parser *parser, const struct kind *kind)
{
	struct slice names = { 0 };
	for (enum conf_table_id id = kind->first; id <= kind->last; id++)
		names = arena_printf(&parser->problems->arena, "%.*s%s%s", SLICE_ARG(names), names.len ? ", " : "", conf_table(id)->driver);
	return names;
}

static bool has_private_option(const struct kind *kind, struct slice name)
{
	for (enum conf_table_id id = kind->first; id <= kind->last; id++)
		if (conf_option_find(conf_table(id), name))
			return true;
	return false;
}

/* "no_verify" and "not_verify" are about verify. */
static struct slice without_negation(struct slice name)
{
	size_t prefix = slice_starts(name, SLICE("no_")) ? 3 : slice_starts(name, SLICE("not_")) ? 4 : 0;
	return slice_from(name, prefix);
}

static bool exim_has(enum section section, struct slice name)
{
	return section == SECTION_MAIN ? conf_exim_has_main(name) : kinds[section].exim_has(name);
}

/* Whether it may be an option of the driver that a mistaken name stands for: of that nothing is known. */
static bool may_be_private(enum section section, struct slice name)
{
	struct slice bare = without_negation(name);
	return has_private_option(&kinds[section], bare) || exim_has(section, name) || exim_has(section, bare);
}

static void unknown_option(struct collector *collector, struct slice name)
{
	struct conf_problems *problems = collector->parser->problems;
	const struct conf_block *block = collector->block;
	struct slice label = conf_block_label(collector->parser, block, name);
	struct slice bare = without_negation(name);
	bool exim = exim_has(collector->section, name) || exim_has(collector->section, bare);
	const char *near = conf_option_nearest(name);
	if (bare.len < name.len && conf_block_setting(block, bare))
		conf_error(problems, collector->place, label, "only a boolean option can have no_ or not_ before its name");
	else if (exim)
		conf_error(problems, collector->place, label,
			   "Exim's option %.*s is not available in this version of Postern",
			   SLICE_ARG(exim_has(collector->section, name) ? name : bare));
	else if (near)
		conf_error(problems, collector->place, label, "unknown option; did you mean %s?", near);
	else
		conf_error(problems, collector->place, label, "unknown option; `postern check --reference` lists all");
}

/* An option of the table by its name, or by "no_" or "not_" before the name of a boolean one. */
static struct conf_setting *find_setting(const struct conf_block *block, struct slice name, bool *negated_r)
{
	struct conf_setting *setting = conf_block_setting(block, name);
	*negated_r = false;
	for (int i = 0; !setting && i < 2; i++) {
		struct slice prefix = i ? SLICE("not_") : SLICE("no_");
		if (!slice_starts(name, prefix))
			continue;
		setting = conf_block_setting(block, slice_from(name, prefix.len));
		if (setting && setting->option->type != CONF_BOOL)
			setting = NULL;
		*negated_r = setting != NULL;
	}
	return setting;
}

/* The driver must be known before private options can be; so its effect is at once. */
static void take_driver(struct collector *collector, struct slice value, struct slice label)
{
	struct conf_problems *problems = collector->parser->problems;
	struct conf_block *block = collector->block;
	const struct kind *kind = &kinds[collector->section];
	const struct conf_table *table = driver_table(kind, value);
	struct slice names = driver_names(collector->parser, kind);
	block->driver = arena_copy(&collector->parser->conf->arena, value);
	if (table) {
		add_table(collector->parser->conf, block, table);
		return;
	}
	conf_error(problems, collector->place, label,
		   kind->exim_has_driver(value) ? "Exim's driver %.*s is not available in this version of Postern; there is %.*s"
						: "unknown driver %.*s; expected %.*s",
		   SLICE_ARG(slice_first(value, 64)), SLICE_ARG(names));
}

/* What follows an option's name: "= value", or nothing for a boolean. False after a problem was noted. */
static bool option_text(struct collector *collector, struct conf_setting *setting, bool negated, struct slice rest,
			struct slice label)
{
	struct conf_problems *problems = collector->parser->problems;
	struct arena *arena = &collector->parser->conf->arena;
	struct error error;
	bool value = true;
	if (!rest.len && setting->option->type == CONF_BOOL) {
		setting->text = negated ? SLICE("false") : SLICE("true");
		return true;
	}
	if (!rest.len || rest.data[0] != '=') {
		conf_error(problems, collector->place, label, "expected \"=\" and %s after the name",
			   conf_type_expected(setting->option->type));
		return false;
	}
	rest = slice_trim(slice_from(rest, 1));
	setting->raw = rest;
	struct slice text;
	if (!conf_value_unquote(arena, rest, &text, &error)) {
		conf_error(problems, collector->place, label, "%s", error.text);
		return false;
	}
	if (setting->option->type == CONF_BOOL) {
		if (!conf_value_bool(text, &value, &error)) {
			conf_error(problems, collector->place, label, "%s", error.text);
			return false;
		}
		text = value != negated ? SLICE("true") : SLICE("false");
	}
	setting->text = arena_copy(arena, text);
	return true;
}

static void option_line(struct collector *collector, struct slice line, bool hidden)
{
	struct conf_problems *problems = collector->parser->problems;
	struct conf_block *block = collector->block;
	struct slice name = conf_word(line), rest = slice_trim(slice_from(line, name.len));
	bool negated;
	if (!name.len || (rest.len && rest.data[0] != '=')) {
		conf_error(problems, collector->place, (struct slice){ 0 },
			   "expected the name of an option, and for most \"=\" and a value; "
			   "found \"%.*s\"",
			   SLICE_ARG(slice_first(line, 60)));
		return;
	}
	struct conf_setting *setting = find_setting(block, name, &negated);
	struct slice label = conf_block_label(collector->parser, block, setting ? slice_of(setting->option->name) : name);
	if (!setting) {
		bool mistaken = block->name.len && block->driver.len && !block->tables[1];
		if (block->name.len && !block->driver.len && has_private_option(&kinds[collector->section], name))
			conf_error(problems, collector->place, label,
				   "this is an option of a driver: \"driver = ...\" must come before it");
		else if (!mistaken || !may_be_private(collector->section, name))
			unknown_option(collector, name);
		return;
	}
	if (setting->given) {
		conf_error(problems, collector->place, label, "set for the second time; it was set at %.*s:%u",
			   SLICE_ARG(setting->place.file), setting->place.line);
		return;
	}
	setting->given = true;
	setting->hidden = hidden;
	setting->place = collector->place;
	setting->source = collector->source;
	if (!option_text(collector, setting, negated, rest, label))
		return;
	if (setting->option->modern)
		conf_warning(problems, collector->place, label, "this is an old name; the modern form: %s",
			     setting->option->modern);
	if (block->name.len && slice_equal(name, SLICE("driver")))
		take_driver(collector, setting->text, label);
}

/* "domainlist local = example.org : example.net". True when the line is of this kind. */
static bool list_line(struct collector *collector, struct slice line, bool hidden)
{
	static const struct { const char *word; enum list_kind kind; } words[] = {
		{ "domainlist", LIST_DOMAIN }, { "hostlist", LIST_HOST }, { "addresslist", LIST_ADDRESS },
		{ "localpartlist", LIST_LOCAL_PART },
	};
	struct conf *conf = collector->parser->conf;
	struct conf_problems *problems = collector->parser->problems;
	struct slice first = conf_word(line), rest = slice_trim(slice_from(line, first.len)), name;
	struct error error;
	size_t i = 0;
	struct slice bare = slice_ends_nocase(first, SLICE("_cache")) ? slice_first(first, first.len - 6) : first;
	while (i < 4 && !slice_equal(bare, slice_of(words[i].word)))
		i++;
	if (i == 4)
		return false;
	name = conf_word(rest);
	rest = slice_trim(slice_from(rest, name.len));
	if (!name.len || !rest.len || rest.data[0] != '=') {
		conf_error(problems, collector->place, first,
			   "expected a name of letters, digits and underscores, \"=\", and a list");
		return true;
	}
	for (size_t n = 0; n < conf->list_count; n++)
		if (conf->lists[n].kind == words[i].kind && slice_equal(conf->lists[n].name, name)) {
			conf_error(problems, collector->place, first, "%.*s is already defined at %.*s:%u", SLICE_ARG(name),
				   SLICE_ARG(conf->lists[n].place.file), conf->lists[n].place.line);
			return true;
		}
	if (!conf_value_unquote(&conf->arena, slice_trim(slice_from(rest, 1)), &rest, &error) ||
	    conf->list_count == LISTS_MAX) {
		conf_error(problems, collector->place, first, "%s",
			   conf->list_count == LISTS_MAX ? "too many named lists" : error.text);
		return true;
	}
	conf->lists = arena_grow(&conf->arena, conf->lists, conf->list_count, &conf->list_room, sizeof *conf->lists);
	conf->lists[conf->list_count++] = (struct conf_named_list){
		.kind = words[i].kind, .name = arena_copy(&conf->arena, name), .text = arena_copy(&conf->arena, rest),
		.place = collector->place, .hidden = hidden, .cached = bare.len < first.len,
	};
	return true;
}

static void check_block(struct collector *collector)
{
	const struct conf_block *block = collector->block;
	if (block && block->name.len && !block->driver.len)
		conf_error(collector->parser->problems, block->place,
			   conf_block_label(collector->parser, block, (struct slice){ 0 }),
			   "it has no driver; expected \"driver = %s\" in it", conf_table(kind_of(block)->first)->driver);
}

static void begin_instance(struct collector *collector, struct slice name)
{
	struct conf *conf = collector->parser->conf;
	struct conf_problems *problems = collector->parser->problems;
	const struct kind *kind = &kinds[collector->section];
	struct conf_block *blocks = *blocks_of(conf, kind);
	size_t count = *count_of(conf, kind);
	check_block(collector);
	collector->block = NULL;
	collector->skipping = true;
	if (!ascii_is_alpha(name.data[0]) || count == INSTANCES_MAX) {
		if (count == INSTANCES_MAX)
			conf_error(problems, collector->place, (struct slice){ 0 }, "too many of these");
		else
			conf_error(problems, collector->place, (struct slice){ 0 }, "the name of %s %s begins with a letter", kind->letter,
				   kind->word);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (slice_equal(blocks[i].name, name)) {
			conf_error(problems, collector->place, (struct slice){ 0 }, "there are two %ss called %.*s", kind->word,
				   SLICE_ARG(name));
			return;
		}
	collector->block = add_block(conf, kind);
	collector->block->name = arena_copy(&conf->arena, name);
	collector->block->place = collector->place;
	collector->skipping = false;
	add_table(conf, collector->block, conf_table(kind->generic));
}

static void end_section(struct collector *collector)
{
	if (collector->section != SECTION_MAIN)
		check_block(collector);
	if (collector->section == SECTION_LINES)
		conf_sections_end(&collector->lines);
	collector->block = NULL;
	collector->skipping = false;
}

static void begin_section(struct collector *collector, struct slice name)
{
	struct conf_problems *problems = collector->parser->problems;
	size_t i = 0;
	end_section(collector);
	while (i < SECTIONS && !slice_equal_nocase(name, slice_of(sections[i].name)))
		i++;
	collector->section = i < SECTIONS ? sections[i].section : SECTION_SKIPPED;
	collector->info = i < SECTIONS ? &sections[i] : NULL;
	if (i == SECTIONS) {
		conf_error(problems, collector->place, (struct slice){ 0 },
			   "unknown section \"%.*s\"; expected routers, transports, acl, "
			   "retry, rewrite, authenticators or local_scan",
			   SLICE_ARG(slice_first(name, 60)));
	} else if (collector->seen[i]) {
		conf_error(problems, collector->place, (struct slice){ 0 }, "the section %s is there for the second time",
			   sections[i].name);
		collector->section = SECTION_SKIPPED;
	}
	if (i < SECTIONS)
		collector->seen[i] = true;
}

static void driver_line(struct collector *collector, struct slice line, bool hidden)
{
	struct slice name = conf_word(line), rest = slice_trim(slice_from(line, name.len));
	if (!hidden && name.len && slice_equal(rest, SLICE(":"))) {
		begin_instance(collector, name);
		return;
	}
	if (collector->skipping)
		return;
	if (collector->block)
		option_line(collector, line, hidden);
	else
		conf_error(collector->parser->problems, collector->place, (struct slice){ 0 },
			   "expected a name and a colon, which begin %s %s", kinds[collector->section].letter,
			   kinds[collector->section].word);
}

static void logical_line(struct collector *collector, const struct conf_line *source_line)
{
	struct slice line = source_line->text, first = conf_word(line);
	if (slice_equal_nocase(first, SLICE("begin")) && first.len < line.len && ascii_is_space(line.data[first.len])) {
		begin_section(collector, slice_trim(slice_from(line, first.len)));
		return;
	}
	if (collector->section == SECTION_SKIPPED)
		return;
	if (collector->section == SECTION_LINES) {
		collector->info->take(&collector->lines, &(struct conf_input){ source_line, collector->place });
		return;
	}
	bool hidden = slice_equal(first, SLICE("hide")) && first.len < line.len && ascii_is_space(line.data[first.len]);
	if (hidden)
		line = slice_trim(slice_from(line, first.len));
	if (collector->section != SECTION_MAIN)
		driver_line(collector, line, hidden);
	else if (!list_line(collector, line, hidden))
		option_line(collector, line, hidden);
}

void conf_collect(struct conf_parser *parser)
{
	struct collector collector = {
		.parser = parser, .block = &parser->conf->main_block, .lines = { .parser = parser },
	};
	add_table(parser->conf, &parser->conf->main_block, conf_table(CONF_TABLE_MAIN));
	if (parser->source->file_count)
		parser->conf->main_block.place.file = parser->source->files[0];
	for (size_t i = 0; i < parser->source->line_count; i++) {
		collector.place = conf_source_place(parser->source, &parser->source->lines[i], 0);
		collector.source = &parser->source->lines[i];
		logical_line(&collector, collector.source);
	}
	end_section(&collector);
}
