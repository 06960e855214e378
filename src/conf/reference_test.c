/* SPDX-License-Identifier: ISC */
/* What the manual says of ACLs is true: each word's example loads where the manual allows the word, and is warned of elsewhere. */
#include "acl/acl.h"
#include "base/fatal.h"
#include "base/test.h"
#include "conf/conf.h"
#include "conf/fake_system.h"

typedef bool word_rows(size_t index, struct acl_word_info *info_r);

static const struct table {
	word_rows *rows;
	const char *chapter, *before; /* what stands before an example of it to make a statement */
	const char *reported; /* as which it is refused */
} tables[] = {
	{ acl_verb_info, "ACL verbs", "", "" },
	{ acl_word_info, "ACL conditions", "accept ", "" },
	{ acl_control_info, "ACL controls", "accept control = ", "control: " },
	{ acl_verify_info, "ACL verification", "accept verify = ", "verify: " },
};
enum { TABLES = sizeof tables / sizeof *tables };

static const char *option_of(enum acl_point point)
{
	const char *name = acl_point_info(point)->option;
	return conf_option_find(conf_table(CONF_TABLE_MAIN), slice_of(name)) ? name : NULL;
}

struct outcome {
	bool loads;
	size_t warnings;
	char first[600]; /* problem */
};

/* What comes of a configuration in which that option names an ACL with that statement. */
static struct outcome load(const char *option, const char *before, const char *statement)
{
	static const struct fake_fact facts[] = {
		{ CONF_FACT_HOSTNAME, "", "mx.example.org" }, { CONF_FACT_ROOT, "", "0" }, { CONF_FACT_ADDRESSES, "", "127.0.0.1" },
	};
	struct fake_machine machine = { facts, sizeof facts / sizeof *facts, 0 };
	struct conf_system system = { fake_ask, &machine };
	struct conf_problems problems;
	struct outcome outcome = { 0 };
	char text[4000];
	ensure(snprintf(text, sizeof text,
			"domainlist local_domains = example.org\nhostlist relay_hosts = 192.0.2.0/24\n%s = tested\nbegin acl\ncheck_relay:\n"
			"  accept\ntested:\n  %s%s\n", option, before, statement) < (int)sizeof text);
	conf_problems_init(&problems);
	struct conf_source *source = conf_source_from_text(slice_of(text), "conf", NULL, 0, &system, &problems);
	struct conf *conf = conf_parse(source, &problems);
	outcome.loads = conf != NULL;
	outcome.warnings = problems.warnings;
	if (problems.count)
		snprintf(outcome.first, sizeof outcome.first, "%.*s", SLICE_ARG(problems.items[0].text));
	conf_unref(&conf);
	conf_source_free(source);
	conf_problems_free(&problems);
	return outcome;
}

static void examples_load_where_their_word_is_allowed_and_only_there(void **state)
{
	struct acl_word_info word;
	size_t tried = 0;
	(void)state;
	for (enum acl_point point = 0; point < ACL_POINTS; point++) {
		const char *option = option_of(point);
		if (!option)
			continue;
		size_t usual = load(option, "", "accept").warnings;
		for (const struct table *table = tables; table < tables + TABLES; table++)
			for (size_t i = 0; table->rows(i, &word); i++) {
				if (word.refused)
					continue;
				struct outcome outcome = load(option, table->before, word.example);
				bool verb = table == tables, warned = outcome.warnings > usual;
				/* A verb's example is for recipients; the words in it may need one. */
				if (!outcome.loads || ((!verb || point == ACL_POINT_RCPT) && warned == (word.points >> point & 1)))
					fail_msg("%s: %s%s: %s", option, table->before, word.example, outcome.first);
				tried++;
			}
	}
	assert_true(tried > 300);
}

static void what_is_not_available_is_an_error_for_the_reason_that_the_manual_gives(void **state)
{
	struct acl_word_info word;
	size_t tried = 0;
	(void)state;
	for (const struct table *table = tables; table < tables + TABLES; table++)
		for (size_t i = 0; table->rows(i, &word); i++) {
			char statement[100], reason[300];
			if (!word.refused)
				continue;
			snprintf(statement, sizeof statement, "%s%s", word.name, table->rows == acl_word_info ? " = x" : "");
			snprintf(reason, sizeof reason, "not available in this version: %s", word.refused);
			struct outcome outcome = load("acl_smtp_rcpt", table->before, statement);
			if (outcome.loads || !strstr(outcome.first, reason) || !strstr(outcome.first, table->reported))
				fail_msg("%s%s: %s", table->before, statement, outcome.first);
			tried++;
		}
	assert_true(tried > 0);
}

/* The text behind a heading, up to the next one of its level; to be freed. */
static char *text_under(const char *manual, const char *level, const char *title)
{
	char heading[200], next[10];
	snprintf(heading, sizeof heading, "\n%s %s\n", level, title);
	snprintf(next, sizeof next, "\n%s ", level);
	const char *start = strstr(manual, heading);
	if (!start) {
		fail_msg("there is no heading \"%s %s\"", level, title);
		abort();
	}
	start += strlen(heading);
	const char *end = strstr(start, next);
	return strndup(start, end ? (size_t)(end - start) : strlen(start));
}

static void assert_entry(const char *chapter, const char *title, const char *text)
{
	char *entry = text_under(chapter, "###", title);
	if (!strstr(entry, text))
		fail_msg("the manual does not say of %s: %s", title, text);
	free(entry);
}

static void every_word_and_point_of_acls_is_in_the_manual(void **state)
{
	struct acl_word_info word;
	struct buf out;
	(void)state;
	buf_init(&out, 1 << 20);
	assert_true(conf_reference(&out) && buf_append_byte(&out, '\0'));
	for (const struct table *table = tables; table < tables + TABLES; table++)
		for (size_t i = 0; table->rows(i, &word); i++) {
			bool modifier = table->rows == acl_word_info && word.modifier;
			char *chapter = text_under(out.data, "##", modifier ? "ACL modifiers" : table->chapter);
			assert_entry(chapter, word.name, word.refused ? word.refused : word.help);
			free(chapter);
		}
	char *points = text_under(out.data, "##", "ACL points");
	for (enum acl_point point = 0; point < ACL_POINT_EXPANSION; point++) {
		if (option_of(point))
			assert_entry(points, acl_point_info(point)->option, acl_point_info(point)->name);
		else
			assert_non_null(strstr(points, acl_point_info(point)->option));
	}
	free(points);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_load_where_their_word_is_allowed_and_only_there),
		cmocka_unit_test(what_is_not_available_is_an_error_for_the_reason_that_the_manual_gives),
		cmocka_unit_test(every_word_and_point_of_acls_is_in_the_manual),
	};
	return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
