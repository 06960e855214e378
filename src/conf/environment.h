/* SPDX-License-Identifier: ISC */
/* The environment of expansions and of the commands that they run: keep_environment and add_environment. */
#ifndef POSTERN_CONF_ENVIRONMENT_H
#define POSTERN_CONF_ENVIRONMENT_H

#include "conf/conf.h"

/* Whether keep_environment lets a variable of this name stay. */
bool environment_keeps(const struct conf_main *conf, struct slice name);
/* Removes from this process's environment what is not kept, and adds what is to be added. Not beside other threads. */
void environment_apply(const struct conf_main *conf);

#endif
