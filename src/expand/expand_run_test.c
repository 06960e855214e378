/* SPDX-License-Identifier: ISC */
/*
 * Evaluation: what strings give (each row was also run through Exim 4.96, which gives the same unless the row says otherwise), how
 * they fail, laziness, taint, limits, and what the world is asked. The world here is a fake that notes the question.
 */
#include "base/clock.h"
#include "base/test.h"
#include "expand/expand.h"
#include "expand/function.h"
#include "expand/regex.h"
#include "task/task.h"

#include <openssl/evp.h>

/* What the fake world was asked last, in one line, and how often; its answer to the next question. */
struct world {
	struct arena arena;
	struct expand_language language;
	struct expand_context context;
	struct expand_memory memory;
	struct slice asked, headers;
	unsigned asks;
	enum expand_result result;
	struct expand_answer answer;
	struct slice paths, types; /* what the compiler told of */
	struct slice certificate;  /* of $tls_in_ourcert and, as a peer's, $tls_in_peercert */
	char trace[512];
};

static const char body[60000] = "large";

static struct expand_value fake_variable(void *owner, enum expand_variable variable)
{
	switch (variable) {
	case EXPAND_TLS_IN_OURCERT:
	case EXPAND_TLS_IN_PEERCERT: return (struct expand_value){ ((struct world *)owner)->certificate, false };
	case EXPAND_PRIMARY_HOSTNAME: return (struct expand_value){ SLICE("mx.example"), false };
	case EXPAND_SENDER_ADDRESS: return (struct expand_value){ SLICE("Joe@Example.ORG"), true };
	case EXPAND_MESSAGE_BODY: return (struct expand_value){ slice_make(body, sizeof body), true };
	case EXPAND_HOME: return (struct expand_value){ SLICE("/home/joe"), false };
	default: return (struct expand_value){ 0 };
	}
}

static bool fake_named(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r)
{
	(void)owner;
	bool set = family == EXPAND_ACL_M && slice_equal(name, SLICE("_x"));
	*value_r = (struct expand_value){ set ? SLICE("seen") : SLICE(""), set };
	return set;
}

static struct slice fake_headers(void *owner)
{
	return ((struct world *)owner)->headers;
}

static enum expand_result fake_ask(void *owner, const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
				   struct error *error)
{
	static const char *const names[EXPAND_SERVICES] = { "lookup", "read", "exists", "stat", "run", "socket", "names", "addresses", "crypt", "rate", "seen" };
	struct world *world = owner;
	struct slice line = arena_printf(&world->arena, "%s %.*s", names[request->service], SLICE_ARG(request->type));
	if (request->file.len)
		line = arena_printf(&world->arena, "%.*s file=%.*s", SLICE_ARG(line), SLICE_ARG(request->file));
	if (request->key.len)
		line = arena_printf(&world->arena, "%.*s key%s=%.*s", SLICE_ARG(line), request->key_tainted ? "!" : "", SLICE_ARG(request->key));
	for (size_t i = 0; i < request->piece_count; i++)
		line = arena_printf(&world->arena, "%.*s %s%s<%.*s>", SLICE_ARG(line), request->pieces[i].value ? "value" : "",
				    request->pieces[i].tainted ? "!" : "", SLICE_ARG(request->pieces[i].text));
	for (size_t i = 0; i < request->option_count; i++)
		line = arena_printf(&world->arena, "%.*s option=%.*s", SLICE_ARG(line), SLICE_ARG(request->options[i]));
	assert_true(request->deadline > clock_now());
	world->asked = line;
	world->asks++;
	*answer_r = world->answer;
	(void)arena;
	if (world->result != EXPAND_OK)
		error_set(error, ERROR_TEMPORARY, "the world is down");
	return world->result;
}

static enum expand_result fake_acl(void *owner, struct expand_value name, const struct expand_value *arguments, size_t count, struct arena *arena,
				   struct expand_value *text_r, struct error *error)
{
	(void)owner;
	*text_r = (struct expand_value){ arena_printf(arena, "%zu:%.*s", count, SLICE_ARG(count ? arguments[0].text : SLICE(""))), false };
	if (slice_equal(name.text, SLICE("deny")))
		return EXPAND_FORCED_FAIL;
	if (slice_equal(name.text, SLICE("accept")))
		return EXPAND_OK;
	error_set(error, ERROR_PERMANENT, "no such ACL");
	return slice_equal(name.text, SLICE("defer")) ? EXPAND_DEFER : EXPAND_FAIL;
}

/* Lists of one item, equal or not. */
static bool fake_list_compile(const struct expand_language *language, struct arena *arena, enum expand_list kind, struct slice text,
			      enum expand_place place, const struct list **list_r, struct error *error)
{
	(void)language, (void)kind, (void)place, (void)error;
	struct slice *item = arena_new(arena, struct slice);
	*item = arena_copy(arena, text);
	*list_r = (const struct list *)(const void *)item;
	return true;
}

static enum expand_result fake_list_match(const struct list *list, const struct expand_context *context, struct expand_value subject,
					  bool caseless, struct arena *arena, bool *yes_r, struct expand_list_found *found_r,
					  struct error *error)
{
	(void)context, (void)caseless, (void)arena, (void)error;
	const struct slice *item = (const struct slice *)(const void *)list;
	*yes_r = slice_equal(subject.text, *item);
	found_r->data = (struct expand_value){ *item, false };
	return EXPAND_OK;
}

static bool fake_list_text(void *owner, char kind, struct slice name, struct slice *text_r)
{
	(void)owner;
	if (slice_equal(name, SLICE("outer")))
		*text_r = SLICE("a : +inner : ::1");
	else if (slice_equal(name, SLICE("inner")))
		*text_r = SLICE("<; b;2001:db8::1");
	else if (slice_equal(name, SLICE("self")))
		*text_r = SLICE("+self");
	else
		return false;
	return kind != 'h';
}

static void fake_uses_path(void *owner, struct slice prefix, enum expand_service service)
{
	struct world *world = owner;
	world->paths = arena_printf(&world->arena, "%.*s%d:%.*s;", SLICE_ARG(world->paths), (int)service, SLICE_ARG(prefix));
}

static void fake_uses_search(void *owner, struct slice type)
{
	struct world *world = owner;
	world->types = arena_printf(&world->arena, "%.*s%.*s;", SLICE_ARG(world->types), SLICE_ARG(type));
}

static int world_setup(void **state)
{
	static struct world world;
	world = (struct world){ 0 };
	arena_init(&world.arena, 0);
	world.language = (struct expand_language){ .owner = &world, .scratch = regex_scratch_new(), .list_compile = fake_list_compile,
						   .list_match = fake_list_match, .list_text = fake_list_text, .uses_path = fake_uses_path,
						   .uses_search = fake_uses_search };
	world.context = (struct expand_context){ .owner = &world, .variable = fake_variable, .named = fake_named, .headers = fake_headers,
						 .ask = fake_ask, .acl = fake_acl, .language = &world.language, .memory = &world.memory };
	*state = &world;
	return 0;
}

