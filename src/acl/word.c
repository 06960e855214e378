/* SPDX-License-Identifier: ISC */
/* The conditions and modifiers of ACLs: one row each (Exim's manual, chapter 44 §21 and §26). */
#include "acl/private.h"

#include "base/id.h"
#include "base/interval.h"

/* Sets of points that several rows have. EXPANSION stands for wherever the expansion is. */
#define MESSAGE_POINTS \
	(AT(MAIL) | AT(RCPT) | AT(PREDATA) | AT(DATA) | AT(PRDR) | AT(MIME) | AT(DKIM) | AT(NOT_SMTP) | AT(NOT_SMTP_START) | \
	 AT(NOT_SMTP_MIME) | AT(EXPANSION))
#define NOT_SMTP_POINTS (AT(NOT_SMTP) | AT(NOT_SMTP_START) | AT(NOT_SMTP_MIME))
#define BEFORE_DATA_POINTS \
	(ACL_EVERYWHERE & ~(AT(DATA) | AT(PRDR) | AT(MIME) | AT(DKIM) | AT(NOT_SMTP) | AT(NOT_SMTP_MIME)))
#define CONTENT_POINTS (AT(DATA) | AT(PRDR) | AT(NOT_SMTP) | AT(EXPANSION))
#define MIME_POINTS (AT(MIME) | AT(NOT_SMTP_MIME))
#define ADDRESS_POINTS (AT(RCPT) | AT(VRFY) | AT(PRDR) | AT(EXPANSION))
#define SENDER_POINTS \
	(ACL_EVERYWHERE & ~(AT(AUTH) | AT(CONNECT) | AT(HELO) | AT(MAILAUTH) | AT(ETRN) | AT(EXPN) | AT(STARTTLS) | AT(VRFY)))

/* ---- Conditions ---- */

static enum acl_step from_bool(bool yes)
{
	return yes ? ACL_YES : ACL_NO;
}

static enum acl_step run_condition(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	static const struct {
		const char *word;
		bool yes;
	} words[] = { { "yes", true }, { "true", true }, { "no", false }, { "false", false } };
	struct slice digits = value.text;
	(void)item;
	if (digits.len && digits.data[0] == '-')
		digits = slice_from(digits, 1);
	size_t zeros = 0, at = 0;
	for (; at < digits.len && ascii_is_digit(digits.data[at]); at++)
		zeros += digits.data[at] == '0';
	if (at == digits.len)
		return from_bool(zeros < digits.len);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (slice_equal_nocase(value.text, slice_of(words[i].word)))
			return from_bool(words[i].yes);
	return acl_later(run, "invalid \"condition\" value \"%.*s\"", SLICE_ARG(slice_first(value.text, 200)));
}

static enum acl_step match(struct acl_run *run, const struct acl_item *item, struct expand_value subject,
			   struct expand_value *data_r)
{
	const struct expand_language *language = run->session->set->language;
	struct expand_list_found found = { 0 };
	struct error error = { 0 };
	bool yes = false;
	switch (language->list_match(item->list, &run->context, subject, true, run->arena, &yes, &found, &error)) {
	case EXPAND_OK: break;
	case EXPAND_FORCED_FAIL: return ACL_NO; /* as Exim does, for a list: nothing is in it */
	case EXPAND_DEFER: return acl_later(run, "%s", error.text);
	case EXPAND_FAIL: return acl_broken(run, "%s: %s", item->word->name, error.text);
	}
	acl_trace(run, "\"%.*s\" in \"%.*s\"? %s%s%.*s%s", SLICE_ARG(slice_first(subject.text, 200)), SLICE_ARG(slice_first(item->source, 200)),
		  yes ? "yes" : "no", yes && found.data.text.len ? " (matched \"" : "", SLICE_ARG(slice_first(found.data.text, 200)),
		  yes && found.data.text.len ? "\")" : yes ? "" : " (end of list)");
	if (yes && data_r)
		*data_r = found.data;
	return from_bool(yes);
}

static struct expand_value tainted(struct slice text)
{
	return (struct expand_value){ .text = text, .tainted = true };
}

static enum acl_step run_hosts(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	(void)value;
	return match(run, item, tainted(run->session->facts.host_address), &run->session->data.host);
}

static enum acl_step run_domains(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	(void)value;
	if (!run->session->facts.has_recipient)
		return acl_broken(run, "cannot test domains condition: no address is being checked");
	return match(run, item, tainted(run->session->facts.domain), &run->session->data.domain);
}

