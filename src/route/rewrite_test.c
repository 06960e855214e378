/* SPDX-License-Identifier: ISC */
/* Rewrite rules: what matches, what replaces it, which flag does what, and what stays of a header field. */
#include "route/rewrite.h"

#include "base/test.h"
#include "expand/regex.h"

struct world {
	struct arena arena;
	struct expand_language language;
	struct list_scope lists;
	struct pattern_scope scope;
	struct expand_context context;
	const struct pattern_subject *subject;
	const struct list *local, *users; /* +local, +users */
	char problems[1000];
};

static struct expand_value variable(void *owner, enum expand_variable which)
{
	struct world *world = owner;
	if (which == EXPAND_LOCAL_PART && world->subject)
		return (struct expand_value){ world->subject->local_part, true };
	if (which == EXPAND_DOMAIN && world->subject)
		return (struct expand_value){ world->subject->domain, true };
	return (struct expand_value){ which == EXPAND_PRIMARY_HOSTNAME ? SLICE("h.example") : SLICE(""), false };
}

static const struct list *named(void *owner, enum list_kind kind, struct slice name)
{
	struct world *world = owner;
	return kind == LIST_DOMAIN && slice_equal(name, SLICE("local")) ? world->local :
	       kind == LIST_ADDRESS && slice_equal(name, SLICE("users")) ? world->users : NULL;
}

static void remember(void *owner, const char *text)
{
	struct world *world = owner;
	size_t len = strlen(world->problems);
	snprintf(world->problems + len, sizeof world->problems - len, "%s\n", text);
}

static int set_up(void **state)
{
	static struct world world;
	static const struct list_scope none;
	struct error error;
	world = (struct world){ 0 };
	arena_init(&world.arena, 0);
	world.language.scratch = regex_scratch_new();
	world.context = (struct expand_context){ .owner = &world, .variable = variable };
	assert_true(list_compile(&world.arena, LIST_DOMAIN, SLICE("a.example : *.a.example"), &none, &world.local, &error));
	assert_true(list_compile(&world.arena, LIST_ADDRESS, SLICE("ann@b.example"), &none, &world.users, &error));
	world.lists = (struct list_scope){ .owner = &world, .named = named, .constants = &world.context };
	world.scope = (struct pattern_scope){ &world.lists, &world.language };
	*state = &world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	arena_free(&world->arena);
	regex_scratch_free(&world->language.scratch);
	return 0;
}

static struct rewriter rewriter_of(struct world *world, const char *rules)
{
	struct rewrite_rule *first = NULL, *rule, **end = &first;
	struct slice rest = slice_of(rules);
	struct error error;
	size_t column;
	while (rest.len) {
		if (!rewrite_compile(&world->arena, slice_cut(&rest, '\n'), &world->scope, &rule, &error, &column))
			fail_msg("%s at %zu", error.text, column);
		*end = rule;
		end = &rule->next;
	}
	*world->problems = '\0';
	return (struct rewriter){
		.rules = first, .context = &world->context, .subject = &world->subject, .qualify_recipient = SLICE("q.example"),
		.utf8 = true, .arena = &world->arena, .owner = world, .problem = remember,
	};
}

static void expect(struct world *world, const char *rules, unsigned target, const char *address, const char *want)
{
	struct rewriter rewriter = rewriter_of(world, rules);
	struct rewrite_result result;
	struct error error = { 0 };
	if (rewrite_address(&rewriter, target, slice_of(address), &result, &error) != EXPAND_OK)
		fail_msg("%s: %s", rules, error.text);
	if (!slice_equal(result.address, slice_of(want)) || result.changed == slice_equal(slice_of(address), slice_of(want)))
		fail_msg("%s: %s gives %.*s, not %s", rules, address, SLICE_ARG(result.address), want);
}

static void expect_both(struct world *world, const char *rules, const char *address, const char *want)
{
	expect(world, rules, REWRITE_FROM, address, want);
	expect(world, rules, REWRITE_ENVELOPE_TO, address, want);
}