static int world_teardown(void **state)
{
	struct world *world = *state;
	regex_scratch_free(&world->language.scratch);
	arena_free(&world->arena);
	return 0;
}

static const struct expand_program *compiled(struct world *world, const char *text)
{
	const struct expand_program *program = NULL;
	struct error error = { 0 };
	size_t column = 0;
	if (!expand_compile(&world->arena, slice_of(text), EXPAND_PLACE_DELIVERY, &world->language, &program, &error, &column))
		fail_msg("\"%s\", column %zu: %s", text, column, error.text);
	return program;
}

static enum expand_result run(struct world *world, const char *text, struct expand_value *value_r, struct error *error)
{
	*value_r = (struct expand_value){ 0 };
	*error = (struct error){ 0 };
	return expand_run(compiled(world, text), &world->context, &world->arena, value_r, error);
}

static struct expand_value good(struct world *world, const char *text)
{
	struct expand_value value;
	struct error error;
	if (run(world, text, &value, &error) != EXPAND_OK)
		fail_msg("\"%s\": %s", text, error.text);
	assert_int_equal(value.text.data[value.text.len], '\0');
	return value;
}

static void expect(struct world *world, const char *text, const char *want)
{
	struct slice got = good(world, text).text;
	if (!slice_equal(got, slice_of(want)))
		fail_msg("\"%s\" gives \"%.*s\", not \"%s\"", text, SLICE_ARG(got), want);
}

static void expect_failure(struct world *world, enum expand_result want, const char *text, const char *reason)
{
	struct expand_value value;
	struct error error;
	enum expand_result result = run(world, text, &value, &error);
	if (result != want)
		fail_msg("\"%s\" gives result %d, not %d: \"%.*s\" %s", text, (int)result, (int)want, SLICE_ARG(value.text), error.text);
	if (!strstr(error.text, reason))
		fail_msg("\"%s\": \"%s\" lacks \"%s\"", text, error.text, reason);
}

