/* SPDX-License-Identifier: ISC */
/*
 * Values as they are written: the scalar types of Exim's manual, chapter 6, sections 12 to 22. Texts in, plain values out;
 * what fails leaves the result untouched and says what was expected.
 */
#ifndef POSTERN_CONF_VALUE_H
#define POSTERN_CONF_VALUE_H

#include "base/arena.h"
#include "base/error.h"

struct conf_strings {
	const struct slice *items;
	size_t count;
};

/* A number with decimals. */
struct conf_fixed {
	double value;
	bool set;
};

/* Delays that grow: none for the first `threshold` commands, then `initial`, each further one `factor` times as long, at most `most`. */
struct conf_delays {
	uint32_t threshold;
	int64_t initial, most; /* ns */
	double factor;         /* at least 1 */
	bool set;
};

enum { CONF_DELAY_MAX = 3600 /* seconds */ };

/* Takes the quotes away and replaces the escapes, if the text begins with a double quote; otherwise it stays as it is. */
bool conf_value_unquote(struct arena *arena, struct slice text, struct slice *out_r, struct error *error);
/* "yes", "true", "no", "false", in any case. */
bool conf_value_bool(struct slice text, bool *out_r, struct error *error);
/* Decimal, 0 octal, 0x hexadecimal, a minus sign before it, and K, M or G after it. */
bool conf_value_integer(struct slice text, int64_t *out_r, struct error *error);
bool conf_value_octal(struct slice text, unsigned *out_r, struct error *error);
/* "1h30m" (base/interval.h), the units in any case, a century at most. */
bool conf_value_time(struct slice text, int64_t *seconds_r, struct error *error);
/* "7.5". */
bool conf_value_fixed(struct slice text, struct conf_fixed *out_r, struct error *error);
/* "2,0.5s,1.05,4m". */
bool conf_value_delays(struct slice text, struct conf_delays *out_r, struct error *error);
/* A colon-separated list, or with "<;" before it one separated otherwise; a doubled separator is one in an item. */
struct conf_strings conf_value_strings(struct arena *arena, struct slice text);

/* Back to text, as Exim prints it: "50M". `size` at least 40. Returns the length. */
size_t conf_format_integer(int64_t value, char *out, size_t size);

#endif
