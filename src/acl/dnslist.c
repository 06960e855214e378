/* SPDX-License-Identifier: ISC */
/*
 * The condition `dnslists` (Exim's manual, chapter 44 §31 to §38): whether a key is in a list that the DNS publishes.
 *
 *	LIST[,LIST][[!]=|&|==|=&ADDRESS,...][/KEYS] : +include_unknown : ...
 *
 * With two lists the second decides, and the first, which must have the key too, gives the text. Without keys the key is the client's address,
 * turned round. What a peer had a hand in is a key, and adds neither a list nor an address; it separates keys only where all keys are
 * one value (the result of a lookup).
 *
 * Answers are kept for the connection, for ANSWER_LIFE at most, for each recipient asks the same. A list that must be asked for more than
 * QUESTIONS_MAX keys is an error: a peer must not choose how many questions its message costs.
 */
#include "acl/private.h"

#include "base/fatal.h"
#include "dns/dns.h"
#include "expand/pieces.h"

enum { QUESTIONS_MAX = 100, KEPT_MAX = 256, TEXT_MAX = 32 * 1024, NAME_MAX = 255 };
#define ANSWER_LIFE (300 * CLOCK_SECOND)

enum listing { LISTED, NOT_LISTED, UNKNOWN };

struct answer {
	struct slice name;
	enum listing listing; /* LISTED: there are addresses */
	struct slice addresses; /* separated by newlines */
	bool has_text;          /* the TXT record was asked for */
	struct slice text;
	int64_t until;
	struct answer *next;
};

struct acl_dnslists {
	struct arena arena; /* of the answers */
	struct answer *first;
	size_t count;
	struct arena found_arena;
	struct acl_dnslist_found found;
};

/* One item of the list. */
struct dnslist {
	struct slice name, text_name;
	bool compares, bits, all, negated;
	struct slice addresses;
	bool has_keys;
	struct piece_text keys;
};

/* ---- Reading ---- */

static bool check_name(struct slice name, struct error *error)
{
	if (name.len == 0)
		return error_set(error, ERROR_USAGE, "the name of a DNS list is missing");
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.data[i]) && name.data[i] != '-' && name.data[i] != '.' && name.data[i] != '_')
			return error_set(error, ERROR_USAGE, "\"%.*s\" is not the name of a DNS list", SLICE_ARG(slice_first(name, 64)));
	return true;
}

static bool check_addresses(struct slice addresses, struct error *error)
{
	struct net_address address;
	for (struct slice rest = addresses; rest.len;) {
		struct slice item = slice_trim(slice_cut(&rest, ','));
		if (!net_address_parse(item, &address) || address.family != AF_INET)
			return error_set(error, ERROR_USAGE, "\"%.*s\" is not an IPv4 address, as DNS lists give them",
					 SLICE_ARG(slice_first(item, 64)));
	}
	return addresses.len > 0 || error_set(error, ERROR_USAGE, "an address is missing behind \"=\" or \"&\"");
}

/* "[!]=", "&", "==", "=&" and what follows; `head` keeps what stands before. */
static void take_comparison(struct piece_text *head, struct dnslist *list)
{
	size_t at = piece_text_find(head, '=');
	list->bits = at == head->len;
	if (list->bits)
		at = piece_text_find(head, '&');
	if (at == head->len)
		return;
	list->compares = true;
	list->negated = at > 0 && head->data[at - 1] == '!';
	struct piece_text rest = piece_text_part(head, at + 1, head->len);
	if (!list->bits && (piece_text_is(&rest, '=') || piece_text_is(&rest, '&'))) {
		list->all = true;
		list->bits = piece_text_is(&rest, '&');
		rest.at++;
	}
	list->addresses = slice_trim(piece_text_rest(&rest));
	head->len = at - list->negated;
}

static bool parse(struct piece_text item, struct dnslist *list_r, struct error *error)
{
	size_t slash = piece_text_find(&item, '/');
	struct piece_text head = piece_text_part(&item, 0, slash);
	*list_r = (struct dnslist){ .has_keys = slash < item.len };
	if (list_r->has_keys)
		list_r->keys = piece_text_trim(piece_text_part(&item, slash + 1, item.len));
	take_comparison(&head, list_r);
	if (list_r->compares && !check_addresses(list_r->addresses, error))
		return false;
	size_t comma = piece_text_find(&head, ',');
	list_r->name = list_r->text_name = slice_trim(slice_make(head.data, comma));
	if (comma < head.len)
		list_r->name = slice_trim(slice_make(head.data + comma + 1, head.len - comma - 1));
	return check_name(list_r->name, error) && check_name(list_r->text_name, error);
}

