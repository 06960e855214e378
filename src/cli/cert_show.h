/* SPDX-License-Identifier: ISC */
/* postern cert show: the fields of certificates, and whether a chain hangs together. */
#ifndef POSTERN_CLI_CERT_SHOW_H
#define POSTERN_CLI_CERT_SHOW_H

#include "cli/command.h"

/* argv[0] is "show". Returns an exit status. */
int cert_show(int argc, char **argv);

#endif
