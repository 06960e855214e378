/* SPDX-License-Identifier: ISC */
/*
 * Lists that ask: lookups, names of hosts, MX records, regular expressions; and lists with expansions. The world is a table of
 * questions and answers; where Exim has the feature, the expected answers are those that Exim 4.96 gave.
 */
#include "base/test.h"
#include "expand/regex.h"
#include "match/list.h"

/* "TYPE FILE KEY" -> text; "!" defers, NULL: not found. */
struct fact {
	const char *question, *answer;
};

static const struct fact facts[] = {
	{ "lookup lsearch /ls a.b", "data one" },
	{ "lookup lsearch /ls empty", "" },
	{ "lookup lsearch /slow a.b", "!" },
	{ "lookup partial-lsearch /ls x.c.d", "wild data" },
	{ "lookup lsearch*@ /ls joe@x.y", "star at" },
	{ "lookup lsearch /ls joe@x.y", "whole" },
	{ "lookup lsearch /ls joe", "local data" },
	{ "lookup lsearch /ls host.example", "by name" },
	{ "lookup lsearch /ls x.y", "domain data" },
	{ "lookup lsearch /ips 10.0.0.1", "ip one" },
	{ "lookup lsearch /ips 192.168.34.0/24", "netdata" },
	{ "lookup lsearch /ips 2001.0db8.0000.0000.0000.0000.0000.0025", "six" },
	{ "lookup iplsearch /ips 2001:0db8:0000:0000:0000:0000:0000:0025", "colons" },
	{ "lookup lsearch /ips 2001.0db8.0000.0000.0000.0000.0000.0000/32", "six net" },
	{ "lookup lsearch* /atat dom.ex", "joe : ^j.m : *ann : !bad : >*" },
	{ "lookup lsearch* /atat *", "post" },
	{ "lookup lsearch* /atat list.ex", "a::b : !c : *" },
	{ "lookup lsearch* /atat loop.ex", "x : >loop.ex" },
	{ "lookup sqlite /db select 1", "1" },
	{ "lookup sqlite  select d from t where d='{a.b}'", "found" },
	{ "lookup sqlite  select d from t where d='{it's}'", "quoted" },
	{ "lookup dnsdb  mx={mine.example}", "10 mx.example\n20 other.example" },
	{ "lookup dnsdb  mx={backup.example}", "20 mx.example\n10 other.example" },
	{ "lookup dnsdb  mx={theirs.example}", "10 other.example" },
	{ "lookup dnsdb  mx={null.example}", "0 ." },
	{ "lookup dnsdb  mx={slow.example}", "!" },
	{ "lookup dnsdb  mx={slowhost.example}", "10 slow.host.example" },
	{ "lookup dnsdb  mx={loop.example}", "5 local.example\n10 mx.example" },
	{ "addresses mx.example", "10.45.23.56" },
	{ "addresses other.example", "192.0.2.99" },
	{ "addresses local.example", "127.0.0.1" },
	{ "addresses slow.host.example", "!" },
	{ "addresses friend.example", "192.0.2.7 2001:db8::7" },
	{ "addresses slow.example", "!" },
	{ "names 10.0.0.9", "host.example alias.example" },
	{ "names 10.0.0.8", "!" },
	{ "names 10.0.0.7", NULL },
	{ "file /late", "late.example\n" },
};

struct world {
	struct arena arena;
	struct list_scope scope;
	struct list_forms forms;
	struct expand_language language;
	struct expand_context context;
	struct { enum list_kind kind; const char *name; const struct list *list; } named[12];
	size_t named_count;
	unsigned asked;       /* questions so far */
	struct slice variable[EXPAND_VARIABLES];
	bool clean;           /* variables are not tainted */
	struct slice searches, paths; /* what the language was told */
};

static struct slice question_of(const struct expand_request *request, struct arena *arena)
{
	struct slice text = arena_printf(arena, "lookup %.*s %.*s %.*s", SLICE_ARG(request->type), SLICE_ARG(request->file),
					 SLICE_ARG(request->key));
	switch (request->service) {
	case EXPAND_SERVICE_HOST_NAMES:
		return arena_printf(arena, "names %.*s", SLICE_ARG(request->key));
	case EXPAND_SERVICE_HOST_ADDRESSES:
		return arena_printf(arena, "addresses %.*s", SLICE_ARG(request->key));
	case EXPAND_SERVICE_READ_FILE:
		return arena_printf(arena, "file %.*s", SLICE_ARG(request->file));
	default:
		break;
	}
	/* Values stand in braces: they must never be part of the query's own text. */
	for (size_t i = 0; i < request->piece_count; i++)
		text = arena_printf(arena, request->pieces[i].value ? "%.*s{%.*s}" : "%.*s%.*s", SLICE_ARG(text),
				    SLICE_ARG(request->pieces[i].text));
	return text;
}

