/* SPDX-License-Identifier: ISC */
/* The manual of options, written from the tables: docs/reference.md is this text. */
#include "base/buf.h"
#include "conf/option.h"
#include "conf/value.h"

static bool append_number(struct buf *out, const struct conf_option *option, int64_t value)
{
	char text[40];
	if (option->type == CONF_OCTAL)
		return buf_printf(out, "%#o", (unsigned)value);
	size_t len = (option->type == CONF_TIME ? conf_format_time : conf_format_integer)(value, text, sizeof text);
	return buf_append(out, slice_make(text, len));
}

static bool append_default(struct buf *out, const struct conf_option *option)
{
	if (option->fallback)
		return *option->fallback ? buf_printf(out, "`%s`", option->fallback) : buf_append(out, SLICE("empty"));
	return buf_append(out, option->computed ? slice_of(option->computed) : SLICE("unset"));
}

static bool append_option(struct buf *out, const struct conf_option *option)
{
	bool fits = buf_printf(out, "### %s\n\n", option->name) &&
		    buf_printf(out, "Type: %s. Default: ", conf_type_name(option->type)) && append_default(out, option) &&
		    buf_append_byte(out, '.');
	if (option->min || option->max)
		fits = fits && buf_append(out, SLICE(" Range: ")) && append_number(out, option, option->min) &&
		       buf_append(out, SLICE(" to ")) && append_number(out, option, option->max) && buf_append_byte(out, '.');
	if (option->choices)
		fits = fits && buf_printf(out, " One of: %s.", option->choices);
	fits = fits && buf_printf(out, " Since %s.\n\n%s\n\n", option->since, option->help);
	if (option->modern)
		fits = fits && buf_printf(out, "This is an old name; the modern form: %s.\n\n", option->modern);
	return fits && buf_printf(out, "    %s = %s\n\n", option->name, option->example);
}

static bool append_table(struct buf *out, const struct conf_table *table)
{
	bool fits = buf_printf(out, "## %s\n\n", table->title);
	if (!table->count)
		return fits && buf_append(out, SLICE("This driver has no options of its own.\n\n"));
	for (size_t i = 0; fits && i < table->count; i++)
		fits = append_option(out, &table->options[i]);
	return fits;
}

bool conf_reference(struct buf *out)
{
	static const char intro[] = "# Configuration reference\n\n"
				    "The file is in Exim's language: comments begin with `#`, a backslash at the end "
				    "continues a line, `NAME = text` defines\n"
				    "a macro and `NAME == text` defines it again, `.include`, `.include_if_exists`, "
				    "`.ifdef`, `.ifndef`, `.elifdef`,\n"
				    "`.elifndef`, `.else` and `.endif` work as in Exim, and so does `hide` before an "
				    "option. `domainlist`, `hostlist`,\n"
				    "`addresslist` and `localpartlist` name lists for use as `+name`. The main section "
				    "comes first; `begin routers` and\n"
				    "`begin transports` open the others, in which `name:` begins an instance.\n\n"
				    "`postern check` reports every error of a file, `postern check --print` the value of "
				    "each option. This page is what\n"
				    "`postern check --reference` prints.\n\n";
	bool fits = buf_append(out, slice_of(intro));
	for (enum conf_table_id id = 0; fits && id < CONF_TABLES; id++)
		fits = append_table(out, conf_table(id));
	/* One newline at the end, not two. */
	if (fits)
		out->end--;
	return fits;
}
