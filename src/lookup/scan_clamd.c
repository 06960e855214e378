/* SPDX-License-Identifier: ISC */
/*
 * ClamAV's daemon, clamd(8): INSTREAM in its form ended by NUL. The message is always sent, also to a socket of this machine: there is no
 * file of it that the daemon could open.
 */
#include "lookup/scanner.h"

#include "lookup/servers.h"

#include <string.h>

enum { REPLY_MAX = 4096, NAME_MAX = 200 };

bool scan_clamd_read(struct slice reply, bool *infected_r, struct slice *name_r, struct error *error)
{
	static const struct slice stream = SLICE("stream: "), found = SLICE(" FOUND");
	struct slice text = slice_trim(reply);
	*infected_r = false;
	if (!slice_starts(text, stream))
		return error_set(error, ERROR_TEMPORARY, "clamd: %.*s", SLICE_ARG(slice_first(text, 200)));
	text = slice_from(text, stream.len);
	if (slice_equal(text, SLICE("OK")))
		return true;
	*infected_r = text.len > found.len && slice_equal(slice_from(text, text.len - found.len), found);
	if (!*infected_r)
		return error_set(error, ERROR_TEMPORARY, "clamd: %.*s", SLICE_ARG(slice_first(text, 200)));
	*name_r = slice_first(slice_first(text, text.len - found.len), NAME_MAX);
	return true;
}

/* An answer may come before all is sent, when the message is larger than clamd takes; then the connection breaks. */
static enum expand_result talk(struct scan *scan, struct expand_answer *answer_r)
{
	struct slice reply = { 0 }, name = { 0 };
	enum expand_result sent = scan_send(scan, slice_make("zINSTREAM", sizeof "zINSTREAM"));
	if (sent == EXPAND_OK)
		sent = scan_send_message(scan, true);
	const struct error sending = *scan->error;
	enum expand_result received = scan_receive(scan, REPLY_MAX, &reply);
	if (sent != EXPAND_OK && reply.len == 0)
		*scan->error = sending;
	else if (received == EXPAND_OK && reply.len == 0)
		lookup_defer(scan->error, "clamd closed the connection without an answer");
	if (reply.len == 0)
		return EXPAND_DEFER;
	reply = lookup_one_line(arena_cstr(scan->arena, reply), scan->arena);
	if (!scan_clamd_read(reply, &answer_r->found, &name, scan->error))
		return EXPAND_DEFER;
	answer_r->text = arena_copy(scan->arena, name);
	answer_r->tainted = true;
	return EXPAND_OK;
}

enum expand_result lookup_scan_clamd(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
				     struct expand_answer *answer_r, struct error *error)
{
	struct scan scan;
	enum expand_result result = scan_begin(&scan, world, request, arena, error);
	if (result == EXPAND_OK)
		result = talk(&scan, answer_r);
	scan_end(&scan);
	return result;
}
