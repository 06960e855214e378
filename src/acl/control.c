/* SPDX-License-Identifier: ISC */
/* The settings of the `control` modifier (Exim's manual, chapter 44 §22). */
#include "acl/private.h"

#include "net/dscp.h"

#define MESSAGE (AT(MAIL) | AT(RCPT) | AT(PREDATA) | AT(DATA) | AT(PRDR) | AT(MIME) | AT(NOT_SMTP) | AT(NOT_SMTP_MIME) | AT(EXPANSION))
#define SMTP_MESSAGE (AT(MAIL) | AT(RCPT) | AT(PREDATA) | AT(DATA) | AT(PRDR) | AT(MIME) | AT(EXPANSION))
#define NOT_SMTP (AT(NOT_SMTP_START) | AT(NOT_SMTP) | AT(NOT_SMTP_MIME))

static const struct control {
	const char *name;
	enum acl_control control;
	bool options; /* may be followed by a slash and more */
	unsigned points;
	const char *refused;
	const char *help;
	const char *example; /* the value; NULL: the name alone says it */
} controls[] = {
	{ "allow_auth_unadvertised", ACL_CONTROL_ALLOW_AUTH_UNADVERTISED, false, AT(CONNECT) | AT(HELO), NULL,
	  "The client may use AUTH without having been offered it." },
	{ "caseful_local_part", ACL_CONTROL_CASEFUL_LOCAL_PART, false, AT(RCPT), NULL,
	  "From here on $local_part is as the client wrote it." },
	{ "caselower_local_part", ACL_CONTROL_CASELOWER_LOCAL_PART, false, AT(RCPT), NULL,
	  "From here on $local_part is in lower case again." },
	{ "cutthrough_delivery", ACL_CONTROL_CUTTHROUGH_DELIVERY, true, ACL_EVERYWHERE, "it comes with the sending side", NULL },
	{ "debug", ACL_CONTROL_DEBUG, true, ACL_EVERYWHERE, "there is no debug log; see \"postern session --trace\"", NULL },
	{ "dkim_disable_verify", ACL_CONTROL_DKIM_DISABLE_VERIFY, false, ACL_EVERYWHERE, NULL,
	  "No DKIM signature of this message is verified; this version verifies none." },
	{ "dmarc_disable_verify", ACL_CONTROL_DMARC_DISABLE_VERIFY, false, ACL_EVERYWHERE, NULL,
	  "DMARC is not applied to this message; this version applies it to none." },
	{ "dscp", ACL_CONTROL_DSCP, true, ACL_EVERYWHERE & ~(NOT_SMTP | AT(NOTQUIT)), NULL,
	  "The class of our packets in this connection (RFC 2474): a name such as ef, af31, cs1 or lowcost, or a number up to 63.",
	  "dscp/ef" },
	{ "enforce_sync", ACL_CONTROL_ENFORCE_SYNC, false, ACL_EVERYWHERE & ~NOT_SMTP, NULL,
	  "A client that sends out of turn is refused, from here on in this connection." },
	{ "no_enforce_sync", ACL_CONTROL_NO_ENFORCE_SYNC, false, ACL_EVERYWHERE & ~NOT_SMTP, NULL,
	  "A client may send out of turn, from here on in this connection." },
	{ "fakedefer", ACL_CONTROL_FAKEDEFER, true, SMTP_MESSAGE, NULL,
	  "The message is taken, but the client is told to try again later (450), with the text behind the slash.",
	  "fakedefer/try again in an hour" },
	{ "fakereject", ACL_CONTROL_FAKEREJECT, true, SMTP_MESSAGE, NULL,
	  "The message is taken, but the client is told that it is refused (550), with the text behind the slash.",
	  "fakereject/not wanted here" },
	{ "freeze", ACL_CONTROL_FREEZE, true, MESSAGE, NULL,
	  "The message is frozen when it arrives: nothing tries to deliver it. \"/no_tell\" changes nothing, for nobody is told.",
	  "freeze/no_tell" },
	{ "no_callout_flush", ACL_CONTROL_NO_CALLOUT_FLUSH, false, ACL_EVERYWHERE, NULL,
	  "Replies that wait are not sent before a callout; this version makes none." },
	{ "no_delay_flush", ACL_CONTROL_NO_DELAY_FLUSH, false, ACL_EVERYWHERE, NULL,
	  "Replies that wait are not sent before a delay, from here on in this connection." },
	{ "no_mbox_unspool", ACL_CONTROL_NO_MBOX_UNSPOOL, false, MESSAGE, NULL,
	  "The copy of the message that scanners see is kept; there is none on disk.", "no_mbox_unspool" },
	{ "no_multiline_responses", ACL_CONTROL_NO_MULTILINE_RESPONSES, false, ACL_EVERYWHERE & ~NOT_SMTP, NULL,
	  "Replies of ACLs are cut to one line, from here on in this connection." },
	{ "no_pipelining", ACL_CONTROL_NO_PIPELINING, false, ACL_EVERYWHERE & ~NOT_SMTP, NULL,
	  "PIPELINING is not offered with the next EHLO." },
	{ "queue", ACL_CONTROL_QUEUE, true, MESSAGE, NULL,
	  "The message is not delivered at once, but by the next run of its queue (queue_run_interval, queue_run_named).",
	  "queue" },
	{ "queue_only", ACL_CONTROL_QUEUE, true, MESSAGE, NULL, "The older name of queue.", "queue_only" },
	{ "submission", ACL_CONTROL_SUBMISSION, true, AT(MAIL) | AT(RCPT) | AT(PREDATA) | AT(EXPANSION), NULL,
	  "The message is put right as a mail client's: a missing Date, Message-Id and From are added; Sender is the authenticated user where From "
	  "is not, and so is the envelope sender. /sender_retain leaves Sender and the envelope as they are; /domain= completes the user's name "
	  "(qualify_domain otherwise; empty: the name is an address); /name=, the last, is the person's name. Sender lines of the client are "
	  "removed whether it is authenticated or not, and a name that has an @ is an address already." },
	{ "suppress_local_fixups", ACL_CONTROL_SUPPRESS_LOCAL_FIXUPS, false,
	  AT(MAIL) | AT(RCPT) | AT(PREDATA) | AT(NOT_SMTP_START) | AT(EXPANSION), NULL,
	  "Headers of a locally submitted message stay as they are; this version changes none." },
	{ "utf8_downconvert", ACL_CONTROL_UTF8_DOWNCONVERT, true, AT(RCPT) | AT(VRFY) | AT(EXPANSION), "it comes with the sending side",
	  NULL },
};

