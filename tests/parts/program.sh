# SPDX-License-Identifier: MIT
# Sourced by tests of the program: how it is run, and whether something of it was left.
# shellcheck shell=sh

: "${top_builddir:?}"
# Processes that hookbox started have this in their environment.
mark=HOOKBOX_TEST_MARK=$$.$(date +%s)
unset HOOKBOX_CONFIG HOOKBOX_PLUGIN_PATH

hookbox()
{
	env "$mark" "$top_builddir/core/hookbox" "$@"
}

# run WHATEVER...: the program's exit code in $status, its output in $out and $err.
# shellcheck disable=SC2034 # they are the callers'
run()
{
	hookbox "$@" >"${dir:?}/out" 2>"$dir/err"
	status=$?
	out=$(cat "$dir/out")
	err=$(cat "$dir/err")
}

# Processes that bear the mark.
marked()
{
	grep -lzsxF "$mark" /proc/[0-9]*/environ
}

nothing_marked()
{
	! marked >/dev/null
}

# nothing_left WHAT: one result.
nothing_left()
{
	marked >"$dir/marked"
	[ ! -s "$dir/marked" ]
	ok $? "nothing is left of $1"
	while IFS= read -r file; do
		tap_note "$file: $(tr '\0' ' ' <"${file%environ}cmdline" 2>&1)"
	done <"$dir/marked"
}
