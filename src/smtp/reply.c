/* SPDX-License-Identifier: ISC */
/* Replies: their form on the wire (RFC 5321 §4.2), the greeting to EHLO, and the words of Exim for the standard ones. */
#include "smtp/internal.h"

/* RFC 5321 §4.5.3.1.5: 512 octets with code and CRLF. */
enum { REPLY_TEXT_MAX = 500 };

/* One line without control characters: what peers and lookups put into a text cannot make a reply of its own. */
static bool put_line(struct buf *out, unsigned code, char separator, struct slice line)
{
	if (!buf_printf(out, "%u%c", code, separator))
		return false;
	char *room = buf_reserve(out, line.len + 2);
	if (!room)
		return false;
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.data[i];
		room[i] = c < 32 || c == 127 ? '?' : line.data[i];
	}
	room[line.len] = '\r';
	room[line.len + 1] = '\n';
	buf_commit(out, line.len + 2);
	return true;
}

/* The next piece of *text that fits a line: up to a newline, or cut at the last blank, or anywhere. */
static struct slice take_line(struct slice *text)
{
	struct slice rest = *text, line = slice_cut(&rest, '\n');
	if (line.len <= REPLY_TEXT_MAX) {
		*text = rest;
		if (line.len && line.data[line.len - 1] == '\r')
			line.len--;
		return line;
	}
	size_t cut = slice_find_last(slice_first(line, REPLY_TEXT_MAX), ' ');
	if (cut == REPLY_TEXT_MAX || cut == 0)
		cut = REPLY_TEXT_MAX;
	struct slice head = slice_first(line, cut);
	*text = slice_from(*text, cut);
	if (text->data[0] == ' ')
		*text = slice_from(*text, 1);
	return head;
}

static void put(struct smtp_server *server, unsigned code, struct slice text, bool more)
{
	if (text.len && text.data[text.len - 1] == '\n')
		text.len--;
	bool fits;
	do {
		struct slice line = take_line(&text);
		fits = put_line(server->out, code, more || text.len ? '-' : ' ', line);
	} while (fits && text.len);
	if (!fits && !server->closing)
		server->closing = SMTP_END_NO_ROOM;
}

void smtp_put(struct smtp_server *server, unsigned code, struct slice text)
{
	put(server, code, text, false);
}

void smtp_put_more(struct smtp_server *server, unsigned code, struct slice text)
{
	put(server, code, text, true);
}

static struct slice size_line(struct smtp_server *server)
{
	uint64_t limit = server->settings->message_size_limit;
	return limit ? arena_printf(&server->scratch, "SIZE %llu", (unsigned long long)limit) : SLICE("SIZE");
}

/* RFC 9422 §3; empty when there is no limit to tell. */
static struct slice limits_line(struct smtp_server *server)
{
	const struct smtp_settings *settings = server->settings;
	struct slice mails = { 0 }, recipients = { 0 };
	if (settings->accept_max_per_connection)
		mails = arena_printf(&server->scratch, " MAILMAX=%u", settings->accept_max_per_connection);
	if (settings->recipients_max)
		recipients = arena_printf(&server->scratch, " RCPTMAX=%u", settings->recipients_max);
	if (mails.len + recipients.len == 0)
		return mails;
	return arena_printf(&server->scratch, "LIMITS%.*s%.*s", SLICE_ARG(mails), SLICE_ARG(recipients));
}

static struct slice auth_line(struct smtp_server *server)
{
	return arena_printf(&server->scratch, "AUTH %.*s", SLICE_ARG(server->auth_offer));
}

/* In Exim's order. */
static const struct {
	unsigned option;
	struct slice line;
	struct slice (*make)(struct smtp_server *server);
} extensions[] = {
	{ SMTP_OFFER_SIZE, { 0 }, size_line },
	{ SMTP_OFFER_LIMITS, { 0 }, limits_line },
	{ SMTP_OFFER_8BITMIME, SLICE("8BITMIME"), NULL },
	{ SMTP_OFFER_ETRN, SLICE("ETRN"), NULL },
	{ SMTP_OFFER_VRFY, SLICE("VRFY"), NULL },
	{ SMTP_OFFER_EXPN, SLICE("EXPN"), NULL },
	{ SMTP_OFFER_PIPELINING, SLICE("PIPELINING"), NULL },
	{ SMTP_OFFER_AUTH, { 0 }, auth_line },
	{ SMTP_OFFER_CHUNKING, SLICE("CHUNKING"), NULL },
	{ SMTP_OFFER_STARTTLS, SLICE("STARTTLS"), NULL },
	{ SMTP_OFFER_SMTPUTF8, SLICE("SMTPUTF8"), NULL },
	{ SMTP_OFFER_HELP, SLICE("HELP"), NULL },
};

