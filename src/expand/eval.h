/* SPDX-License-Identifier: ISC */
/*
 * Integer arithmetic as ${eval:} has it: + - * / % & ^ | << >> ~ and parentheses, with the priorities of C, on 64-bit numbers.
 * Numbers are decimal, 0x... or 0... (octal), with K, M or G for powers of 1024.
 */
#ifndef POSTERN_EXPAND_EVAL_H
#define POSTERN_EXPAND_EVAL_H

#include "base/error.h"
#include "base/slice.h"

enum { EXPAND_EVAL_DEPTH_MAX = 100 }; /* of parentheses and signs */

/* `decimal`: all numbers are decimal, leading zeros or not. False with *error, which tells how far it came. */
bool expand_eval(struct slice text, bool decimal, int64_t *value_r, struct error *error);

#endif