static void asterisks_and_groups_set_the_numbers(void **state)
{
	struct world *world = *state;
	expect_both(world, "*@*.hitch.example $1@hitch.example", "fp42@x.hitch.example", "fp42@hitch.example");
	expect_both(world, "*queen@*.fict.example $1x$2@z", "hearts-queen@wonderland.fict.example", "hearts-xwonderland@z");
	expect_both(world, "* a$1@z", "foo@bar.example", "abar.example@z");
	expect_both(world, "*.example a$1$2@z", "foo@x.bar.example", "ax.bar@z");
	expect_both(world, "*oo@*bar.example x$1y$2.$local_part-$domain@z", "foo@X.bar.example", "xfyx..foo-X.bar.example@z");
	expect_both(world, "*oo@*bar.example $1@z", "fOO@x.bar.example", "fOO@x.bar.example");
	expect_both(world, "^(f)(o)@bar x$1y$2z$3@z", "fo@bar", "xfyoz@z");
	expect_both(world, "^(?i)(f)(o+)@bar x$1y$2z@z", "FOo@BAR", "xFyOoz@z");
	expect_both(world, "\\N^([^!]+)!(.*)@b\\.example$\\N $2@$1", "c.example!user@b.example", "user@c.example");
	expect_both(world, "*@+local x$1@z", "foo@a.example", "xfoo@z");
	expect_both(world, "*@+local x$1@z", "foo@b.example", "foo@b.example");
	expect_both(world, "+users x$1@z", "ann@b.example", "x@z");
	expect_both(world, "!*@a.example x@z", "foo@b.example", "x@z");
	expect_both(world, "!*@a.example x@z", "foo@a.example", "foo@a.example");
	expect_both(world, "*@$primary_hostname $1@z", "foo@h.example", "foo@z");
}

static void rules_follow_each_other(void **state)
{
	struct world *world = *state;
	expect_both(world, "*@a $1@b\n*@b $1@c", "x@a", "x@c");
	expect_both(world, "*@b.example *\n*@* z@z", "foo@b.example", "foo@b.example");
	expect(world, "*@b *  f\n*@* z@z", REWRITE_FROM, "foo@b", "foo@b");
	expect(world, "*@b *  f\n*@* z@z", REWRITE_TO, "foo@b", "z@z");
	expect_both(world, "*@* x@y q\n*@* z@w", "foo@b", "x@y");
	expect_both(world, "*@c x@y q\n*@* z@w", "foo@b", "z@w");
	expect_both(world, "*@*.s.example $1@$2.example R", "x@a.s.s.s.example", "x@a.example");
	assert_string_equal(world->problems, "");
	expect_both(world, "*@* a$1@$2 R", "foo@b", "aaaaaaaaaaafoo@b");
	assert_string_equal(world->problems, "rewrite rule repeat ignored after 10 times\n");
	expect_both(world, "*@*.s.example $1@$2.example Rq\n*@* z@z", "x@a.s.s.example", "x@a.example");
	expect_both(world, "*@*.s.example $1@$2.example Rq\n*@* z@z", "x@b.example", "z@z");
	expect_both(world, "*@* z@z", "unqualified", "unqualified");
	expect_both(world, "*@* z@z", "", "");
}

static void replacements_must_be_addresses(void **state)
{
	struct world *world = *state;
	expect_both(world, "*@* x Q", "foo@b", "x@q.example");
	expect_both(world, "*@* x\n*@* z@w", "foo@b", "foo@b");
	assert_non_null(strstr(world->problems, "Rewrite of foo@b yielded unqualified address \"x\"\n"));
	expect_both(world, "*@* $1@b1\n*@* $1@\n*@* z@w", "foo@b", "foo@b1");
	assert_non_null(strstr(world->problems, "Rewrite of foo@b1 yielded unparseable address: "));
	expect_both(world, "*@* \"a@b, c@d\"", "foo@b", "foo@b");
	expect_both(world, "*@* \"$1 x@b\"", "foo@b", "foo@b");
	expect_both(world, "*@* \"\"", "foo@b", "foo@b");
	expect_both(world, "*@* \"A B <x@y>\"", "foo@b", "x@y");
	expect_both(world, "*@* \"A B <x@y>\" w", "foo@b", "x@y");
	expect_both(world, "*@* \"\\\"$1 z\\\"@b\"", "foo@b", "\"foo z\"@b");
}

