/* SPDX-License-Identifier: ISC */
/* Why connections end: what the log says of each reason, and what an ACL is told (Exim's manual, chapter 44 §11: $smtp_notquit_reason). */
#include "smtp/server.h"

#include "base/fatal.h"

static const char lost[] = "connection-lost", bad_commands[] = "bad-commands", bad_sync[] = "synchronization-error", tls_failed[] = "tls-failed",
		  ended[] = "signal-exit";

static const struct {
	const char *text;    /* "": whoever ends it says why */
	const char *notquit;
} ends[SMTP_ENDS] = {
	[SMTP_END_NONE] = { "", "" },
	[SMTP_END_QUIT] = { "QUIT", "" },
	[SMTP_END_LOST] = { "connection lost", lost },
	[SMTP_END_COMMAND_TIMEOUT] = { "SMTP command timeout", "command-timeout" },
	[SMTP_END_DATA_TIMEOUT] = { "SMTP data timeout", "data-timeout" },
	[SMTP_END_TLS_FAILED] = { "TLS failed", tls_failed },
	[SMTP_END_SHUTDOWN] = { "shutdown", ended },
	[SMTP_END_EARLY_INPUT] = { "", bad_sync },
	[SMTP_END_UNSYNCHRONIZED] = { "SMTP protocol synchronization error (next input sent too soon: pipelining was not advertised)", bad_sync },
	[SMTP_END_UNSYNCHRONIZED_GROUP] = { "SMTP protocol synchronization error (next input sent too soon: pipelining was advertised)", bad_sync },
	[SMTP_END_UNSYNCHRONIZED_AUTH] = { "SMTP protocol synchronization error (next input sent too soon: within AUTH)", bad_sync },
	[SMTP_END_CLEAR_AFTER_STARTTLS] = { "input sent in clear after STARTTLS", tls_failed },
	[SMTP_END_NO_TLS] = { "STARTTLS was accepted, but no TLS followed", tls_failed },
	[SMTP_END_ERRORS] = { "too many syntax or protocol errors", bad_commands },
	[SMTP_END_UNKNOWN_COMMANDS] = { "too many unrecognized commands", bad_commands },
	[SMTP_END_NONMAIL_COMMANDS] = { "too many nonmail commands", bad_commands },
	[SMTP_END_COMMANDS_WITHOUT_TLS] = { "too many commands after TLS failed", bad_commands },
	[SMTP_END_COMMANDS_WITHOUT_CLIENT] = { "too many commands after PROXY negotiation failed", bad_commands },
	[SMTP_END_HELOS] = { "too many HELO or EHLO commands", bad_commands },
	[SMTP_END_MAILS] = { "too many MAIL commands without a message", bad_commands },
	[SMTP_END_REJECTED_RECIPIENTS] = { "too many rejected recipients", bad_commands },
	[SMTP_END_LONG_LINE] = { "command line too long", lost },
	[SMTP_END_LONG_AUTH_LINE] = { "AUTH line too long", lost },
	[SMTP_END_NUL_IN_COMMAND] = { "NUL in SMTP command", lost },
	[SMTP_END_CR_IN_COMMAND] = { "bare CR in SMTP command", lost },
	[SMTP_END_LF_IN_COMMAND] = { "bare LF in SMTP command", lost },
	[SMTP_END_NUL_IN_MESSAGE] = { "NUL character in message", lost },
	[SMTP_END_CR_IN_MESSAGE] = { "bare CR in message", lost },
	[SMTP_END_LF_IN_MESSAGE] = { "bare LF in message", lost },
	[SMTP_END_BDAT_UNADVERTISED] = { "BDAT used when not advertised", lost },
	[SMTP_END_BDAT_MALFORMED] = { "malformed BDAT command", lost },
	[SMTP_END_REFUSED_MESSAGE] = { "refused message went on for too long", lost },
	[SMTP_END_REFUSED_CHUNK] = { "refused chunk is too large to be read to its end", lost },
	[SMTP_END_NO_ROOM] = { "no room for replies", lost },
	[SMTP_END_PROXY_REFUSED] = { "PROXY protocol header from a host that hosts_proxy does not list", lost },
	[SMTP_END_421] = { "421 given", lost },
	[SMTP_END_ACL] = { "closed by DROP in ACL", "acl-drop" },
	[SMTP_END_TURNED_AWAY] = { "", lost },
};

const char *smtp_end_text(enum smtp_end end)
{
	ensure(end < SMTP_ENDS);
	return ends[end].text;
}

const char *smtp_end_notquit(enum smtp_end end)
{
	ensure(end < SMTP_ENDS);
	return ends[end].notquit;
}
