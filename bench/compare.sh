#!/bin/sh
# SPDX-License-Identifier: ISC
# compare.sh [ARGUMENTS of compare.py]: Postern, Postfix and Exim side by side in one run; prints a table with ratios.
exec /usr/bin/python3 "$(dirname "$0")/compare.py" "$@"
