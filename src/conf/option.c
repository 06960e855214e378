/* SPDX-License-Identifier: ISC */
#include "conf/conf.h"

#include "base/fatal.h"
#include "conf/tables.h"

#include <string.h>

static const struct { const char *name, *expected; } types[CONF_TYPES] = {
	[CONF_BOOL] = { "boolean", "yes or no" },
	[CONF_INTEGER] = { "integer", "a number" },
	[CONF_EXPANDED_INTEGER] = { "integer, expanded", "a number, or an expansion that gives one" },
	[CONF_OCTAL] = { "octal integer", "an octal number, such as 0700" },
	[CONF_TIME] = { "time", "a time, such as 5m" },
	[CONF_STRING] = { "string", "a text" },
	[CONF_PATH] = { "absolute path", "an absolute path" },
	[CONF_CHOICE] = { "choice", "one of the words that the manual lists" },
	[CONF_STRINGS] = { "string list", "a list" },
	[CONF_PORTS] = { "port list", "a list of ports" },
	[CONF_INTERFACES] = { "interface list", "a list of addresses" },
	[CONF_EXPANDED] = { "string, expanded", "a text" },
	[CONF_ACL] = { "ACL, expanded", "the name of an ACL, or its text" },
	[CONF_HOSTS] = { "host list", "a list of hosts" },
	[CONF_DOMAINS] = { "domain list", "a list of domains" },
	[CONF_ADDRESSES] = { "address list", "a list of addresses" },
	[CONF_LOCAL_PARTS] = { "local part list", "a list of local parts" },
	[CONF_NAME] = { "name", "a name" },
	[CONF_USER] = { "user", "a user's name or number" },
	[CONF_GROUP] = { "group", "a group's name or number" },
};

const char *conf_type_name(enum conf_type type)
{
	return types[type].name;
}

const char *conf_type_expected(enum conf_type type)
{
	return types[type].expected;
}

const struct conf_table *conf_table(enum conf_table_id id)
{
	static const struct conf_table *const tables[CONF_TABLES] = {
		[CONF_TABLE_MAIN] = &conf_table_main,
		[CONF_TABLE_ROUTER] = &conf_table_router,
		[CONF_TABLE_ROUTER_ACCEPT] = &conf_table_router_accept,
		[CONF_TABLE_TRANSPORT] = &conf_table_transport,
		[CONF_TABLE_TRANSPORT_APPENDFILE] = &conf_table_transport_appendfile,
		[CONF_TABLE_AUTHENTICATOR] = &conf_table_authenticator,
		[CONF_TABLE_PLAINTEXT] = &conf_table_plaintext,
		[CONF_TABLE_CRAM_MD5] = &conf_table_cram_md5,
		[CONF_TABLE_SCRAM] = &conf_table_scram,
		[CONF_TABLE_EXTERNAL] = &conf_table_external,
		[CONF_TABLE_TLS_AUTHENTICATOR] = &conf_table_tls_authenticator,
	};
	ensure(id < CONF_TABLES);
	return tables[id];
}

const struct conf_option *conf_option_find(const struct conf_table *table, struct slice name)
{
	for (size_t i = 0; i < table->count; i++)
		if (slice_equal(slice_of(table->options[i].name), name))
			return &table->options[i];
	return NULL;
}

const char *conf_option_nearest(struct slice name)
{
	const char *nearest = NULL;
	size_t best = name.len < 6 ? 2 : name.len / 3 + 1; /* further away than this is another name, not a mistyped one */
	for (enum conf_table_id id = 0; id < CONF_TABLES; id++)
		for (size_t i = 0; i < conf_table(id)->count; i++) {
			const char *candidate = conf_table(id)->options[i].name;
			size_t distance = slice_edit_distance(name, slice_of(candidate));
			if (distance < best) {
				best = distance;
				nearest = candidate;
			}
		}
	return nearest;
}

static bool table_has(enum conf_table_id id, struct slice name)
{
	for (size_t i = 0; i < conf_table(id)->count; i++)
		if (slice_equal_nocase(slice_of(conf_table(id)->options[i].name), name))
			return true;
	return false;
}

bool conf_builtin_macro(struct slice name)
{
	static const struct { const char *prefix; enum conf_table_id table; bool driver; } kinds[] = {
		{ "_OPT_MAIN_", CONF_TABLE_MAIN, false },
		{ "_OPT_ROUTERS_", CONF_TABLE_ROUTER, false },
		{ "_OPT_TRANSPORTS_", CONF_TABLE_TRANSPORT, false },
		{ "_OPT_ROUTER_ACCEPT_", CONF_TABLE_ROUTER_ACCEPT, false },
		{ "_OPT_TRANSPORT_APPENDFILE_", CONF_TABLE_TRANSPORT_APPENDFILE, false },
		{ "_DRIVER_ROUTER_", CONF_TABLE_ROUTER_ACCEPT, true },
		{ "_DRIVER_TRANSPORT_", CONF_TABLE_TRANSPORT_APPENDFILE, true },
		{ "_OPT_AUTHENTICATORS_", CONF_TABLE_AUTHENTICATOR, false },
		{ "_OPT_AUTHENTICATOR_PLAINTEXT_", CONF_TABLE_PLAINTEXT, false },
		{ "_OPT_AUTHENTICATOR_CRAM_MD5_", CONF_TABLE_CRAM_MD5, false },
		{ "_OPT_AUTHENTICATOR_EXTERNAL_", CONF_TABLE_EXTERNAL, false },
		{ "_OPT_AUTHENTICATOR_TLS_", CONF_TABLE_TLS_AUTHENTICATOR, false },
		{ "_DRIVER_AUTHENTICATOR_", CONF_TABLE_PLAINTEXT, true },
		{ "_DRIVER_AUTHENTICATOR_", CONF_TABLE_CRAM_MD5, true },
		{ "_DRIVER_AUTHENTICATOR_", CONF_TABLE_EXTERNAL, true },
		{ "_DRIVER_AUTHENTICATOR_", CONF_TABLE_TLS_AUTHENTICATOR, true },
	};
	static const char *const have[] = { "_HAVE_TLS", "_HAVE_OPENSSL", "_HAVE_IPV6", "_HAVE_POSTERN" };
	for (size_t i = 0; i < sizeof have / sizeof *have; i++)
		if (slice_equal(name, slice_of(have[i])))
			return true;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct slice prefix = slice_of(kinds[i].prefix), rest = slice_from(name, prefix.len);
		if (!slice_starts(name, prefix))
			continue;
		if (kinds[i].driver ? slice_equal_nocase(rest, slice_of(conf_table(kinds[i].table)->driver)) :
				      table_has(kinds[i].table, rest))
			return true;
	}
	return false;
}

const char *conf_hosts_option(const struct conf_main *main, const struct list *list)
{
	const struct conf_table *table = conf_table(CONF_TABLE_MAIN);
	for (size_t i = 0; i < table->count; i++) {
		const struct list *value = NULL;
		if (table->options[i].type != CONF_HOSTS)
			continue;
		memcpy(&value, (const char *)main + table->options[i].offset, sizeof value);
		if (value == list)
			return table->options[i].name;
	}
	return "a host list";
}
