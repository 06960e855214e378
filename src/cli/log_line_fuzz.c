/* SPDX-License-Identifier: ISC */
/* Lines of any bytes: whatever is found lies within the line, and is what its place allows. */
#include "base/fatal.h"
#include "cli/log_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(struct slice line, struct slice part)
{
	bool inside = part.data >= line.data && part.data + part.len <= line.data + line.len;
	ensure(!part.len || inside || slice_equal(part, SLICE("unknown")) || slice_equal(part, SLICE("no reason given")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = slice_make(data, size);
	while (all.len) {
		struct slice line = slice_cut(&all, '\n');
		struct log_entry entry;
		bool dated = log_line_parse(line, &entry);
		const struct slice parts[] = { entry.stamp, entry.id, entry.host, entry.protocol, entry.version, entry.cipher, entry.reason };
		for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
			within(line, parts[i]);
		ensure(entry.event < LOG_EVENTS && (dated || entry.event == LOG_OTHER));
		ensure(!dated || entry.stamp.len == LOG_STAMP_LEN);
		bool explained = entry.event == LOG_HANDSHAKE_ERROR || entry.event == LOG_TLS_REFUSED;
		ensure((entry.reason.len > 0) == explained && entry.host.len <= 60);
	}
	return 0;
}
