/* SPDX-License-Identifier: ISC */
/* Retry rules: what they are, which one is chosen, when the next try is and when the last. */
#include "route/retry.h"

#include "base/clock.h"
#include "base/test.h"
#include "expand/regex.h"
#include "route/rule.h"

#define MINUTE (60 * CLOCK_SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define START (1000000 * CLOCK_SECOND)

struct world {
	struct arena arena;
	struct regex_scratch *scratch;
	struct expand_language language;
	struct list_scope lists;
	struct pattern_scope scope;
	struct expand_context context;
};

static struct expand_value no_variable(void *owner, enum expand_variable which)
{
	(void)owner;
	(void)which;
	return (struct expand_value){ 0 };
}

static int set_up(void **state)
{
	static struct world world;
	world = (struct world){ 0 };
	arena_init(&world.arena, 0);
	world.scratch = regex_scratch_new();
	world.language.scratch = world.scratch;
	world.scope = (struct pattern_scope){ &world.lists, &world.language };
	world.context.variable = no_variable;
	*state = &world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	arena_free(&world->arena);
	regex_scratch_free(&world->scratch);
	return 0;
}

/* Lines separated by newlines to a chain. */
static const struct retry_rule *rules(struct world *world, const char *text)
{
	struct retry_rule *first = NULL, *rule, **end = &first;
	struct slice rest = slice_of(text);
	struct error error;
	size_t column;
	while (rest.len) {
		if (!retry_compile(&world->arena, slice_cut(&rest, '\n'), &world->scope, &rule, &error, &column))
			fail_msg("%s at %zu", error.text, column);
		*end = rule;
		end = &rule->next;
	}
	return first;
}

static void expect_bad(struct world *world, const char *line, size_t column, const char *text)
{
	struct retry_rule *rule;
	struct error error = { 0 };
	size_t at = 0;
	assert_false(retry_compile(&world->arena, slice_of(line), &world->scope, &rule, &error, &at));
	if (!strstr(error.text, text) || at != column)
		fail_msg("\"%s\": \"%s\" at %zu, not \"%s\" at %zu", line, error.text, at, text, column);
}

static void expect_text(struct world *world, const char *line, const char *text)
{
	struct buf out;
	buf_init(&out, 1000);
	assert_true(retry_rule_format(rules(world, line), &out));
	if (!slice_equal(buf_slice(&out), slice_of(text)))
		fail_msg("\"%s\" gives \"%.*s\"", line, SLICE_ARG(buf_slice(&out)));
	buf_free(&out);
}

/* Which rule's pattern and error; "" when none. `address` without "@" is a domain. */
static void expect_rule_for(struct world *world, const struct retry_rule *first, const char *address, const char *error_name,
			    const char *sender, const char *host, const char *expected)
{
	struct retry_failure failure = { .domain = slice_of(address), .host = slice_of(host) };
	struct slice rest = slice_of(sender);
	struct pattern_subject from = { .whole = rest };
	const struct retry_rule *rule;
	struct error error;
	size_t at = slice_find(failure.domain, '@');
	if (at < failure.domain.len) {
		failure.local_part = slice_first(failure.domain, at);
		failure.domain = slice_from(failure.domain, at + 1);
	}
	assert_true(retry_error_parse(slice_of(error_name), &failure.error, &error));
	from.local_part = slice_cut(&rest, '@');
	from.domain = rest;
	if (sender)
		failure.sender = &from;
	assert_int_equal(retry_find(first, &failure, &world->context, &world->arena, &rule, &error), EXPAND_OK);
	struct slice found = rule ? arena_printf(&world->arena, "%.*s %.*s", SLICE_ARG(rule->pattern_text),
						 SLICE_ARG(rule->error_text)) : SLICE("");
	if (!slice_equal(found, slice_of(expected)))
		fail_msg("%s %s: \"%.*s\", not \"%s\"", address, error_name, SLICE_ARG(found), expected);
}

static void parameters_print_as_exim_prints_them(void **state)
{
	struct world *world = *state;
	expect_text(world, "*  *  F,2h,15m; G,16h,1h,1.5; F,4d,6h", "*  *  F,2h,15m; G,16h,1h,1.5; F,4d,6h; ");
	expect_text(world, "* * f,2h,15m ;", "*  *  F,2h,15m; ");
	expect_text(world, "* * G,2h,15m,1", "*  *  G,2h,15m,1.0; ");
	expect_text(world, "* * H,2h,15m,1.23456", "*  *  H,2h,15m,1.234; ");
	expect_text(world, "alice@w.example quota_5d  F,7d,3h", "alice@w.example  quota_5d  F,1w,3h; ");
	expect_text(world, "w.example quota_5d", "w.example  quota_5d  ");
	expect_text(world, "* * F , 90s , 2;", "*  *  F,1m30s,2s; ");
	expect_text(world, "\"a.example\" * senders=\"x : y\" F,1d,1h", "a.example  *  F,1d,1h; ");
}