void smtp_put_hello(struct smtp_server *server, unsigned code, struct slice text, struct slice name, bool extended)
{
	if (text.len == 0) {
		text = arena_printf(&server->scratch, "%.*s Hello %.*s%s%.*s", SLICE_ARG(server->settings->hostname), SLICE_ARG(server->ident),
				    server->ident.len ? " at " : "", SLICE_ARG(name));
		if (server->peer.len)
			text = arena_printf(&server->scratch, "%.*s [%.*s]", SLICE_ARG(text), SLICE_ARG(server->peer));
	}
	server->advertised = extended ? server->options : 0;
	if (extended && server->auth_offer.len)
		server->advertised |= SMTP_OFFER_AUTH;
	if (server->tls)
		server->advertised &= ~(unsigned)SMTP_OFFER_STARTTLS;
	for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++) {
		if (!(server->advertised & extensions[i].option))
			continue;
		struct slice line = extensions[i].make ? extensions[i].make(server) : extensions[i].line;
		if (line.len == 0)
			continue;
		/* One line late, so that the last one is known when its turn comes. */
		smtp_put_more(server, code, text);
		text = line;
	}
	smtp_put(server, code, text);
}

/* AUTH and STARTTLS are of use once they were offered; the last three at any time. */
void smtp_put_help(struct smtp_server *server)
{
	const char *starttls = server->advertised & SMTP_OFFER_STARTTLS ? "STARTTLS " : "";
	const char *auth = server->advertised & SMTP_OFFER_AUTH ? "AUTH " : "";
	const char *etrn = server->options & SMTP_OFFER_ETRN ? " ETRN" : "";
	const char *expn = server->options & SMTP_OFFER_EXPN ? " EXPN" : "";
	const char *vrfy = server->options & SMTP_OFFER_VRFY ? " VRFY" : "";
	smtp_put_more(server, 214, SLICE("Commands supported:"));
	smtp_put(server, 214, arena_printf(&server->scratch, "%s%sHELO EHLO MAIL RCPT DATA BDAT NOOP QUIT RSET HELP%s%s%s", auth, starttls, etrn,
	                                   expn, vrfy));
}

static bool refused(struct smtp_event *event, unsigned code, struct slice text)
{
	event->kind = SMTP_REFUSED;
	event->code = code;
	event->text = text;
	return true;
}

bool smtp_refuse(struct smtp_server *server, struct smtp_event *event, unsigned code, struct slice text)
{
	smtp_put(server, code, text);
	return refused(event, code, text);
}

bool smtp_refuse_counted(struct smtp_server *server, struct smtp_event *event, unsigned code, struct slice text)
{
	event->refusal = code == 503 || code == 554 ? SMTP_REFUSAL_PROTOCOL : code >= 500 ? SMTP_REFUSAL_SYNTAX : SMTP_REFUSAL_RULE;
	if (++server->errors <= server->settings->max_synprot_errors || server->settings->max_synprot_errors == SMTP_NO_LIMIT)
		return smtp_refuse(server, event, code, text);
	smtp_put_more(server, code, text);
	smtp_put(server, code, SLICE("Too many syntax or protocol errors"));
	event->end = SMTP_END_ERRORS;
	smtp_server_close(server, event->end);
	return refused(event, code, text);
}

bool smtp_refuse_closing(struct smtp_server *server, struct smtp_event *event, unsigned code, struct slice text,
                         enum smtp_end end)
{
	smtp_put(server, code, text);
	event->end = end;
	smtp_server_close(server, end);
	return refused(event, code, text);
}

static const struct {
	unsigned code;
	const char *text; /* behind the host's name when it begins with a blank or a colon */
	enum smtp_end end;
} farewells[SMTP_FAREWELLS] = {
	[SMTP_FAREWELL_COMMAND_TIMEOUT] = { 421, ": SMTP command timeout - closing connection", SMTP_END_COMMAND_TIMEOUT },
	[SMTP_FAREWELL_DATA_TIMEOUT] = { 421, " SMTP incoming data timeout - closing connection.", SMTP_END_DATA_TIMEOUT },
	[SMTP_FAREWELL_SHUTDOWN] = { 421, ": Service not available - closing connection", SMTP_END_SHUTDOWN },
	[SMTP_FAREWELL_LOST] = { 421, " lost input connection", SMTP_END_LOST },
	[SMTP_FAREWELL_TOO_MANY] = { 421, "Too many concurrent SMTP connections; please try again later.", SMTP_END_TURNED_AWAY },
	[SMTP_FAREWELL_TOO_MANY_FROM_HOST] = { 421, "Too many concurrent SMTP connections from this IP address; please try again later.",
	                                       SMTP_END_TURNED_AWAY },
	[SMTP_FAREWELL_LOCAL_PROBLEM] = { 421, "Local problem; please try again later.", SMTP_END_TURNED_AWAY },
	[SMTP_FAREWELL_REJECTED] = { 554, "SMTP service not available", SMTP_END_TURNED_AWAY },
};

void smtp_server_farewell(struct smtp_server *server, enum smtp_farewell kind)
{
	struct slice host = server->settings->hostname, text = slice_of(farewells[kind].text);
	if (text.data[0] == ':' || text.data[0] == ' ')
		text = arena_printf(&server->scratch, "%.*s%.*s", SLICE_ARG(host), SLICE_ARG(text));
	smtp_put(server, farewells[kind].code, text);
	server->pending = SMTP_NEED_INPUT;
	smtp_server_close(server, farewells[kind].end);
}

void smtp_server_turn_away(struct smtp_server *server, unsigned code, struct slice text)
{
	smtp_put(server, code, text);
	smtp_server_close(server, SMTP_END_TURNED_AWAY);
}
