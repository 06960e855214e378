/* SPDX-License-Identifier: ISC */
/* First line and envelope: whatever is accepted must be written in the same way, and read as the same again. */
#include "base/fatal.h"
#include "spool/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct spool_envelope *a, const struct spool_envelope *b)
{
	bool equal = slice_equal(slice_of(a->id.text), slice_of(b->id.text)) && a->received_ns == b->received_ns &&
		slice_equal(a->sender, b->sender) && slice_equal(a->helo, b->helo) && slice_equal(a->host_name, b->host_name) &&
		slice_equal(a->host_address, b->host_address) && slice_equal(a->protocol, b->protocol) &&
		slice_equal(a->cipher, b->cipher) && slice_equal(a->cipher_standard, b->cipher_standard) &&
		slice_equal(a->peer_name, b->peer_name) && slice_equal(a->server_name, b->server_name) && a->verified == b->verified &&
		slice_equal(a->authenticated, b->authenticated) && slice_equal(a->authenticated_id, b->authenticated_id) &&
		slice_equal(a->authenticated_sender, b->authenticated_sender) &&
		a->tls_resumption == b->tls_resumption && a->tls_ocsp == b->tls_ocsp && a->port == b->port && a->eight_bit_mime == b->eight_bit_mime &&
		a->smtputf8 == b->smtputf8 && slice_equal(a->queue_name, b->queue_name) && a->queue_only == b->queue_only && a->frozen == b->frozen &&
		a->recipient_count == b->recipient_count;
	for (size_t i = 0; equal && i < a->recipient_count; i++)
		equal = slice_equal(a->recipients[i].address, b->recipients[i].address);
	return equal;
}

static void check_envelope(struct slice text)
{
	struct spool_envelope first, second;
	struct error error;
	struct arena arena;
	struct buf again;
	arena_init(&arena, 0);
	buf_init(&again, 64 * 1024 * 1024);
	if (spool_envelope_parse(text, &arena, &first, &error)) {
		ensure(spool_envelope_format(&first, &again, &error));
		/* The order of fields may differ, nothing else. */
		ensure(buf_len(&again) == text.len);
		ensure(spool_envelope_parse(buf_slice(&again), &arena, &second, &error));
		ensure(same(&first, &second));
	} else {
		ensure(error.kind == ERROR_PERMANENT && error.text[0]);
	}
	buf_free(&again);
	arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size);
	struct spool_header header;
	char line[SPOOL_HEADER_LEN + 1];
	if (spool_header_parse(slice_first(text, SPOOL_HEADER_LEN), &header)) {
		spool_header_format(&header, line);
		ensure(slice_equal(slice_make(line, SPOOL_HEADER_LEN), slice_first(text, SPOOL_HEADER_LEN)));
		text = slice_from(text, SPOOL_HEADER_LEN);
	}
	check_envelope(text);
	return 0;
}
