#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests' own VM, their stand-in for smolBSD, and their misbehaving ssh servers do what they say.
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/packages.sh"
. "$top_srcdir/tests/parts/vm.sh"
. "$top_srcdir/tests/parts/ssh-server.sh"

tap_dir
smol=$dir/smol
limit='timeout 20'
clean_up()
{
	serve_no_more
	vm_smolbsd_end "$smol"
	vm_stop
	rm -rf "$dir"
}
trap clean_up EXIT
need_vm
vm_smolbsd_dir "$smol" || skip_all "no directory can be laid out"

# start SVC [PORT]: as hookbox does; $port, $status and $err are set.
start()
{
	port=${2:-$(vm_free_port)}
	(cd "$smol" && svc=$1 $limit ./startnb.sh -k kernels/netbsd-SMOL -i images/sshd-amd64.img \
		-m 128 -c 1 -p "hostfwd=tcp:127.0.0.1:$port-:22" -d -s
		exit $?) </dev/null >"$dir/out" 2>"$dir/err"
	status=$?
	err=$(cat "$dir/err")
}

# trouble WORD SVC: starts under it.
trouble()
{
	echo "$1" >"$smol/trouble"
	start "$2"
	rm "$smol/trouble"
}

none_lives()
{
	[ -z "$(vm_smolbsd_pids "$smol")" ]
}

# at PORT COMMAND...: runs it with another server in the VM's place.
at()
{
	vm_use "$vm_dir" "$1"
	shift
	"$@"
	status=$?
	rm "$vm_known_hosts"
	vm_use "$vm_dir" "$main_port"
	return $status
}

# login PORT USER COMMAND: $out, $err and $status are set.
login()
{
	out=$(at "$1" vm_run "$2" "$3" 2>"$dir/err" </dev/null)
	status=$?
	err=$(cat "$dir/err")
}

# answers PORT
answers()
{
	vm_greets "$1" && at "$1" vm_run ssh true </dev/null >/dev/null 2>&1
}

main_port=$vm_port
vm_logins()
{
	is "$(vm_run ssh 'id -un; pwd' </dev/null)" "ssh
/home/ssh" "the user ssh logs in"
	is "$(vm_run root 'id -u; cat /proc/1/comm' </dev/null)" "0
busybox" "root logs in"
	vm_run ssh 'exit 37' </dev/null
	is $? 37 "a command's exit code comes back"
	head -c 300000 /dev/urandom >"$dir/bytes"
	is "$(vm_run ssh cat <"$dir/bytes" | cksum)" "$(cksum <"$dir/bytes")" \
		"bytes come back as they went"
	login "$vm_port" loud 'echo in'
	is "$status/$out" 0/in "the user loud logs in"
	echo "[127.0.0.1]:$vm_port $(cut -d ' ' -f 1,2 "$vm_dir/other_key.pub")" >"$dir/other"
	vm_known_hosts=$dir/other
	like "$(vm_run ssh true 2>&1 </dev/null)" '*verification failed*' "another host key is refused"
	vm_use "$vm_dir" "$main_port"
}

# A default sshd refuses some of so many.
vm_burst()
{
	burst=
	for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
		vm_run ssh 'echo in' >"$dir/burst.$n" 2>&1 </dev/null &
		burst="$burst $!"
	done
	# shellcheck disable=SC2086 # a list of words
	wait $burst
	is "$(cat "$dir"/burst.* | grep -c '^in$')" 12 "a burst of logins is let in"
}

smolbsd_boots()
{
	start one
	one=$port
	is "$status" 0 "startnb.sh boots a VM"
	start two
	two=$port
	is "$status" 0 "... and another one of the same service beside it"
	is "$( (vm_lock_holder "$smol/qemu-one.pid"; vm_lock_holder "$smol/qemu-two.pid") | sort)" \
		"$(vm_smolbsd_pids "$smol" | sort)" "the locks on their pid files name them"
	wait_for "the first" answers "$one"
	ok $? "the first one answers"
	wait_for "the second" answers "$two"
	ok $? "the second one answers"
	start one
	like "$status/$err" '0/*annot lock*' "a pid file that is locked: a reason, and exit status 0"
	start three "$two"
	like "$status/$err" '0/*forwarding*' "a port that is taken: a reason, and exit status 0"
}

smolbsd_pid_files()
{
	vm_end "$(cat "$smol/qemu-one.pid")"
	[ ! -e "$smol/qemu-one.pid" ]
	ok $? "QEMU removes its pid file on SIGTERM"
	kill -9 "$(cat "$smol/qemu-two.pid")"
	wait_for "its end" none_lives
	[ -e "$smol/qemu-two.pid" ] && ! vm_lock_holder "$smol/qemu-two.pid"
	ok $? "SIGKILL leaves the file, which nobody has locked"
	start two
	is "$(vm_lock_holder "$smol/qemu-two.pid")" "$(vm_smolbsd_pids "$smol")" \
		"a stale pid file is no obstacle"
	vm_smolbsd_end "$smol"
	none_lives
	ok $? "all of them are ended"
}

