/* SPDX-License-Identifier: ISC */
/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), for the records of the spool and the headers of proxies. Uses the processor's instruction where it has one. */
#ifndef POSTERN_BASE_CRC32C_H
#define POSTERN_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues from `crc` (0 at the start); feeding a text in parts gives the same as in one. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
