#!/bin/sh
# SPDX-License-Identifier: MIT
# Stands for smolBSD's startnb.sh, called in its own directory: the same flags, the same pid file
# and the same exit status 0 whatever QEMU did, over the tests' Linux VM.
#
# The file "trouble" there, one word, says how it misbehaves:
#   fails        it starts nothing, says why, and exits 1
#   qemu-fails   QEMU refuses to start, and the exit status is 0 nevertheless
#   hang         it starts nothing and never ends
#   hang-deaf    the same, and it ignores SIGTERM
#   hang-booted  it boots the VM and never ends
#   no-pid-file  the VM boots, with no pid file
#   no-sshd      the VM boots, with no sshd
#   panics       the guest's kernel panics at once, and QEMU ends
#   killed       QEMU is killed before the guest is up, and its pid file is stale
#   slow         QEMU is started after 3 s
top_srcdir=$(cd "$(dirname "$0")/../../.." && pwd)
# shellcheck source=tests/parts/packages.sh
. "$top_srcdir/tests/parts/packages.sh"
# shellcheck source=tests/parts/vm.sh
. "$top_srcdir/tests/parts/vm.sh"

usage()
{
	echo "Usage: startnb.sh -k kernel -i image [-c CPUs] [-m memory] [-p port] [-d] [-s]" >&2
	exit 1
}

hang()
{
	sleep 86400
	exit 1
}

kernel='' image='' memory=256 cpus=1 ports='' daemon=''
while getopts k:i:m:c:p:ds flag; do
	case $flag in
	k) kernel=$OPTARG ;;
	i) image=$OPTARG ;;
	m) memory=$OPTARG ;;
	c) cpus=$OPTARG ;;
	p) ports=$OPTARG ;;
	d) daemon=1 ;;
	s) ;;
	*) usage ;;
	esac
done
[ -n "$kernel" ] && [ -n "$image" ] || usage
if [ -z "${svc-}" ]; then
	svc=${image##*/}
	svc=${svc%.img}
fi
forward=$(printf %s "${ports:-::0-:22}" | sed 's/^hostfwd=//; s/^::/tcp::/')

trouble=$(cat trouble 2>/dev/null)
case $trouble in
fails)
	echo "startnb.sh: no space left for $svc" >&2
	exit 1
	;;
hang-deaf)
	trap '' TERM
	hang
	;;
hang) hang ;;
slow) sleep 3 ;;
esac

echo "starting $svc"
set -- -m "$memory" -smp "$cpus" -name "guest=$PWD/$svc" -serial "file:$PWD/console.$svc"
[ -z "$daemon" ] || set -- "$@" -daemonize
[ "$trouble" = no-pid-file ] || set -- "$@" -pidfile "qemu-$svc.pid"
case $trouble in
qemu-fails) set -- "$@" -device no-such-device ;;
no-sshd) vm_append=vm_no_sshd ;;
panics) vm_append=rdinit=/no-such-file ;;
esac
vm_qemu "$kernel" "$image" "$forward" "$@"
case $trouble in
killed) kill -9 "$(cat "qemu-$svc.pid")" ;;
hang-booted) hang ;;
esac
exit 0
