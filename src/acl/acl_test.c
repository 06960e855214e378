/* SPDX-License-Identifier: ISC */
/*
 * ACLs: what they come to, what the client and the log are told, and what is refused at load. Most cases are rows of a table:
 * the ACLs, the facts of the session, and the outcome as one line. What they expect was seen with Exim 4.96 unless a row says
 * otherwise. Lists are those of a small language of the test's own: "*", exact items, "!".
 */
#include "acl/acl.h"
#include "base/sanitize.h"
#include "base/test.h"
#include "limit/ask.h"

enum { PLACE = 7 };

/* ---- A language with simple lists ---- */

struct simple_list {
	const struct expand_program *program;
};

static bool list_compile_simple(const struct expand_language *language, struct arena *arena, enum expand_list kind,
				struct slice text, enum expand_place place, const struct list **list_r, struct error *error)
{
	struct simple_list *list = arena_new(arena, struct simple_list);
	(void)kind;
	if (!expand_compile(arena, text, place, language, &list->program, error, NULL))
		return false;
	*list_r = (const struct list *)(const void *)list;
	return true;
}

static enum expand_result list_match_simple(const struct list *list, const struct expand_context *context,
					    struct expand_value subject, bool caseless, struct arena *arena, bool *yes_r,
					    struct expand_list_found *found_r, struct error *error)
{
	const struct simple_list *simple = (const void *)list;
	struct expand_value text;
	bool negated = false;
	assert_true(caseless);
	enum expand_result result = expand_run(simple->program, context, arena, &text, error);
	if (result != EXPAND_OK)
		return result;
	struct slice rest = text.text;
	*yes_r = false;
	while (rest.len) {
		struct slice item = slice_trim(slice_cut(&rest, ':'));
		if (slice_equal(item, SLICE("defer"))) {
			error_set(error, ERROR_TEMPORARY, "the list cannot be told");
			return EXPAND_DEFER;
		}
		negated = item.len && item.data[0] == '!';
		item = slice_trim(slice_from(item, negated));
		if (!slice_equal(item, SLICE("*")) && !slice_equal_nocase(item, subject.text))
			continue;
		*yes_r = !negated;
		found_r->data = (struct expand_value){ item, false };
		return EXPAND_OK;
	}
	*yes_r = negated;
	return EXPAND_OK;
}

/* ---- A session ---- */

struct fixture {
	struct arena arena;
	struct slice headers;
	struct expand_language language;
	struct expand_context context;
	struct acl_set *set;
	struct acl_session session;
	struct acl_variables connection, message;
	struct buf log; /* what was logged, controlled, added, delayed */
	struct buf errors;
	struct limit_table *limits;
	struct slice key; /* of the last question to them */
};

static struct expand_value no_variable(void *owner, enum expand_variable variable)
{
	struct fixture *f = owner;
	if (variable == EXPAND_SENDER_ADDRESS)
		return (struct expand_value){ f->session.facts.sender, true };
	if (variable == EXPAND_PRIMARY_HOSTNAME)
		return (struct expand_value){ SLICE("mx.test"), false };
	return (struct expand_value){ 0 };
}

static void note_log(void *owner, unsigned targets, struct slice text)
{
	struct fixture *f = owner;
	buf_printf(&f->log, "{log%s%s%s%s %.*s}", targets & ACL_LOG_MAIN ? " main" : "", targets & ACL_LOG_REJECT ? " reject" : "",
		   targets & ACL_LOG_PANIC ? " panic" : "", targets & ACL_LOG_CLIENT ? " client" : "", SLICE_ARG(text));
}

static void note_delay(void *owner, int64_t time, bool flush)
{
	struct fixture *f = owner;
	buf_printf(&f->log, "{delay %lld%s}", (long long)(time / CLOCK_SECOND), flush ? " flush" : "");
}

static bool note_control(void *owner, enum acl_control control, struct slice options, struct error *error)
{
	struct fixture *f = owner;
	(void)error;
	buf_printf(&f->log, "{control %d %.*s}", (int)control, SLICE_ARG(options));
	return true;
}

static void note_submission(void *owner, const struct acl_submission *submission)
{
	struct fixture *f = owner;
	buf_printf(&f->log, "{submission%s", submission->sender_retain ? " retain" : "");
	if (submission->has_domain)
		buf_printf(&f->log, " domain=%.*s", SLICE_ARG(submission->domain));
	if (submission->name.len)
		buf_printf(&f->log, " name=%.*s", SLICE_ARG(submission->name));
	buf_printf(&f->log, "}");
}

/* Finds no spam. */
static enum expand_result note_scan(void *owner, const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
				    struct error *error)
{
	struct fixture *f = owner;
	(void)arena;
	(void)error;
	buf_printf(&f->log, "{scan %.*s}", SLICE_ARG(request->key));
	*answer_r = (struct expand_answer){ .text = SLICE("1000\n5000\nno action\nreport") };
	return EXPAND_OK;
}

static void note_queue(void *owner, struct slice name)
{
	struct fixture *f = owner;
	buf_printf(&f->log, "{queue %.*s}", SLICE_ARG(name));
}

static bool note_header(void *owner, enum acl_header_place place, struct slice line, struct error *error)
{
	struct fixture *f = owner;
	(void)error;
	buf_printf(&f->log, "{add %d %.*s}", (int)place, SLICE_ARG(line));
	return true;
}

static bool note_removal(void *owner, struct slice name, struct error *error)
{
	struct fixture *f = owner;
	(void)error;
	buf_printf(&f->log, "{remove %.*s}", SLICE_ARG(name));
	return true;
}

/* Addresses at good.test can be routed, those at slow.test not now. */
static enum expand_result verify_simple(void *owner, enum acl_verify_kind kind, struct slice address, struct arena *arena,
					bool *yes_r, struct slice *message_r, struct error *error)
{
	(void)owner;
	(void)arena;
	if (memmem(address.data, address.len, "//", 2))
		return EXPAND_OK; /* no address that anybody quoted */
	if (slice_ends_nocase(address, SLICE("@slow.test"))) {
		error_set(error, ERROR_TEMPORARY, "routing is slow");
		return EXPAND_DEFER;
	}
	*yes_r = slice_ends_nocase(address, SLICE("@good.test"));
	*message_r = SLICE("Unrouteable address");
	(void)kind;
	return EXPAND_OK;
}

static struct slice give_headers(void *owner)
{
	struct fixture *f = owner;
	return f->headers;
}

static void give_recipients(void *owner, bool (*each)(void *arg, struct slice address), void *arg)
{
	(void)owner;
	if (each(arg, SLICE("User@good.test")) && each(arg, SLICE("other@good.test")))
		each(arg, SLICE("other@GOOD.test"));
}

static void note_error(void *owner, const struct acl_line *line, size_t column, const struct error *error)
{
	struct fixture *f = owner;
	assert_true(line->place == PLACE);
	buf_printf(&f->errors, "%zu: %s\n", column, error->text);
}

static void set_up(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	arena_init(&f->arena, 0);
	buf_init(&f->log, 1 << 16);
	buf_init(&f->errors, 1 << 16);
	f->language = (struct expand_language){ .list_compile = list_compile_simple, .list_match = list_match_simple };
	f->context = (struct expand_context){ .owner = f, .variable = no_variable, .language = &f->language, .headers = give_headers };
	f->set = acl_set_new(&f->arena, &f->language);
	f->session = (struct acl_session){
		.owner = f, .context = &f->context, .set = f->set, .connection = &f->connection, .message = &f->message,
		.log = note_log, .delay = note_delay, .verify = verify_simple, .recipients = give_recipients, .control = note_control,
		.add_header = note_header, .remove_header = note_removal, .queue = note_queue, .submission = note_submission, .scan = note_scan,
	};
}

static void tear_down(struct fixture *f)
{
	acl_variables_clear(&f->connection);
	acl_variables_clear(&f->message);
	buf_free(&f->log);
	buf_free(&f->errors);
	arena_free(&f->arena);
}

/* Lines; one that ends in ":" without a blank begins an ACL. */
static bool compile(struct fixture *f, const char *text)
{
	struct acl_report report = { .owner = f, .error = note_error };
	struct acl_line lines[64];
	bool good = true;
	for (unsigned pass = 0; pass < 2; pass++) {
		struct slice rest = slice_of(text), name = { 0 };
		size_t count = 0;
		while (rest.len || count) {
			struct slice line = slice_trim(slice_cut(&rest, '\n'));
			bool begins = line.len && line.data[line.len - 1] == ':' && slice_find(line, ' ') == line.len;
			if (line.len && !begins)
				lines[count++] = (struct acl_line){ line, PLACE };
			if (pass && (begins || rest.len == 0) && name.len) {
				good &= acl_compile(f->set, acl_set_find(f->set, name), lines, count, &report);
				count = 0;
			} else if (begins || rest.len == 0) {
				count = 0;
			}
			if (begins) {
				name = slice_first(line, line.len - 1);
				if (pass == 0)
					assert_non_null(acl_set_add(f->set, name));
			}
		}
	}
	return good;
}

