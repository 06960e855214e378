/* SPDX-License-Identifier: ISC */
#include "cli/exim_flags.h"

#include "cli/command.h"

#include <stdio.h>
#include <string.h>

/* What the whole command line asks for: the last flag that says so decides. */
enum mode { MODE_NONE, MODE_EXPAND, MODE_PRINT, MODE_VERSION, MODE_DAEMON, MODE_FOREGROUND, MODE_REWRITE, MODE_RETRY, MODE_SESSION, MODE_NOTHING };

enum action {
	ACTION_MODE,
	ACTION_CONFIGURATION, /* -C */
	ACTION_MACRO,         /* -D */
	ACTION_SESSION,       /* for postern expand as it stands */
	ACTION_MESSAGE,       /* -bem: that as well, and the mode */
	ACTION_CLIENT,        /* -bh: the address */
	ACTION_TRACE,
	ACTION_BARE,
	ACTION_VERBOSE,
	ACTION_QUEUE_RUN,
	ACTION_IGNORE,        /* Postern does so anyway */
	ACTION_ABSENT,        /* `what` is not in this version */
};

enum shape {
	SHAPE_WHOLE,  /* the argument is the flag */
	SHAPE_PREFIX, /* it begins with the flag */
	SHAPE_VALUE,  /* a value follows, in the same argument or as the next one */
	SHAPE_NEXT,   /* the argument is the flag, and its value the next one */
};

struct exim_flag {
	const char *text;
	enum shape shape;
	enum action action;
	enum mode mode;
	const char *what; /* it does; of ACTION_ABSENT: what is missing */
};

#define ABSENT(text, shape, what) { text, shape, ACTION_ABSENT, MODE_NONE, what }
#define MODE(text, mode, what) { text, SHAPE_WHOLE, ACTION_MODE, mode, what }
#define TAKE(text, shape, action, what) { text, shape, action, MODE_NONE, what }

/* The first that fits counts, so longer flags stand before those that they begin with. */
static const struct exim_flag table[] = {
	MODE("-be", MODE_EXPAND, "evaluate expansion strings: postern expand --exim"),
	{ "-bem", SHAPE_VALUE, ACTION_MESSAGE, MODE_EXPAND, "the same against the message in that file" },
	MODE("-bP", MODE_PRINT, "print values of the configuration: postern check --print"),
	MODE("-bV", MODE_VERSION, "print the version and the configuration's name, after a check of it"),
	MODE("-bd", MODE_DAEMON, "run the server in the background: postern run -d"),
	MODE("-bdf", MODE_FOREGROUND, "run the server in the foreground: postern run"),
	MODE("-brw", MODE_REWRITE, "show what the rewrite rules make of an address: postern rewrite"),
	MODE("-brt", MODE_RETRY, "show which retry rule holds: postern retry"),
	MODE("-bi", MODE_NOTHING, "nothing, as newaliases: files of aliases need no preparation"),
	ABSENT("-bhc", SHAPE_PREFIX, "a pretended SMTP session with callouts"),
	{ "-bh", SHAPE_NEXT, ACTION_CLIENT, MODE_SESSION, "pretend an SMTP session from the address that follows: postern session" },
	ABSENT("-bt", SHAPE_WHOLE, "the test of an address's routing"),
	ABSENT("-bv", SHAPE_PREFIX, "the verification of an address"),
	ABSENT("-bp", SHAPE_PREFIX, "the listing of the queue"),
	ABSENT("-bs", SHAPE_WHOLE, "SMTP on standard input"),
	ABSENT("-bS", SHAPE_WHOLE, "batched SMTP on standard input"),
	ABSENT("-bm", SHAPE_WHOLE, "taking a message from standard input"),
	ABSENT("-bnq", SHAPE_WHOLE, "taking a message from standard input"),
	ABSENT("-bf", SHAPE_PREFIX, "the test of a filter"),
	ABSENT("-bF", SHAPE_PREFIX, "the test of a system filter"),
	ABSENT("-bI", SHAPE_PREFIX, "information on the build"),
	ABSENT("-bw", SHAPE_PREFIX, "waiting for a connection on standard input"),
	ABSENT("-Mset", SHAPE_VALUE, "expansion against a message of the queue (use -bem with a file)"),
	ABSENT("-M", SHAPE_PREFIX, "work on messages of the queue"),
	ABSENT("-R", SHAPE_PREFIX, "a queue run for some recipients"),
	ABSENT("-S", SHAPE_PREFIX, "a queue run for some senders"),
	TAKE("-oMaa", SHAPE_VALUE, ACTION_SESSION, "for -be and -bh: $sender_host_authenticated"),
	TAKE("-oMai", SHAPE_VALUE, ACTION_SESSION, "for -be and -bh: $authenticated_id"),
	TAKE("-oMas", SHAPE_VALUE, ACTION_SESSION, "for -be: $authenticated_sender"),
	TAKE("-oMa", SHAPE_VALUE, ACTION_SESSION, "for -be and -bh: $sender_host_address, with $sender_host_port"),
	TAKE("-oMi", SHAPE_VALUE, ACTION_SESSION, "for -be and -bh: $received_ip_address, with $received_port"),
	TAKE("-oMr", SHAPE_VALUE, ACTION_SESSION, "for -be: $received_protocol"),
	TAKE("-oMs", SHAPE_VALUE, ACTION_SESSION, "for -be and -bh: $sender_host_name"),
	TAKE("-oMt", SHAPE_VALUE, ACTION_SESSION, "for -be and -bh: $sender_ident"),
	ABSENT("-oMm", SHAPE_VALUE, "a message reference"),
	ABSENT("-oX", SHAPE_VALUE, "the choice of ports on the command line (use daemon_smtp_ports)"),
	ABSENT("-oP", SHAPE_PREFIX, "a file for the process number"),
	TAKE("-o", SHAPE_PREFIX, ACTION_IGNORE, "other flags with -o: nothing, they are about messages from standard input"),
	TAKE("-C", SHAPE_VALUE, ACTION_CONFIGURATION, "the configuration file"),
	TAKE("-D", SHAPE_VALUE, ACTION_MACRO, "define a macro: -DNAME=text"),
	TAKE("-f", SHAPE_VALUE, ACTION_SESSION, "the envelope sender, for -be and -brt"),
	TAKE("-d", SHAPE_PREFIX, ACTION_TRACE, "for -be: --trace"),
	TAKE("-v", SHAPE_WHOLE, ACTION_VERBOSE, "for -bd and -bdf: copy the log to standard error"),
	TAKE("-n", SHAPE_WHOLE, ACTION_BARE, "for -bP: --bare, values without their names"),
	TAKE("-i", SHAPE_WHOLE, ACTION_IGNORE, "nothing, it is about messages from standard input"),
	TAKE("-t", SHAPE_WHOLE, ACTION_IGNORE, "nothing, it is about messages from standard input"),
	TAKE("-ti", SHAPE_WHOLE, ACTION_IGNORE, "nothing, it is about messages from standard input"),
	TAKE("-q", SHAPE_PREFIX, ACTION_QUEUE_RUN, "with -bd and -bdf: -qTIME and -qGNAME/TIME, how often queues are run: postern run -q"),
};

