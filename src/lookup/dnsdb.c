/* SPDX-License-Identifier: ISC */
/*
 * dnsdb lookups (Exim's manual, chapter 9 §10 to 13):
 *
 *   [>SEPARATOR[,FIELD SEPARATOR | ;]] [MODIFIER,]... [TYPE =] NAME [: NAME]...
 *
 * What a peer had a hand in is never read as a separator before the names, a modifier or a type. Between names, a separator
 * in it counts only where the whole list of names is one value (the result of another lookup); in a value that is a part
 * of a name, it is a byte of that name.
 */
#include "base/buf.h"
#include "base/interval.h"
#include "dns/name.h"
#include "expand/pieces.h"
#include "lookup/names.h"

enum { NAMES_MAX = 100, TEXT_MAX = 256 * 1024, PARENTS_MAX = 128 };

/* The types of the language; several ask for the same type of the DNS. */
enum shape {
	SHAPE_ALL_FIELDS, /* all fields, a space between them */
	SHAPE_LAST_FIELD, /* MXH: the host alone */
	SHAPE_FIRST_ONLY, /* TXT, SOA: the first field, unless a field separator is given: then all */
	SHAPE_JOINED,     /* SPF: all fields with nothing between them */
};

static const struct kind {
	const char *name;
	unsigned type, also; /* `also`: asked for before it */
	enum shape shape;
	bool parents;        /* asked again for the names above, until something is found */
} kinds[] = {
	{ "a", DNS_A, 0, SHAPE_ALL_FIELDS, false },
	{ "a+", DNS_A, DNS_AAAA, SHAPE_ALL_FIELDS, false },
	{ "aaaa", DNS_AAAA, 0, SHAPE_ALL_FIELDS, false },
	{ "cname", DNS_CNAME, 0, SHAPE_ALL_FIELDS, false },
	{ "mx", DNS_MX, 0, SHAPE_ALL_FIELDS, false },
	{ "mxh", DNS_MX, 0, SHAPE_LAST_FIELD, false },
	{ "ns", DNS_NS, 0, SHAPE_ALL_FIELDS, false },
	{ "ptr", DNS_PTR, 0, SHAPE_ALL_FIELDS, false },
	{ "soa", DNS_SOA, 0, SHAPE_FIRST_ONLY, true },
	{ "spf", DNS_SPF, 0, SHAPE_JOINED, false },
	{ "srv", DNS_SRV, 0, SHAPE_ALL_FIELDS, false },
	{ "tlsa", DNS_TLSA, 0, SHAPE_ALL_FIELDS, false },
	{ "txt", DNS_TXT, 0, SHAPE_FIRST_ONLY, false },
	{ "zns", DNS_NS, 0, SHAPE_ALL_FIELDS, true },
};

enum strictness { NEVER, LAX, STRICT };

struct query {
	struct lookup_world *world;
	struct arena *arena;
	struct error *error;
	int64_t deadline;
	struct slice separator, fields; /* fields.data NULL: not given */
	enum strictness defer, dnssec;
	const struct kind *kind;
	struct piece_text text;
	struct buf out;
	size_t records;
	bool secure, overflow;
	bool failed; /* a question had a temporary error; *error says which */
};

/* ---- Reading the query ---- */

/* The words of a peer do not begin a modifier or a type. */
static bool take_word(struct piece_text *text, const char *word)
{
	struct slice want = slice_of(word);
	if (!slice_starts_nocase(slice_first(piece_text_rest(text), piece_text_written(text)), want))
		return false;
	text->at += want.len;
	return true;
}

static void read_separators(struct query *query)
{
	struct piece_text *text = &query->text;
	piece_text_skip_space(text);
	if (!piece_text_is(text, '>'))
		return;
	text->at++;
	if (text->at < text->len)
		query->separator = slice_make(text->data + text->at++, 1);
	if (piece_text_is(text, ',')) {
		text->at++;
		query->fields = slice_make(text->data + text->at, text->at < text->len);
		text->at += query->fields.len;
	} else if (piece_text_is(text, ';')) {
		query->fields = SLICE("");
		text->at++;
	}
	piece_text_skip_space(text);
}

static bool read_strictness(struct piece_text *text, enum strictness *strictness_r)
{
	static const char *const words[] = { [NEVER] = "never", [LAX] = "lax", [STRICT] = "strict" };
	for (int i = NEVER; i <= STRICT; i++)
		if (take_word(text, words[i])) {
			*strictness_r = (enum strictness)i;
			return true;
		}
	return false;
}

