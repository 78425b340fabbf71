# SPDX-License-Identifier: MIT
# Sourced by conformance tests: the kit on one backend, as TAP.
# shellcheck shell=sh

. "${top_srcdir:?}/tests/parts/tap.sh"
: "${top_builddir:?}"
at_end=:
kit_dir=$(mktemp -d "${TMPDIR:-/tmp}/hookbox-kit.XXXXXX") || exit 1
trap 'rm -rf "$kit_dir"; $at_end >/dev/null 2>&1' EXIT
trap 'exit 1' HUP INT TERM

# run_kit MODE <CONFIG: its sandbox is named "checked".
run_kit()
{
	file=$1
	[ "$1" = direct ] || file=$top_builddir/plugins/.libs/$1.so
	cat >"$kit_dir/hookbox.ini"
	"$top_builddir/core/hookbox" plugins check "$file" --plugin-dir "$top_builddir/plugins/.libs" \
		--config "$kit_dir/hookbox.ini" --sandbox checked --tap
}
