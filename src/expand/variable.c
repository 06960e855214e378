/* SPDX-License-Identifier: ISC */
/* Names of variables, and what is known of a name that is none. The table itself is in variable_table.c. */
#include "expand/variable_table.h"

#include "base/fatal.h"

/* Variables of Exim's for parts that this server does not have, or not yet; "_" at the end stands for all that begin so. */
static const char *const foreign[] = {
	"av_failed", "compile_number", "dkim_", "dmarc_", "initial_cwd", "ldap_dn", "local_scan_data", "mailstore_basename",
	"mime_decoded_filename", "n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9",
	"sn0", "sn1", "sn2", "sn3", "sn4", "sn5", "sn6", "sn7", "sn8", "sn9", "spf_",
	"thisaddress", "demime_", "event_", "arc_",
};

bool expand_variable_is_foreign(struct slice name)
{
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
		struct slice row = slice_of(foreign[i]);
		bool family = row.data[row.len - 1] == '_';
		if (family ? slice_starts(name, row) && name.len > row.len : slice_equal(name, row))
			return true;
	}
	return false;
}

const struct expand_variable_info *expand_variables(size_t *count_r)
{
	*count_r = expand_variable_rows;
	return expand_variable_table;
}

const struct expand_variable_info *expand_variable_find(struct slice name)
{
	for (size_t i = 0; i < expand_variable_rows; i++)
		if (slice_equal(slice_of(expand_variable_table[i].name), name))
			return &expand_variable_table[i];
	return NULL;
}

const char *expand_variable_name(enum expand_variable variable)
{
	size_t i = 0;
	while (i < expand_variable_rows && expand_variable_table[i].variable != variable)
		i++;
	ensure(i < expand_variable_rows);
	return expand_variable_table[i].name;
}

const char *expand_variable_nearest(struct slice name)
{
	const char *nearest = NULL;
	size_t best = name.len / 3 + 1; /* a third of the letters wrong is still a typing error */
	for (size_t i = 0; i < expand_variable_rows; i++) {
		size_t distance = slice_edit_distance(name, slice_of(expand_variable_table[i].name));
		if (distance <= best && (!nearest || distance < best)) {
			best = distance;
			nearest = expand_variable_table[i].name;
		}
	}
	return nearest;
}

const char *expand_place_text(enum expand_place place)
{
	static const char *const texts[EXPAND_PLACES] = {
		[EXPAND_PLACE_LOAD] = "while the configuration is read",
		[EXPAND_PLACE_CONNECTION] = "while a client is connected",
		[EXPAND_PLACE_ENVELOPE] = "while an address is checked",
		[EXPAND_PLACE_DELIVERY] = "while an address is routed or delivered",
		[EXPAND_PLACE_COMMAND] = "in `postern expand`, not yet in the server: a configuration that uses it is refused",
	};
	return texts[place];
}
