/* SPDX-License-Identifier: ISC */
/*
 * postern session: a pretended SMTP session (Exim's -bh). Commands come from standard input, replies go to standard output, and why they
 * are what they are to standard error. Nothing is taken or delivered.
 *
 * The session (role/rehearsal.h) is at one end of a socket pair, this command at the other: it hands over one line at a time,
 * whenever the session waits for one, so that replies and reasons come in their order.
 */
#include "cli/command.h"
#include "cli/json.h"
#include "conf/environment.h"
#include "role/rehearsal.h"
#include "task/offload.h"
#include "task/task.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUTPUT_SIZE = 16 * 1024, REPORT_MAX = 64 * 1024, SMTP_PORT = 25 };

struct conversation {
	struct command_configuration configuration;
	struct rehearsal rehearsal;
	struct loop *loop;
	bool json;
	int ours, theirs; /* the ends of the connection */
	struct wait_list wanted; /* the session waits for input */
	bool waiting, over;
	char *line;
	size_t line_room;
	ssize_t line_len;
	int status;
};

/* ---- What is shown ---- */

static void report(const char *kind, const char *log, unsigned depth, struct slice text)
{
	struct buf out;
	buf_init(&out, REPORT_MAX);
	if (buf_printf(&out, "{\"kind\":\"%s\",", kind) && (!log || buf_printf(&out, "\"log\":\"%s\",", log)) &&
	    buf_printf(&out, "\"depth\":%u,", depth) && json_name(&out, "text") && json_string(&out, text) && buf_append(&out, SLICE("}\n")))
		fwrite(buf_slice(&out).data, 1, buf_len(&out), stderr);
	buf_free(&out);
}

/* Of the configuration: one object each, in the names of postern check --json. */
static void report_problems(const struct conf_problems *problems)
{
	struct buf out;
	for (size_t i = 0; i < problems->count; i++) {
		buf_init(&out, REPORT_MAX);
		if (buf_append(&out, SLICE("{\"kind\":\"problem\",")) && command_problem_json(&problems->items[i], &out) && buf_append(&out, SLICE("}\n")))
			fwrite(buf_slice(&out).data, 1, buf_len(&out), stderr);
		buf_free(&out);
	}
}

/* The session could not begin. */
static void report_error(const struct conversation *conversation, const char *text)
{
	if (conversation->json)
		report("error", NULL, 0, slice_of(text));
	else
		fprintf(stderr, "postern session: %s\n", text);
}

/* What is not printable would act on the terminal. */
static void show_text(const char *prefix, unsigned depth, struct slice text)
{
	fprintf(stderr, "%s%*s", prefix, (int)depth, "");
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if (ascii_is_print(text.data[i]) || c >= 128)
			fputc(c, stderr);
		else
			fprintf(stderr, c == '\n' ? "\\n" : "\\%03o", c);
	}
	fputc('\n', stderr);
}

static void show_log(void *owner, enum log_kind kind, struct slice line)
{
	static const char *const names[LOG_KINDS] = { "main", "reject", "panic" };
	const struct conversation *conversation = owner;
	if (conversation->json)
		report("log", names[kind], 0, line);
	else if (kind != LOG_KIND_REJECT) /* its lines are in the main log as well */
		show_text("LOG: ", 0, line);
}

static void show_step(void *owner, unsigned depth, struct slice text)
{
	const struct conversation *conversation = owner;
	if (conversation->json)
		report("trace", NULL, depth, text);
	else
		show_text(">>> ", depth, text);
}

/* ---- The client ---- */

static void show_replies(const struct conversation *conversation)
{
	char text[OUTPUT_SIZE];
	ssize_t n;
	while ((n = recv(conversation->ours, text, sizeof text, MSG_DONTWAIT)) > 0)
		fwrite(text, 1, (size_t)n, stdout);
	fflush(stdout);
}

static void note_waiting(void *owner)
{
	struct conversation *conversation = owner;
	conversation->waiting = true;
	wait_list_wake_all(&conversation->wanted);
}

/* On a thread: standard input may be a terminal. */
static void read_line(void *arg)
{
	struct conversation *conversation = arg;
	conversation->line_len = getline(&conversation->line, &conversation->line_room, stdin);
}

