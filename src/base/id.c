/* SPDX-License-Identifier: ISC */
#include "base/id.h"

#include "base/clock.h"

#include <string.h>
#include <unistd.h>

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
enum { TICKS = 62 * 62 };

static void put_base62(char *out, size_t width, uint64_t value)
{
	while (width > 0) {
		out[--width] = digits[value % 62];
		value /= 62;
	}
}

struct message_id message_id_make(struct message_id_source *source)
{
	uint64_t wall = (uint64_t)clock_wall_now();
	uint64_t second = wall / CLOCK_SECOND, within = wall % CLOCK_SECOND;
	uint64_t tick = second * TICKS + within * TICKS / CLOCK_SECOND;
	if (tick <= source->last)
		tick = source->last + 1;
	source->last = tick;

	struct message_id id = { .text = "000000-000000-00" };
	put_base62(id.text, 6, tick / TICKS);
	put_base62(id.text + 7, 6, (uint64_t)getpid());
	put_base62(id.text + 14, 2, tick % TICKS);
	return id;
}

bool message_id_valid(struct slice s)
{
	if (s.len != MESSAGE_ID_LEN)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		bool dash = i == 6 || i == 13;
		if (dash ? s.data[i] != '-' : !ascii_is_alnum(s.data[i]))
			return false;
	}
	return true;
}

bool queue_name_valid(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_alnum(s.data[i]) && s.data[i] != '_' && s.data[i] != '-')
			return false;
	return s.len > 0 && s.len <= QUEUE_NAME_MAX;
}

int64_t message_id_seconds(const struct message_id *id)
{
	int64_t value = 0;
	for (size_t i = 0; i < 6; i++)
		value = value * 62 + (strchr(digits, id->text[i]) - digits);
	return value;
}
