#!/bin/sh
# SPDX-License-Identifier: MIT
# The connection to a VM that calls without an agent share, when it is killed, stopped, full or cut:
# what is told of the call is true, the next one works, and nothing is left.
# shellcheck disable=SC2016 # the $ are other shells'
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/packages.sh"
. "$top_srcdir/tests/parts/program.sh"
. "$top_srcdir/tests/parts/vm.sh"

tap_dir
host=		# the process that has the calls
server_pid=	# what stands between it and the VM
n_calls=0
# shellcheck disable=SC2317 # called by the trap
clean_up()
{
	[ -z "$host" ] || kill -KILL "$host" 2>/dev/null
	[ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null
	vm_stop
	rm -rf "$dir"
}
trap clean_up EXIT
command -v pgrep >/dev/null || skip_all "there is no pgrep here"
need_vm
XDG_RUNTIME_DIR=$dir/run
export XDG_RUNTIME_DIR
mkdir -m 700 "$XDG_RUNTIME_DIR"

# open_host PORT LINE...: a host whose calls come on descriptor 7.
open_host()
{
	port=$1
	shift
	printf '%s\n' '[sandbox vm]' 'mode = smolbsd_ssh' 'agent = off' 'connect_timeout = 20s' \
		'host = 127.0.0.1' "port = $port" "identity_file = $vm_key" \
		"host_key = $vm_host_key" "$@" >"$dir/hookbox.ini"
	rm -rf "$dir/ends" "$dir/calls"
	mkdir "$dir/ends"
	mkfifo "$dir/calls"
	env "$mark" "$top_builddir/tests/fixtures/chorus" "$dir/hookbox.ini" vm \
		"$top_builddir/plugins/.libs" "$dir/ends" <"$dir/calls" >"$dir/host" 2>&1 &
	host=$!
	exec 7>"$dir/calls"
}

close_host()
{
	exec 7>&-
	wait "$host"
	host=
}

# begin NAME TIMEOUT-MS SCRIPT
begin()
{
	printf '%s\n' "$*" >&7
}

# end_of NAME: how that call ended, in $end.
end_of()
{
	wait_for "the end of $1" test -f "$dir/ends/$1"
	end=$(cat "$dir/ends/$1")
}

call()
{
	n_calls=$((n_calls + 1))
	begin "call$n_calls" 60000 "$1"
	end_of "call$n_calls"
}

# The ssh that has the shared connection.
master()
{
	pgrep -x -g "$(pgrep -P "$host" -f oControlMaster=yes)" ssh
}

# connection: which one the last call had, in $of.
connection()
{
	call 'echo "$SSH_CONNECTION"'
	of=$(echo "$end" | sed -n 's/^exited 0 swept \[\(.*\)\] .*/\1/p')
}

# Do two calls after each other have the same one?
is_shared()
{
	connection
	before=$of
	connection
	[ -n "$of" ] && [ "$of" = "$before" ]
}

share()
{
	wait_for "a shared connection" is_shared
	shared=$of
}

sockets()
{
	find "$XDG_RUNTIME_DIR" -type s
}

# none_runs PATTERN: the VM answers, and no process there looks like that.
none_runs()
{
	running=$(vm_run root ps </dev/null) && ! echo "$running" | grep -q "$1"
}

runs()
{
	vm_run root ps </dev/null | grep -q "$1"
}

nothing_here()
{
	[ -z "$(sockets)" ] && nothing_marked
}

commands()
{
	call 'exit 3'
	is "$end" "exited 3 swept [] ; " "an exit code comes through it"
	call 'exit 255'
	is "$end" "exited 255 swept [] ; " "... and 255"
	call 'kill -9 $$'
	like "$end" '*137*swept*' "... and a signal"
	begin slow 3000 'sleep 4321 & setsid sleep 4321 & exec sleep 4321'
	end_of slow
	like "$end" 'timed out*swept*' "a command that does not end is a timeout"
	none_runs 'sleep 4321'
	ok $? "... and nothing of it is left in the VM"
}

many()
{
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do
		begin "many$i" 120000 "sleep 2; echo \$SSH_CONNECTION; exit $i"
	done
	good=0 through=0
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do
		end_of "many$i"
		case $end in
		"exited $i swept [$shared] ; ") good=$((good + 1)) through=$((through + 1)) ;;
		"exited $i swept ["*"] ; ") good=$((good + 1)) ;;
		*) tap_note "$end" ;;
		esac
	done
	is "$good" 14 "more calls than go through it all end as they should"
	is "$through" 8 "... and as many as may go through it"
}

