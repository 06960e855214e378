/* SPDX-License-Identifier: ISC */
/* The tables themselves, for option.c, which hands them out. */
#ifndef POSTERN_CONF_TABLES_H
#define POSTERN_CONF_TABLES_H

#include "conf/option.h"

extern const struct conf_table conf_table_main;
extern const struct conf_table conf_table_router, conf_table_router_accept;
extern const struct conf_table conf_table_transport, conf_table_transport_appendfile;
extern const struct conf_table conf_table_authenticator, conf_table_plaintext, conf_table_cram_md5, conf_table_scram, conf_table_external,
	conf_table_tls_authenticator;

#endif