/* What follows the slash of control = submission: a peer's text is in a domain or a name, and adds no option. */
static bool parse_submission(struct piece_text options, struct acl_submission *submission_r, struct error *error)
{
	*submission_r = (struct acl_submission){ 0 };
	while (options.at < options.len) {
		struct slice rest = piece_text_rest(&options), option = slice_first(rest, piece_text_find(&options, '/') - options.at);
		struct slice written = slice_first(option, piece_text_written(&options));
		options.at += option.len + (option.len < rest.len);
		/* A name may hold slashes. */
		if (slice_starts_nocase(written, SLICE("name="))) {
			submission_r->name = slice_from(rest, 5);
			return true;
		}
		if (slice_starts_nocase(written, SLICE("domain="))) {
			submission_r->has_domain = true;
			submission_r->domain = slice_from(option, 7);
		} else if (slice_equal_nocase(option, SLICE("sender_retain")) && written.len == option.len) {
			submission_r->sender_retain = true;
		} else {
			return error_set(error, ERROR_USAGE, "\"submission\" has sender_retain, domain= and name=, not \"%.*s\"",
					 SLICE_ARG(slice_first(option, 60)));
		}
	}
	return true;
}

enum { CONTROLS = sizeof controls / sizeof *controls };

/* NULL with *error when there is none of that name, or it takes no options. */
static const struct control *find(struct piece_text value, struct piece_text *options_r, struct error *error)
{
	value = piece_text_trim(value);
	size_t slash = piece_text_find(&value, '/');
	struct slice name = slice_make(value.data, slash);
	*options_r = piece_text_part(&value, slash + (slash < value.len), value.len);
	struct slice rest = piece_text_rest(options_r);
	if (piece_text_written(&value) < slash) {
		error_set(error, ERROR_USAGE, "\"%.*s\" is not named by the configuration alone", SLICE_ARG(slice_first(name, 64)));
		return NULL;
	}
	for (size_t i = 0; i < CONTROLS; i++) {
		const struct control *control = &controls[i];
		if (!slice_equal(slice_of(control->name), name))
			continue;
		if (control->refused) {
			error_set(error, ERROR_USAGE, "\"%s\" is not available in this version: %s", control->name, control->refused);
			return NULL;
		}
		if (rest.len && !control->options) {
			error_set(error, ERROR_USAGE, "\"%s\" takes no options", control->name);
			return NULL;
		}
		unsigned class;
		if (control->control == ACL_CONTROL_DSCP && !net_dscp_parse(slice_trim(rest), &class)) {
			error_set(error, ERROR_USAGE, "\"%.*s\" is not a class of packets; expected a name such as ef or a number up to 63",
				  SLICE_ARG(slice_first(rest, 64)));
			return NULL;
		}
		return control;
	}
	error_set(error, ERROR_USAGE, "there is no control \"%.*s\"", SLICE_ARG(slice_first(name, 64)));
	return NULL;
}