/* "+include_unknown" and its kin: what a list that does not answer counts as. False: it is none of them. */
static bool parse_unknown(struct slice item, enum listing *unknown_r, struct error *error)
{
	static const struct {
		const char *name;
		enum listing listing;
	} names[] = { { "+include_unknown", LISTED }, { "+exclude_unknown", NOT_LISTED }, { "+defer_unknown", UNKNOWN } };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (slice_equal_nocase(item, slice_of(names[i].name))) {
			*unknown_r = names[i].listing;
			return true;
		}
	return error_set(error, ERROR_USAGE, "there is no \"%.*s\"; expected +include_unknown, +exclude_unknown or +defer_unknown",
			 SLICE_ARG(slice_first(item, 64)));
}

bool acl_dnslists_check(struct slice value, struct arena *scratch, struct error *error)
{
	struct piece_text item;
	struct dnslist list;
	enum listing unknown;
	bool good = true;
	struct piece_text text = piece_text_plain(value, scratch);
	char separator = piece_text_take_separator(&text);
	while (good && piece_text_next(&text, separator, false, scratch, &item)) {
		if (item.len)
			good = piece_text_is(&item, '+') ? parse_unknown(piece_text_rest(&item), &unknown, error) : parse(item, &list, error);
	}
	return good;
}

/* ---- Asking ---- */

static enum expand_result ask(struct acl_run *run, struct slice type, struct slice name, struct expand_answer *answer_r,
			      struct error *error)
{
	const struct expand_context *context = run->session->context;
	const struct expand_piece pieces[] = { { type, false, false }, { name, true, true } };
	struct expand_request request = { .service = EXPAND_SERVICE_LOOKUP, .type = SLICE("dnsdb"), .pieces = pieces, .piece_count = 2,
					  .deadline = clock_after(60 * CLOCK_SECOND) };
	*answer_r = (struct expand_answer){ 0 };
	return context->ask(context->owner, &request, run->arena, answer_r, error);
}

static struct acl_dnslists *lists_of(struct acl_session *session)
{
	if (session->dnslists)
		return session->dnslists;
	session->dnslists = xcalloc(1, sizeof *session->dnslists);
	arena_init(&session->dnslists->arena, 0);
	arena_init(&session->dnslists->found_arena, 0);
	return session->dnslists;
}

static struct answer *find_kept(struct acl_dnslists *lists, struct slice name)
{
	for (struct answer *answer = lists->first; answer; answer = answer->next)
		if (slice_equal_nocase(answer->name, name))
			return answer->until > clock_now() ? answer : NULL;
	return NULL;
}

/* The addresses of that name in a list. */
static struct answer *ask_addresses(struct acl_run *run, struct slice name)
{
	struct acl_dnslists *lists = lists_of(run->session);
	struct answer *kept = find_kept(lists, name);
	struct expand_answer got;
	struct error error;
	if (kept)
		return kept;
	enum expand_result result = ask(run, SLICE("defer_strict,a="), name, &got, &error);
	if (lists->count == KEPT_MAX) {
		arena_reset(&lists->arena);
		lists->first = NULL;
		lists->count = 0;
	}
	struct answer *answer = arena_new(&lists->arena, struct answer);
	*answer = (struct answer){
		.name = arena_copy(&lists->arena, name), .until = clock_after(ANSWER_LIFE), .next = lists->first,
		.listing = result == EXPAND_OK ? (got.found ? LISTED : NOT_LISTED) : UNKNOWN,
	};
	if (answer->listing == LISTED)
		answer->addresses = arena_copy(&lists->arena, got.text);
	lists->first = answer;
	lists->count++;
	return answer;
}

/* The first string of the first TXT record, or nothing. */
static struct slice text_of(struct acl_run *run, struct answer *answer)
{
	struct expand_answer got;
	struct error error;
	if (answer->has_text)
		return answer->text;
	if (ask(run, SLICE("defer_never,txt="), answer->name, &got, &error) == EXPAND_OK && got.found)
		answer->text = arena_copy(&run->session->dnslists->arena, slice_first(got.text, slice_find(got.text, '\n')));
	answer->has_text = true;
	return answer->text;
}