bool exim_flags_row(size_t row, const char **flag_r, const char **what_r, bool *available_r)
{
	if (row >= sizeof table / sizeof *table)
		return false;
	*flag_r = table[row].text;
	*what_r = table[row].what;
	*available_r = table[row].action != ACTION_ABSENT;
	return true;
}

enum { ARGUMENTS_MAX = 256 };

struct request {
	enum mode mode;
	const char *configuration;
	const char *macros[COMMAND_MACROS_MAX];
	size_t macro_count;
	const char *session[64]; /* flags and values for postern expand */
	size_t session_count;
	const char *client;      /* of -bh */
	const char *queue_runs[COMMAND_MACROS_MAX]; /* for postern run -q */
	size_t queue_run_count;
	bool trace, bare, verbose, queue_run;
	char **rest;
	int rest_count;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* What the program does under other names when no flag says more. NULL: it has not been called by such a name. */
static const struct exim_flag *by_name(const char *name)
{
	static const struct {
		const char *name;
		struct exim_flag flag;
	} names[] = {
		{ "mailq", ABSENT("mailq", SHAPE_WHOLE, "the listing of the queue") },
		{ "newaliases", MODE("newaliases", MODE_NOTHING, NULL) },
		{ "exim", MODE("exim", MODE_NONE, NULL) },
		{ "exim4", MODE("exim4", MODE_NONE, NULL) },
		{ "sendmail", MODE("sendmail", MODE_NONE, NULL) },
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(base_name(name), names[i].name) == 0)
			return &names[i].flag;
	return NULL;
}

bool exim_flags_are(int argc, char **argv)
{
	static const char *const ours[] = { "-h", "-V", "--help", "--version" };
	if (by_name(argv[0]))
		return true;
	if (argc < 2 || argv[1][0] != '-')
		return false;
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (strcmp(argv[1], ours[i]) == 0)
			return false;
	return true;
}

static int complain(const char *text, const char *more)
{
	fprintf(stderr, "postern: %s%s\n", text, more);
	return COMMAND_USAGE;
}

static const struct exim_flag *find_flag(const char *argument)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		size_t length = strlen(table[i].text);
		bool whole = table[i].shape == SHAPE_WHOLE || table[i].shape == SHAPE_NEXT;
		if (whole ? strcmp(argument, table[i].text) == 0 : strncmp(argument, table[i].text, length) == 0)
			return &table[i];
	}
	return NULL;
}

