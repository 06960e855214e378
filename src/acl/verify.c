/* SPDX-License-Identifier: ISC */
/* The condition `verify` (Exim's manual, chapter 44 §26 and §45): its kinds, their options, and those that need no routing. */
#include "acl/private.h"

#include "net/address.h"

#define SENDER_KNOWN (AT(MAIL) | AT(RCPT) | AT(PREDATA) | AT(DATA) | AT(PRDR) | AT(MIME) | AT(DKIM) | AT(NOT_SMTP) | AT(EXPANSION))
#define MESSAGE_KNOWN (AT(DATA) | AT(NOT_SMTP) | AT(EXPANSION))

/* What a condition that failed leaves for the client. */
static enum acl_step no(struct acl_run *run, struct slice message)
{
	if (message.len)
		run->message = run->log_message = (struct expand_value){ .text = message, .tainted = true };
	return ACL_NO;
}

static enum acl_step verify_certificate(struct acl_run *run, const struct acl_verify *verify)
{
	(void)verify;
	const struct acl_facts *facts = &run->session->facts;
	if (facts->cipher.len && facts->certificate_verified)
		return ACL_YES;
	return no(run, SLICE("no verified certificate"));
}

static enum acl_step ask_names(struct acl_run *run, const struct acl_verify *verify, struct expand_answer *answer)
{
	const struct expand_context *context = &run->context;
	struct expand_request request = { .service = EXPAND_SERVICE_HOST_NAMES, .key = run->session->facts.host_address,
					  .key_tainted = true, .deadline = clock_after(60 * CLOCK_SECOND) };
	struct error error = { 0 };
	if (!run->session->context->ask)
		return acl_later(run, "host names cannot be looked up here");
	switch (context->ask(context->owner, &request, run->arena, answer, &error)) {
	case EXPAND_OK: return answer->found ? ACL_YES : ACL_NO;
	case EXPAND_DEFER: return verify->defer_ok ? ACL_YES : acl_later(run, "host lookup deferred for reverse lookup check: %s", error.text);
	default: return acl_later(run, "%s", error.text);
	}
}

static enum acl_step verify_reverse(struct acl_run *run, const struct acl_verify *verify)
{
	struct expand_answer answer = { 0 };
	if (run->session->facts.host_address.len == 0)
		return ACL_YES;
	enum acl_step step = ask_names(run, verify, &answer);
	if (step == ACL_NO)
		run->log_message = acl_text(SLICE("host lookup failed for reverse lookup check"));
	return step;
}

/* Whether one of the pieces, separated by that byte, is `wanted`. */
static bool among(struct slice text, char separator, struct slice wanted)
{
	while (text.len)
		if (slice_equal_nocase(slice_trim(slice_cut(&text, separator)), wanted))
			return true;
	return false;
}

/* RFC 5321 §4.1.3: "[192.0.2.1]" or "[IPv6:2001:db8::1]", in any of the ways to write an address. */
static bool literal_is(struct slice helo, struct slice address)
{
	if (helo.len < 3 || helo.data[0] != '[' || helo.data[helo.len - 1] != ']')
		return false;
	struct slice inner = slice_make(helo.data + 1, helo.len - 2);
	struct net_address said, known;
	bool tagged = slice_starts_nocase(inner, SLICE("IPv6:"));
	if (!net_address_parse(slice_from(inner, tagged ? 5 : 0), &said) || !net_address_parse(address, &known) ||
	    (tagged && said.family != AF_INET6))
		return false;
	said = net_address_unmap(said);
	known = net_address_unmap(known);
	return net_address_equal(&said, &known);
}

static enum acl_step verify_helo(struct acl_run *run, const struct acl_verify *verify)
{
	const struct acl_facts *facts = &run->session->facts;
	struct expand_answer answer = { 0 };
	struct error error = { 0 };
	if (facts->host_address.len == 0)
		return ACL_YES;
	if (facts->helo.len == 0)
		return ACL_NO;
	if (facts->helo.data[0] == '[')
		return literal_is(facts->helo, facts->host_address) ? ACL_YES : ACL_NO;
	enum acl_step step = ask_names(run, verify, &answer);
	if (step != ACL_NO && step != ACL_YES)
		return step;
	if (step == ACL_YES && among(answer.text, '\0', facts->helo))
		return ACL_YES;
	struct expand_request request = { .service = EXPAND_SERVICE_HOST_ADDRESSES, .key = facts->helo, .key_tainted = true,
					  .deadline = clock_after(60 * CLOCK_SECOND) };
	answer = (struct expand_answer){ 0 };
	enum expand_result result = run->context.ask(run->context.owner, &request, run->arena, &answer, &error);
	if (result == EXPAND_DEFER)
		return acl_later(run, "looking up the addresses of the HELO name: %s", error.text);
	return result == EXPAND_OK && answer.found && among(answer.text, ' ', facts->host_address) ? ACL_YES : ACL_NO;
}

