/* SPDX-License-Identifier: ISC */
/* The arguments of postern expand: Exim's own flags for the session beside ours. */
#include "cli/expand_command.h"

#include <string.h>

/* Takes the value of a setting into the session. */
typedef bool apply_function(struct expand_session *session, const char *variable, struct slice value, struct error *error);

static bool apply_text(struct expand_session *session, const char *variable, struct slice value, struct error *error)
{
	(void)error;
	expand_session_set(session, variable, value, true);
	return true;
}

static bool apply_client(struct expand_session *session, const char *variable, struct slice value, struct error *error)
{
	return expand_session_host(session, variable, "sender_host_port", value, error);
}

static bool apply_interface(struct expand_session *session, const char *variable, struct slice value, struct error *error)
{
	return expand_session_host(session, variable, "received_port", value, error);
}

static bool apply_sender(struct expand_session *session, const char *variable, struct slice value, struct error *error)
{
	(void)variable;
	(void)error;
	expand_session_sender(session, value, true);
	return true;
}

struct expand_setting_kind {
	const char *flag;
	const char *variable;
	apply_function *apply;
};

/* The longest flags first, for a value may follow without a space. */
static const struct expand_setting_kind kinds[] = {
	{ "-oMaa", "sender_host_authenticated", apply_text },
	{ "-oMai", "authenticated_id", apply_text },
	{ "-oMas", "authenticated_sender", apply_text },
	{ "-oMa", "sender_host_address", apply_client },
	{ "-oMi", "received_ip_address", apply_interface },
	{ "-oMr", "received_protocol", apply_text },
	{ "-oMs", "sender_host_name", apply_text },
	{ "-oMt", "sender_ident", apply_text },
	{ "--helo", "sender_helo_name", apply_text },
	{ "-f", "sender_address", apply_sender },
};

bool expand_arguments_apply(const struct expand_setting *setting, struct expand_session *session, struct error *error)
{
	if (setting->kind->apply(session, setting->kind->variable, slice_of(setting->value), error))
		return true;
	return error_context(error, "%s", setting->kind->flag);
}

enum flag { FLAG_NONE, FLAG_BAD, FLAG_TRACE, FLAG_JSON, FLAG_EXIM, FLAG_CONFIGURATION, FLAG_MACRO, FLAG_MESSAGE, FLAG_SETTING, FLAG_TIMEOUT, FLAG_END };

static const struct {
	const char *text;
	enum flag flag;
	bool value; /* takes one, behind it or as the next argument */
} flags[] = {
	{ "--trace", FLAG_TRACE, false }, { "--json", FLAG_JSON, false }, { "--timeout", FLAG_TIMEOUT, true }, { "--exim", FLAG_EXIM, false },
	{ "-bem", FLAG_MESSAGE, true },   { "-be", FLAG_EXIM, false },	  { "-C", FLAG_CONFIGURATION, true },
	{ "-c", FLAG_CONFIGURATION, true }, { "-D", FLAG_MACRO, true },	  { "--", FLAG_END, false },
};

/* What the argument is; *value_r: what follows the flag in the same argument, or NULL. */
static enum flag find_flag(const char *argument, const struct expand_setting_kind **kind_r, bool *takes_value,
			   const char **value_r)
{
	struct slice text = slice_of(argument);
	*value_r = NULL;
	*takes_value = true;
	if (text.len < 2 || text.data[0] != '-')
		return FLAG_NONE;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (slice_starts(text, slice_of(kinds[i].flag))) {
			*kind_r = &kinds[i];
			if (argument[strlen(kinds[i].flag)])
				*value_r = argument + strlen(kinds[i].flag);
			return FLAG_SETTING;
		}
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		size_t length = strlen(flags[i].text);
		*takes_value = flags[i].value;
		if (strcmp(argument, flags[i].text) == 0)
			return flags[i].flag;
		if (flags[i].value && strncmp(argument, flags[i].text, length) == 0) {
			*value_r = argument + length;
			return flags[i].flag;
		}
	}
	return FLAG_BAD;
}

static int take_setting(struct expand_arguments *arguments, const struct expand_setting_kind *kind, const char *value)
{
	if (arguments->setting_count == EXPAND_SETTINGS_MAX)
		return command_usage_error(&command_expand, "more than %d arguments for the session", EXPAND_SETTINGS_MAX);
	arguments->settings[arguments->setting_count++] = (struct expand_setting){ kind, value };
	return COMMAND_DONE;
}

