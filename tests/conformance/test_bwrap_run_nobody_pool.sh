#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on bwrap_run once more: an unprivileged user's sandboxes wait, each with a socket.
. "${top_srcdir:?}/tests/parts/kit.sh"
. "$top_srcdir/tests/parts/bwrap.sh"

need_bwrap
become_nobody "$kit_dir"
cp "$top_builddir/core/agent/hookbox-agent" "$kit_dir/" && chmod 755 "$kit_dir/hookbox-agent" || exit 1
cat >"$kit_dir/hookbox.ini" <<'END'
[sandbox checked]
mode = bwrap_run
pool = 4
END
# shellcheck disable=SC2086 # a list of words
$as_nobody HOOKBOX_AGENT_DIR="$kit_dir" "$kit_dir/hookbox" plugins check "$kit_dir/bwrap_run.so" \
	--plugin-dir "$kit_dir" --config "$kit_dir/hookbox.ini" --sandbox checked --tap