static const char *run(struct fixture *f, const char *option, enum acl_point point)
{
	static const char *const outcomes[] = { "accept", "deny", "defer", "discard", "drop", "error" };
	struct acl_report report = { .owner = f, .error = note_error };
	const struct acl_reference *reference;
	struct acl_result result;
	if (!acl_reference_compile(f->set, slice_of(option), PLACE, &report, &reference))
		return arena_cstr(&f->arena, buf_slice(&f->errors));
	acl_run(reference, &f->session, point, &f->arena, &result);
	struct acl_answer answer = acl_reply(&f->session, point, &result, &f->arena);
	struct slice log = acl_log_text(&result, &answer, &f->arena), notes = buf_slice(&f->log);
	char logs[32];
	snprintf(logs, sizeof logs, " logs=%u", result.log_targets);
	return arena_printf(&f->arena, "%s %u%s%.*s%s%s%.*s%s%s%.*s", outcomes[result.outcome], answer.code, answer.text.len ? " " : "",
			    SLICE_ARG(answer.text), answer.wrong_digit ? " WRONG" : "", log.len ? " |" : "",
			    SLICE_ARG(slice_from(log, 1)), result.log_targets == (ACL_LOG_MAIN | ACL_LOG_REJECT) ? "" : logs,
			    notes.len ? " " : "", SLICE_ARG(notes)).data;
}

/* ---- The table ---- */

#define RCPT ACL_POINT_RCPT
#define BROKEN "error 451 Temporary local problem - please try later"
#define TAINTED(text) BROKEN " | internal configuration error {log main panic attempt to use tainted ACL text \"" text "\"}"
#define LATER "defer 451 Temporary local problem - please try later"