static enum acl_step run_local_parts(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	(void)value;
	if (!run->session->facts.has_recipient)
		return acl_broken(run, "cannot test local_parts condition: no address is being checked");
	return match(run, item, tainted(run->session->facts.local_part), &run->session->data.local_part);
}

static enum acl_step run_recipients(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	(void)value;
	if (!run->session->facts.has_recipient)
		return acl_broken(run, "cannot test recipients condition: no address is being checked");
	return match(run, item, tainted(run->session->facts.recipient), &run->session->data.recipient);
}

static enum acl_step run_senders(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	(void)value;
	return match(run, item, tainted(run->session->facts.sender), &run->session->data.sender);
}

static enum acl_step run_sender_domains(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	(void)value;
	return match(run, item, tainted(run->session->facts.sender_domain), NULL);
}

static enum acl_step run_authenticated(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct slice name = run->session->facts.authenticated;
	(void)value;
	return name.len ? match(run, item, acl_text(name), NULL) : ACL_NO;
}

static enum acl_step run_encrypted(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct slice cipher = run->session->facts.cipher;
	(void)value;
	return cipher.len ? match(run, item, acl_text(cipher), NULL) : ACL_NO;
}

static enum acl_step run_acl(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	const struct acl_call *call = item->call;
	struct expand_value arguments[ACL_ARGUMENTS_MAX];
	struct error error;
	for (size_t i = 0; i < call->count; i++) {
		enum expand_result result = expand_run(call->arguments[i], &run->context, run->arena, &arguments[i], &error);
		if (result == EXPAND_OK)
			continue;
		if (result == EXPAND_FORCED_FAIL)
			return ACL_YES;
		return result == EXPAND_DEFER ? acl_later(run, "%s", error.text) :
						acl_broken(run, "failed to expand ACL string \"%.*s\": %s", SLICE_ARG(item->source), error.text);
	}
	enum acl_step step = acl_run_nested(run, call->target, value, arguments, call->count);
	if (step == ACL_DISCARDED && run->verb != ACL_VERB_ACCEPT && run->verb != ACL_VERB_DISCARD)
		return acl_broken(run, "nested ACL returned \"discard\" for \"%s\" command (only allowed with \"accept\" or \"discard\")",
				  acl_verb_text(run->verb));
	return step;
}

/* ---- Modifiers ---- */

static enum acl_step run_continue(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	(void)run;
	(void)item;
	(void)value;
	return ACL_YES;
}

bool acl_parse_time(struct slice text, bool bare, int64_t *seconds_r)
{
	const struct interval_rule rule = { .bare = bare, .number_max = 1000000, .max = INT64_C(1) << 53 };
	return interval_parse(text, &rule, seconds_r);
}

static bool check_delay(struct slice value, struct arena *scratch, struct error *error)
{
	int64_t seconds;
	(void)scratch;
	if (acl_parse_time(slice_trim(value), true, &seconds))
		return true;
	return error_set(error, ERROR_USAGE, "\"%.*s\" is not a time value; expected one such as 30s or 1m30s",
			 SLICE_ARG(slice_first(value, 64)));
}

static enum acl_step run_delay(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct acl_session *session = run->session;
	int64_t seconds;
	(void)item;
	if (!acl_parse_time(slice_trim(value.text), true, &seconds))
		return acl_broken(run, "syntax error in argument for \"delay\" modifier: \"%.*s\" is not a time value",
				  SLICE_ARG(slice_first(value.text, 200)));
	int64_t most = ACL_DELAY_MAX / CLOCK_SECOND;
	if (session->delay && seconds > 0)
		session->delay(session->owner, (seconds < most ? seconds : most) * CLOCK_SECOND, !session->no_delay_flush);
	return ACL_YES;
}

/* A list of log names: false and the wrong one in *wrong_r. */
static bool parse_logs(struct slice text, char separator, unsigned *targets_r, struct slice *wrong_r)
{
	static const struct {
		const char *name;
		unsigned target;
	} names[] = { { "main", ACL_LOG_MAIN }, { "reject", ACL_LOG_REJECT }, { "panic", ACL_LOG_PANIC } };
	*targets_r = 0;
	while (text.len) {
		struct slice name = slice_trim(slice_cut(&text, separator));
		size_t i = 0;
		while (i < 3 && !slice_equal(name, slice_of(names[i].name)))
			i++;
		*wrong_r = name;
		if (i == 3 && name.len)
			return false;
		*targets_r |= i < 3 ? names[i].target : 0;
	}
	return true;
}