/* ---- Deciding ---- */

static bool parse_ipv4(struct slice text, uint32_t *number_r)
{
	struct net_address address;
	if (!net_address_parse(slice_trim(text), &address) || address.family != AF_INET)
		return false;
	*number_r = (uint32_t)address.bytes[0] << 24 | (uint32_t)address.bytes[1] << 16 | (uint32_t)address.bytes[2] << 8 | address.bytes[3];
	return true;
}

static bool is_wanted(const struct dnslist *list, uint32_t address)
{
	uint32_t wanted;
	for (struct slice rest = list->addresses; rest.len;)
		if (parse_ipv4(slice_cut(&rest, ','), &wanted) && (list->bits ? (wanted & address) == wanted : wanted == address))
			return true;
	return false;
}

/* Of the addresses one, or with "==" and "=&" all, must be wanted. */
static bool compare(const struct dnslist *list, struct slice addresses)
{
	bool yes = list->all;
	while (addresses.len) {
		uint32_t address;
		if (parse_ipv4(slice_cut(&addresses, '\n'), &address) && is_wanted(list, address) != list->all)
			yes = !list->all;
	}
	return yes != list->negated;
}

/* RFC 5782 §2.1: other addresses are those of a domain that was sold, or of a resolver that lies. */
static bool has_listing(struct acl_run *run, const struct dnslist *list, struct slice key, struct slice addresses)
{
	bool yes = false;
	while (addresses.len) {
		struct slice item = slice_cut(&addresses, '\n');
		uint32_t address;
		if (parse_ipv4(item, &address) && address >> 24 == 127)
			yes = true;
		else
			acl_log(run, ACL_LOG_MAIN, "DNS list lookup for %.*s at %.*s returned %.*s; not in 127.0/8 and discarded",
				SLICE_ARG(slice_first(key, NAME_MAX)), SLICE_ARG(list->name), SLICE_ARG(item));
	}
	return yes;
}

static struct slice commas(struct slice addresses, struct arena *arena)
{
	struct slice out = slice_cut(&addresses, '\n');
	while (addresses.len) {
		struct slice item = slice_cut(&addresses, '\n');
		out = arena_printf(arena, "%.*s, %.*s", SLICE_ARG(out), SLICE_ARG(item));
	}
	return arena_copy(arena, out);
}

static void remember(struct acl_run *run, const struct dnslist *list, struct slice key, struct answer *answer)
{
	struct slice text = text_of(run, answer);
	struct acl_dnslists *lists = run->session->dnslists;
	struct arena *arena = &lists->found_arena;
	arena_reset(arena);
	lists->found = (struct acl_dnslist_found){
		.domain = arena_copy(arena, list->text_name), .matched = arena_copy(arena, key), .text = arena_copy(arena, text),
		.value = commas(answer->addresses, arena),
	};
}

/* Whether the list has the key; `label` is the key as the name holds it. */
static enum listing check_key(struct acl_run *run, const struct dnslist *list, struct slice key, struct slice label, enum listing unknown)
{
	static const char *const assumed[] = { [LISTED] = "assumed in list", [NOT_LISTED] = "assumed not in list", [UNKNOWN] = "returned DEFER" };
	struct dnslist other = *list;
	for (;;) {
		if (label.len + 1 + other.name.len > NAME_MAX)
			return NOT_LISTED; /* RFC 1035 §2.3.4: no such name can be */
		struct slice name = arena_printf(run->arena, "%.*s.%.*s", SLICE_ARG(label), SLICE_ARG(other.name));
		struct answer *answer = ask_addresses(run, name);
		if (answer->listing == UNKNOWN) {
			acl_log(run, ACL_LOG_MAIN, "dnslist lookup defer (for %.*s): %s", SLICE_ARG(name), assumed[unknown]);
			return unknown;
		}
		if (answer->listing == NOT_LISTED ||
		    !(other.compares ? compare(&other, answer->addresses) : has_listing(run, &other, key, answer->addresses)))
			return NOT_LISTED;
		if (slice_equal(other.name, other.text_name)) {
			remember(run, &other, key, answer);
			return LISTED;
		}
		other.name = other.text_name;
		other.compares = false;
	}
}