static const struct {
	const char *acls;
	const char *expected;
	const char *option; /* NULL: "a" */
	enum acl_point point; /* ACL_POINT_CONNECT: RCPT, unless `option` is given */
} table[] = {
	/* Verbs */
	{ "a:\naccept", "accept 250" },
	{ "a:\ndeny", "deny 550 Administrative prohibition" },
	{ "a:\ndefer", "defer 451 Temporary local problem - please try later" },
	{ "a:\ndrop", "drop 550 Administrative prohibition" },
	{ "a:\ndiscard", "discard 250" },
	{ "a:\nrequire\naccept", "accept 250" },
	{ "a:\nwarn\naccept", "accept 250" },
	{ "a:\n", "deny 550 Administrative prohibition" },
	{ "a:\nwarn", "deny 550 Administrative prohibition" },
	{ "a:\naccept condition = no\ndeny message = second", "deny 550 second | second" },
	{ "a:\ndeny condition = no\naccept", "accept 250" },
	{ "a:\ndrop condition = no\naccept", "accept 250" },
	{ "a:\ndefer condition = no\naccept", "accept 250" },
	{ "a:\ndiscard condition = no\naccept", "accept 250" },
	{ "a:\nrequire condition = no\naccept", "deny 550 Administrative prohibition" },
	{ "a:\nwarn condition = no\nlogwrite = never\naccept", "accept 250" },
	{ "a:\ndeny\ncondition = yes\ncondition = no\naccept", "accept 250" },
	{ "a:\n!deny", "2: \"!\" cannot stand before the verb \"deny\"\n" },
	/* Messages */
	{ "a:\naccept message = welcome", "accept 250 welcome | welcome" },
	{ "a:\ndeny message = no\nlog_message = because", "deny 550 no | because" },
	{ "a:\ndeny log_message = because", "deny 550 Administrative prohibition | because" },
	{ "a:\ndeny message = 599 5.9.9 Go\\nAway", "deny 599 5.9.9 Go\n5.9.9 Away | 599 5.9.9 Go" },
	{ "a:\ndeny message = 550 5.7.1 ok", "deny 550 5.7.1 ok | 550 5.7.1 ok" },
	{ "a:\ndeny message = 5501 no code", "deny 550 5501 no code | 5501 no code" },
	{ "a:\ndeny message = 550", "deny 550 550 | 550" },
	{ "a:\ndeny message = 250 wrong digit", "deny 550 wrong digit WRONG | 550 wrong digit" },
	{ "a:\naccept message = 251 2.1.5 fine", "accept 251 2.1.5 fine | 251 2.1.5 fine" },
	{ "a:\ndefer message = 499 later", "defer 499 later | 499 later" },
	{ "a:\ndefer message = 550 later", "defer 451 later WRONG | 451 later" },
	{ "a:\nrequire condition = no\nmessage = too late", "deny 550 Administrative prohibition" },
	{ "a:\nrequire message = early\ncondition = no", "deny 550 early | early" },
	{ "a:\nrequire message = one\ncondition = yes\nmessage = two\ncondition = no", "deny 550 two | two" },
	{ "a:\naccept message = kept\ncondition = no", "deny 550 kept | kept" },
	{ "a:\naccept message = kept\ncondition = no\ndeny", "deny 550 Administrative prohibition" },
	{ "a:\naccept endpass\nmessage = refused\ncondition = no", "deny 550 refused | refused" },
	{ "a:\naccept endpass\ncondition = no\nmessage = refused", "deny 550 Administrative prohibition" },
	{ "a:\naccept endpass\nmessage = refused\nlog_message = logged\ncondition = yes", "accept 250 | logged" },
	{ "a:\naccept message = refused\nendpass\ncondition = no\naccept", "deny 550 refused | refused" },
	{ "a:\naccept condition = no\nendpass\ncondition = yes\ndeny message = next", "deny 550 next | next" },
	{ "a:\ndeny message = to $local_part at $domain", "deny 550 to bob at good.test | to bob at good.test" },
	{ "a:\ncontrol = x", "1: unknown ACL verb \"control\"; expected accept, defer, deny, discard, drop, require or warn\n" },
	/* Conditions */
	{ "a:\naccept condition = ", "deny 550 Administrative prohibition" },
	{ "a:\naccept condition = 0", "deny 550 Administrative prohibition" },
	{ "a:\naccept condition = 00", "deny 550 Administrative prohibition" },
	{ "a:\naccept condition = -1", "accept 250" },
	{ "a:\naccept condition = 12", "accept 250" },
	{ "a:\naccept condition = TRUE", "accept 250" },
	{ "a:\naccept condition = No", "deny 550 Administrative prohibition" },
	{ "a:\naccept condition = maybe", LATER " | invalid \"condition\" value \"maybe\"" },
	{ "a:\naccept !condition = no", "accept 250" },
	{ "a:\naccept ! condition = yes", "deny 550 Administrative prohibition" },
	{ "a:\naccept domains = good.test", "accept 250" },
	{ "a:\naccept domains = !good.test : *", "deny 550 Administrative prohibition" },
	{ "a:\naccept !domains = other.test", "accept 250" },
	{ "a:\naccept local_parts = BOB", "accept 250" },
	{ "a:\naccept recipients = bob@good.test", "accept 250" },
	{ "a:\naccept senders = alice@from.test", "accept 250" },
	{ "a:\naccept sender_domains = from.test", "accept 250" },
	{ "a:\naccept hosts = 192.0.2.1", "accept 250" },
	{ "a:\naccept hosts = defer", LATER " | the list cannot be told" },
	{ "a:\nwarn hosts = defer\naccept",
	  "accept 250 {log main client Warning: ACL \"warn\" statement skipped: condition test deferred: the list cannot be told}" },
	{ "a:\ndeny domains = good.test\nmessage = $domain_data", "deny 550 good.test | good.test" },
	{ "a:\ndeny local_parts = BOB\nmessage = <$local_part_data>", "deny 550 <BOB> | <BOB>" },
	{ "a:\naccept authenticated = *", "deny 550 Administrative prohibition" },
	{ "a:\naccept encrypted = *", "accept 250" },
	{ "a:\naccept encrypted = OTHER", "deny 550 Administrative prohibition" },
	/* verify */
	{ "a:\naccept verify = recipient", "accept 250" },
	{ "a:\naccept verify = sender", "deny 550 Verification failed for <alice@from.test>\nUnrouteable address\n"
	  "Sender verify failed | Sender verify failed" },
	{ "a:\naccept verify = sender/no_details", "deny 550 Sender verify failed | Sender verify failed" },
	{ "a:\nwarn !verify = sender\nset acl_m_x = $sender_verify_failure\ndeny message = <$acl_m_x>", "deny 550 Verification failed for "
	  "<alice@from.test>\nUnrouteable address\n<route> | <route>" },
	{ "a:\naccept verify = sender=x@good.test", "accept 250" },
	{ "a:\naccept verify = sender=x@slow.test", LATER " | routing is slow" },
	{ "a:\naccept verify = sender=x@slow.test/defer_ok", "accept 250" },
	{ "a:\ndeny !verify = sender\nmessage = own words", "deny 550 Verification failed for <alice@from.test>\n"
	  "Unrouteable address\nown words | Sender verify failed" },
	{ "a:\naccept verify = certificate", "deny 550 no verified certificate | no verified certificate" },
	{ "a:\naccept verify = header_names_ascii", BROKEN " | cannot verify header_names_ascii in ACL for RCPT" },
	/* Nested ACLs */
	{ "a:\naccept acl = b\nb:\naccept", "accept 250" },
	{ "a:\naccept acl = b\nb:\naccept message = nested", "accept 250" },
	{ "a:\ndeny !acl = b\nb:\ndeny message = nested\nlog_message = logged", "deny 550 nested | logged" },
	{ "a:\naccept acl = b\nb:\ndeny message = nested\nlog_message = logged", "deny 550 nested | logged" },
	{ "a:\nrequire acl = b\nb:\ndrop message = nested", "drop 550 nested | nested" },
	{ "a:\ndeny !acl = b\nb:\ndrop message = nested", "deny 550 nested | nested" },
	{ "a:\naccept acl = b\nb:\ndefer message = nested", "defer 451 nested | nested" },
	{ "a:\nwarn acl = b\nlog_message = x\naccept\nb:\ndefer message = nested",
	  "accept 250 {log main client Warning: ACL \"warn\" statement skipped: condition test deferred: nested}" },
	{ "a:\naccept acl = b\nb:\ndiscard message = nested", "discard 250 nested | nested" },
	{ "a:\ndeny acl = b\nb:\ndiscard",
	  BROKEN " | nested ACL returned \"discard\" for \"deny\" command (only allowed with \"accept\" or \"discard\")" },
	{ "a:\nrequire message = first\nacl = b\nlog_message = only log\ncondition = no\nb:\naccept message = nested acc",
	  "deny 550 first | only log: nested acc" },
	{ "a:\naccept acl = b\nendpass\ncondition = no\nb:\ndeny message = nested", "deny 550 nested | nested" },
	{ "a:\naccept acl = a", BROKEN " | ACL nested too deep: possible loop" },
	{ "a:\nwarn !acl = b\nwarn !acl = b\nwarn !acl = b\nb:\nwarn acl = c\nwarn acl = c\nc:\ndeny", "deny 550 Administrative prohibition" },
	{ "a:\naccept acl = accept", "accept 250" },
	{ "a:\nwarn set acl_m_n = nowhere\naccept acl = $acl_m_n",
	  BROKEN " | in \"nowhere\": unknown ACL verb \"nowhere\"; expected accept, defer, deny, discard, drop, require or warn" },
	{ "a:\naccept acl = /acl/file", BROKEN " | the ACL file \"/acl/file\" cannot be read here" },
	/* Modifiers */
	{ "a:\naccept continue = whatever", "accept 250" },
	{ "a:\ndeny delay = 1m30s", "deny 550 Administrative prohibition {delay 90 flush}" },
	{ "a:\ndeny delay = 5\ndelay = 0s", "deny 550 Administrative prohibition {delay 5 flush}" },
	{ "a:\ndeny delay = 100d", "deny 550 Administrative prohibition {delay 3600 flush}" },
	{ "a:\ndeny control = no_delay_flush\ndelay = 2s", "deny 550 Administrative prohibition {delay 2}" },
	{ "a:\ndeny condition = no\ndelay = 1m\naccept", "accept 250" },
	{ "a:\ndeny log_reject_target =", "deny 550 Administrative prohibition logs=0" },
	{ "a:\nwarn log_reject_target = main : panic\ndeny", "deny 550 Administrative prohibition logs=5" },
	{ "a:\nwarn logwrite = hello\naccept", "accept 250 {log main hello}" },
	{ "a:\naccept logwrite = :main,reject: hello", "accept 250 {log main reject hello}" },
	{ "a:\naccept logwrite = :panic: hello", "accept 250 {log panic hello}" },
	{ "a:\naccept logwrite = :bogus: hello", "accept 250 {log main panic unknown log name in \":bogus: hello\" in \"logwrite\" in RCPT ACL}" },
	{ "a:\naccept logwrite = : hello", "accept 250 {log main panic unknown log name in \": hello\" in \"logwrite\" in RCPT ACL}" },
	{ "a:\nwarn log_message = once\nwarn log_message = once\nwarn log_message = twice\naccept",
	  "accept 250 {log main client Warning: once}{log main client Warning: twice}" },
	{ "a:\nwarn message = X-Foo: bar\naccept", "accept 250 {add 0 X-Foo: bar}" },
	{ "a:\nwarn condition = no\nmessage = X-Foo: bar\naccept", "accept 250" },
	{ "a:\naccept add_header = X-A: 1\\nX-B: 2\\n  more\\n", "accept 250 {add 0 X-A: 1}{add 0 X-B: 2\n  more}" },
	{ "a:\naccept add_header = no header", "accept 250 {add 0 X-ACL-Warn: no header}" },
	{ "a:\naccept add_header = :at_start: X-A: 1\\n:after_received:X-B: 2\\n:at_start_rfc:X-C: 3",
	  "accept 250 {add 1 X-A: 1}{add 3 X-B: 2}{add 2 X-C: 3}" },
	{ "a:\naccept add_header = X: 1\ncondition = no\naccept", "accept 250 {add 0 X: 1}" },
	{ "a:\naccept remove_header = X-A : X-B", "accept 250 {remove X-A}{remove X-B}" },
	{ "a:\naccept queue = Off-peak_2", "accept 250 {queue Off-peak_2}" },
	{ "a:\naccept queue = ${lc:BULK}", "accept 250 {queue bulk}" },
	{ "a:\naccept queue =", "accept 250 {queue }" },
	{ "a:\naccept queue = q-$sender_address", BROKEN " | Tainted name 'q-alice@from.test' for queue not permitted" },
	{ "a:\naccept queue = ${tr{a.b}{.}{/}}",
	  BROKEN " | \"a/b\" is no name of a queue; expected letters, digits, \"_\" and \"-\", 63 at most" },
	{ "a:\naccept control = fakereject/no thanks", "accept 250 {control 11 no thanks}" },
	{ "a:\naccept control = no_multiline_responses\nmessage = one\\ntwo", "accept 250 one | one" },
	{ "a:\nwarn control = caseful_local_part\ndeny message = $local_part", "deny 550 Bob | Bob" },
	{ "a:\nwarn control = caseful_local_part\nwarn control = caselower_local_part\ndeny message = $local_part", "deny 550 bob | bob" },
	/* Expansions within ACLs */
	{ "a:\nrequire acl = b one two ${lc:THREE}\nb:\ndeny message = narg=$acl_narg 1=$acl_arg1 2=$acl_arg2 3=$acl_arg3 4=$acl_arg4",
	  "deny 550 narg=3 1=one 2=two 3=three 4= | narg=3 1=one 2=two 3=three 4=" },
	/* An ACL that is called in between has arguments of its own. */
	{ "a:\nrequire acl = b one\nb:\nwarn acl = c two three\ndeny message = $acl_narg $acl_arg1\nc:\naccept", "deny 550 1 one | 1 one" },
	{ "a:\ndeny !acl = b\nmessage = outer <$acl_verify_message>\nlog_message = log <$acl_verify_message>\n"
	  "b:\ndeny message = nested msg\nlog_message = nested log", "deny 550 outer <nested msg> | log <nested log>: nested log" },
	{ "a:\ndeny message = ${acl{b}{p}{q}}\nb:\ndeny message = $acl_narg=$acl_arg1,$acl_arg2", "deny 550 2=p,q | 2=p,q" },
	{ "a:\ndeny message = ${acl{b}}.\nb:\naccept", "deny 550 . | ." },
	{ "a:\ndeny message = ${acl{b}}\nb:\ndefer message = nested", "deny 550 Administrative prohibition" },
	{ "a:\ndeny message = ${acl{b}}\nb:\ndrop message = nested",
	  "deny 550 Administrative prohibition {log main panic failed to expand ACL message \"${acl{b}}\": drop from ACL \"b\": nested}" },
	{ "a:\ndeny message = ${if acl {{b}{x}}{yes $value}{no $value}}\nb:\naccept message = got $acl_arg1",
	  "deny 550 yes got x | yes got x" },
	{ "a:\ndeny condition = ${if acl {{b}}}\naccept\nb:\ndeny", "accept 250" },
	{ "a:\ndeny condition = ${if eq{1}{2}{x}fail}\nmessage = ignored condition", "deny 550 ignored condition | ignored condition" },
	{ "a:\ndeny !condition = ${if eq{1}{2}{x}fail}\nmessage = ignored condition", "deny 550 ignored condition | ignored condition" },
	{ "a:\naccept acl = b ${if eq{1}{2}{x}fail}\nb:\ndeny", "20: the name of a condition expected, but found \"\"\n" },
	{ "a:\naccept senders = ${if eq{1}{2}{x}fail}", "deny 550 Administrative prohibition" },
	{ "a:\ndeny message = ${if eq{1}{2}{x}fail}", "deny 550 Administrative prohibition" },
	{ "a:\ndeny message = ${if eq{1}{1}{}}", "deny 550 Administrative prohibition" },
	{ "a:\nwarn set acl_m_n = ${eval:1+1}\nset acl_c_n = $acl_m_n.\ndeny message = $acl_m_n $acl_c_n <$acl_m_other>",
	  "deny 550 2 2. <> | 2 2. <>" },
	{ "a:\nwarn set acl_m0 = 1\nset acl_m0 = ${eval:$acl_m0+1}\ndeny message = $acl_m0", "deny 550 2 | 2" },
	/* An expansion keeps what it has read of a variable, whatever an ACL does to that on the way. */
	{ "a:\nwarn set acl_m_n = first\nlogwrite = old=$acl_m_n new=${acl{b}{x}} then=$acl_m_n\naccept\n"
	  "b:\naccept set acl_m_n = second\nmessage = was $acl_arg1", "accept 250 {log main old=first new=was x then=second}" },
	{ "a:\nwarn set acl_m_n = first\nlogwrite = ${acl{b}{$acl_m_n}}\naccept\n"
	  "b:\nwarn set acl_m_n = second\naccept message = was $acl_arg1 is $acl_m_n", "accept 250 {log main was first is second}" },
	{ "a:\nwarn set acl_m_n = first\nlogwrite = ${if acl{{b}{$acl_m_n}}{$value}}\naccept\n"
	  "b:\nwarn set acl_m_n = second\naccept message = was $acl_arg1", "accept 250 {log main was first}" },
	{ "a:\nrequire acl = $acl_c_nothing", "deny 550 Administrative prohibition" },
	/* Options */
	{ "a:\naccept", "deny 550 inline words | inline words", "deny message = inline words", RCPT },
	{ "a:\naccept", "accept 250", "accept", RCPT },
	{ "a:\naccept", "deny 550 Administrative prohibition", "", RCPT },
	{ "a:\naccept", "accept 250 {log main x}", "# comment\nwarn \\\n  logwrite = x\n\naccept", RCPT },
	{ "a:\naccept",
	  BROKEN " | internal configuration error {log main panic attempt to use tainted ACL text \"deny message = alice@from.test\"}",
	  "deny message = $sender_address", RCPT },
	{ "a:\naccept", "0: there is no ACL of the name \"nowhere\", and it is not the text of one either\n", "nowhere", RCPT },
	/* A peer may say which of the configuration's ACLs, but is not the author of one. */
	{ "a:\naccept", TAINTED("accept alice@from.test"), "${if eq{1}{1}{accept $sender_address}}", RCPT },
	{ "a:\naccept acl = $sender_address\nalice@from.test:\ndeny message = found", "deny 550 found | found" },
	{ "a:\naccept acl = $sender_address", TAINTED("alice@from.test") },
	{ "a:\naccept acl = accept\\nmessage=$sender_address", TAINTED("accept\nmessage=alice@from.test") },
	{ "a:\naccept acl = /etc/$sender_address", TAINTED("/etc/alice@from.test") },
	/* Points */
	{ "a:\naccept", "accept 220", "a", ACL_POINT_CONNECT },
	{ "a:\naccept domains = *", BROKEN " | cannot test domains condition in connection ACL", "a", ACL_POINT_CONNECT },
	{ "a:\naccept add_header = X: y", BROKEN " | cannot use add_header condition in connection ACL", "a", ACL_POINT_CONNECT },
	{ "a:\naccept control = fakereject", BROKEN " | cannot use \"control=fakereject\" in connection ACL", "a", ACL_POINT_CONNECT },
	{ "a:\naccept queue = q", "accept 220 {queue q}", "a", ACL_POINT_CONNECT },
	{ "a:\naccept queue = q", BROKEN " | cannot use queue condition in DATA ACL", "a", ACL_POINT_DATA },
	{ "a:\naccept queue = q", BROKEN " | cannot use queue condition in MIME ACL", "a", ACL_POINT_MIME },
	{ "a:\nwarn message = ignored\naccept", "accept 220", "a", ACL_POINT_CONNECT },
	{ "a:\ndeny", "deny 252 Administrative prohibition", "a", ACL_POINT_VRFY },
	{ "a:\ndeny message = 553 no", "deny 553 no | 553 no", "a", ACL_POINT_VRFY },
	{ "a:\ndeny", "deny 458 Administrative prohibition", "a", ACL_POINT_ETRN },
	{ "a:\naccept message = one\\ntwo", "accept 250 one | one", "a", ACL_POINT_HELO },
	{ "a:\naccept encrypted = *", BROKEN " | cannot test encrypted condition in EHLO or HELO ACL", "a", ACL_POINT_HELO },
	{ "a:\naccept message = 250 bye", "accept 221 bye | 250 bye", "a", ACL_POINT_QUIT },
	{ "a:\ndeny", BROKEN " | QUIT or not-QUIT toplevel ACL may not fail ('deny' verb used incorrectly)", "a", ACL_POINT_QUIT },
	{ "a:\naccept acl = b\naccept\nb:\ndeny", "accept 221", "a", ACL_POINT_QUIT },
	{ "a:\ndiscard", BROKEN " | \"discard\" verb not allowed in PREDATA ACL", "a", ACL_POINT_PREDATA },
	{ "a:\naccept", "accept 354", "a", ACL_POINT_PREDATA },
	/* Refused at load */
	{ "a:\naccept nonsense = x", "8: unknown ACL condition or modifier \"nonsense\"\n" },
	{ "a:\naccept domain = x", "8: unknown ACL condition or modifier \"domain\", did you mean \"domains\"?\n" },
	{ "a:\naccept domains x", "16: \"=\" is missing after the ACL condition \"domains\"\n" },
	{ "a:\naccept !message = x", "9: \"!\" cannot stand before \"message\": it is a modifier, not a condition\n" },
	{ "a:\ndeny endpass", "6: \"endpass\" has no meaning in a \"deny\" statement, only in \"accept\" and \"discard\"\n" },
	{ "a:\naccept endpass = x", "16: \"endpass\" takes no value\n" },
	{ "a:\naccept set x = y", "12: \"set\" can only set variables whose names begin with acl_c or acl_m, not \"x\"\n" },
	{ "a:\naccept set acl_cx = y", "12: a digit or an underscore must follow acl_c or acl_m in \"acl_cx\"\n" },
	{ "a:\naccept set acl_m_a-b = y", "12: the name of the variable \"acl_m_a-b\" may hold only letters, digits and underscores\n" },
	{ "a:\naccept condition = $nosuch", "20: unknown variable name \"nosuch\"\n" },
	{ "a:\naccept delay = 1x", "16: delay: \"1x\" is not a time value; expected one such as 30s or 1m30s\n" },
	{ "a:\naccept queue = a/b",
	  "16: queue: \"a/b\" is no name of a queue; expected letters, digits, \"_\" and \"-\", 63 at most\n" },
	{ "a:\naccept control = nosuch", "18: control: there is no control \"nosuch\"\n" },
	{ "a:\naccept control = dscp/af99", "18: control: \"af99\" is not a class of packets; expected a name such as ef or a number up to 63\n" },
	{ "a:\naccept control = no_pipelining/x", "18: control: \"no_pipelining\" takes no options\n" },
	{ "a:\naccept log_reject_target = main:nosuch",
	  "28: log_reject_target: there is no log \"nosuch\"; expected main, reject or panic\n" },
	{ "a:\naccept ratelimit = x/1h", "20: ratelimit: \"x\" is not a positive number\n" },
	{ "a:\naccept ratelimit = nan/1h", "20: ratelimit: \"nan\" is not a positive number\n" },
	{ "a:\naccept ratelimit = 0x10/1h", "20: ratelimit: \"0x10\" is not a positive number\n" },
	{ "a:\naccept ratelimit = -1/1h", "20: ratelimit: \"-1\" is not a positive number\n" },
	{ "a:\naccept ratelimit = 1", "20: ratelimit: \"\" is not a time value\n" },
	{ "a:\naccept ratelimit = 1/0s", "20: ratelimit: \"0s\" is not a time value\n" },
	{ "a:\naccept ratelimit = 1 / 5", "20: ratelimit: \"5\" is not a time value\n" },
	{ "a:\naccept ratelimit =", "19: ratelimit: sender rate limit not set\n" },
	{ "a:\naccept ratelimit = 1/1h/strict/leaky", "20: ratelimit: conflicting update modes\n" },
	{ "a:\naccept ratelimit = 1/1h/per_conn/per_cmd", "20: ratelimit: conflicting per_* options\n" },
	{ "a:\naccept ratelimit = 1/1h/count=x", "20: ratelimit: \"count=x\" is not a positive number\n" },
	{ "a:\naccept ratelimit = 1/1h/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o",
	  "20: ratelimit: more than 16 parts\n" },
	{ "a:\naccept ratelimit = 1/1h/a/b/c/d/e/f/g/h/i/j/k/l/m/${lc:N}/o",
	  BROKEN " | error in arguments to \"ratelimit\" condition: more than 16 parts" },
	{ "a:\naccept seen = 5", "15: seen: failed to parse '5'\n" },
	{ "a:\naccept seen = 5m/write/write/write/write/write/write/write/write/write/write/write/write/write/write/write/write",
	  "15: seen: failed to parse '5m/write/write/write/write/write/write/write/write/write/write/write/write/write/write/write/write'\n" },
	{ "a:\naccept seen = -5m/bogus", "15: seen: unrecognised option 'bogus' in '-5m/bogus'\n" },
	{ "a:\naccept ratelimit = 1/1h", BROKEN " | ratelimit: rates cannot be measured here" },
	{ "a:\naccept ratelimit = 1/1h/strict", BROKEN " | error in arguments to \"ratelimit\" condition: \"per_mail\" must not have /leaky or "
	  "/strict option, or cannot be used in connection ACL", "a", ACL_POINT_CONNECT },
	{ "a:\naccept dnslists = x y", "19: dnslists: \"x y\" is not the name of a DNS list\n" },
	{ "a:\naccept dnslists = x=127.0.0.2,y", "19: dnslists: \"y\" is not an IPv4 address, as DNS lists give them\n" },
	{ "a:\naccept dnslists = +unknown : x", "19: dnslists: there is no \"+unknown\"; expected +include_unknown, +exclude_unknown or "
	  "+defer_unknown\n" },
	{ "a:\naccept verify = nosuch", "17: verify: nothing known to verify is called \"nosuch\"\n" },
	{ "a:\naccept verify = recipient/callout=10s",
	  "17: verify: callouts are not available in this version: they come with the sending side\n" },
	{ "a:\naccept verify = recipient/nosuch", "17: verify: \"recipient\" has no option \"nosuch\"\n" },
	{ "a:\naccept verify = recipient=x", "17: verify: \"recipient\" takes nothing behind \"=\"\n" },
	{ "a:\naccept verify = csa",
	  "17: verify: \"csa\" is not available in this version: client SMTP authorization was never put to use\n" },
	{ "a:\naccept acl = b 1 2 3 4 5 6 7 8 9 10", "34: an ACL takes at most 9 arguments\n" },
	{ "a:\naccept acl = chek_b x\nb:\naccept", "14: there is no ACL of the name \"chek_b\", and it is not the text of one either\n" },
	{ "a:\naccept", "0: in \"accept acl = chek_b\": there is no ACL of the name \"chek_b\", and it is not the text of one either\n",
	  "accept acl = chek_b", RCPT },
	{ "a:\naccept acl = accept!acl=accept!acl=chek_b",
	  "14: in \"accept!acl=accept!acl=chek_b\": in \"accept!acl=chek_b\": there is no ACL of the name \"chek_b\", and it is not the text of "
	  "one either\n" },
	{ "a:\naccept acl = accept!acl=accept!acl=accept!acl=accept!acl=accept!acl=deny", "accept 250" },
	{ "a:\naccept acl = deny\\nmesage=x", "14: in \"mesage=x\": unknown ACL condition or modifier \"mesage\", did you mean \"message\"?\n" },
	{ "a:\naccept acl = accept\\nhosts=192.0.2.1", "accept 250" },
	{ "a:\naccept acl = /nowhere", BROKEN " | the ACL file \"/nowhere\" cannot be read here" },
	{ "a:\naccept acl =", "13: the name of an ACL, or its text, is missing\n" },
	{ "a:\nbogus\nxyz = 1\naccept domains\ndeny",
	  "1: unknown ACL verb \"bogus\"; expected accept, defer, deny, discard, drop, require or warn\n"
	  "1: unknown ACL verb \"xyz\"; expected accept, defer, deny, discard, drop, require or warn\n"
	  "15: \"=\" is missing after the ACL condition \"domains\"\n" },
};