smolbsd_troubles()
{
	trouble no-sshd deaf
	is "$status" 0 "no-sshd"
	deaf=$port
	trouble no-pid-file bad
	[ "$status" = 0 ] && [ "$(vm_smolbsd_pids "$smol" | wc -l)" = 2 ] && [ ! -e "$smol/qemu-bad.pid" ]
	ok $? "no-pid-file: a VM, and no file"
	wait_for "the VM" answers "$port"
	ok $? "... it answers"
	! vm_greets "$deaf"
	ok $? "... long after the one without sshd could have done so"
	vm_smolbsd_end "$smol"
	trouble fails bad
	like "$status/$err" '1/*no space*' "fails: a reason, and exit status 1"
	trouble qemu-fails bad
	like "$status/$err" '0/*no-such-device*' "qemu-fails: a reason, and exit status 0"
	none_lives
	ok $? "... and both boot nothing"
	trouble killed bad
	wait_for "its end" none_lives && [ "$status" = 0 ] && [ -e "$smol/qemu-bad.pid" ]
	ok $? "killed: a pid file and no QEMU"
	trouble panics bad
	wait_for "its end" none_lives && [ "$status" = 0 ]
	ok $? "panics: QEMU ends by itself"
}

smolbsd_hangs()
{
	limit='timeout 1'
	trouble hang bad
	is "$status" 124 "hang"
	limit='timeout -k 1 3'
	trouble hang-deaf bad
	is "$status" 137 "hang-deaf"
	none_lives
	ok $? "... and both boot nothing"
	limit='timeout 5'
	trouble hang-booted bad
	is "$status/$(vm_lock_holder "$smol/qemu-bad.pid")" "124/$(vm_smolbsd_pids "$smol")" \
		"hang-booted: a VM is there"
	vm_smolbsd_end "$smol"
}

# fake HOW PATTERN [SECONDS]
fake()
{
	serve "$1"
	like "$(at "$port" timeout "${3:-20}" ssh -F none -o ConnectTimeout=1 -o BatchMode=yes -p "$port" \
		127.0.0.1 true 2>&1 </dev/null)" "$2" "a server that does: $1"
	serve_no_more
}

fakes()
{
	fake mute '*timed out*banner exchange*'
	fake close '*onnection*'
	fake garbage '*kex_exchange_identification*'
	fake banner '*kex_exchange_identification*'
	# ConnectTimeout is over once a server has named itself.
	fake stall '' 3
	fake kex '*onnection closed*'
	fake kex-junk '*ad packet length*'
}

# cut_by ORDER: while a command runs.
cut_by()
{
	: >"$dir/orders"
	at "$port" vm_run ssh 'echo begun; exec sleep 100' >"$dir/said" 2>"$dir/err" </dev/null &
	client=$!
	wait_for "the command" grep -q begun "$dir/said"
	echo "$1" >"$dir/orders"
	wait $client
	is "$?/$(cat "$dir/said")" 255/begun "a proxy's $1 in the middle of a command"
}

proxies()
{
	serve proxy "$main_port" "$dir/orders"
	is "$(at "$port" vm_run ssh cat <"$dir/bytes" | cksum)" "$(cksum <"$dir/bytes")" \
		"a proxy passes all bytes on"
	cut_by cut
	cut_by end
	echo "cut 100000" >"$dir/orders"
	at "$port" vm_run ssh 'head -c 50000 /dev/zero' >"$dir/said" 2>"$dir/err" </dev/null
	is "$?/$(wc -c <"$dir/said")" 0/50000 "cut 100000: 50000 come through"
	at "$port" vm_run ssh 'head -c 500000 /dev/zero' >"$dir/said" 2>"$dir/err" </dev/null
	is $? 255 "... and 500000 do not"
	echo stall >"$dir/orders"
	at "$port" vm_run ssh 'echo late' >"$dir/said" 2>"$dir/err" </dev/null &
	client=$!
	sleep 1
	[ ! -s "$dir/said" ] && kill -0 $client
	ok $? "stall: nothing comes"
	echo "delay 50" >"$dir/orders"
	wait $client
	is "$?/$(cat "$dir/said")" 0/late "... and all does when it is over, with a delay too"
	serve_no_more
}

vm_logins
vm_burst
smolbsd_boots
smolbsd_pid_files
smolbsd_troubles
smolbsd_hangs
fakes
proxies
tap_done
