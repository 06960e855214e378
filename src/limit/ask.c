/* SPDX-License-Identifier: ISC */
#include "limit/ask.h"

#include <math.h>
#include <string.h>

/* The packed numbers; without padding, and both of LIMIT_PACKED_MAX at most. */
struct rate_numbers {
	double limit, count;
	int64_t period;
	uint32_t update, unique;
};

struct seen_numbers {
	int64_t interval, refresh;
	uint32_t before, write;
};

_Static_assert(sizeof(struct rate_numbers) == 32 && sizeof(struct seen_numbers) == 24, "no padding");
_Static_assert(sizeof(struct rate_numbers) <= LIMIT_PACKED_MAX, "it fits");

struct expand_request limit_rate_request(const struct limit_rate *rate, struct limit_packed *packed)
{
	const struct rate_numbers numbers = { rate->limit, rate->count, rate->period, rate->update, rate->unique };
	memcpy(packed->bytes, &numbers, sizeof numbers);
	packed->event = rate->event;
	return (struct expand_request){
		.service = EXPAND_SERVICE_RATE, .key = rate->key, .key_tainted = true, .type = slice_make(packed->bytes, sizeof numbers),
		.options = &packed->event, .option_count = rate->unique,
	};
}

struct expand_request limit_seen_request(const struct limit_seen *seen, struct limit_packed *packed)
{
	const struct seen_numbers numbers = { seen->interval, seen->refresh, seen->before, seen->write };
	memcpy(packed->bytes, &numbers, sizeof numbers);
	return (struct expand_request){
		.service = EXPAND_SERVICE_SEEN, .key = seen->key, .key_tainted = true, .type = slice_make(packed->bytes, sizeof numbers),
	};
}

bool limit_rate_answered(const struct expand_answer *answer, double *rate_r)
{
	if (answer->text.len != sizeof *rate_r)
		return false;
	memcpy(rate_r, answer->text.data, sizeof *rate_r);
	return isfinite(*rate_r) && *rate_r >= 0;
}

bool limit_is_asked(const struct expand_request *request)
{
	return request->service == EXPAND_SERVICE_RATE || request->service == EXPAND_SERVICE_SEEN;
}

static bool not_negative(double number)
{
	return isfinite(number) && number >= 0;
}

static bool unpack_rate(const struct expand_request *request, struct limit_rate *rate_r)
{
	struct rate_numbers numbers;
	if (request->type.len != sizeof numbers)
		return false;
	memcpy(&numbers, request->type.data, sizeof numbers);
	*rate_r = (struct limit_rate){ request->key, numbers.limit, numbers.count, numbers.period, (enum limit_update)numbers.update,
				       numbers.unique == 1, { 0 } };
	if (rate_r->unique && request->option_count == 1)
		rate_r->event = request->options[0];
	return not_negative(numbers.limit) && not_negative(numbers.count) && numbers.period >= 1 && numbers.update <= LIMIT_READONLY &&
	       numbers.unique <= 1 && request->option_count == numbers.unique;
}

static bool unpack_seen(const struct expand_request *request, struct limit_seen *seen_r)
{
	struct seen_numbers numbers;
	if (request->type.len != sizeof numbers)
		return false;
	memcpy(&numbers, request->type.data, sizeof numbers);
	*seen_r = (struct limit_seen){ request->key, numbers.interval, numbers.before == 1, (enum limit_write)numbers.write, numbers.refresh };
	return numbers.interval >= 0 && numbers.refresh >= 0 && numbers.before <= 1 && numbers.write <= LIMIT_WRITE_ALWAYS;
}

enum expand_result limit_answer(struct limit_table *table, const struct expand_request *request, int64_t now, struct arena *arena,
				struct expand_answer *answer_r, struct error *error)
{
	struct limit_rate rate;
	struct limit_seen seen;
	*answer_r = (struct expand_answer){ 0 };
	if (request->service == EXPAND_SERVICE_RATE && unpack_rate(request, &rate)) {
		double measured = limit_rate(table, &rate, now);
		answer_r->found = !(measured < rate.limit);
		answer_r->text = arena_copy(arena, slice_make(&measured, sizeof measured));
		return EXPAND_OK;
	}
	if (request->service == EXPAND_SERVICE_SEEN && unpack_seen(request, &seen)) {
		answer_r->found = limit_seen(table, &seen, now);
		return EXPAND_OK;
	}
	error_set(error, ERROR_PERMANENT, "malformed question about a rate");
	return EXPAND_FAIL;
}
