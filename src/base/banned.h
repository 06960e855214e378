/* SPDX-License-Identifier: ISC */
/*
 * Functions that this tree does not use, because they write without a bound, parse without a check, or keep hidden state.
 * Included by force before every source file (see meson.build); a use is a compile error. What to call instead: the slice
 * and buffer functions of slice.h and buf.h, snprintf, and slice_parse_u64.
 */
#ifndef POSTERN_BASE_BANNED_H
#define POSTERN_BASE_BANNED_H

#include <stdio.h>  /* IWYU pragma: keep: the poisoned names must be declared first */
#include <stdlib.h> /* IWYU pragma: keep */
#include <string.h> /* IWYU pragma: keep */
#include <time.h>   /* IWYU pragma: keep */

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok strtok_r gets atoi atol atoll gmtime localtime
#pragma GCC poison asctime ctime tmpnam tempnam mktemp

#endif
