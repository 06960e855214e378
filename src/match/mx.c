/* SPDX-License-Identifier: ISC */
/*
 * "@mx_any", "@mx_primary", "@mx_secondary": whether a domain's mail is to come to this host (RFC 5321 §5.1). The hosts of
 * its MX records are compared by their addresses, or by their names with hosts_treat_as_local.
 */
#include "match/matching.h"

enum { HOSTS_MAX = 50 };

/* What is known after all hosts were looked at. */
struct mx_ranks {
	uint64_t lowest, own; /* preferences: of the hosts that count, and of this host's best record */
	bool deferred;
};

enum { RANK_NONE = 65536 };

/* A domain literal and the like have no MX records. */
static bool can_have_records(struct slice domain)
{
	for (size_t i = 0; i < domain.len; i++) {
		char c = domain.data[i];
		if (!ascii_is_alnum(c) && c != '.' && c != '-' && c != '_' && (unsigned char)c < 128)
			return false;
	}
	return domain.len > 0 && domain.len <= 255;
}

static enum list_answer is_ignored(struct list_matching *m, const struct list *ignore, const struct net_address *address)
{
	struct list_match match;
	const struct list_subject subject = { .host = address };
	struct list_probe probe;
	if (!ignore)
		return LIST_ANSWER_NO;
	list_probe_make(&probe, LIST_HOST, &subject);
	if (list_match_probe(m, ignore, &probe, &match) != EXPAND_OK)
		return LIST_ANSWER_FAIL;
	return match.yes ? LIST_ANSWER_YES : LIST_ANSWER_NO;
}

/* YES: this host; NO: another one; UNKNOWN: all its addresses are to be ignored. */
static enum list_answer is_own_host(struct list_matching *m, const struct list *list, const struct list_mx *mx, struct slice name)
{
	struct expand_answer answer;
	struct expand_request request = { .service = EXPAND_SERVICE_HOST_ADDRESSES, .key = name, .key_tainted = true };
	struct net_address address;
	size_t seen = 0, ignored = 0;
	const struct list *as_local = list->treat_as_local ? *list->treat_as_local : NULL;
	struct list_match match = { 0 };
	struct list_probe probe;
	const struct list_subject subject = { .domain = name };
	if (as_local) {
		list_probe_make(&probe, LIST_DOMAIN, &subject);
		m->in_mx = true;
		enum expand_result result = list_match_probe(m, as_local, &probe, &match);
		m->in_mx = false;
		if (result != EXPAND_OK)
			return LIST_ANSWER_DEFER;
	}
	if (match.yes)
		return LIST_ANSWER_YES;
	if (list_ask(m, &request, &answer) != EXPAND_OK)
		return LIST_ANSWER_DEFER;
	while (answer.found && answer.text.len) {
		if (!net_address_parse(slice_cut(&answer.text, ' '), &address))
			continue;
		address = net_address_unmap(address);
		enum list_answer ignore = is_ignored(m, mx->ignore, &address);
		if (ignore == LIST_ANSWER_FAIL)
			return LIST_ANSWER_DEFER;
		seen++;
		ignored += ignore == LIST_ANSWER_YES;
		if (ignore == LIST_ANSWER_NO && list_is_own_address(list, &address))
			return LIST_ANSWER_YES;
	}
	return seen && seen == ignored ? LIST_ANSWER_UNKNOWN : LIST_ANSWER_NO;
}

/* One line of the answer: "10 mx.example". */
static void rank_record(struct list_matching *m, const struct list *list, const struct list_mx *mx, struct slice line,
			struct mx_ranks *ranks)
{
	uint64_t preference;
	struct slice name = slice_trim(line), number = slice_cut(&name, ' ');
	name = slice_trim(name);
	/* A null MX (RFC 7505) has no host. */
	if (!slice_parse_u64(number, 65535, &preference) || name.len == 0 || slice_equal(name, SLICE(".")))
		return;
	enum list_answer own = is_own_host(m, list, mx, name);
	ranks->deferred |= own == LIST_ANSWER_DEFER;
	if (own != LIST_ANSWER_UNKNOWN && preference < ranks->lowest)
		ranks->lowest = preference;
	if (own == LIST_ANSWER_YES && preference < ranks->own)
		ranks->own = preference;
}

enum list_answer list_mx_try(struct list_matching *m, const struct list *list, const struct list_mx *mx, struct slice domain)
{
	struct expand_answer answer;
	const struct expand_piece pieces[] = { { SLICE("mx="), false, false }, { domain, true, true } };
	struct expand_request request = { .service = EXPAND_SERVICE_LOOKUP, .type = SLICE("dnsdb"), .pieces = pieces,
					  .piece_count = 2 };
	struct mx_ranks ranks = { RANK_NONE, RANK_NONE, false };
	if (m->in_mx || !can_have_records(domain))
		return LIST_ANSWER_NO;
	enum expand_result result = list_ask(m, &request, &answer);
	if (result != EXPAND_OK) {
		error_context(m->error, "looking up the MX records of %.*s", SLICE_ARG(domain));
		return result == EXPAND_DEFER ? LIST_ANSWER_DEFER : LIST_ANSWER_FAIL;
	}
	struct slice text = answer.found ? answer.text : SLICE("");
	for (size_t count = 0; text.len && count < HOSTS_MAX; count++)
		rank_record(m, list, mx, slice_cut(&text, '\n'), &ranks);
	bool primary = ranks.own != RANK_NONE && ranks.own == ranks.lowest, secondary = ranks.own != RANK_NONE && !primary;
	bool yes = mx->rank == LIST_MX_PRIMARY ? primary : mx->rank == LIST_MX_SECONDARY ? secondary : primary || secondary;
	if (!yes && ranks.deferred)
		return LIST_ANSWER_DEFER;
	return yes ? LIST_ANSWER_YES : LIST_ANSWER_NO;
}
