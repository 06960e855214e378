/* SPDX-License-Identifier: ISC */
/*
 * SpamAssassin's spamd (its protocol SPAMC/1.5, REPORT) and Rspamd in its older protocol, which takes the same form (RSPAMC/1.3, CHECK).
 *
 * request->key is the user; the pieces are "Name: value" lines about the envelope, for Rspamd.
 */
#include "lookup/scanner.h"

#include <string.h>
#include <sys/socket.h>

enum { REPLY_MAX = 256 * 1024, REPORT_MAX = 32 * 1024, ACTION_MAX = 64 };

/* ---- Reading ---- */

/* "-12.345": in thousandths; more digits are cut off. */
static bool parse_score(struct slice text, int64_t *score_r)
{
	struct slice rest = slice_trim(text);
	uint64_t whole = 0, part = 0;
	bool negative = rest.len && rest.data[0] == '-';
	rest = slice_from(rest, negative);
	struct slice digits = slice_cut(&rest, '.');
	if (!slice_parse_u64(digits, 100000, &whole))
		return false;
	rest = slice_first(rest, 3);
	if (rest.len && !slice_parse_u64(rest, 999, &part))
		return false;
	for (size_t i = rest.len; i < 3; i++)
		part *= 10;
	*score_r = (int64_t)(whole * 1000 + part) * (negative ? -1 : 1);
	return true;
}

/* "8.0 / 5.0 ..." */
static bool parse_scores(struct slice text, int64_t *score_r, int64_t *threshold_r)
{
	struct slice score = slice_cut(&text, '/');
	return parse_score(score, score_r) && parse_score(slice_cut(&text, '/'), threshold_r);
}

static struct slice take_line(struct slice *rest)
{
	struct slice line = slice_cut(rest, '\n');
	if (line.len && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool take_header(struct slice line, const char *name, struct slice *value_r)
{
	struct slice value = line, start = slice_cut(&value, ':');
	if (start.len == line.len || !slice_equal_nocase(slice_trim(start), slice_of(name)))
		return false;
	*value_r = slice_trim(value);
	return true;
}

/* Lines that can stand in a header field: no CR, no other control character, each continued by a blank. */
static struct slice fold(struct slice text, struct arena *arena)
{
	text = slice_first(text, REPORT_MAX);
	while (text.len && ascii_is_space(text.data[text.len - 1]))
		text.len--;
	char *out = arena_alloc(arena, 2 * text.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (c == '\r' || (len == 0 && c == '\n'))
			continue;
		bool control = ((unsigned char)c < 32 && c != '\n' && c != '\t') || c == 127;
		out[len++] = control ? ' ' : c;
		if (c == '\n' && (i + 1 == text.len || (text.data[i + 1] != ' ' && text.data[i + 1] != '\t')))
			out[len++] = ' ';
	}
	return slice_make(out, len);
}

static bool is_action(struct slice action)
{
	for (size_t i = 0; i < action.len; i++)
		if (!ascii_is_alnum(action.data[i]) && action.data[i] != ' ' && action.data[i] != '_' && action.data[i] != '-')
			return false;
	return action.len <= ACTION_MAX;
}

bool scan_spam_read(struct slice reply, bool rspamd, struct arena *arena, struct slice *verdict_r, bool *spam_r)
{
	struct slice rest = reply, line = take_line(&rest), value, action = { 0 };
	int64_t score = 0, threshold = 0;
	bool known = false;
	if (!slice_starts(line, rspamd ? SLICE("RSPAMD/") : SLICE("SPAMD/")) || !slice_ends_nocase(line, SLICE(" 0 EX_OK")))
		return false;
	while ((line = take_line(&rest)).len) {
		if (take_header(line, "Spam", &value) && !known) { /* "True ; 8.0 / 5.0" */
			slice_cut(&value, ';');
			known = parse_scores(value, &score, &threshold);
		} else if (rspamd && take_header(line, "Metric", &value) && !known) { /* "default; False; 8.0 / 15.0 / 0.0" */
			slice_cut(&value, ';');
			slice_cut(&value, ';');
			known = parse_scores(value, &score, &threshold);
		} else if (rspamd && take_header(line, "Action", &value) && is_action(value)) {
			action = value;
		}
	}
	if (!known)
		return false;
	*spam_r = score >= threshold;
	if (action.len == 0)
		action = *spam_r ? SLICE("reject") : SLICE("no action");
	struct slice report = fold(rspamd ? reply : rest, arena);
	*verdict_r = arena_printf(arena, "%lld\n%lld\n%.*s\n%.*s", (long long)score, (long long)threshold, SLICE_ARG(action), SLICE_ARG(report));
	return true;
}

/* ---- Asking ---- */

static enum expand_result send_head(struct scan *scan)
{
	const struct expand_request *request = scan->request;
	struct slice head = arena_printf(scan->arena, scan->server->rspamd ? "CHECK RSPAMC/1.3\r\n" : "REPORT SPAMC/1.2\r\n");
	head = arena_printf(scan->arena, "%.*sUser: %.*s\r\nContent-length: %llu\r\n", SLICE_ARG(head), SLICE_ARG(request->key),
			    (unsigned long long)scan->size);
	enum expand_result result = scan_send(scan, head);
	for (size_t i = 0; i < request->piece_count && scan->server->rspamd && result == EXPAND_OK; i++)
		result = scan_send(scan, arena_printf(scan->arena, "%.*s\r\n", SLICE_ARG(request->pieces[i].text)));
	return result == EXPAND_OK ? scan_send(scan, SLICE("\r\n")) : result;
}

static enum expand_result talk(struct scan *scan, struct expand_answer *answer_r)
{
	struct slice reply;
	enum expand_result result = send_head(scan);
	if (result == EXPAND_OK)
		result = scan_send_message(scan, false);
	if (result != EXPAND_OK)
		return result;
	shutdown(scan->fd, SHUT_WR);
	result = scan_receive(scan, REPLY_MAX, &reply);
	if (result != EXPAND_OK)
		return result;
	if (!scan_spam_read(reply, scan->server->rspamd, scan->arena, &answer_r->text, &answer_r->found))
		return lookup_defer(scan->error, "cannot parse the answer of %.*s", SLICE_ARG(scan->server->shown));
	answer_r->tainted = true;
	return EXPAND_OK;
}

/* Lines of a protocol: none of them may end one. */
static bool is_one_line(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] < 32 || text.data[i] == 127)
			return false;
	return true;
}

enum expand_result lookup_scan_spam(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
				    struct expand_answer *answer_r, struct error *error)
{
	struct scan scan;
	bool good = is_one_line(request->key);
	for (size_t i = 0; i < request->piece_count; i++)
		good &= is_one_line(request->pieces[i].text);
	if (!good)
		return lookup_fail(error, "spam: a control character in what is said about the message");
	enum expand_result result = scan_begin(&scan, world, request, arena, error);
	if (result == EXPAND_OK)
		result = talk(&scan, answer_r);
	scan_end(&scan);
	return result;
}
