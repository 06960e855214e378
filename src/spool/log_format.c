/* SPDX-License-Identifier: ISC */
#include "spool/log_format.h"

#include "base/crc32c.h"

#include <string.h>

/* Where the fields of a header begin. */
enum {
	RECORD_MARK = 0, RECORD_NUMBER = 8, RECORD_DURABLE = 16, RECORD_KIND = 24, RECORD_SIZE = 28, RECORD_CRC = 32, RECORD_ID = 36,
	HEAD_MAGIC = 0, HEAD_GENERATION = 8, HEAD_OLDEST = 16, HEAD_FIRST = 24, HEAD_MARK = 32,
	CHECK = SPOOL_LOG_HEADER - 4,
};

static const char magic[8] = "PostLog1";

static void put(char *at, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (char)(value >> 8 * i & 255);
}

static uint64_t get(const char *at, size_t bytes)
{
	uint64_t value = 0;
	for (size_t i = bytes; i-- > 0;)
		value = value << 8 | (unsigned char)at[i];
	return value;
}

static void seal(char out[SPOOL_LOG_HEADER])
{
	put(out + CHECK, crc32c(0, out, CHECK), 4);
}

static bool is_sealed(struct slice bytes)
{
	return bytes.len >= SPOOL_LOG_HEADER && get(bytes.data + CHECK, 4) == crc32c(0, bytes.data, CHECK);
}

void spool_log_head_format(const struct spool_log_head *head, char out[SPOOL_LOG_HEADER])
{
	memset(out, 0, SPOOL_LOG_HEADER);
	memcpy(out + HEAD_MAGIC, magic, sizeof magic);
	put(out + HEAD_GENERATION, head->generation, 8);
	put(out + HEAD_OLDEST, head->oldest, 8);
	put(out + HEAD_FIRST, head->first, 8);
	put(out + HEAD_MARK, head->mark, 8);
	seal(out);
}

bool spool_log_head_parse(struct slice bytes, struct spool_log_head *head_r)
{
	if (!is_sealed(bytes) || memcmp(bytes.data + HEAD_MAGIC, magic, sizeof magic) != 0)
		return false;
	*head_r = (struct spool_log_head){ get(bytes.data + HEAD_GENERATION, 8), get(bytes.data + HEAD_OLDEST, 8),
					   get(bytes.data + HEAD_FIRST, 8), get(bytes.data + HEAD_MARK, 8) };
	return head_r->generation > 0 && head_r->oldest <= head_r->generation;
}

void spool_log_record_format(const struct spool_log_record *record, uint64_t mark, char out[SPOOL_LOG_HEADER])
{
	memset(out, 0, SPOOL_LOG_HEADER);
	put(out + RECORD_MARK, mark, 8);
	put(out + RECORD_NUMBER, record->number, 8);
	put(out + RECORD_DURABLE, record->durable, 8);
	put(out + RECORD_KIND, record->kind, 4);
	put(out + RECORD_SIZE, record->size, 4);
	put(out + RECORD_CRC, record->crc, 4);
	memcpy(out + RECORD_ID, record->id.text, MESSAGE_ID_LEN);
	seal(out);
}

bool spool_log_record_parse(struct slice bytes, uint64_t mark, struct spool_log_record *record_r)
{
	if (bytes.len < SPOOL_LOG_HEADER || get(bytes.data + RECORD_MARK, 8) != mark || !is_sealed(bytes))
		return false;
	uint64_t kind = get(bytes.data + RECORD_KIND, 4);
	struct spool_log_record record = {
		.kind = (enum spool_log_kind)kind, .number = get(bytes.data + RECORD_NUMBER, 8), .durable = get(bytes.data + RECORD_DURABLE, 8),
		.size = (uint32_t)get(bytes.data + RECORD_SIZE, 4), .crc = (uint32_t)get(bytes.data + RECORD_CRC, 4),
	};
	memcpy(record.id.text, bytes.data + RECORD_ID, MESSAGE_ID_LEN);
	if (record.size > SPOOL_LOG_PAYLOAD_MAX || record.durable >= record.number)
		return false;
	if (kind == SPOOL_LOG_MESSAGE ? !message_id_valid(slice_make(record.id.text, MESSAGE_ID_LEN)) : kind != SPOOL_LOG_GONE)
		return false;
	*record_r = record;
	return true;
}
