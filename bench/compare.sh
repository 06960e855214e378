#!/bin/sh
# SPDX-License-Identifier: ISC
# compare.sh [ARGUMENTS of compare.py]: Postern and Postfix side by side in one run; prints a table with ratios.
exec /usr/bin/python3 "$(dirname "$0")/compare.py" "$@"
