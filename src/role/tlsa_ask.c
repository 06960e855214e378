/* SPDX-License-Identifier: ISC */
#include "role/tlsa_ask.h"

#include "base/clock.h"
#include "dns/tlsa_set.h"

/* primary_hostname first; wildcards are names of nothing, and an address has no records. */
static size_t hosts_of(const X509 *certificate, const struct conf *conf, struct arena *arena, struct slice *hosts, size_t size)
{
	struct slice names[CHAIN_NAMES_MAX];
	struct net_address address;
	size_t found = chain_names(certificate, arena, names), count = 0;
	hosts[count++] = conf->main.primary_hostname;
	for (size_t i = 0; i < found && count < size; i++)
		if (names[i].data[0] != '*' && !net_address_parse(names[i], &address) &&
		    !slice_equal_nocase(names[i], conf->main.primary_hostname))
			hosts[count++] = names[i];
	return count;
}

/* Ports without those that came before. */
static size_t ports_of(const struct conf *conf, uint16_t *ports, size_t size)
{
	size_t count = 0;
	ports[count++] = 25;
	for (size_t i = 0; i < conf->listener_count && count < size; i++) {
		bool known = false;
		for (size_t n = 0; n < count; n++)
			known = known || ports[n] == conf->listeners[i].address.port;
		if (!known)
			ports[count++] = conf->listeners[i].address.port;
	}
	return count;
}

static void ask_one(struct dns *dns, struct slice host, uint16_t port, int64_t deadline, struct arena *arena, struct tlsa_set *set)
{
	struct dns_answer answer;
	struct slice owner = tlsa_owner(host, port, arena);
	dns_query(dns, owner, DNS_TLSA, deadline, arena, &answer);
	dns_tlsa_set(&answer, owner, host, arena, set);
}

enum tlsa_fit tlsa_ask(struct dns *dns, const struct conf *conf, struct slice pem, int64_t deadline, struct arena *arena,
		       struct error *error)
{
	_cleanup_chain_ STACK_OF(X509) *chain = chain_parse(pem, "the certificate", error);
	struct slice hosts[TLSA_ASK_MAX];
	struct tlsa_set *sets = arena_array(arena, TLSA_ASK_MAX, sizeof *sets);
	uint16_t ports[TLSA_ASK_MAX];
	size_t port_count = ports_of(conf, ports, TLSA_ASK_MAX);
	size_t count = 0;
	if (!chain)
		return TLSA_FIT_UNKNOWN;
	size_t host_count = hosts_of(sk_X509_value(chain, 0), conf, arena, hosts, TLSA_ASK_MAX);
	for (size_t i = 0; i < host_count; i++)
		for (size_t n = 0; n < port_count && count < TLSA_ASK_MAX; n++)
			ask_one(dns, hosts[i], ports[n], deadline, arena, &sets[count++]);
	return tlsa_guard(sets, count, &chain, 1, (time_t)(clock_wall_now() / CLOCK_SECOND), arena, error);
}