static void test_branches(void **state)
{
	static const char *const table[][2] = {
		{ "${if eq{a}{a}}", "true" }, { "${if eq{a}{b}}", "" }, { "${if eq {a} {a} {y} fail }", "y" },
		{ "${if  !  eq {a} {b} {y} }", "y" }, { "${if eq{a}{b}{y}{n}}", "n" }, { "${if !!eq{a}{a}{y}{n}}", "y" },
		{ "${if eq\n{a}\n\t{a}\n{y}\n{n}\n}", "y" }, { "${lc:a}b}", "ab}" },
		{ "${if and{}{yes}{no}}", "yes" }, { "${if or{}{yes}{no}}", "no" },
		{ "${if and{{eq{a}{a}}{eq{b}{b}}}{yes}{no}}", "yes" }, { "${if and{{ eq{a}{a} }{ !eq{a}{b} }}{y}{n}}", "y" },
		{ "${lc:A${uc:b}C}", "abc" }, { "${if eq{${if eq{a}{a}{x}fail}}{x}{y}{n}}", "y" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		expect(*state, table[i][0], table[i][1]);
	expect_failure(*state, EXPAND_FORCED_FAIL, "${if eq {a} {b} {y} fail }", "\"if\" failed and \"fail\" requested");
	expect_failure(*state, EXPAND_FORCED_FAIL, "x${extract{9}{:}{a}{$value}fail}y", "\"extract\" failed and \"fail\" requested");
}

static void test_branches_not_taken_are_not_evaluated(void **state)
{
	struct world *world = *state;
	expect(world, "${if eq{a}{b}{${readfile{/x}}}{n}}", "n");
	expect(world, "${if eq{a}{a}{y}{${readfile{/x}}}}", "y");
	expect(world, "${if eq{a}{b}{${extract{9}{:}{a}{$value}fail}}{ok}}", "ok");
	expect(world, "${if or{{eq{a}{a}}{bool{garbage}}}{y}{n}}", "y");
	expect(world, "${if and{{eq{a}{b}}{bool{garbage}}}{y}{n}}", "n");
	expect(world, "${if forany{a:b:c}{or{{eq{$item}{a}}{exists{/x}}}}{y}{n}}", "y");
	expect(world, "${extract{1}{:}{a}{y}{${readfile{/x}}}}", "y");
	assert_int_equal(world->asks, 0);
}

static void test_numbers_are_those_of_the_last_match_and_restored(void **state)
{
	static const char *const table[][2] = {
		{ "${if match{abc}{^(.)(.)}{$1-$2-$3-$0}}<$1>", "a-b--ab<>" },
		{ "${if !match{abc}{^x(.)}{$1}{no}}", "" },
		{ "${if !match{abc}{^(.)}{y}{$1}}", "a" },
		{ "${if match{abc}{^(.)(.)}{${if match{xyz}{^(..)}{$1}}$1}}", "xya" },
		{ "${if match{abc}{^(.)}{${if match{xyz}{^(b)}{$1}{-$1}}}}", "-a" },
		{ "${if or{{match{abc}{^x(.)}}{match{abc}{^(.)}}}{$1}}", "a" },
		{ "${if and{{match{abc}{(b)}}{eq{$1}{b}}}{$1}}", "b" },
		{ "${if and{{match{abc}{(b)}}{match{xyz}{(y)}}}{$1}}", "y" },
		{ "$1x$12$20${1}${21}", "x" },
		{ "${if match{abc}{(?i)B}{y}{n}}${if match{abc}{B}{y}{n}}${if match{}{}{y}{n}}", "yny" },
		{ "${if match{abc}{\\N^(?<x>a)\\N}{$1}}", "a" },
		{ "${if match{abc}{^${lc:A}(.)}{$1}}", "b" },
		{ "${if match{ab}{(x)?(b)}{<$1><$2>}}", "<><b>" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		expect(*state, table[i][0], table[i][1]);
	struct world *world = *state;
	struct expand_value numbers[EXPAND_NUMBERS] = { [1] = { SLICE("one"), false } };
	world->context.numbers = numbers;
	expect(world, "$1${if match{abc}{(b)}{$1}}$1", "onebone");
	expect_failure(world, EXPAND_FAIL, "${if match{a}{${lc:(}}{y}}", "missing closing parenthesis");
}

static void test_value_and_item_are_restored(void **state)
{
	static const char *const table[][2] = {
		{ "${extract{1}{:}{a:b}{${extract{2}{:}{c:d}{$value}}$value}}", "da" },
		{ "${extract{1}{:}{a:b}{${extract{9}{:}{c:d}{$value}{<$value>}}}}", "<a>" },
		{ "${if inlist{b}{a:b}{${if inlist{c}{c:d}{$value}}$value}}<$value>", "cb<>" },
		{ "${map{a:b}{${if forany{x:y}{eq{$item}{y}}{$item}}}}<$item>", "a:b<>" },
		{ "${map{<, a,b}{$item${map{1:2}{$item}}}}", "a1:2,b1:2" },
		{ "${reduce {<, 1,2,3}{0}{${eval:$value+$item}}}<$value>", "6<>" },
		{ "${extract{1}{:}{a:b}{${expand:\\$value}}}", "a" },
		{ "${if match_domain{x}{x}{$value}}<$value>", "x<>" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		expect(*state, table[i][0], table[i][1]);
}

static void test_conditions(void **state)
{
	static const char *const yes[] = {
		"={08}{8}", "==  {8}{8}", ">{10}{9}", ">{10M}{9k}", ">{}{-1}", ">{ 1 }{0}", "<{-9223372036854775808}{0}", "<={2}{2}",
		">={1G}{1024M}", ">{+1}{0}", "eqi{ABC}{abc}", "gt{a}{B}", "lti{a}{B}", "le{a}{a}", "lei{B}{b}", "gei{A}{a}", "ge{b}{a}", "lt{}{a}",
		"bool{ TRUE }", "bool{-1}", "bool{yes}", "!bool{}", "!bool{00}", "bool_lax{foo}", "bool_lax{00}", "!bool_lax{ }", "bool_lax{-0}",
		"isip{192.0.2.1}", "!isip{[192.0.2.1]}", "!isip{}", "isip4{192.0.2.1}", "!isip4{192.0.2.256}", "isip6{::1}", "!isip6{192.0.2.1}",
		"isip6{fe80::1%eth0}", "!isip{192.0.2.0/24}", "inlist{b}{<; a;b}", "inlisti{B}{a:b}", "!inlist{}{a}", "inlist{}{a: :b}",
		"forany{a:b:c}{eq{$item}{b}}", "forall{a:b:c}{!eq{$item}{x}}", "!forall{}{eq{$item}{x}}", "!forany{}{eq{$item}{x}}",
		"forany_json{[\"a\",\"b\"]}{eq{$item}{\"b\"}}", "forany_jsons{[\"a\",\"b\"]}{eq{$item}{b}}",
		"!forall_jsons{[\"a\",\"b\"]}{eq{$item}{b}}", "forall_json{[1,2]}{>{$item}{0}}", "!forall_json{[]}{>{$item}{0}}",
		"def:primary_hostname", "!def:local_part", "def:acl_m_x", "!def:acl_m_y", "!first_delivery", "!queue_running",
		"crypteq{test}{\\{md5\\}CY9rzUYh03PK3k6DJie09g==}", "crypteq{test}{\\{md5\\}098F6bcd4621d373cade4e832627b4f6}",
		"crypteq{test}{\\{SHA1\\}qUqP5cyxm6YcTAhz05Hph5gvu9M=}", "crypteq{test}{\\{sha1\\}a94a8fe5ccb19ba61c4c0873d391e987982fbbd3}",
		"!crypteq{test}{\\{md5\\}x}", "!crypteq{test}{}", "!crypteq{test}{a}", "!inbound_srs{joe}{secret}",
		"acl{{accept}{x}}", "!acl{{deny}}", "!match_ip{}{192.0.2.1}", "match_ip{192.0.2.1}{192.0.2.1}",
	};
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
		struct world *world = *state;
		expect(world, arena_printf(&world->arena, "${if %s{yes}{no}}", yes[i]).data, "yes");
	}
	expect(*state, "${if acl{{accept}{x}{y}}{$value}}", "2:x");
}

static void test_conditions_fail(void **state)
{
	static const char *const table[][2] = {
		{ ">{1x}{0}", "invalid integer \"1x\"" }, { ">{x}{0}", "integer expected but \"x\" found" },
		{ ">{9223372036854775808}{0}", "too large" }, { ">{9007199254740993G}{0}", "too large" }, { ">{1 K}{0}", "invalid integer" },
		{ "bool{foo}", "unrecognised boolean value \"foo\"" }, { "bool{0x1}", "unrecognised boolean value" },
		{ "match_ip{foo}{192.0.2.1}", "\"foo\" is not an IP address" }, { "crypteq{a}{\\{foo\\}x}", "unknown encryption mechanism in \"{foo}\"" },
		{ "acl{{other}}", "no such ACL" }, { "forall_json{x}{eq{a}{a}}", "JSON" },
		{ "and{{eq{a}{a}}{bool{foo}}}", "unrecognised boolean value" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct world *world = *state;
		expect_failure(world, EXPAND_FAIL, arena_printf(&world->arena, "${if %s{yes}{no}}", table[i][0]).data, table[i][1]);
	}
	expect_failure(*state, EXPAND_FORCED_FAIL, "${if acl{{defer}}{y}}", "no such ACL");
}

static void test_extract(void **state)
{
	static const char *const table[][2] = {
		{ "${extract{2}{:}{x:42:99}}", "42" }, { "${extract{ 2 }{:}{x:42:99}{<$value>}{no}}", "<42>" },
		{ "${extract{9}{:}{x:42:99}{<$value>}{no}}", "no" }, { "${extract{0}{:}{x:42:99}}", "x:42:99" },
		{ "${extract{-4}{:}{x:42:99}{y}{n}}", "n" }, { "${extract{-3}{:}{x:42:99}{y$value}{n}}", "yx" },
		{ "${extract{-4}{:}{x:42:99:& Mailer::/bin/bash}}", "99" }, { "${extract{5}{:}{x:42:99:& Mailer::/bin/bash}{<$value>}{no}}", "<>" },
		{ "${extract{2}{:,}{a,b:c}}", "b" }, { "${extract{2}{}{x:y}{b}{c}}", "c" },
		{ "${extract{Z}{A=1 Z=\"q \\\\\"x\\\\\" y\" }{$value}fail}", "q \"x\" y" }, { "${extract{z}{A=1 Z = 3}}", "3" },
		{ "${extract{z}{A 1 Z 3 q=}}", "3" }, { "${extract{q}{A 1 q}{<$value>}{none}}", "<>" }, { "${extract{b}{a=1}{y}}", "" },
		{ "${extract{${lc:2}}{:}{x:y}{b}{c}}", "b" }, { "${extract{${lc:Q}}{q=5}{<$value>}}", "<5>" },
		{ "${extract{${lc:Q}}{x=5}{<$value>}{none}}", "none" },
		{ "${extract json{a}{\\{\"a\":\"b\",\"c\":[1,2]\\}}}", "\"b\"" }, { "${extract jsons {a}{\\{\"a\":\"b\"\\}}}", "b" },
		{ "${extract json{c}{\\{\"a\":\"b\",\"c\":[1,2]\\}}}", "[1,2]" }, { "${extract jsons{2}{[\"a\",\"b\"]}{<$value>}{no}}", "<b>" },
		{ "${extract jsons{9}{[\"a\",\"b\"]}{<$value>}{no}}", "no" },
		{ "${listextract{2}{x:42:99}}", "42" }, { "${listextract{-1}{x:42:99}{<$value>}}", "<99>" },
		{ "${listextract{0}{x:42:99}{<$value>}{no}}", "no" }, { "${listextract{-3}{<, x,42,99,& Mailer,,/bin/bash}{result: $value}}", "result: 42" },
		/* Exim gives the first item here; its manual says otherwise. */
		{ "${listextract{-9}{x:42:99}{<$value>}{no}}", "no" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		expect(*state, table[i][0], table[i][1]);
	expect_failure(*state, EXPAND_FORCED_FAIL, "${extract{${lc:Q}}{x=5}{<$value>}fail}", "requested");
	expect_failure(*state, EXPAND_FORCED_FAIL, "${extract{${lc:9}}{:}{x:y}{a}fail}", "requested");
	expect_failure(*state, EXPAND_FAIL, "${extract{${lc:Q}}{x=5}{<$value>}{a}{b}}", "too many arguments");
	expect_failure(*state, EXPAND_FAIL, "${extract{$local_part}{x=5}}", "must not be empty");
	expect_failure(*state, EXPAND_FAIL, "${listextract{x}{a:b}}", "must be numeric");
	expect_failure(*state, EXPAND_FAIL, "${listextract{}{a:b}}", "must not be empty");
	/* An error is one line. */
	expect_failure(*state, EXPAND_FAIL, "${if >{a\\nb}{0}{y}}", "\"a?b\" found");
}

static void test_walks_over_lists(void **state)
{
	static const char *const table[][2] = {
		{ "${map{a:b:c}{[$item]}}", "[a]:[b]:[c]" }, { "${map{<- x-y-z}{($item)}}", "(x)-(y)-(z)" }, { "${map{a:b::c:d}{$item}}", "a:b::c:d" },
		{ "${map{a: :d}{$item}}", "a: :d" }, { "${map{a:b}{}}", ": " }, { "${map{a:b}{:x}}", "::x: ::x" }, { "${map{}{$item}}", "" },
		{ "${map{<\\n a\\nb}{$item}}", "a\nb" }, { "${filter{a:b:c}{!eq{$item}{b}}}", "a:c" },
		{ "${filter{<, a,b,c}{forany{b:c}{eq{$item}{c}}}}", "a,b,c" }, { "${reduce {}{0}{x}}", "0" },
		{ "${reduce {3:0:9:4:6}{0}{${if >{$item}{$value}{$item}{$value}}}}", "9" },
		{ "${sort{3:2:1:4}{<}{$item}}", "1:2:3:4" }, { "${sort{3:2:1:4}{>=}{$item}}", "4:3:2:1" }, { "${sort{b:a:B}{lt}{$item}}", "B:a:b" },
		{ "${sort{b:a:B}{lti}{$item}}", "a:b:B" }, { "${sort{a1:b1:a2:b2}{lt}{${substr_1_1:$item}}}", "a1:b1:a2:b2" },
		{ "${sort{a1:b1:a2:b2:c1:c2:d2:d1}{le}{${substr_1_1:$item}}}", "d1:c1:b1:a1:d2:c2:b2:a2" }, { "${sort{}{le}{$item}}", "" },
		{ "${listcount:a:b::c:d}", "3" }, { "${listnamed:outer}", "a : b : 2001::db8::::1 : ::1" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		expect(*state, table[i][0], table[i][1]);
	expect(*state, "${listnamed_d:inner}", "b : 2001::db8::::1");
	expect_failure(*state, EXPAND_FAIL, "${listnamed:nosuch}", "\"nosuch\" is not a named list");
	expect_failure(*state, EXPAND_FAIL, "${listnamed_h:inner}", "is not a named list");
	expect_failure(*state, EXPAND_FAIL, "${listnamed_x:inner}", "bad suffix");
	expect_failure(*state, EXPAND_FAIL, "${listnamed:self}", "refer to each other");
	expect_failure(*state, EXPAND_FAIL, "${sort{a:b}{<}{$item}}", "integer expected");
}

static void test_substitution(void **state)
{
	static const char *const table[][2] = {
		{ "${sg{abcdefabcdef}{abc}{xyz}}", "xyzdefxyzdef" }, { "${sg{abcdef}{^(...)(...)\\$}{\\$2\\$1}}", "defabc" },
		{ "${sg{1=A 4=D 3=C}{\\N(\\d+)=\\N}{K\\$1=}}", "K1=A K4=D K3=C" }, { "${sg{abc}{x*}{-}}", "-a-b-c-" }, { "${sg{abc}{b*}{-}}", "-a--c-" },
		{ "${sg{}{x*}{-}}", "-" }, { "${sg{aXbXc}{X}{}}", "abc" }, { "${sg{abc}{b}{\\$0\\$0}}", "abbc" }, { "${sg{abc}{(b)(x)?}{<\\$2>}}<$1>", "a<>c<>" },
		{ "${sg{abc}{\\N^\\N}{-}}", "-abc" }, { "${sg{abc}{\\N$\\N}{-}}", "abc-" }, { "${sg{abc}{\\N\\b\\N}{|}}", "|abc|" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		expect(*state, table[i][0], table[i][1]);
	expect_failure(*state, EXPAND_FAIL, "${sg{abc}{b}{\\$fo${lc:O}}}", "unknown variable name \"foo\"");
	expect_failure(*state, EXPAND_FAIL, "${sg{abc}{b}{$sender_address}}", "tainted");
}

/* What is compiled within an item is an error of the string that holds it, when it is constant. */
static void test_constant_parts_are_compiled_at_load(void **state)
{
	static const struct {
		const char *text, *want;
		size_t column;
	} table[] = {
		{ "x${sg{a}{b}{\\$nosuch}}", "the replacement of \"sg\": unknown variable name", 13 },
		{ "x${sg{a}{b(}{c}}", "missing closing parenthesis", 12 },
		{ "x${if match{a}{b(}{c}}", "missing closing parenthesis", 18 },
		{ "x${if match{a}{\\N(b\\N}{c}}", "missing closing parenthesis", 20 },
	};
	struct world *world = *state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct expand_program *program;
		struct error error = { 0 };
		size_t column = 0;
		assert_false(expand_compile(&world->arena, slice_of(table[i].text), EXPAND_PLACE_LOAD, &world->language, &program, &error, &column));
		if (!strstr(error.text, table[i].want) || column != table[i].column)
			fail_msg("\"%s\", column %zu: \"%s\"", table[i].text, column, error.text);
	}
}

static void test_header_lines(void **state)
{
	static const char *const table[][2] = {
		{ "<$h_from:>", "<J\303\266rg <a@b.c>>" }, { "<$bh_from:>", "<J\303\266rg <a@b.c>>" }, { "<$rh_from:>", "< =?utf-8?q?J=C3=B6rg?= <a@b.c>\n>" },
		{ "<$h_to:>", "<x@y.z,\np@q.r,\n  s@t.u>" }, { "<$rh_to:>", "< x@y.z\n  p@q.r,\n  s@t.u\n>" }, { "<$lh_to:>", "< x@y.z:  p@q.r,\n  s@t.u>" },
		{ "<$header_subject: x>", "<hello \n  world x>" }, { "<$h_subject x>", "<hello \n  world x>" }, { "<$h_x-a:>", "<one\ntwo\nthree:four>" },
		{ "<$rh_x-a:>", "< one\n   two  \n three:four\n>" }, { "<$lheader_x-a:>", "< one:   two  : three::four>" }, { "<$h_X-E:>", "<>" },
		{ "${if def:h_x-e:{y}{n}}${if def:h_x-f:{y}{n}}", "yn" }, { "$h_:", "" }, { "$h_x-a}", "" },
		{ "<$h_reply-to:>", "<o@b.c>" }, { "<$h_x-b:>", "<>" },
	};
	struct world *world = *state;
	world->headers = SLICE("From: =?utf-8?q?J=C3=B6rg?= <a@b.c>\nTo: x@y.z\r\nTo:  p@q.r,\r\n  s@t.u\nSubject:   hello \n  world  \nX-E:\n"
			       "X-A: one\nx-a:   two  \nX-A: three:four\nX\xe9: y\nReply-To \t: o@b.c\nno field\nX-B: body\n");
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		expect(world, table[i][0], table[i][1]);
	assert_true(good(world, "$h_subject:").tainted);
	world->context.headers = NULL;
	expect(world, "<$h_to:>", "<>");
}

static void test_lookups_ask_the_world(void **state)
{
	static const struct {
		const char *text, *asked;
	} table[] = {
		{ "${lookup{root}lsearch*@{/etc/aliases}}", "lookup lsearch*@ file=/etc/aliases key=root" },
		{ "${lookup {$sender_address} partial2(.)cdb,cache=no_rd {$home/x}}", "lookup partial2(.)cdb file=/home/joe/x key!=Joe@Example.ORG option=cache=no_rd" },
		{ "${lookup pgsql{select a where b=$sender_address and c=$home}}",
		  "lookup pgsql <select a where b=> value!<Joe@Example.ORG> < and c=> value</home/joe>" },
		{ "${lookup sqlite,file=/d/b{a='${quote_sqlite:$sender_address}'}}",
		  "lookup sqlite file=/d/b <a='> value!<Joe@Example.ORG> <'> option=file=/d/b" },
		{ "${lookup sqlite{/d/b select ${lc:$sender_address}}}", "lookup sqlite file=/d/b < select > value!<joe@example.org>" },
		{ "${lookup pgsql{a ${if eq{a}{a}{b=$sender_address}{c}}}}", "lookup pgsql <a > <b=> value!<Joe@Example.ORG>" },
		{ "${lookup pgsql{${quote_sqlite:a'b}}}", "lookup pgsql value<a''b>" },
	};
	struct world *world = *state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		good(world, table[i].text);
		assert_slice(world->asked, table[i].asked);
	}
	assert_slice(world->types, "lsearch;cdb;pgsql;sqlite;sqlite;pgsql;pgsql;");
	assert_slice(world->paths, "0:/etc/aliases;0:;0:/d/b;0:/d/b;");
}

static void test_lookups_found_or_not(void **state)
{
	struct world *world = *state;
	expect(world, "${lookup{x}lsearch{/f}{$value}{no}}", "no");
	expect_failure(world, EXPAND_FORCED_FAIL, "${lookup{x}lsearch{/f}{$value}fail}", "\"lookup\" failed");
	world->answer = (struct expand_answer){ .found = true, .text = SLICE("data"), .wild = SLICE("w"), .fixed = SLICE("f"), .secure = true, .number = 1 };
	expect(world, "${lookup{x}lsearch{/f}}", "data");
	expect(world, "${lookup{x}lsearch{/f}{<$value $1 $2>}{no}}<$1$value>", "<data w f><>");
	expect(world, "${if match{a}{(a)}{${lookup{$1}lsearch{/f}{$1}}$1}}", "wa");
	expect(world, "<$lookup_dnssec_authenticated>", "<>");
	expect(world, "${lookup dnsdb{a=x}}<$lookup_dnssec_authenticated>", "data<yes>");
	expect(world, "<$lookup_dnssec_authenticated>", "<yes>");
	assert_false(good(world, "${lookup{$sender_address}lsearch{/f}}").tainted);
	world->answer.tainted = true;
	assert_true(good(world, "${lookup dnsdb{a=x}}").tainted);
	expect_failure(world, EXPAND_FAIL, "${lookup{x}lsearch{/f/$sender_address}}", "Tainted '/f/Joe@Example.ORG'");
	expect_failure(world, EXPAND_FAIL, "${lookup{x}lsearch{f}}", "not an absolute path");
	world->result = EXPAND_DEFER;
	expect_failure(world, EXPAND_DEFER, "${lookup{x}lsearch{/f}{y}{n}}", "lookup of \"lsearch\" gave DEFER: the world is down");
	world->result = EXPAND_FAIL;
	expect_failure(world, EXPAND_FAIL, "${lookup{x}lsearch{/f}{y}{n}}", "the world is down");
	world->context.ask = NULL;
	expect_failure(world, EXPAND_FAIL, "${lookup{x}lsearch{/f}{y}{n}}", "nothing outside of this string");
}

static void test_commands(void **state)
{
	struct world *world = *state;
	expect(world, "${run{/bin/echo \"a $primary_hostname\" 'b  c' d$sender_address}{y}{n}}$runrc", "y0");
	assert_slice(world->asked, "run  </bin/echo> value<a mx.example> <b  c> value!<dJoe@Example.ORG>");
	expect(world, "${run,preexpand{/bin/echo ${if eq{a}{a}{x y}} \"$home z\"}}", "");
	assert_slice(world->asked, "run  value</bin/echo> value<x> value<y> value</home/joe z>");
	world->answer = (struct expand_answer){ .number = 3, .text = SLICE("out") };
	expect(world, "${run{/bin/false}{y$value}{n$value}}$runrc$value", "nout3out");
	expect(world, "$runrc$value", "3out");
	expect_failure(world, EXPAND_FORCED_FAIL, "${run{/bin/false}{y}fail}", "\"run\" failed");
	expect_failure(world, EXPAND_FAIL, "${run{$sender_address}}", "(command) not permitted");
	expect_failure(world, EXPAND_FAIL, "${run,preexpand{/bin/echo $sender_address}}", "(command line) not permitted");
	expect_failure(world, EXPAND_FAIL, "${run{}}", "is empty");
}

static void test_files_and_sockets(void **state)
{
	struct world *world = *state;
	expect_failure(world, EXPAND_FAIL, "${readfile{/x}}", "there is no such file");
	world->answer = (struct expand_answer){ .found = true, .text = SLICE("a\nb\n") };
	expect(world, "${readfile{/x}}", "a\nb\n");
	expect(world, "${readfile{/x}{; }}", "a; b; ");
	expect(world, "${readfile{/x}{}}", "ab");
	expect(world, "${readsocket{inet:h:25}{ask}{3s:shutdown=no}{.}}", "a.b.");
	assert_slice(world->asked, "socket inet:h:25 key=ask option=timeout=3s option=shutdown=no");
	expect(world, "${if exists{/x}{y}{n}}${if exists{x}{y}{n}}${stat:/x}", "yna\nb\n");
	expect_failure(world, EXPAND_FAIL, "${if exists{$sender_address}{y}{n}}", "Tainted");
	expect(world, "${if crypteq{a}{aaqPiZY5xR5l.}{y}{n}}", "y");
	assert_slice(world->asked, "crypt aaqPiZY5xR5l. key=a");
	world->result = EXPAND_DEFER;
	expect(world, "${readsocket{/x}{ask}{3s}{}{failed}}", "failed");
	expect_failure(world, EXPAND_DEFER, "${readsocket{/x}{ask}}", "the world is down");
	expect_failure(world, EXPAND_FAIL, "${readsocket{inet:$sender_address}{ask}}", "Tainted");
}

#define CERTIFICATE_BASE64 \
	"MIIBPzCB8qADAgECAgEHMAUGAytlcDAfMQwwCgYDVQQKDANGb28xDzANBgNVBAMMBmEudGVzdDAeFw0yNjExMjIwMDMxMzlaFw0z" \
	"NjExMTkwMDMxMzlaMB8xDDAKBgNVBAoMA0ZvbzEPMA0GA1UEAwwGYS50ZXN0MCowBQYDK2VwAyEAoYeDypsZlldtr0SVEbgpPDBc" \
	"i34YKU++LxoDIov6c86jUzBRMB0GA1UdDgQWBBTEcEsZdNhL33fIJh4gB93eyhB8JzAfBgNVHSMEGDAWgBTEcEsZdNhL33fIJh4g" \
	"B93eyhB8JzAPBgNVHRMBAf8EBTADAQH/MAUGAytlcANBAD/VZzxdYNaptrvBzWLiwnN7qf1Sq1Ydd7xfaF6q+IFHw7fSiKRlyzDD" \
	"5lA7YCAjT8Vxdr/8gqkTMhgy/DIJewk="
#define CERTIFICATE_MD5 "1BFDF0197477362221EC5E0205038231"
#define CERTIFICATE_SHA1 "1E591381A6645AD5A4FFF0070857C13EF4E5666F"
#define CERTIFICATE_SHA256 "CFEF733665F9112A905A624F6F36426ADF3B873F6703DCD31FEB4ABD3AE448AE"
enum { CERTIFICATE_PADDING = 1 };

/* The digests are those of openssl x509 -fingerprint. */
static void test_certificates_in_variables(void **state)
{
	static const char base64[] = CERTIFICATE_BASE64;
	struct world *world = *state;
	unsigned char der[1024];
	int len = EVP_DecodeBlock(der, (const unsigned char *)base64, sizeof base64 - 1);
	assert_true(len > 0);
	expect(world, "$tls_in_peercert${if def:tls_in_peercert{y}{n}}${md5:$tls_in_peercert}", "nd41d8cd98f00b204e9800998ecf8427e");
	world->certificate = slice_make(der, (size_t)len - CERTIFICATE_PADDING);
	expect(world, "$tls_in_peercert${if def:tls_in_peercert{y}{n}}", "<cert>y");
	expect(world, "${certextract{subject}{$tls_in_ourcert}} ${certextract{subject,O}{$tls_in_peercert}{<$value>}{no}}", "CN=a.test,O=Foo <Foo>");
	expect(world, "${certextract{ocsp_uri}{$tls_in_ourcert}{yes}{no}}", "no");
	expect(world, "${md5:$tls_in_peercert}", CERTIFICATE_MD5);
	expect(world, "${sha1:$tls_in_peercert}", CERTIFICATE_SHA1);
	expect(world, "${sha256:$tls_in_peercert}", CERTIFICATE_SHA256);
	expect(world, "${base64:$tls_in_peercert}", CERTIFICATE_BASE64);
	expect(world, "${md5:<cert>}", "2ae3e6bcc8747d90da5c0f061811b67e");
	expect(world, "${length_3:$tls_in_peercert}", "<ce");
	expect_failure(world, EXPAND_FAIL, "${certextract{colour}{$tls_in_peercert}}", "bad field selector \"colour\" for certextract");
	/* The names in a client's certificate are a peer's. */
	expect_failure(world, EXPAND_FAIL, "${acl{${certextract{subject,O}{$tls_in_peercert}}}}", "Tainted name");
	expect_failure(world, EXPAND_FAIL, "${acl{${certextract{subject,O}{$tls_in_ourcert}}}}", "no such ACL");
	world->certificate = (struct slice){ 0 };
}

static void test_acl_env_and_certificates(void **state)
{
	expect(*state, "${acl{accept}{a}{b}}${acl{deny}}", "2:a0:");
	expect_failure(*state, EXPAND_FORCED_FAIL, "${acl{defer}}", "no such ACL");
	expect_failure(*state, EXPAND_FAIL, "${acl{other}}", "no such ACL");
	expect_failure(*state, EXPAND_FAIL, "${acl{$sender_address}}", "Tainted name");
	setenv("EXPAND_TEST", "set", 1);
	expect(*state, "${env{ EXPAND_TEST }}${env{EXPAND_TEST}{<$value>}}${env{EXPAND_TEST_2}{a}{b}}", "set<set>b");
	expect(*state, "${certextract{subject}{$tls_in_peercert}{y}{n}}", "n");
	expect(*state, "${prvscheck{joe}{x}{y}}", "");
	expect(*state, "${prvscheck{${prvs{a@b.c}{secret}{2}}}{secret}{<$prvscheck_address $prvscheck_keynum $prvscheck_result>}}"
		       "$prvscheck_result$prvscheck_address", "<a@b.c 2 1>1");
	expect(*state, "${prvscheck{${prvs{a@b.c}{secret}}}{other}}$prvscheck_result", "a@b.c");
	expect(*state, "${if inbound_srs{${local_part:${srs_encode{s}{x@y.z}{d.e}}}}{s}{y}}", "y");
	expect(*state, "$srs_recipient", "x@y.z");
}

/* The n-th reading of a variable gives n, in the memory of the one before. */
static struct expand_value counting_variable(void *owner, enum expand_variable variable)
{
	static char digit[2];
	unsigned *count = owner;
	(void)variable;
	digit[0] = (char)('0' + ++*count);
	return (struct expand_value){ slice_make(digit, 1), false };
}

static bool counting_named(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r)
{
	(void)family;
	(void)name;
	*value_r = counting_variable(owner, EXPAND_DOMAIN);
	return true;
}

static void test_a_value_is_kept_from_when_it_is_read(void **state)
{
	static const char *const table[][2] = {
		{ "$domain$acl_m_a$domain", "123" }, { "$acl_m_a", "1" },
		{ "${if eq{$domain}{$domain}{same}{$acl_m_a}}", "3" },
		{ "${map{<, $domain,$acl_m_a}{$item$domain}}", "13,24" },
		{ "${reduce {a:b}{$domain}{$value$acl_m_a}}", "123" },
		{ "${substr{$domain}{1}{abcdef${lc:$acl_m_a}}}", "b" },
		{ "${listextract{$domain}{$domain:b}{$value$domain}}", "23" },
	};
	struct world *world = *state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		unsigned count = 0;
		world->context.owner = &count;
		world->context.variable = counting_variable;
		world->context.named = counting_named;
		expect(world, table[i][0], table[i][1]);
	}
}

static void test_taint_is_carried(void **state)
{
	static const char *const tainted[] = {
		"${lc:$sender_address}", "${if match{$sender_address}{^(.)}{$1}}", "${extract{1}{@}{$sender_address}}", "$acl_m_x",
		"${map{$sender_address}{$item}}", "${filter{$sender_address}{eq{a}{a}}}", "${sort{$sender_address}{lt}{$item}}",
		"${reduce{$sender_address}{}{$item}}", "${sg{$sender_address}{x}{y}}", "${if eq{a}{a}{$sender_address}}", "a$sender_address",
		"${if inlist{Joe@Example.ORG}{$sender_address}{$value}}", "${listextract{1}{$sender_address}}",
	};
	static const char *const clean[] = {
		"${if eq{$sender_address}{x}{a}{b}}", "${if inlist{$sender_address}{Joe@Example.ORG}{$value}}", "${strlen:$sender_address}",
		"${if match{$sender_address}{^(.)}{x}}", "${extract{1}{@}{a@b}}", "${listcount:$sender_address}",
		"${if match_address{$sender_address}{Joe@Example.ORG}{$value}}", "${map{a:b}{$item}}",
	};
	for (size_t i = 0; i < sizeof tainted / sizeof *tainted; i++)
		if (!good(*state, tainted[i]).tainted)
			fail_msg("%s is not tainted", tainted[i]);
	for (size_t i = 0; i < sizeof clean / sizeof *clean; i++)
		if (good(*state, clean[i]).tainted)
			fail_msg("%s is tainted", clean[i]);
	expect_failure(*state, EXPAND_FAIL, "${expand:$sender_address}", "attempt to expand tainted string 'Joe@Example.ORG'");
}

static void test_limits(void **state)
{
	struct world *world = *state;
	world->context.max_output = 20;
	expect(world, "${map{1:2:3:4:5:6:7:8:9:0}{x}}", "x:x:x:x:x:x:x:x:x:x");
	expect_failure(world, EXPAND_FAIL, "${map{1:2:3:4:5:6:7:8:9:0}{xx}}", "longer than 20 bytes");
	expect_failure(world, EXPAND_FAIL, "${sg{aaaaaaaaaaaaaaa}{a}{xx}}", "longer than 20 bytes");
	expect_failure(world, EXPAND_FAIL, "${if eq{${lc:aaaaaaaaaaaaaaaaaaaaa$home}}{x}{y}{n}}", "longer than 20 bytes");
	world->context.max_output = 0;
	world->context.max_steps = 50;
	expect_failure(world, EXPAND_FAIL, "${map{1:2:3:4:5:6:7:8:9:0}{${map{1:2:3:4:5:6:7:8:9:0}{x}}}}", "more than 50 steps");
	world->context.max_steps = 0;
	world->context.deadline = 1;
	expect_failure(world, EXPAND_DEFER, "${map{1:2:3:4:5:6:7:8:9:0}{${map{1:2:3:4:5:6:7:8:9:0}{x}}}}", "took too long");
	world->context.deadline = 0;
	expect_failure(world, EXPAND_FAIL, "${if match{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab}{^(a|aa)+\\$}{y}{n}}", "too many ways");
}

/* The limit of each value does not bound what many of them take together. */
static void test_memory_has_a_bound(void **state)
{
	struct world *world = *state;
	struct slice list = SLICE("x");
	for (int i = 0; i < 11; i++)
		list = arena_printf(&world->arena, "%.*s:%.*s", SLICE_ARG(list), SLICE_ARG(list));
	expect(world, "${strlen:${lc:$message_body}}", "60000");
	struct slice text = arena_printf(&world->arena, "${map{%.*s}{${strlen:${lc:$message_body}}}}", SLICE_ARG(list));
	expect_failure(world, EXPAND_FAIL, text.data, "more than 64 MB of memory");
	expect_failure(world, EXPAND_FAIL, "$message_body$message_body", "longer than 65536 bytes");
}

static struct slice repeated(struct arena *arena, struct slice text, size_t max)
{
	size_t count = max / text.len;
	char *out = arena_alloc(arena, count * text.len + 1);
	for (size_t i = 0; i < count; i++)
		memcpy(out + i * text.len, text.data, text.len);
	return slice_make(out, count * text.len);
}

/* A megabyte of anything ends, with a result or with one error. */
static void test_large_sources_end(void **state)
{
	static const char *const table[] = {
		"${lc:", "${if eq{", "${if and{{", "{", "}", "\\", "\\N", "$primary_hostname ", "${if eq{a}{b}}", "${run{/bin/x ", "$h_x", "${1}",
		"${extract{1}{:}{a}}", "${sg{a}{b}{c}}", "${map{a:b}{$item}}", "${nosuch:", "$", "\\x", "!", "${lookup{a}lsearch{/b}}",
	};
	struct world *world = *state;
	int64_t start = clock_now();
	world->language.uses_path = NULL;
	world->language.uses_search = NULL;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct arena arena;
		const struct expand_program *program;
		struct expand_value value;
		struct error error = { 0 };
		size_t column = 0;
		arena_init(&arena, 0);
		struct slice text = repeated(&arena, slice_of(table[i]), EXPAND_MAX_SOURCE);
		bool ok = expand_compile(&arena, text, EXPAND_PLACE_DELIVERY, &world->language, &program, &error, &column);
		if (ok)
			ok = expand_run(program, &world->context, &arena, &value, &error) == EXPAND_OK;
		else
			assert_in_range(column, 1, text.len + 1);
		assert_true(ok || error.text[0]);
		arena_free(&arena);
	}
	assert_true(clock_now() - start < 60 * CLOCK_SECOND);
}

/* ${expand:} of what holds ${expand:}, without end. */
static void test_expansion_of_expansion_has_a_bound(void **state)
{
	struct world *world = *state;
	struct expand_value value;
	struct error error;
	expect(world, "${expand:\\${expand:\\\\\\$primary_hostname\\}}", "mx.example");
	expect_failure(world, EXPAND_FAIL, "${expand:\\$foo}", "internal expansion of \"$foo\" failed: unknown variable name \"foo\"");
	/* $value holds a text that expands itself. */
	assert_int_equal(run(world, "${extract{1}{|}{\\${expand:\\$value\\}}{${expand:$value}}}", &value, &error), EXPAND_FAIL);
	assert_non_null(strstr(error.text, "internal expansion"));
}

/* A text that is computed can name what the string around it can name, nothing else. */
static void test_expand_has_the_place_of_its_program(void **state)
{
	static const char *const around[][2] = { { "${expand:<\\$", ">}" }, { "${sg{a}{a}{${lc:<}\\$", ">}}" } };
	static const struct {
		const char *name;
		enum expand_place first; /* that has it */
	} variables[] = {
		{ "primary_hostname", EXPAND_PLACE_LOAD },
		{ "sender_host_address", EXPAND_PLACE_CONNECTION },
		{ "sender_address", EXPAND_PLACE_ENVELOPE },
		{ "home", EXPAND_PLACE_DELIVERY },
	};
	struct world *world = *state;
	for (size_t i = 0; i < 8; i++) {
		char text[100], missing[100];
		snprintf(text, sizeof text, "%s%s%s", around[i / 4][0], variables[i % 4].name, around[i / 4][1]);
		snprintf(missing, sizeof missing, "variable $%s has no value here", variables[i % 4].name);
		for (enum expand_place place = EXPAND_PLACE_LOAD; place <= EXPAND_PLACE_DELIVERY; place++) {
			const struct expand_program *program;
			struct expand_value value;
			struct error error = { 0 };
			assert_true(expand_compile(&world->arena, slice_of(text), place, &world->language, &program, &error, NULL));
			enum expand_result result = expand_run(program, &world->context, &world->arena, &value, &error);
			assert_int_equal(result, place >= variables[i % 4].first ? EXPAND_OK : EXPAND_FAIL);
			if (result == EXPAND_FAIL)
				assert_non_null(strstr(error.text, missing));
		}
	}
}

static struct slice nested(struct arena *arena, const char *open, const char *inner, const char *close, unsigned depth)
{
	struct slice text = slice_of(inner);
	for (unsigned i = 0; i < depth; i++)
		text = arena_printf(arena, "%s%.*s%s", open, SLICE_ARG(text), close);
	return text;
}

/* Deep nesting of each kind, on a task's stack. */
static void deep_task(void *arg)
{
	static const char *const table[][3] = {
		{ "${lc:", "$home", "}" }, { "${map{a}{", "$item", "}}" }, { "${extract{1}{:}{", "$home", "}{$value}}" },
		{ "${sg{", "$home", "}{x}{y}}" }, { "${reduce{a}{}{", "$item", "}}" }, { "${filter{", "$home", "}{eq{a}{a}}}" },
		{ "${sort{", "$home", "}{lt}{$item}}" }, { "${substr{0}{9}{", "$home", "}}" }, { "${lookup{", "$home", "}lsearch{/f}{$value}}" },
		{ "${lookup pgsql{", "$home", "}{$value}}" }, { "${readsocket{/s}{", "$home", "}}" }, { "${run{/bin/true}{", "$home", "}}" },
		{ "${if eq{a}{a}{", "$home", "}}" }, { "${expand:", "$home", "}" }, { "${acl{accept}{", "$home", "}}" },
	};
	static const char *const conditions[][3] = {
		{ "${if eq{", "$home", "}{a}{b}{c}}" }, { "${if forany{", "$home", "}{eq{$item}{a}}{b}{c}}" },
		{ "${if and{{match{", "$home", "}{a}}{eq{a}{a}}}{b}{c}}" }, { "${if exists{", "$home", "}{/a}{/b}}" },
		{ "${if forany{a}{eq{a}{", "$home", "}}{b}{c}}" },
	};
	struct world *world = arg;
	world->answer = (struct expand_answer){ .found = true, .text = SLICE("x") };
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		good(world, nested(&world->arena, table[i][0], table[i][1], table[i][2], EXPAND_DEPTH_MAX - 1).data);
	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
		good(world, nested(&world->arena, conditions[i][0], conditions[i][1], conditions[i][2], EXPAND_DEPTH_MAX / 3).data);
}

static void test_deep_nesting_fits_a_tasks_stack(void **state)
{
	struct world *world = *state;
	struct loop *loop = loop_new();
	task_spawn(loop, deep_task, world, "deep");
	loop_run(loop);
	loop_free(loop);
	const struct expand_program *program;
	struct error error;
	struct slice deep = nested(&world->arena, "${lc:", "x", "}", EXPAND_DEPTH_MAX + 1);
	assert_false(expand_compile(&world->arena, deep, EXPAND_PLACE_LOAD, &world->language, &program, &error, NULL));
	assert_non_null(strstr(error.text, "nested more than 100 deep"));
}

static void note_step(void *owner, unsigned depth, struct slice source, enum expand_result result, struct expand_value value)
{
	struct world *world = owner;
	size_t used = strlen(world->trace);
	snprintf(world->trace + used, sizeof world->trace - used, "%u %.*s=%d%.*s;", depth, SLICE_ARG(source), (int)result, SLICE_ARG(value.text));
}

static void test_trace_shows_each_step_with_its_source(void **state)
{
	struct world *world = *state;
	struct expand_trace trace = { .owner = world, .step = note_step };
	world->context.trace = &trace;
	expect(world, "a${if eq{$home}{x}{b}{${lc:\\x43}}}", "ac");
	assert_string_equal(world->trace, "3 $home=0/home/joe;2 eq{$home}{x}=0false;2 ${lc:\\x43}=0c;"
					  "1 ${if eq{$home}{x}{b}{${lc:\\x43}}}=0c;");
}

static void test_every_condition_is_documented_and_its_example_true(void **state)
{
	struct world *world = *state;
	size_t count;
	const struct expand_function_info *rows = expand_conditions(&count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(rows[i].help[strlen(rows[i].help) - 1], '.');
		assert_ptr_equal(expand_condition_find(slice_of(rows[i].name)), &rows[i]);
		bool list = strstr(rows[i].name, "match_") != NULL;
		if (!rows[i].refused && rows[i].result && !list)
			expect(world, rows[i].example, rows[i].result);
	}
}

static void test_examples_of_items_and_operators_compile(void **state)
{
	size_t count;
	const struct expand_function_info *rows = expand_items(&count);
	for (size_t i = 0; i < count; i++)
		if (rows[i].example && !rows[i].refused)
			compiled(*state, rows[i].example);
	rows = expand_operators(&count);
	for (size_t i = 0; i < count; i++)
		if (rows[i].example && !rows[i].refused)
			compiled(*state, rows[i].example);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_branches),
		TEST(test_branches_not_taken_are_not_evaluated),
		TEST(test_numbers_are_those_of_the_last_match_and_restored),
		TEST(test_value_and_item_are_restored),
		TEST(test_conditions),
		TEST(test_conditions_fail),
		TEST(test_extract),
		TEST(test_walks_over_lists),
		TEST(test_substitution),
		TEST(test_constant_parts_are_compiled_at_load),
		TEST(test_header_lines),
		TEST(test_lookups_ask_the_world),
		TEST(test_lookups_found_or_not),
		TEST(test_commands),
		TEST(test_files_and_sockets),
		TEST(test_certificates_in_variables),
		TEST(test_acl_env_and_certificates),
		TEST(test_a_value_is_kept_from_when_it_is_read),
		TEST(test_taint_is_carried),
		TEST(test_limits),
		TEST(test_memory_has_a_bound),
		TEST(test_large_sources_end),
		TEST(test_expansion_of_expansion_has_a_bound),
		TEST(test_expand_has_the_place_of_its_program),
		TEST(test_deep_nesting_fits_a_tasks_stack),
		TEST(test_trace_shows_each_step_with_its_source),
		TEST(test_every_condition_is_documented_and_its_example_true),
		TEST(test_examples_of_items_and_operators_compile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
