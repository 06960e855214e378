/* SPDX-License-Identifier: ISC */
/* Commands: lines, the table of commands, and what each of them does. */
#include "smtp/internal.h"

/* When something may have been sent behind a command already (RFC 2920 §3.1). */
enum sync {
	SYNC_ALWAYS,            /* it ends a group, also of a client that pipelines */
	SYNC_UNLESS_PIPELINING, /* only with PIPELINING advertised */
	SYNC_NEVER,
};

struct command {
	struct slice name;
	smtp_handler *handle;
	smtp_handler *misplaced; /* in any state that is not in `states` */
	unsigned states;         /* bits 1 << enum smtp_state */
	enum sync sync;
	bool mail;               /* not counted by smtp_accept_max_nonmail */
	unsigned char spare;     /* ... nor is one use of it a message, by this bit */
	bool takes_argument;
};

/* RFC 5321 §4.1.3 and Exim's rules: a name of letters, digits, dots and hyphens, or an address in brackets. */
static bool helo_valid(const struct smtp_server *server, struct slice name)
{
	if (name.len == 0 || name.len > MAIL_DOMAIN_MAX)
		return false;
	if (server->options & SMTP_ACCEPT_JUNK_HELO)
		return true;
	if (name.data[0] == '[')
		return mail_literal_valid(name);
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];
		if (!ascii_is_alnum(c) && c != '.' && c != '-' &&
		    slice_find(server->settings->helo_allow_chars, c) == server->settings->helo_allow_chars.len)
			return false;
	}
	return true;
}

static bool greet(struct smtp_server *server, struct slice argument, struct smtp_event *event, bool extended)
{
	if (!helo_valid(server, argument)) {
		smtp_refuse_counted(server, event, 501, extended ? SLICE("Syntactically invalid EHLO argument(s)")
		                                                 : SLICE("Syntactically invalid HELO argument(s)"));
		event->refusal = SMTP_REFUSAL_HELO;
		return true;
	}
	server->pending_name = event->argument = argument;
	server->pending_extended = event->extended = extended;
	return smtp_ask(server, event, SMTP_HELO);
}

static bool handle_helo(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	return greet(server, argument, event, false);
}

static bool handle_ehlo(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	return greet(server, argument, event, true);
}

static bool handle_rset(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	(void)argument;
	bool open = smtp_in_transaction(server);
	smtp_put(server, 250, SLICE("Reset OK"));
	smtp_end_transaction(server);
	event->kind = SMTP_RESET;
	return open;
}

static bool handle_noop(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	(void)argument;
	(void)event;
	smtp_put(server, 250, SLICE("OK"));
	return false;
}

static bool handle_help(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	(void)argument;
	(void)event;
	smtp_put_help(server);
	return false;
}

static bool handle_quit(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	(void)argument;
	struct slice host = server->settings->hostname;
	smtp_put(server, 221, arena_printf(&server->scratch, "%.*s closing connection", SLICE_ARG(host)));
	smtp_server_close(server, SMTP_END_QUIT);
	event->kind = SMTP_QUIT;
	return true;
}

static bool handle_starttls(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	(void)argument;
	if (server->tls)
		return smtp_refuse_counted(server, event, 554, SLICE("Already in TLS"));
	if (!(server->advertised & SMTP_OFFER_STARTTLS))
		return smtp_refuse_counted(server, event, 503, SLICE("STARTTLS command used when not advertised"));
	return smtp_ask(server, event, SMTP_STARTTLS);
}

static bool handle_vrfy(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	event->argument = argument;
	return smtp_ask(server, event, SMTP_VRFY);
}

static bool handle_expn(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	event->argument = argument;
	return smtp_ask(server, event, SMTP_EXPN);
}

static bool handle_etrn(struct smtp_server *server, struct slice argument, struct smtp_event *event)
{
	if (smtp_in_transaction(server))
		return smtp_refuse_counted(server, event, 503, SLICE("ETRN is not permitted inside a transaction"));
	event->argument = argument;
	return smtp_ask(server, event, SMTP_ETRN);
}

