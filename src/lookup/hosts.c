/* SPDX-License-Identifier: ISC */
/*
 * Names of hosts from their addresses, and addresses from their names (Exim's manual, chapter 14: host_lookup, host_lookup_order,
 * dns_ipv4_lookup). A name counts only when it leads back to the address: whoever owns the reverse zone can write any name there.
 */
#include "dns/hosts_file.h"
#include "dns/name.h"
#include "lookup/names.h"
#include "match/list.h"

enum { NAMES_MAX = 16 /* of one address: each is a question or two */, ADDRESSES_MAX = 64 };

struct names {
	struct slice items[NAMES_MAX];
	size_t count;
	bool secure;
};

/* The lists of the DNS' own options: what they would have to ask for does not match. */
static bool domain_in(const struct list *list, struct slice name, struct arena *arena)
{
	struct list_subject subject = { .domain = name };
	struct list_match match;
	struct error error;
	return list && list_match(list, &subject, NULL, arena, &match, &error) == EXPAND_OK && match.yes;
}

void lookup_dns(struct lookup_world *world, struct slice name, unsigned type, int64_t deadline, struct arena *arena,
		struct dns_answer *answer_r)
{
	if (!world->settings.dns) {
		*answer_r = (struct dns_answer){ .outcome = DNS_TEMPORARY, .canonical = name, .why = SLICE("there is no DNS here") };
		return;
	}
	dns_query(world->settings.dns, name, type, deadline, arena, answer_r);
	if (answer_r->outcome == DNS_TEMPORARY && domain_in(world->settings.dns_again_means_nonexist, name, arena))
		answer_r->outcome = DNS_NO_NAME;
}

/* ---- Address to names ---- */

/* RFC 952 and 1123 §2.1, and the underscore that is in use. Whatever else a zone says goes neither into a log nor into a header. */
static bool is_host_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.data[i]) && !strchr("-_.", name.data[i]))
			return false;
	return name.len > 0 && ascii_is_alnum(name.data[0]);
}

/* False: a temporary error. */
static bool names_by_dns(struct lookup_world *world, const struct net_address *address, int64_t deadline, struct arena *arena,
			 struct names *names, struct error *error)
{
	struct dns_answer answer;
	lookup_dns(world, dns_reverse_name(address, arena), DNS_PTR, deadline, arena, &answer);
	if (lookup_dns_failed(&answer))
		return error_set(error, ERROR_TEMPORARY, "looking up the name of %s: %.*s", net_address_text(address).text,
				 SLICE_ARG(answer.why));
	names->secure = answer.security == DNS_SECURE;
	for (size_t i = 0; i < answer.count && names->count < NAMES_MAX; i++) {
		struct dns_fields fields;
		if (dns_fields_parse(DNS_PTR, answer.records[i].data, arena, &fields) && is_host_name(fields.items[0]))
			names->items[names->count++] = arena_copy_lower(arena, fields.items[0]);
	}
	return true;
}

static void names_by_hosts_file(struct lookup_world *world, const struct net_address *address, struct names *names)
{
	const struct dns_hosts *hosts = world->settings.dns ? dns_hosts(world->settings.dns) : NULL;
	names->secure = false;
	for (size_t n = 0; hosts && names->count < NAMES_MAX; n++) {
		struct slice name = dns_hosts_name(hosts, address, n);
		if (!name.len)
			return;
		names->items[names->count++] = name;
	}
}

/* host_lookup_order: the first that knows a name decides. */
static bool find_names(struct lookup_world *world, const struct net_address *address, int64_t deadline, struct arena *arena,
		       struct names *names, struct error *error)
{
	static const struct lookup_name_order usual = { { LOOKUP_NAME_BY_DNS, LOOKUP_NAME_BY_HOSTS_FILE }, 2 };
	const struct lookup_name_order *order = world->settings.name_order.count ? &world->settings.name_order : &usual;
	for (size_t i = 0; i < order->count && names->count == 0; i++) {
		if (order->items[i] == LOOKUP_NAME_BY_HOSTS_FILE)
			names_by_hosts_file(world, address, names);
		else if (!names_by_dns(world, address, deadline, arena, names, error))
			return false;
	}
	return true;
}

/* ---- Name to addresses ---- */

struct addresses {
	struct net_address items[ADDRESSES_MAX];
	size_t count;
	bool secure, failed;
	struct slice why; /* failed: of the first question that was */
};

static void add_address(struct addresses *found, const struct net_address *address)
{
	if (found->count < ADDRESSES_MAX)
		found->items[found->count++] = *address;
}