static enum expand_result ask(void *owner, const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
			      struct error *error)
{
	struct world *world = owner;
	struct slice question = question_of(request, arena);
	world->asked++;
	assert_true(request->deadline > 0);
	*answer_r = (struct expand_answer){ 0 };
	for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
		if (!slice_equal(question, slice_of(facts[i].question)))
			continue;
		if (!facts[i].answer)
			return EXPAND_OK;
		if (facts[i].answer[0] == '!') {
			error_set(error, ERROR_TEMPORARY, "no answer in time");
			return EXPAND_DEFER;
		}
		answer_r->found = true;
		answer_r->text = arena_copy(arena, slice_of(facts[i].answer));
		if (request->service == EXPAND_SERVICE_HOST_NAMES)
			*strchr((char *)(uintptr_t)answer_r->text.data, ' ') = '\0';
		if (slice_starts(request->type, SLICE("partial")))
			answer_r->wild = SLICE("x"), answer_r->fixed = SLICE("c.d");
		return EXPAND_OK;
	}
	return EXPAND_OK;
}

static struct expand_value variable(void *owner, enum expand_variable number)
{
	const struct world *world = owner;
	return (struct expand_value){ world->variable[number], !world->clean };
}

static const struct list *named(void *owner, enum list_kind kind, struct slice name)
{
	struct world *world = owner;
	for (size_t i = 0; i < world->named_count; i++)
		if (world->named[i].kind == kind && slice_equal(name, slice_of(world->named[i].name)))
			return world->named[i].list;
	return NULL;
}

static bool read_file(void *owner, struct slice path, struct slice *text_r, struct error *error)
{
	(void)owner;
	*text_r = SLICE("p1.example\n*.P2.example\n");
	if (slice_equal(path, SLICE("/plain")))
		return true;
	if (!slice_equal(path, SLICE("/items")))
		return error_set(error, ERROR_USAGE, "no such file");
	*text_r = SLICE("plain.example # comment\n^r[0-9]+\\.example$\nlsearch;/ls\n!last.example\n");
	return true;
}

static void uses_search(void *owner, struct slice type)
{
	struct world *world = owner;
	world->searches = arena_printf(&world->arena, "%.*s %.*s", SLICE_ARG(world->searches), SLICE_ARG(type));
}

static void uses_path(void *owner, struct slice path, enum expand_service service)
{
	struct world *world = owner;
	world->paths = arena_printf(&world->arena, "%.*s %s%.*s", SLICE_ARG(world->paths), service == EXPAND_SERVICE_READ_FILE ? "<" : "",
				    SLICE_ARG(path));
}

static const struct list *compiled(struct world *world, enum list_kind kind, const char *text)
{
	const struct list *list = NULL;
	struct error error = { 0 };
	if (!list_compile(&world->arena, kind, slice_of(text), &world->scope, &list, &error))
		fail_msg("\"%s\": %s", text, error.text);
	return list;
}

static void define(struct world *world, enum list_kind kind, const char *name, const char *text)
{
	const struct list *list = compiled(world, kind, text);
	world->named[world->named_count].kind = kind;
	world->named[world->named_count].name = name;
	world->named[world->named_count++].list = list;
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	static struct net_address interfaces[1];
	net_address_parse(SLICE("10.45.23.56"), &interfaces[0]);
	arena_init(&world->arena, 0);
	world->scope = (struct list_scope){
		.owner = world, .named = named, .read_file = read_file, .primary_hostname = SLICE("mx.example"),
		.interfaces = interfaces, .interface_count = 1, .language = &world->language,
		.place = EXPAND_PLACE_DELIVERY, .forms = &world->forms,
	};
	world->language = (struct expand_language){
		.owner = world, .scratch = regex_scratch_new(), .uses_search = uses_search, .uses_path = uses_path,
	};
	list_language_init(&world->language, &world->scope);
	world->context = (struct expand_context){ .owner = world, .variable = variable, .ask = ask, .language = &world->language };
	define(world, LIST_DOMAIN, "looked", "lsearch;/ls");
	define(world, LIST_DOMAIN, "varies", "$sender_helo_name");
	define(world, LIST_HOST, "friends", "*.friend.example : friend.example");
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	list_forms_free(&world->forms);
	regex_scratch_free(&world->language.scratch);
	arena_free(&world->arena);
	free(world);
	return 0;
}

/* Subjects: an IP address, a domain, an address or a local part. */
static enum expand_result match_list(struct world *world, const struct list *list, const char *text, struct list_match *match,
				     struct error *error)
{
	struct net_address host;
	struct slice subject_text = slice_of(text);
	struct list_subject subject = { .domain = subject_text, .local_part = subject_text, .string = subject_text };
	if (list_kind(list) == LIST_HOST && subject_text.len) {
		assert_true(net_address_parse(subject_text, &host));
		subject.host = &host;
	}
	if (list_kind(list) == LIST_ADDRESS) {
		size_t at = slice_find_last(subject_text, '@');
		subject.local_part = slice_first(subject_text, at);
		subject.domain = slice_from(subject_text, at + 1);
	}
	return list_match(list, &subject, &world->context, &world->arena, match, error);
}

static enum expand_result match_text(struct world *world, enum list_kind kind, const char *list, const char *text,
				     struct list_match *match, struct error *error)
{
	return match_list(world, compiled(world, kind, list), text, match, error);
}

struct row {
	const char *list, *subject;
	const char *result; /* "yes DATA", "no", "defer TEXT", "fail TEXT"; of errors a part */
};

