#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on bwrap_run once more: calls find a sandbox that waits for them.
. "${top_srcdir:?}/tests/parts/kit.sh"
. "$top_srcdir/tests/parts/bwrap.sh"

need_bwrap
run_kit bwrap_run <<'END'
[sandbox checked]
mode = bwrap_run
pool = 4
END
