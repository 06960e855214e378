/* SPDX-License-Identifier: ISC */
/* What is so at a moment: date and time, $tod_full and its kin, in the time zone of this process, and $load_average. */
#ifndef POSTERN_EXPAND_MOMENT_H
#define POSTERN_EXPAND_MOMENT_H

#include "base/arena.h"
#include "expand/variable.h"

/* The system's load average of the last minute; 0 when it cannot be had. */
double expand_moment_load(void);
/* False when the variable is none of these. `now` is in nanoseconds since the epoch (clock_wall_now). */
bool expand_moment_variable(enum expand_variable variable, int64_t now, struct arena *arena, struct slice *text_r);

#endif