static void check_row(struct world *world, enum list_kind kind, const struct row *row)
{
	struct list_match match;
	struct error error = { 0 };
	char got[700];
	switch (match_text(world, kind, row->list, row->subject, &match, &error)) {
	case EXPAND_OK:
		snprintf(got, sizeof got, match.yes ? "yes %.*s" : "no", SLICE_ARG(match.data));
		if (strcmp(got, row->result) != 0)
			fail_msg("\"%s\" in \"%s\": %s, expected %s", row->subject, row->list, got, row->result);
		return;
	case EXPAND_DEFER:
		snprintf(got, sizeof got, "defer %s", error.text);
		break;
	default:
		snprintf(got, sizeof got, "fail %s", error.text);
	}
	assert_false(match.yes);
	size_t word = strcspn(row->result, " ");
	if (strncmp(got, row->result, word) != 0 || (row->result[word] && !strstr(got, row->result + word + 1)))
		fail_msg("\"%s\" in \"%s\": %s, expected %s", row->subject, row->list, got, row->result);
}

#define CHECK_ROWS(kind, table)                                          \
	for (size_t i_ = 0; i_ < sizeof(table) / sizeof *(table); i_++) \
		check_row(*state, kind, &(table)[i_])

static void test_regular_expressions(void **state)
{
	static const struct row domains[] = {
		{ "\\N^f(.)o\\.\\N", "foo.bar", "yes ^f(.)o\\." },
		{ "^f.o", "FOO.bar", "yes ^f.o" },
		{ "^f.o\\$", "foo.bar", "no" },
		{ "\\N^(?-i)A(.)\\N", "Abc", "yes ^(?-i)A(.)" },
		{ "\\N^(?-i)A(.)\\N", "abc", "no" },
		{ "! ^x : *", "xy", "no" },
		{ "! ^x : *", "y", "yes *" },
		{ "a.b : ^a : *.b", "a.c", "yes ^a" },
		{ "/items", "r12.example", "yes ^r[0-9]+\\.example$" },
		{ "/items", "rx.example", "yes " },
		{ "/items", "last.example", "no" },
	};
	static const struct row local_parts[] = {
		{ "\\N^j(.)e\\N", "Joe", "yes ^j(.)e" },
		{ "+caseful : ^j", "Joe", "no" },
		{ "+caseful : ^J", "Joe", "yes ^J" },
	};
	static const struct row addresses[] = {
		{ "\\N^joe@\\N", "JOE@x.y", "yes ^joe@" },
		{ "\\N^(?-i)A(.)\\N", "Abc@X.y", "no" },
		{ "\\N^(?-i)abc@x\\N", "Abc@X.y", "yes ^(?-i)abc@x" },
		{ "+caseful : ^Abc@x", "Abc@X.y", "yes ^Abc@x" },
		{ "\\N^$\\N", "", "yes ^$" },
		{ "*@\\N^x\\N", "joe@x.y", "yes *@^x" },
		{ "*@!x.y", "joe@x.y", "no" },
		{ "*@!a.b", "joe@x.y", "yes *@!a.b" },
	};
	CHECK_ROWS(LIST_DOMAIN, domains);
	CHECK_ROWS(LIST_LOCAL_PART, local_parts);
	CHECK_ROWS(LIST_ADDRESS, addresses);
}

