#!/bin/sh
# SPDX-License-Identifier: MIT
# The benchmark measures all that it should with what is here, what it writes is what its readers
# expect, and that can be drawn. How fast anything is, is none of this test's business.
. "${top_srcdir:?}/tests/parts/tap.sh"

: "${top_builddir:?}"
bench=$top_srcdir/tests/bench
if [ "${HOOKBOX_TEST_PARTS-}" = none ]; then
	parts=
else
	parts='bwrap engine'
fi
command -v python3 >/dev/null || skip_all "no python3"

tap_dir
# bwrap_run's user 65534 has to reach the hook.
chmod 711 "$dir"
said=$(cd "$top_builddir" && MAKEFLAGS='' make tests/bench/bench tests/bench/floor tests/bench/hook 2>&1)
is "$?" 0 "it builds"
[ -x "$top_builddir/tests/bench/bench" ] || tap_note "$said"

# run_bench FLAG...: $status, and what was said in $dir/out and $dir/err; its image was $image.
run_bench()
{
	BENCH_PARTS=$parts TMPDIR=$dir sh "$bench/run.sh" "$@" >"$dir/out" 2>"$dir/err" &
	image=hookbox-bench:$!
	wait $!
	status=$?
}

# asked EXPRESSION: prints what it is of the JSON, `bench`, in Python.
asked()
{
	python3 -c 'import json, sys
bench = json.load(open(sys.argv[1], encoding="utf-8"))
rows = {row["id"]: row for row in bench["rows"]}
print(eval(f"({sys.argv[2]})"))' "$dir/bench.json" "$1" 2>&1
}

run_bench --runs 4 --json "$dir/bench.json"
is "$status/$(cat "$dir/err")" 0/ "it measures"
[ "$status" = 0 ] || tap_note "$(tail -n 5 "$dir/out")"
is "$(asked 'sorted(bench["subjects"])')" "['crowd', 'latency', 'load', 'memory', 'pool', 'stream']" \
	"all of its subjects"
is "$(asked '[name for name in ("date", "cpu", "cpus", "kernel", "runs", "hookbox") if not bench[name]]')" \
	"[]" "and says where and when"
is "$(asked '[id for id in ("floor", "direct", "open", "load.floor.1", "load.direct.256",
	"stream.both.direct.65536", "memory.endless.host") if id not in rows]')" "[]" "rows of this machine alone"
is "$(asked '[row["id"] for row in bench["rows"] if not row["value"] >= 0 or not row["title"] or
	row["unit"] not in ("us", "calls/s", "MB/s", "KiB", "boxes/s", "calls")]')" "[]" \
	"every row has a value, a title and a unit"
is "$(asked '[row["id"] for row in bench["rows"] if ("ratio" in row) != ("base_value" in row) or
	("met" in row) != ("at_most" in row or "at_least" in row)]')" "[]" \
	"ratios and bars are whole"
is "$(asked 'rows["direct"]["at_most"], rows["direct"]["base"]')" "(1.15, 'F')" "the bar of direct"
is "$(asked '[row["id"] for row in bench["rows"] if "p99" in row and
	not row["value"] <= row["p90"] <= row["p99"]]')" "[]" "percentiles are in order"
is "$(asked '"/" in "".join(str(bench[name]) for name in ("cpu", "kernel", "date")) or
	any("/tmp" in json.dumps(row) for row in bench["rows"])')" False "no paths are told"
is "$(grep -c '^direct  .* x F .*met$\|^direct  .* x F .*NOT MET$' "$dir/out")" 1 \
	"people are shown the same, with the bar"

if [ -n "$parts" ] && docker info >/dev/null 2>&1; then
	is "$(asked '[id for id in ("docker_exec.one_off", "docker_exec.channel", "docker_run.pool",
		"docker_run.pool.p99", "docker_run.miss", "pool.docker_run.refill", "pool.docker_run.keeper",
		"load.docker_exec.channel.64.floor", "load.docker_exec.channel.64.by_hand",
		"stream.both.docker_exec.channel.65536", "stream.small.beside.p99", "memory.docker_exec.cli",
		"memory.stream.host", "crowd.correct") if id not in rows]')" "[]" "rows of the engine"
	is "$(asked 'rows["crowd.in_flight"]["value"], rows["crowd.correct"]["value"]')" "(1000.0, 1000.0)" \
		"a thousand calls are in flight at once, and all are right"
	is "$(docker ps -a --format '{{.Image}}' | grep -cxF "$image"; docker image ls -q "$image")" 0 \
		"no container and no image is left"
else
	skip "rows of the engine" "no Docker engine answers"
fi
like "$(asked '[skip["id"] for skip in bench["skipped"]]')" "*'kubectl_exec.channel'*" \
	"what is left out is named"

# ---- What becomes of it ----

cp "$top_srcdir/docs/performance.md" "$dir/page.md" && chmod u+w "$dir/page.md"
said=$(python3 "$bench/figures.py" page "$dir/bench.json" "$dir/page.md" 2>&1)
is "$?/$said" 0/ "the page can be made"
is "$(grep -c '^| direct | .* | at most 1.15 | ' "$dir/page.md")" 1 "it has the bars"
is "$(sed '/: made by "make bench-docs"/,/end of what is made/d' "$dir/page.md")" \
	"$(sed '/: made by "make bench-docs"/,/end of what is made/d' "$top_srcdir/docs/performance.md")" \
	"and what people wrote"
cp "$dir/page.md" "$dir/again.md"
python3 "$bench/figures.py" page "$dir/bench.json" "$dir/again.md"
cmp "$dir/page.md" "$dir/again.md"
ok $? "made twice it is the same"
grep -v '^<!-- bars' "$dir/page.md" >"$dir/torn.md"
like "$(python3 "$bench/figures.py" page "$dir/bench.json" "$dir/torn.md" 2>&1)" \
	"figures.py: *torn.md needs each of these parts once*" "a page that lacks a part is refused"

like "$(sh "$bench/plot.sh" "$dir/none.json" "$dir/out.svg" 2>&1)" \
	"plot.sh: $dir/none.json is not there; make bench-json measures it" "there is nothing to draw"
mkdir "$dir/bin"
for tool in dirname sh; do
	ln -s "$(command -v $tool)" "$dir/bin/$tool"
done
like "$(PATH=$dir/bin sh "$bench/plot.sh" "$dir/bench.json" "$dir/out.svg" 2>&1)" \
	"plot.sh: there is no gnuplot; install gnuplot-nox" "there is nothing to draw with"
if command -v gnuplot >/dev/null; then
	said=$(TMPDIR=$dir sh "$bench/plot.sh" "$dir/bench.json" "$dir/out.svg" 2>&1)
	is "$?/$said" 0/ "it can be drawn"
	is "$(python3 -c 'import sys, xml.dom.minidom
print(xml.dom.minidom.parse(sys.argv[1]).documentElement.tagName)' "$dir/out.svg" 2>&1)" svg "as SVG"
	is "$(grep -c '<text>direct</text>' "$dir/out.svg")" 3 "each of its plots has direct"
elif [ "${HOOKBOX_REQUIRE-}" = all ] && [ -n "$parts" ]; then
	ok 1 "required: gnuplot"
else
	skip "it can be drawn" "no gnuplot"
fi
tap_done