bool acl_control_check(struct slice value, struct arena *scratch, struct error *error)
{
	struct piece_text options;
	struct acl_submission submission;
	const struct control *control = find(piece_text_plain(value, scratch), &options, error);
	return control && (control->control != ACL_CONTROL_SUBMISSION || parse_submission(options, &submission, error));
}

/* A constant that is wrong was reported already. */
static const struct control *find_constant(struct slice value)
{
	struct arena scratch;
	struct error error;
	struct piece_text options;
	arena_init(&scratch, 0);
	const struct control *control = find(piece_text_plain(value, &scratch), &options, &error);
	arena_free(&scratch);
	return control;
}

unsigned acl_control_uses(struct slice value)
{
	const struct control *control = find_constant(value);
	return control && (control->control == ACL_CONTROL_FREEZE || control->control == ACL_CONTROL_QUEUE) ? ACL_USE_HOLD : 0;
}

bool acl_control_allowed(struct slice value, enum acl_point point)
{
	const struct control *control = find_constant(value);
	return !control || control->points >> point & 1;
}

/* Those that are a matter of the engine alone. */
static bool apply(struct acl_session *session, enum acl_control control)
{
	switch (control) {
	case ACL_CONTROL_CASEFUL_LOCAL_PART: session->caseful_local_part = true; return true;
	case ACL_CONTROL_CASELOWER_LOCAL_PART: session->caseful_local_part = false; return true;
	case ACL_CONTROL_NO_DELAY_FLUSH: session->no_delay_flush = true; return true;
	case ACL_CONTROL_NO_MULTILINE_RESPONSES: session->no_multiline = true; return true;
	default: return false;
	}
}

static bool start_submission(struct acl_session *session, struct piece_text options, struct error *error)
{
	struct acl_submission submission;
	if (!parse_submission(options, &submission, error))
		return false;
	session->submission(session->owner, &submission);
	return true;
}

enum acl_step acl_control_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct acl_session *session = run->session;
	struct error error = { 0 };
	struct piece_text options;
	const struct control *control = find(run->text, &options, &error);
	(void)item;
	(void)value;
	if (!control)
		return acl_broken(run, "control: %s", error.text);
	if (!(control->points >> run->point & 1))
		return acl_broken(run, "cannot use \"control=%s\" in %s ACL", control->name, acl_point_info(run->point)->name);
	if (apply(session, control->control))
		return ACL_YES;
	bool submission = control->control == ACL_CONTROL_SUBMISSION;
	if (submission ? !session->submission : !session->control)
		return acl_broken(run, "cannot use \"control=%s\" here", control->name);
	if (submission ? !start_submission(session, options, &error) :
			 !session->control(session->owner, control->control, piece_text_rest(&options), &error))
		return acl_broken(run, "control=%s: %s", control->name, error.text);
	return ACL_YES;
}

bool acl_control_info(size_t index, struct acl_word_info *info_r)
{
	if (index >= CONTROLS)
		return false;
	const struct control *control = &controls[index];
	*info_r = (struct acl_word_info){ .name = control->name, .modifier = true, .points = control->points, .refused = control->refused,
					  .help = control->help, .example = control->example ? control->example : control->name };
	return true;
}
