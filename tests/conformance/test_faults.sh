#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit can fail: it finds the fault of each faulty backend, and ends what they leave.
. "${top_srcdir:?}/tests/parts/tap.sh"
. "${top_srcdir:?}/tests/parts/program.sh"

tap_dir
plugins=$top_builddir/tests/fixtures/.libs
# Hosts note here what they may have left, as the faulty ones do.
XDG_RUNTIME_DIR=$dir
export XDG_RUNTIME_DIR

# run_kit BACKEND FAULT [LINE]: what it says is in $dir/BACKEND.FAULT, its exit code in the last
# line. $way is the one that calls must go.
way=one-off
run_kit()
{
	printf '[sandbox faulty]\nmode = %s\nfault = %s\n%s\n' "$1" "$2" "${3-}" >"$dir/$1.$2.ini"
	hookbox plugins check "$plugins/$1.so" --plugin-dir "$plugins" --config "$dir/$1.$2.ini" \
		--sandbox faulty --way "$way" --tap >"$dir/$1.$2" 2>&1
	echo "exit code $?" >>"$dir/$1.$2"
}

note_failures()
{
	tap_note "$(grep -a -A1 '^not ok' "$1" | head -n 20)" "$(tail -n 1 "$1")"
}

# finds BACKEND FAULT CHECK...: these checks are among those that fail.
finds()
{
	file=$dir/$1.$2
	what="$1, $2"
	shift 2
	for check; do
		grep -qx 'exit code 1' "$file" && grep -qx "not ok [0-9]* - $check" "$file"
		found=$?
		ok $found "$what: \"$check\" fails"
		[ $found = 0 ] || note_failures "$file"
	done
}

run_kit crooked none
grep -qx 'exit code 0' "$dir/crooked.none"
found=$?
ok $found "no fault is found where there is none"
[ $found = 0 ] || note_failures "$dir/crooked.none"

# They mostly wait, so they do it together.
for fault in no_env_no_dir exit_zero signal_is_exit one_stream adds_newline short_stdin \
	splits_args; do
	run_kit crooked $fault &
done
for backend in crooked_fresh crooked_ending crooked_kept; do
	run_kit $backend none &
done
wait

finds crooked no_env_no_dir 'a variable may be empty' 'a variable overrides older ones' \
	'the working directory is the one asked for'
finds crooked exit_zero 'exit codes come back' 'a missing command is told'
finds crooked signal_is_exit 'signals come back' 'a missing command is told'
finds crooked one_stream 'stdout and stderr are apart and whole' \
	'stdout and stderr may both be large at once'
finds crooked adds_newline 'an empty stdin reaches the command' 'output needs no newline at its end'
finds crooked short_stdin '10 MiB of stdin come back byte for byte' \
	'a command may exit while its stdin stays open'
finds crooked splits_args 'awkward arguments stay as they are' 'an argument may hold every byte'
# These say that nothing is left, and leave what has a session of its own.
for backend in crooked_fresh crooked_ending; do
	finds $backend none 'a timeout ends what has a session of its own' \
		'what left its environment behind is gone where cleanup is proven'
done
finds crooked_kept none 'a timeout ends what has a session of its own'
nothing_left "the faulty backends"

way=agent
run_kit crooked none
finds crooked none 'calls go the way that they are meant to'
is "$(grep -c '^not ok' "$dir/crooked.none")" 1 "... and no other check"
way=one-off

# What cannot run anything is told once, not sixty times.
run_kit crooked none 'env = PATH=/nowhere'
finds crooked none 'a command runs'
is "$(grep -c '^not ok' "$dir/crooked.none")" 1 "a sandbox in which no command runs fails once"
tap_done
