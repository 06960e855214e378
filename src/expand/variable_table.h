/* SPDX-License-Identifier: ISC */
/* The rows behind expand_variables(), for variable.c. */
#ifndef POSTERN_EXPAND_VARIABLE_TABLE_H
#define POSTERN_EXPAND_VARIABLE_TABLE_H

#include "expand/variable.h"

extern const struct expand_variable_info expand_variable_table[];
extern const size_t expand_variable_rows;

#endif
