/* SPDX-License-Identifier: ISC */
/* The fields of OCSP proofs, for people and for programs. */
#ifndef POSTERN_CLI_OCSP_SHOW_H
#define POSTERN_CLI_OCSP_SHOW_H

#include "tls/ocsp.h"

/* Lines "name: value", or one JSON object. False when `out` is full. */
bool ocsp_show_text(OCSP_RESPONSE *proof, struct buf *out);
bool ocsp_show_json(OCSP_RESPONSE *proof, struct buf *out);

#endif