static void test_regex_that_backtracks_without_end_fails(void **state)
{
	static const struct row table[] = {
		{ "^(a+)+(a+)+(a+)+\\$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "fail " },
	};
	CHECK_ROWS(LIST_DOMAIN, table);
}

static void test_numbers(void **state)
{
	static const struct {
		enum list_kind kind;
		const char *list, *subject, *numbers[4];
	} table[] = {
		{ LIST_DOMAIN, "*.bar", "Foo.bar", { "foo.bar", "foo" } },
		{ LIST_DOMAIN, "foo.bar", "foo.bar", { "foo.bar" } },
		{ LIST_DOMAIN, "\\N^f(.)(o)\\N", "Foo.bar", { "Foo.bar", "o", "o" } },
		{ LIST_DOMAIN, "partial-lsearch;/ls", "x.c.d", { "x.c.d", "x", "c.d" } },
		{ LIST_DOMAIN, "lsearch;/ls", "a.b", { "a.b" } },
		{ LIST_LOCAL_PART, "*oe", "Joe", { "joe", "j" } },
		{ LIST_ADDRESS, "*@*.y", "joe@x.Y", { "joe@x.y", "joe", "x" } },
		{ LIST_ADDRESS, "*oe@x.y", "joe@x.y", { "joe@x.y", "j" } },
		{ LIST_ADDRESS, "*.y", "joe@x.y", { "joe@x.y", "x" } },
		{ LIST_ADDRESS, "\\N^(j)oe@(.*)\\N", "joe@x.y", { "joe@x.y", "j", "x.y" } },
		{ LIST_HOST, "10.0.0.0/8", "10.0.0.1", { NULL } },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct list_match match;
		struct error error;
		assert_int_equal(match_text(*state, table[i].kind, table[i].list, table[i].subject, &match, &error), EXPAND_OK);
		assert_true(match.yes);
		size_t count = 0;
		for (; count < 4 && table[i].numbers[count]; count++)
			if (count >= match.number_count || !slice_equal(match.numbers[count], slice_of(table[i].numbers[count])))
				fail_msg("%s: $%zu is not %s", table[i].list, count, table[i].numbers[count]);
		assert_int_equal(match.number_count, count);
	}
}

static void test_lookups_by_name(void **state)
{
	static const struct row domains[] = {
		{ "lsearch;/ls", "A.b", "yes data one" },
		{ "lsearch;/ls", "empty", "yes " },
		{ "lsearch;/ls", "none", "no" },
		{ "! lsearch;/ls", "a.b", "no" },
		{ "! lsearch;/ls", "none", "yes " },
		{ "partial-lsearch;/ls", "x.c.d", "yes wild data" },
		{ "a.b : lsearch;/slow", "a.b", "yes a.b" },
		{ "lsearch;/slow : a.b", "a.b", "defer lookup lsearch in /slow: no answer in time" },
		{ "sqlite;/db select 1", "any", "yes 1" },
		{ "+looked : *.b", "a.b", "yes data one" },
		{ "/items", "a.b", "yes data one" },
	};
	static const struct row addresses[] = {
		{ "lsearch;/ls", "Joe@x.y", "yes whole" },
		{ "lsearch*@;/ls", "joe@X.y", "yes star at" },
		{ "partial-lsearch;/ls", "joe@x.y", "yes whole" },
		{ "+caseful : lsearch;/ls", "Joe@x.y", "no" },
		{ "lsearch;/ls", "", "no" },
		{ "sqlite;/db select 1", "", "yes 1" },
		{ "*@lsearch;/ls", "q@x.y", "yes *@lsearch;/ls" },
		{ "j*@lsearch;/ls", "q@x.y", "no" },
		{ "*@+looked", "q@a.b", "yes *@+looked" },
		{ "*@/items", "q@plain.example", "yes *@/items" },
		{ "@@lsearch*;/atat", "joe@dom.ex", "yes joe" },
		{ "@@lsearch*;/atat", "jim@dom.ex", "yes ^j.m" },
		{ "@@lsearch*;/atat", "xann@dom.ex", "yes *ann" },
		{ "@@lsearch*;/atat", "bad@dom.ex", "no" },
		{ "@@lsearch*;/atat", "post@dom.ex", "yes post" },
		{ "@@lsearch*;/atat", "q@dom.ex", "no" },
		{ "@@lsearch*;/atat", "a:b@list.ex", "yes a:b" },
		{ "@@lsearch*;/atat", "c@list.ex", "no" },
		{ "@@lsearch*;/atat", "d@list.ex", "yes *" },
		{ "@@lsearch*;/atat", "x@loop.ex", "yes x" },
		{ "@@lsearch*;/atat", "y@loop.ex", "fail in a circle" },
	};
	static const struct row local_parts[] = {
		{ "lsearch;/ls", "Joe", "yes local data" },
		{ "+caseful : lsearch;/ls", "Joe", "no" },
		{ "@", "mx.example", "no" },
		{ "lsearch;/ls", "", "no" },
	};
	CHECK_ROWS(LIST_DOMAIN, domains);
	CHECK_ROWS(LIST_ADDRESS, addresses);
	CHECK_ROWS(LIST_LOCAL_PART, local_parts);
}

static void test_hosts(void **state)
{
	static const struct row table[] = {
		/* By address. */
		{ "net-lsearch;/ips", "10.0.0.1", "yes ip one" },
		{ "net24-lsearch;/ips", "192.168.34.6", "yes netdata" },
		{ "net32-lsearch;/ips", "10.0.0.1", "no" },
		{ "net-lsearch;/ips", "2001:db8::25", "yes six" },
		{ "net32-lsearch;/ips", "2001:db8::25", "yes six net" },
		{ "net-iplsearch;/ips", "2001:db8::25", "yes colons" },
		{ "net-sqlite;/db select 1", "10.0.0.1", "yes 1" },
		{ "sqlite;/db select 1", "10.0.0.7", "yes 1" },
		/* By name: 10.0.0.9 has two, 10.0.0.7 none, for 10.0.0.8 there is no answer. */
		{ "*.example", "10.0.0.9", "yes " },
		{ "^alias", "10.0.0.9", "yes " },
		{ "^lias", "10.0.0.9", "no" },
		{ "lsearch;/ls", "10.0.0.9", "yes by name" },
		{ "*.other : 10.0.0.9", "10.0.0.9", "yes " },
		{ "*.other : 10.0.0.7", "10.0.0.7", "no" },
		{ "10.0.0.7 : *.other", "10.0.0.7", "yes " },
		{ "+ignore_unknown : *.other : ^x : lsearch;/ls : 10.0.0.7", "10.0.0.7", "yes " },
		{ "+include_unknown : *.other", "10.0.0.7", "yes " },
		{ "+include_unknown : ! *.other", "10.0.0.7", "yes " },
		{ "! *.other", "10.0.0.7", "no" },
		{ "*.other : *", "10.0.0.8", "defer looking up the host name of 10.0.0.8: no answer in time" },
		{ "+ignore_defer : *.other : *", "10.0.0.8", "yes " },
		{ "+include_defer : *.other", "10.0.0.8", "yes " },
		{ "+include_unknown : *.other", "10.0.0.8", "defer " },
		{ "+ignore_defer : ^x : ! 10.0.0.8 : *", "10.0.0.8", "no" },
		/* Names whose addresses are compared. */
		{ "friend.example", "192.0.2.7", "yes " },
		{ "friend.example", "2001:db8::7", "yes " },
		{ "friend.example", "192.0.2.8", "no" },
		{ "@", "10.45.23.56", "yes " },
		{ "none.example : 192.0.2.7", "192.0.2.7", "no" },
		{ "+ignore_unknown : none.example : 192.0.2.7", "192.0.2.7", "yes " },
		{ "+include_unknown : none.example", "192.0.2.7", "yes " },
		{ "slow.example : 192.0.2.7", "192.0.2.7", "defer " },
		{ "192.0.2.7 : slow.example", "192.0.2.7", "yes " },
		{ "slow.example : friend.example", "192.0.2.7", "defer looking up the addresses of slow.example" },
		{ "+ignore_defer : slow.example : friend.example", "192.0.2.7", "yes " },
		/* A list in the list has its own rules; an unknown name in it is no match there. */
		{ "+friends : 10.0.0.7", "10.0.0.7", "yes " },
		{ "+ignore_unknown : ! +friends", "10.0.0.7", "yes " },
		{ ": *.other", "", "yes " },
		{ "*.other", "", "no" },
	};
	CHECK_ROWS(LIST_HOST, table);
}

static void test_the_name_is_asked_for_once(void **state)
{
	struct world *world = *state;
	struct net_address host;
	struct list_host_names names = { .arena = &world->arena };
	struct list_match match;
	struct error error;
	const struct list *list = compiled(world, LIST_HOST, "+ignore_unknown : *.a : ^b : ! *.c : ^d : *.e");
	const struct list *forward = compiled(world, LIST_HOST, "host.example");
	struct list_subject subject = { .host = &host, .kept_names = &names };
	assert_true(net_address_parse(SLICE("10.0.0.9"), &host));
	list_match(list, &subject, &world->context, &world->arena, &match, &error);
	assert_int_equal(world->asked, 1);
	assert_int_equal(names.count, 2);
	list_match(list, &subject, &world->context, &world->arena, &match, &error);
	assert_int_equal(world->asked, 1);
	/* A name found is confirmed by its addresses already. */
	assert_int_equal(list_match(forward, &subject, &world->context, &world->arena, &match, &error), EXPAND_OK);
	assert_true(match.yes);
	assert_int_equal(world->asked, 1);
}

static void test_mx(void **state)
{
	struct world *world = *state;
	static const struct row table[] = {
		{ "@mx_any", "mine.example", "yes @mx_any" },
		{ "@mx_primary", "mine.example", "yes @mx_primary" },
		{ "@mx_secondary", "mine.example", "no" },
		{ "@mx_any", "backup.example", "yes @mx_any" },
		{ "@mx_primary", "backup.example", "no" },
		{ "@mx_secondary", "backup.example", "yes @mx_secondary" },
		{ "@mx_any", "theirs.example", "no" },
		{ "@mx_any", "null.example", "no" },
		{ "@mx_any", "absent.example", "no" },
		{ "@mx_any", "[10.45.23.56]", "no" },
		{ "@mx_any", "slow.example", "defer looking up the MX records of slow.example" },
		{ "@mx_any", "slowhost.example", "defer " },
		{ "@mx_any/ignore=10.45.23.56", "mine.example", "no" },
		{ "@mx_any/ignore=<;10.1.1.1;10.45.23.56", "mine.example", "no" },
		{ "@mx_primary", "loop.example", "no" },
		{ "@mx_primary/ignore=127.0.0.0/8", "loop.example", "yes @mx_primary/ignore=127.0.0.0/8" },
		{ "! @mx_any", "mine.example", "no" },
	};
	CHECK_ROWS(LIST_DOMAIN, table);
	static const struct row address = { "*@@mx_any", "joe@mine.example", "yes *@@mx_any" };
	check_row(world, LIST_ADDRESS, &address);
	const struct list *as_local = compiled(world, LIST_DOMAIN, "@mx_any : other.example");
	world->scope.hosts_treat_as_local = &as_local;
	static const struct row named_local = { "@mx_any", "theirs.example", "yes @mx_any" };
	check_row(world, LIST_DOMAIN, &named_local);
}

static void test_without_a_context_what_asks_fails(void **state)
{
	struct world *world = *state;
	static const char *const table[] = { "lsearch;/ls", "@mx_any", "$sender_helo_name", "+looked" };
	const struct list_subject subject = { .domain = SLICE("mine.example") };
	struct list_match match;
	struct error error;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct list *list = compiled(world, LIST_DOMAIN, table[i]);
		assert_true(list_asks(list));
		assert_int_equal(list_match(list, &subject, NULL, NULL, &match, &error), EXPAND_FAIL);
		assert_false(match.yes);
	}
	assert_false(list_asks(compiled(world, LIST_DOMAIN, "a.b : *.c : ^d : @ : @[]")));
	assert_false(list_asks(compiled(world, LIST_HOST, "10.0.0.0/8 : @[] : *")));
	assert_true(list_asks(compiled(world, LIST_HOST, "*.b")));
}

