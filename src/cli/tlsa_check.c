/* SPDX-License-Identifier: ISC */
/* postern tlsa --check: what is published for a server, what it shows, and what it would show after a roll-over. */
#include "cli/tlsa_check.h"

#include "base/clock.h"
#include "base/fatal.h"
#include "cli/cert_facts.h"
#include "cli/resolve.h"
#include "dns/tlsa_set.h"

#include <unistd.h>

enum { ADDRESSES = 2 /* questions for them: A, AAAA */ };

/* ---- Questions ---- */

/* Addresses of the host into the target, unless the command gave some. False with *error when there are none. */
static bool take_addresses(struct tlsa_check *check, const struct resolve_question *questions, struct error *error)
{
	struct probe_target *target = &check->command->target;
	static const size_t lengths[ADDRESSES] = { 4, 16 };
	bool unanswered = false;
	check->unsigned_address = false;
	for (size_t i = 0; i < ADDRESSES; i++) {
		const struct dns_answer *answer = &questions[i].answer;
		unanswered = unanswered || answer->outcome == DNS_TEMPORARY || answer->outcome == DNS_BOGUS;
		check->unsigned_address = check->unsigned_address || (answer->outcome == DNS_FOUND && answer->security != DNS_SECURE);
		for (size_t n = 0; n < answer->count && !check->addresses_given && target->address_count < PROBE_ADDRESSES_MAX; n++) {
			struct net_address address = { .family = i ? AF_INET6 : AF_INET };
			if (answer->records[n].data.len != lengths[i])
				continue;
			memcpy(address.bytes, answer->records[n].data.data, lengths[i]);
			target->addresses[target->address_count++] = address;
		}
	}
	if (target->address_count)
		return true;
	const struct dns_answer *answer = &questions[0].answer;
	if (unanswered)
		return error_set(error, ERROR_TEMPORARY, "looking up the addresses of %s: %.*s", target->host, SLICE_ARG(answer->why));
	return error_set(error, ERROR_PERMANENT, "%s has no address", target->host);
}

/* RFC 7671 §7: where the name is an alias and that is signed, the records of the true name come first. */
static bool ask_true_name(struct tlsa_check *check, const struct dns_settings *settings, const struct resolve_question *addresses,
			  int64_t deadline, struct error *error)
{
	const struct dns_answer *answer = &addresses[addresses[0].answer.outcome == DNS_FOUND ? 0 : 1].answer;
	struct slice host = slice_of(check->command->target.host);
	if (answer->outcome != DNS_FOUND || answer->security != DNS_SECURE || slice_equal_nocase(answer->canonical, host))
		return true;
	struct resolve_question question = { .name = tlsa_owner(answer->canonical, check->command->target.port, &check->arena), .type = DNS_TLSA };
	if (!resolve_ask(settings, &question, 1, deadline, &check->arena, error))
		return false;
	struct tlsa_set set;
	dns_tlsa_set(&question.answer, question.name, answer->canonical, &check->arena, &set);
	if (set.published != TLSA_ABSENT)
		check->set = set;
	return true;
}

static bool ask(struct tlsa_check *check, const struct conf *conf, int64_t deadline, struct error *error)
{
	struct dns_settings settings;
	struct slice host = slice_of(check->command->target.host);
	struct slice owner = tlsa_owner(host, check->command->target.port, &check->arena);
	struct resolve_question questions[] = { { .name = host, .type = DNS_A }, { .name = host, .type = DNS_AAAA },
						{ .name = owner, .type = DNS_TLSA } };
	resolve_settings(conf, &check->arena, &settings);
	if (!resolve_ask(&settings, questions, 3, deadline, &check->arena, error))
		return false;
	dns_tlsa_set(&questions[ADDRESSES].answer, owner, host, &check->arena, &check->set);
	return take_addresses(check, questions, error) && ask_true_name(check, &settings, questions, deadline, error);
}

/* ---- Certificates ---- */

static void add(struct tlsa_check *check, const char *what, STACK_OF(X509) *chain)
{
	struct tlsa_checked *one = &check->checked[check->count++];
	struct cert_facts *facts = arena_new(&check->arena, struct cert_facts);
	*one = (struct tlsa_checked){ .what = what, .chain = chain };
	cert_facts_read(sk_X509_value(chain, 0), check->now, &check->arena, facts);
	one->title = arena_printf(&check->arena, "%.*s, %.*s", SLICE_ARG(facts->subject), SLICE_ARG(facts->key));
	one->key_sha256 = facts->key_sha256;
	one->fit = tlsa_fit(&check->set, chain, (time_t)check->now, &check->arena, one->verdicts);
}