/* What stands before the comma. */
static struct slice read_value(struct piece_text *text)
{
	struct slice rest = piece_text_rest(text), value = slice_first(rest, slice_find(rest, ','));
	text->at += value.len;
	return slice_trim(value);
}

/* An interval (base/interval.h), in ns and a day at most; 0 when it is none. */
static int64_t parse_interval(struct slice text)
{
	const struct interval_rule rule = { .bare = true, .number_max = 9999999, .max = INT64_MAX };
	const int64_t day = 24 * 3600;
	int64_t seconds;
	if (!interval_parse(text, &rule, &seconds))
		return 0;
	return (seconds < day ? seconds : day) * CLOCK_SECOND;
}

static enum expand_result wrong(struct query *query, const char *what)
{
	return lookup_defer(query->error, "%s", what);
}

/* "defer_strict," and so on. */
static enum expand_result read_modifiers(struct query *query)
{
	struct piece_text *text = &query->text;
	int64_t retransmit = 0;
	uint64_t retries = 0;
	for (;;) {
		if (take_word(text, "defer_")) {
			if (!read_strictness(text, &query->defer))
				return wrong(query, "unsupported dnsdb defer behaviour");
		} else if (take_word(text, "dnssec_")) {
			if (!read_strictness(text, &query->dnssec))
				return wrong(query, "unsupported dnsdb dnssec behaviour");
		} else if (take_word(text, "retrans_")) {
			retransmit = parse_interval(read_value(text));
			if (retransmit <= 0)
				return wrong(query, "unsupported dnsdb timeout value");
		} else if (take_word(text, "retry_")) {
			if (!slice_parse_u64(read_value(text), 100, &retries))
				return wrong(query, "unsupported dnsdb retry count");
		} else {
			break;
		}
		piece_text_skip_space(text);
		if (!piece_text_is(text, ','))
			return wrong(query, "dnsdb modifier syntax error");
		text->at++;
		piece_text_skip_space(text);
	}
	/* libunbound decides itself when to send again; the two bound the time of a question (resolver(3)). */
	if (retransmit) {
		int64_t limit = retransmit;
		for (uint64_t i = 1; i < (retries ? retries : 2) && limit < LOOKUP_TIME_MAX; i++)
			limit = 2 * limit + retransmit;
		int64_t latest = clock_after(limit);
		query->deadline = latest < query->deadline ? latest : query->deadline;
	}
	return EXPAND_OK;
}

static enum expand_result read_type(struct query *query)
{
	struct piece_text *text = &query->text;
	size_t equals = piece_text_find(text, '=');
	struct slice name = slice_of("txt");
	if (equals < text->len) {
		name = slice_trim(slice_make(text->data + text->at, equals - text->at));
		text->at = equals + 1;
		piece_text_skip_space(text);
	}
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (slice_equal_nocase(name, slice_of(kinds[i].name)))
			query->kind = &kinds[i];
	if (slice_equal_nocase(name, SLICE("csa")))
		return lookup_fail(query->error, "the dnsdb type csa is not available in Postern");
	return query->kind ? EXPAND_OK : wrong(query, "unsupported DNS record type");
}

/* ---- Questions ---- */

static void put(struct query *query, struct slice bytes)
{
	query->overflow = !buf_append(&query->out, bytes) || query->overflow;
}

static void put_record(struct query *query, const struct dns_fields *fields)
{
	enum shape shape = query->kind->shape;
	struct slice between = query->fields.data ? query->fields : shape == SHAPE_JOINED ? SLICE("") : SLICE(" ");
	size_t first = shape == SHAPE_LAST_FIELD ? fields->count - 1 : 0;
	size_t end = shape == SHAPE_FIRST_ONLY && !query->fields.data ? 1 : fields->count;
	if (query->records++)
		put(query, query->separator);
	for (size_t i = first; i < end; i++) {
		if (i > first)
			put(query, between);
		put(query, fields->items[i]);
	}
}

static void put_answer(struct query *query, unsigned type, const struct dns_answer *answer)
{
	for (size_t i = 0; i < answer->count; i++) {
		struct dns_fields fields;
		if (dns_fields_parse(type, answer->records[i].data, query->arena, &fields))
			put_record(query, &fields);
	}
}

/* For SOA and ZNS also the names above it, but not the root. */
static void ask_upwards(struct query *query, struct slice name, unsigned type, struct dns_answer *answer)
{
	lookup_dns(query->world, name, type, query->deadline, query->arena, answer);
	for (int i = 0; i < PARENTS_MAX && query->kind->parents; i++) {
		name = dns_name_parent(name);
		if ((answer->outcome != DNS_NO_NAME && answer->outcome != DNS_NO_DATA) || !name.len)
			return;
		lookup_dns(query->world, name, type, query->deadline, query->arena, answer);
	}
}