static void an_acl_comes_to_what_exim_says(void **state)
{
	(void)state;
	unsigned wrong = 0;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct fixture f;
		set_up(&f);
		f.session.facts = (struct acl_facts){
			.host_address = SLICE("192.0.2.1"), .helo = SLICE("client.test"), .cipher = SLICE("TLS_AES_128_GCM_SHA256"),
			.has_sender = true, .sender = SLICE("alice@from.test"), .sender_domain = SLICE("from.test"),
			.has_recipient = true, .recipient = SLICE("Bob@good.test"), .local_part = SLICE("Bob"), .domain = SLICE("good.test"),
		};
		const char *got = compile(&f, table[i].acls) ? run(&f, table[i].option ? table[i].option : "a",
								   table[i].option ? table[i].point : ACL_POINT_RCPT)
							     : arena_cstr(&f.arena, buf_slice(&f.errors));
		if (strcmp(got, table[i].expected) != 0) {
			print_error("%s\n  gives    %s\n  expected %s\n", table[i].acls, got, table[i].expected);
			wrong++;
		}
		tear_down(&f);
	}
	assert_int_equal(wrong, 0);
}

/* ---- Parts with slashes ---- */

static enum expand_result ask_limits(void *owner, const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
				     struct error *error)
{
	struct fixture *f = owner;
	assert_true(limit_is_asked(request));
	f->key = arena_copy(&f->arena, request->key);
	return limit_answer(f->limits, request, 1000 * CLOCK_SECOND, arena, answer_r, error);
}

