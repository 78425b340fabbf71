#!/bin/sh
# SPDX-License-Identifier: MIT
# hookbox exec: as transparent as it says.
# shellcheck disable=SC2016 # the $ are other shells'
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/program.sh"

tap_dir
cat >"$dir/hookbox.ini" <<'END'
[sandbox limited]
mode = direct
timeout_ms = 300
stdout_limit = 1000
END
export HOOKBOX_CONFIG="$dir/hookbox.ini"

run_direct()
{
	run exec --sandbox direct "$@"
}

# ---- What comes in and goes out ----

run_direct -- printf '%s|' 'a b' '' "it's" '$HOME' '-n' '
' </dev/null
is "$out" "a b||it's|\$HOME|-n|
|" "arguments arrive as they are"
run_direct sh -c 'echo to-out; echo to-err >&2' </dev/null
is "$out/$err" "to-out/to-err" "stdout and stderr stay apart, and -- can be left out"

printf '\000\377\r\n\200' >"$dir/in"
hookbox exec --sandbox direct -- cat <"$dir/in" >"$dir/out"
cmp "$dir/in" "$dir/out"
ok $? "bytes that are no text pass"

head -c 10485760 /dev/urandom >"$dir/big"
hookbox exec --sandbox direct -- cat <"$dir/big" >"$dir/out"
cmp "$dir/big" "$dir/out"
ok $? "10 MiB pass both ways, from file to file"
# shellcheck disable=SC2002 # pipes are the point
cat "$dir/big" | hookbox exec --sandbox direct -- sh -c 'cat >&2' 2>&1 >/dev/null | cat >"$dir/out"
cmp "$dir/big" "$dir/out"
ok $? "10 MiB pass both ways, from pipe to pipe, on stderr"
nothing_left "the streams"

ANIMAL="a cat" run_direct --env ANIMAL --env "FOOD=fish
and = more" --env NO_SUCH_VARIABLE -- sh -c 'printf %s "$ANIMAL/$FOOD/${NO_SUCH_VARIABLE-unset}"'
is "$out" "a cat/fish
and = more/unset" "--env passes on and sets"
run_direct --workdir / -- pwd
is "$out" / "--workdir is the directory"

# ---- Exit codes ----

for code in 0 1 2 42 124 125 126 127 128 137 255; do
	run_direct -- sh -c "exit $code"
	is "$status/$err" "$code/" "exit code $code is the command's"
done
for signal in 1 2 9 11 15; do
	run_direct -- sh -c "kill -$signal \$\$"
	is "$status" $((128 + signal)) "signal $signal is 128 + $signal"
done
run_direct -- no-such-command-at-all
is "$status" 127 "no such command: 127"
like "$err" "hookbox: *no-such-command-at-all*" "no such command is said"
run_direct -- /no/such/path
is "$status" 127 "no such path: 127"
: >"$dir/plain"
run_direct -- "$dir/plain"
is "$status" 126 "not executable: 126"
like "$err" "hookbox: *" "not executable is said"
run exec --sandbox nowhere -- true
is "$status" 125 "no such sandbox: 125"
like "$err" 'hookbox: no sandbox "nowhere"*' "no such sandbox is said"
run exec -c "$dir/none.ini" --sandbox direct -- true
is "$status" 125 "no such config: 125"

# ---- Ends ----

run_direct --timeout 200ms -- sh -c 'trap "" TERM; setsid sleep 1000 & sleep 1000'
is "$status" 124 "a timeout: 124"
like "$err" "hookbox: *200 ms*" "a timeout is said"
nothing_left "a call that timed out"
run exec --sandbox limited -- sleep 1000
is "$status" 124 "the sandbox's timeout counts"
run exec --sandbox limited --timeout 0 -- sleep 0.5
is "$status" 0 "--timeout 0: none"
run exec --sandbox limited -- head -c 1001 /dev/zero
is "$status" 125 "over the sandbox's stdout limit: 125"
like "$err" "hookbox: *1000 bytes*" "over the limit is said"
nothing_left "calls with limits"