/* An address as a label: turned round (RFC 5782 §2.1, §2.4); anything else as it is. */
static struct slice label_of(struct slice key, struct arena *arena)
{
	struct net_address address;
	if (!net_address_parse(key, &address))
		return key;
	struct slice name = dns_reverse_name(&address, arena);
	return slice_first(name, name.len - (address.family == AF_INET ? sizeof ".in-addr.arpa" : sizeof ".ip6.arpa") + 1);
}

static enum listing check_keys(struct acl_run *run, const struct dnslist *list, enum listing unknown, size_t *questions)
{
	struct piece_text keys = list->keys, key;
	char separator = piece_text_take_separator(&keys);
	bool all = piece_text_all_bound(&keys), later = false;
	while (piece_text_next(&keys, separator, all, run->arena, &key)) {
		struct slice text = piece_text_rest(&key);
		if (text.len == 0)
			continue;
		if ((*questions)++ == QUESTIONS_MAX)
			return UNKNOWN;
		enum listing listing = check_key(run, list, text, label_of(text, run->arena), unknown);
		if (listing == LISTED)
			return LISTED;
		later |= listing == UNKNOWN;
	}
	return later ? UNKNOWN : NOT_LISTED;
}

static enum acl_step check_item(struct acl_run *run, struct piece_text item, enum listing *unknown, size_t *questions)
{
	struct slice host = run->session->facts.host_address;
	struct dnslist list;
	struct error error;
	enum listing listing = NOT_LISTED;
	bool word = piece_text_is(&item, '+');
	if (word ? !parse_unknown(piece_text_rest(&item), unknown, &error) : !parse(item, &list, &error)) {
		acl_log(run, ACL_LOG_MAIN | ACL_LOG_PANIC, "dnslists: %s (ignored)", error.text);
		return ACL_NO;
	}
	if (word)
		return ACL_NO;
	if (list.has_keys)
		listing = check_keys(run, &list, *unknown, questions);
	else if (run->point == ACL_POINT_NOT_SMTP_START || run->point == ACL_POINT_NOT_SMTP)
		return acl_broken(run, "cannot test auto-keyed dnslists condition in %s ACL", acl_point_info(run->point)->name);
	else if (host.len && (*questions)++ < QUESTIONS_MAX)
		listing = check_key(run, &list, host, label_of(host, run->arena), *unknown);
	if (*questions > QUESTIONS_MAX)
		return acl_later(run, "dnslists: more than %d questions", QUESTIONS_MAX);
	run->message = run->log_message = (struct expand_value){ 0 };
	return listing == LISTED ? ACL_YES : listing == UNKNOWN ? ACL_LATER : ACL_NO;
}

enum acl_step acl_dnslists_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	enum listing unknown = NOT_LISTED;
	struct piece_text one;
	size_t questions = 0;
	enum acl_step step = ACL_NO;
	(void)item;
	(void)value;
	if (!run->session->context->ask)
		return acl_later(run, "the DNS cannot be asked here");
	struct piece_text text = run->text;
	if (text.len > TEXT_MAX)
		return acl_broken(run, "dnslists: more than %d bytes", TEXT_MAX);
	char separator = piece_text_take_separator(&text);
	while (step == ACL_NO && piece_text_next(&text, separator, false, run->arena, &one))
		if (one.len)
			step = check_item(run, one, &unknown, &questions);
	return step;
}

/* ---- What was found ---- */

bool acl_dnslists_variable(const struct acl_session *session, enum expand_variable variable, struct expand_value *value_r)
{
	struct acl_dnslist_found found = { 0 };
	if (session->dnslists)
		found = session->dnslists->found;
	switch (variable) {
	case EXPAND_DNSLIST_DOMAIN: *value_r = acl_text(found.domain); return true;
	case EXPAND_DNSLIST_MATCHED: *value_r = (struct expand_value){ found.matched, true }; return true;
	case EXPAND_DNSLIST_TEXT: *value_r = (struct expand_value){ found.text, true }; return true;
	case EXPAND_DNSLIST_VALUE: *value_r = (struct expand_value){ found.value, true }; return true;
	default: return false;
	}
}

void acl_dnslists_forget(struct acl_session *session)
{
	if (session->dnslists)
		session->dnslists->found = (struct acl_dnslist_found){ 0 };
}

void acl_dnslists_free(struct acl_session *session)
{
	struct acl_dnslists *lists = session->dnslists;
	if (!lists)
		return;
	arena_free(&lists->arena);
	arena_free(&lists->found_arena);
	free(lists);
	session->dnslists = NULL;
}
