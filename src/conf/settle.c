/* SPDX-License-Identifier: ISC */
/* Defaults that are computed, and options checked against each other. */
#include "conf/parse.h"
#include "base/id.h"
#include "dns/dns.h"

#include <string.h>

enum { QUEUE_RUNS_MAX = 100, QUEUE_RUN_MAX = 30 * 24 * 3600 /* s */ };

/* A name of labels, or an address in brackets; enough that it can stand in a greeting and a Received: line. */
static bool is_host_name(struct slice name)
{
	if (!name.len || name.len > 253)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.data[i];
		if (!ascii_is_alnum((char)c) && !strchr("-._[]:", c) && c < 128)
			return false;
	}
	return name.data[0] != '.' && name.data[0] != '-';
}

/* Gives an option that is not set (or failed) its computed value, which --print then shows. */
static void set_default(struct conf_parser *parser, const char *name, struct slice *field, struct slice value)
{
	struct conf_setting *setting = conf_main_setting(parser, name);
	if (field->len)
		return;
	*field = arena_copy(&parser->conf->arena, value);
	setting->text = *field;
}

static void settle_host_names(struct conf_parser *parser)
{
	struct conf_main *conf = &parser->conf->main;
	struct error why;
	struct slice node;
	if (!conf->primary_hostname.len) {
		if (!conf_source_fact(parser->source, CONF_FACT_HOSTNAME, (struct slice){ 0 }, &node, &why)) {
			conf_main_error(parser, "primary_hostname", "not set, and the name of this machine is not known: %s",
				   why.text);
			node = SLICE("localhost");
		}
		set_default(parser, "primary_hostname", &conf->primary_hostname, node);
	}
	set_default(parser, "qualify_domain", &conf->qualify_domain, conf->primary_hostname);
	set_default(parser, "qualify_recipient", &conf->qualify_recipient, conf->qualify_domain);
	const struct { const char *name; struct slice value; } names[] = {
		{ "primary_hostname", conf->primary_hostname }, { "qualify_domain", conf->qualify_domain },
		{ "qualify_recipient", conf->qualify_recipient },
	};
	for (size_t i = 0; i < 3; i++)
		if (!is_host_name(names[i].value) && (i == 0 || conf_main_setting(parser, names[i].name)->given))
			conf_main_error(parser, names[i].name, "expected the name of a host or a domain, found \"%.*s\"",
				   SLICE_ARG(slice_first(names[i].value, 100)));
}

static void settle_logs(struct conf_parser *parser)
{
	struct conf_main *conf = &parser->conf->main;
	if (!conf->log_file_path.count) {
		struct slice *path = arena_new(&parser->conf->arena, struct slice);
		*path = arena_printf(&parser->conf->arena, "%.*s/log/%%slog", SLICE_ARG(conf->spool_directory));
		conf->log_file_path = (struct conf_strings){ path, 1 };
		conf_main_setting(parser, "log_file_path")->text = *path;
	}
	size_t paths = 0;
	for (size_t i = 0; i < conf->log_file_path.count; i++) {
		struct slice path = conf->log_file_path.items[i];
		const char *percent = path.len ? memchr(path.data, '%', path.len) : NULL;
		struct slice rest = percent ? slice_from(path, (size_t)(percent - path.data) + 2) : (struct slice){ 0 };
		if (slice_equal(path, SLICE("syslog")))
			continue;
		if (!path.len || path.data[0] != '/' || slice_find(path, '$') != path.len)
			conf_main_error(parser, "log_file_path",
				   "expected an absolute, constant path, or the word syslog; found \"%.*s\"",
				   SLICE_ARG(slice_first(path, 100)));
		else if (percent &&
			 (percent + 1 == path.data + path.len || percent[1] != 's' || slice_find(rest, '%') != rest.len))
			conf_main_error(parser, "log_file_path", "expected %%s once in the path, and no other %%; found \"%.*s\"",
				   SLICE_ARG(slice_first(path, 100)));
		else if (++paths == 2)
			conf_main_error(parser, "log_file_path", "expected one path, beside which there may be syslog");
	}
	static const struct { const char *name; int code;
	} facilities[] = {
		/* RFC 5424 §6.2.1 */
		{ "user", 1 }, { "mail", 2 },    { "daemon", 3 },  { "news", 7 }, { "uucp", 8 },
		{ "local0", 16 }, { "local1", 17 }, { "local2", 18 }, { "local3", 19 }, { "local4", 20 },
		{ "local5", 21 }, { "local6", 22 }, { "local7", 23 },
	};
	for (size_t i = 0; i < sizeof facilities / sizeof *facilities; i++)
		if (slice_equal(conf->syslog_facility, slice_of(facilities[i].name)))
			conf->syslog_facility_code = facilities[i].code;
}

