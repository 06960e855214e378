/* SPDX-License-Identifier: ISC */
/* What every unit test includes: cmocka with the headers that it wants before it, and a comparison of slices. */
#ifndef POSTERN_BASE_TEST_H
#define POSTERN_BASE_TEST_H

#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* That a slice holds just this text. */
#define assert_slice(value, text)                                    \
	do {                                                         \
		struct slice got_ = (value), want_ = slice_of(text); \
		if (!slice_equal(got_, want_))                       \
			fail_msg("expected \"%.*s\", got \"%.*s\"", SLICE_ARG(want_), SLICE_ARG(got_)); \
	} while (0)

#endif