/* A client that can do only the other algorithm meets the other certificate, where there is one. */
static void probe_other(struct tlsa_check *check)
{
	struct probe_target target = check->command->target;
	struct probe_result result;
	struct error ignored;
	EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(check->checked[0].chain, 0));
	X509 *first = sk_X509_value(check->checked[0].chain, 0);
	target.algorithm = key && EVP_PKEY_is_a(key, "RSA") ? PROBE_ECDSA : PROBE_RSA;
	if (!probe_chain(&target, &result, &ignored))
		return;
	if (X509_cmp(sk_X509_value(result.chain, 0), first) == 0)
		chain_free(&result.chain);
	else
		add(check, "served to others", result.chain);
}

static bool gather(struct tlsa_check *check, struct error *error)
{
	struct probe_result result;
	if (!probe_chain(&check->command->target, &result, error))
		return false;
	check->address = arena_copy(&check->arena, slice_of(result.address));
	check->version = arena_copy(&check->arena, slice_of(result.version));
	add(check, "served", result.chain);
	probe_other(check);
	if (!check->command->next)
		return true;
	STACK_OF(X509) *next = tlsa_read_chain(check->command->next, error);
	if (next)
		add(check, "next", next);
	return next != NULL;
}

/* ---- The verdict ---- */

static enum tlsa_check_verdict judge(const struct tlsa_check *check)
{
	bool broken = false, next_broken = false;
	for (size_t i = 0; i < check->count; i++) {
		bool is_next = check->command->next && i + 1 == check->count;
		broken = broken || (!is_next && check->checked[i].fit == TLSA_FIT_BROKEN);
		next_broken = next_broken || (is_next && check->checked[i].fit == TLSA_FIT_BROKEN);
	}
	if (check->set.published == TLSA_UNKNOWN)
		return TLSA_CHECK_UNKNOWN;
	if (broken || next_broken)
		return broken ? TLSA_CHECK_BROKEN : TLSA_CHECK_NEXT_BREAKS;
	bool used = check->set.published == TLSA_PUBLISHED && check->checked[0].fit == TLSA_FITS && !check->unsigned_address;
	return used ? TLSA_CHECK_GOOD : TLSA_CHECK_UNUSED;
}

static int status_of(const struct tlsa_check *check)
{
	switch (check->verdict) {
	case TLSA_CHECK_GOOD: return COMMAND_DONE;
	case TLSA_CHECK_UNKNOWN: return COMMAND_TEMPORARY;
	/* What nobody looks at cannot be broken by the next certificate. */
	case TLSA_CHECK_UNUSED: return check->command->next ? COMMAND_DONE : COMMAND_NO;
	default: return COMMAND_NO;
	}
}

/* The file that was named, or the usual one where there is one. False: it has errors, which are written. */
static bool read_configuration(const struct tlsa_command *command, struct conf **conf_r)
{
	struct conf_problems problems;
	*conf_r = NULL;
	if (!command->configuration.file && access(command_configuration_file(&command->configuration), F_OK) < 0)
		return true;
	conf_problems_init(&problems);
	*conf_r = command_read_configuration(&command->configuration, &problems, NULL);
	if (!*conf_r)
		command_print_problems(&problems);
	conf_problems_free(&problems);
	return *conf_r != NULL;
}

int tlsa_check(struct tlsa_command *command)
{
	struct tlsa_check *check = xcalloc(1, sizeof *check);
	struct error error = { 0 };
	struct conf *conf;
	int64_t deadline = clock_after(command->time_limit);
	if (!read_configuration(command, &conf)) {
		free(check);
		return COMMAND_USAGE;
	}
	*check = (struct tlsa_check){
		.command = command, .addresses_given = command->target.address_count > 0, .now = clock_wall_now() / CLOCK_SECOND,
	};
	command->target.deadline = deadline;
	arena_init(&check->arena, 0);
	int status;
	if (ask(check, conf, deadline, &error) && gather(check, &error)) {
		check->verdict = judge(check);
		tlsa_check_print(check);
		status = status_of(check);
	} else {
		fprintf(stderr, "postern tlsa: %s\n", error.text);
		status = error.kind == ERROR_TEMPORARY ? COMMAND_TEMPORARY : error.kind == ERROR_USAGE ? COMMAND_USAGE : COMMAND_NO;
	}
	for (size_t i = 0; i < check->count; i++)
		chain_free(&check->checked[i].chain);
	conf_unref(&conf);
	arena_free(&check->arena);
	free(check);
	return status;
}
