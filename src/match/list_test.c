/* SPDX-License-Identifier: ISC */
#include "match/list.h"

#include "base/test.h"

/* A scope with the named lists, the files and the addresses that the tables below refer to. */
struct world {
	struct arena arena;
	struct list_scope scope;
	struct {
		enum list_kind kind;
		const char *name;
		const struct list *list;
	} named[8];
	size_t named_count;
};

static const char *const files[][2] = {
	{ "/items", "!a.b.c\n\n# comment\n  *.b.c  # another\r\nlast.example#x" },
	{ "/networks", "172.16.0.0/12\n3ffe:ffff:836f::/48\n" },
	{ "/people", "not#comment\n#comment\nboth # this is one\n!nobody\n+plus\n" },
	{ "/addresses", "Not#Comment@x.y.z   # but this is a comment\n*@bad.example\n" },
	{ "/nested", "a.b\n/items\n" },
	{ "/named", "+dom1\n" },
	{ "/empty", "# nothing\n\n" },
};

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
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		if (slice_equal(path, slice_of(files[i][0]))) {
			*text_r = slice_of(files[i][1]);
			return true;
		}
	}
	return error_set(error, ERROR_USAGE, "no such file");
}

static struct expand_value constant(void *owner, enum expand_variable variable)
{
	(void)owner;
	return (struct expand_value){ variable == EXPAND_QUALIFY_DOMAIN ? SLICE("qualify.example") : SLICE(""), false };
}

static const struct expand_context constants = { .variable = constant, .owner = NULL };

static const struct list *compiled(struct world *world, enum list_kind kind, struct slice text)
{
	const struct list *list = NULL;
	struct error error = { 0 };
	if (!list_compile(&world->arena, kind, text, &world->scope, &list, &error))
		fail_msg("\"%.*s\": %s", SLICE_ARG(text), error.text);
	return list;
}

static void define(struct world *world, enum list_kind kind, const char *name, const char *text)
{
	const struct list *list = compiled(world, kind, slice_of(text));
	world->named[world->named_count].kind = kind;
	world->named[world->named_count].name = name;
	world->named[world->named_count++].list = list;
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	static struct net_address interfaces[2];
	net_address_parse(SLICE("10.45.23.56"), &interfaces[0]);
	net_address_parse(SLICE("2001:db8::25"), &interfaces[1]);
	arena_init(&world->arena, 0);
	world->scope = (struct list_scope){ world, named, read_file, SLICE("Mx.Example"), interfaces, 2, &constants };
	define(world, LIST_DOMAIN, "dom1", "first.example : Second.example");
	define(world, LIST_DOMAIN, "dom2", "+dom1 : *.third.example");
	define(world, LIST_DOMAIN, "notab", "!a.b");
	define(world, LIST_HOST, "relay", "192.168.23.0/24 : my.friend.example");
	define(world, LIST_ADDRESS, "bad", "spammer@bad.example : *.bad.example");
	define(world, LIST_LOCAL_PART, "staff", "alice : bob");
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	arena_free(&world->arena);
	free(world);
	return 0;
}

struct row {
	const char *list, *subject;
	const char *data; /* NULL: no; otherwise yes, with this data */
};

/* With nothing to ask, as constant lists are matched. */
static bool matches(const struct list *list, const struct list_subject *subject, struct list_match *match)
{
	struct list_match unwanted;
	struct error error;
	assert_int_equal(list_match(list, subject, NULL, NULL, match ? match : &unwanted, &error), EXPAND_OK);
	return match ? match->yes : unwanted.yes;
}

static void check(const struct row *row, bool yes, const struct list_match *match)
{
	if (yes != !!row->data || yes != match->yes)
		fail_msg("\"%s\" in \"%s\": %s", row->subject, row->list, yes ? "yes" : "no");
	if (!slice_equal(match->data, slice_of(row->data)))
		fail_msg("\"%s\" in \"%s\": data \"%.*s\"", row->subject, row->list, SLICE_ARG(match->data));
	assert_false(match->tainted);
}