static void test_expansions(void **state)
{
	struct world *world = *state;
	world->variable[EXPAND_SENDER_HELO_NAME] = SLICE("a.b : *.c : joe");
	world->variable[EXPAND_SENDER_HOST_NAME] = SLICE("lsearch;/ls");
	world->variable[EXPAND_SENDER_ADDRESS] = SLICE("/items");
	world->variable[EXPAND_SENDER_ADDRESS_DOMAIN] = SLICE("a.b");
	world->variable[EXPAND_LOCAL_PART] = SLICE("it's");
	world->variable[EXPAND_RECEIVED_PROTOCOL] = SLICE("^a");
	world->variable[EXPAND_TLS_IN_CIPHER] = SLICE("+looked");
	world->variable[EXPAND_TLS_IN_SNI] = SLICE("@mx_any");
	static const struct row table[] = {
		{ "$sender_helo_name", "a.b", "yes a.b" },
		{ "$sender_helo_name", "x.c", "yes *.c" },
		{ "$sender_helo_name", "q", "no" },
		{ "! $sender_helo_name", "a.b", "no" },
		{ "! a.${sender_address_domain}", "a.a.b", "no" },
		{ "x.y : $sender_helo_name : z", "z", "yes z" },
		{ "$primary_hostname : $domain", "q.example", "yes q.example" },
		{ "<; $sender_helo_name", "a.b : *.c : joe", "yes a.b : *.c : joe" },
		{ "\\N^$\\N : $sender_helo_name", "", "yes ^$" },
		/* A peer's text is never more than a plain item. */
		{ "$sender_host_name", "a.b", "fail text from a peer cannot ask for a lookup" },
		{ "$sender_address", "plain.example", "fail Tainted" },
		{ "$received_protocol", "a.b", "fail text from a peer cannot be a regular expression" },
		{ "$tls_in_cipher", "a.b", "fail text from a peer cannot name a list" },
		{ "+${tls_in_cipher}", "a.b", "fail text from a peer cannot name a list" },
		{ "$tls_in_sni", "mine.example", "fail text from a peer cannot ask for a lookup" },
		{ "lsearch;/$sender_address_domain", "a.b", "fail Tainted" },
		{ "/lists/$sender_address_domain", "a.b", "fail Tainted" },
		{ "!/lists/$sender_address_domain", "a.b", "fail Tainted" },
		{ "^${sender_address_domain}\\$", "a.b", "yes ^a.b$" },
		/* In a query it is a parameter. */
		{ "sqlite;select d from t where d='$domain'", "a.b", "yes found" },
		{ "sqlite;select d from t where d='$local_part'", "a.b", "yes quoted" },
		{ "a.c : sqlite;select d from t where d='${sender_address_domain}' : x", "q", "yes found" },
		{ "+varies", "a.b", "yes a.b" },
		{ "/items : $sender_helo_name", "plain.example", "yes plain.example" },
		{ "/items : $sender_helo_name", "last.example", "no" },
		{ "/plain : $sender_helo_name", "P1.example", "yes p1.example" },
		{ "x : /plain : $sender_helo_name", "a.p2.example", "yes *.P2.example" },
		{ "! /plain : $sender_helo_name : !q", "a.p2.example", "no" },
		{ "! /plain : $sender_helo_name : !q", "other", "yes " },
		{ "$sender_helo_name : ! /plain", "other", "yes " },
	};
	CHECK_ROWS(LIST_DOMAIN, table);
	/* What the configuration computed itself can be anything. */
	world->clean = true;
	world->variable[EXPAND_HOME] = SLICE("lsearch;/ls");
	world->variable[EXPAND_TLS_IN_VER] = SLICE("/late");
	world->variable[EXPAND_MESSAGE_EXIM_ID] = SLICE("/nofile");
	static const struct row clean[] = {
		{ "$home", "a.b", "yes data one" },
		{ "x : $tls_in_ver : y", "late.example", "yes late.example" },
		{ "$message_exim_id : x", "late.example", "fail there is no such file" },
		{ "$tls_in_cipher", "a.b", "yes data one" },
		{ "$received_protocol", "abc", "yes ^a" },
	};
	CHECK_ROWS(LIST_DOMAIN, clean);
}