static void a_bad_rule_is_named_with_its_column(void **state)
{
	struct world *world = *state;
	expect_bad(world, "*", 2, "the name of an error, or *, is missing");
	expect_bad(world, "* nonsense F,2h,15m", 3, "unknown error \"nonsense\"");
	expect_bad(world, "* rcpt_4x5 F,2h,15m", 3, "expected 4xx, 4dx or 4dd");
	expect_bad(world, "* rcpt_55x F,2h,15m", 3, "unknown error");
	expect_bad(world, "* refused_B", 3, "expected _MX, _A or nothing");
	expect_bad(world, "* refusedly", 3, "unknown error");
	expect_bad(world, "* quota_", 3, "expected a time after quota_");
	expect_bad(world, "* * F,2h", 9, "a comma and an interval");
	expect_bad(world, "* * X,2h,15m", 5, "expected F, G or H");
	expect_bad(world, "* * G,2h,15m", 13, "a comma and a factor");
	expect_bad(world, "* * G,2h,15m,0.5", 17, "a factor that is 1 or more");
	expect_bad(world, "* * F,0s,15m", 9, "a cutoff time that is not 0");
	expect_bad(world, "* * F,1d,0", 11, "an interval that is not 0");
	expect_bad(world, "* * F,2h,15m,9", 13, "expected a semicolon");
	expect_bad(world, "* * F,2h,15m F,1d,1h", 14, "expected a semicolon");
	expect_bad(world, "* * F,1m1h,15m", 7, "a cutoff time");
	expect_bad(world, "* * senders= F,1d,1h", 13, "expected an address list");
	expect_bad(world, "\"* * F,1d,1h", 1, "missing its end");
	expect_bad(world, "^( * F,1d,1h", 1, "regular expression");
}

static void the_first_rule_that_matches_is_chosen(void **state)
{
	struct world *world = *state;
	const struct retry_rule *first = rules(world, "alice@w.example quota_5d F,7d,3h\n"
		"w.example quota_5d\n"
		"w.example rcpt_45x F,1h,1m\n"
		"w.example rcpt_4xx F,1h,2m\n"
		"w.example * F,1h,15m\n"
		"*.sub.example timeout F,1h,1m\n"
		"*@h.example refused_MX F,1h,1m\n"
		"^\\N[^@]+@xyz\\d+\\.example$\\N * F,1h,1m\n"
		"* timeout_connect_A F,1h,1m\n"
		"* timeout F,2h,1m\n"
		"* refused_A F,2h,20m");
	expect_rule_for(world, first, "alice@w.example", "quota_6d", NULL, "", "alice@w.example quota_5d");
	expect_rule_for(world, first, "Alice@W.Example", "quota_6d", NULL, "", "alice@w.example quota_5d");
	expect_rule_for(world, first, "w.example", "quota_6d", NULL, "", "w.example quota_5d");
	expect_rule_for(world, first, "bob@w.example", "quota_4d", NULL, "", "w.example *");
	expect_rule_for(world, first, "bob@w.example", "quota", NULL, "", "w.example *");
	expect_rule_for(world, first, "bob@w.example", "rcpt_452", NULL, "", "w.example rcpt_45x");
	expect_rule_for(world, first, "bob@w.example", "rcpt_421", NULL, "", "w.example rcpt_4xx");
	expect_rule_for(world, first, "bob@w.example", "mail_421", NULL, "", "w.example *");
	expect_rule_for(world, first, "a.sub.example", "timeout_connect_MX", NULL, "", "*.sub.example timeout");
	expect_rule_for(world, first, "h.example", "refused_MX", NULL, "", "*@h.example refused_MX");
	expect_rule_for(world, first, "h.example", "refused_A", NULL, "", "* refused_A");
	expect_rule_for(world, first, "h.example", "refused", NULL, "", "");
	expect_rule_for(world, first, "xyz7.example", "lookup", NULL, "", "^\\N[^@]+@xyz\\d+\\.example$\\N *");
	expect_rule_for(world, first, "q.example", "timeout_connect_A", NULL, "", "* timeout_connect_A");
	expect_rule_for(world, first, "q.example", "timeout_connect_MX", NULL, "", "* timeout");
	expect_rule_for(world, first, "q.example", "lost_connection", NULL, "", "");
}

static void the_host_is_tried_before_the_domain_rule_by_rule(void **state)
{
	struct world *world = *state;
	const struct retry_rule *first = rules(world, "p.q.example * F,24h,30m\na.b.example * F,4d,45m");
	expect_rule_for(world, first, "a.b.example", "refused_MX", NULL, "x.y.example", "a.b.example *");
	expect_rule_for(world, first, "a.b.example", "refused_MX", NULL, "p.q.example", "p.q.example *");
}

