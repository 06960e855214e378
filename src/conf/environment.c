/* SPDX-License-Identifier: ISC */
#include "conf/environment.h"

#include <unistd.h>

enum { NAME_MAX_LENGTH = 256 };

bool environment_keeps(const struct conf_main *conf, struct slice name)
{
	for (size_t i = 0; i < conf->keep_environment.count; i++) {
		struct slice item = conf->keep_environment.items[i];
		bool starts = item.len && item.data[item.len - 1] == '*', ends = item.len && item.data[0] == '*';
		if (slice_equal(item, name) || (starts && slice_starts(name, slice_first(item, item.len - 1))))
			return true;
		struct slice rest = slice_from(item, 1);
		if (ends && name.len >= rest.len && slice_equal(slice_from(name, name.len - rest.len), rest))
			return true;
	}
	return false;
}

void environment_apply(const struct conf_main *conf)
{
	char name[NAME_MAX_LENGTH];
	size_t at = 0;
	while (environ && environ[at]) {
		struct slice entry = slice_of(environ[at]);
		struct slice before = slice_first(entry, slice_find(entry, '='));
		/* What has no name, or one longer than any that an expansion can mean, is harmless and stays. */
		/* TZ is the server's own time zone. */
		if (environment_keeps(conf, before) || slice_equal(before, SLICE("TZ")) || !before.len || !slice_to_cstr(before, name, sizeof name) || unsetenv(name) < 0)
			at++;
	}
	for (size_t i = 0; i < conf->add_environment.count; i++) {
		struct slice value = conf->add_environment.items[i], key = slice_cut(&value, '=');
		struct arena arena;
		arena_init(&arena, 0);
		if (key.len && slice_to_cstr(key, name, sizeof name))
			setenv(name, arena_cstr(&arena, value), 1);
		arena_free(&arena);
	}
}