/* A file's items follow the case rule in force where it stands. */
static void test_files_in_lists_with_expansions_mind_the_case(void **state)
{
	struct world *world = *state;
	world->variable[EXPAND_SENDER_HELO_NAME] = SLICE("joe");
	static const struct row table[] = {
		{ "/plain : $sender_helo_name", "P1.EXAMPLE", "yes p1.example" },
		{ "+caseful : /plain : $sender_helo_name", "P1.EXAMPLE", "no" },
		{ "+caseful : /plain : $sender_helo_name", "p1.example", "yes p1.example" },
		{ "+caseful : /plain : $sender_helo_name", "x.p2.example", "no" },
		{ "/plain : +caseful : $sender_helo_name", "x.p2.example", "yes *.P2.example" },
		{ "/plain : +caseful : $sender_helo_name", "Joe", "no" },
	};
	CHECK_ROWS(LIST_LOCAL_PART, table);
}

/* Where files cannot be read when the list is compiled, they are asked for at each match. */
static void test_files_are_asked_for_when_they_cannot_be_read(void **state)
{
	struct world *world = *state;
	world->scope.read_file = NULL;
	world->variable[EXPAND_SENDER_HELO_NAME] = SLICE("x");
	static const struct row table[] = {
		{ "a.b : /late : c", "late.example", "yes late.example" },
		{ "a.b : ! /late : c", "late.example", "no" },
		{ "/late : $sender_helo_name", "late.example", "yes late.example" },
		{ "a.b : /none", "a.c", "fail there is no such file" },
	};
	CHECK_ROWS(LIST_DOMAIN, table);
	const struct list *list;
	struct error error;
	assert_false(list_compile(&world->arena, LIST_DOMAIN, SLICE("/late/../x"), &world->scope, &list, &error));
	assert_false(list_compile(&world->arena, LIST_DOMAIN, SLICE("/late : ^("), &world->scope, &list, &error));
}