/* The condition, asked twice, after `set`: "outcome <key> rate limit period", or the error. */
static const char *ask_twice(struct fixture *f, const char *set, const char *condition, const char *sender)
{
	static const enum expand_variable variables[] = { EXPAND_SENDER_RATE, EXPAND_SENDER_RATE_LIMIT, EXPAND_SENDER_RATE_PERIOD };
	char acl[600];
	snprintf(acl, sizeof acl, "a:\nwarn set acl_m_x = %s\naccept %s", set, condition);
	f->context.ask = ask_limits;
	f->session.facts = (struct acl_facts){ .host_address = SLICE("192.0.2.1"), .has_sender = true, .sender = slice_of(sender) };
	if (!compile(f, acl))
		return arena_cstr(&f->arena, buf_slice(&f->errors));
	run(f, "a", ACL_POINT_MAIL);
	const char *outcome = run(f, "a", ACL_POINT_MAIL);
	if (!strncmp(outcome, "error", 5))
		return strstr(outcome, "| ") + 2;
	struct slice got = arena_printf(&f->arena, "%.*s <%.*s>", 6, outcome, SLICE_ARG(f->key));
	for (size_t i = 0; i < 3; i++) {
		struct expand_value value;
		assert_true(acl_session_rate(&f->session, variables[i], &value));
		if (value.text.len)
			got = arena_printf(&f->arena, "%.*s %.*s", SLICE_ARG(got), SLICE_ARG(value.text));
	}
	return arena_cstr(&f->arena, got);
}

#define IN_RATELIMIT "error in arguments to \"ratelimit\" condition: "
#define KEYED "ratelimit = 100 / 1h / per_cmd / strict / $sender_address"
#define BETWEEN "ratelimit = 100/1h/per_cmd/$sender_address/strict"

/* A peer is the sender; $acl_m_x is the configuration's own. */
static const struct {
	const char *condition, *sender, *expected;
	const char *set; /* $acl_m_x */
} parts[] = {
	/* A peer's text is one part, whatever it holds, and no option. */
	{ KEYED, "a@b", "deny 5 <1h/per_cmd/a@b> 2.0 100 1h" },
	{ KEYED, "readonly", "deny 5 <1h/per_cmd/readonly> 2.0 100 1h" },
	{ KEYED, "x/readonly", "deny 5 <1h/per_cmd/x/readonly> 2.0 100 1h" },
	{ KEYED, "x / readonly / y", "deny 5 <1h/per_cmd/x / readonly / y> 2.0 100 1h" },
	{ KEYED, "count=99", "deny 5 <1h/per_cmd/count=99> 2.0 100 1h" },
	{ KEYED, "unique=x", "deny 5 <1h/per_cmd/unique=x> 2.0 100 1h" },
	{ KEYED, "per_mail", "deny 5 <1h/per_cmd/per_mail> 2.0 100 1h" },
	{ KEYED, "leaky/", "deny 5 <1h/per_cmd/leaky/> 2.0 100 1h" },
	{ KEYED, "a//b", "deny 5 <1h/per_cmd/a//b> 2.0 100 1h" },
	{ KEYED, "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q", "deny 5 <1h/per_cmd/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q> 2.0 100 1h" },
	/* Nor does it touch the slashes beside it. */
	{ BETWEEN, "a", "deny 5 <1h/per_cmd/a> 2.0 100 1h" },
	{ BETWEEN, "", "deny 5 <1h/per_cmd/192.0.2.1> 2.0 100 1h" },
	{ BETWEEN, "/", "deny 5 <1h/per_cmd//> 2.0 100 1h" },
	{ BETWEEN, "//", "deny 5 <1h/per_cmd///> 2.0 100 1h" },
	{ BETWEEN, "/x/", "deny 5 <1h/per_cmd//x/> 2.0 100 1h" },
	/* It is the value of an option that was written; it completes no name of one. */
	{ "ratelimit = 100/1h/per_cmd/strict/count=$sender_address", "5", "deny 5 <1h/per_cmd/192.0.2.1> 10.0 100 1h" },
	{ "ratelimit = 100/1h/per_cmd/strict/count=$sender_address", "5/readonly", IN_RATELIMIT "\"count=5/readonly\" is not a positive number" },
	{ "ratelimit = 100/1h/per_cmd/strict/count$sender_address", "=5", "deny 5 <1h/per_cmd/count=5> 2.0 100 1h" },
	{ "ratelimit = 100/1h/per_cmd/strict/no$sender_address", "update", "deny 5 <1h/per_cmd/noupdate> 2.0 100 1h" },
	{ "ratelimit = 100/1h/per_cmd/readonly$sender_address", "", "deny 5 <1h/per_cmd/192.0.2.1> 0.0 100 1h" },
	{ "ratelimit = 100/1h/per_cmd/strict/readonly$sender_address", "x", "deny 5 <1h/per_cmd/readonlyx> 2.0 100 1h" },
	{ "ratelimit = 100/1h/per_cmd/strict/${sender_address}only", "read", "deny 5 <1h/per_cmd/readonly> 2.0 100 1h" },
	{ "ratelimit = 100/1h/strict/per_$sender_address/per_cmd", "mail", "deny 5 <1h/per_cmd/per_mail> 2.0 100 1h" },
	{ "ratelimit = 100/1h/per_cmd/strict/unique=$sender_address", "a/readonly", "deny 5 <1h/per_cmd/unique/192.0.2.1> 1.0 100 1h" },
	/* It changes no limit and no period but where it is one. */
	{ "ratelimit = $sender_address/1h/per_cmd/strict", "1.5", "accept <1h/per_cmd/192.0.2.1> 2.0 1.5 1h" },
	{ "ratelimit = $sender_address/1h/per_cmd/strict", "9/1d", IN_RATELIMIT "\"9/1d\" is not a positive number" },
	{ "ratelimit = 100/$sender_address/per_cmd/strict", "1d/readonly", IN_RATELIMIT "\"1d/readonly\" is not a time value" },
	/* What a peer had a hand in as a whole is bound as a whole. */
	{ "ratelimit = ${lc:100/1h/strict/$sender_address}", "a", IN_RATELIMIT "\"100/1h/strict/a\" is not a positive number" },
	{ "ratelimit = $acl_m_x", "a", IN_RATELIMIT "\"100/1h/per_cmd/a\" is not a positive number", "100/1h/per_cmd/$sender_address" },
	/* What the configuration has computed of its own is as if it were written. */
	{ "ratelimit = $acl_m_x", "", "accept <1h/per_cmd/a/b> 2.0 1.5 1h", "1.5 / 1h / per_cmd / strict / a//b" },
	{ "ratelimit = 100/1h/$acl_m_x/per_cmd", "", "deny 5 <1h/per_cmd/192.0.2.1> 0.0 100 1h", "readonly" },
	{ "ratelimit = 100/1h/$acl_m_x/strict/per_cmd", "", "deny 5 <1h/per_cmd/192.0.2.1> 2.0 100 1h", "" },
	{ "ratelimit = ${if eq{1}{1}{1.5/1h/per_cmd/$sender_address/strict}}", "/leaky", "accept <1h/per_cmd//leaky> 2.0 1.5 1h" },
	{ "ratelimit = 1.5/1h/per_cmd/${if eq{$sender_address}{a}{strict}{readonly}}", "a", "accept <1h/per_cmd/192.0.2.1> 2.0 1.5 1h" },
	/* The same of seen: twice the same key, unless the first was only read. */
	{ "seen = 5m / key=$sender_address", "a@b", "accept <a@b>" },
	{ "seen = 5m / key=$sender_address", "a/readonly", "accept <a/readonly>" },
	{ "seen = 5m / key=$sender_address / readonly", "a/write", "deny 5 <a/write>" },
	{ "seen = 5m/key=x/$sender_address", "readonly", "unrecognised option 'readonly' in '5m/key=x/$sender_address'" },
	{ "seen = 5m/key=x$sender_address/readonly", "", "deny 5 <x>" },
	{ "seen = 5m/key=$sender_address/readonly", "", "deny 5 <192.0.2.1>" },
	{ "seen = $sender_address/key=a", "5m/key=b", "failed to parse '$sender_address/key=a'" },
};