#define IN(state) (1u << SMTP_STATE_##state)
#define ANYWHERE (IN(START) | IN(READY) | IN(MAIL) | IN(RCPT) | IN(CHUNKS) | IN(CHUNKS_FAILED))
#define BETWEEN (IN(START) | IN(READY) | IN(MAIL) | IN(RCPT))

/* MAIL and RCPT are known by their keyword too, as Exim knows them: without it they are unrecognized. */
static const struct command commands[] = {
	{ SLICE("HELO"), handle_helo, NULL, ANYWHERE, SYNC_ALWAYS, false, SMTP_SPARE_HELO, true },
	{ SLICE("EHLO"), handle_ehlo, NULL, ANYWHERE, SYNC_ALWAYS, false, SMTP_SPARE_HELO, true },
	{ SLICE("MAIL FROM:"), smtp_handle_mail, smtp_mail_misplaced, IN(START) | IN(READY), SYNC_UNLESS_PIPELINING, true, 0, true },
	{ SLICE("RCPT TO:"), smtp_handle_rcpt, smtp_rcpt_misplaced, IN(MAIL) | IN(RCPT), SYNC_UNLESS_PIPELINING, true, 0, true },
	{ SLICE("DATA"), smtp_handle_data, smtp_data_misplaced, IN(RCPT), SYNC_ALWAYS, true, 0, false },
	{ SLICE("BDAT"), smtp_handle_bdat, smtp_bdat_misplaced, IN(RCPT) | IN(CHUNKS), SYNC_NEVER, true, 0, true },
	{ SLICE("RSET"), handle_rset, NULL, ANYWHERE, SYNC_UNLESS_PIPELINING, false, SMTP_SPARE_RSET, false },
	{ SLICE("NOOP"), handle_noop, NULL, ANYWHERE, SYNC_ALWAYS, false, 0, true },
	{ SLICE("HELP"), handle_help, NULL, ANYWHERE, SYNC_NEVER, false, 0, true },
	{ SLICE("QUIT"), handle_quit, NULL, ANYWHERE, SYNC_NEVER, true, 0, false },
	{ SLICE("STARTTLS"), handle_starttls, NULL, BETWEEN, SYNC_ALWAYS, false, SMTP_SPARE_STARTTLS, false },
	{ SLICE("VRFY"), handle_vrfy, NULL, BETWEEN, SYNC_ALWAYS, false, 0, true },
	{ SLICE("EXPN"), handle_expn, NULL, BETWEEN, SYNC_ALWAYS, false, 0, true },
	{ SLICE("AUTH"), smtp_handle_auth, NULL, BETWEEN, SYNC_ALWAYS, false, SMTP_SPARE_AUTH, true },
	{ SLICE("ETRN"), handle_etrn, NULL, BETWEEN, SYNC_ALWAYS, false, 0, true },
};

static const struct command *find_command(struct slice line, struct slice *argument)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		struct slice name = commands[i].name;
		if (!slice_starts_nocase(line, name))
			continue;
		bool keyword = name.data[name.len - 1] == ':';
		if (!keyword && line.len > name.len && !ascii_is_space(line.data[name.len]))
			continue;
		*argument = slice_trim(slice_from(line, name.len));
		return &commands[i];
	}
	return NULL;
}

static void note_command(struct smtp_server *server, const struct command *command)
{
	server->history[server->history_count++ % SMTP_HISTORY_MAX] = (unsigned char)(command - commands + 1);
}

const char *smtp_server_history(const struct smtp_server *server, char *out, size_t size)
{
	uint32_t count = server->history_count, from = count > SMTP_HISTORY_MAX ? count - SMTP_HISTORY_MAX : 0;
	size_t len = (size_t)snprintf(out, size, "%s", from ? "...," : "");
	for (uint32_t i = from; i < count && len < size; i++) {
		struct slice name = commands[server->history[i % SMTP_HISTORY_MAX] - 1].name;
		name = slice_first(name, slice_find(name, ' '));
		len += (size_t)snprintf(out + len, size - len, "%s%.*s", i > from ? "," : "", SLICE_ARG(name));
	}
	return out;
}