static void add_listener(struct conf_parser *parser, struct net_address address)
{
	struct conf *conf = parser->conf;
	for (size_t i = 0; i < conf->listener_count; i++)
		if (net_address_equal(&conf->listeners[i].address, &address) &&
		    conf->listeners[i].address.port == address.port) {
			conf_main_error(parser, "local_interfaces", "%s is there twice", net_address_text_port(&address).text);
			return;
		}
	if (conf->listener_count == CONF_LISTENERS_MAX) {
		bool given = conf_main_setting(parser, "local_interfaces")->given;
		conf_main_error(parser, given ? "local_interfaces" : "daemon_smtp_ports", "more than %d addresses and ports to listen on",
				CONF_LISTENERS_MAX);
		return;
	}
	conf->listeners[conf->listener_count++] = (struct conf_listener){
		address, conf_ports_have(&conf->main.tls_on_connect_ports, address.port),
	};
}

/* What is twice among the listeners after this is an address. */
static struct conf_ports ports_once(struct conf_parser *parser)
{
	const struct conf_ports *all = &parser->conf->main.daemon_smtp_ports;
	uint16_t *items = arena_array(&parser->conf->arena, all->count + 1, sizeof *items);
	struct conf_ports once = { items, 0 };
	for (size_t i = 0; i < all->count; i++) {
		if (conf_ports_have(&once, all->items[i]))
			conf_main_error(parser, "daemon_smtp_ports", "port %u is there twice", all->items[i]);
		else
			items[once.count++] = all->items[i];
	}
	return once;
}

/* Exim's manual, chapter 13 §4: an address without a port listens on each of daemon_smtp_ports. */
static void settle_listeners(struct conf_parser *parser)
{
	struct conf *conf = parser->conf;
	const struct conf_main *main = &conf->main;
	const struct conf_ports ports = ports_once(parser);
	conf->listeners = arena_array(&conf->arena, CONF_LISTENERS_MAX, sizeof *conf->listeners);
	for (size_t i = 0; i < main->local_interfaces.count; i++) {
		struct net_address address = main->local_interfaces.items[i];
		if (address.port)
			add_listener(parser, address);
		for (size_t p = 0; !address.port && p < ports.count; p++) {
			struct net_address with_port = address;
			with_port.port = ports.items[p];
			add_listener(parser, with_port);
		}
	}
	for (size_t i = 0; i < main->tls_on_connect_ports.count; i++) {
		bool used = false;
		for (size_t n = 0; n < conf->listener_count; n++)
			used = used || conf->listeners[n].address.port == main->tls_on_connect_ports.items[i];
		if (!used && conf->listener_count)
			conf_main_warning(parser, "tls_on_connect_ports", "nothing listens on port %u; it must be in daemon_smtp_ports or local_interfaces as well",
					  main->tls_on_connect_ports.items[i]);
	}
}

