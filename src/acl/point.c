/* SPDX-License-Identifier: ISC */
/* The points at which ACLs are run: their options, and the codes of the replies (Exim's manual, chapter 44 §2 and §13). */
#include "acl/private.h"

static const struct acl_point_info points[ACL_POINTS] = {
	[ACL_POINT_CONNECT] = { "connection", "acl_smtp_connect", 220, 550, false, false },
	[ACL_POINT_HELO] = { "EHLO or HELO", "acl_smtp_helo", 250, 550, false, false },
	[ACL_POINT_STARTTLS] = { "STARTTLS", "acl_smtp_starttls", 220, 550, false, false },
	[ACL_POINT_AUTH] = { "AUTH", "acl_smtp_auth", 0, 503, false, false },
	[ACL_POINT_MAIL] = { "MAIL", "acl_smtp_mail", 250, 550, false, true },
	[ACL_POINT_MAILAUTH] = { "MAILAUTH", "acl_smtp_mailauth", 0, 550, false, false },
	[ACL_POINT_RCPT] = { "RCPT", "acl_smtp_rcpt", 250, 550, false, true },
	[ACL_POINT_PREDATA] = { "PREDATA", "acl_smtp_predata", 354, 550, false, false },
	[ACL_POINT_DATA] = { "DATA", "acl_smtp_data", 250, 550, false, true },
	[ACL_POINT_PRDR] = { "PRDR", "acl_smtp_data_prdr", 250, 550, false, true },
	[ACL_POINT_MIME] = { "MIME", "acl_smtp_mime", 0, 550, false, true },
	[ACL_POINT_DKIM] = { "DKIM", "acl_smtp_dkim", 0, 550, false, true },
	[ACL_POINT_ETRN] = { "ETRN", "acl_smtp_etrn", 250, 458, false, false },
	[ACL_POINT_EXPN] = { "EXPN", "acl_smtp_expn", 250, 550, false, false },
	[ACL_POINT_VRFY] = { "VRFY", "acl_smtp_vrfy", 250, 252, false, false },
	[ACL_POINT_QUIT] = { "QUIT", "acl_smtp_quit", 221, 221, true, false },
	[ACL_POINT_NOTQUIT] = { "NOTQUIT", "acl_smtp_notquit", 0, 0, true, false },
	[ACL_POINT_NOT_SMTP_START] = { "non-SMTP-start", "acl_not_smtp_start", 0, 0, false, true },
	[ACL_POINT_NOT_SMTP] = { "non-SMTP", "acl_not_smtp", 0, 0, false, true },
	[ACL_POINT_NOT_SMTP_MIME] = { "non-SMTP MIME", "acl_not_smtp_mime", 0, 0, false, true },
	/* An ACL that an expansion calls may do anything that it could do where the expansion stands. */
	[ACL_POINT_EXPANSION] = { "expansion", "${acl", 0, 0, false, true },
};

const struct acl_point_info *acl_point_info(enum acl_point point)
{
	return &points[point];
}
