# SPDX-License-Identifier: MIT
# Sourced, after packages.sh (and tap.sh, in a test): a VM with a real sshd, in QEMU.
# shellcheck shell=sh disable=SC2034 # what it sets is the callers'

# shellcheck source=tests/parts/vm-build.sh
. "${top_srcdir:-.}/tests/parts/vm-build.sh"

vm_problem=		# one sentence: why there is no VM
vm_dir=			# what it was built in
vm_name=
vm_port=		# on 127.0.0.1
vm_pid=			# QEMU's; of a VM that somebody else started, it is not ours to end
vm_key=			# the private key for the users ssh and root
vm_known_hosts=		# a file that holds its host key
vm_host_key=		# the same, as "TYPE BASE64"
vm_ours=		# did vm_start boot it?

# A port that nothing listens on, or nothing did a moment ago.
vm_free_port()
{
	python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# What the guest's clock must be told: without it, boots hang on a busy machine.
vm_tsc_khz()
{
	vm_khz=$(awk '/^cpu MHz/ { printf "%d", $4 * 1000; exit }' /proc/cpuinfo)
	echo "${vm_khz:-2000000}"
}

# vm_qemu KERNEL INITRD NETDEV-HOSTFWD [QEMU-ARG...]: it emulates the CPU too, as /dev/kvm exists
# on machines where it hangs.
vm_qemu()
{
	vm_kernel=$1 vm_initrd=$2 vm_forward=$3
	shift 3
	qemu-system-x86_64 -accel tcg -M microvm,rtc=on -cpu max -nodefaults -no-reboot \
		-display none \
		-netdev "user,id=n0,ipv6=off,restrict=on,hostfwd=$vm_forward" \
		-device virtio-net-device,netdev=n0 -kernel "$vm_kernel" -initrd "$vm_initrd" \
		-append "console=ttyS0 quiet panic=-1 tsc_early_khz=$(vm_tsc_khz) ${vm_append-}" \
		"$@"
}

# Does that QEMU live? A zombie, which nobody may ever reap, does not.
vm_alive()
{
	[ -n "$1" ] && grep -q qemu-system "/proc/$1/cmdline" 2>/dev/null
}

# Does a server of ssh answer on that port? QEMU accepts before there is one.
vm_greets()
{
	python3 -c 'import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)
sys.exit(s.recv(4) != b"SSH-")' "$1" 2>/dev/null
}

# vm_run USER COMMAND: in the VM.
vm_run()
{
	ssh -F none -T -i "$vm_key" -p "$vm_port" -o BatchMode=yes -o IdentitiesOnly=yes \
		-o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$vm_known_hosts" \
		-o GlobalKnownHostsFile=/dev/null -o ConnectTimeout=20 -o LogLevel=ERROR \
		"$1@127.0.0.1" "$2"
}

# Until a login is answered, for at most 120 s, or QEMU is gone.
vm_wait()
{
	vm_tries=0
	while [ $vm_tries -lt 100 ] && vm_alive "$vm_pid"; do
		vm_greets "$vm_port" && vm_run ssh true </dev/null >/dev/null 2>&1 && return 0
		vm_tries=$((vm_tries + 1))
		sleep 0.2
	done
	return 1
}

# vm_use DIR PORT: sets what tests ask for.
vm_use()
{
	vm_dir=$1 vm_port=$2 vm_key=$1/id vm_known_hosts=$1/known_hosts.$2
	vm_host_key=$(cut -d ' ' -f 1,2 "$1/host_key.pub")
	# Another test may be reading it.
	echo "[127.0.0.1]:$2 $vm_host_key" >"$vm_known_hosts.$$" &&
		mv "$vm_known_hosts.$$" "$vm_known_hosts"
}

# vm_start DIR [NAME]: boots what vm_build made in DIR. Each NAME is a VM of its own.
vm_start()
{
	vm_name=${2:-vm} vm_boots=0
	while [ $vm_boots -lt 3 ]; do
		vm_boots=$((vm_boots + 1))
		vm_use "$1" "$(vm_free_port)"
		rm -f "$1/$vm_name.pid"
		# A port may be taken by now, and a boot may fail: then again.
		if vm_qemu "$1/kernel" "$1/initrd" "tcp:127.0.0.1:$vm_port-:22" -m 256 \
			-name "guest=$1/$vm_name" -serial "file:$1/$vm_name.console" -daemonize \
			-pidfile "$1/$vm_name.pid" </dev/null >"$1/$vm_name.log" 2>&1; then
			vm_pid=$(cat "$1/$vm_name.pid")
			vm_ours=1
			vm_wait && return 0
			vm_end "$vm_pid"
			vm_ours=
		fi
		rm -f "$vm_known_hosts"
	done
	vm_problem="the VM did not boot: $(cat "$1/$vm_name.log" "$1/$vm_name.console" | tail -n 1) (see $1/$vm_name.console)"
	return 1
}

# vm_end PID: ends a QEMU and waits until it is gone.
vm_end()
{
	kill "$1" 2>/dev/null
	vm_tries=0
	while vm_alive "$1"; do
		vm_tries=$((vm_tries + 1))
		[ $vm_tries != 100 ] || kill -9 "$1"
		sleep 0.1
	done
}

# Ends the VM if vm_start booted it.
vm_stop()
{
	[ -n "$vm_ours" ] || return 0
	vm_end "$vm_pid"
	rm -f "$vm_known_hosts" "$vm_dir/$vm_name.pid" "$vm_dir/$vm_name.log" \
		"$vm_dir/$vm_name.console" "$vm_dir/shared"
	vm_ours='' vm_pid=''
}

# Makes the VM that vm_start booted the one of all tests that are given its DIR as HOOKBOX_TEST_VM.
vm_share()
{
	echo "$vm_port $vm_pid" >"$vm_dir/shared"
}

# need_vm_files: for tests that boot VMs of their own. vm_dir is set, or the test ends.
need_vm_files()
{
	[ "${HOOKBOX_TEST_PARTS-}" != none ] || skip_all "left out by HOOKBOX_TEST_PARTS=none"
	vm_dir=${HOOKBOX_TEST_VM:-${top_builddir:?}/tests/vm}
	mkdir -p "$vm_dir" && vm_install "$vm_dir/install.log" && vm_build "$vm_dir" ||
		skip_all "${vm_problem:-$vm_dir cannot be made}"
}

# need_vm: for tests that need a VM: the one that is shared, or one of their own, which vm_stop
# ends.
need_vm()
{
	need_vm_files
	if [ -n "${HOOKBOX_TEST_VM-}" ] && read -r vm_port vm_pid 2>/dev/null <"$vm_dir/shared" &&
		vm_alive "$vm_pid"; then
		vm_use "$vm_dir" "$vm_port"
		return 0
	fi
	vm_start "$vm_dir" "vm$$" || skip_all "$vm_problem"
}

# vm_lock_holder PID-FILE: prints the process that holds the lock on it. None: it is stale.
vm_lock_holder()
{
	python3 -c 'import fcntl, struct, sys
what = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
with open(sys.argv[1], "rb") as file:
    kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, what))