/* What a modifier does with the sender's text; the sender is a peer's, and $acl_m_x the configuration's. */
static const struct {
	const char *item, *sender, *expected;
	const char *set; /* $acl_m_x */
	enum acl_point point; /* ACL_POINT_CONNECT: MAIL */
} modifiers[] = {
	{ "verify = sender=$sender_address\nlogwrite = yes", "x@slow.test/defer_ok", "accept 250" },
	{ "verify = sender=$sender_address/defer_ok\nlogwrite = yes", "x@slow.test", "accept 250 {log main yes}" },
	{ "verify = sender=$sender_address\nlogwrite = yes", "x/y@good.test", "accept 250 {log main yes}" },
	{ "verify = sender=${listquote{/}{$sender_address}}\nlogwrite = yes", "x/y@good.test", "accept 250 {log main yes}" },
	{ "verify = sender=a//b@good.test\nlogwrite = yes", "", "accept 250 {log main yes}" },
	{ "verify = $sender_address", "sender=x@good.test", BROKEN " | verify: \"sender=x@good.test\" is not named by the configuration alone" },
	{ "logwrite = $sender_address", ":panic:hi", "accept 250 {log main :panic:hi}" },
	{ "logwrite = :main,reject: $sender_address", ":panic:hi", "accept 250 {log main reject :panic:hi}" },
	{ "logwrite = $acl_m_x $sender_address", "hi", "accept 250 {log panic hi}", ":panic:" },
	{ "remove_header = X-A : $sender_address", "X-B:X-C", "accept 250 {remove X-A}{remove X-B:X-C}" },
	{ "remove_header = $sender_address", "X-B:X-C", "accept 250 {remove X-B}{remove X-C}" },
	{ "remove_header = $acl_m_x", "", "accept 250 {remove X-B}{remove X-C}", "<; X-B ; ; X-C" },
	{ "spam = $sender_address\nlogwrite = yes", "nobody:true", "accept 250 {scan nobody:true}", NULL, ACL_POINT_DATA },
	{ "spam = $sender_address:true\nlogwrite = yes", "ann", "accept 250 {scan ann}{log main yes}", NULL, ACL_POINT_DATA },
	{ "spam = $sender_address", "ann/defer_ok", "accept 250 {scan ann/defer_ok}", NULL, ACL_POINT_DATA },
	{ "spam = $acl_m_x", "", "accept 250 {scan ann}", "ann/defer_ok", ACL_POINT_DATA },
	{ "control = submission/domain=$sender_address", "b.test/sender_retain", "accept 250 {submission domain=b.test/sender_retain}" },
	{ "control = submission/domain=$sender_address/sender_retain", "b.test/name=x", "accept 250 {submission retain domain=b.test/name=x}" },
	{ "control = submission/name=$sender_address", "A/domain=c.test", "accept 250 {submission name=A/domain=c.test}" },
	{ "control = submission/$sender_address", "sender_retain",
	  BROKEN " | control=submission: \"submission\" has sender_retain, domain= and name=, not \"sender_retain\"" },
	{ "control = submission/domain=$acl_m_x", "", "accept 250 {submission retain domain=b.test}", "b.test/sender_retain" },
	{ "control = submission/domain=b.test/$acl_m_x", "",
	  BROKEN " | control=submission: \"submission\" has sender_retain, domain= and name=, not \"nonsense\"", "nonsense" },
	{ "control = ${if eq{$sender_address}{a}{no_delay_flush}{submission}}/domain=", "b", "accept 250 {submission domain=}" },
	{ "control = fakereject/$sender_address", "a/b", "accept 250 {control 11 a/b}" },
	{ "control = freeze$sender_address", "/no_tell", BROKEN " | control: \"freeze/no_tell\" is not named by the configuration alone" },
	{ "add_header = X-Subject: $sender_address", "hi\nX-Spam-Flag: NO", "accept 250 {add 0 X-Subject: hi\n X-Spam-Flag: NO}" },
	{ "add_header = X-Subject: $sender_address", "hi\n\tthere\r\n \n\nyou\n", "accept 250 {add 0 X-Subject: hi\n there \n you}" },
	{ "add_header = X-A: $sender_address\\nX-B: $sender_address", "x\ny", "accept 250 {add 0 X-A: x\n y}{add 0 X-B: x\n y}" },
	{ "add_header = X-A: $sender_address\\nX-B: b", "x\n", "accept 250 {add 0 X-A: x}{add 0 X-B: b}" },
	{ "add_header = $sender_address", "\n:at_start:X-A: b\nX-C: d", "accept 250 {add 0 X-ACL-Warn: :at_start:X-A: b\n X-C: d}" },
	{ "add_header = $sender_address", "X-A: b\nX-C: d", "accept 250 {add 0 X-A: b\n X-C: d}" },
	{ "add_header = :at_start:$sender_address", ":at_end:X-A: b", "accept 250 {add 1 X-ACL-Warn: :at_end:X-A: b}" },
	{ "add_header = $acl_m_x", "", "accept 250 {add 1 X-A: b}{add 0 X-C: d}", ":at_start:X-A: b\\nX-C: d" },
	{ "message = X-A: $sender_address\\nX-B: ${if eq{1}{1}{x}}", "x\nX-C: d", "accept 250 {add 0 X-A: x\n X-C: d}{add 0 X-B: x}" },
	{ "message = X-A: $sender_address\nlog_message = seen $sender_address", "x\nX-C: d",
	  "accept 250 {log main client Warning: seen x\nX-C: d}{add 0 X-A: x\n X-C: d}" },
	{ "control = $sender_address", "freeze", BROKEN " | control: \"freeze\" is not named by the configuration alone" },
};

static void a_peers_text_is_no_syntax_of_a_modifier(void **state)
{
	unsigned wrong = 0;
	(void)state;
	for (size_t i = 0; i < sizeof modifiers / sizeof *modifiers; i++) {
		struct fixture f;
		char acl[600];
		set_up(&f);
		snprintf(acl, sizeof acl, "a:\nwarn set acl_m_x = %s\nwarn %s\naccept", modifiers[i].set ? modifiers[i].set : "", modifiers[i].item);
		f.session.facts = (struct acl_facts){ .has_sender = true, .sender = slice_of(modifiers[i].sender) };
		enum acl_point point = modifiers[i].point ? modifiers[i].point : ACL_POINT_MAIL;
		const char *got = compile(&f, acl) ? run(&f, "a", point) : arena_cstr(&f.arena, buf_slice(&f.errors));
		if (strcmp(got, modifiers[i].expected) != 0) {
			print_error("%s of \"%s\"\n  gives    %s\n  expected %s\n", modifiers[i].item, modifiers[i].sender, got, modifiers[i].expected);
			wrong++;
		}
		acl_session_free(&f.session);
		tear_down(&f);
	}
	assert_int_equal(wrong, 0);
}

static void a_peers_text_is_no_part_option_or_limit(void **state)
{
	unsigned wrong = 0;
	(void)state;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		struct fixture f;
		set_up(&f);
		f.limits = limit_table_new(64, NULL);
		const char *got = ask_twice(&f, parts[i].set ? parts[i].set : "", parts[i].condition, parts[i].sender);
		if (strcmp(got, parts[i].expected) != 0) {
			print_error("%s of \"%s\"\n  gives    %s\n  expected %s\n", parts[i].condition, parts[i].sender, got, parts[i].expected);
			wrong++;
		}
		limit_table_free(f.limits);
		acl_session_free(&f.session);
		tear_down(&f);
	}
	assert_int_equal(wrong, 0);
}