/* *message_r: why the routers do not take the address. */
static enum acl_step route(struct acl_run *run, const struct acl_verify *verify, enum acl_verify_kind kind, struct slice address,
			   struct slice *message_r)
{
	struct acl_session *session = run->session;
	struct error error = { 0 };
	bool yes = false;
	if (!session->verify)
		return acl_broken(run, "addresses cannot be verified here");
	switch (session->verify(session->owner, kind, address, run->arena, &yes, message_r, &error)) {
	case EXPAND_OK: return yes ? ACL_YES : ACL_NO;
	case EXPAND_DEFER: return verify->defer_ok ? ACL_YES : acl_later(run, "%s", error.text);
	default: return acl_broken(run, "%s", error.text);
	}
}

/* Where a verification failed: "qualify" for a recipient without a domain, otherwise "route"; other places need callouts. */
static const char *failure_of(struct slice address)
{
	return slice_find(address, '@') == address.len ? "qualify" : "route";
}

static enum acl_step verify_recipient(struct acl_run *run, const struct acl_verify *verify)
{
	struct acl_session *session = run->session;
	struct slice message = { 0 };
	if (!session->facts.has_recipient)
		return acl_broken(run, "cannot verify recipient: no address is being checked");
	session->recipient_failure = NULL;
	enum acl_step step = route(run, verify, ACL_VERIFY_RECIPIENT, session->facts.recipient, &message);
	if (step != ACL_NO)
		return step;
	session->recipient_failure = failure_of(session->facts.recipient);
	return no(run, message);
}

static enum acl_step verify_sender(struct acl_run *run, const struct acl_verify *verify)
{
	struct acl_session *session = run->session;
	bool own = verify->argument.len == 0;
	struct slice address = own ? session->facts.sender : verify->argument, message = { 0 };
	session->sender_failure = NULL;
	if (address.len == 0)
		return ACL_YES; /* a bounce has no sender to verify */
	enum acl_step step = route(run, verify, own ? ACL_VERIFY_SENDER : ACL_VERIFY_SENDER_ADDRESS, address, &message);
	if (step != ACL_NO)
		return step;
	session->sender_failure = failure_of(address);
	if (!session->sender_failure_told && !verify->no_details)
		run->shared->sender_failure = (struct acl_sender_failure){ address, message };
	return no(run, SLICE("Sender verify failed"));
}