sys.exit(1 if kind == fcntl.F_UNLCK else print(pid))' "$1" 2>/dev/null
}

# vm_smolbsd_dir DIR: lays out what looks like smolBSD, with the service "sshd", over need_vm_files.
vm_smolbsd_dir()
{
	mkdir -p "$1/kernels" "$1/images" &&
		ln -s "$vm_dir/kernel" "$1/kernels/netbsd-SMOL" &&
		ln -s "$vm_dir/initrd" "$1/images/sshd-amd64.img" &&
		printf '#!/bin/sh\nexec sh "%s" "$@"\n' \
			"$top_srcdir/tests/parts/smolbsd/startnb.sh" >"$1/startnb.sh" &&
		chmod 755 "$1/startnb.sh"
}

# vm_smolbsd_pids DIR: the VMs of that directory that live, whatever its pid files say.
vm_smolbsd_pids()
{
	for vm_process in /proc/[0-9]*; do
		if tr '\0' ' ' 2>/dev/null <"$vm_process/cmdline" | grep -qF " guest=$1/"; then
			echo "${vm_process#/proc/}"
		fi
	done
}

# Ends them all.
vm_smolbsd_end()
{
	for vm_left in $(vm_smolbsd_pids "$1"); do
		vm_end "$vm_left"
	done
}
