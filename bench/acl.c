/* SPDX-License-Identifier: ISC */
/*
 * What an ACL for RCPT costs: 30 statements with lists of domains, addresses, local parts, hosts and conditions, of which the last one
 * accepts. "acl [COUNT [LIMIT]]" prints microseconds a run, the best of five rounds; above LIMIT its status is 1. The aim is 20:
 * `make bench-acl`.
 */
#include "acl/acl.h"
#include "base/clock.h"
#include "base/fatal.h"
#include "conf/conf.h"
#include "conf/problem.h"
#include "conf/source.h"

#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 20000, ROUNDS = 5 };

/* Every sixth statement is alike; none but the last one decides. */
static const char *const statements[] = {
	"  deny domains = !+local_domains : !*.relay%u.test\n    senders = *@bad%u.test : ^spam%u-.*@\n    message = no\n",
	"  deny hosts = 192.0.%u.0/24 : 10.%u.0.0/16 : +bad_hosts\n    log_message = bad host %u\n",
	"  deny local_parts = ^[.] : ^.*[@%%!/|] : postmaster%u : abuse%u : a%u\n    domains = +local_domains\n",
	"  warn condition = ${if and{{eq{$domain}{d%u.test}}{match{$local_part}{^x%u}}{!eq{%u}{0}}}}\n    set acl_m_seen = $sender_address\n",
	"  deny sender_domains = b%u.test : *.c%u.test : d%u.test\n    message = refused $sender_address_domain\n",
	"  accept recipients = list%u@example.test : owner%u@example.test : *@lists%u.test\n",
};

static void no_log(void *owner, unsigned targets, struct slice text)
{
	(void)owner;
	(void)targets;
	(void)text;
}

static struct expand_value variable(void *owner, enum expand_variable which)
{
	const struct acl_session *session = owner;
	switch (which) {
	case EXPAND_SENDER_ADDRESS: return (struct expand_value){ session->facts.sender, true };
	case EXPAND_SENDER_ADDRESS_DOMAIN: return (struct expand_value){ session->facts.sender_domain, true };
	case EXPAND_SENDER_HOST_ADDRESS: return (struct expand_value){ session->facts.host_address, true };
	default: return (struct expand_value){ 0 };
	}
}

static struct conf *load(void)
{
	struct conf_problems problems;
	struct buf text;
	conf_problems_init(&problems);
	buf_init(&text, 1 << 20);
	buf_printf(&text, "primary_hostname = mx.example.test\nspool_directory = /tmp/none\nacl_smtp_rcpt = check\n"
			  "domainlist local_domains = example.test : *.example.test\nhostlist bad_hosts = 198.51.100.0/24 : 203.0.113.7\n"
			  "begin acl\ncheck:\n");
	for (unsigned i = 0; i < 29; i++) {
		char line[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(line, sizeof line, statements[i % 6], i, i, i);
#pragma GCC diagnostic pop
		ensure(buf_append(&text, slice_of(line)));
	}
	buf_printf(&text, "  accept domains = +local_domains\n    local_parts = user\n");
	struct conf_source *source = conf_source_from_text(buf_slice(&text), "bench", NULL, 0, conf_system_local(), &problems);
	struct conf *conf = conf_parse(source, &problems);
	buf_free(&text);
	if (!conf)
		fatal("the configuration of the benchmark has an error");
	return conf;
}

int main(int count, char **arguments)
{
	struct conf *conf = load();
	struct acl_variables connection = { 0 }, message = { 0 };
	struct acl_session session = { .set = conf->acl_set, .connection = &connection, .message = &message, .log = no_log };
	struct expand_context context = { .owner = &session, .variable = variable, .language = &conf->language };
	long runs = count > 1 ? strtol(arguments[1], NULL, 10) : COUNT;
	double best = 1e9;
	session.context = &context;
	session.facts = (struct acl_facts){
		.host_address = SLICE("192.0.2.200"), .helo = SLICE("client.test"), .has_sender = true, .sender = SLICE("alice@sender.test"),
		.sender_domain = SLICE("sender.test"), .has_recipient = true, .recipient = SLICE("user@example.test"), .local_part = SLICE("user"),
		.domain = SLICE("example.test"),
	};
	for (int round = 0; round < ROUNDS; round++) {
		int64_t start = clock_now();
		for (long i = 0; i < runs; i++) {
			struct acl_result result;
			struct arena arena;
			arena_init(&arena, 0);
			if (acl_run(conf->main.acl[ACL_POINT_RCPT], &session, ACL_POINT_RCPT, &arena, &result) != ACL_ACCEPT)
				fatal("the ACL does not accept: %.*s", SLICE_ARG(result.log_message));
			arena_free(&arena);
		}
		double each = (double)(clock_now() - start) / 1000 / (double)runs;
		best = each < best ? each : best;
	}
	double limit = count > 2 ? strtod(arguments[2], NULL) : 0;
	bool good = limit <= 0 || best <= limit;
	printf("an ACL of 30 statements: %.2f us a RCPT", best);
	printf(good ? "\n" : ", more than %.2f\n", limit);
	conf_unref(&conf);
	return good ? 0 : 1;
}