# A command under way, in the background: $pid is hookbox, a file appears when the command runs.
begin()
{
	rm -f "$dir/begun"
	env "$mark" "$top_builddir/core/hookbox" exec --sandbox direct "$@" -- \
		sh -c "trap 'echo caught' TERM; setsid sleep 1000 & : >'$dir/begun'; wait; wait" \
		>"$dir/out" 2>"$dir/err" &
	pid=$!
	wait_for "the command to begin" test -e "$dir/begun"
}

for signal in 1 15; do
	begin
	kill -$signal "$pid"
	wait "$pid"
	is $? $((128 + signal)) "signal $signal to hookbox ends the call: 128 + $signal"
	nothing_left "a call that signal $signal ended"
done
# A shell ignores SIGINT for what it starts in the background, so the command itself sends it.
run_direct -- sh -c 'kill -INT $PPID; sleep 1000'
is "$status" 130 "SIGINT ends the call: 130"
nothing_left "a call that SIGINT ended"
(
	trap '' HUP
	run_direct -- sh -c 'kill -HUP $PPID; echo on'
	is "$status/$out" 0/on "a SIGHUP that is ignored (nohup) stays so"
) >"$dir/hup"
cat "$dir/hup"
tap_n=$((tap_n + 1))

begin --json
kill -s TERM "$pid"
wait "$pid"
like "$(cat "$dir/out")" '{"end":"cancelled",*' "a cancelled call has its JSON"

# ---- Outputs that take nothing ----

{
	hookbox exec --sandbox direct -- yes 2>"$dir/err"
	echo $? >"$dir/status"
} | head -c 1 >/dev/null
is "$(cat "$dir/status")/$(cat "$dir/err")" 141/ "a reader that goes away ends the call: 141"
nothing_left "a call whose reader went away"
hookbox exec --sandbox direct -- yes >/dev/full 2>"$dir/err"
is $? 125 "a full disk: 125"
like "$(cat "$dir/err")" "hookbox: the output cannot be written*" "a full disk is said"
nothing_left "a call on a full disk"
hookbox exec --sandbox direct -- echo something >/dev/full 2>"$dir/err"
is $? 125 "a full disk that is met after the command's end: 125"
hookbox exec --sandbox direct -- echo something >&- 2>"$dir/err"
is $? 125 "stdout is closed: 125"
hookbox exec --sandbox direct -- true >&- 2>"$dir/err"
is $? 0 "stdout is closed and not needed: 0"
is "$(hookbox exec --sandbox direct -- cat <&-)" "" "stdin is closed: it is empty"
hookbox exec --sandbox direct -- sh -c 'echo x >&2; exit 3' 2>&-
is $? 3 "stderr is closed: the command does not suffer"

# ---- JSON ----

run_direct --json -- sh -c 'printf "a\200"; echo text >&2; exit 3'
is "$status" 3 "--json: the same exit code"
like "$out" '{"end":"exited","status":3,*"stdout":"YYA=","stdout_encoding":"base64"*' \
	"--json: bytes that are no text are in base64"
like "$out" '*"stderr":"text\\n","stderr_encoding":"utf-8"*' "--json: text is text"
is "$err" "" "--json: nothing is streamed"
run_direct --json -- no-such-command-at-all
like "$status/$out" '127/{"end":"not started","errno":2,*' "--json: no such command"
run exec --json --sandbox nowhere -- true
like "$status/$out" '125/{"error":"no sandbox *' "--json: what hookbox fails at is in JSON"

# ---- Bad usage ----

bad_usage()
{
	what=$1
	shift
	run exec "$@"
	like "$status/$out/$err" "2//hookbox: * (see hookbox exec --help)" "bad usage: $what"
}

bad_usage "no sandbox" -- true
bad_usage "no command" --sandbox direct
bad_usage "no command behind --" --sandbox direct --
bad_usage "an unknown option" --sandbox direct --frobnicate -- true
bad_usage "an unknown letter" -z --sandbox direct -- true
bad_usage "no value" --sandbox
bad_usage "no time" --sandbox direct --timeout soon -- true
bad_usage "no name" --sandbox direct --env 1=2 -- true
bad_usage "a relative directory" --sandbox direct --workdir here -- true
bad_usage "no such plugin directory" --plugin-dir "$dir/none" --sandbox direct -- true
run exec --help
like "$status/$out" "0/Usage: hookbox exec *" "--help"

nothing_left "all of it"
tap_done
