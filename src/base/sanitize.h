/* SPDX-License-Identifier: ISC */
/* Which sanitizers this build has: gcc and clang say it in different ways. SANITIZED is 1 under AddressSanitizer, otherwise 0. */
#ifndef POSTERN_BASE_SANITIZE_H
#define POSTERN_BASE_SANITIZE_H

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#if SANITIZED
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

#endif