static bool unknown_command(struct smtp_server *server, struct smtp_event *event)
{
	uint32_t most = server->settings->max_unknown_commands;
	if (server->unknown++ >= most && most != SMTP_NO_LIMIT)
		return smtp_refuse_closing(server, event, 500, SLICE("Too many unrecognized commands"), SMTP_END_UNKNOWN_COMMANDS);
	return smtp_refuse_counted(server, event, 500, SLICE("unrecognized command"));
}

/* smtp_accept_max_nonmail. True: too many. */
static bool count_nonmail(struct smtp_server *server, const struct command *command)
{
	uint32_t most = server->settings->accept_max_nonmail;
	if (command->mail || server->options & SMTP_FREE_NONMAIL)
		return false;
	if (server->spare & command->spare) {
		server->spare &= (unsigned char)~command->spare;
		return false;
	}
	return ++server->nonmail > most && most != SMTP_NO_LIMIT;
}

/* `command`: NULL for one that is not known, behind which nobody may send anything. */
static bool out_of_sync(const struct smtp_server *server, const struct command *command, bool waiting)
{
	enum sync sync = command ? command->sync : SYNC_ALWAYS;
	if (!waiting || !server->settings->enforce_sync || sync == SYNC_NEVER)
		return false;
	return sync == SYNC_ALWAYS || !smtp_pipelining(server);
}

static bool misplaced(struct smtp_server *server, const struct command *command, struct slice argument,
                      struct smtp_event *event)
{
	if (command->handle != smtp_handle_bdat && server->state == SMTP_STATE_CHUNKS)
		return smtp_refuse_counted(server, event, 503, SLICE("only BDAT permissible after non-LAST BDAT"));
	if (command->handle != smtp_handle_bdat && server->state == SMTP_STATE_CHUNKS_FAILED)
		return smtp_refuse_counted(server, event, 503, SLICE("only RSET accepted now"));
	return command->misplaced(server, argument, event);
}

static bool refuse_shut(struct smtp_server *server, struct smtp_event *event)
{
	const uint32_t patience = 20;
	const struct smtp_shut *shut = server->shut;
	if (++server->shut_commands > patience)
		return smtp_refuse_closing(server, event, shut->code, slice_of(shut->text), shut->end);
	return smtp_refuse(server, event, shut->code, slice_of(shut->text));
}

static bool is_auth(struct slice line)
{
	return slice_starts_nocase(line, SLICE("AUTH")) && (line.len == 4 || ascii_is_space(line.data[4]));
}

/* A whole line without its CRLF. `waiting`: there is more input behind it. */
static bool run_line(struct smtp_server *server, struct slice line, bool waiting, struct smtp_event *event)
{
	struct slice argument = { 0 };
	const struct command *command = find_command(line, &argument);
	event->argument = is_auth(line) ? smtp_auth_shown(line) : line;
	if (server->shut && (!command || command->handle != handle_quit))
		return refuse_shut(server, event);
	if (command)
		note_command(server, command);
	/* Whatever smtp_enforce_sync says: RFC 3207 §6. */
	if (waiting && command && command->handle == handle_starttls && server->advertised & SMTP_OFFER_STARTTLS)
		return smtp_refuse_closing(server, event, 554, SLICE("SMTP synchronization error"), SMTP_END_CLEAR_AFTER_STARTTLS);
	/* An empty line may begin the header of a proxy, which is refused in its own words: is_proxy_line(). */
	if (out_of_sync(server, command, waiting && line.len > 0))
		return smtp_refuse_closing(server, event, 554, SLICE("SMTP synchronization error"),
		                           smtp_pipelining(server) ? SMTP_END_UNSYNCHRONIZED_GROUP : SMTP_END_UNSYNCHRONIZED);
	if (!command)
		return unknown_command(server, event);
	if (count_nonmail(server, command))
		return smtp_refuse_closing(server, event, 554, SLICE("Too many nonmail commands"), SMTP_END_NONMAIL_COMMANDS);
	if (argument.len && !command->takes_argument)
		return smtp_refuse_counted(server, event, 501, SLICE("unexpected argument data"));
	if (!(command->states & 1u << server->state))
		return misplaced(server, command, argument, event);
	unsigned char last = server->last;
	bool something = command->handle(server, argument, event);
	if (server->last == last && !command->mail)
		server->last = SMTP_LAST_OTHER;
	return something;
}