static int take_session(struct request *request, const struct exim_flag *flag, const char *value)
{
	if (request->session_count + 2 > sizeof request->session / sizeof *request->session)
		return complain("too many arguments at ", flag->text);
	request->session[request->session_count++] = flag->text;
	request->session[request->session_count++] = value;
	return COMMAND_DONE;
}

/* What follows -q: "30m", "Gbulk/30m"; nothing is one run, which the server makes at its start anyway. */
static int take_queue_run(struct request *request, const char *value)
{
	request->queue_run = true;
	bool named = value[0] == 'G';
	if (!*value)
		return COMMAND_DONE;
	if (named ? !strchr(value, '/') : !ascii_is_digit(value[0]))
		return complain("not available in this version of Postern are runs of the queue other than -qTIME and -qGNAME/TIME: -q", value);
	if (request->queue_run_count == COMMAND_MACROS_MAX)
		return complain("too many queues with -q", "");
	request->queue_runs[request->queue_run_count++] = value + named;
	return COMMAND_DONE;
}

static int take_flag(struct request *request, const struct exim_flag *flag, const char *value)
{
	if (flag->mode != MODE_NONE)
		request->mode = flag->mode;
	switch (flag->action) {
	case ACTION_CONFIGURATION: request->configuration = value; break;
	case ACTION_TRACE: request->trace = true; break;
	case ACTION_BARE: request->bare = true; break;
	case ACTION_VERBOSE: request->verbose = true; break;
	case ACTION_SESSION:
	case ACTION_MESSAGE: return take_session(request, flag, value);
	case ACTION_CLIENT: request->client = value; break;
	case ACTION_MACRO:
		if (request->macro_count == COMMAND_MACROS_MAX)
			return complain("too many macros with -D", "");
		request->macros[request->macro_count++] = value;
		break;
	case ACTION_ABSENT:
		fprintf(stderr, "postern: %s: %s is not available in this version of Postern\n", flag->text, flag->what);
		return COMMAND_USAGE;
	case ACTION_QUEUE_RUN: return take_queue_run(request, value);
	case ACTION_IGNORE:
	case ACTION_MODE: break;
	}
	return COMMAND_DONE;
}

static int read_flags(int argc, char **argv, struct request *request)
{
	int at = 1;
	for (; at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
		if (strcmp(argv[at], "--") == 0) {
			at++;
			break;
		}
		const struct exim_flag *flag = find_flag(argv[at]);
		const char *value = NULL;
		if (!flag)
			return complain("there is no flag ", argv[at]);
		if (flag->shape == SHAPE_PREFIX)
			value = argv[at] + strlen(flag->text);
		if (flag->shape == SHAPE_VALUE || flag->shape == SHAPE_NEXT) {
			value = argv[at] + strlen(flag->text);
			if (!*value && ++at == argc)
				return complain("a value is missing after ", flag->text);
			if (!*value)
				value = argv[at];
		}
		int status = take_flag(request, flag, value);
		if (status != COMMAND_DONE)
			return status;
	}
	request->rest = argv + at;
	request->rest_count = argc - at;
	return COMMAND_DONE;
}

/* ---- Our commands ---- */

struct arguments {
	char *items[ARGUMENTS_MAX + 1];
	int count;
};

/* Commands do not write to their arguments, but getopt wants them so. */
static void add(struct arguments *arguments, const char *text)
{
	if (arguments->count < ARGUMENTS_MAX)
		arguments->items[arguments->count++] = (char *)(uintptr_t)text;
}

static void add_configuration(struct arguments *arguments, const struct request *request)
{
	if (request->configuration) {
		add(arguments, "-c");
		add(arguments, request->configuration);
	}
	for (size_t i = 0; i < request->macro_count; i++) {
		add(arguments, "-D");
		add(arguments, request->macros[i]);
	}
}

static int run_command(const struct command *command, struct arguments *arguments, const struct request *request)
{
	for (int i = 0; i < request->rest_count; i++)
		add(arguments, request->rest[i]);
	if (arguments->count == ARGUMENTS_MAX)
		return complain("too many arguments", "");
	return command->run(arguments->count, arguments->items);
}

