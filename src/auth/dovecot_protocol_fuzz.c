/* SPDX-License-Identifier: ISC */
/*
 * A server that says anything, in pieces of any size (the first byte): what comes of it is the same as from one piece, and nobody is let in
 * without a line that says OK and whom.
 */
#include "auth/dovecot_protocol.h"
#include "base/fatal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EVENTS_MAX = 64 };

struct run {
	enum dovecot_event events[EVENTS_MAX];
	struct slice texts[EVENTS_MAX];
	size_t count;
};

static bool ends(enum dovecot_event event)
{
	return event == DOVECOT_YES || event == DOVECOT_NO || event == DOVECOT_LATER;
}

static void run_in_pieces(struct slice input, size_t piece, struct arena *arena, struct run *run)
{
	struct dovecot_protocol protocol = { .mechanism = SLICE("PLAIN") };
	struct error error = { 0 };
	struct buf in;
	buf_init(&in, DOVECOT_INPUT_MAX);
	while (input.len && run->count < EVENTS_MAX && !(run->count && ends(run->events[run->count - 1]))) {
		ensure(buf_append(&in, slice_first(input, piece)));
		input = slice_from(input, piece);
		enum dovecot_event event;
		do {
			struct slice text;
			event = dovecot_take(&protocol, &in, arena, &text, &error);
			ensure((event == DOVECOT_LATER) == (*error.text != '\0'));
			ensure(event != DOVECOT_YES || (text.len && protocol.greeted));
			if (event != DOVECOT_WAIT) {
				run->events[run->count] = event;
				run->texts[run->count++] = text;
			}
		} while (event != DOVECOT_WAIT && !ends(event) && run->count < EVENTS_MAX);
		ensure(protocol.lines <= DOVECOT_LINES_MAX + 1);
	}
	buf_free(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run all = { 0 }, pieces = { 0 };
	struct arena arena;
	if (size < 2)
		return 0;
	arena_init(&arena, 0);
	struct slice input = slice_make(data + 1, size - 1);
	run_in_pieces(input, DOVECOT_LINE_MAX, &arena, &all);
	run_in_pieces(input, (size_t)data[0] + 1, &arena, &pieces);
	ensure(all.count == pieces.count);
	for (size_t i = 0; i < all.count; i++)
		ensure(all.events[i] == pieces.events[i] && slice_equal(all.texts[i], pieces.texts[i]));
	arena_free(&arena);
	return 0;
}