static void flags_choose_where_a_rule_holds(void **state)
{
	static const struct { const char *flags; unsigned targets; } cases[] = {
		{ "", REWRITE_ENVELOPE | REWRITE_HEADERS }, { "E", REWRITE_ENVELOPE }, { "F", REWRITE_ENVELOPE_FROM },
		{ "T", REWRITE_ENVELOPE_TO }, { "b", REWRITE_BCC }, { "c", REWRITE_CC }, { "f", REWRITE_FROM },
		{ "h", REWRITE_HEADERS }, { "r", REWRITE_REPLY_TO }, { "s", REWRITE_SENDER }, { "t", REWRITE_TO },
		{ "T h", REWRITE_ENVELOPE_TO | REWRITE_HEADERS }, { "qQw", REWRITE_ENVELOPE | REWRITE_HEADERS },
		{ "bctfrF", REWRITE_BCC | REWRITE_CC | REWRITE_TO | REWRITE_FROM | REWRITE_REPLY_TO | REWRITE_ENVELOPE_FROM },
	};
	struct world *world = *state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char rule[100];
		snprintf(rule, sizeof rule, "*@* x@y %s", cases[i].flags);
		for (unsigned target = 1; target <= REWRITE_TO; target <<= 1)
			expect(world, rule, target, "a@b", cases[i].targets & target ? "x@y" : "a@b");
	}
}

static void the_smtp_rule_sees_the_whole_argument(void **state)
{
	struct world *world = *state;
	struct rewriter rewriter = rewriter_of(world, "\\N^<([^!@]+)!([^@]+)>$\\N <$2@$1> S\n^<x@y> <z@y> S");
	static const struct { const char *argument, *want; } cases[] = {
		{ "<host.example!user>", "<user@host.example>" }, { "<user@host.example>", "<user@host.example>" },
		{ "<y!x>", "<z@y>" }, { "<>", "<>" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct slice result;
		struct error error;
		assert_int_equal(rewrite_smtp(&rewriter, slice_of(cases[i].argument), &result, &error), EXPAND_OK);
		if (!slice_equal(result, slice_of(cases[i].want)))
			fail_msg("%s gives %.*s", cases[i].argument, SLICE_ARG(result));
	}
	expect_both(world, "^x x@y S", "x@z", "x@z");
}

static void bad_rules_are_named_with_their_column(void **state)
{
	static const struct { const char *line; size_t column; const char *text; } cases[] = {
		{ "*@*", 4, "the replacement is missing" },
		{ "*@* a@b K", 9, "unknown flag \"K\"" },
		{ "*@* $1 @b", 8, "unknown flag \"@\"" },
		{ "foo x@b S", 1, "needs a regular expression" },
		{ "^( x@b", 1, "regular expression" },
		{ "*@+nosuch x@b", 1, "there is no domain list" },
		{ "*@* \"a\\\"${", 9, "" },
		{ "*@* a$nosuch_thing@b", 7, "" },
	};
	struct world *world = *state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct rewrite_rule *rule;
		struct error error = { 0 };
		size_t column = 0;
		if (rewrite_compile(&world->arena, slice_of(cases[i].line), &world->scope, &rule, &error, &column))
			fail_msg("%s is taken", cases[i].line);
		if (!strstr(error.text, cases[i].text) || (*cases[i].text && column != cases[i].column))
			fail_msg("%s: %s at %zu", cases[i].line, error.text, column);
	}
}

static void expect_header(struct world *world, const char *rules, const char *section, const char *want)
{
	struct rewriter rewriter = rewriter_of(world, rules);
	struct error error = { 0 };
	struct buf out;
	buf_init(&out, 10000);
	if (rewrite_headers(&rewriter, slice_of(section), &out, &error) != EXPAND_OK)
		fail_msg("%s: %s", section, error.text);
	if (!slice_equal(buf_slice(&out), slice_of(want)))
		fail_msg("%s gives %.*s", section, SLICE_ARG(buf_slice(&out)));
	buf_free(&out);
}

