#!/bin/sh
# SPDX-License-Identifier: MIT
# smolbsd_ssh with machines that it boots, and with a startnb.sh that misbehaves.
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/packages.sh"
. "$top_srcdir/tests/parts/program.sh"
. "$top_srcdir/tests/parts/vm.sh"

tap_dir
smol=$dir/smol
clean_up()
{
	vm_smolbsd_end "$smol"
	rm -rf "$dir"
}
trap clean_up EXIT
need_vm_files
vm_smolbsd_dir "$smol" || skip_all "no directory can be laid out"
XDG_RUNTIME_DIR=$dir
export XDG_RUNTIME_DIR

# config [LINE...]: a sandbox with these keys.
config()
{
	printf '%s\n' '[sandbox vm]' 'mode = smolbsd_ssh' "smolbsd_dir = $smol" 'service = sshd' \
		"identity_file = $vm_dir/id" "$@" >"$dir/hookbox.ini"
}

# call ARG...: runs it in the sandbox.
call()
{
	run exec --plugin-dir "$top_builddir/plugins/.libs" -c "$dir/hookbox.ini" --sandbox vm "$@"
}

# stay: a hookbox, $first, with a command in a machine of its own that does not end by itself.
stay()
{
	env "$mark" "$top_builddir/core/hookbox" exec --plugin-dir "$top_builddir/plugins/.libs" \
		-c "$dir/hookbox.ini" --sandbox vm --timeout 300s -- \
		sh -c 'echo up; exec sleep 4321' >"$dir/first" 2>"$dir/first.err" </dev/null &
	first=$!
	wait_for "its machine" grep -q up "$dir/first"
}

none_lives()
{
	[ -z "$(vm_smolbsd_pids "$smol")" ]
}

files_left()
{
	find "$smol" -name 'qemu-*' -o -name '*known_hosts' | wc -l
}

# trouble WORD PATTERN: no machine comes up, for that reason, and none is left.
trouble()
{
	echo "$1" >"$smol/trouble"
	call -- true
	rm "$smol/trouble"
	# shellcheck disable=SC2154 # run sets it
	like "$status/$err" "125/$2" "startnb.sh: $1"
	none_lives
	is "$?/$(files_left)" 0/0 "... and nothing of it is left"
}

config 'boot_timeout = 120s'
call -- sh -c 'id -un; cat'
is "$status/$out" 0/ssh "a machine is booted for the first call"
none_lives
is "$?/$(files_left)" 0/0 "... and it is gone with the sandbox"

config 'boot_timeout = 120s'
stay
call -- echo second
is "$status/$out" 0/second "a second machine of the service runs beside the first"
machine=$(vm_smolbsd_pids "$smol")
kill -9 "$first"
wait "$first" 2>/dev/null
[ -n "$machine" ] && [ "$(vm_smolbsd_pids "$smol")" = "$machine" ]
ok $? "a killed hookbox leaves its machine running"
call -- echo third
is "$status/$out" 0/third "the next one works"
none_lives
is "$?/$(files_left)" 0/0 "... and ends what the killed one left"

port=$(vm_free_port)
config "port = $port" 'boot_timeout = 120s'
stay
call -- true
like "$status/$err" "125/*port $port of 127.0.0.1 is taken*" "a port that another machine has"
machine=$(vm_smolbsd_pids "$smol")
[ -n "$machine" ]
ok $? "... and that machine lives on"

kill -9 "$(vm_smolbsd_pids "$smol")"
wait "$first"
is $? 125 "a machine that dies under a call is no clean end"
like "$(cat "$dir/first.err")" '*remote host*' "... and the reason is given"
none_lives
is "$?/$(files_left)" 0/0 "... and nothing of it is left"

config 'boot_timeout = 6s'
trouble fails '*no space left*'
trouble qemu-fails '*no-such-device*'
trouble hang '*did not end in time*'
trouble hang-deaf '*did not end in time*'
trouble hang-booted '*did not end in time*'
trouble no-pid-file '*pid file*'
trouble no-sshd '*nobody could log in*'
trouble panics '*ended while it booted*'
trouble killed '*machine*run it by hand*'
config 'boot_timeout = 120s'
echo slow >"$smol/trouble"
call -- echo late
rm "$smol/trouble"
is "$status/$out" 0/late "startnb.sh: slow"

config 'startnb = ./no-such-script'
call -- true
like "$status/$err" '125/*no-such-script*' "there is no startnb.sh"
sed -i 's|^smolbsd_dir = .*|smolbsd_dir = /nowhere|' "$dir/hookbox.ini"
call -- true
like "$status/$err" '125/*smolbsd_dir: /nowhere*' "there is no smolBSD directory"
config 'user = nobody-here' 'boot_timeout = 120s'
call -- true
like "$status/$err" '125/*Permission denied*' "who may not log in is told so, and at once"
none_lives
is "$?/$(files_left)" 0/0 "... and the machine is ended"

# doctor PATTERN WHAT
doctor()
{
	run doctor --plugin-dir "$top_builddir/plugins/.libs" -c "$dir/hookbox.ini"
	like "$status/$out" "$1" "doctor: $2"
}

config
doctor '0/*all that boots a machine*QEMU emulator version*' "all is there"
QEMU=no-such-qemu
export QEMU
doctor '1/*no-such-qemu does not run*install QEMU*' "there is no QEMU"
unset QEMU
nothing_left "the calls"
tap_done
