/* SPDX-License-Identifier: ISC */
/*
 * The chapters on access control lists. All that they list is in tables: the words in those of src/acl, the options in the main
 * section's. A point without an option is one that this version does not run ACLs at, and is left out of what words say of points.
 */
#include "conf/reference.h"

#include "acl/acl.h"
#include "conf/option.h"

/* More exceptions than these, and the points are listed themselves. */
enum { EXCEPTIONS_MAX = 3 };

typedef bool word_rows(size_t index, struct acl_word_info *info_r);

static const struct conf_option *point_option(enum acl_point point)
{
	return conf_option_find(conf_table(CONF_TABLE_MAIN), slice_of(acl_point_info(point)->option));
}

/* The points that have an option: a bit each. */
static unsigned points_here(void)
{
	unsigned points = 0;
	for (enum acl_point point = 0; point < ACL_POINTS; point++)
		points |= point_option(point) ? 1u << point : 0;
	return points;
}

static void append_points(struct buf *out, unsigned points)
{
	const char *separator = "";
	for (enum acl_point point = 0; point < ACL_POINTS; point++)
		if (points >> point & 1) {
			buf_printf(out, "%s`%s`", separator, acl_point_info(point)->option);
			separator = ", ";
		}
}

/* "Where: every point but `acl_smtp_helo`. Options: ..." */
static void describe_use(struct manual *manual, const struct acl_word_info *word)
{
	unsigned here = points_here(), points = word->points & here, missing = here & ~points;
	struct buf text;
	buf_init(&text, 4096);
	buf_append(&text, SLICE("Where: "));
	if (!points) {
		buf_append(&text, SLICE("no point of this version"));
	} else if (!missing) {
		buf_append(&text, SLICE("every point"));
	} else if (__builtin_popcount(missing) <= EXCEPTIONS_MAX) {
		buf_append(&text, SLICE("every point but "));
		append_points(&text, missing);
	} else {
		append_points(&text, points);
	}
	if (word->options && *word->options)
		buf_printf(&text, ". Options, each behind a slash: %s", word->options);
	manual_paragraph(manual, "%.*s.", SLICE_ARG(buf_slice(&text)));
	buf_free(&text);
}

/* `prefix` stands before each example: "control = ". */
static void describe_word(struct manual *manual, const struct acl_word_info *word, const char *prefix)
{
	manual_heading(manual, 3, word->name);
	if (word->refused) {
		manual_paragraph(manual, "Not available. Why: %s.", word->refused);
		return;
	}
	describe_use(manual, word);
	manual_paragraph(manual, "%s", word->help);
	manual_example(manual, "%s%s", prefix, word->example);
}

static void reference_verbs(struct manual *manual)
{
	struct acl_word_info verb;
	manual_heading(manual, 2, "ACL verbs");
	manual_paragraph(manual, "A verb says what becomes of the command when the conditions of its statement hold. Where one cannot be told for now, "
				 "because a lookup fails for instance, the command is refused for now; only `warn` logs that and goes on.");
	for (size_t i = 0; acl_verb_info(i, &verb); i++) {
		manual_heading(manual, 3, verb.name);
		manual_paragraph(manual, "%s", verb.help);
		manual_example(manual, "%s", verb.example);
	}
}

static void reference_words(struct manual *manual, const char *title, const char *intro, bool modifiers)
{
	struct acl_word_info word;
	manual_heading(manual, 2, title);
	manual_paragraph(manual, "%s", intro);
	for (size_t i = 0; acl_word_info(i, &word); i++)
		if (word.modifier == modifiers)
			describe_word(manual, &word, "");
}

static void reference_values(struct manual *manual, const char *title, const char *intro, word_rows *rows, const char *prefix)
{
	struct acl_word_info word;
	manual_heading(manual, 2, title);
	manual_paragraph(manual, "%s", intro);
	for (size_t i = 0; rows(i, &word); i++)
		describe_word(manual, &word, prefix);
}

static void describe_point(struct manual *manual, enum acl_point point, const struct conf_option *option)
{
	const struct acl_point_info *info = acl_point_info(point);
	struct buf text;
	buf_init(&text, 1024);
	buf_printf(&text, "Called %s in messages.", info->name);
	if (info->accept_only)
		buf_append(&text, SLICE(" Only `accept` and `warn` have a meaning."));
	else if (info->accept && info->deny)
		buf_printf(&text, " Replies: %u when it accepts, %u when it refuses, 451 for now.", info->accept, info->deny);
	else if (info->deny)
		buf_printf(&text, " Replies: %u when it refuses, 451 for now; otherwise those of what follows.", info->deny);
	if (info->discards && !info->accept_only)
		buf_append(&text, SLICE(" `discard` may be used."));
	manual_heading(manual, 3, info->option);
	manual_paragraph(manual, "%.*s", SLICE_ARG(buf_slice(&text)));
	manual_paragraph(manual, "%s", option->help);
	manual_example(manual, "%s = %s", option->name, option->example);
	buf_free(&text);
}

static void reference_points(struct manual *manual)
{
	manual_heading(manual, 2, "ACL points");
	manual_paragraph(manual, "The points of a session at which an ACL is run, each with the option that says which. The option is expanded when "
				 "the point is reached; it is then the name of an ACL, the text of one, or the absolute path of a file with it. An ACL that "
				 "`${acl{NAME}}` runs may do what could be done where that stands.");
	for (enum acl_point point = 0; point < ACL_POINTS; point++) {
		const struct conf_option *option = point_option(point);
		if (option)
			describe_point(manual, point, option);
	}
}

void reference_acls(struct manual *manual)
{
	manual_heading(manual, 2, "Access control lists");
	manual_paragraph(manual, "An access control list (ACL) decides whether a command of a session is accepted. `begin acl` opens the section with "
				 "them; `NAME:` begins one. It is a list of statements: a verb, and behind it, on its line or on lines of their own, "
				 "conditions and modifiers in any order. They are worked through as they stand until a condition does not hold. The first "
				 "statement that decides ends the ACL; one that comes to its end denies.");
	manual_paragraph(manual, "A condition is written `NAME = VALUE`, and an exclamation mark before it negates it. Values are expanded each time. What "
				 "cannot be used at a point, because there is no recipient yet for instance, is a warning of `postern check` "
				 "where the ACL is named by a constant, and a temporary error for the client when it is reached.");
	manual_example(manual, "begin acl\ncheck_recipient:\n  accept hosts = +relay_hosts\n  require message = relay not permitted\n"
			       "          domains = +local_domains\n  require verify = recipient\n  accept");
	reference_points(manual);
	reference_verbs(manual);
	reference_words(manual, "ACL conditions", "A statement does what its verb says only if all of its conditions hold.", false);
	reference_words(manual, "ACL modifiers", "Modifiers do something when they are reached, and are always true; an exclamation mark cannot stand "
						 "before one. Those behind a condition that does not hold are not reached.", true);
	reference_values(manual, "ACL controls", "The values of the modifier `control`.", acl_control_info, "control = ");
	reference_values(manual, "ACL verification", "The values of the condition `verify`.", acl_verify_info, "verify = ");
}
