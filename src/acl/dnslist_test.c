/* SPDX-License-Identifier: ISC */
/*
 * dnslists: which names are asked for, what the answers come to, and what a peer's text cannot do. The DNS here is a table; each question
 * is noted.
 */
#include "acl/acl.h"
#include "base/buf.h"
#include "base/test.h"

struct world {
	struct arena arena;
	struct expand_context context;
	struct expand_language language;
	struct acl_set *set;
	struct acl_session session;
	struct buf asked, log;
	struct slice sender;
	unsigned lists;
};

static const struct {
	const char *name, *addresses, *text;
} zone[] = {
	{ "1.2.0.192.bl", "127.0.0.2", "because" },
	{ "1.2.0.192.many", "127.0.0.2\n127.0.0.6", "first\nsecond" },
	{ "1.2.0.192.sold", "192.0.2.99", NULL },
	{ "1.2.0.192.mixed", "192.0.2.99\n127.0.0.9", NULL },
	{ "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl6", "127.0.0.3", NULL },
	{ "from.test.dbl", "127.0.1.2", "bad domain" },
	{ "other.test.dbl", "127.0.1.4", NULL },
	{ "x:evil.dbl", "127.0.0.2", NULL },
};

static bool answer(struct slice name, bool text, struct slice *answer_r)
{
	for (size_t i = 0; i < sizeof zone / sizeof *zone; i++)
		if (slice_equal(slice_of(zone[i].name), name) && (!text || zone[i].text)) {
			*answer_r = slice_of(text ? zone[i].text : zone[i].addresses);
			return true;
		}
	return false;
}

static enum expand_result ask(void *owner, const struct expand_request *request, struct arena *arena, struct expand_answer *answer_r,
			      struct error *error)
{
	struct world *w = owner;
	(void)arena;
	assert_int_equal(request->service, EXPAND_SERVICE_LOOKUP);
	assert_slice(request->type, "dnsdb");
	assert_int_equal(request->piece_count, 2);
	assert_false(request->pieces[0].value);
	assert_true(request->pieces[1].value && request->pieces[1].tainted);
	struct slice name = request->pieces[1].text;
	bool text = slice_equal(request->pieces[0].text, SLICE("defer_never,txt="));
	buf_printf(&w->asked, "%s%.*s ", text ? "txt:" : "", SLICE_ARG(name));
	if (slice_ends_nocase(name, SLICE(".dead"))) {
		error_set(error, ERROR_TEMPORARY, "no answer");
		return EXPAND_DEFER;
	}
	*answer_r = (struct expand_answer){ .found = answer(name, text, &answer_r->text), .text = answer_r->text, .tainted = true };
	return EXPAND_OK;
}

static struct expand_value variable(void *owner, enum expand_variable variable)
{
	struct world *w = owner;
	return variable == EXPAND_SENDER_ADDRESS_DOMAIN ? (struct expand_value){ w->sender, true } : (struct expand_value){ 0 };
}

static void note(void *owner, unsigned targets, struct slice text)
{
	struct world *w = owner;
	(void)targets;
	buf_printf(&w->log, "%.*s\n", SLICE_ARG(text));
}

static void set_up(struct world *w)
{
	*w = (struct world){ .sender = SLICE("from.test") };
	arena_init(&w->arena, 0);
	buf_init(&w->asked, 1 << 20);
	buf_init(&w->log, 1 << 20);
	w->context = (struct expand_context){ .owner = w, .variable = variable, .ask = ask, .language = &w->language };
	w->set = acl_set_new(&w->arena, &w->language);
	w->session = (struct acl_session){ .owner = w, .context = &w->context, .set = w->set, .log = note };
	w->session.facts.host_address = SLICE("192.0.2.1");
}

static void tear_down(struct world *w)
{
	acl_session_free(&w->session);
	buf_free(&w->asked);
	buf_free(&w->log);
	arena_free(&w->arena);
}

static void fail_on_error(void *owner, const struct acl_line *line, size_t column, const struct error *error)
{
	(void)owner;
	(void)line;
	(void)column;
	fail_msg("%s", error->text);
}

/* "yes " and the message, "no", "defer" or "error", for the condition as it would stand in an ACL. */
static const char *test_list_with(struct world *w, const char *condition, const char *message)
{
	static const struct acl_report report = { .error = fail_on_error };
	struct slice text = arena_printf(&w->arena, "accept %s\n message = %s", condition, message);
	const struct acl_reference *reference;
	struct acl_result result;
	struct acl_line lines[] = { { slice_cut(&text, '\n'), 0 }, { text, 0 } };
	struct slice name = arena_printf(&w->arena, "acl%u", w->lists++);
	struct acl *acl = acl_set_add(w->set, name);
	assert_true(acl_compile(w->set, acl, lines, 2, &report));
	assert_true(acl_reference_compile(w->set, name, 0, &report, &reference));
	switch (acl_run(reference, &w->session, ACL_POINT_RCPT, &w->arena, &result)) {
	case ACL_ACCEPT: return arena_printf(&w->arena, "yes %.*s", SLICE_ARG(result.message)).data;
	case ACL_DENY: return "no";
	case ACL_DEFER: return "defer";
	default: return "error";
	}
}

