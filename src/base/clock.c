/* SPDX-License-Identifier: ISC */
#include "base/clock.h"

#include "base/fatal.h"

#include <stdio.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec now;
	ensure(clock_gettime(id, &now) == 0);
	return (int64_t)now.tv_sec * CLOCK_SECOND + now.tv_nsec;
}

int64_t clock_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_now(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_after(int64_t interval)
{
	int64_t when;
	return __builtin_add_overflow(clock_now(), interval, &when) ? CLOCK_NEVER : when;
}

/* Not strftime's %a and %b: those follow the locale. */
static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

static struct tm local(time_t when)
{
	struct tm tm;
	ensure(localtime_r(&when, &tm) != NULL);
	return tm;
}

static size_t must_fit(size_t length)
{
	ensure(length > 0);
	return length;
}

size_t clock_format_zone(time_t when, char *out, size_t size)
{
	struct tm tm = local(when);
	long minutes = tm.tm_gmtoff / 60;
	long away = minutes < 0 ? -minutes : minutes;
	int n = snprintf(out, size, "%c%02ld%02ld", minutes < 0 ? '-' : '+', away / 60, away % 60);
	ensure(n > 0 && (size_t)n < size);
	return (size_t)n;
}

size_t clock_format_rfc5322(time_t when, char *out, size_t size)
{
	struct tm tm = local(when);
	int n = snprintf(out, size, "%s, %02d %s %d %02d:%02d:%02d ", days[tm.tm_wday % 7], tm.tm_mday, months[tm.tm_mon % 12],
			 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	ensure(n > 0 && (size_t)n < size);
	return (size_t)n + clock_format_zone(when, out + n, size - (size_t)n);
}

size_t clock_format_mbox(time_t when, char *out, size_t size)
{
	struct tm tm = local(when);
	int n = snprintf(out, size, "%s %s %2d %02d:%02d:%02d %d", days[tm.tm_wday % 7], months[tm.tm_mon % 12], tm.tm_mday, tm.tm_hour,
			 tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
	ensure(n > 0 && (size_t)n < size);
	return (size_t)n;
}

size_t clock_format_log(time_t when, char *out, size_t size)
{
	struct tm tm = local(when);
	return must_fit(strftime(out, size, "%Y-%m-%d %H:%M:%S", &tm));
}

size_t clock_format_day(time_t when, char *out, size_t size)
{
	struct tm tm = local(when);
	return must_fit(strftime(out, size, "%Y%m%d", &tm));
}

size_t clock_format_zulu(time_t when, char *out, size_t size)
{
	struct tm tm;
	ensure(gmtime_r(&when, &tm) != NULL);
	return must_fit(strftime(out, size, "%Y%m%d%H%M%SZ", &tm));
}