static void ask_addresses(struct lookup_world *world, struct slice name, sa_family_t family, int64_t deadline, struct arena *arena,
			  struct addresses *found)
{
	struct dns_answer answer;
	size_t size = family == AF_INET ? 4 : 16;
	lookup_dns(world, name, family == AF_INET ? DNS_A : DNS_AAAA, deadline, arena, &answer);
	if (lookup_dns_failed(&answer)) {
		found->why = found->failed ? found->why : answer.why;
		found->failed = true;
	}
	found->secure = found->secure && answer.security == DNS_SECURE;
	for (size_t i = 0; i < answer.count; i++) {
		struct net_address address = { .family = family };
		if (answer.records[i].data.len != size)
			continue;
		memcpy(address.bytes, answer.records[i].data.data, size);
		add_address(found, &address);
	}
}

/* The file of hosts goes before the DNS, as in the usual /etc/nsswitch.conf. `family`: AF_UNSPEC for both, IPv6 first. */
static void find_addresses(struct lookup_world *world, struct slice name, sa_family_t family, int64_t deadline, struct arena *arena,
			   struct addresses *found)
{
	const struct dns_hosts *hosts = world->settings.dns ? dns_hosts(world->settings.dns) : NULL;
	const struct net_address *address;
	bool six = family != AF_INET && !domain_in(world->settings.dns_ipv4_lookup, name, arena);
	for (size_t n = 0; hosts && (address = dns_hosts_address(hosts, name, n)) != NULL; n++)
		if (address->family == AF_INET ? family != AF_INET6 : six)
			add_address(found, address);
	if (found->count)
		return;
	found->secure = true;
	if (six)
		ask_addresses(world, name, AF_INET6, deadline, arena, found);
	if (family != AF_INET6)
		ask_addresses(world, name, AF_INET, deadline, arena, found);
}

enum expand_result lookup_host_addresses(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
					 struct expand_answer *answer_r, struct error *error)
{
	struct addresses found = { 0 };
	struct net_address address;
	struct buf text;
	*answer_r = (struct expand_answer){ .tainted = true };
	if (net_address_parse(request->key, &address))
		add_address(&found, &address);
	else
		find_addresses(world, request->key, AF_UNSPEC, request->deadline, arena, &found);
	if (found.count == 0 && found.failed)
		return lookup_defer(error, "looking up the addresses of %.*s", SLICE_ARG(found.why));
	buf_init(&text, 64 * 1024);
	for (size_t i = 0; i < found.count; i++)
		buf_printf(&text, "%s%s", i ? " " : "", net_address_text(&found.items[i]).text);
	answer_r->found = found.count > 0;
	answer_r->secure = found.secure && !found.failed;
	answer_r->text = arena_copy(arena, buf_slice(&text));
	buf_free(&text);
	return EXPAND_OK;
}

/* ---- There and back ---- */

static bool has_address(const struct addresses *found, const struct net_address *address)
{
	for (size_t i = 0; i < found->count; i++)
		if (net_address_equal(&found->items[i], address))
			return true;
	return false;
}

/* Keeps the names that lead back to the address. False: none does, and a temporary error may be why. */
static bool confirm(struct lookup_world *world, const struct net_address *address, int64_t deadline, struct arena *arena,
		    struct names *names, struct error *error)
{
	size_t kept = 0;
	bool failed = false;
	for (size_t i = 0; i < names->count; i++) {
		struct addresses found = { 0 };
		find_addresses(world, names->items[i], address->family, deadline, arena, &found);
		if (!has_address(&found, address)) {
			if (found.failed && !failed)
				error_set(error, ERROR_TEMPORARY, "confirming the name of %s: %.*s", net_address_text(address).text,
					  SLICE_ARG(found.why));
			failed = failed || found.failed;
			continue;
		}
		names->secure = names->secure && found.secure;
		names->items[kept++] = names->items[i];
	}
	names->count = kept;
	return kept > 0 || !failed;
}

enum expand_result lookup_host_names(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
				     struct expand_answer *answer_r, struct error *error)
{
	struct net_address address;
	struct names names = { 0 };
	struct buf text;
	*answer_r = (struct expand_answer){ .tainted = true };
	if (!net_address_parse(request->key, &address))
		return lookup_fail(error, "\"%.*s\" is not an IP address", SLICE_ARG(slice_first(request->key, 100)));
	address = net_address_unmap(address);
	if (!find_names(world, &address, request->deadline, arena, &names, error))
		return EXPAND_DEFER;
	if (names.count)
		answer_r->name = arena_copy(arena, names.items[0]);
	if (!confirm(world, &address, request->deadline, arena, &names, error))
		return EXPAND_DEFER;
	buf_init(&text, 64 * 1024);
	for (size_t i = 0; i < names.count; i++)
		(void)((i == 0 || buf_append_byte(&text, '\0')) && buf_append(&text, names.items[i]));
	answer_r->found = names.count > 0;
	answer_r->secure = names.count > 0 && names.secure;
	answer_r->text = arena_copy(arena, buf_slice(&text));
	buf_free(&text);
	return EXPAND_OK;
}