/* The rest of a line that was too long for the buffer. */
static bool skip_line(struct smtp_server *server, struct buf *in, struct smtp_event *event)
{
	struct slice text = buf_slice(in);
	size_t lf = slice_find(text, '\n'), skip = lf + 1;
	bool whole = lf < text.len;
	if (!whole)
		skip = text.len && text.data[text.len - 1] == '\r' ? text.len - 1 : text.len;
	bool bare = whole && (lf == 0 || text.data[lf - 1] != '\r');
	if (skip > SMTP_LINE_DISCARD - server->line_discarded)
		return smtp_refuse_closing(server, event, 500, SLICE("Line too long"), SMTP_END_LONG_LINE);
	smtp_discard(in, skip);
	server->line_discarded += (uint32_t)skip;
	if (!whole) {
		event->kind = SMTP_NEED_INPUT;
		return true;
	}
	server->line_discarded = 0;
	if (bare)
		return smtp_refuse_closing(server, event, 501, SLICE("bare LF is not allowed in SMTP commands"), SMTP_END_LF_IN_COMMAND);
	return smtp_refuse_counted(server, event, 500, SLICE("Line too long"));
}

struct slice smtp_line_unclean(struct slice line, enum smtp_end *end_r)
{
	size_t cr = slice_find(line, '\r');
	*end_r = SMTP_END_NUL_IN_COMMAND;
	if (slice_find(line, '\0') < line.len)
		return SLICE("NUL characters are not allowed in SMTP commands");
	*end_r = SMTP_END_CR_IN_COMMAND;
	if (cr + 2 < line.len)
		return SLICE("bare CR is not allowed in SMTP commands");
	*end_r = SMTP_END_LF_IN_COMMAND;
	if (cr + 2 > line.len)
		return SLICE("bare LF is not allowed in SMTP commands");
	return (struct slice){ 0 };
}

/*
 * The header of a proxy that is not known as one (net/proxy.h), by lines: version 1 is one, and of version 2's signature two empty
 * ones have been refused already, however the octets came in.
 */
static bool is_proxy_line(struct slice text)
{
	return slice_starts(text, SLICE("PROXY ")) || slice_starts(text, SLICE("\0\r\n"));
}

bool smtp_command_step(struct smtp_server *server, struct buf *in, struct smtp_event *event)
{
	enum smtp_end end;
	if (server->line_discarded)
		return skip_line(server, in, event);
	size_t most = smtp_line_max(buf_slice(in));
	struct slice text = slice_first(buf_slice(in), most), line;
	if (server->state == SMTP_STATE_START && !server->shut && is_proxy_line(text)) {
		smtp_server_refuse_proxy(server);
		return false;
	}
	size_t lf = slice_find(text, '\n');
	if (lf == text.len) {
		event->kind = SMTP_NEED_INPUT;
		if (text.len < most)
			return true;
		size_t skip = text.data[text.len - 1] == '\r' ? text.len - 1 : text.len;
		smtp_discard(in, skip);
		server->line_discarded = (uint32_t)skip;
		return false;
	}
	if (is_auth(text)) {
		line = smtp_take_secret_line(server, in, lf + 1);
	} else {
		line = arena_copy(&server->scratch, slice_first(text, lf + 1));
		buf_consume(in, line.len);
	}
	struct slice refusal = smtp_line_unclean(line, &end);
	if (refusal.len) {
		event->argument = is_auth(line) ? SLICE("AUTH") : line;
		return smtp_refuse_closing(server, event, 501, refusal, end);
	}
	line.len -= 2;
	return run_line(server, line, buf_len(in) > 0, event);
}
