#!/bin/sh
# SPDX-License-Identifier: MIT
# What a command in a bwrap_run sandbox can reach of the host: each thing is first shown to be
# there, and then tried from inside.
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/bwrap.sh"
: "${top_builddir:?}"

need_bwrap
command -v python3 >/dev/null || skip_all "python3 is needed to hold sockets open"
dir=$(mktemp -d "${TMPDIR:-/tmp}/hookbox-bwrap.XXXXXX") || exit 1
holder=
trap '[ -z "$holder" ] || kill "$holder" 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$dir/shown" && chmod 755 "$dir" "$dir/shown" && echo data >"$dir/shown/file" || exit 1

cat >"$dir/hookbox.ini" <<END
[sandbox plain]
mode = bwrap_run
[sandbox connected]
mode = bwrap_run
network = host
[sandbox limited]
mode = bwrap_run
pids_limit = 12
memory = 512m
[sandbox fitted]
mode = bwrap_run
binds = ./shown:/shown
tmpfs =
  /tmp:size=65536
  /scratch
hostname = fitted
uid = 1234
gid = 4321
[sandbox filtered]
mode = bwrap_run
seccomp = ./filter
[sandbox misplaced]
mode = bwrap_run
binds = ./nowhere
[sandbox bare]
mode = bwrap_run
rootfs = ./shown
[sandbox without]
mode = bwrap_run
bwrap_path = ./no-bwrap
END

# run SANDBOX COMMAND...: runs it in there.
run()
{
	sandbox=$1
	shift
	"$top_builddir/core/hookbox" exec --plugin-dir "$top_builddir/plugins/.libs" \
		--config "$dir/hookbox.ini" --sandbox "$sandbox" -- "$@" 2>"$dir/err"
}

# fails SANDBOX SCRIPT WHAT: the script must fail in the sandbox, by itself.
fails()
{
	run "$1" sh -c "($2) >/dev/null 2>&1 && exit 0; exit 77"
	[ $? = 77 ]
	ok $? "$3"
}

# A listener of ours on loopback, an agent's socket, and an abstract one.
python3 -c '
import socket, sys, time
tcp = socket.create_server(("127.0.0.1", 0))
agent = socket.socket(socket.AF_UNIX); agent.bind(sys.argv[1] + "/agent"); agent.listen()
abstract = socket.socket(socket.AF_UNIX); abstract.bind("\0" + sys.argv[1]); abstract.listen()
open(sys.argv[1] + "/port.new", "w").write(str(tcp.getsockname()[1]))
import os; os.rename(sys.argv[1] + "/port.new", sys.argv[1] + "/port")
time.sleep(600)' "$dir" &
holder=$!
tries=0
until [ -s "$dir/port" ] || [ $tries -ge 100 ]; do
	sleep 0.1
	tries=$((tries + 1))
done
port=$(cat "$dir/port")
SSH_AUTH_SOCK=$dir/agent
HOOKBOX_TEST_SECRET=s3cret-$$
export SSH_AUTH_SOCK HOOKBOX_TEST_SECRET
connect='import socket, sys; a = sys.argv[1]; socket.create_connection(("127.0.0.1", int(a)), 5) if a.isdigit() else socket.socket(socket.AF_UNIX).connect(a.replace("@", "\0"))'
python3 -c "$connect" "$port" && python3 -c "$connect" "$dir/agent" && python3 -c "$connect" "@$dir"
ok $? "the sockets are there"

[ "$(run plain echo works)" = works ]
ok $? "a command runs"
run plain python3 -c 'import socket'
ok $? "the host's programs run"

for place in /home /root /run /var/run/docker.sock /var/log /mnt /media /srv /boot /sys "$dir" \
	"$top_builddir"; do
	fails plain "[ -e '$place' ]" "$place is not there"
done
fails plain "cat /etc/shadow" "/etc/shadow cannot be read"
fails plain "python3 -c '$connect' '$dir/agent'" "an ssh agent's socket cannot be reached"
fails plain "python3 -c '$connect' '@$dir'" "an abstract socket cannot be reached"
fails plain "python3 -c '$connect' $port" "a port on the host's loopback cannot be reached"
fails plain "[ \"\$SSH_AUTH_SOCK\$HOOKBOX_TEST_SECRET\" ]" "the host's variables are not set"
fails plain "cat /proc/*/environ | grep -a $HOOKBOX_TEST_SECRET" \
	"the host's variables are in no process's memory of them"
fails plain "[ -e /proc/$holder ] && grep -qa $dir /proc/*/cmdline" \
	"the host's processes are not there"
fails plain "grep -qa $dir /proc/[0-9]*/cmdline && kill -0 $holder" \
	"the host's processes get no signal"
for place in /usr /etc /bin / /dev /opt; do
	[ "$place" = /dev ] || [ ! -e "$place" ] ||
		fails plain "touch $place/x" "$place cannot be written to"
done
fails plain ": </dev/tty" "there is no terminal"
fails plain "mount -t tmpfs x /usr" "nothing can be mounted"
fails plain "cat /proc/kcore | head -c 1 | grep -q ." "the kernel's memory cannot be read"
[ "$(run plain sed -n 's/^CapEff:[^0-9a-f]*//p; s/^NoNewPrivs:[^0-9]*//p' /proc/self/status |
	tr '\n' ' ')" = "0000000000000000 1 " ]
