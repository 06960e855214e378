/* SPDX-License-Identifier: ISC */
/* postern(8): the commands and Exim's flags, from their tables. */
#include "cli/commands.h"
#include "cli/exim_flags.h"
#include "conf/manual.h"

static void describe_commands(struct manual *manual)
{
	char heading[64];
	manual_heading(manual, 2, "Commands");
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = commands[i];
		snprintf(heading, sizeof heading, "postern %s", command->name);
		manual_heading(manual, 3, heading);
		manual_paragraph(manual, "`postern %s %s`", command->name, command->usage);
		manual_paragraph(manual, "%c%s.", ascii_upper(command->summary[0]), command->summary + 1);
		if (command->help)
			manual_example(manual, "%s", command->help);
	}
}

static void describe_flags(struct manual *manual, bool available)
{
	const char *flag, *what;
	bool is_available;
	for (size_t row = 0; exim_flags_row(row, &flag, &what, &is_available); row++)
		if (is_available == available)
			manual_term(manual, flag, what);
}

static void describe_environment(struct manual *manual)
{
	manual_heading(manual, 2, "Exit status");
	manual_term(manual, "0", "Done.");
	manual_term(manual, "1", "The answer is no, or an expansion failed.");
	manual_term(manual, "2", "The arguments or the configuration are wrong.");
	manual_term(manual, "75", "Not now: trying again later may help.");
	manual_heading(manual, 2, "Environment");
	manual_term(manual, "POSTERN_CONF", "The configuration, where no argument names one.");
	manual_heading(manual, 2, "Files");
	manual_term(manual, "/etc/postern/postern.conf", "The configuration, where neither an argument nor the environment names one.");
	manual_heading(manual, 2, "See also");
	manual_paragraph(manual, "postern.conf(5)");
}

bool commands_manual_page(struct buf *out)
{
	struct manual manual;
	manual_begin(&manual, out, MANUAL_PAGE, "postern", 8, "mail server");
	manual_heading(&manual, 2, "Synopsis");
	manual_paragraph(&manual, "`postern` COMMAND [ARGUMENTS]");
	manual_heading(&manual, 2, "Description");
	manual_paragraph(&manual, "Postern is a mail server whose first concern is transport security, with Exim's configuration language. "
				  "One program does all; its first argument says what.");
	describe_commands(&manual);
	manual_heading(&manual, 2, "Flags of Exim");
	manual_paragraph(&manual, "Called as exim, exim4, sendmail, mailq or newaliases, or with a flag where a command would stand, the "
				  "program understands Exim's flags:");
	describe_flags(&manual, true);
	manual_paragraph(&manual, "These are not available in this version, and say so:");
	describe_flags(&manual, false);
	describe_environment(&manual);
	return manual_end(&manual);
}
