/* SPDX-License-Identifier: ISC */
/* The option log_selector: what log lines hold (Exim's manual, chapter 53 §15). */
#ifndef POSTERN_CONF_LOG_SELECTOR_H
#define POSTERN_CONF_LOG_SELECTOR_H

#include "base/buf.h"
#include "base/error.h"

/* A bit each. */
enum log_item {
	LOG_ITEM_8BITMIME = 1 << 0,
	LOG_ITEM_CONNECTION_REJECT = 1 << 1,
	LOG_ITEM_LOST_INCOMING_CONNECTION = 1 << 2,
	LOG_ITEM_MSG_ID = 1 << 3,
	LOG_ITEM_RECEIVED_RECIPIENTS = 1 << 4,
	LOG_ITEM_RECEIVED_SENDER = 1 << 5,
	LOG_ITEM_TLS_CERTIFICATE_VERIFIED = 1 << 6,
	LOG_ITEM_TLS_CIPHER = 1 << 7,
	LOG_ITEM_TLS_PEERDN = 1 << 8,
	LOG_ITEM_TLS_RESUMPTION = 1 << 9,
	LOG_ITEM_TLS_SNI = 1 << 10,
	LOG_ITEM_SMTP_PROTOCOL_ERROR = 1 << 11,
	LOG_ITEM_SMTP_SYNTAX_ERROR = 1 << 12,
	LOG_ITEM_SMTP_MAILAUTH = 1 << 13,
	LOG_ITEM_PROXY = 1 << 14,
	LOG_ITEM_DELAY_DELIVERY = 1 << 15,
	LOG_ITEM_QUEUE_RUN = 1 << 16,
};

/* What is logged without the option. */
unsigned log_selector_default(void);
/*
 * Changes *items by names with + or -, from left to right. False with *error for text of another form, for names that Exim does not
 * have, and for items that this version cannot add or leave out. "+all" adds what there is; *missing_r says that this is less than Exim's.
 */
bool log_selector_parse(struct slice text, unsigned *items, bool *missing_r, struct error *error);

#endif