static bool check_log_reject_target(struct slice value, struct arena *scratch, struct error *error)
{
	struct slice wrong;
	unsigned targets;
	(void)scratch;
	if (parse_logs(value, ':', &targets, &wrong))
		return true;
	return error_set(error, ERROR_USAGE, "there is no log \"%.*s\"; expected main, reject or panic", SLICE_ARG(slice_first(wrong, 64)));
}

static enum acl_step run_log_reject_target(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct slice wrong;
	(void)item;
	if (!parse_logs(value.text, ':', &run->shared->log_targets, &wrong))
		return acl_broken(run, "unknown log name \"%.*s\" in \"log_reject_target\"", SLICE_ARG(slice_first(wrong, 64)));
	return ACL_YES;
}

static enum acl_step run_logwrite(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct piece_text text = piece_text_trim(run->text);
	struct slice wrong = { 0 };
	unsigned targets = ACL_LOG_MAIN;
	(void)item;
	(void)value;
	if (piece_text_is(&text, ':')) {
		text.at++;
		size_t end = piece_text_find(&text, ':');
		if (end == text.len || !parse_logs(slice_make(text.data + 1, end - 1), ',', &targets, &wrong)) {
			acl_log(run, ACL_LOG_MAIN | ACL_LOG_PANIC, "unknown log name in \"%.*s\" in \"logwrite\" in %s ACL",
				SLICE_ARG(slice_first(slice_make(text.data, text.len), 200)), acl_point_info(run->point)->name);
			return ACL_YES;
		}
		text = piece_text_trim(piece_text_part(&text, end + 1, text.len));
		targets = targets ? targets : ACL_LOG_MAIN;
	}
	acl_log(run, targets, "%.*s", SLICE_ARG(piece_text_rest(&text)));
	return ACL_YES;
}

static bool check_queue_name(struct slice value, struct error *error)
{
	struct slice name = slice_trim(value);
	return name.len == 0 || queue_name_valid(name) ||
	       error_set(error, ERROR_USAGE, "\"%.*s\" is no name of a queue; expected letters, digits, \"_\" and \"-\", %d at most",
			 SLICE_ARG(slice_first(name, 64)), QUEUE_NAME_MAX);
}

static bool check_queue(struct slice value, struct arena *arena, struct error *error)
{
	(void)arena;
	return check_queue_name(value, error);
}

static enum acl_step run_queue(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct slice name = slice_trim(value.text);
	struct error error;
	(void)item;
	if (value.tainted)
		return acl_broken(run, "Tainted name '%.*s' for queue not permitted", SLICE_ARG(slice_first(name, 64)));
	if (!check_queue_name(name, &error))
		return acl_broken(run, "%s", error.text);
	if (!run->session->queue)
		return acl_broken(run, "cannot use queue condition here: there is no message");
	run->session->queue(run->session->owner, name);
	return ACL_YES;
}

static enum acl_step run_set(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct acl_variables *store = item->family == EXPAND_ACL_C ? run->session->connection : run->session->message;
	struct error error;
	if (!store)
		return acl_broken(run, "\"set acl_%c%.*s\": there are no ACL variables here", item->family == EXPAND_ACL_C ? 'c' : 'm',
				  SLICE_ARG(item->variable));
	if (!acl_variables_set(store, item->variable, value, &error))
		return acl_broken(run, "%s", error.text);
	return ACL_YES;
}

/* ---- The table ---- */

#define CONDITION(word) .name = word
#define MODIFIER(word) .name = word, .modifier = true
#define LATER(word, text) .name = word, .value = ACL_VALUE_TEXT, .points = ACL_EVERYWHERE, .refused = text
/*
 * A list of names with wildcards and regular expressions, as Exim's string lists are outside of ${if inlist}: there the items of
 * EXPAND_LIST_STRING are plain texts. Lists of local parts have the same items.
 */
#define NAMES EXPAND_LIST_LOCAL_PART