static int take_flag(struct expand_arguments *arguments, enum flag flag, const struct expand_setting_kind *kind, const char *value)
{
	struct error error;
	switch (flag) {
	case FLAG_TRACE: arguments->trace = true; break;
	case FLAG_JSON: arguments->json = true; break;
	case FLAG_EXIM: arguments->always_done = true; break;
	case FLAG_CONFIGURATION: arguments->configuration.file = value; break;
	case FLAG_MESSAGE: arguments->message = value; break;
	case FLAG_SETTING: return take_setting(arguments, kind, value);
	case FLAG_TIMEOUT:
		if (!conf_value_time(slice_of(value), &arguments->timeout, &error) || arguments->timeout <= 0)
			return command_usage_error(&command_expand, "--timeout %s: expected a time such as 10s", value);
		break;
	case FLAG_MACRO:
		if (!command_add_macro(&arguments->configuration, value, &error))
			return command_usage_error(&command_expand, "%s", error.text);
		break;
	default: break;
	}
	return COMMAND_DONE;
}

int expand_arguments_parse(int argc, char **argv, struct expand_arguments *arguments)
{
	int at = 1;
	for (; at < argc; at++) {
		const struct expand_setting_kind *kind = NULL;
		const char *value;
		bool takes_value;
		enum flag flag = find_flag(argv[at], &kind, &takes_value, &value);
		if (flag == FLAG_NONE)
			break;
		if (flag == FLAG_END) {
			at++;
			break;
		}
		if (flag == FLAG_BAD)
			return command_usage_error(&command_expand, "unknown option %s", argv[at]);
		if (takes_value && !value && ++at == argc)
			return command_usage_error(&command_expand, "%s needs a value", argv[at - 1]);
		int status = take_flag(arguments, flag, kind, value ? value : argv[at]);
		if (status != COMMAND_DONE)
			return status;
	}
	arguments->expressions = argv + at;
	arguments->expression_count = argc - at;
	return COMMAND_DONE;
}

static int run(int argc, char **argv)
{
	struct expand_arguments arguments = { 0 };
	int status = expand_arguments_parse(argc, argv, &arguments);
	return status == COMMAND_DONE ? expand_command(&arguments) : status;
}

const struct command command_expand = {
	.name = "expand",
	.run = run,
	.summary = "evaluate expansion strings",
	.usage = "[-C FILE] [-D MACRO=TEXT] [-bem FILE] [-f ADDRESS] [-oMa ADDRESS] ... [--trace] [--timeout TIME] [--json] [EXPRESSION ...]",
	.help = "Without expressions they are read from standard input, one a line; a backslash at the end continues a line, \"NAME = text\"\n"
		"defines a macro, and \"set acl_m0 = text\" sets a variable. A failure is shown as \"Failed: REASON\"; the exit status\n"
		"is then 1, or 75 when trying again later may help. Files, databases, the DNS and commands are used with your rights.\n\n"
		"  -C FILE        the configuration (-c does the same); otherwise $POSTERN_CONF, or /etc/postern/postern.conf\n"
		"  -D MACRO=TEXT  define a macro, whatever the file defines\n"
		"  -bem FILE      a message to expand against: $h_subject:, $message_body and so on\n"
		"  -f ADDRESS     the envelope sender; you, if not given\n"
		"  -oMa ADDRESS   the client's IP address, with its port as 192.0.2.1.25 or [2001:db8::1]:25 if wanted\n"
		"  -oMaa NAME     the authenticator by which the client authenticated itself\n"
		"  -oMai TEXT     the identity that it authenticated\n"
		"  -oMas ADDRESS  the authenticated sender\n"
		"  -oMi ADDRESS   the address of this host that the client connected to, with its port as above\n"
		"  -oMr PROTOCOL  how the message came: smtp, esmtps and so on\n"
		"  -oMs NAME      the client's verified host name\n"
		"  -oMt TEXT      $sender_ident\n"
		"  --helo NAME    what the client said in HELO or EHLO\n"
		"  --trace        show each step of the evaluation with its value (on standard error)\n"
		"  --timeout TIME give up questions to the world after that time, such as 10s, from the start of an expression\n"
		"  --json         one object for each expression\n"
		"  --exim         exit status 0 although an expansion failed, as Exim's -be has it\n"
		"  --             expressions follow, even if they begin with \"-\"\n",
};