static void test_domain_lists(void **state)
{
	static const struct row table[] = {
		{ "", "a.b", NULL },
		{ "a.b", "A.B", "a.b" },
		{ "a.b", "xa.b", NULL },
		{ "!a.b.c : *.b.c", "a.b.c", NULL },
		{ "!a.b.c : *.b.c", "x.b.c", "*.b.c" },
		{ "!a.b.c : *.b.c", "x.y", NULL },
		{ "!a.b.c", "x.y", "" },
		{ "!a.b.c", "a.b.c", NULL },
		{ "! a.b.c", "A.b.c", NULL },
		{ "x.y : !a.b", "q.z", "" },
		{ "x.y : !a.b", "x.y", "x.y" },
		{ "*key.ex", "donkey.ex", "*key.ex" },
		{ "*key.ex", "cipher.key.ex", "*key.ex" },
		{ "*key.ex", "key.ex", "*key.ex" },
		{ "*key.ex", "ey.ex", NULL },
		{ "*.foo : a.foo", "a.foo", "*.foo" },
		{ "a.foo : *.foo", "A.foo", "a.foo" },
		{ "*.foo : *.c.foo : * ", "b.c.foo", "*.foo" },
		{ "a : *", "zz", "*" },
		{ "*", "", "*" },
		{ ":", "", "" },
		{ "a.b : :", "", "" },
		{ "@", "MX.example", "Mx.Example" },
		{ "@", "other.example", NULL },
		{ "@[]", "[10.45.23.56]", "@[]" },
		{ "@[]", "[10.45.23.57]", NULL },
		{ "@[]", "[IPv6:2001:db8::25]", "@[]" },
		{ "@[]", "[2001:db8:0::25]", "@[]" },
		{ "@[]", "10.45.23.56", NULL },
		{ "+dom1", "second.example", "Second.example" },
		{ "! +dom1", "second.example", NULL },
		{ "! +dom1", "x.y", "" },
		{ "fourth.example : +dom2 : fifth.example", "first.example", "first.example" },
		{ "fourth.example : +dom2 : fifth.example", "a.third.example", "*.third.example" },
		{ "fourth.example : +dom2 : fifth.example", "fifth.example", "fifth.example" },
		{ "*.example : +dom1", "first.example", "*.example" },
		{ "+dom1 : *.example", "first.example", "first.example" },
		{ "+notab : *.b", "x.y", "" },
		{ "!a.b : *.b", "x.y", NULL },
		{ "$qualify_domain : x", "qualify.example", "qualify.example" },
		{ "\\Nq.r\\N", "q.r", "q.r" },
		{ "<; a.b ; c.d", "c.d", "c.d" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct list_match match;
		const struct list *list = compiled(*state, LIST_DOMAIN, slice_of(table[i].list));
		struct list_subject subject = { .domain = slice_of(table[i].subject) };
		check(&table[i], matches(list, &subject, &match), &match);
	}
}

/* How little a yes says of the subject, and what the list is said to hold for any subject. */
static void test_what_takes_any_subject_is_told_from_what_names_it(void **state)
{
	static const struct {
		const char *list;
		bool anything, excepted; /* of x.b.c, to which all say yes */
		unsigned width;
	} table[] = {
		{ "x.b.c", false, false, 0 },
		{ "*.b.c", false, false, 0 },
		{ "/items", false, true, LIST_WIDE_EXCEPTED },
		{ "*", true, false, LIST_WIDE_ITEM },
		{ "x.b.c : *", false, false, LIST_WIDE_ITEM },
		{ "* : x.b.c", true, false, LIST_WIDE_ITEM },
		{ "!q.b.c", true, false, LIST_WIDE_END },
		{ "*.b.c : !q", false, false, LIST_WIDE_END },
		{ "!q.b.c : *.b.c", false, true, LIST_WIDE_EXCEPTED },
		{ "!q.b.c : *", true, true, LIST_WIDE_ITEM | LIST_WIDE_EXCEPTED },
		{ "+notab", true, false, LIST_WIDE_END },
		{ "!+dom1 : +notab", true, true, LIST_WIDE_END | LIST_WIDE_EXCEPTED },
		{ "!+dom1 : x.b.c", false, true, LIST_WIDE_EXCEPTED },
	};
	struct world *world = *state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct list *list = compiled(world, LIST_DOMAIN, slice_of(table[i].list));
		struct list_match match;
		assert_true(matches(list, &(struct list_subject){ .domain = SLICE("x.b.c") }, &match));
		if (match.anything != table[i].anything || match.excepted != table[i].excepted || list_width(list) != table[i].width)
			fail_msg("\"%s\": anything %d, excepted %d, width %u", table[i].list, match.anything, match.excepted, list_width(list));
	}
}