static const struct acl_word words[] = {
	{ CONDITION("acl"), .value = ACL_VALUE_CALL, .points = ACL_EVERYWHERE, .run = run_acl,
	  .help = "Runs another ACL, by its name with up to nine arguments ($acl_arg1 and on), as text, or from a file. True when it "
		  "accepts, false when it denies.",
	  .example = "acl = check_relay $domain" },
	{ MODIFIER("add_header"), .value = ACL_VALUE_PIECES, .points = MESSAGE_POINTS, .run = acl_add_header_run,
	  .help = "Adds header lines to the message: at the end, or where :at_start:, :after_received: or :at_start_rfc: says. In "
		  "acl_smtp_data and acl_smtp_mime, where the message is above 256 KiB, it is too late: they are left out, and the log says so.",
	  .example = "add_header = X-Checked: yes" },
	{ CONDITION("authenticated"), .value = ACL_VALUE_LIST, .list = NAMES,
	  .points = ACL_EVERYWHERE & ~(NOT_SMTP_POINTS | AT(CONNECT) | AT(HELO)), .run = run_authenticated,
	  .help = "Whether the client has authenticated, with one of these authenticators.", .example = "authenticated = *" },
	{ CONDITION("condition"), .value = ACL_VALUE_TEXT, .points = ACL_EVERYWHERE, .run = run_condition,
	  .help = "True for yes, true and numbers but 0; false for no, false, 0 and nothing. Anything else defers.",
	  .example = "condition = ${if >{$recipients_count}{20}}" },
	{ MODIFIER("continue"), .value = ACL_VALUE_TEXT, .points = ACL_EVERYWHERE, .run = run_continue,
	  .help = "Expands its text for what that does, and goes on.", .example = "continue = ${lookup redis{INCR ${quote_redis:$sender_host_address}}}" },
	{ MODIFIER("control"), .value = ACL_VALUE_PIECES, .points = ACL_EVERYWHERE, .run = acl_control_run, .check = acl_control_check,
	  .help = "Changes how the connection or the message is treated.", .example = "control = no_delay_flush" },
	{ CONDITION("decode"), .value = ACL_VALUE_TEXT, .points = MIME_POINTS, .run = acl_decode_run,
	  .help = "Decodes the MIME part in memory: $mime_content_size is then its size in kilobytes, and $mime_anomaly_text what is wrong with "
		  "it. No file is written. False for 0 and false.",
	  .example = "decode = default" },
	{ MODIFIER("delay"), .value = ACL_VALUE_TEXT, .points = ACL_EVERYWHERE & ~AT(NOTQUIT), .run = run_delay, .check = check_delay,
	  .help = "Lets the client wait for this time, an hour at most.", .example = "delay = 30s" },
	{ CONDITION("dnslists"), .value = ACL_VALUE_PIECES, .points = ACL_EVERYWHERE, .run = acl_dnslists_run, .check = acl_dnslists_check,
	  .help = "Whether the client's address, or a key behind a slash, is in one of these lists of the DNS. What was found is in "
		  "$dnslist_domain, $dnslist_matched, $dnslist_value and $dnslist_text.",
	  .example = "dnslists = dnsbl.example : dbl.example=127.0.1.2/$sender_address_domain" },
	{ CONDITION("domains"), .value = ACL_VALUE_LIST, .list = EXPAND_LIST_DOMAIN, .points = ADDRESS_POINTS, .run = run_domains,
	  .help = "Whether the recipient's domain is in this domain list. What the list gives is in $domain_data.",
	  .example = "domains = +local_domains" },
	{ CONDITION("encrypted"), .value = ACL_VALUE_LIST, .list = NAMES,
	  .points = ACL_EVERYWHERE & ~(NOT_SMTP_POINTS | AT(HELO)), .run = run_encrypted,
	  .help = "Whether the connection is in TLS, with one of these cipher suites.", .example = "encrypted = *" },
	{ MODIFIER("endpass"), .value = ACL_VALUE_NONE, .points = ACL_EVERYWHERE,
	  .help = "In accept and discard: a condition behind it that fails denies, instead of passing to the next statement.",
	  .example = "endpass" },
	{ CONDITION("hosts"), .value = ACL_VALUE_LIST, .list = EXPAND_LIST_HOST, .points = ACL_EVERYWHERE & ~NOT_SMTP_POINTS,
	  .run = run_hosts, .help = "Whether the client is in this host list.", .example = "hosts = +relay_hosts" },
	{ CONDITION("local_parts"), .value = ACL_VALUE_LIST, .list = EXPAND_LIST_LOCAL_PART, .points = ADDRESS_POINTS,
	  .run = run_local_parts,
	  .help = "Whether the recipient's local part is in this list. What the list gives is in $local_part_data.",
	  .example = "local_parts = ^.*[@%!/|]" },
	{ MODIFIER("log_message"), .value = ACL_VALUE_LATE, .points = ACL_EVERYWHERE,
	  .help = "What the log says about a refusal, or of a warn statement whose conditions hold.",
	  .example = "log_message = too many from $sender_host_address" },
	{ MODIFIER("log_reject_target"), .value = ACL_VALUE_TEXT, .points = ACL_EVERYWHERE, .run = run_log_reject_target,
	  .check = check_log_reject_target,
	  .help = "Which logs are told of refusals from here on: main, reject, panic, or none.", .example = "log_reject_target = main" },
	{ MODIFIER("logwrite"), .value = ACL_VALUE_PIECES, .points = ACL_EVERYWHERE, .run = run_logwrite,
	  .help = "Writes a line to the main log, or to those that :main,reject,panic: before the text names.",
	  .example = "logwrite = :reject: seen $sender_address" },
	{ CONDITION("malware"), .value = ACL_VALUE_PIECES, .points = CONTENT_POINTS, .run = acl_malware_run, .check = acl_content_check,
	  .uses = ACL_USE_CONTENT,
	  .help = "Whether the scanner of av_scanner finds malware in the message: any with \"*\", or one whose name matches the regular "
		  "expression. Options behind slashes: defer_ok, tmo=TIME. The name is in $malware_name.",
	  .example = "malware = * / defer_ok" },
	{ MODIFIER("message"), .value = ACL_VALUE_LATE, .points = ACL_EVERYWHERE,
	  .help = "What the client is told; it may begin with a code: \"550 5.7.1 ...\". In warn: a header line to add.",
	  .example = "message = relay not permitted" },
	{ CONDITION("mime_regex"), .value = ACL_VALUE_PIECES, .points = MIME_POINTS, .run = acl_mime_regex_run, .check = acl_regex_check,
	  .help = "Whether the first 32 KB of the decoded MIME part match one of these regular expressions, with the variables of regex.",
	  .example = "mime_regex = ^MZ" },
	{ MODIFIER("queue"), .value = ACL_VALUE_TEXT, .points = BEFORE_DATA_POINTS, .run = run_queue, .check = check_queue,
	  .help = "The name of the queue whose runs take the message: letters, digits, \"_\" and \"-\", 63 at most; empty for the usual queue. It "
		  "must not come from a peer. In the ACLs for MAIL, RCPT and DATA it holds for that message, in those before for all "
		  "messages of the connection, and in that for ETRN it is the queue that is run. The first delivery is tried at once all "
		  "the same, unless control = queue; what is left then waits for a run of that queue (queue_run_named).",
	  .example = "queue = bulk" },
	{ CONDITION("ratelimit"), .value = ACL_VALUE_PIECES, .points = ACL_EVERYWHERE, .run = acl_ratelimit_run, .check = acl_ratelimit_check,
	  .help = "Measures a rate and compares it with a limit: true when it is not below. limit / period / options / key; options: per_conn, "
		  "per_mail, per_rcpt, per_addr, per_byte, per_cmd, count=, unique=, strict, leaky, readonly. The default key is the client's "
		  "address. Sets $sender_rate, $sender_rate_limit and $sender_rate_period.",
	  .example = "ratelimit = 100 / 1h / per_rcpt / strict" },
	{ CONDITION("recipients"), .value = ACL_VALUE_LIST, .list = EXPAND_LIST_ADDRESS, .points = AT(RCPT) | AT(PRDR) | AT(EXPANSION),
	  .run = run_recipients, .help = "Whether the recipient is in this address list.", .example = "recipients = postmaster@*" },
	{ CONDITION("regex"), .value = ACL_VALUE_PIECES, .points = CONTENT_POINTS | AT(MIME), .run = acl_regex_run, .check = acl_regex_check,
	  .uses = ACL_USE_CONTENT,
	  .help = "Whether a line of the message matches one of these regular expressions; in acl_smtp_mime, a line of the part as it came. It "
		  "is then in $regex_match_string, and what its groups matched in $regex1 and on.",
	  .example = "regex = [Mm]ortgage : URGENT" },
	{ MODIFIER("remove_header"), .value = ACL_VALUE_PIECES, .points = MESSAGE_POINTS, .run = acl_remove_header_run,
	  .help = "Removes all header lines of these names from the message. In acl_smtp_data and acl_smtp_mime, where the message is "
		  "above 256 KiB, it is too late: the message is refused for now.", .example = "remove_header = X-Route : X-Internal" },
	{ CONDITION("seen"), .value = ACL_VALUE_PIECES, .points = ACL_EVERYWHERE, .run = acl_seen_run, .check = acl_seen_check,
	  .help = "Whether a key was seen within a time, or, with a minus sign, before it and not since; and notes that it is seen now. Options: "
		  "key= (otherwise the client's address), readonly, write, refresh=.",
	  .example = "seen = -5m / key=${sender_host_address}_$local_part@$domain" },
	{ CONDITION("sender_domains"), .value = ACL_VALUE_LIST, .list = EXPAND_LIST_DOMAIN, .points = SENDER_POINTS,
	  .run = run_sender_domains, .help = "Whether the envelope sender's domain is in this domain list.",
	  .example = "sender_domains = example.org" },
	{ CONDITION("senders"), .value = ACL_VALUE_LIST, .list = EXPAND_LIST_ADDRESS, .points = SENDER_POINTS, .run = run_senders,
	  .help = "Whether the envelope sender is in this address list; an empty item is the null sender.", .example = "senders = :" },
	{ MODIFIER("set"), .value = ACL_VALUE_SET, .points = ACL_EVERYWHERE, .run = run_set,
	  .help = "Gives a variable a value: acl_c... lasts for the connection, acl_m... for the message. Routers and transports see both; "
		  "what acl_smtp_data and acl_smtp_mime set in a message above 256 KiB they do not.",
	  .example = "set acl_m_score = ${eval:$acl_m_score+1}" },
	{ CONDITION("spam"), .value = ACL_VALUE_PIECES, .points = CONTENT_POINTS, .run = acl_spam_run, .check = acl_content_check,
	  .uses = ACL_USE_CONTENT,
	  .help = "Whether SpamAssassin or Rspamd, at spamd_address, takes the message for spam by the rules of this user; with \":true\" behind "
		  "the user always true. What was found is in $spam_score, $spam_score_int, $spam_bar, $spam_report and $spam_action.",
	  .example = "spam = nobody:true / defer_ok" },
	{ MODIFIER("udpsend"), .value = ACL_VALUE_PIECES, .points = ACL_EVERYWHERE, .run = acl_udpsend_run, .check = acl_udpsend_check,
	  .help = "Sends a UDP packet: a host, a port and a text, separated by colons (or by what \"<;\" names). The host and the port must not "
		  "come from a peer.",
	  .example = "udpsend = 192.0.2.5 : 2500 : $tod_zulu $sender_host_address" },
	{ CONDITION("verify"), .value = ACL_VALUE_PIECES, .points = ACL_EVERYWHERE, .run = acl_verify_run, .check = acl_verify_check,
	  .help = "Verifies an address, the client's name or certificate, or the header.",
	  .example = "verify = reverse_host_lookup" },
};

