/* SPDX-License-Identifier: ISC */
/* The manual of the configuration, written from the tables: docs/reference.md and postern.conf(5) are this text. */
#include "conf/reference.h"

#include "base/interval.h"
#include "conf/option.h"
#include "conf/value.h"

#include <stdio.h>

static const char *number_text(const struct conf_option *option, int64_t value, char *text, size_t size)
{
	if (option->type == CONF_OCTAL)
		snprintf(text, size, "%#o", (unsigned)value);
	else
		text[(option->type == CONF_TIME ? interval_format : conf_format_integer)(value, text, size)] = '\0';
	return text;
}

static void append_default(const struct conf_option *option, struct buf *out)
{
	if (option->fallback && *option->fallback)
		buf_printf(out, "`%s`", option->fallback);
	else
		buf_append(out, option->fallback ? SLICE("empty") : option->computed ? slice_of(option->computed) : SLICE("unset"));
}

/* Type, default, range and so on, in one paragraph. */
static void describe_option(struct manual *manual, const struct conf_option *option)
{
	char low[40], high[40];
	struct buf text;
	buf_init(&text, 4096);
	buf_printf(&text, "Type: %s. Default: ", conf_type_name(option->type));
	append_default(option, &text);
	buf_append_byte(&text, '.');
	if (option->min || option->max)
		buf_printf(&text, " Range: %s to %s.", number_text(option, option->min, low, sizeof low),
			   number_text(option, option->max, high, sizeof high));
	if (option->choices)
		buf_printf(&text, " One of: %s.", option->choices);
	buf_printf(&text, " Since %s.", option->since);
	manual_paragraph(manual, "%.*s", SLICE_ARG(buf_slice(&text)));
	buf_free(&text);
}

static void reference_option(struct manual *manual, const struct conf_option *option)
{
	manual_heading(manual, 3, option->name);
	describe_option(manual, option);
	manual_paragraph(manual, "%s", option->help);
	if (option->modern)
		manual_paragraph(manual, "This is an old name; the modern form: %s.", option->modern);
	manual_example(manual, "%s = %s", option->name, option->example);
}

static void reference_options(struct manual *manual, const struct conf_table *table)
{
	manual_heading(manual, 2, table->title);
	if (!table->count)
		manual_paragraph(manual, "This driver has no options of its own.");
	for (size_t i = 0; i < table->count; i++)
		reference_option(manual, &table->options[i]);
}

static const char intro[] =
	"The file is in Exim's language: comments begin with `#`, a backslash at the end continues a line, `NAME = text` defines\n"
	"a macro and `NAME == text` defines it again, `.include`, `.include_if_exists`, `.ifdef`, `.ifndef`, `.elifdef`,\n"
	"`.elifndef`, `.else` and `.endif` work as in Exim, and so does `hide` before an option. `domainlist`, `hostlist`,\n"
	"`addresslist` and `localpartlist` name lists for use as `+name`. The main section comes first; `begin routers`,\n"
	"`begin transports` and `begin authenticators` open the others, in which `name:` begins an instance.";

static bool write_reference(struct buf *out, enum manual_form form)
{
	struct manual manual;
	bool page = form == MANUAL_PAGE;
	manual_begin(&manual, out, form, "postern.conf", 5, page ? "configuration of the mail server Postern" : "Configuration reference");
	if (page)
		manual_heading(&manual, 2, "Description");
	manual_paragraph(&manual, "%s", intro);
	manual_paragraph(&manual,
			 "`postern check` reports every error of a file, `postern check --print` the value of each option, and\n"
			 "`postern expand` evaluates an expansion string. This page is what `postern check %s` prints.",
			 page ? "--man postern.conf" : "--reference");
	for (enum conf_table_id id = 0; id < CONF_TABLES; id++)
		reference_options(&manual, conf_table(id));
	reference_acls(&manual);
	reference_lists(&manual);
	reference_expansions(&manual);
	if (page) {
		manual_heading(&manual, 2, "See also");
		manual_paragraph(&manual, "postern(8)");
	}
	return manual_end(&manual);
}

bool conf_reference(struct buf *out)
{
	return write_reference(out, MANUAL_MARKDOWN);
}

bool conf_manual_page(struct buf *out)
{
	return write_reference(out, MANUAL_PAGE);
}