static void senders_must_match_where_a_rule_has_them(void **state)
{
	struct world *world = *state;
	const struct retry_rule *first = rules(world, "* rcpt_4xx senders=: F,1h,30m\n"
						      "* * senders=\"xb.dom : *@yc.dom\" G,8h,10m,1.5\n* data_4xx F,1h,30m");
	expect_rule_for(world, first, "a@b.example", "rcpt_450", "", "", "* rcpt_4xx");
	expect_rule_for(world, first, "a@b.example", "rcpt_450", "x@yc.dom", "", "* *");
	expect_rule_for(world, first, "a@b.example", "rcpt_450", "x@zd.dom", "", "");
	expect_rule_for(world, first, "a@b.example", "data_450", "x@zd.dom", "", "* data_4xx");
	expect_rule_for(world, first, "a@b.example", "data_450", NULL, "", "* data_4xx");
}

static void expect_tries(struct world *world, const char *line, const int64_t *gaps, size_t count)
{
	const struct retry_rule *rule = rules(world, line);
	struct retry_state retry = { 0 };
	int64_t now = START;
	for (size_t i = 0; i < count; i++) {
		retry_failed(&retry, rule, now, 0, DAY, 0);
		if (retry.next_try - now != gaps[i])
			fail_msg("%s: gap %zu is %lld s", line, i, (long long)((retry.next_try - now) / CLOCK_SECOND));
		now = retry.next_try;
	}
}

static void intervals_are_fixed_or_grow(void **state)
{
	struct world *world = *state;
	static const int64_t fixed[] = { 15 * MINUTE, 15 * MINUTE, 15 * MINUTE, 15 * MINUTE, 15 * MINUTE };
	static const int64_t grown[] = { HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, DAY, DAY };
	static const int64_t mixed[] = { 30 * MINUTE, 30 * MINUTE, HOUR, 90 * MINUTE, 135 * MINUTE, 8 * HOUR };
	expect_tries(world, "* * F,2h,15m", fixed, 5);
	expect_tries(world, "* * G,10d,1h,2", grown, 7); /* no longer than retry_interval_max */
	expect_tries(world, "* * F,1h,30m; G,5h,1h,1.5; F,5d,8h", mixed, 6);
	expect_tries(world, "* * H,10d,1h,2", (const int64_t[]){ HOUR, HOUR, HOUR }, 3);
}

static void random_intervals_stay_between_the_least_and_the_grown(void **state)
{
	struct world *world = *state;
	const struct retry_rule *rule = rules(world, "* * H,10d,1h,3");
	for (uint64_t random = 1; random < 1000000000000000; random = random * 3 + 1) {
		struct retry_state retry = { .first_failed = START, .last_try = START, .next_try = START + 2 * HOUR };
		retry_failed(&retry, rule, START + 2 * HOUR, 0, DAY, random);
		int64_t gap = retry.next_try - retry.last_try;
		assert_true(gap >= HOUR && gap < 6 * HOUR);
	}
}

static void after_the_last_cutoff_the_address_is_given_up(void **state)
{
	struct world *world = *state;
	const struct retry_rule *rule = rules(world, "* * F,2h,15m; F,4h,1h");
	struct retry_state retry = { 0 };
	retry_failed(&retry, rule, START, 0, DAY, 0);
	assert_false(retry.expired);
	retry_failed(&retry, rule, START + 4 * HOUR - 1, 0, DAY, 0);
	assert_false(retry.expired);
	retry_failed(&retry, rule, START + 4 * HOUR, 0, DAY, 0);
	assert_true(retry.expired);
	assert_int_equal(retry.next_try, START + 5 * HOUR); /* for new messages */
	/* A failure that is the message's own counts from its arrival. */
	retry = (struct retry_state){ 0 };
	retry_failed(&retry, rule, START, START - 5 * HOUR, DAY, 0);
	assert_true(retry.expired);
	retry = (struct retry_state){ 0 };
	retry_failed(&retry, NULL, START, 0, DAY, 0);
	assert_true(retry.expired);
	retry = (struct retry_state){ 0 };
	retry_failed(&retry, rules(world, "* quota_5d"), START, 0, DAY, 0);
	assert_true(retry.expired);
}

static void a_message_that_waits_longer_than_the_rule_is_given_up(void **state)
{
	struct world *world = *state;
	const struct retry_rule *rule = rules(world, "* * F,2h,15m; F,4h,1h");
	assert_false(retry_message_expired(rule, START, START + 4 * HOUR));
	assert_true(retry_message_expired(rule, START, START + 4 * HOUR + 1));
	assert_true(retry_message_expired(NULL, START, START));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parameters_print_as_exim_prints_them),
		TEST(a_bad_rule_is_named_with_its_column),
		TEST(the_first_rule_that_matches_is_chosen),
		TEST(the_host_is_tried_before_the_domain_rule_by_rule),
		TEST(senders_must_match_where_a_rule_has_them),
		TEST(intervals_are_fixed_or_grow),
		TEST(random_intervals_stay_between_the_least_and_the_grown),
		TEST(after_the_last_cutoff_the_address_is_given_up),
		TEST(a_message_that_waits_longer_than_the_rule_is_given_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
