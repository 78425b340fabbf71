#!/bin/sh
# SPDX-License-Identifier: MIT
# smolbsd_ssh on a real VM and behind ssh servers that misbehave: no outcome may be wrong.
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/packages.sh"
. "$top_srcdir/tests/parts/program.sh"
. "$top_srcdir/tests/parts/vm.sh"
. "$top_srcdir/tests/parts/ssh-server.sh"

tap_dir
clean_up()
{
	serve_no_more
	vm_stop
	rm -rf "$dir"
}
trap clean_up EXIT
need_vm
# What a lost call may have left is noted there, and the new keys of hosts here.
XDG_RUNTIME_DIR=$dir XDG_STATE_HOME=$dir/state
export XDG_RUNTIME_DIR XDG_STATE_HOME

# config LINE...: a sandbox with these keys.
config()
{
	printf '%s\n' '[sandbox vm]' 'mode = smolbsd_ssh' 'connect_timeout = 20s' 'agent = off' "$@" \
		>"$dir/hookbox.ini"
}

# at PORT LINE...: one in the VM, or whatever stands in its place at that port.
at()
{
	at_port=$1
	shift
	config 'host = 127.0.0.1' "port = $at_port" "identity_file = $vm_key" \
		"host_key = $vm_host_key" "$@"
}

# call ARG...: runs it in the sandbox.
call()
{
	run exec --plugin-dir "$top_builddir/plugins/.libs" -c "$dir/hookbox.ini" --sandbox vm "$@"
}

# fails PATTERN WHAT: a call of the config ends as none of a command's, with that reason.
fails()
{
	call --timeout 30s -- sh -c 'echo out; sleep 1'
	# shellcheck disable=SC2154 # run sets it
	like "$status/$err" "125/*$1*" "$2"
	is "$out" "" "... and nothing is on stdout"
}

in_vm()
{
	vm_run root "$1" </dev/null
}

# none_runs PATTERN: the VM answers, and no process there looks like that.
none_runs()
{
	running=$(in_vm ps) && ! echo "$running" | grep -q "$1"
}

commands()
{
	at "$vm_port"
	for code in 0 1 126 127 137 255; do
		call -- sh -c "exit $code"
		is "$status/$err" "$code/" "exit code $code is the command's own"
	done
	# shellcheck disable=SC2016 # the $ are another shell's
	call -- sh -c 'kill -9 $$'
	is "$status" 137 "a signal is told apart from ssh's 255"
	# shellcheck disable=SC2016
	call --env 'A=x  "y" $z' --workdir /tmp -- sh -c 'echo "$A" "$PWD"'
	is "$out" 'x  "y" $z /tmp' "environment and directory reach the command"
	call --timeout 3s -- sh -c 'sleep 4321 & setsid sleep 4321 & exec sleep 4321'
	is "$status" 124 "a command that does not end is a timeout"
	none_runs 'sleep 4321'
	ok $? "... and nothing of it is left in the VM"
	at "$vm_port" 'user = loud'
	call -- sh -c 'echo own >&2'
	is "$status/$err" 0/own "a server's banner is not in stderr"
}

without_a_shell()
{
	at "$vm_port" 'shell = none'
	call -- sh -c 'echo own >&2; exit 255'
	like "$status/$err" '255/own
hookbox: warning: something of the call may still run*' "without a shell, 255 and stderr are the command's"
	# shellcheck disable=SC2016
	call -- sh -c 'kill -9 $$'
	is "$status" 137 "... and a signal is told"
	call -- no-such-command
	like "$status/$err" '127/*no such command*' "... and a missing command"
	at "$vm_port" 'shell = none' 'env = A=b'
	call -- true
	like "$err" '*smolbsd_ssh needs a shell in the machine*' "... and env is refused"
}

host_keys()
{
	config 'host = 127.0.0.1' "port = $vm_port" "identity_file = $vm_key"
	call -- echo in
	is "$out" in "a key is trusted on first use"
	like "$(cat "$XDG_STATE_HOME/hookbox/known_hosts")" "?127.0.0.1?:$vm_port $vm_host_key" \
		"... and written down in a file of hookbox's"
	other=$(cut -d ' ' -f 1,2 "$vm_dir/other_key.pub")
	echo "[127.0.0.1]:$vm_port $other" >"$XDG_STATE_HOME/hookbox/known_hosts"
	fails 'HAS CHANGED' "a key that changed is refused"
	config 'host = 127.0.0.1' "port = $vm_port" "identity_file = $vm_key" "host_key = $other"
	fails 'HAS CHANGED' "another key than the fixed one is refused"
	: >"$dir/empty"
	config 'host = 127.0.0.1' "port = $vm_port" "identity_file = $vm_key" 'host_key = strict' \
		"known_hosts = $dir/empty"
	fails 'host key is known for' "with strict, an unknown key is refused"
	config 'host = 127.0.0.1' "port = $vm_port" "identity_file = $vm_key" \
		"known_hosts = /proc/known_hosts"
	fails 'known_hosts: /proc/known_hosts cannot be written' \
		"where a new key cannot be written down, it is not trusted"
}