/* The message: domain, key, value and text. */
static const char *test_list(struct world *w, const char *condition)
{
	return test_list_with(w, condition, "$dnslist_domain|$dnslist_matched|$dnslist_value|$dnslist_text");
}

static void what_was_read_of_a_find_outlives_the_next(void **state)
{
	static const struct acl_report report = { .error = fail_on_error };
	const struct acl_line line = { SLICE("accept dnslists = many"), 0 };
	struct world w;
	(void)state;
	set_up(&w);
	assert_true(acl_compile(w.set, acl_set_add(w.set, SLICE("other")), &line, 1, &report));
	assert_string_equal(test_list_with(&w, "dnslists = bl", "$dnslist_domain $dnslist_text ${acl{other}} $dnslist_domain $dnslist_text"),
			    "yes bl because  many first");
	tear_down(&w);
}

static void lists_and_comparisons(void **state)
{
	static const struct {
		const char *condition, *expected, *asked;
	} rows[] = {
		{ "dnslists = none : bl", "yes bl|192.0.2.1|127.0.0.2|because", "1.2.0.192.none 1.2.0.192.bl txt:1.2.0.192.bl " },
		{ "dnslists = <; none ; bl", "yes bl|192.0.2.1|127.0.0.2|because", NULL },
		{ "!dnslists = none", "yes |||", "1.2.0.192.none " },
		{ "dnslists = many", "yes many|192.0.2.1|127.0.0.2, 127.0.0.6|first", NULL },
		/* Only 127.0.0.0/8 lists anything, unless an address is asked for. */
		{ "dnslists = sold", "no", "1.2.0.192.sold " },
		{ "dnslists = mixed", "yes mixed|192.0.2.1|192.0.2.99, 127.0.0.9|", NULL },
		{ "dnslists = sold=192.0.2.99", "yes sold|192.0.2.1|192.0.2.99|", NULL },
		{ "dnslists = bl=127.0.0.3", "no", "1.2.0.192.bl " },
		{ "dnslists = bl=127.0.0.3,127.0.0.2", "yes bl|192.0.2.1|127.0.0.2|because", NULL },
		{ "dnslists = bl!=127.0.0.3", "yes bl|192.0.2.1|127.0.0.2|because", NULL },
		{ "dnslists = bl!=127.0.0.2", "no", NULL },
		{ "dnslists = none!=127.0.0.2", "no", NULL },
		{ "dnslists = bl&0.0.0.2", "yes bl|192.0.2.1|127.0.0.2|because", NULL },
		{ "dnslists = bl&0.0.0.3", "no", NULL },
		{ "dnslists = bl!&0.0.0.1", "yes bl|192.0.2.1|127.0.0.2|because", NULL },
		{ "dnslists = many=127.0.0.6", "yes many|192.0.2.1|127.0.0.2, 127.0.0.6|first", NULL },
		{ "dnslists = many==127.0.0.6", "no", NULL },
		{ "dnslists = many==127.0.0.6,127.0.0.2", "yes many|192.0.2.1|127.0.0.2, 127.0.0.6|first", NULL },
		{ "dnslists = many=&0.0.0.2", "yes many|192.0.2.1|127.0.0.2, 127.0.0.6|first", NULL },
		{ "dnslists = many=&0.0.0.4", "no", NULL },
		{ "dnslists = many!==127.0.0.6", "yes many|192.0.2.1|127.0.0.2, 127.0.0.6|first", NULL },
		{ "dnslists = many!=&0.0.0.4", "yes many|192.0.2.1|127.0.0.2, 127.0.0.6|first", NULL },
		{ "dnslists = many!=&0.0.0.2", "no", NULL },
		/* Keys. */
		{ "dnslists = dbl/from.test", "yes dbl|from.test|127.0.1.2|bad domain", "from.test.dbl txt:from.test.dbl " },
		{ "dnslists = dbl=127.0.1.4/from.test:other.test", "no", NULL },
		{ "dnslists = dbl=127.0.1.4/<,from.test,other.test", "yes dbl|other.test|127.0.1.4|", NULL },
		{ "dnslists = bl/192.0.2.1", "yes bl|192.0.2.1|127.0.0.2|because", NULL },
		{ "dnslists = <; bl6/2001:db8::5678:9ab", "no", NULL },
		/* Two lists: the second decides, the first has the text. */
		{ "dnslists = bl,many=127.0.0.6", "yes bl|192.0.2.1|127.0.0.2|because", "1.2.0.192.many 1.2.0.192.bl txt:1.2.0.192.bl " },
		{ "dnslists = none,bl", "no", "1.2.0.192.bl 1.2.0.192.none " },
		/* Lists that do not answer. */
		{ "dnslists = x.dead", "no", NULL },
		{ "dnslists = x.dead : bl", "yes bl|192.0.2.1|127.0.0.2|because", NULL },
		{ "dnslists = +defer_unknown : x.dead : bl", "defer", "1.2.0.192.x.dead " },
		{ "dnslists = +include_unknown : x.dead", "yes |||", NULL },
		{ "dnslists = +defer_unknown : +exclude_unknown : x.dead", "no", NULL },
		{ "dnslists = +defer_unknown : dead/<,a,b", "defer", "a.dead b.dead " },
		/* A forced failure: as if it were not there. */
		{ "dnslists = ${if eq{1}{2}{x}fail}", "yes |||", "" },
		{ "!dnslists = ${if eq{1}{2}{x}fail}", "yes |||", "" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct world w;
		set_up(&w);
		const char *got = test_list(&w, rows[i].condition);
		if (strcmp(got, rows[i].expected) || (rows[i].asked && !slice_equal(buf_slice(&w.asked), slice_of(rows[i].asked))))
			fail_msg("%s: \"%s\", asked \"%.*s\"", rows[i].condition, got, SLICE_ARG(buf_slice(&w.asked)));
		tear_down(&w);
	}
}

static void an_address_of_version_six_is_turned_round(void **state)
{
	struct world w;
	(void)state;
	set_up(&w);
	w.session.facts.host_address = SLICE("2001:db8::5:6789:ab");
	test_list(&w, "dnslists = x");
	assert_slice(buf_slice(&w.asked), "b.a.0.0.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.x ");
	tear_down(&w);
}

static void a_peers_text_is_a_key_and_no_syntax(void **state)
{
	static const char *const domains[] = { "x:evil", "x/y", "x=127.0.0.1", "<:x:y" };
	(void)state;
	for (size_t i = 0; i < sizeof domains / sizeof *domains; i++) {
		struct world w;
		set_up(&w);
		w.sender = slice_of(domains[i]);
		test_list(&w, "dnslists = dbl/a.$sender_address_domain");
		assert_slice(buf_slice(&w.asked), arena_printf(&w.arena, "a.%s.dbl ", domains[i]).data);
		tear_down(&w);
	}
	/* A value that is all of the keys is a list of keys, and still no list of lists. */
	struct world w;
	set_up(&w);
	w.sender = SLICE("one|two:three");
	test_list(&w, "dnslists = dbl/<|$sender_address_domain");
	assert_slice(buf_slice(&w.asked), "one.dbl two:three.dbl ");
	tear_down(&w);
}

static void answers_are_kept_for_the_connection(void **state)
{
	struct world w;
	(void)state;
	set_up(&w);
	test_list(&w, "dnslists = bl");
	acl_session_new_message(&w.session);
	assert_string_equal(test_list(&w, "dnslists = none : bl : more"), "yes bl|192.0.2.1|127.0.0.2|because");
	assert_slice(buf_slice(&w.asked), "1.2.0.192.bl txt:1.2.0.192.bl 1.2.0.192.none ");
	tear_down(&w);
}

static void what_was_found_is_forgotten_with_the_message(void **state)
{
	struct world w;
	struct expand_value value;
	(void)state;
	set_up(&w);
	test_list(&w, "dnslists = bl");
	assert_true(acl_session_variable(&w.session, EXPAND_DNSLIST_TEXT, &value));
	assert_slice(value.text, "because");
	assert_true(value.tainted);
	acl_session_new_message(&w.session);
	assert_true(acl_session_variable(&w.session, EXPAND_DNSLIST_TEXT, &value));
	assert_slice(value.text, "");
	tear_down(&w);
}

static void a_peer_cannot_have_hundreds_of_questions_asked(void **state)
{
	struct world w;
	struct buf keys;
	(void)state;
	set_up(&w);
	buf_init(&keys, 1 << 16);
	for (int i = 0; i < 500; i++)
		buf_printf(&keys, "k%d,", i);
	w.sender = buf_slice(&keys);
	assert_string_equal(test_list(&w, "dnslists = dbl/<,$sender_address_domain"), "defer");
	size_t asked = 0;
	for (struct slice rest = buf_slice(&w.asked); rest.len; asked++)
		slice_cut(&rest, ' ');
	assert_int_equal(asked, 100);
	buf_free(&keys);
	tear_down(&w);
}

static void a_list_that_is_silent_or_was_sold_is_logged(void **state)
{
	struct world w;
	(void)state;
	set_up(&w);
	test_list(&w, "dnslists = +include_unknown : sold : x.dead");
	assert_slice(buf_slice(&w.log), "DNS list lookup for 192.0.2.1 at sold returned 192.0.2.99; not in 127.0/8 and discarded\n"
					"dnslist lookup defer (for 1.2.0.192.x.dead): assumed in list\n");
	tear_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_and_comparisons),
		cmocka_unit_test(an_address_of_version_six_is_turned_round),
		cmocka_unit_test(a_peers_text_is_a_key_and_no_syntax),
		cmocka_unit_test(what_was_read_of_a_find_outlives_the_next),
		cmocka_unit_test(answers_are_kept_for_the_connection),
		cmocka_unit_test(what_was_found_is_forgotten_with_the_message),
		cmocka_unit_test(a_peer_cannot_have_hundreds_of_questions_asked),
		cmocka_unit_test(a_list_that_is_silent_or_was_sold_is_logged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
