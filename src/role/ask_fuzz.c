/* SPDX-License-Identifier: ISC */
/* Questions as another process may send them: what unpacks must pack to the same again. */
#include "base/fatal.h"
#include "role/ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ipc_ask message, again;
	struct expand_request request;
	struct arena arena;
	struct buf buf;
	arena_init(&arena, 0);
	buf_init(&buf, IPC_MESSAGE_MAX);
	if (ipc_unpack_ask(slice_make(data, size), &message) && ask_unpack_request(&message, &arena, &request) &&
	    ask_pack_request(&request, &buf, &again)) {
		ensure(slice_equal(again.type, message.type) && slice_equal(again.key, message.key));
		ensure(again.pieces.len == message.pieces.len && slice_equal(again.options, message.options));
		ensure(again.deadline == message.deadline && again.service == message.service);
	}
	struct ipc_reply reply = { .type = IPC_ANSWERED_MESSAGE, .body = slice_make(data, size) };
	struct ask_result result;
	if (ask_unpack_result(&reply, &arena, &result) && result.result == EXPAND_OK)
		ensure(result.answer.text.len <= size);
	buf_free(&buf);
	arena_free(&arena);
	return 0;
}
