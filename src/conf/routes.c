/* SPDX-License-Identifier: ISC */
/* Routers and transports: settings into their structs, references between them, and the users that deliveries run as. */
#include "conf/parse.h"

/* "UID GID HOME" of a user, or "GID" of a group. A number that nobody has stands for itself. */
static bool resolve(struct conf_parser *parser, enum conf_fact_kind kind, struct slice name, uint32_t *first_r,
		    uint32_t *second_r, struct error *error)
{
	uint64_t number, first, second;
	struct slice fact;
	bool numeric = slice_parse_u64(name, UINT32_MAX - 1, &number);
	if (numeric && kind == CONF_FACT_GROUP) {
		*first_r = (uint32_t)number;
		return true;
	}
	if (!conf_source_fact(parser->source, kind, name, &fact, error)) {
		if (numeric)
			*first_r = *second_r = (uint32_t)number;
		return numeric;
	}
	if (!slice_parse_u64(slice_cut(&fact, ' '), UINT32_MAX - 1, &first))
		return error_set(error, ERROR_USAGE, "it has no usable number");
	*first_r = (uint32_t)first;
	if (kind != CONF_FACT_USER)
		return true;
	if (!slice_parse_u64(slice_cut(&fact, ' '), UINT32_MAX - 1, &second))
		return error_set(error, ERROR_USAGE, "it has no usable group number");
	*second_r = (uint32_t)second;
	return true;
}

static void settle_user(struct conf_parser *parser, const struct conf_block *block, struct transport *transport)
{
	struct error error;
	uint32_t uid = 0, gid = 0, unused;
	if (transport->user.len) {
		if (!resolve(parser, CONF_FACT_USER, transport->user, &uid, &gid, &error)) {
			conf_block_error(parser, block, "user", "%s", error.text);
			return;
		}
		if (uid == 0)
			conf_block_error(parser, block, "user", "deliveries never run as root; expected another user");
		transport->has_user = transport->has_group = true;
		transport->uid = uid;
		transport->gid = gid;
	}
	if (transport->group.len) {
		if (!transport->user.len)
			conf_block_error(parser, block, "group", "a group needs the option user beside it");
		if (!resolve(parser, CONF_FACT_GROUP, transport->group, &gid, &unused, &error))
			conf_block_error(parser, block, "group", "%s", error.text);
		transport->has_group = true;
		transport->gid = gid;
	}
}

static void settle_transport(struct conf_parser *parser, const struct conf_block *block, struct transport *transport)
{
	transport->name = block->name;
	transport->driver = TRANSPORT_APPENDFILE; /* the only one; others were refused when their name was read */
	conf_convert_block(parser, block, transport, false);
	conf_convert_block(parser, block, transport, true);
	settle_user(parser, block, transport);
	/* The mistake in its driver is told already. */
	if (!block->tables[1])
		return;
	const struct conf_setting *directory = conf_block_setting(block, SLICE("directory"));
	if (!directory->given)
		conf_block_error(parser, block, "directory",
			    "not set; expected a directory, such as /var/mail/$domain_data/$local_part_data");
	else if (transport->directory && !slice_starts(expand_constant_prefix(transport->directory), SLICE("/")) &&
		 !expand_uses(transport->directory, EXPAND_HOME))
		conf_block_error(parser, block, "directory",
			    "expected an absolute path, one that begins with \"/\" or with $home");
	if (!transport->maildir_format)
		conf_block_error(parser, block, "maildir_format",
			    "expected maildir_format to be set: this version of Postern has no other "
			    "format");
}

static void settle_router(struct conf_parser *parser, const struct conf_block *block, struct router *router)
{
	struct conf *conf = parser->conf;
	const struct conf_setting *setting = conf_block_setting(block, SLICE("transport"));
	router->name = block->name;
	router->driver = router_driver_find(block->driver);
	conf_convert_block(parser, block, router, false);
	conf_convert_block(parser, block, router, true);
	struct conf_setting *retry = conf_block_setting(block, SLICE("retry_use_local_part"));
	if (!retry->given) {
		router->retry_use_local_part = router->check_local_user;
		retry->text = router->check_local_user ? SLICE("true") : SLICE("false");
	}
	if (!setting->given) {
		/* Whether a driver that is not known needs one is not known either. */
		if (block->tables[1])
			conf_block_error(parser, block, "transport", "not set; expected the name of a transport");
		return;
	}
	for (size_t i = 0; i < conf->transport_count; i++) {
		const struct transport *transport = &conf->transports[i];
		if (!slice_equal(transport->name, setting->text))
			continue;
		router->transport = transport;
		if (conf->root && !transport->user.len && !router->check_local_user && conf->transport_blocks[i].tables[1])
			conf_block_error(parser, block, "transport",
				    "its transport %.*s has no user: started as root, deliveries need one "
				    "there, or check_local_user here",
				    SLICE_ARG(transport->name));
		return;
	}
	conf_block_error(parser, block, "transport", "there is no transport called %.*s",
		    SLICE_ARG(slice_first(setting->text, 64)));
}

/*
 * Where the relay options decide, a list says whose a domain is only by what names it (role/session_message.c). Whoever wrote "*" may
 * have meant more.
 */
static void warn_of_lists(struct conf_parser *parser)
{
	const struct conf *conf = parser->conf;
	const struct conf_named_list *named[] = { conf->local_domains, conf->relay_to_domains };
	if (conf_main_setting(parser, "acl_smtp_rcpt")->given)
		return;
	for (size_t i = 0; i < conf->router_count; i++) {
		const struct conf_block *block = &conf->router_blocks[i];
		const struct list *domains = conf->routers[i].domains;
		if (domains && list_width(domains) & (LIST_WIDE_ITEM | LIST_WIDE_EXCEPTED))
			conf_warning(parser->problems, conf_block_setting(block, SLICE("domains"))->place, conf_block_label(parser, block, SLICE("domains")),
				     "domains that are taken by an item for any domain, or by one behind a negated item, are not ours: mail for them is "
				     "accepted only of hosts that may relay; name ours in \"domainlist local_domains\", or set acl_smtp_rcpt");
	}
	for (size_t i = 0; i < sizeof named / sizeof *named; i++)
		if (named[i] && named[i]->list && list_width(named[i]->list) & (LIST_WIDE_ITEM | LIST_WIDE_END))
			conf_warning(parser->problems, named[i]->place, arena_printf(&parser->conf->arena, "domainlist %.*s", SLICE_ARG(named[i]->name)),
				     "domains that it takes without naming them, by an item for any domain or by a negated one at its end, are not ours: "
				     "mail for them is accepted only of hosts that may relay; set acl_smtp_rcpt to accept it");
}

void conf_settle_routes(struct conf_parser *parser)
{
	struct conf *conf = parser->conf;
	if (conf->transport_count)
		conf->transports = arena_array(&conf->arena, conf->transport_count, sizeof *conf->transports);
	if (conf->router_count)
		conf->routers = arena_array(&conf->arena, conf->router_count, sizeof *conf->routers);
	for (size_t i = 0; i < conf->transport_count; i++) {
		settle_transport(parser, &conf->transport_blocks[i], &conf->transports[i]);
		conf->transports[i].next = i + 1 < conf->transport_count ? &conf->transports[i + 1] : NULL;
	}
	for (size_t i = 0; i < conf->router_count; i++) {
		settle_router(parser, &conf->router_blocks[i], &conf->routers[i]);
		conf->routers[i].next = i + 1 < conf->router_count ? &conf->routers[i + 1] : NULL;
	}
	warn_of_lists(parser);
}
