/* SPDX-License-Identifier: ISC */
/* The tables themselves, for option.c, which hands them out. */
#ifndef POSTERN_CONF_TABLES_H
#define POSTERN_CONF_TABLES_H

#include "conf/option.h"

extern const struct conf_table conf_table_main;
extern const struct conf_table conf_table_router, conf_table_router_accept;
extern const struct conf_table conf_table_transport, conf_table_transport_appendfile;

#endif
