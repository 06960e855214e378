/* SPDX-License-Identifier: ISC */
/*
 * The conditions `malware` and `spam` (Exim's manual, chapter 45 §1 to §3): the message goes to a scanner of the options av_scanner or
 * spamd_address, through the session. A result holds for the message, as long as the option gives the same text.
 *
 * A scanner that cannot be had, or does not know, defers; with /defer_ok the condition is then false.
 */
#include "acl/content.h"

#include "expand/pieces.h"
#include "expand/regex.h"

enum { SERVERS_MAX = 32, BAR_MAX = 50 };

/* The option's text now. False: it cannot be expanded. */
static bool expand_option(struct acl_run *run, const struct expand_program *program, struct slice fallback, const char *name,
			  struct slice *text_r)
{
	struct expand_value value = { .text = fallback };
	struct error error = { 0 };
	if (program && expand_run(program, &run->context, run->arena, &value, &error) != EXPAND_OK) {
		acl_later(run, "%s: %s", name, error.text);
		return false;
	}
	*text_r = slice_trim(value.text);
	return true;
}

static enum acl_step unavailable(struct acl_run *run, const struct acl_content_options *options, const char *condition, struct slice why)
{
	acl_log(run, ACL_LOG_MAIN | ACL_LOG_PANIC, "%s acl condition: %.*s", condition, SLICE_ARG(why));
	if (options->defer_ok)
		return ACL_NO;
	return acl_later(run, "%s acl condition: %.*s", condition, SLICE_ARG(why));
}

/* Items of a list with the separator that it may name. */
static size_t split(struct slice list, struct arena *arena, struct slice items[SERVERS_MAX])
{
	struct piece_text text = piece_text_plain(list, arena), item;
	char separator = piece_text_take_separator(&text);
	size_t count = 0;
	while (count < SERVERS_MAX && piece_text_next(&text, separator, true, arena, &item))
		if (item.len)
			items[count++] = piece_text_rest(&item);
	return count;
}

static enum expand_result scan(struct acl_run *run, struct expand_request *request, int64_t timeout, struct expand_answer *answer_r,
			       struct error *error)
{
	struct acl_session *session = run->session;
	request->service = EXPAND_SERVICE_SCAN;
	request->deadline = clock_after(timeout);
	if (session->scan)
		return session->scan(session->owner, request, run->arena, answer_r, error);
	error_set(error, ERROR_PERMANENT, "messages cannot be scanned here");
	return EXPAND_FAIL;
}

/* ---- malware ---- */

static enum expand_result ask_for_malware(struct acl_run *run, struct slice scanner, int64_t timeout, struct acl_content *content,
					  struct error *error)
{
	struct slice items[SERVERS_MAX];
	struct expand_answer answer = { 0 };
	size_t count = split(scanner, run->arena, items);
	if (count == 0)
		error_set(error, ERROR_USAGE, "av_scanner is not set");
	else if (!slice_equal(items[0], SLICE("clamd")))
		error_set(error, ERROR_USAGE, "scanner type \"%.*s\" is not available; the one that is there is clamd",
			  SLICE_ARG(slice_first(items[0], 64)));
	if (count == 0 || !slice_equal(items[0], SLICE("clamd")))
		return EXPAND_FAIL;
	const struct slice fallback = SLICE("/tmp/clamd");
	struct expand_request request = { .type = items[0], .options = count > 1 ? items + 1 : &fallback, .option_count = count > 1 ? count - 1 : 1 };
	enum expand_result result = scan(run, &request, timeout, &answer, error);
	if (result != EXPAND_OK)
		return result;
	content->scanned = true;
	content->infected = answer.found;
	content->malware_name = answer.found ? arena_copy(&content->arena, answer.text) : (struct slice){ 0 };
	content->scanner = arena_copy(&content->arena, scanner);
	return EXPAND_OK;
}

static enum acl_step name_matches(struct acl_run *run, struct expand_value value, struct slice pattern, struct slice name)
{
	const struct regex *regex;
	struct error error;
	static const char *const any[] = { "*", "1", "true" };
	for (size_t i = 0; i < sizeof any / sizeof *any; i++)
		if (slice_equal_nocase(pattern, slice_of(any[i])))
			return ACL_YES;
	if (value.tainted)
		return acl_broken(run, "malware: a regular expression that a peer had a hand in is not used");
	if (!regex_compile(run->arena, run->session->set->language->scratch, pattern, false, &regex, &error, NULL))
		return acl_broken(run, "malware: %s", error.text);
	switch (regex_match(regex, name, NULL, &error)) {
	case REGEX_YES: return ACL_YES;
	case REGEX_NO: return ACL_NO;
	case REGEX_LIMIT: break;
	}
	return acl_later(run, "malware: %s", error.text);
}