static void what_was_read_of_a_rate_outlives_the_next(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	f.limits = limit_table_new(64, NULL);
	f.context.ask = ask_limits;
	f.session.facts.host_address = SLICE("192.0.2.1");
	assert_true(compile(&f, "a:\nwarn !ratelimit = 10/1h/per_cmd\nlogwrite = $sender_rate_limit/$sender_rate_period ${acl{b}{x}} "
				"$sender_rate_limit/$sender_rate_period\naccept\nb:\naccept !ratelimit = 20/2h/per_cmd"));
	assert_string_equal(run(&f, "a", ACL_POINT_MAIL), "accept 250 {log main 10/1h  20/2h}");
	limit_table_free(f.limits);
	acl_session_free(&f.session);
	tear_down(&f);
}

static void variables_keep_text_and_taint(void **state)
{
	struct fixture f;
	struct expand_value value;
	(void)state;
	set_up(&f);
	f.session.facts.sender = SLICE("alice@from.test");
	assert_true(compile(&f, "a:\nwarn set acl_c0 = one\nset acl_m_x = $sender_address\nset acl_c0 = two\naccept"));
	run(&f, "a", ACL_POINT_MAIL);
	assert_true(acl_session_named(&f.session, EXPAND_ACL_C, SLICE("0"), &value));
	assert_slice(value.text, "two");
	assert_false(value.tainted);
	assert_true(acl_session_named(&f.session, EXPAND_ACL_M, SLICE("_x"), &value));
	assert_slice(value.text, "alice@from.test");
	assert_true(value.tainted);
	assert_false(acl_session_named(&f.session, EXPAND_ACL_M, SLICE("_y"), &value));
	acl_session_new_message(&f.session);
	assert_false(acl_session_named(&f.session, EXPAND_ACL_M, SLICE("_x"), &value));
	assert_true(acl_session_named(&f.session, EXPAND_ACL_C, SLICE("0"), &value));
	tear_down(&f);
}

static void variables_have_bounds(void **state)
{
	struct acl_variables variables = { 0 };
	struct error error;
	char name[16], *large = calloc(1, ACL_VARIABLES_BYTES_MAX);
	(void)state;
	for (unsigned i = 0; i < ACL_VARIABLES_MAX; i++) {
		snprintf(name, sizeof name, "%u", i);
		assert_true(acl_variables_set(&variables, slice_of(name), (struct expand_value){ .text = SLICE("x") }, &error));
	}
	assert_false(acl_variables_set(&variables, SLICE("_more"), (struct expand_value){ .text = SLICE("x") }, &error));
	struct expand_value value = { .text = slice_make(large, ACL_VARIABLES_BYTES_MAX) };
	assert_false(acl_variables_set(&variables, SLICE("0"), value, &error));
	acl_variables_clear(&variables);
	assert_false(acl_variables_set(&variables, SLICE("0"), value, &error));
	value.text.len -= 1;
	assert_true(acl_variables_set(&variables, SLICE("0"), value, &error));
	assert_int_equal(variables.bytes, ACL_VARIABLES_BYTES_MAX);
	/* Setting it to a piece of itself. */
	assert_true(acl_variables_get(&variables, SLICE("0"), &value));
	assert_true(acl_variables_set(&variables, SLICE("0"), (struct expand_value){ .text = slice_first(value.text, 3) }, &error));
	assert_int_equal(variables.bytes, 4);
	acl_variables_clear(&variables);
	free(large);
}

static void an_option_is_checked_against_its_point(void **state)
{
	struct fixture f;
	struct acl_report report = { .owner = &f, .error = note_error };
	const struct acl_reference *reference;
	(void)state;
	set_up(&f);
	assert_true(compile(&f, "a:\naccept acl = b\nacl = a\naccept control = freeze_not\nb:\ndeny domains = *\ndeny verify = recipient\n"
				"deny hosts = *\naccept control = fakereject") == false);
	buf_consume(&f.errors, buf_len(&f.errors));
	assert_true(acl_reference_compile(f.set, SLICE("a"), PLACE, &report, &reference));
	acl_reference_check(reference, ACL_POINT_RCPT, &report);
	assert_int_equal(buf_len(&f.errors), 0);
	acl_reference_check(reference, ACL_POINT_CONNECT, &report);
	assert_slice(buf_slice(&f.errors),
		     "0: \"domains\" cannot be used in acl_smtp_connect: when it is reached, the client gets a temporary error\n"
		     "0: \"verify = recipient\" cannot be used in acl_smtp_connect: when it is reached, the client gets a temporary error\n"
		     "0: \"control = fakereject\" cannot be used in acl_smtp_connect: when it is reached, the client gets a temporary error\n");
	tear_down(&f);
}

