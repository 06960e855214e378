/* SPDX-License-Identifier: ISC */
/* Values with decimal fractions: load averages, and delays that grow (Exim's manual, chapter 6 §16 and smtp_ratelimit_hosts). */
#include "base/clock.h"
#include "conf/value.h"

#include <math.h>

enum { DECIMALS_MAX = 9 };

/* Digits, and a dot with digits behind it; at most `max`. */
static bool take_decimal(struct slice *rest, double max, double *number_r)
{
	double number = 0, unit = 1;
	size_t at = 0, digits = 0, decimals = 0;
	bool dot = false;
	for (; at < rest->len; at++) {
		char byte = rest->data[at];
		if (byte == '.' && !dot) {
			dot = true;
			continue;
		}
		if (!ascii_is_digit(byte))
			break;
		digits++;
		if (dot && ++decimals > DECIMALS_MAX)
			return false;
		if (dot)
			number += (byte - '0') * (unit /= 10);
		else if ((number = number * 10 + (byte - '0')) > max)
			return false;
	}
	if (!digits || number > max)
		return false;
	*rest = slice_from(*rest, at);
	*number_r = number;
	return true;
}

bool conf_value_fixed(struct slice text, struct conf_fixed *out_r, struct error *error)
{
	struct slice rest = text;
	double number;
	if (!take_decimal(&rest, 1e6, &number) || rest.len)
		return error_set(error, ERROR_USAGE, "expected a number that may have decimals, such as 7.5, up to 1000000; found \"%.*s\"",
				 SLICE_ARG(slice_first(text, 60)));
	*out_r = (struct conf_fixed){ .set = true, .value = number };
	return true;
}

/* "0.5s", "1m30s". */
static bool parse_delay(struct slice text, int64_t *ns_r)
{
	static const struct {
		char unit;
		double seconds;
	} units[] = { { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };
	double total = 0, number;
	if (!text.len)
		return false;
	while (text.len) {
		size_t unit = 0;
		if (!take_decimal(&text, 86400, &number))
			return false;
		while (unit < 3 && text.len && units[unit].unit != text.data[0])
			unit++;
		if (unit == 3 || !text.len)
			return false;
		total += number * units[unit].seconds;
		text = slice_from(text, 1);
	}
	*ns_r = (int64_t)llround(total * (double)CLOCK_SECOND);
	return total <= CONF_DELAY_MAX;
}

bool conf_value_delays(struct slice text, struct conf_delays *out_r, struct error *error)
{
	struct slice rest = text, threshold = slice_trim(slice_cut(&rest, ',')), initial = slice_trim(slice_cut(&rest, ',')),
		     factor = slice_trim(slice_cut(&rest, ',')), most = slice_trim(rest);
	struct conf_delays delays = { .set = true };
	uint64_t number = 0;
	const char *wrong = NULL;
	if (!slice_parse_u64(threshold, 1000000, &number))
		wrong = "the first is a number of commands";
	else if (!parse_delay(initial, &delays.initial))
		wrong = "the second is a time such as 0.5s, at most an hour";
	else if (!take_decimal(&factor, 1000, &delays.factor) || factor.len || delays.factor < 1)
		wrong = "the third is a factor such as 1.05, from 1 to 1000";
	else if (!parse_delay(most, &delays.most))
		wrong = "the fourth is a time such as 4m, at most an hour";
	if (wrong)
		return error_set(error, ERROR_USAGE, "expected four values with commas between them, such as 2,0.5s,1.05,4m: %s", wrong);
	delays.threshold = (uint32_t)number;
	*out_r = delays;
	return true;
}