static void test_taint_of_the_result(void **state)
{
	struct world *world = *state;
	struct list_match match;
	struct error error;
	world->variable[EXPAND_SENDER_HELO_NAME] = SLICE("a.b");
	assert_int_equal(match_text(world, LIST_DOMAIN, "$sender_helo_name", "a.b", &match, &error), EXPAND_OK);
	assert_true(match.yes && match.tainted);
	assert_int_equal(match_text(world, LIST_DOMAIN, "a.b : $sender_helo_name", "a.b", &match, &error), EXPAND_OK);
	assert_true(match.yes && !match.tainted);
	assert_int_equal(match_text(world, LIST_DOMAIN, "lsearch;/ls : $sender_helo_name", "a.b", &match, &error), EXPAND_OK);
	assert_true(match.yes && !match.tainted);
}

static void test_load_checks_what_is_written_between_expansions(void **state)
{
	struct world *world = *state;
	static const struct {
		const char *text, *want;
	} table[] = {
		{ "$domain : +nolist", "there is no domain list of the name \"nolist\"" },
		{ "a b : $domain", "no domain holds ' '" },
		{ "$domain : nosuch;/x : c", "unknown lookup type" },
		{ "nosuch;select '$domain'", "unknown lookup type" },
		{ "$domain : ^(", "regular expression" },
		{ "$domain : /none", "no such file" },
		{ "a : /plain : $domain : ^(", "regular expression" },
		{ "a : $nosuchvariable", "column" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct list *list;
		struct error error = { 0 };
		assert_false(list_compile(&world->arena, LIST_DOMAIN, slice_of(table[i].text), &world->scope, &list, &error));
		if (!strstr(error.text, table[i].want))
			fail_msg("\"%s\": \"%s\" lacks \"%s\"", table[i].text, error.text, table[i].want);
	}
}

static void test_language_is_told_of_files_and_types(void **state)
{
	struct world *world = *state;
	world->searches = world->paths = SLICE("");
	compiled(world, LIST_DOMAIN, "lsearch;/one : sqlite;/two select 1 : partial-cdb;/three");
	compiled(world, LIST_HOST, "net24-lsearch;/four");
	compiled(world, LIST_DOMAIN, "$domain : lsearch;/dir/$domain : sqlite;select '$domain' : /lists/${domain}x");
	assert_slice(world->searches, " lsearch sqlite cdb lsearch lsearch sqlite");
	assert_slice(world->paths, " /one /two /three /four /dir/ </lists/");
}

static void test_forms_are_kept_and_bounded(void **state)
{
	struct world *world = *state;
	struct list_match match;
	struct error error;
	const struct list *list = compiled(world, LIST_DOMAIN, "$sender_helo_name : x.example");
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < LIST_FORMS_MAX * 3; i++) {
			struct slice name = arena_printf(&world->arena, "d%zu.example", i);
			struct slice other = arena_printf(&world->arena, "d%zu.example", i + 1);
			world->variable[EXPAND_SENDER_HELO_NAME] = name;
			assert_int_equal(match_list(world, list, name.data, &match, &error), EXPAND_OK);
			assert_true(match.yes);
			assert_int_equal(match_list(world, list, other.data, &match, &error), EXPAND_OK);
			assert_false(match.yes);
		}
	}
}

static void test_named_lists_are_asked_once_a_message(void **state)
{
	struct world *world = *state;
	struct list_match match;
	struct error error;
	world->scope.cached = true;
	define(world, LIST_DOMAIN, "kept", "$sender_helo_name : lsearch;/ls");
	world->scope.cached = false;
	define(world, LIST_DOMAIN, "fresh", "$sender_helo_name : lsearch;/ls");
	static const struct {
		const char *list;
		unsigned asked;
	} table[] = { { "+looked", 1 }, { "+kept", 1 }, { "+fresh", 3 }, { "q : +looked : r", 1 }, { "*@+looked", 3 } };
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		enum list_kind kind = strchr(table[i].list, '@') ? LIST_ADDRESS : LIST_DOMAIN;
		const struct list *list = compiled(world, kind, table[i].list);
		struct list_subject subject = { .local_part = SLICE("u"), .domain = SLICE("a.b"),
						.cache = list_cache_new(&world->arena) };
		world->asked = 0;
		for (int round = 0; round < 3; round++) {
			assert_int_equal(list_match(list, &subject, &world->context, &world->arena, &match, &error), EXPAND_OK);
			assert_true(match.yes);
			if (kind == LIST_DOMAIN)
				assert_slice(match.data, "data one");
		}
		if (kind == LIST_DOMAIN)
			assert_int_equal(world->asked, table[i].asked);
		subject.domain = SLICE("other");
		assert_int_equal(list_match(list, &subject, &world->context, &world->arena, &match, &error), EXPAND_OK);
		assert_false(match.yes);
	}
}

