/* SPDX-License-Identifier: ISC */
#include "role/tls_log.h"

#include "conf/log_selector.h"

#include <stdio.h>

struct line {
	char *out;
	size_t len;
};

static void add(struct line *line, const char *text)
{
	while (*text && line->len + 1 < TLS_LOG_MAX)
		line->out[line->len++] = *text++;
	line->out[line->len] = '\0';
}

/*
 * A peer's text must not end its field, for what would follow could be taken for other fields: within quotes quotes are escaped,
 * without them blanks. Control characters are left to base/log.h.
 */
static void add_peer_text(struct line *line, struct slice text, char end)
{
	for (size_t i = 0; i < text.len && line->len + 5 < TLS_LOG_MAX; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if (c == '"' && end == '"') {
			line->out[line->len++] = '\\';
			line->out[line->len++] = '"';
		} else if (c == ' ' && end == ' ') {
			line->len += (size_t)snprintf(line->out + line->len, 5, "\\040");
		} else if (c) {
			line->out[line->len++] = (char)c;
		}
	}
	line->out[line->len] = '\0';
}

const char *tls_log_fields(const struct tls_log *log, unsigned items, char out[TLS_LOG_MAX])
{
	struct line line = { out, 0 };
	out[0] = '\0';
	if (log->cipher.len == 0)
		return out;
	if (items & LOG_ITEM_TLS_CIPHER) {
		add(&line, " X=");
		add_peer_text(&line, log->cipher, ' ');
		add(&line, log->resumed && items & LOG_ITEM_TLS_RESUMPTION ? "*" : "");
	}
	if (items & LOG_ITEM_TLS_CERTIFICATE_VERIFIED)
		add(&line, log->verified ? " CV=yes" : " CV=no");
	if (items & LOG_ITEM_TLS_PEERDN && log->peer_name.len) {
		add(&line, " DN=\"");
		add_peer_text(&line, log->peer_name, '"');
		add(&line, "\"");
	}
	if (items & LOG_ITEM_TLS_SNI && log->server_name.len) {
		add(&line, " SNI=");
		add_peer_text(&line, log->server_name, ' ');
	}
	return out;
}
