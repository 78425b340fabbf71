#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on bwrap_run once more: as an unprivileged user, and with limits set.
. "${top_srcdir:?}/tests/parts/kit.sh"
. "$top_srcdir/tests/parts/bwrap.sh"

need_bwrap
become_nobody "$kit_dir"
cat >"$kit_dir/hookbox.ini" <<'END'
[sandbox checked]
mode = bwrap_run
memory = 2g
pids_limit = 200
END
# shellcheck disable=SC2086 # a list of words
$as_nobody "$kit_dir/hookbox" plugins check "$kit_dir/bwrap_run.so" --plugin-dir "$kit_dir" \
	--config "$kit_dir/hookbox.ini" --sandbox checked --tap