/* A line as a client would send it: people and files end theirs with LF. */
static bool send_line(const struct conversation *conversation)
{
	struct slice text = slice_make(conversation->line, (size_t)conversation->line_len);
	bool ended = text.len && text.data[text.len - 1] == '\n';
	struct slice parts[] = { ended ? slice_first(text, text.len - 1) : text, SLICE("\r\n") };
	if (parts[0].len && parts[0].data[parts[0].len - 1] == '\r')
		parts[0].len--;
	for (size_t i = 0; i < (ended ? 2 : 1); i++) {
		while (parts[i].len) {
			ssize_t n = send(conversation->ours, parts[i].data, parts[i].len, MSG_NOSIGNAL);
			if (n < 0 && errno == EAGAIN && io_wait(conversation->ours, IO_WRITE, CLOCK_NEVER) == 0)
				continue;
			if (n < 0)
				return false;
			parts[i] = slice_from(parts[i], (size_t)n);
		}
	}
	return true;
}

static void client_task(void *arg)
{
	struct conversation *conversation = arg;
	for (;;) {
		while (!conversation->waiting && !conversation->over)
			wait_list_wait(&conversation->wanted, CLOCK_NEVER);
		conversation->waiting = false;
		show_replies(conversation);
		if (conversation->over)
			return;
		offload(read_line, conversation);
		if (conversation->line_len < 0) {
			shutdown(conversation->ours, SHUT_WR);
			return;
		}
		if (!send_line(conversation))
			return;
	}
}

static void session_task(void *arg)
{
	struct conversation *conversation = arg;
	struct error error = { 0 };
	if (!rehearse(conversation->loop, &conversation->rehearsal, conversation->theirs, &error)) {
		report_error(conversation, error.text);
		conversation->status = COMMAND_TEMPORARY;
	}
	conversation->over = true;
	wait_list_wake_all(&conversation->wanted);
	show_replies(conversation);
	loop_stop(conversation->loop);
}

static int converse(struct conversation *conversation)
{
	int pair[2];
	struct error error;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
		error_set_errno(&error, errno, "making a connection");
		report_error(conversation, error.text);
		return COMMAND_TEMPORARY;
	}
	conversation->ours = pair[0];
	conversation->theirs = pair[1];
	conversation->rehearsal.owner = conversation;
	conversation->rehearsal.log = show_log;
	conversation->rehearsal.trace = show_step;
	conversation->rehearsal.waiting = note_waiting;
	struct net_text host = net_address_text(&conversation->rehearsal.host);
	if (!conversation->json)
		printf("\n**** SMTP testing session as if from host %s\n**** but without any ident (RFC 1413) callback.\n"
		       "**** This is not for real!\n\n", host.text);
	fflush(stdout);
	conversation->loop = loop_new();
	task_spawn(conversation->loop, session_task, conversation, "session");
	task_spawn(conversation->loop, client_task, conversation, "client");
	loop_run(conversation->loop);
	close(conversation->ours);
	return conversation->status;
}

/* ---- Arguments ---- */

enum { OPTION_JSON = 256, OPTION_TLS };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPTION_JSON }, { "tls", no_argument, NULL, OPTION_TLS }, { "oMa", required_argument, NULL, 'a' },
	{ "oMi", required_argument, NULL, 'i' }, { "oMs", required_argument, NULL, 's' }, { "oMaa", required_argument, NULL, 'A' },
	{ "oMai", required_argument, NULL, 'I' }, { "oMt", required_argument, NULL, 't' }, { 0 },
};

static bool take_address(const char *text, uint16_t port, struct net_address *address_r)
{
	if (!net_interface_parse(slice_of(text), address_r))
		return false;
	if (!address_r->port)
		address_r->port = port;
	return true;
}

