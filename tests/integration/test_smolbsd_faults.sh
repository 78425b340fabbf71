#!/bin/sh
# SPDX-License-Identifier: MIT
# The channel over ssh when the machine under it is killed or stopped: what is told of the calls is true,
# the next one works, and nothing is left.
# shellcheck disable=SC2016 # the $ are other shells'
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/packages.sh"
. "$top_srcdir/tests/parts/program.sh"
. "$top_srcdir/tests/parts/vm.sh"

tap_dir
. "$top_srcdir/tests/parts/chorus.sh"
smol=$dir/smol
own=		# QEMU's pid of the machine that hookbox did not boot

# shellcheck disable=SC2317 # called by the trap
clean_up()
{
	[ -z "$host" ] || kill -KILL "$host" 2>/dev/null
	[ -z "$own" ] || kill -CONT "$own" 2>/dev/null
	[ -z "$own" ] || vm_end "$own"
	vm_smolbsd_end "$smol"
	rm -rf "$dir"
}
trap clean_up EXIT
need_vm_files
vm_smolbsd_dir "$smol" || skip_all "no directory can be laid out"
XDG_RUNTIME_DIR=$dir
export XDG_RUNTIME_DIR

# begin_victims: two calls that do not end, one of which has a process that escaped.
begin_victims()
{
	begin victim 120000 'trap "" TERM; echo begun >/tmp/one; setsid sleep 1000 & exec sleep 1000'
	begin other 120000 'echo begun >/tmp/two; exec sleep 1000'
	call 'while [ ! -e /tmp/one ] || [ ! -e /tmp/two ]; do sleep 0.1; done; rm /tmp/one /tmp/two'
	like "$end" 'exited 0 proven *' "two calls run in the machine"
}

# victims_end PATTERN WHAT
victims_end()
{
	end_of victim
	like "$end" "$1" "$2: the call's end is true"
	end_of other
	like "$end" "$1" "$2: the other call's too"
}

# slow_next WHAT: the next call works, though a machine may have to boot first.
slow_next()
{
	begin slow 180000 'ps; echo works'
	end_of slow
	like "$end" 'exited 0 proven *' "$1: the next call works"
}

none_lives()
{
	[ -z "$(vm_smolbsd_pids "$smol")" ]
}

# ---- A machine that hookbox boots ----

printf '%s\n' '[sandbox managed]' 'mode = smolbsd_ssh' "smolbsd_dir = $smol" 'service = sshd' \
	"identity_file = $vm_dir/id" 'boot_timeout = 120s' >"$dir/hookbox.ini"
chorus_open managed
slow_next "a machine is booted"
begin_victims
machine=$(vm_smolbsd_pids "$smol")
kill -KILL "$machine"
victims_end 'lost 0 *' "kill -9 of the machine"
slow_next "kill -9 of the machine"
[ "$(vm_smolbsd_pids "$smol" | wc -l)" = 1 ] && [ "$(vm_smolbsd_pids "$smol")" != "$machine" ]
ok $? "... in a new machine"
chorus_close
none_lives
ok $? "no machine is left"
is "$(find "$smol" -name 'qemu-*' -o -name '*known_hosts')" "" "... nor a file"
nothing_left "calls in a machine of hookbox's"

# ---- A machine of somebody else's ----

# boot: at the same port as before. The machine holds no call of the chorus open.
boot()
{
	vm_pid=
	vm_qemu "$vm_dir/kernel" "$vm_dir/initrd" "tcp:127.0.0.1:$vm_port-:22" -m 256 \
		-name "guest=$dir/own" -serial "file:$dir/console" -daemonize -pidfile "$dir/own.pid" \
		</dev/null >"$dir/qemu.log" 2>&1 7>&- || return 1
	own=$(cat "$dir/own.pid")
	vm_pid=$own
	vm_wait
}

vm_use "$vm_dir" "$(vm_free_port)"
boot || skip_rest "the machine did not boot: $(tail -n 1 "$dir/qemu.log")"
printf '%s\n' '[sandbox found]' 'mode = smolbsd_ssh' 'host = 127.0.0.1' "port = $vm_port" \
	"identity_file = $vm_key" "host_key = $vm_host_key" 'connect_timeout = 10s' >"$dir/hookbox.ini"

in_vm_none_sleeps()
{
	in_vm=$(vm_run root ps </dev/null) && ! echo "$in_vm" | grep -q 'sleep 1000'
}

one_agent()
{
	# An agent, and no more than one helper beside it.
	in_vm=$(vm_run root ps </dev/null) && [ "$(echo "$in_vm" | grep -c '[/]hookbox-agent')" -le 2 ]
}

through_agent()
{
	call 'echo works'
	case $end in
	'exited 0 proven '*) ;;
	*) false ;;
	esac
}

chorus_open found
slow_next "a channel into a machine"
begin_victims
kill -KILL "$own"
victims_end 'lost 0 unknown *' "kill -9 of the machine"
call 'echo works'
like "$end" 'not started 0 *refused*' "... and the next call says that nobody listens"
boot
# For some seconds calls go without an agent, as there was no way to one just now.
call 'echo works'
like "$end" 'exited 0 * ?works? ;*' "the machine is back: the next call works"
wait_for "a call through an agent" through_agent
begin_victims
# ssh itself may see first that nobody answers.
kill -STOP "$own"
victims_end 'lost 0 unknown *not *' "the machine is stopped"
kill -CONT "$own"
call 'echo works'
like "$end" 'exited 0 * ?works? ;*' "the machine goes on: the next call works"
wait_for "the sleepers to end" in_vm_none_sleeps
ok $? "... and nothing of the lost calls is left there"
wait_for "the agent that was lost to end" one_agent
ok $? "... nor their agent"
chorus_close
wait_for "the last agent to end" in_vm_none_sleeps
nothing_left "calls in a machine of somebody else's"
is "$(vm_run root 'ls -A /tmp' </dev/null)" "" "no file is left in the machine"
rm -f "$vm_known_hosts"
tap_done