static int run_expand(const struct request *request)
{
	struct arguments arguments = { .count = 0 };
	add(&arguments, "expand");
	add(&arguments, "--exim");
	add_configuration(&arguments, request);
	for (size_t i = 0; i < request->session_count; i++)
		add(&arguments, request->session[i]);
	if (request->trace)
		add(&arguments, "--trace");
	add(&arguments, "--");
	return run_command(&command_expand, &arguments, request);
}

static int run_print(const struct request *request)
{
	struct arguments arguments = { .count = 0 };
	add(&arguments, "check");
	add_configuration(&arguments, request);
	add(&arguments, "--print");
	if (request->bare)
		add(&arguments, "--bare");
	add(&arguments, "--");
	return run_command(&command_check, &arguments, request);
}

/* What a client tells in the session itself, or the session makes of it, cannot be said before. */
static bool describes_client(const char *flag)
{
	static const char *const flags[] = { "-oMa", "-oMi", "-oMs", "-oMt", "-oMaa", "-oMai" };
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (strcmp(flag, flags[i]) == 0)
			return true;
	return false;
}

/* -bh */
static int run_session(const struct request *request)
{
	struct arguments arguments = { .count = 0 };
	add(&arguments, "session");
	add_configuration(&arguments, request);
	for (size_t i = 0; i + 1 < request->session_count; i += 2) {
		if (!describes_client(request->session[i]))
			return complain("a session finds this out by itself, so it has no effect with -bh: ", request->session[i]);
		add(&arguments, request->session[i]);
		add(&arguments, request->session[i + 1]);
	}
	add(&arguments, "--");
	add(&arguments, request->client);
	return run_command(&command_session, &arguments, request);
}

/* -brw and -brt */
static int run_rules(const struct command *command, const struct request *request)
{
	struct arguments arguments = { .count = 0 };
	add(&arguments, command->name);
	add_configuration(&arguments, request);
	/* -f, of the session's arguments the one that retry rules look at. */
	for (size_t i = 0; i + 1 < request->session_count && command == &command_retry; i += 2)
		if (strcmp(request->session[i], "-f") == 0) {
			add(&arguments, "-f");
			add(&arguments, request->session[i + 1]);
		}
	return run_command(command, &arguments, request);
}

static int run_daemon(const struct request *request)
{
	struct arguments arguments = { .count = 0 };
	add(&arguments, "run");
	add_configuration(&arguments, request);
	if (request->verbose)
		add(&arguments, "-v");
	for (size_t i = 0; i < request->queue_run_count; i++) {
		add(&arguments, "-q");
		add(&arguments, request->queue_runs[i]);
	}
	if (request->mode == MODE_DAEMON)
		add(&arguments, "-d");
	return run_command(&command_run, &arguments, request);
}

/* -bV reads the configuration as well, so that a mistake in it shows. */
static int run_version(const struct request *request)
{
	struct command_configuration configuration = { .file = request->configuration };
	struct conf_problems problems;
	struct error error;
	for (size_t i = 0; i < request->macro_count; i++)
		if (!command_add_macro(&configuration, request->macros[i], &error))
			return complain(error.text, "");
	printf("Postern version %s\n", POSTERN_VERSION);
	fflush(stdout);
	conf_problems_init(&problems);
	struct conf *conf = command_read_configuration(&configuration, &problems, NULL);
	bool good = conf != NULL;
	command_print_problems(&problems);
	if (good)
		printf("Configuration file is %s\n", command_configuration_file(&configuration));
	conf_unref(&conf);
	conf_problems_free(&problems);
	return good ? COMMAND_DONE : COMMAND_USAGE;
}

int exim_flags_main(int argc, char **argv)
{
	struct request request = { 0 };
	const struct exim_flag *name = by_name(argv[0]);
	int status = read_flags(argc, argv, &request);
	if (status != COMMAND_DONE)
		return status;
	if (request.mode == MODE_NONE && name && (name->mode != MODE_NONE || name->action == ACTION_ABSENT))
		status = take_flag(&request, name, NULL);
	if (status != COMMAND_DONE)
		return status;
	switch (request.mode) {
	case MODE_EXPAND: return run_expand(&request);
	case MODE_PRINT: return run_print(&request);
	case MODE_VERSION: return run_version(&request);
	case MODE_DAEMON:
	case MODE_FOREGROUND: return run_daemon(&request);
	case MODE_REWRITE: return run_rules(&command_rewrite, &request);
	case MODE_RETRY: return run_rules(&command_retry, &request);
	case MODE_SESSION: return run_session(&request);
	case MODE_NOTHING: return COMMAND_DONE;
	case MODE_NONE: break;
	}
	if (request.queue_run)
		return complain("-q: a queue run by hand is not available in this version of Postern; the server runs its queue itself", "");
	return complain("taking a message from standard input is not available in this version of Postern; use SMTP", "");
}
