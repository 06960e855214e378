/* SPDX-License-Identifier: ISC */
#include "base/crc32c.h"

#include <string.h>

static uint32_t crc_bytes(uint32_t crc, const unsigned char *p, size_t len)
{
	while (len--) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1u)));
	}
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_fast(uint32_t crc, const unsigned char *p, size_t len)
{
	uint64_t wide = crc;
	for (; len >= 8; len -= 8, p += 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (uint32_t)wide;
	for (; len; len--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}

static int have_fast(void)
{
	return __builtin_cpu_supports("sse4.2");
}
#else
/* Other processors take the plain form. */
static uint32_t crc_fast(uint32_t crc, const unsigned char *p, size_t len)
{
	return crc_bytes(crc, p, len);
}

static int have_fast(void)
{
	return 0;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	crc = ~crc;
	crc = have_fast() ? crc_fast(crc, data, len) : crc_bytes(crc, data, len);
	return ~crc;
}