static enum expand_result ask_one(struct query *query, struct slice name, unsigned type)
{
	struct dns_answer answer;
	ask_upwards(query, name, type, &answer);
	bool secure = answer.security == DNS_SECURE && query->dnssec != NEVER;
	query->secure = query->secure && secure;
	if (answer.outcome == DNS_NO_NAME || answer.outcome == DNS_NO_DATA)
		return EXPAND_OK;
	bool too_weak = answer.outcome == DNS_FOUND && query->dnssec == STRICT && !secure;
	if (answer.outcome == DNS_FOUND && !too_weak) {
		put_answer(query, type, &answer);
		return EXPAND_OK;
	}
	if (query->defer == NEVER)
		return EXPAND_OK;
	if (!query->failed && too_weak)
		lookup_defer(query->error, "%.*s: the answer is not secured by DNSSEC", SLICE_ARG(name));
	else if (!query->failed)
		lookup_defer(query->error, "%.*s", SLICE_ARG(answer.why));
	query->failed = true;
	return query->defer == STRICT ? EXPAND_DEFER : EXPAND_OK;
}

static enum expand_result ask_name(struct query *query, struct slice name)
{
	struct net_address address;
	struct slice clean;
	struct error ignored;
	if (query->kind->type == DNS_PTR && net_address_parse(name, &address))
		name = dns_reverse_name(&address, query->arena);
	if (!dns_name_parse(name, query->arena, &clean, &ignored))
		return EXPAND_OK; /* what cannot be a name does not exist */
	enum expand_result result = EXPAND_OK;
	if (query->kind->also)
		result = ask_one(query, clean, query->kind->also);
	return result == EXPAND_OK ? ask_one(query, clean, query->kind->type) : result;
}

/* ---- The list of names ---- */

static enum expand_result ask_names(struct query *query)
{
	struct piece_text *text = &query->text;
	struct net_address address;
	struct piece_text name;
	enum expand_result result = EXPAND_OK;
	/* An IPv6 address is full of colons; alone, it is no list. */
	if (query->kind->type == DNS_PTR && net_address_parse(slice_trim(piece_text_rest(text)), &address))
		return ask_name(query, slice_trim(piece_text_rest(text)));
	char separator = piece_text_take_separator(text);
	bool all = piece_text_all_bound(text);
	for (size_t count = 0; result == EXPAND_OK && piece_text_next(text, separator, all, query->arena, &name); count++) {
		if (count == NAMES_MAX)
			return lookup_fail(query->error, "a dnsdb lookup of more than %d names", NAMES_MAX);
		result = ask_name(query, piece_text_rest(&name));
	}
	return result;
}

static enum expand_result run(struct query *query, struct expand_answer *answer_r)
{
	read_separators(query);
	enum expand_result result = read_modifiers(query);
	if (result == EXPAND_OK)
		result = read_type(query);
	if (result == EXPAND_OK)
		result = ask_names(query);
	if (result != EXPAND_OK)
		return result;
	/* As a lax query does it: a temporary error counts when nothing was found. */
	if (query->records == 0 && query->failed)
		return EXPAND_DEFER;
	if (query->overflow)
		return lookup_fail(query->error, "the answer of the DNS is longer than %d bytes", TEXT_MAX);
	*answer_r = (struct expand_answer){
		.found = query->records > 0,
		.text = arena_copy(query->arena, buf_slice(&query->out)),
		.tainted = true,
		.secure = query->secure,
		.number = query->dnssec != NEVER, /* whether `secure` means anything */
	};
	return EXPAND_OK;
}

static enum expand_result find(struct lookup_world *world, const struct search *search, const struct expand_request *request,
			       struct slice key, struct arena *arena, struct expand_answer *answer_r, struct error *error)
{
	(void)search;
	(void)key;
	struct query query = {
		.world = world, .arena = arena, .error = error, .deadline = request->deadline, .separator = SLICE("\n"),
		.defer = LAX, .dnssec = LAX, .secure = true,
	};
	buf_init(&query.out, TEXT_MAX);
	query.text = request->piece_count ? piece_text_join(request->pieces, request->piece_count, arena)
					  : piece_text_plain(request->key, arena);
	enum expand_result result = run(&query, answer_r);
	buf_free(&query.out);
	return result;
}

const struct lookup_driver lookup_driver_dnsdb = { .name = "dnsdb", .find = find };
