/* SPDX-License-Identifier: ISC */
/* The variables that the configuration itself gives. */
#include "conf/conf.h"

bool conf_variable(const struct conf *conf, enum expand_variable variable, struct slice *text_r)
{
	size_t slash = slice_find_last(conf->config_file, '/');
	switch (variable) {
	case EXPAND_PRIMARY_HOSTNAME: *text_r = conf->main.primary_hostname; return true;
	case EXPAND_QUALIFY_DOMAIN: *text_r = conf->main.qualify_domain; return true;
	case EXPAND_QUALIFY_RECIPIENT: *text_r = conf->main.qualify_recipient; return true;
	case EXPAND_SPOOL_DIRECTORY: *text_r = conf->main.spool_directory; return true;
	case EXPAND_CONFIG_FILE: *text_r = conf->config_file; return true;
	case EXPAND_CONFIG_DIR: *text_r = slash < conf->config_file.len ? slice_first(conf->config_file, slash) : SLICE("."); return true;
	case EXPAND_VERSION_NUMBER: *text_r = SLICE(POSTERN_VERSION); return true;
	default: return false;
	}
}
