/* SPDX-License-Identifier: ISC */
/* Every unpacking function on any bytes; the first byte chooses the message. What unpacks must pack to the same bytes. */
#include "base/fatal.h"
#include "ipc/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct slice body = slice_make(data + 1, size - 1), text;
	struct buf buf;
	buf_init(&buf, IPC_MESSAGE_MAX);
	switch (data[0] % IPC_TYPES) {
#define M(name, NAME, from, to, fds, fields)                                                           \
	case IPC_##NAME##_MESSAGE: {                                                                   \
		struct ipc_##name message;                                                             \
		if (ipc_unpack_##name(body, &message))                                                 \
			ensure(ipc_pack_##name(&buf, &message) && slice_equal(buf_slice(&buf), body)); \
		break;                                                                                 \
	}
		IPC_MESSAGES(M)
#undef M
	}
	while (ipc_list_next(&body, &text))
		ensure(text.len <= size);
	buf_free(&buf);
	return 0;
}