enum { WORDS = sizeof words / sizeof *words };

const struct acl_word *acl_word_find(struct slice name)
{
	for (size_t i = 0; i < WORDS; i++)
		if (slice_equal(slice_of(words[i].name), name))
			return &words[i];
	return NULL;
}

const char *acl_word_nearest(struct slice name)
{
	const char *nearest = NULL;
	size_t best = name.len / 3 + 1;
	for (size_t i = 0; i < WORDS; i++) {
		size_t distance = slice_edit_distance(name, slice_of(words[i].name));
		if (distance <= best && (!nearest || distance < best)) {
			best = distance;
			nearest = words[i].name;
		}
	}
	return name.len ? nearest : NULL;
}

bool acl_is_endpass(const struct acl_word *word)
{
	return word->value == ACL_VALUE_NONE;
}

bool acl_is_message(const struct acl_word *word)
{
	return word->value == ACL_VALUE_LATE && word->name[0] == 'm';
}

bool acl_is_log_message(const struct acl_word *word)
{
	return word->value == ACL_VALUE_LATE && word->name[0] == 'l';
}

bool acl_word_info(size_t index, struct acl_word_info *info_r)
{
	if (index >= WORDS)
		return false;
	const struct acl_word *word = &words[index];
	*info_r = (struct acl_word_info){ .name = word->name, .modifier = word->modifier, .points = word->points, .refused = word->refused,
					  .help = word->help, .example = word->example };
	return true;
}
