#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on bwrap_run, as whoever runs this; with a number, out of a pool of so many.
. "${top_srcdir:?}/tests/parts/kit.sh"
. "$top_srcdir/tests/parts/bwrap.sh"

need_bwrap
run_kit bwrap_run <<END
[sandbox checked]
mode = bwrap_run
pool = ${1:-0}
END