/* The text is a fact of the source; only where files can be read is it tried as well. */
static void settle_dns(struct conf_parser *parser)
{
	struct conf_main *conf = &parser->conf->main;
	struct error why = { 0 };
	struct slice text;
	if (!conf->dns_config_file.len)
		return;
	if (!conf_source_fact(parser->source, CONF_FACT_FILE, conf->dns_config_file, &text, &why)) {
		conf_main_error(parser, "dns_config_file", "%s", why.text);
		return;
	}
	conf->dns_config_text = arena_copy(&parser->conf->arena, text.len ? text : SLICE("\n"));
	struct dns_settings settings = { .config_text = conf->dns_config_text, .dnssec = conf->dns_dnssec_ok != 0 };
	if (parser->source->system && !dns_check(&settings, &why))
		conf_main_error(parser, "dns_config_file", "%.*s: %s", SLICE_ARG(conf->dns_config_file), why.text);
}

static void settle_host_lookup(struct conf_parser *parser)
{
	struct conf_main *conf = &parser->conf->main;
	struct lookup_name_order *order = &conf->name_order;
	for (size_t i = 0; i < conf->host_lookup_order.count; i++) {
		struct slice item = conf->host_lookup_order.items[i];
		bool dns = slice_equal(item, SLICE("bydns")), file = slice_equal(item, SLICE("byaddr"));
		if ((dns || file) && order->count < 2)
			order->items[order->count++] = dns ? LOOKUP_NAME_BY_DNS : LOOKUP_NAME_BY_HOSTS_FILE;
		else
			conf_main_error(parser, "host_lookup_order", "expected bydns, byaddr, or both, found \"%.*s\"",
				   SLICE_ARG(slice_first(item, 100)));
	}
}

/* What becomes the name of a file must not lead elsewhere. */
static void settle_pam(struct conf_parser *parser)
{
	struct slice service = parser->conf->main.pam_service;
	bool path = service.len && service.data[0] == '/', good = service.len && service.len < 1000;
	for (size_t i = 0; good && i < service.len; i++)
		good = ascii_is_alnum(service.data[i]) || slice_find(SLICE("._-@+"), service.data[i]) < 5 || (path && service.data[i] == '/');
	if (!good || service.data[service.len - 1] == '/' || slice_equal(slice_first(service, 1), SLICE(".")))
		conf_main_error(parser, "pam_service", "expected the name of a service, such as postern, or the absolute path of its file");
}

/* "10 / 1h": a number of failures, and a time (as ratelimit has it). */
static void settle_users(struct conf_parser *parser)
{
	struct conf_main *conf = &parser->conf->main;
	struct slice text = slice_trim(conf->auth_fail_limit);
	struct error why = { 0 };
	uint64_t count;
	int64_t seconds = 0;
	conf_use_path(parser->conf, conf->user_database);
	if (text.len == 0)
		return;
	struct slice number = slice_trim(slice_cut(&text, '/'));
	if (slice_parse_u64(number, FAILURES_LIMIT_MAX, &count) && count && conf_value_time(slice_trim(text), &seconds, &why) &&
	    seconds && seconds <= FAILURES_PERIOD_MAX)
		conf->auth_limit = (struct failures_limit){ (unsigned)count, seconds * CLOCK_SECOND };
	else
		conf_main_error(parser, "auth_fail_limit", "expected a number of failures up to %d and a time up to %d days, such as 10 / 1h",
			   FAILURES_LIMIT_MAX, FAILURES_PERIOD_MAX / 86400);
}

static bool add_queue_run(struct conf_main *conf, struct slice name, int64_t interval)
{
	for (size_t i = 0; i < conf->queue_run_count; i++)
		if (slice_equal(conf->queue_runs[i].name, name))
			return false;
	conf->queue_runs[conf->queue_run_count++] = (struct conf_queue_run){ name, interval };
	return true;
}

