#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on the built-in backend.
. "${top_srcdir:?}/tests/parts/kit.sh"

run_kit direct <<'END'
[sandbox checked]
mode = direct
END