/* COMMAND_DONE, or another status after a complaint. */
static int take_arguments(int argc, char **argv, struct conversation *conversation)
{
	struct rehearsal *rehearsal = &conversation->rehearsal;
	struct error error;
	int option;
	optind = 0;
	opterr = 0;
	while ((option = getopt_long_only(argc, argv, "c:D:", options, NULL)) != -1) {
		bool good = true;
		switch (option) {
		case 'c': conversation->configuration.file = optarg; break;
		case 'D':
			if (!command_add_macro(&conversation->configuration, optarg, &error))
				return command_usage_error(&command_session, "%s", error.text);
			break;
		case 'a': good = take_address(optarg, 0, &rehearsal->host); break;
		case 'i': good = take_address(optarg, SMTP_PORT, &rehearsal->interface); break;
		case 't': rehearsal->ident = slice_of(optarg); break;
		case 's': rehearsal->host_name = slice_of(optarg); break;
		case 'A': rehearsal->authenticated = slice_of(optarg); break;
		case 'I': rehearsal->authenticated_id = slice_of(optarg); break;
		case OPTION_JSON: conversation->json = true; break;
		case OPTION_TLS: rehearsal->tls = true; break;
		default: return command_usage_error(&command_session, "unknown option or missing value: %s", argv[optind - 1]);
		}
		if (!good)
			return command_usage_error(&command_session, "%s: expected an IP address, alone or with a port as 192.0.2.1.25 or "
						   "[2001:db8::1]:25", optarg);
	}
	if (argc - optind > 1)
		return command_usage_error(&command_session, "too many arguments");
	if (optind < argc && !take_address(argv[optind], 0, &rehearsal->host))
		return command_usage_error(&command_session, "\"%s\" is not an IP address", argv[optind]);
	if (rehearsal->host.family == 0)
		return command_usage_error(&command_session, "from which address? Give one as the last argument");
	return COMMAND_DONE;
}

static int run(int argc, char **argv)
{
	struct conversation conversation = { 0 };
	struct conf_problems problems;
	net_interface_parse(SLICE("127.0.0.1.25"), &conversation.rehearsal.interface);
	int status = take_arguments(argc, argv, &conversation);
	if (status != COMMAND_DONE)
		return status;
	conf_problems_init(&problems);
	struct conf *conf = command_read_configuration(&conversation.configuration, &problems, NULL);
	conversation.rehearsal.conf = conf;
	if (conversation.json)
		report_problems(&problems);
	else
		command_print_problems(&problems);
	conf_problems_free(&problems);
	if (conf) {
		environment_apply(&conf->main);
		status = converse(&conversation);
	} else {
		status = COMMAND_USAGE;
	}
	free(conversation.line);
	conf_unref(&conf);
	return status;
}

const struct command command_session = {
	.name = "session",
	.run = run,
	.summary = "pretend an SMTP session and show why it goes as it does",
	.usage = "[-c FILE] [-D NAME=text] [-oMa ADDRESS] [-oMi ADDRESS] [-oMs NAME] [-oMt USER] [-oMaa NAME] [-oMai ID] [--tls] [--json] [ADDRESS]",
	.help = "  -c FILE       the configuration; otherwise $POSTERN_CONF, or /etc/postern/postern.conf\n"
		"  -D NAME=text  define a macro, whatever the file defines\n"
		"  -oMa ADDRESS  the client's address, in place of the argument\n"
		"  -oMi ADDRESS  the address that the client connects to, with its port as 192.0.2.1.587 if wanted\n"
		"  -oMs NAME     the client's host name; otherwise it is looked up\n"
		"  -oMt USER     the client's user ($sender_ident), as if RFC 1413 had told it\n"
		"  -oMaa NAME    the authenticator that the client has passed\n"
		"  -oMai ID      as whom\n"
		"  --tls         as if within TLS\n"
		"  --json        steps, log lines and problems of the configuration as JSON, one object a line\n"
		"ADDRESS is the client's, with its port if wanted; when it is in hosts_proxy, the first line must be a header of the PROXY\n"
		"protocol, version 1, as with Exim's -bh: \"PROXY TCP4 192.0.2.1 192.0.2.2 4711 25\".\n"
		"Commands are read from standard input; replies go to standard output, steps (>>>) and log lines (LOG:) to standard error.\n"
		"The code is that of the server; nothing is taken or delivered.\n",
};
