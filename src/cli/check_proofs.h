/* SPDX-License-Identifier: ISC */
/* What `postern check` says of OCSP proofs: the files of tls_ocsp_file, certificates that demand one, and what cannot be fetched. */
#ifndef POSTERN_CLI_CHECK_PROOFS_H
#define POSTERN_CLI_CHECK_PROOFS_H

#include "cli/check_certificates.h"

/* Of these certificates, and of proofs that are named without expansions. All of it are warnings: the server may be another machine. */
void check_proofs(const struct conf *conf, struct check_certificates *certificates, struct conf_problems *problems);

#endif
