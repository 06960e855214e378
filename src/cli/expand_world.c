/* SPDX-License-Identifier: ISC */
#include "cli/expand_world.h"

#include "dns/dns.h"
#include "mail/charset.h"

static bool open_lookups(struct expand_world *world, struct error *error)
{
	const struct conf_main *main = &world->conf->main;
	struct dns_settings dns = {
		.config_text = main->dns_config_text,
		.dnssec = main->dns_dnssec_ok != 0,
		.retransmit = main->dns_retrans,
		.retries = (unsigned)main->dns_retry,
	};
	dns_settings_read(&dns, &world->arena);
	world->dns = dns_open(world->loop, &dns, error);
	if (!world->dns)
		return false;
	world->commands.environment = lookup_command_environment(&world->arena);
	struct lookup_settings settings = {
		.dns = world->dns,
		.sqlite_dbfile = main->sqlite_dbfile,
		.pgsql_servers = main->pgsql_servers,
		.redis_servers = main->redis_servers,
		.commands = &world->commands,
		.pam_service = main->pam_service,
		.dns_again_means_nonexist = main->dns_again_means_nonexist,
		.dns_ipv4_lookup = main->dns_ipv4_lookup,
		.constants = world->conf->list_scope.constants,
		.name_order = main->name_order,
	};
	world->lookups = lookup_open(world->loop, &settings, error);
	return world->lookups != NULL;
}

static enum expand_result ask_lookups(void *owner, const struct expand_request *request, struct arena *arena,
				      struct expand_answer *answer_r, struct error *error)
{
	struct expand_world *world = owner;
	if (!world->lookups && !open_lookups(world, error))
		return EXPAND_FAIL;
	return lookup_ask(world->lookups, request, arena, answer_r, error);
}

enum expand_result expand_world_ask(struct expand_world *world, const struct expand_request *request, struct arena *arena,
				    struct expand_answer *answer_r, struct error *error)
{
	return lookup_cache_ask(world->cache, ask_lookups, world, request, arena, answer_r, error);
}

void expand_world_begin(struct expand_world *world, struct arena *arena)
{
	world->cache = lookup_cache_new(arena);
}

static const struct list *find_named(void *owner, enum list_kind kind, struct slice name)
{
	const struct expand_world *world = owner;
	return world->conf->list_scope.named(world->conf->list_scope.owner, kind, name);
}

/* A role could not do so: it has no files. */
static bool read_items(void *owner, struct slice path, struct slice *text_r, struct error *error)
{
	const struct expand_world *world = owner;
	return conf_source_fact(world->source, CONF_FACT_FILE, path, text_r, error);
}

void expand_world_open(struct expand_world *world, struct loop *loop, const struct conf *conf, struct conf_source *source)
{
	*world = (struct expand_world){
		.loop = loop, .conf = conf, .source = source, .scope = conf->list_scope, .language = conf->language,
	};
	arena_init(&world->arena, 0);
	world->scope.owner = world;
	world->scope.named = find_named;
	world->scope.read_file = read_items;
	world->scope.forms = NULL; /* the lists of an expression do not outlive it */
	world->language.lists = &world->scope;
	world->language.charsets = charset_open_all(conf->main.headers_charset);
}

void expand_world_close(struct expand_world *world)
{
	lookup_close(&world->lookups);
	dns_close(&world->dns);
	charset_close_all(&world->language.charsets);
	arena_free(&world->arena);
}
