/* SPDX-License-Identifier: ISC */
/*
 * A segment of the log with any bytes in it: the walk ends, stays inside, tells numbers in order, and what it calls a message can be read.
 * Heads and records in the input are made right first, so that the fuzzer gets behind their checks: "H" and "R" at the beginning of 64 bytes.
 */
#include "base/crc32c.h"
#include "base/fatal.h"
#include "spool/spool_log.h"

#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 16 * SPOOL_LOG_PAGE };

static const struct spool_log_sizes sizes = { .segment = INPUT_MAX, .step = SPOOL_LOG_PAGE, .message = 8192 };

struct seen {
	struct spool_log *log;
	uint64_t last, messages;
};

static void on_message(void *context, const struct spool_log_record *record, const struct spool_log_place *place)
{
	struct seen *seen = context;
	char bytes[INPUT_MAX];
	struct error error;
	ensure(message_id_valid(slice_of(record->id.text)) && record->number > seen->last);
	ensure(place->offset + place->size <= INPUT_MAX && place->number == record->number);
	seen->last = record->number;
	if (!spool_log_read(seen->log, place, bytes, &error))
		ensure(error.number == 0);
	seen->messages++;
}

static void on_gone(void *context, const struct message_id *id)
{
	(void)context;
	(void)id;
}

static void on_lost(void *context, unsigned segment, uint64_t offset, uint64_t size, uint64_t first, uint64_t count)
{
	(void)context;
	(void)first;
	ensure(segment < SPOOL_LOG_SEGMENTS && count > 0 && offset + size <= INPUT_MAX);
}

static void on_headless(void *context, unsigned segment)
{
	(void)context;
	ensure(segment < SPOOL_LOG_SEGMENTS);
}

/* Right checks, and the mark 0, where the input asks for them. */
static void mend(char *bytes, size_t size)
{
	for (size_t at = 0; at + SPOOL_LOG_HEADER <= size; at += SPOOL_LOG_ALIGN) {
		char *block = bytes + at;
		if (block[0] == 'H') {
			struct spool_log_head head = { .generation = 1 + (unsigned char)block[1] % 3 * SPOOL_LOG_SEGMENTS, .oldest = (unsigned char)block[2] % 2,
						       .first = 1 + (unsigned char)block[3] };
			spool_log_head_format(&head, block);
		} else if (block[0] == 'R') {
			struct spool_log_record record = { .kind = block[1] & 1 ? SPOOL_LOG_MESSAGE : SPOOL_LOG_GONE, .number = 1 + (unsigned char)block[2],
							   .durable = (unsigned char)block[3] % (1 + (unsigned char)block[2]), .id = { "1wXyZa-000Kc3-2B" },
							   .size = (unsigned char)block[4] + 256u * (unsigned char)block[5] };
			struct slice rest = slice_first(slice_make(block + SPOOL_LOG_HEADER, size - at - SPOOL_LOG_HEADER), record.size);
			record.crc = crc32c(0, rest.data, rest.len);
			spool_log_record_format(&record, 0, block);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char bytes[INPUT_MAX];
	struct spool_log log = { .files = &files_real, .dir = -1, .sizes = sizes, .next = 1 };
	struct seen seen = { .log = &log };
	const struct spool_log_walk walk = { on_message, on_gone, on_lost, on_headless, &seen };
	struct error error;
	if (size > INPUT_MAX)
		return -1;
	memcpy(bytes, data, size);
	mend(bytes, size);
	for (unsigned i = 0; i < SPOOL_LOG_SEGMENTS; i++)
		log.segments[i].fd = -1;
	struct spool_log_segment *segment = &log.segments[1];
	segment->fd = memfd_create("segment", MFD_CLOEXEC);
	ensure(segment->fd >= 0 && files_write_all(&files_real, segment->fd, bytes, size, 0) == 0);
	segment->written = size;
	segment->begun = spool_log_head_parse(slice_first(slice_make(bytes, size), SPOOL_LOG_HEADER), &segment->head) &&
			 spool_log_segment_of(segment->head.generation) == 1;
	ensure(spool_log_walk(&log, &walk, &error));
	ensure(!segment->begun || (log.next >= segment->head.first && log.generation == segment->head.generation));
	spool_log_free(&log);
	return 0;
}
