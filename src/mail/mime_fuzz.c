/* SPDX-License-Identifier: ISC */
/* MIME structures of any bytes: walks end, parts lie within the message or the arena, limits hold, and bodies can be decoded. */
#include "base/fatal.h"
#include "mail/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice message = slice_make((const char *)data, size);
	struct mime_walk walk;
	struct mime_part part;
	struct arena arena;
	size_t count = 0;
	arena_init(&arena, 0);
	mime_walk_start(&walk, message, NULL, &arena);
	while (mime_walk_next(&walk, &part)) {
		const char *anomaly;
		ensure(part.headers.len <= part.raw.len && part.body.len <= part.inside.len && part.inside.len <= part.raw.len && part.raw.len <= size);
		ensure(mime_decode(&part, 4096, &arena, &anomaly).len <= 4096);
		ensure(++count <= MIME_PARTS_MAX && walk.depth <= MIME_DEPTH_MAX);
	}
	ensure(count > 0);
	arena_free(&arena);
	return 0;
}
