/* SPDX-License-Identifier: ISC */
/* Clocks. Deadlines and intervals are nanoseconds of CLOCK_MONOTONIC; dates for people are CLOCK_REALTIME. */
#ifndef POSTERN_BASE_CLOCK_H
#define POSTERN_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_MS INT64_C(1000000)
#define CLOCK_SECOND INT64_C(1000000000)
#define CLOCK_NEVER INT64_MAX

int64_t clock_now(void);       /* monotonic, ns */
int64_t clock_wall_now(void);  /* since the epoch, ns */
/* now + interval, without overflow; CLOCK_NEVER stays so. */
int64_t clock_after(int64_t interval);

/* "Sat, 21 Nov 2026 10:00:00 +0000" (RFC 5322 §3.3), local time. `size` at least 40. Returns the length. */
size_t clock_format_rfc5322(time_t when, char *out, size_t size);
/* "2026-11-21 10:00:00", local time, as Exim stamps its log lines. `size` at least 24. */
size_t clock_format_log(time_t when, char *out, size_t size);
/* "Sat Nov 21 10:00:00 2026", local time, as mbox files have it. `size` at least 32. */
size_t clock_format_mbox(time_t when, char *out, size_t size);
/* "20261121", local time. */
size_t clock_format_day(time_t when, char *out, size_t size);
/* "20261121100000Z", UTC. */
size_t clock_format_zulu(time_t when, char *out, size_t size);
/* "+0100", the local time zone at that moment. */
size_t clock_format_zone(time_t when, char *out, size_t size);

#endif
