/* SPDX-License-Identifier: ISC */
/*
 * The header scanner: what it finds must not depend on how the bytes are cut into runs (the first byte says how), and must be what the
 * readers of whole sections find.
 */
#include "base/fatal.h"
#include "mail/field.h"
#include "mail/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct mail_header_scan whole, split;
	struct slice text = slice_make(data + 1, size - 1);
	mail_header_scan_init(&whole);
	mail_header_scan_init(&split);
	mail_header_scan_feed(&whole, text);
	unsigned step = data[0];
	for (size_t at = 0; at < text.len; at += step % 17 + 1, step = step * 5 + 3)
		mail_header_scan_feed(&split, slice_first(slice_from(text, at), step % 17 + 1));
	ensure(whole.size == split.size && whole.size <= text.len && whole.longest_field == split.longest_field);
	ensure(whole.received == split.received && whole.fields == split.fields && whole.received <= whole.fields);
	ensure(whole.ended == split.ended && whole.broken == split.broken);
	ensure(slice_equal(mail_header_scan_message_id(&whole), mail_header_scan_message_id(&split)));
	ensure(whole.section == split.section && whole.section <= whole.size);
	struct slice rest = text, name, value;
	unsigned fields = 0;
	while (mail_field_next(&rest, &name, &value))
		fields++;
	ensure(fields == whole.fields && mail_header_length(text) == whole.section);
	return 0;
}