static void test_files_of_items(void **state)
{
	static const struct row domains[] = {
		{ "/items", "a.b.c", NULL },
		{ "/items", "x.b.c", "*.b.c" },
		{ "/items", "last.example", "last.example" },
		{ "!/items", "a.b.c", "a.b.c" },
		{ "!/items", "x.b.c", NULL },
		{ "!/items", "q", "" },
		{ "!/empty", "q", "" },
		{ "/empty", "q", NULL },
		{ "first : /items : x.y", "x.y", "x.y" },
	};
	static const struct row people[] = {
		{ "/people", "not#comment", "not#comment" }, { "/people", "both", "both" }, { "/people", "nobody", NULL },
		{ "/people", "#comment", NULL },             { "/people", "+plus", "+plus" },
	};
	for (size_t i = 0; i < sizeof domains / sizeof *domains; i++) {
		struct list_match match;
		struct list_subject subject = { .domain = slice_of(domains[i].subject) };
		const struct list *list = compiled(*state, LIST_DOMAIN, slice_of(domains[i].list));
		check(&domains[i], matches(list, &subject, &match), &match);
	}
	for (size_t i = 0; i < sizeof people / sizeof *people; i++) {
		struct list_match match;
		struct list_subject subject = { .local_part = slice_of(people[i].subject) };
		const struct list *list = compiled(*state, LIST_LOCAL_PART, slice_of(people[i].list));
		check(&people[i], matches(list, &subject, &match), &match);
	}
}

/* Subjects: an address, empty for no host, and a name after a space. */
static struct list_subject host_subject(const char *text, struct net_address *address, struct slice *name)
{
	struct slice rest = slice_of(text), first = slice_cut(&rest, ' ');
	*name = rest;
	struct list_subject subject = { .host_names = name, .host_name_count = rest.len ? 1 : 0 };
	if (first.len) {
		assert_true(net_address_parse(first, address));
		subject.host = address;
	}
	return subject;
}