# Sessions that others take, so that the server refuses one.
full()
{
	path=$(sockets)
	others=
	for i in 1 2 3 4 5 6 7 8 9; do
		ssh -F none -T -oControlPath="$path" -oProxyCommand=false x "sleep 86399" </dev/null \
			>/dev/null 2>&1 &
		others="$others $!"
	done
	wait_for "nine sessions" eval 'test "$(vm_run root ps </dev/null | grep -c "sleep 8639[9]$")" -ge 9'
	call 'cat; echo "$SSH_CONNECTION"; exit 4'
	like "$end" "exited 4 swept ?*" "a call that the server refuses a session makes its own connection"
	case $end in
	*"[$shared]"*) ok 1 "... a new one" ;;
	*) ok 0 "... a new one" ;;
	esac
	# shellcheck disable=SC2086 # words
	kill $others
	# shellcheck disable=SC2086 # the same
	wait $others 2>/dev/null
	vm_run root 'ps | grep "sleep 8639[9]" | while read -r p _; do kill $p; done' </dev/null
}

broken()
{
	kill -KILL "$(master)"
	call 'echo on'
	is "$end" "exited 0 swept [on] ; " "a master that was killed disturbs no later call"
	share
	ok 0 "... and there is another one"
	begin under 60000 'sleep 5432'
	wait_for "the command" runs 'sleep 543[2]'
	kill -KILL "$(master)"
	end_of under
	like "$end" 'lost*swept*see that the machine still runs*' "a call under which it is killed is lost"
	none_runs 'sleep 5432'
	ok $? "... and nothing of it is left"
	share
	stopped=$(master)
	kill -STOP "$stopped"
	begin stuck 3000 'echo in'
	end_of stuck
	like "$end" 'timed out*' "a master that stands still ends no call's time"
	call 'echo on'
	is "$end" "exited 0 swept [on] ; " "... and the next call goes past it"
	# A zombie, which nobody may ever reap, is gone.
	! grep -q '^State:.[^Z]' "/proc/$stopped/status" 2>/dev/null
	ok $? "... and it is gone"
}

closed()
{
	share
	close_host
	nothing_here
	ok $? "nothing is left when the host has closed"
	open_host "$vm_port"
	share
	begin under 60000 'sleep 7654'
	wait_for "the command" runs 'sleep 765[4]'
	kill -KILL "$host"
	wait "$host" 2>/dev/null
	exec 7>&-
	host=
	wait_for "the end of it all" nothing_here
	ok $? "... nor when it was killed under a call"
	open_host "$vm_port"
	call true
	none_runs 'sleep 7654'
	ok $? "... and what that ran in the machine is ended by the next host"
	close_host
}

# The way to the VM is cut, and comes back.
cut_off()
{
	: >"$dir/orders"
	python3 "$top_srcdir/tests/parts/ssh_server.py" proxy "$vm_port" "$dir/orders" \
		>"$dir/port" 2>"$dir/server.log" &
	server_pid=$!
	wait_for "a port" test -s "$dir/port"
	open_host "$(cat "$dir/port")"
	share
	begin cut 60000 'sleep 6543'
	wait_for "the command" runs 'sleep 654[3]'
	echo cut >"$dir/orders"
	end_of cut
	like "$end" 'lost*' "a call whose machine is cut off is lost"
	: >"$dir/orders"
	call 'echo back'
	is "$end" "exited 0 swept [back] ; " "... and the next one works when it is back"
	kill "$server_pid"
	wait "$server_pid" 2>/dev/null
	server_pid=
	call 'echo gone'
	like "$end" 'not started*proven*' "a call to a machine that is gone is not started"
	close_host
	nothing_here
	ok $? "... and nothing is left here"
	# It could not be reached; whoever comes next does it.
	open_host "$vm_port"
	call true
	none_runs 'sleep 6543'
	ok $? "... nor in the machine when the next host has come"
	close_host
}

settings()
{
	open_host "$vm_port" 'multiplex = no'
	connection
	before=$of
	connection
	before="$before $of"
	connection
	case $before in
	*"$of"*) ok 1 "with multiplex = no, each call has its own" ;;
	*) ok 0 "with multiplex = no, each call has its own" ;;
	esac
	[ -z "$(sockets)" ] && ! master >/dev/null
	ok $? "... and there is no other"
	close_host
	echo 'shell = none' >>"$dir/hookbox.ini"
	sed -i 's/^multiplex = no/multiplex = yes/' "$dir/hookbox.ini"
	run config check --plugin-dir "$top_builddir/plugins/.libs" -c "$dir/hookbox.ini"
	like "$err" '*multiplex: calls share*shell = none*' "it is not to be had without a shell"
	printf '[sandbox x]\nmode = direct\nmultiplex = yes\n' >"$dir/hookbox.ini"
	run config check --plugin-dir "$top_builddir/plugins/.libs" -c "$dir/hookbox.ini"
	like "$err" '*multiplex: direct makes no connections*' "... nor where there is none to share"
}

open_host "$vm_port"
share
ok 0 "calls share a connection"
is "$(sockets | wc -l)" 1 "... with one socket"
commands
many
full
broken
closed
cut_off
settings
nothing_left "the calls"
tap_done