static void header_fields_keep_all_but_the_address(void **state)
{
	static const char rule[] = "*@b $1@z";
	struct world *world = *state;
	expect_header(world, rule, "From: Ford Prefect <fp42@b>\r\n", "From: Ford Prefect <fp42@z>\r\n");
	expect_header(world, rule, "From:fp42@b\r\nSubject: a@b\r\n", "From:fp42@z\r\nSubject: a@b\r\n");
	expect_header(world, rule, "TO: (aa) foo@b (cc@b), \"x, y@b\" <q@b>,\r\n\t<r@c> , s@b\r\n",
		      "TO: (aa) foo@z (cc@b), \"x, y@b\" <q@z>,\r\n\t<r@c> , s@z\r\n");
	expect_header(world, rule, "Cc: Group: a@b, c@d; , e@b\n", "Cc: Group: a@z, c@d; , e@z\n");
	expect_header(world, rule, "Resent-From: a@b\r\nReply-To: <a@b>\r\nSender: a@b\r\nBcc: a@b\r\nX-To: a@b\r\n",
		      "Resent-From: a@z\r\nReply-To: <a@z>\r\nSender: a@z\r\nBcc: a@z\r\nX-To: a@b\r\n");
	expect_header(world, rule, "To:\r\n a@b\r\n\t, c@b\r\nX: y\r\n\r\n", "To:\r\n a@z\r\n\t, c@z\r\nX: y\r\n\r\n");
	expect_header(world, rule, "To: undisclosed-recipients:;\r\nFrom: a\r\n", "To: undisclosed-recipients:;\r\nFrom: a\r\n");
	expect_header(world, rule, "To: <a@b\r\n", "To: <a@z\r\n");
	expect_header(world, rule, "To: \"a@b, c@b\r\n", "To: \"a@b, c@b\r\n");
	expect_header(world, rule, "To: , ,,;:, a@b (((\r\n", "To: , ,,;:, a@z (((\r\n");
	/* The body is not looked at, nor what follows a line that is no field. */
	expect_header(world, rule, "From: a@b\r\n\r\nFrom: a@b\r\n", "From: a@z\r\n\r\nFrom: a@b\r\n");
	expect_header(world, rule, "From: a@b\r\nno field\r\nFrom: a@b\r\n", "From: a@z\r\nno field\r\nFrom: a@b\r\n");
	expect_header(world, rule, "\r\nFrom: a@b\r\n", "\r\nFrom: a@b\r\n");
	/* What a field is, mail/field.h says: bytes above 127, and blanks before the colon. */
	expect_header(world, rule, "X\xe9: y\r\nFrom \t: a@b\r\nTo: a@b\r\n", "X\xe9: y\r\nFrom \t: a@z\r\nTo: a@z\r\n");
	expect_header(world, "*@b $1@z f", "From: a@b\r\nTo: a@b\r\n", "From: a@z\r\nTo: a@b\r\n");
}

static void the_whole_item_is_replaced_by_w(void **state)
{
	struct world *world = *state;
	expect_header(world, "*@b \"New Name <n@z>\" w", "From: Foo <foo@b> (x), c@d\r\n", "From: New Name <n@z>, c@d\r\n");
	expect_header(world, "*@b n@z w", "From: \"Q\" <foo@b> (x)\r\n", "From: n@z\r\n");
	expect_header(world, "*@b \"New N\\303\\244me <n@z>\" w", "From: foo@b\r\n", "From: =?UTF-8?Q?New_N=C3=A4me?= <n@z>\r\n");
	expect_header(world, "*@b \"New <$1@c>\" w\n*@c $1@d", "From: foo@b\r\n", "From: New <foo@d>\r\n");
	/* Nothing that a replacement gives can begin another field. */
	expect_header(world, "*@b \"a\\r\\nX-Bad y <n@z>\" w", "From: foo@b\r\n", "From: =?UTF-8?Q?a=0D=0AX-Bad_y?= <n@z>\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(asterisks_and_groups_set_the_numbers),
		TEST(rules_follow_each_other),
		TEST(replacements_must_be_addresses),
		TEST(flags_choose_where_a_rule_holds),
		TEST(the_smtp_rule_sees_the_whole_argument),
		TEST(bad_rules_are_named_with_their_column),
		TEST(header_fields_keep_all_but_the_address),
		TEST(the_whole_item_is_replaced_by_w),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