enum acl_step acl_malware_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct acl_content *content = acl_content_of(run->session);
	struct acl_content_options options;
	struct slice scanner;
	struct error error = { 0 };
	(void)item;
	if (!acl_content_options(run->text, run->arena, &options, &error))
		return acl_broken(run, "malware: %s", error.text);
	struct slice pattern = piece_text_rest(&options.first);
	if (acl_content_is_off(pattern))
		return ACL_NO;
	if (!expand_option(run, run->session->av_scanner, SLICE(""), "av_scanner", &scanner))
		return ACL_LATER;
	bool known = content->scanned && slice_equal(content->scanner, scanner);
	if (!known && ask_for_malware(run, scanner, options.timeout, content, &error) != EXPAND_OK)
		return unavailable(run, &options, "malware", slice_of(error.text));
	return content->infected ? name_matches(run, value, pattern, content->malware_name) : ACL_NO;
}

/* ---- spam ---- */

/* "score\nthreshold\naction\nreport", as the scanner's side gives it (lookup/scan_spam.c): numbers in thousandths. */
static bool take_number(struct slice *text, int64_t *number_r)
{
	struct slice word = slice_cut(text, '\n');
	uint64_t number;
	bool negative = word.len && word.data[0] == '-';
	if (!slice_parse_u64(slice_from(word, negative), 1000000000, &number))
		return false;
	*number_r = negative ? -(int64_t)number : (int64_t)number;
	return true;
}

/* A tenth, rounded as printf does: half away from zero. */
static struct slice tenths(int64_t thousandths, struct arena *arena)
{
	int64_t whole = (thousandths < 0 ? -thousandths : thousandths) + 50;
	return arena_printf(arena, "%s%lld.%lld", thousandths < 0 && whole >= 100 ? "-" : "", (long long)(whole / 1000),
			    (long long)(whole / 100 % 10));
}

static struct slice bar_of(int64_t thousandths, struct arena *arena)
{
	char text[BAR_MAX];
	int64_t units = (thousandths < 0 ? -thousandths : thousandths) / 1000;
	size_t len = units < BAR_MAX ? (size_t)units : BAR_MAX;
	if (len == 0)
		return SLICE("/");
	memset(text, thousandths < 0 ? '-' : '+', len);
	return arena_copy(arena, slice_make(text, len));
}

static bool read_verdict(struct acl_content *content, struct slice text)
{
	struct arena *arena = &content->arena;
	int64_t score, threshold;
	if (!take_number(&text, &score) || !take_number(&text, &threshold))
		return false;
	struct slice action = slice_cut(&text, '\n');
	content->spam = (struct acl_spam){
		.score = tenths(score, arena), .score_int = arena_printf(arena, "%lld", (long long)(score / 100)),
		.bar = bar_of(score, arena), .report = arena_copy(arena, text), .action = arena_copy(arena, action),
	};
	content->is_spam = score >= threshold;
	return true;
}

static enum expand_result judge(struct acl_run *run, struct slice servers, struct slice user, int64_t timeout, struct acl_content *content,
				struct error *error)
{
	struct slice items[SERVERS_MAX];
	struct expand_answer answer = { 0 };
	struct expand_request request = { .type = SLICE("spam"), .key = user, .options = items };
	request.option_count = split(servers, run->arena, items);
	enum expand_result result = scan(run, &request, timeout, &answer, error);
	if (result != EXPAND_OK)
		return result;
	content->judged = read_verdict(content, answer.text);
	if (!content->judged) {
		error_set(error, ERROR_TEMPORARY, "malformed verdict");
		return EXPAND_DEFER;
	}
	content->user = arena_copy(&content->arena, user);
	content->judges = arena_copy(&content->arena, servers);
	return EXPAND_OK;
}

/* The name goes into a line of a protocol. */
static bool is_user_name(struct slice user)
{
	for (size_t i = 0; i < user.len; i++)
		if ((unsigned char)user.data[i] <= 32 || user.data[i] == 127)
			return false;
	return user.len <= 255;
}

enum acl_step acl_spam_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct acl_content *content = acl_content_of(run->session);
	struct acl_content_options options;
	struct slice servers;
	struct error error = { 0 };
	(void)item;
	(void)value;
	if (!acl_content_options(run->text, run->arena, &options, &error))
		return acl_broken(run, "spam: %s", error.text);
	struct slice whole = piece_text_rest(&options.first);
	size_t colon = piece_text_find(&options.first, ':');
	struct slice user = slice_trim(slice_first(whole, colon));
	bool always = slice_equal_nocase(slice_trim(slice_from(whole, colon + (colon < whole.len))), SLICE("true"));
	if (acl_content_is_off(user))
		return ACL_NO;
	if (!is_user_name(user))
		return acl_broken(run, "spam: \"%.*s\" is not the name of a user", SLICE_ARG(slice_first(user, 64)));
	if (!expand_option(run, run->session->spamd_address, SLICE("127.0.0.1 783"), "spamd_address", &servers))
		return ACL_LATER;
	bool known = content->judged && slice_equal(content->judges, servers) && slice_equal(content->user, user);
	if (!known && judge(run, servers, user, options.timeout, content, &error) != EXPAND_OK)
		return unavailable(run, &options, "spam", slice_of(error.text));
	return content->is_spam || always ? ACL_YES : ACL_NO;
}
