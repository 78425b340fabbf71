#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on bwrap_run, once more: root runs it as an unprivileged user, with
# limits set.
. "${top_srcdir:?}/tests/parts/kit.sh"
. "$top_srcdir/tests/parts/bwrap.sh"

need_bwrap
become_nobody "$kit_dir"
# Trusted are files of root's and of the caller's, and the build may be somebody else's.
cp "$top_builddir/plugins/.libs/bwrap_run.so" "$kit_dir/" && chmod 755 "$kit_dir" || exit 1
cat >"$kit_dir/hookbox.ini" <<'END'
[sandbox checked]
mode = bwrap_run
memory = 2g
pids_limit = 200
END
# shellcheck disable=SC2086 # a list of words
$as_nobody "$top_builddir/core/hookbox" plugins check "$kit_dir/bwrap_run.so" --plugin-dir "$kit_dir" \
	--config "$kit_dir/hookbox.ini" --sandbox checked --tap
