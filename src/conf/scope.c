/* SPDX-License-Identifier: ISC */
/* What lists may refer to while they are compiled: named lists (in any order, but not in a circle), files, this host. */
#include "conf/parse.h"

/* Variables whose value is known when the configuration is loaded. */
static struct expand_value constant(void *owner, enum expand_variable variable)
{
	struct slice text = { 0 };
	conf_variable(owner, variable, &text);
	return (struct expand_value){ .text = text, .tainted = false };
}

static void compile_named(struct conf_parser *parser, struct conf_named_list *list)
{
	static const char *const words[LIST_KINDS] = {
		[LIST_HOST] = "hostlist", [LIST_DOMAIN] = "domainlist", [LIST_ADDRESS] = "addresslist",
		[LIST_LOCAL_PART] = "localpartlist", [LIST_STRING] = "list",
	};
	struct error error;
	struct list_scope scope = parser->scope;
	scope.cached = list->cached;
	list->compiling = true;
	parser->list_depth++;
	bool done = list_compile(&parser->conf->arena, list->kind, list->text, &scope, &list->list, &error);
	parser->list_depth--;
	list->compiling = false;
	list->compiled = true;
	if (done)
		return;
	list->list = NULL;
	conf_error(parser->problems, list->place,
		   arena_printf(&parser->problems->arena, "%s %.*s", words[list->kind], SLICE_ARG(list->name)), "%s",
		   error.text);
}

static struct conf_named_list *find(struct conf *conf, enum list_kind kind, struct slice name)
{
	for (size_t i = 0; i < conf->list_count; i++)
		if (conf->lists[i].kind == kind && slice_equal(conf->lists[i].name, name))
			return &conf->lists[i];
	return NULL;
}

/* While parsing, a list is compiled when it is first named; later all are. */
static const struct list *find_named(void *owner, enum list_kind kind, struct slice name)
{
	struct conf *conf = owner;
	struct conf_parser *parser = conf->parser;
	struct conf_named_list *list = find(conf, kind, name);
	if (!list)
		return NULL;
	if (parser && (list->compiling || parser->list_depth > LIST_MAX_DEPTH))
		conf_error(parser->problems, list->place, (struct slice){ 0 }, list->compiling ?
			   "the named list %.*s refers to itself, directly or through others" :
			   "the named list %.*s stands behind too many others", SLICE_ARG(name));
	else if (parser && !list->compiled)
		compile_named(parser, list);
	return list->list;
}

/* The text of a named list as it was written; `letter`: a, d, h or l, or 0 for any kind. */
static bool named_text(void *owner, char letter, struct slice name, struct slice *text_r)
{
	static const char letters[LIST_KINDS] = { [LIST_HOST] = 'h', [LIST_DOMAIN] = 'd', [LIST_ADDRESS] = 'a', [LIST_LOCAL_PART] = 'l' };
	const struct conf *conf = owner;
	for (size_t i = 0; i < conf->list_count; i++) {
		const struct conf_named_list *list = &conf->lists[i];
		if ((letter && letter != letters[list->kind]) || !slice_equal(list->name, name))
			continue;
		*text_r = list->text;
		return true;
	}
	return false;
}

/* What is compiled while the server runs opens no new directories, and allows no other commands, nor PAM. */
static void note_path(void *owner, struct slice prefix, enum expand_service service)
{
	struct conf *conf = owner;
	if (conf->parser && service == EXPAND_SERVICE_PAM)
		conf->uses_pam = true;
	else if (conf->parser)
		conf_use_path(conf, prefix);
}

static void note_command(void *owner, size_t number, struct slice prefix, bool whole)
{
	struct conf *conf = owner;
	if (conf->parser)
		conf_use_command(conf, number, prefix, whole);
}

/* The system's users are read from files below /etc; name services that are libraries do not work inside of the lookup role's walls. */
static void note_search(void *owner, struct slice type)
{
	struct conf *conf = owner;
	if (conf->parser && slice_equal(type, SLICE("passwd")))
		conf_use_path(conf, SLICE("/etc/passwd"));
}

static bool read_items(void *owner, struct slice path, struct slice *text_r, struct error *error)
{
	const struct conf *conf = owner;
	if (!conf->parser)
		return error_set(error, ERROR_USAGE, "a file of items can only be named by a list of the configuration itself");
	return conf_source_fact(conf->parser->source, CONF_FACT_FILE, path, text_r, error);
}

/* For "@[]": the addresses of local_interfaces, or those of all interfaces when it names all. */
static void find_interfaces(struct conf_parser *parser)
{
	const struct conf_interfaces *configured = &parser->conf->main.local_interfaces;
	bool all = configured->count == 0;
	struct slice fact = { 0 };
	struct error why;
	for (size_t i = 0; i < configured->count; i++)
		all = all || net_address_is_any(&configured->items[i]);
	parser->scope.interfaces = configured->items;
	parser->scope.interface_count = configured->count;
	if (!all || !conf_source_fact(parser->source, CONF_FACT_ADDRESSES, (struct slice){ 0 }, &fact, &why))
		return;
	struct net_address *addresses = arena_array(&parser->conf->arena, fact.len + 1, sizeof *addresses);
	size_t count = 0;
	while (fact.len)
		if (net_address_parse(slice_cut(&fact, ' '), &addresses[count]))
			count++;
	parser->scope.interfaces = addresses;
	parser->scope.interface_count = count;
}

void conf_compile_lists(struct conf_parser *parser)
{
	struct conf *conf = parser->conf;
	struct expand_context *constants = arena_new(&conf->arena, struct expand_context);
	*constants = (struct expand_context){ .variable = constant, .owner = conf };
	conf->language.owner = conf;
	conf->language.list_text = named_text;
	conf->language.uses_path = note_path;
	conf->language.uses_command = note_command;
	conf->language.uses_search = note_search;
	list_language_init(&conf->language, &conf->list_scope);
	parser->scope = (struct list_scope){
		.owner = conf,
		.named = find_named,
		.read_file = read_items,
		.primary_hostname = conf->main.primary_hostname,
		.constants = constants,
		.language = &conf->language,
		.place = EXPAND_PLACE_DELIVERY,
		.forms = &conf->list_forms,
		.hosts_treat_as_local = &conf->main.hosts_treat_as_local,
	};
	find_interfaces(parser);
	conf->list_scope = parser->scope;
	for (size_t i = 0; i < conf->list_count; i++)
		if (!conf->lists[i].compiled)
			compile_named(parser, &conf->lists[i]);
	conf->local_domains = find(conf, LIST_DOMAIN, SLICE("local_domains"));
	conf->relay_to_domains = find(conf, LIST_DOMAIN, SLICE("relay_to_domains"));
}
