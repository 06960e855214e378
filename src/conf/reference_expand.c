/* SPDX-License-Identifier: ISC */
/* The chapters on expansion strings. */
#include "conf/reference.h"

#include "expand/function.h"
#include "expand/search.h"
#include "expand/variable.h"

static void show_example(struct manual *manual, const char *example, const char *result)
{
	if (!example)
		return;
	if (result)
		manual_example(manual, "%s\ngives: %s", example, *result ? result : "(nothing)");
	else
		manual_example(manual, "%s", example);
}

static void reference_variables(struct manual *manual)
{
	size_t count;
	const struct expand_variable_info *variables = expand_variables(&count);
	manual_heading(manual, 2, "Variables");
	manual_paragraph(manual,
			 "A variable stands for its value as `$name` or `${name}`. One that has none is empty. Each is available from some "
			 "place on: %s, %s, %s, %s.",
			 expand_place_text(EXPAND_PLACE_LOAD), expand_place_text(EXPAND_PLACE_CONNECTION),
			 expand_place_text(EXPAND_PLACE_ENVELOPE), expand_place_text(EXPAND_PLACE_DELIVERY));
	manual_paragraph(manual, "A value that a peer chooses is tainted: neither it nor a text with it can name a file or a command, or be "
				 "expanded again. Look it up instead, and use what was found.");
	for (size_t i = 0; i < count; i++) {
		const struct expand_variable_info *row = &variables[i];
		manual_heading(manual, 3, row->name);
		manual_paragraph(manual, "Type: %s. Available: %s.%s", row->type == EXPAND_TYPE_NUMBER ? "number" : "text",
				 expand_place_text(row->place), row->tainted ? " Tainted." : "");
		manual_paragraph(manual, "%s", row->help);
		show_example(manual, row->example, NULL);
	}
}

static void reference_functions(struct manual *manual, const char *title, const char *intro,
				const struct expand_function_info *rows, size_t count)
{
	manual_heading(manual, 2, title);
	manual_paragraph(manual, "%s", intro);
	for (size_t i = 0; i < count; i++) {
		const struct expand_function_info *row = &rows[i];
		manual_heading(manual, 3, row->name);
		manual_paragraph(manual, "Written: `%s`.%s", row->syntax, row->refused ? " Not available." : "");
		if (row->today)
			manual_paragraph(manual, "This is an older name of %s.", row->today);
		if (row->help)
			manual_paragraph(manual, "%s", row->help);
		if (row->refused)
			manual_paragraph(manual, "Why: %s.", row->refused);
		show_example(manual, row->example, row->result);
	}
}

static void reference_searches(struct manual *manual)
{
	size_t count;
	const struct search_type *types = search_types(&count);
	manual_heading(manual, 2, "Search types");
	manual_paragraph(manual,
			 "A lookup with a single key is written `${lookup{KEY}TYPE{/file}{YES}{NO}}`, or `TYPE;/file` as an item of a list; one "
			 "with a query `${lookup TYPE{QUERY}{YES}{NO}}`, or `TYPE;QUERY`. Types with a single key may be preceded by `partial-`, "
			 "which also tries `*.` and the key without its first components, and followed by `*` or `*@`, which try that "
			 "key as a default. Options follow after commas: `lsearch,ret=key`.");
	for (size_t i = 0; i < count; i++) {
		const struct search_type *type = &types[i];
		manual_heading(manual, 3, type->name);
		manual_paragraph(manual, "%s.%s%s%s%s", type->style == SEARCH_SINGLE_KEY ? "Single key" : "Query",
				 type->bound ? " Values are bound as parameters." : "", *type->options ? " Options: " : "",
				 type->options, *type->options ? "." : "");
		manual_paragraph(manual, "%s", type->help);
		show_example(manual, type->example, NULL);
	}
}

void reference_expansions(struct manual *manual)
{
	size_t count;
	manual_heading(manual, 2, "Expansion strings");
	manual_paragraph(manual,
			 "In options that are expanded, `$` begins what is replaced: variables, header lines, operators and items. A backslash "
			 "takes the meaning away from the next character; `\\n`, `\\r`, `\\t`, `\\101` and `\\x41` are characters; between two "
			 "`\\N` nothing is replaced.");
	manual_paragraph(manual,
			 "`$h_subject:` (or `$header_subject:`) is a header line, decoded; `$bh_` decodes it without changing its character "
			 "set, `$rh_` takes it as it stands, and `$lh_` gives all lines of that name as a list. After a match, `$1` and so "
			 "on are the parts that parentheses enclosed, and `$0` is all that matched.");
	manual_paragraph(manual,
			 "An expansion gives a text, or fails for a reason, or is forced to fail by the word `fail` in the place of a branch, "
			 "or is put off because something could not be asked just now.");
	reference_variables(manual);
	const struct expand_function_info *rows = expand_items(&count);
	reference_functions(manual, "Items", "An item has its arguments in braces. White space between them does not matter.", rows, count);
	rows = expand_operators(&count);
	reference_functions(manual, "Operators", "An operator applies to one text, which stands between the colon and the closing brace.",
			    rows, count);
	rows = expand_conditions(&count);
	reference_functions(manual, "Conditions",
			    "A condition stands in `${if CONDITION{YES}{NO}}`; an exclamation mark before it negates it.", rows, count);
	reference_searches(manual);
}
