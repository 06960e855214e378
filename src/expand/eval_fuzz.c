/* SPDX-License-Identifier: ISC */
/* Arithmetic: no expression overflows, traps, or nests without end, and a result is the same when it is evaluated once more. */
#include "expand/eval.h"

#include "base/fatal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size);
	struct error error;
	int64_t value, again;
	if (expand_eval(text, false, &value, &error)) {
		char out[32];
		int len = snprintf(out, sizeof(out), "%jd", (intmax_t)value);
		/* The smallest number has no positive counterpart, so it cannot be written as one number with a sign. */
		ensure(value == INT64_MIN || (expand_eval(slice_make(out, (size_t)len), false, &again, &error) && again == value));
	}
	expand_eval(text, true, &value, &error);
	return 0;
}
