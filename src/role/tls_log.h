/* SPDX-License-Identifier: ISC */
/* What log lines tell of TLS, in Exim's form: " X=TLS1.3:TLS_AES_256_GCM_SHA384:256* CV=yes DN="/CN=client" SNI=mx.example.org". */
#ifndef POSTERN_ROLE_TLS_LOG_H
#define POSTERN_ROLE_TLS_LOG_H

#include "base/slice.h"

struct tls_log {
	struct slice cipher; /* empty: in clear, and nothing is told */
	struct slice peer_name, server_name;
	bool verified, resumed;
};

enum { TLS_LOG_MAX = 1024 };

/* With a blank before each field; `items` are those of conf/log_selector.h. Written to `out`, which is returned. */
const char *tls_log_fields(const struct tls_log *log, unsigned items, char out[TLS_LOG_MAX]);

#endif