static void what_acls_need_of_a_session_is_known_at_load(void **state)
{
	static const struct {
		const char *line;
		unsigned uses;
	} cases[] = {
		{ "accept regex = x", ACL_USE_CONTENT },
		{ "accept control = freeze/no_tell", ACL_USE_HOLD },
		{ "accept control = queue_only", ACL_USE_HOLD },
		{ "accept control = ${if eq{$sender_address}{}{freeze}{no_delay_flush}}", ACL_USE_HOLD },
		{ "accept control = no_delay_flush", 0 },
		{ "accept queue = bulk", 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture f;
		char text[100];
		set_up(&f);
		snprintf(text, sizeof text, "a:\n%s", cases[i].line);
		assert_true(compile(&f, text));
		assert_int_equal(acl_set_uses(f.set, ACL_USE_CONTENT), (cases[i].uses & ACL_USE_CONTENT) != 0);
		assert_int_equal(acl_set_uses(f.set, ACL_USE_HOLD), (cases[i].uses & ACL_USE_HOLD) != 0);
		tear_down(&f);
	}
}

static void warnings_are_repeated_for_the_next_message(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	assert_true(compile(&f, "a:\nwarn log_message = seen\naccept"));
	run(&f, "a", ACL_POINT_MAIL);
	assert_string_equal(run(&f, "a", ACL_POINT_MAIL), "accept 250 {log main client Warning: seen}");
	acl_session_new_message(&f.session);
	assert_string_equal(run(&f, "a", ACL_POINT_MAIL), "accept 250 {log main client Warning: seen}{log main client Warning: seen}");
	tear_down(&f);
}

static struct expand_value acl_name(const char *name)
{
	return (struct expand_value){ .text = slice_of(name) };
}

static void an_expansion_calls_an_acl(void **state)
{
	struct fixture f;
	struct expand_value text;
	struct error error;
	(void)state;
	set_up(&f);
	assert_true(compile(&f, "yes:\naccept message = fine\nno:\ndeny message = never\nlater:\ndefer\ngone:\ndrop message = out\n"
				"bare:\naccept"));
	assert_int_equal(acl_expand(&f.session, acl_name("yes"), NULL, 0, &f.arena, &text, &error), EXPAND_OK);
	assert_slice(text.text, "fine");
	assert_int_equal(acl_expand(&f.session, acl_name("bare"), NULL, 0, &f.arena, &text, &error), EXPAND_OK);
	assert_slice(text.text, "");
	assert_int_equal(acl_expand(&f.session, acl_name("no"), NULL, 0, &f.arena, &text, &error), EXPAND_FORCED_FAIL);
	assert_slice(text.text, "never");
	assert_int_equal(acl_expand(&f.session, acl_name("later"), NULL, 0, &f.arena, &text, &error), EXPAND_DEFER);
	assert_int_equal(acl_expand(&f.session, acl_name("gone"), NULL, 0, &f.arena, &text, &error), EXPAND_FAIL);
	assert_string_equal(error.text, "drop from ACL \"gone\": out");
	assert_int_equal(acl_expand(&f.session, acl_name("nosuch"), NULL, 0, &f.arena, &text, &error), EXPAND_FAIL);
	tear_down(&f);
}

/* Routing for `verify` may expand ${acl of its own. */
static enum expand_result verify_with_an_acl(void *owner, enum acl_verify_kind kind, struct slice address, struct arena *arena, bool *yes_r,
					     struct slice *message_r, struct error *error)
{
	struct fixture *f = owner;
	struct arena own;
	struct expand_value text;
	(void)kind, (void)address, (void)arena, (void)message_r;
	arena_init(&own, 0);
	assert_int_equal(acl_expand(&f->session, acl_name("inner"), NULL, 0, &own, &text, error), EXPAND_OK);
	assert_slice(text.text, "<> then <192.0.2.1>");
	arena_free(&own);
	*yes_r = true;
	return EXPAND_OK;
}

static void what_lists_gave_is_of_one_run(void **state)
{
	struct fixture f;
	struct arena own;
	struct expand_value text;
	struct error error;
	(void)state;
	set_up(&f);
	f.session.facts = (struct acl_facts){ .host_address = SLICE("192.0.2.1"), .has_recipient = true, .recipient = SLICE("a@good.test"),
					      .domain = SLICE("good.test") };
	f.session.verify = verify_with_an_acl;
	assert_true(compile(&f, "inner:\naccept set acl_m_before = $host_data\nhosts = 192.0.2.1\nmessage = <$acl_m_before> then <$host_data>\n"
				"a:\naccept domains = good.test\nhosts = *\nverify = recipient\nmessage = $domain_data $host_data"));
	/* Outside of ACLs nothing is left, for its memory is the expansion's. */
	for (int i = 0; i < 2; i++) {
		arena_init(&own, 0);
		assert_int_equal(acl_expand(&f.session, acl_name("inner"), NULL, 0, &own, &text, &error), EXPAND_OK);
		assert_slice(text.text, "<> then <192.0.2.1>");
		arena_free(&own);
		assert_null(f.session.data.host.text.data);
	}
	/* Within one, what its own lists gave is there again. */
	assert_string_equal(run(&f, "a", ACL_POINT_RCPT), "accept 250 good.test * | good.test *");
	tear_down(&f);
}

/* Routers whose lists run an ACL that verifies by the routers. */
static enum expand_result verify_in_a_circle(void *owner, enum acl_verify_kind kind, struct slice address, struct arena *arena, bool *yes_r,
					     struct slice *message_r, struct error *error)
{
	struct fixture *f = owner;
	struct expand_value text;
	(void)kind, (void)address, (void)yes_r, (void)message_r;
	buf_printf(&f->log, "+");
	return buf_len(&f->log) > 100 ? EXPAND_DEFER : acl_expand(&f->session, acl_name("a"), NULL, 0, arena, &text, error);
}

static void a_circle_through_the_routers_ends(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	f.session.facts = (struct acl_facts){ .has_recipient = true, .recipient = SLICE("a@good.test") };
	f.session.verify = verify_in_a_circle;
	assert_true(compile(&f, "a:\naccept verify = recipient"));
	const char *got = run(&f, "a", ACL_POINT_RCPT);
	assert_non_null(strstr(got, "ACL nested too deep: possible loop"));
	assert_true(buf_len(&f.log) <= ACL_DEPTH_MAX / 4);
	/* Nothing of it is left for the next run. */
	f.session.verify = verify_simple;
	assert_non_null(strstr(run(&f, "a", ACL_POINT_RCPT), "accept 250"));
	assert_int_equal(f.session.depth, 0);
	tear_down(&f);
}

/* ACLs that call each other many times over: more steps than there is time for. */
static void verifying_headers(void **state)
{
	static const struct {
		const char *verify, *headers, *expected; /* NULL: it accepts */
	} rows[] = {
		{ "header_names_ascii", "A: b\r\n c\xff\r\nD-E: f\r\n", NULL },
		{ "header_names_ascii", "A: b\r\nT\xc3\xb6: f\r\n", "Invalid character in header \"T\xc3\xb6\" found" },
		{ "header_syntax", "From: A <a@b.c>\nTo: \"x\" <a@b.c>, (c) d@e.f\nCc: group: a@b, c@d;, x@y\nBcc:\nX-To: broken@\n", NULL },
		{ "header_syntax", "To: undisclosed-recipients:;\n", NULL },
		{ "header_syntax", "From: <a@b\n", "malformed address: failing address in \"From:\" header is: <a@b" },
		{ "header_syntax", "Reply-To: x, a@b.c\n", "unqualified address not permitted: failing address in \"Reply-To:\" header is: x" },
		{ "header_syntax", "cc: a b@c\n", "malformed address: failing address in \"cc:\" header is: a b@c" },
		{ "header_syntax", "To: <>\n", "malformed address: failing address in \"To:\" header is: <>" },
		{ "header_syntax", "Sender: \"a@b.c\n", "malformed address: failing address in \"Sender:\" header is: \"a@b.c" },
		{ "header_sender", "From: bad@x.test\nReply-To: me@good.test\n", NULL },
		{ "header_sender", "From: bad@x.test, me@good.test\n", NULL },
		{ "header_sender", "From: bad@x.test\nTo: me@good.test\n", "there is no valid sender in any header line" },
		{ "header_sender", "From: bad@\n", "syntax error in 'From:' header when scanning for sender: malformed address in \"bad@\"" },
		{ "header_sender", "From: a@slow.test\n", "all attempts to verify a sender in a header line deferred" },
		{ "header_sender/defer_ok", "From: a@slow.test\n", NULL },
		{ "not_blind", "To: User@GOOD.test\nCC: x <other@good.test>\n", NULL },
		{ "not_blind", "Resent-To: User@good.test, other@good.test\n", NULL },
		{ "not_blind", "To: user@good.test, other@good.test\n", "bcc recipient detected" },
		{ "not_blind/case_insensitive", "To: user@good.test, other@good.test\n", NULL },
		{ "not_blind", "To: User@good.test\nBcc: other@good.test\n", "bcc recipient detected" },
		{ "not_blind", "To: other@good.test, other@good.test, a@b.c, User@good.test.a, ser@good.test\n", "bcc recipient detected" },
		{ "not_blind", "To: g: a@b.c, User@good.test;, z@z.z\nSubject: x\nCc: (c) \"o\" <other@good.test>, <<\n", NULL },
		{ "not_blind", "To: User@good.test, other@good.test@\n", "bcc recipient detected" },
		{ "not_blind", "", "bcc recipient detected" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct fixture f;
		char acl[100], wanted[200];
		set_up(&f);
		f.headers = slice_of(rows[i].headers);
		snprintf(acl, sizeof acl, "a:\naccept verify = %s", rows[i].verify);
		bool later = rows[i].expected && strstr(rows[i].expected, "deferred");
		snprintf(wanted, sizeof wanted, "%s%s%s", !rows[i].expected ? "accept 250" : later ? LATER : "deny 550 Administrative prohibition",
			 rows[i].expected ? " | " : "", rows[i].expected ? rows[i].expected : "");
		assert_true(compile(&f, acl));
		const char *got = run(&f, "a", ACL_POINT_DATA);
		if (strcmp(got, wanted))
			fail_msg("%s of \"%s\": %s", rows[i].verify, rows[i].headers, got);
		tear_down(&f);
	}
}

static void a_run_ends(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	assert_true(compile(&f, "a:\nwarn acl = b\nwarn acl = b\nwarn acl = b\nb:\nwarn acl = c\nwarn acl = c\nwarn acl = c\nwarn acl = c\n"
				"c:\nwarn acl = d\nwarn acl = d\nwarn acl = d\nwarn acl = d\nwarn acl = d\nd:\nwarn acl = e\nwarn acl = e\n"
				"warn acl = e\nwarn acl = e\nwarn acl = e\nwarn acl = e\ne:\nwarn acl = f\nwarn acl = f\nwarn acl = f\n"
				"warn acl = f\nwarn acl = f\nwarn acl = f\nwarn acl = f\nf:\nwarn acl = g\nwarn acl = g\nwarn acl = g\n"
				"warn acl = g\nwarn acl = g\ng:\nwarn acl = h\nwarn acl = h\nwarn acl = h\nwarn acl = h\nh:\n"
				"warn condition = no\nwarn condition = no\nwarn condition = no\nwarn condition = no"));
	assert_string_equal(run(&f, "a", ACL_POINT_RCPT), BROKEN " | the ACL takes more than 20000 steps: possible loop");
	tear_down(&f);
}

struct depth {
	uintptr_t lowest;
	unsigned steps;
};

static void note_depth(void *owner, unsigned depth, struct slice text)
{
	struct depth *noted = owner;
	uintptr_t here = (uintptr_t)&depth;
	(void)text;
	if (noted->lowest == 0 || here < noted->lowest)
		noted->lowest = here;
	noted->steps++;
}

/* ${acl} within an ACL nests like the condition, and must not need more stack than a task has (256 KiB). */
static void expansions_nest_to_the_same_depth(void **state)
{
	struct fixture f;
	struct depth noted = { 0 };
	struct acl_report report = { .owner = &f, .error = note_error };
	const struct acl_reference *reference;
	struct acl_result result;
	(void)state;
	set_up(&f);
	assert_true(compile(&f, "a:\ndeny condition = ${if and{{eq{1}{1}}{or{{eq{1}{2}}{eq{1}{${acl{a}}}}}}}{yes}{no}}\naccept"));
	assert_true(acl_reference_compile(f.set, SLICE("a"), PLACE, &report, &reference));
	f.session.owner = &noted;
	f.session.trace = note_depth;
	assert_int_equal(acl_run(reference, &f.session, ACL_POINT_RCPT, &f.arena, &result), ACL_ERROR);
	assert_int_equal(noted.steps, 4 * (ACL_DEPTH_MAX + 1));
	size_t used = (uintptr_t)&result - noted.lowest;
	if (used > (SANITIZED ? 1024u : 192u) * 1024)
		fail_msg("%zu bytes of stack", used);
	tear_down(&f);
}

static void each_word_has_its_help(void **state)
{
	struct acl_word_info info;
	(void)state;
	bool (*const infos[])(size_t, struct acl_word_info *) = { acl_verb_info, acl_word_info, acl_control_info, acl_verify_info };
	for (size_t kind = 0; kind < sizeof infos / sizeof *infos; kind++)
		for (size_t i = 0; infos[kind](i, &info); i++)
			if (!info.refused && (!info.help || !info.example || !info.points))
				fail_msg("\"%s\" has no help or example, or can be used nowhere", info.name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_acl_comes_to_what_exim_says),
		cmocka_unit_test(a_peers_text_is_no_part_option_or_limit),
		cmocka_unit_test(a_peers_text_is_no_syntax_of_a_modifier),
		cmocka_unit_test(what_was_read_of_a_rate_outlives_the_next),
		cmocka_unit_test(variables_keep_text_and_taint),
		cmocka_unit_test(variables_have_bounds),
		cmocka_unit_test(an_option_is_checked_against_its_point),
		cmocka_unit_test(what_acls_need_of_a_session_is_known_at_load),
		cmocka_unit_test(warnings_are_repeated_for_the_next_message),
		cmocka_unit_test(an_expansion_calls_an_acl),
		cmocka_unit_test(what_lists_gave_is_of_one_run),
		cmocka_unit_test(a_circle_through_the_routers_ends),
		cmocka_unit_test(verifying_headers),
		cmocka_unit_test(a_run_ends),
		cmocka_unit_test(expansions_nest_to_the_same_depth),
		cmocka_unit_test(each_word_has_its_help),
	};
	return cmocka_run_group_tests_name("acl", tests, NULL, NULL);
}