/* "bulk/10m", Exim's -qGbulk/10m. */
static void settle_queue_runs(struct conf_parser *parser)
{
	struct conf_main *conf = &parser->conf->main;
	struct error why = { 0 };
	conf->queue_runs = arena_array(&parser->conf->arena, QUEUE_RUNS_MAX + 1, sizeof *conf->queue_runs);
	if (conf->queue_run_interval)
		add_queue_run(conf, (struct slice){ 0 }, conf->queue_run_interval);
	if (conf->queue_run_named.count > QUEUE_RUNS_MAX) {
		conf_main_error(parser, "queue_run_named", "more than %d queues", QUEUE_RUNS_MAX);
		return;
	}
	for (size_t i = 0; i < conf->queue_run_named.count; i++) {
		struct slice item = conf->queue_run_named.items[i], rest = item, name = slice_trim(slice_cut(&rest, '/'));
		int64_t seconds = 0;
		if (!queue_name_valid(name) || !conf_value_time(slice_trim(rest), &seconds, &why) || seconds <= 0 || seconds > QUEUE_RUN_MAX)
			conf_main_error(parser, "queue_run_named", "expected the name of a queue, a slash and a time up to %d days, such as bulk/10m; "
				   "found \"%.*s\"", QUEUE_RUN_MAX / 86400, SLICE_ARG(slice_first(item, 100)));
		else if (!add_queue_run(conf, name, seconds * CLOCK_SECOND))
			conf_main_error(parser, "queue_run_named", "the queue \"%.*s\" is there twice", SLICE_ARG(name));
	}
}

/* A header of the PROXY protocol is believed: whoever may send one may be anybody. */
static void settle_proxies(struct conf_parser *parser)
{
	static const char *const names[] = { "hosts_proxy", "proxy_required_hosts" };
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (slice_equal(slice_trim(conf_main_setting(parser, names[i])->text), SLICE("*")))
			conf_main_warning(parser, names[i], "every host can claim to be any client; list the addresses of your proxies");
	}
}

static void settle_role_users(struct conf_parser *parser)
{
	struct slice users = parser->conf->main.role_users;
	size_t marks = 0;
	bool good = users.len > 2;
	for (size_t i = 0; i < users.len; i++) {
		char c = users.data[i];
		bool mark = c == '%' && i + 1 < users.len && users.data[i + 1] == 's';
		marks += mark;
		good = good && (mark || ascii_is_alnum(c) || c == '-' || c == '_' || c == '.');
	}
	if (!good || marks != 1 || users.len > 64)
		conf_main_error(parser, "role_users", "expected the name of a user with one %%s in it, such as postern-%%s");
}

void conf_settle_names(struct conf_parser *parser)
{
	struct slice root;
	struct error why;
	parser->conf->root = conf_source_fact(parser->source, CONF_FACT_ROOT, (struct slice){ 0 }, &root, &why) &&
			     slice_equal(root, SLICE("1"));
	settle_host_names(parser);
	settle_logs(parser);
	settle_dns(parser);
	settle_host_lookup(parser);
	settle_proxies(parser);
	conf_use_path(parser->conf, parser->conf->main.sqlite_dbfile);
	settle_users(parser);
	settle_pam(parser);
	settle_role_users(parser);
	settle_queue_runs(parser);
}

/* What is kept for some hosts is taken from all others. */
static void settle_reserve(struct conf_parser *parser)
{
	const struct conf_main *conf = &parser->conf->main;
	if (!conf->smtp_accept_max || conf->smtp_accept_reserve < conf->smtp_accept_max)
		return;
	if (conf->smtp_accept_reserve > conf->smtp_accept_max)
		conf_main_error(parser, "smtp_accept_reserve", "%lld connections cannot be kept of the %lld of smtp_accept_max",
				(long long)conf->smtp_accept_reserve, (long long)conf->smtp_accept_max);
	else
		conf_main_warning(parser, "smtp_accept_reserve", "all connections of smtp_accept_max are kept for smtp_reserve_hosts: other hosts can never connect");
}

void conf_settle(struct conf_parser *parser)
{
	settle_reserve(parser);
	conf_settle_tls(parser);
	settle_listeners(parser);
	conf_settle_routes(parser);
	conf_settle_authenticators(parser);
	conf_settle_rules(parser);
	conf_settle_acls(parser);
}
