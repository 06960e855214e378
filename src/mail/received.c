/* SPDX-License-Identifier: ISC */
#include "mail/received.h"

#include "mail/host.h"

#define FOLD "\r\n\t"

/* `text` without control characters between `before` and `after`, all left out when it is empty. */
static bool part(struct buf *out, const char *before, struct slice text, const char *after)
{
	if (text.len == 0)
		return true;
	if (!buf_append(out, slice_of(before)))
		return false;
	for (size_t start = 0, i = 0; i <= text.len; i++) {
		if (i < text.len && (unsigned char)text.data[i] >= 32 && text.data[i] != 127)
			continue;
		if (!buf_append(out, slice_from(slice_first(text, i), start)))
			return false;
		start = i + 1;
	}
	return buf_append(out, slice_of(after));
}

/* "name ([192.0.2.1]:2525 helo=x ident=y)" when the name is known, "[192.0.2.1] (port=2525 helo=x ident=y)" when not. */
static bool from_host(const struct mail_received *received, struct buf *out)
{
	bool named = received->host_name.len > 0, good;
	bool helo = mail_helo_tells(received->helo, received->host_name, received->host_address);
	const char *gap = named ? " " : " (";
	if (named)
		good = part(out, "from ", received->host_name, "") && part(out, " ([", received->host_address, "]");
	else
		good = part(out, "from [", received->host_address, "]");
	if (good && received->port) {
		good = named ? buf_printf(out, ":%u", received->port) : buf_printf(out, " (port=%u", received->port);
		gap = " ";
	}
	if (good && helo) {
		good = buf_append(out, slice_of(gap)) && part(out, "helo=", received->helo, "");
		gap = " ";
	}
	if (good && received->ident.len) {
		good = buf_append(out, slice_of(gap)) && part(out, "ident=", received->ident, "");
		gap = " ";
	}
	bool open = named || gap[1] == '\0';
	return good && (!open || buf_append_byte(out, ')')) && buf_append(out, SLICE(FOLD));
}

static bool from_local(const struct mail_received *received, struct buf *out)
{
	return part(out, "from ", received->ident, " ") && part(out, "(helo=", received->helo, ")" FOLD);
}

bool mail_received_append_text(struct slice text, struct slice date, struct buf *out)
{
	bool good = true, first = true;
	text = slice_trim(text);
	while (good && text.len) {
		struct slice line = slice_trim(slice_cut(&text, '\n'));
		if (line.len == 0)
			continue;
		good = part(out, first ? "" : FOLD, line, "");
		first = false;
	}
	return good && part(out, ";" FOLD, date, "\r\n");
}

bool mail_received_append(const struct mail_received *received, struct buf *out)
{
	bool good = buf_append(out, SLICE("Received: "));
	good = good && (received->host_address.len ? from_host(received, out) : from_local(received, out));
	good = good && part(out, "by ", received->primary_hostname, " ");
	good = good && part(out, "with ", received->protocol, " ");
	good = good && part(out, " (", received->tls_version, ")");
	good = good && part(out, " tls ", received->cipher, FOLD);
	good = good && buf_append(out, SLICE("(Postern " POSTERN_VERSION ")" FOLD));
	good = good && part(out, "(envelope-from <", received->sender, ">)" FOLD);
	good = good && part(out, "id ", received->id, "");
	good = good && part(out, FOLD "for ", received->recipient, "");
	return good && buf_append(out, SLICE(";")) && part(out, FOLD, received->date, "") && buf_append(out, SLICE("\r\n"));
}