ok $? "there are no capabilities, and none can be gained"
run plain sh -c 'touch /tmp/x && [ -e /tmp/x ]' && fails plain "[ -e /tmp/x ]" \
	"what a call writes to /tmp is gone in the next"

run connected python3 -c "$connect" "$port"
ok $? "network = host reaches the host's loopback"
fails connected "python3 -c '$connect' '$dir/agent'" "network = host shows no socket's file"

[ "$(run fitted sh -c 'cat /shown/file; uname -n; id -u; id -g; echo x >/scratch/x && cat /scratch/x' |
	tr '\n' ' ')" = "data fitted 1234 4321 x " ]
ok $? "binds, tmpfs, hostname, uid and gid are as asked for"
fails fitted "echo x >/shown/file" "a bind is read-only"
fails fitted "head -c 1000000 /dev/zero >/tmp/x" "a tmpfs has its size"

run limited python3 -c '
import os, sys
try:
    for i in range(30):
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "60"])
except BlockingIOError:
    sys.exit(77)'
[ $? = 77 ]
ok $? "pids_limit limits processes"
run limited python3 -c '
import sys
try:
    b = bytearray(1 << 30)
except MemoryError:
    sys.exit(77)'
[ $? = 77 ]
ok $? "memory limits address space"
seq 1 8 | xargs -P 8 -I '{call}' "$top_builddir/core/hookbox" exec --plugin-dir "$top_builddir/plugins/.libs" \
	--config "$dir/hookbox.ini" --sandbox limited -- sh -c 'sleep 0.3; sleep 0.3' 2>"$dir/err"
status=$?
ok $status "the limit of processes counts those of one sandbox"
[ $status = 0 ] || tap_note "$(cat "$dir/err")"

# A filter that says EPERM (1) to socket(2) and allows the rest, for the machines whose number we know.
case $(uname -m) in
x86_64) nr=41 ;;
aarch64) nr=198 ;;
*) nr= ;;
esac
if [ "$nr" ]; then
	python3 -c '
import struct, sys
out = open(sys.argv[1], "wb")
for code, jt, jf, k in (0x20, 0, 0, 0), (0x15, 0, 1, int(sys.argv[2])), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000):
    out.write(struct.pack("HBBI", code, jt, jf, k))' "$dir/filter" "$nr"
	fails filtered "python3 -c 'import socket; socket.socket()'" "a seccomp filter holds"
	[ "$(run filtered echo works)" = works ]
	ok $? "and lets the rest pass"
fi

# refused SANDBOX TEXT WHAT: hookbox fails (125) and says so.
refused()
{
	run "$1" true
	[ $? = 125 ] && grep -q -- "$2" "$dir/err"
	ok $? "$3"
}

refused misplaced "nowhere" "a bind that is not there is told"
refused bare "make it in" "a rootfs without the places to mount on is told"
refused without "install bubblewrap" "a missing bwrap is told"

# Where there may be no user namespace, nothing runs, and the setting is named. A sandbox that allows
# no further ones is such a place; root would not get that far in it, having nobody to become.
become_nobody "$dir"
if $as_nobody bwrap --unshare-user --disable-userns --dev-bind / / true 2>/dev/null; then
	$as_nobody bwrap --unshare-user --disable-userns --dev-bind / / "$dir/hookbox" exec \
		--plugin-dir "$dir" --config "$dir/hookbox.ini" \
		--sandbox plain -- echo ran >"$dir/out" 2>"$dir/err"
	[ $? = 125 ] && [ ! -s "$dir/out" ] && grep -q "sysctl user.max_user_namespaces" "$dir/err"
	ok $? "without user namespaces nothing runs, and the setting is named"
fi

# Calls that are killed at any moment of their beginning leave nothing.
for ms in 1 2 3 4 5 6 7 8 10 12; do
	"$top_builddir/core/hookbox" exec --plugin-dir "$top_builddir/plugins/.libs" \
		--config "$dir/hookbox.ini" --sandbox plain --timeout "$ms" -- \
		sh -c 'setsid sleep 98.76 & sleep 98.76' 2>/dev/null
done
# And so does a monitor that somebody kills.
"$top_builddir/core/hookbox" exec --plugin-dir "$top_builddir/plugins/.libs" \
	--config "$dir/hookbox.ini" --sandbox plain -- \
	sh -c 'setsid sleep 98.76 & echo started; sleep 98.76' >"$dir/out" 2>"$dir/err" &
call=$!
tries=0
until grep -q started "$dir/out" || [ $tries -ge 100 ]; do
	sleep 0.1
	tries=$((tries + 1))
done
monitor=$(cat "/proc/$call/task/$call/children" 2>/dev/null)
# shellcheck disable=SC2086 # one number
kill -9 $monitor
wait "$call"
[ $? = 125 ] && ! grep -qzx 98.76 /proc/[0-9]*/cmdline 2>/dev/null
ok $? "killed calls leave no process, and are not taken for finished ones"
tap_done
