/* SPDX-License-Identifier: ISC */
#include "expand/moment.h"

#include "base/clock.h"

#include <sys/sysinfo.h>

/* Without a file: those who ask may be confined. */
double expand_moment_load(void)
{
	struct sysinfo info;
	return sysinfo(&info) < 0 ? 0 : (double)info.loads[0] / (1 << SI_LOAD_SHIFT);
}

bool expand_moment_variable(enum expand_variable variable, int64_t now, struct arena *arena, struct slice *text_r)
{
	static const struct {
		enum expand_variable variable;
		size_t (*format)(time_t when, char *out, size_t size);
	} formats[] = {
		{ EXPAND_TOD_FULL, clock_format_rfc5322 }, { EXPAND_TOD_LOG, clock_format_log }, { EXPAND_TOD_BSDINBOX, clock_format_mbox },
		{ EXPAND_TOD_LOGFILE, clock_format_day },  { EXPAND_TOD_ZONE, clock_format_zone }, { EXPAND_TOD_ZULU, clock_format_zulu },
	};
	char text[64];
	if (variable == EXPAND_LOAD_AVERAGE) {
		*text_r = arena_printf(arena, "%.0f", expand_moment_load() * 1000);
		return true;
	}
	if (variable == EXPAND_TOD_EPOCH || variable == EXPAND_TOD_EPOCH_L) {
		*text_r = arena_printf(arena, "%lld", (long long)(now / (variable == EXPAND_TOD_EPOCH ? CLOCK_SECOND : 1000)));
		return true;
	}
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		if (formats[i].variable != variable)
			continue;
		size_t len = formats[i].format((time_t)(now / CLOCK_SECOND), text, sizeof text);
		*text_r = arena_copy(arena, slice_make(text, len));
		return true;
	}
	return false;
}