identities()
{
	cp "$vm_key" "$dir/open"
	chmod 644 "$dir/open"
	at "$vm_port" "identity_file = $dir/open"
	sed -i "/^identity_file = .*id\$/d" "$dir/hookbox.ini"
	fails 'chmod 600' "an identity file with open permissions"
	sed -i "s|^identity_file = .*|identity_file = $dir/missing|" "$dir/hookbox.ini"
	fails 'there is no such file' "a missing identity file"
	echo junk >"$dir/junk"
	chmod 600 "$dir/junk"
	sed -i "s|^identity_file = .*|identity_file = $dir/junk|" "$dir/hookbox.ini"
	fails 'identity_file' "an identity file that is none"
	at "$vm_port" 'user = nobody-here'
	fails 'Permission denied*correct user' "a user who is not there"
}

places()
{
	at "$(vm_free_port)"
	fails 'Connection refused*start sshd' "nobody listens"
	config 'host = no-such-host.invalid' "identity_file = $vm_key" "host_key = $vm_host_key"
	fails 'Could not resolve hostname*correct host' "there is no such host"
	at "$vm_port" 'ssh_path = /nowhere/ssh'
	fails '/nowhere/ssh' "there is no ssh"
}

servers()
{
	for how in mute close garbage banner kex kex-junk; do
		serve $how
		at "$port"
		sed -i 's/^connect_timeout = .*/connect_timeout = 2s/' "$dir/hookbox.ini"
		fails '; ' "a server that does \"$how\""
		serve_no_more
	done
	# In a key exchange that does not go on, ssh itself waits for ever.
	for how in mute stall; do
		serve $how
		at "$port"
		call --timeout 1s -- true
		is "$status" 124 "a call's timeout counts where a server does \"$how\""
		serve_no_more
	done
}

# cut ORDER PATTERN: the connection breaks while a command runs.
cut_at()
{
	: >"$dir/orders"
	serve proxy "$vm_port" "$dir/orders"
	at "$port"
	(
		wait_for "the command" in_vm 'test -e /tmp/cut-here' && echo "$1" >"$dir/orders"
	) &
	cutter=$!
	call --timeout 40s -- sh -c 'echo out; touch /tmp/cut-here; sleep 30'
	wait $cutter
	like "$status/$err" "$2" "a connection that breaks ($1)"
	: >"$dir/orders"
	in_vm 'rm -f /tmp/cut-here'
	call -- echo again
	is "$status/$out" 0/again "... and the next call works"
	none_runs 'sleep 30'
	ok $? "... and nothing is left of the one before"
	serve_no_more
}

connections()
{
	cut_at cut '125/*still runs*'
	cut_at end '125/*still runs*'
	# In the middle of the output.
	echo cut 200000 >"$dir/orders"
	serve proxy "$vm_port" "$dir/orders"
	at "$port"
	call --timeout 40s -- head -c 1000000 /dev/zero
	is "$status" 125 "a connection that breaks in the middle of the output is no clean end"
	serve_no_more
	echo delay 100 >"$dir/orders"
	serve proxy "$vm_port" "$dir/orders"
	at "$port"
	call -- echo slow
	is "$status/$out" 0/slow "a slow connection is one nevertheless"
	serve_no_more
}

doctor()
{
	at "$vm_port"
	run doctor --plugin-dir "$top_builddir/plugins/.libs" -c "$dir/hookbox.ini"
	like "$status/$out" '0/*OpenSSH*lets ssh log in*commands start in the machine*its calls may share a connection*' \
		"doctor finds all in order"
	at "$(vm_free_port)"
	run doctor --plugin-dir "$top_builddir/plugins/.libs" -c "$dir/hookbox.ini"
	like "$status/$out$err" '1/*Connection refused*' "doctor finds what is wrong"
}

commands
without_a_shell
host_keys
identities
places
servers
connections
doctor
nothing_left "the calls"
is "$(in_vm 'ls -A /tmp /home/ssh || echo hookbox' | grep -c hookbox)" 0 "no file is left in the VM"
tap_done