static const struct acl_verifier {
	const char *name;
	acl_verifier_run *run;
	unsigned points;
	bool argument;       /* takes "=something" */
	const char *options; /* separated by blanks */
	const char *refused;
	const char *help;
	const char *example; /* the value; NULL: the name alone says it */
} kinds[] = {
	{ "recipient", verify_recipient, AT(RCPT) | AT(PRDR) | AT(EXPANSION), false, "defer_ok no_details success_on_redirect", NULL,
	  "Whether the routers would take the recipient.", "recipient/defer_ok" },
	{ "sender", verify_sender, SENDER_KNOWN, true, "defer_ok no_details success_on_redirect", NULL,
	  "Whether the routers would take the envelope sender, or the address behind \"=\"; the null sender always passes.",
	  "sender/defer_ok" },
	{ "certificate", verify_certificate, ACL_EVERYWHERE, false, "", NULL,
	  "Whether the client showed a certificate in TLS that was verified." },
	{ "helo", verify_helo, ACL_EVERYWHERE, false, "", NULL,
	  "Whether the name of HELO is the client's: its address, a name found for it, or a name with that address." },
	{ "reverse_host_lookup", verify_reverse, ACL_EVERYWHERE, false, "defer_ok", NULL,
	  "Whether the client's address has a name that leads back to it.", "reverse_host_lookup/defer_ok" },
	{ "header_names_ascii", acl_verify_names_ascii, MESSAGE_KNOWN, false, "", NULL,
	  "Whether all names of header lines are printable ASCII." },
	{ "header_syntax", acl_verify_header_syntax, MESSAGE_KNOWN, false, "", NULL,
	  "Whether all addresses in From:, Sender:, Reply-To:, To:, Cc: and Bcc: are well formed and qualified.", "header_syntax" },
	{ "header_sender", acl_verify_header_sender, MESSAGE_KNOWN, false, "defer_ok no_details success_on_redirect", NULL,
	  "Whether the routers would take an address in Sender:, else one in Reply-To:, else one in From:.",
	  "header_sender/defer_ok" },
	{ "not_blind", acl_verify_not_blind, MESSAGE_KNOWN, false, "case_insensitive", NULL,
	  "Whether each recipient is named in To: or Cc:, or in Resent-To: or Resent-Cc:. Local parts are compared with their case, unless "
	  "\"/case_insensitive\" is there.", "not_blind/case_insensitive" },
	{ "csa", NULL, ACL_EVERYWHERE, true, "", "client SMTP authorization was never put to use", NULL },
	{ "arc", NULL, ACL_EVERYWHERE, true, "", "ARC comes later", NULL },
	{ "quota", NULL, ACL_EVERYWHERE, true, "", "quotas come later", NULL },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static bool take_options(const struct acl_verifier *kind, struct piece_text rest, struct arena *arena, struct acl_verify *verify,
			 struct error *error)
{
	struct piece_text part;
	while (piece_text_next(&rest, '/', false, arena, &part)) {
		struct slice option = piece_text_rest(&part);
		if (slice_starts(option, SLICE("callout")))
			return error_set(error, ERROR_USAGE, "callouts are not available in this version: they come with the sending side");
		bool known = slice_find(option, ' ') == option.len && !piece_text_any_bound(&part) && among(slice_of(kind->options), ' ', option);
		if (option.len && !known)
			return error_set(error, ERROR_USAGE, "\"%s\" has no option \"%.*s\"", kind->name, SLICE_ARG(slice_first(option, 64)));
		verify->defer_ok |= slice_equal(option, SLICE("defer_ok"));
		verify->no_details |= slice_equal(option, SLICE("no_details"));
		verify->caseless |= slice_equal(option, SLICE("case_insensitive"));
	}
	return true;
}

/*
 * Slashes of an address are doubled (listquote): "sender=a//b@example.org/defer_ok". Those that the configuration wrote are single by now;
 * a peer's separate nothing, doubled or not.
 */
static struct slice address_of(struct piece_text text, struct arena *arena)
{
	char *out = arena_alloc(arena, text.len + 1);
	size_t len = 0;
	for (size_t at = text.at; at < text.len; at++) {
		out[len++] = text.data[at];
		if (text.data[at] == '/' && text.bound[at] && at + 1 < text.len && text.data[at + 1] == '/' && text.bound[at + 1])
			at++;
	}
	return slice_trim(slice_make(out, len));
}

static bool parse(struct piece_text value, struct arena *arena, struct acl_verify *verify, struct error *error)
{
	struct piece_text word = { 0 };
	piece_text_next(&value, '/', false, arena, &word);
	size_t equals = piece_text_find(&word, '=');
	struct slice name = slice_trim(slice_first(piece_text_rest(&word), equals));
	bool named = piece_text_written(&word) >= equals;
	*verify = (struct acl_verify){ 0 };
	if (equals < word.len)
		verify->argument = address_of(piece_text_part(&word, equals + 1, word.len), arena);
	for (size_t i = 0; i < KINDS && !verify->kind; i++)
		if (slice_equal_nocase(slice_of(kinds[i].name), name))
			verify->kind = &kinds[i];
	if (!named)
		return error_set(error, ERROR_USAGE, "\"%.*s\" is not named by the configuration alone", SLICE_ARG(slice_first(name, 64)));
	if (!verify->kind)
		return error_set(error, ERROR_USAGE, "nothing known to verify is called \"%.*s\"", SLICE_ARG(slice_first(name, 64)));
	if (verify->kind->refused)
		return error_set(error, ERROR_USAGE, "\"%s\" is not available in this version: %s", verify->kind->name,
				 verify->kind->refused);
	if (equals < word.len && !verify->kind->argument)
		return error_set(error, ERROR_USAGE, "\"%s\" takes nothing behind \"=\"", verify->kind->name);
	return take_options(verify->kind, value, arena, verify, error);
}

bool acl_verify_check(struct slice value, struct arena *scratch, struct error *error)
{
	struct acl_verify verify;
	return parse(piece_text_plain(value, scratch), scratch, &verify, error);
}

bool acl_verify_allowed(struct slice value, enum acl_point point)
{
	struct acl_verify verify;
	struct arena arena;
	struct error error;
	arena_init(&arena, 0);
	bool allowed = !parse(piece_text_plain(value, &arena), &arena, &verify, &error) || verify.kind->points >> point & 1;
	arena_free(&arena);
	return allowed;
}

enum acl_step acl_verify_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct acl_verify verify;
	struct error error;
	(void)item;
	(void)value;
	if (!parse(run->text, run->arena, &verify, &error))
		return acl_broken(run, "verify: %s", error.text);
	if (!(verify.kind->points >> run->point & 1))
		return acl_broken(run, "cannot verify %s in ACL for %s", verify.kind->name, acl_point_info(run->point)->name);
	return verify.kind->run(run, &verify);
}

bool acl_verify_info(size_t index, struct acl_word_info *info_r)
{
	if (index >= KINDS)
		return false;
	*info_r = (struct acl_word_info){ .name = kinds[index].name, .points = kinds[index].points, .options = kinds[index].options,
					  .refused = kinds[index].refused, .help = kinds[index].help,
					  .example = kinds[index].example ? kinds[index].example : kinds[index].name };
	return true;
}