static void test_host_lists(void **state)
{
	static const struct row table[] = {
		{ "", "10.0.0.1", NULL },
		{ "*", "10.0.0.1", "*" },
		{ "*", "", "*" },
		{ ":", "", "" },
		{ ":", "10.0.0.1", NULL },
		{ "10.0.0.0/8", "", NULL },
		{ "!10.0.0.0/8", "", "" },
		{ ": 10.0.0.0/8", "", "" },
		{ "127.0.0.1 : 10.11.42.0/24", "10.11.42.255", "10.11.42.0/24" },
		{ "127.0.0.1 : 10.11.42.0/24", "10.11.43.0", NULL },
		{ "10.0.0.0/8", "::ffff:10.1.1.1", "10.0.0.0/8" },
		{ "0.0.0.0/0", "::1", NULL },
		{ "::::1", "::1", "::1" },
		{ "<; ::1 ; 2001:db8::/32", "2001:db8:7::1", "2001:db8::/32" },
		{ "192.168.0.0/16: 3ffe::ffff::836f::::/48", "3ffe:ffff:836f:1::1", "3ffe:ffff:836f::/48" },
		{ "/networks", "172.31.0.1", "172.16.0.0/12" },
		{ "/networks", "3ffe:ffff:836f::1", "3ffe:ffff:836f::/48" },
		{ "!10.1.0.0/16 : 10.0.0.0/8", "10.1.2.3", NULL },
		{ "!10.1.0.0/16 : 10.0.0.0/8", "10.2.2.3", "10.0.0.0/8" },
		{ "10.0.0.0/8 : !10.1.0.0/16", "10.1.2.3", "10.0.0.0/8" },
		{ "10.0.0.0/8 : 10.1.0.0/16 : 10.1.2.3", "10.1.2.3", "10.0.0.0/8" },
		{ "10.1.2.3 : 10.1.0.0/16 : 10.0.0.0/8", "10.1.2.3", "10.1.2.3" },
		{ "0.0.0.0/0", "203.0.113.5", "0.0.0.0/0" },
		{ "0.0.0.0/0", "255.255.255.255", "0.0.0.0/0" },
		{ "255.255.255.255 : 0.0.0.0", "255.255.255.255", "255.255.255.255" },
		{ "255.255.255.255 : 0.0.0.0", "255.255.255.254", NULL },
		{ "<; ::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0" },
		{ "<; ::/0", "2001:db8::1", "::/0" },
		{ "@[]", "10.45.23.56", "@[]" },
		{ "@[]", "::ffff:10.45.23.56", "@[]" },
		{ "@[]", "10.45.23.57", NULL },
		{ "@", "10.0.0.1 mx.example", "Mx.Example" },
		{ "friend.example", "10.0.0.1 Friend.Example", "friend.example" },
		{ "*.b.c", "10.0.0.1 x.b.c", "*.b.c" },
		{ "*.b.c", "10.0.0.1 b.c", NULL },
		{ "+relay", "192.168.23.9", "192.168.23.0/24" },
		{ "! +relay", "192.168.23.9", NULL },
		{ "! +relay", "10.0.0.1 x.y", "" },
		{ "+relay : 10.0.0.1", "10.0.0.1", "10.0.0.1" },
		/* The name is not known. */
		{ "10.9.8.7 : *.friend.example", "10.9.8.7", "10.9.8.7" },
		{ "*.friend.example : 10.9.8.7", "10.9.8.7", NULL },
		{ "+ignore_unknown : *.friend.example : 10.9.8.7", "10.9.8.7", "10.9.8.7" },
		{ "+ignore_unknown : *.friend.example : 10.9.8.7", "10.9.8.8", NULL },
		{ "+include_unknown : *.enemy.ex", "10.9.8.7", "" },
		{ "+include_unknown : 10.0.0.0/8 : *.enemy.ex", "10.9.8.7", "10.0.0.0/8" },
		{ "+include_unknown : *.enemy.ex", "10.9.8.7 a.friend.ex", NULL },
		{ "! *.enemy.ex", "10.9.8.7", NULL },
		{ "+include_unknown : ! *.enemy.ex", "10.9.8.7", "" },
		{ "+ignore_unknown : ! *.enemy.ex", "10.9.8.7", "" },
		{ "*.x : !10.9.8.7 : *", "10.1.1.1", NULL },
		{ "+ignore_unknown : *.x : !10.9.8.7 : *", "10.1.1.1", "*" },
		{ "+ignore_unknown : *.x : +include_unknown : *.y : 10.1.1.1", "10.1.1.1", "" },
		{ "+include_defer : +ignore_defer : 10.1.1.1", "10.1.1.1", "10.1.1.1" },
		{ "* : a.b", "10.1.1.1", "*" },
		{ "a.b : *", "10.1.1.1", NULL },
		{ "a.b : @[]", "10.45.23.56", NULL },
		{ "@[] : a.b", "10.45.23.56", "@[]" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct list_match match;
		struct net_address address;
		struct slice name;
		struct list_subject subject = host_subject(table[i].subject, &address, &name);
		const struct list *list = compiled(*state, LIST_HOST, slice_of(table[i].list));
		/* Hosts have data only from lookups; which item it was shows all the same. */
		bool yes = matches(list, &subject, &match);
		assert_int_equal(match.data.len, 0);
		match.data = match.item;
		check(&table[i], yes, &match);
	}
}

static void test_host_name_wanted_only_when_it_could_matter(void **state)
{
	static const struct {
		const char *list, *subject;
		bool wanted;
	} table[] = {
		{ "*.friend.example : 10.9.8.7", "10.9.8.7", true },
		{ "10.9.8.7 : *.friend.example", "10.9.8.7", false },
		{ "+ignore_unknown : *.friend.example : 10.9.8.7", "10.9.8.7", true },
		{ "10.0.0.0/8", "192.0.2.1", false },
		{ "*.friend.example", "10.9.8.7 a.b", false },
		{ "*.friend.example", "", false },
		{ "+relay : 10.9.8.7", "10.9.8.7", true },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct list_match match;
		struct net_address address;
		struct slice name;
		struct list_subject subject = host_subject(table[i].subject, &address, &name);
		matches(compiled(*state, LIST_HOST, slice_of(table[i].list)), &subject, &match);
		if (match.name_wanted != table[i].wanted)
			fail_msg("\"%s\" in \"%s\"", table[i].subject, table[i].list);
	}
}

static void test_host_with_several_names(void **state)
{
	struct slice names[] = { SLICE("a.example"), SLICE("b.friend.example") };
	struct net_address address;
	net_address_parse(SLICE("192.0.2.1"), &address);
	struct list_subject subject = { .host = &address, .host_names = names, .host_name_count = 2 };
	assert_true(matches(compiled(*state, LIST_HOST, SLICE("*.friend.example")), &subject, NULL));
	assert_false(matches(compiled(*state, LIST_HOST, SLICE("!a.example : *.friend.example")), &subject, NULL));
	assert_false(matches(compiled(*state, LIST_HOST, SLICE("c.example")), &subject, NULL));
}

static void test_address_lists(void **state)
{
	static const struct row table[] = {
		{ ":", "", "" },
		{ ":", "a@b", NULL },
		{ "", "", NULL },
		{ "*", "", NULL },
		{ "*@*", "", NULL },
		{ "!a@b", "", "" },
		{ "*", "a@b", "*" },
		{ "jbc@askone.example : hs@anacreon.example", "hs@Anacreon.example", "hs@anacreon.example" },
		{ "HS@anacreon.example", "hs@ANACREON.example", "HS@anacreon.example" },
		{ "hs@anacreon.example", "xhs@anacreon.example", NULL },
		{ "*hs@anacreon.example", "xhs@anacreon.example", "*hs@anacreon.example" },
		{ "*@*.spamming.site", "q@a.spamming.site", "*@*.spamming.site" },
		{ "*@*.spamming.site", "q@spamming.site", NULL },
		{ "*@+dom1", "q@first.example", "*@+dom1" },
		{ "bozo@+dom2", "Bozo@z.third.example", "bozo@+dom2" },
		{ "bozo@+dom2", "krusty@z.third.example", NULL },
		{ "enemy.domain : *.enemy.domain", "x@enemy.domain", "enemy.domain" },
		{ "enemy.domain : *.enemy.domain", "x@y.enemy.domain", "*.enemy.domain" },
		{ "+bad", "Spammer@bad.example", "spammer@bad.example" },
		{ "+bad", "ham@bad.example", NULL },
		{ "! +bad", "ham@x.bad.example", NULL },
		{ "u@@", "u@mx.EXAMPLE", "u@@" },
		{ "u@@[]", "u@[10.45.23.56]", "u@@[]" },
		{ "u@@[]", "u@[10.45.23.5]", NULL },
		{ "+caseful : u@a.b", "U@a.b", NULL },
		{ "+caseful : u@A.b", "u@a.B", "u@A.b" },
		{ "u@a.b : +caseful : v@a.b", "U@a.b", "u@a.b" },
		{ "+caseful : *u@a.b", "XU@a.b", NULL },
		{ "+caseful : *@A.b", "x@a.b", "*@A.b" },
		{ "/addresses", "not#comment@x.y.z", "Not#Comment@x.y.z" },
		{ "/addresses", "q@bad.example", "*@bad.example" },
		{ "a b@c.d", "a b@c.d", "a b@c.d" },
		{ "!u@a.b : *@a.b", "u@a.b", NULL },
		{ "!u@a.b : *@a.b", "v@a.b", "*@a.b" },
		{ "*@a.b : u@a.b", "u@a.b", "*@a.b" },
		{ "u@a.b : *@a.b", "u@a.b", "u@a.b" },
		{ "*u@a.b : u@a.b", "u@a.b", "*u@a.b" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct list_match match;
		struct slice text = slice_of(table[i].subject);
		size_t at = slice_find_last(text, '@');
		struct list_subject subject = { .local_part = slice_first(text, at), .domain = slice_from(text, at + 1) };
		const struct list *list = compiled(*state, LIST_ADDRESS, slice_of(table[i].list));
		check(&table[i], matches(list, &subject, &match), &match);
	}
}

static void test_local_part_lists(void **state)
{
	static const struct row table[] = {
		{ "bOB", "Bob", "bOB" },
		{ "+caseful : bOB", "Bob", NULL },
		{ "+caseful : Bob", "Bob", "Bob" },
		{ "bOB : +caseful : x", "Bob", "bOB" },
		{ "+caseful : *OB", "bob", NULL },
		{ "*-request", "List-Request", "*-request" },
		{ "postmaster : abuse", "Abuse", "abuse" },
		{ "! postmaster", "root", "" },
		{ "+staff", "ALICE", "alice" },
		{ "@", "@", "@" },
		{ "", "x", NULL },
		{ ":", "", "" },
		{ "*", "x", "*" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct list_match match;
		struct list_subject subject = { .local_part = slice_of(table[i].subject) };
		const struct list *list = compiled(*state, LIST_LOCAL_PART, slice_of(table[i].list));
		check(&table[i], matches(list, &subject, &match), &match);
	}
}

static void test_string_lists_are_caseful(void **state)
{
	struct list_match match;
	const struct list *list = compiled(*state, LIST_STRING, SLICE("TLSv1.2 : *3"));
	assert_true(matches(list, &(struct list_subject){ .string = SLICE("TLSv1.2") }, &match));
	assert_slice(match.data, "TLSv1.2");
	assert_false(matches(list, &(struct list_subject){ .string = SLICE("tlsV1.2") }, &match));
	assert_true(matches(list, &(struct list_subject){ .string = SLICE("x3") }, &match));
}

static void test_load_errors_say_what_and_where(void **state)
{
	struct world *world = *state;
	static const struct {
		enum list_kind kind;
		const char *text, *want;
	} table[] = {
		{ LIST_DOMAIN, "a : ^x", "item \"^x\" of the domain list: regular expressions cannot be used here" },
		{ LIST_DOMAIN, "\\N^\\d$\\N", "regular expressions" },
		{ LIST_DOMAIN, "nosuch;/etc/x", "item \"nosuch;/etc/x\" of the domain list: unknown lookup type" },
		{ LIST_DOMAIN, "cdb;etc/x", "the absolute path of a file" },
		{ LIST_DOMAIN, "lsearch;", "the absolute path of a file" },
		{ LIST_DOMAIN, "lsearch;/etc/../x", "\"..\"" },
		{ LIST_HOST, "net24-nosuch;/x", "unknown lookup type" },
		{ LIST_HOST, "net24-/x", "network length" },
		{ LIST_HOST, "net129-lsearch;/x", "a network length is at most 128" },
		{ LIST_ADDRESS, "*@nosuch;/x", "unknown lookup type" },
		{ LIST_ADDRESS, "@@/x", "a lookup type and a semicolon are expected after \"@@\"" },
		{ LIST_ADDRESS, "@x", "a local part" },
		{ LIST_ADDRESS, "x@", "a domain" },
		{ LIST_ADDRESS, "x@y z", "no domain holds ' '" },
		{ LIST_DOMAIN, "a@b", "no domain holds '@'" },
		{ LIST_DOMAIN, "a*b", "no domain holds '*'" },
		{ LIST_DOMAIN, "@mx_all", "@mx_any, @mx_primary or @mx_secondary" },
		{ LIST_DOMAIN, "+nolist", "no domain list of the name \"nolist\"" },
		{ LIST_DOMAIN, "+relay", "no domain list of the name \"relay\"" },
		{ LIST_HOST, "10.0.0.0/33", "not an IP address with a network length" },
		{ LIST_HOST, "10.0.0.256", "not an IP address: four numbers" },
		{ LIST_HOST, "2001::db8::1", "not an IP address; in a list separated by colons" },
		{ LIST_HOST, "a b", "host name is expected" },
		{ LIST_HOST, "+caseful", "no host list of the name" },
		{ LIST_DOMAIN, "+ignore_unknown", "no domain list of the name" },
		{ LIST_DOMAIN, "/none", "item \"/none\" of the domain list: no such file" },
		{ LIST_DOMAIN, "/nested", "file \"/nested\": line 2: a file of items cannot name another file" },
		{ LIST_DOMAIN, "/named", "file \"/named\": line 1: item \"+dom1\"" },
		{ LIST_DOMAIN, "$domain", "variable $domain has no value here" },
		{ LIST_DOMAIN, "ab$", "column 3" },
		{ LIST_DOMAIN, "@mx_any/ignore=10.0.0.300", "@mx_any/ignore" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct list *list;
		struct error error = { 0 };
		if (list_compile(&world->arena, table[i].kind, slice_of(table[i].text), &world->scope, &list, &error))
			fail_msg("\"%s\" compiled", table[i].text);
		if (!strstr(error.text, table[i].want))
			fail_msg("\"%s\": \"%s\" lacks \"%s\"", table[i].text, error.text, table[i].want);
		assert_int_equal(error.kind, ERROR_USAGE);
	}
}

static void test_empty_scope_refuses_references(void **state)
{
	struct world *world = *state;
	static const char *const table[] = { "@", "+dom1", "^a", "$domain" };
	const struct list_scope none = { 0 };
	const struct list *list;
	struct error error;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		assert_false(list_compile(&world->arena, LIST_DOMAIN, slice_of(table[i]), &none, &list, &error));
	assert_true(list_compile(&world->arena, LIST_DOMAIN, SLICE("a.b : @[]"), &none, &list, &error));
	assert_false(matches(list, &(struct list_subject){ .domain = SLICE("[127.0.0.1]") }, NULL));
}

static void test_nesting_has_a_bound(void **state)
{
	struct world *world = *state;
	const struct list *list = compiled(world, LIST_DOMAIN, SLICE("deepest.example"));
	struct error error;
	world->named_count = 1;
	world->named[0].kind = LIST_DOMAIN;
	world->named[0].name = "inner";
	for (unsigned depth = 1; depth < LIST_MAX_DEPTH; depth++) {
		world->named[0].list = list;
		list = compiled(world, LIST_DOMAIN, SLICE("+inner"));
	}
	assert_true(matches(list, &(struct list_subject){ .domain = SLICE("deepest.example") }, NULL));
	world->named[0].list = list;
	assert_false(list_compile(&world->arena, LIST_DOMAIN, SLICE("+inner"), &world->scope, &list, &error));
	assert_non_null(strstr(error.text, "nested"));
}

static void test_hundred_thousand_items(void **state)
{
	struct world *world = *state;
	enum { COUNT = 100000, CHANGES = 5000, ITEM = 12 };
	char *text = arena_alloc(&world->arena, CHANGES * ITEM + 1);
	for (size_t i = 0; i < CHANGES; i++)
		snprintf(text + i * ITEM, ITEM + 1, "%sd%06zu.ex:", i % 2 ? "*" : "!", i);
	struct list_scope scope = world->scope;
	const struct list *list;
	struct error error;
	/* Signs that change at every item are the worst case; the answer must still be that of the first match. */
	assert_true(list_compile(&world->arena, LIST_DOMAIN, slice_make(text, CHANGES * ITEM), &scope, &list, &error));
	assert_true(matches(list, &(struct list_subject){ .domain = SLICE("xd000007.ex") }, NULL));
	assert_false(matches(list, &(struct list_subject){ .domain = SLICE("d000008.ex") }, NULL));

	char *names = arena_alloc(&world->arena, COUNT * 10 + 1);
	for (size_t i = 0; i < COUNT; i++)
		snprintf(names + i * 10, 11, "u%06zu : ", i);
	assert_true(list_compile(&world->arena, LIST_LOCAL_PART, slice_make(names, COUNT * 10), &scope, &list, &error));
	for (size_t i = 0; i < COUNT; i += 997) {
		struct list_match match;
		char name[16];
		snprintf(name, sizeof name, "U%06zu", i);
		assert_true(matches(list, &(struct list_subject){ .local_part = slice_of(name) }, &match));
		assert_true(slice_equal_nocase(match.data, slice_of(name)));
		name[0] = 'v';
		assert_false(matches(list, &(struct list_subject){ .local_part = slice_of(name) }, &match));
	}
}

/* Every network in turn, the plain way, must give the same first item. */
static void test_networks_agree_with_a_plain_scan(void **state)
{
	struct world *world = *state;
	enum { NETWORKS = 300, ADDRESSES = 3000 };
	struct net_network networks[NETWORKS];
	struct slice text = SLICE("<; "), names[NETWORKS];
	uint32_t random = 12345;
	for (size_t i = 0; i < NETWORKS; i++) {
		/* Few bits set, so that many are nested or equal. */
		unsigned bits[4];
		for (size_t k = 0; k < 4; k++) {
			random = random * 1664525 + 1013904223;
			bits[k] = random >> 24 & 0x93;
		}
		unsigned prefix = random >> 12 & 31;
		names[i] = i % 3 ? arena_printf(&world->arena, "%u.%u.%u.%u/%u", bits[0], bits[1], bits[2], bits[3], prefix + 1) :
				   arena_printf(&world->arena, "%x:%x::%x/%u", bits[0], bits[1], bits[2], prefix * 4);
		assert_true(net_network_parse(names[i], &networks[i]));
		text = arena_printf(&world->arena, "%.*s%.*s;", SLICE_ARG(text), SLICE_ARG(names[i]));
	}
	const struct list *list = compiled(world, LIST_HOST, text);
	for (size_t i = 0; i < ADDRESSES; i++) {
		/* The edges of networks, one before and one after, and the inside. */
		struct net_address host = networks[i % NETWORKS].address;
		random = random * 1664525 + 1013904223;
		size_t last = host.family == AF_INET ? 3 : 15;
		host.bytes[random >> 28 & last] ^= (uint8_t)(1u << (random >> 20 & 7));
		host.bytes[last] = (uint8_t)(host.bytes[last] + (random >> 16 & 3) - 1);
		struct list_match match;
		struct slice want = SLICE("");
		for (size_t k = NETWORKS; k-- > 0;)
			if (net_network_contains(&networks[k], &host))
				want = names[k];
		assert_int_equal(matches(list, &(struct list_subject){ .host = &host }, &match), want.len > 0);
		assert_true(slice_equal(match.item, want));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_domain_lists),
		TEST(test_what_takes_any_subject_is_told_from_what_names_it),
		TEST(test_files_of_items),
		TEST(test_host_lists),
		TEST(test_host_name_wanted_only_when_it_could_matter),
		TEST(test_host_with_several_names),
		TEST(test_address_lists),
		TEST(test_local_part_lists),
		TEST(test_string_lists_are_caseful),
		TEST(test_load_errors_say_what_and_where),
		TEST(test_empty_scope_refuses_references),
		TEST(test_nesting_has_a_bound),
		TEST(test_hundred_thousand_items),
		TEST(test_networks_agree_with_a_plain_scan),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
