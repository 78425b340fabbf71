#!/bin/sh
# SPDX-License-Identifier: MIT
# make bench-plot: plot.sh BENCH.JSON OUT.SVG draws what was measured.
json=$1 svg=$2
here=$(dirname "$0")

fail()
{
	echo "plot.sh: $1" >&2
	exit 1
}

[ $# = 2 ] || fail "usage: plot.sh BENCH.JSON OUT.SVG"
[ -r "$json" ] || fail "$json is not there; make bench-json measures it"
command -v gnuplot >/dev/null || fail "there is no gnuplot; install gnuplot-nox"
command -v python3 >/dev/null || fail "there is no python3; install it"
dir=$(mktemp -d "${TMPDIR:-/tmp}/hookbox-plot.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
# A word that is not ASCII is a warning to gnuplot in a locale that has none.
LC_ALL=C.UTF-8
export LC_ALL
python3 "$here/figures.py" data "$json" "$dir" || exit 1
gnuplot -e "dir='$dir'; out='$dir/svg'" "$here/plot.gp" || fail "gnuplot cannot draw $json"
# gnuplot succeeds even when it could not write.
[ -s "$dir/svg" ] && cp "$dir/svg" "$svg" || fail "$svg cannot be written"