/* Lists that name each other through their expansions end in an error, not in a full stack. */
static void test_circles_at_run_time_end(void **state)
{
	struct world *world = *state;
	struct list_match match;
	struct error error;
	world->clean = true;
	world->variable[EXPAND_HOME] = SLICE("+circle");
	define(world, LIST_DOMAIN, "circle", "$home");
	assert_int_equal(match_text(world, LIST_DOMAIN, "+circle", "a.b", &match, &error), EXPAND_FAIL);
	assert_non_null(strstr(error.text, "in a circle"));
}

static void test_conditions_of_the_language(void **state)
{
	struct world *world = *state;
	static const struct {
		enum expand_list kind;
		const char *list, *subject, *result;
		bool caseless;
	} table[] = {
		{ EXPAND_LIST_STRING, "a:b", "a", "yes a", false },
		{ EXPAND_LIST_STRING, "A:b", "a", "no", false },
		{ EXPAND_LIST_STRING, "A:b", "a", "yes A", true },
		{ EXPAND_LIST_STRING, "a:A", "A", "yes A", false },
		{ EXPAND_LIST_STRING, "^P : *5", "plain", "no", false },
		{ EXPAND_LIST_STRING, "^P : *5", "plain", "yes ^P", true },
		{ EXPAND_LIST_STRING, "!plain", "PLAIN", "no", true },
		{ EXPAND_LIST_IP, "10.0.0.0/8", "10.0.0.1", "yes ", false },
		{ EXPAND_LIST_IP, "lsearch;/ips", "10.0.0.1", "yes ip one", false },
		{ EXPAND_LIST_IP, "net24-lsearch;/ips", "192.168.34.6", "yes netdata", false },
		{ EXPAND_LIST_IP, "*.example : 10.0.0.9", "10.0.0.9", "no", false },
		{ EXPAND_LIST_IP, "host.example", "10.0.0.9", "no", false },
		{ EXPAND_LIST_IP, ":", "", "yes ", false },
		{ EXPAND_LIST_IP, "*", "", "yes ", false },
		{ EXPAND_LIST_IP, "*", "junk", "fail \"junk\" is not an IP address", false },
		{ EXPAND_LIST_HOST, "*.example : 10.0.0.9", "10.0.0.9", "yes ", false },
		{ EXPAND_LIST_HOST, "friend.example", "192.0.2.7", "yes ", false },
		{ EXPAND_LIST_HOST, "lsearch;/ls", "10.0.0.9", "yes by name", false },
		{ EXPAND_LIST_IP, "+friends : 10.0.0.9", "10.0.0.9", "yes ", false },
		{ EXPAND_LIST_ADDRESS, "*", "noat", "no", false },
		{ EXPAND_LIST_ADDRESS, "JOE@X.Y", "joe@x.y", "yes JOE@X.Y", false },
		{ EXPAND_LIST_ADDRESS, ":", "", "yes ", false },
		{ EXPAND_LIST_DOMAIN, "lsearch;/ls", "a.b", "yes data one", false },
		{ EXPAND_LIST_LOCAL_PART, "*oe", "Joe", "yes *oe", false },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct list *list;
		struct error error = { 0 };
		struct expand_list_found found;
		struct expand_value subject = { slice_of(table[i].subject), true };
		char got[600] = "no";
		bool yes;
		const struct expand_language *language = &world->language;
		assert_true(language->list_compile(language, &world->arena, table[i].kind, slice_of(table[i].list), EXPAND_PLACE_DELIVERY,
						   &list, &error));
		enum expand_result result = language->list_match(list, &world->context, subject, table[i].caseless, &world->arena, &yes,
								 &found, &error);
		if (result != EXPAND_OK)
			snprintf(got, sizeof got, "fail %s", error.text);
		else if (yes)
			snprintf(got, sizeof got, "yes %.*s", SLICE_ARG(found.data.text));
		if (strcmp(got, table[i].result) != 0)
			fail_msg("\"%s\" in \"%s\": %s", table[i].subject, table[i].list, got);
		/* Only these two set $0 and $1, as in Exim. */
		bool numbers = table[i].kind == EXPAND_LIST_DOMAIN || table[i].kind == EXPAND_LIST_LOCAL_PART;
		if (result == EXPAND_OK && yes)
			assert_int_equal(found.number_count > 0, numbers);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_regular_expressions),
		TEST(test_regex_that_backtracks_without_end_fails),
		TEST(test_numbers),
		TEST(test_lookups_by_name),
		TEST(test_hosts),
		TEST(test_the_name_is_asked_for_once),
		TEST(test_mx),
		TEST(test_without_a_context_what_asks_fails),
		TEST(test_expansions),
		TEST(test_files_in_lists_with_expansions_mind_the_case),
		TEST(test_files_are_asked_for_when_they_cannot_be_read),
		TEST(test_taint_of_the_result),
		TEST(test_load_checks_what_is_written_between_expansions),
		TEST(test_language_is_told_of_files_and_types),
		TEST(test_forms_are_kept_and_bounded),
		TEST(test_named_lists_are_asked_once_a_message),
		TEST(test_circles_at_run_time_end),
		TEST(test_conditions_of_the_language),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
