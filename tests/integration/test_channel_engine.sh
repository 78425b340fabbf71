#!/bin/sh
# SPDX-License-Identifier: MIT
# kill -9 of dockerd under a call in a channel: an engine of the test's own, beside the machine's.
# shellcheck disable=SC2016 # the $ are other shells'
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/program.sh"

need_engine
[ "$(id -u)" = 0 ] || skip_rest "only root can start an engine"
unshare --net true 2>/dev/null || skip_rest "no network namespace can be made here"
command -v dockerd >/dev/null || skip_rest "there is no dockerd here"
image=$("$top_srcdir/tests/parts/docker-image.sh" hookbox-test:busybox) || skip_all "no image can be made"

tap_dir
engine=
host=

own_docker()
{
	docker -H "unix://$dir/sock" "$@"
}

engine_answers()
{
	own_docker info >/dev/null 2>&1
}

# An engine without a bridge removes the interface docker0, which is another engine's: it gets a network
# of its own.
start_engine()
{
	unshare --net dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/pid" \
		-H "unix://$dir/sock" --bridge none --iptables=false --ip-masq=false \
		--ip-forward=false >>"$dir/log" 2>&1 7>&- &
	engine=$!
	wait_for "the engine" engine_answers
}

# Processes whose command line names its directory: the engine, its containerd, its shims.
of_engine()
{
	pgrep -f -- "$dir/exec"
}

engine_is_gone()
{
	! of_engine >/dev/null
}

# shellcheck disable=SC2317 # called by the trap
remove_all()
{
	[ -z "$host" ] || kill -KILL "$host" 2>/dev/null
	own_docker rm -f box >/dev/null 2>&1
	[ -z "$engine" ] || kill "$engine" 2>/dev/null
	wait_for "the engine to end" engine_is_gone || of_engine | xargs -r kill -KILL
	grep -o " $dir/[^ ]*" /proc/mounts | xargs -r umount 2>/dev/null
	rm -rf "$dir"
}
trap remove_all EXIT

# Of another engine.
bridge=$(ls -d /sys/class/net/docker0 2>/dev/null)
start_engine || skip_rest "no second engine can be started here: $(tail -n 1 "$dir/log")"
docker save "$image" | own_docker load >/dev/null
own_docker run -d --init --name box --network none --log-driver none "$image" sleep 86400 >/dev/null ||
	skip_rest "no container can be started in a second engine"
printf '[sandbox box]\nmode = docker_exec\ncontainer = box\ndocker_host = unix://%s\nagent_idle = 10s\n' \
	"$dir/sock" >"$dir/hookbox.ini"
namespace=$(readlink "/proc/$(own_docker inspect -f '{{.State.Pid}}' box)/ns/pid")
mkdir "$dir/ends"
mkfifo "$dir/calls"
env "$mark" "$top_builddir/tests/fixtures/chorus" "$dir/hookbox.ini" box \
	"$top_builddir/plugins/.libs" "$dir/ends" <"$dir/calls" 2>"$dir/host" &
host=$!
exec 7>"$dir/calls"

# call NAME SCRIPT
call()
{
	echo "$1 60000 $2" >&7
}

end_of()
{
	wait_for "the end of $1" test -f "$dir/ends/$1"
	end=$(cat "$dir/ends/$1" 2>&1)
}

# How many processes there are in the box, by the namespace of its first one.
n_in_box()
{
	readlink /proc/[0-9]*/ns/pid 2>/dev/null | grep -cxF "$namespace"
}

in_box_are()
{
	[ "$(n_in_box)" = "$1" ]
}

call first 'echo works'
end_of first
like "$end" 'exited 0 proven ?works? ;*' "a channel through the second engine"
before=$(n_in_box)
call victim 'trap "" TERM; setsid sleep 1000 & exec sleep 1000'
wait_for "the call to begin" in_box_are $((before + 2))
kill -KILL "$engine"
wait "$engine" 2>/dev/null
end_of victim
like "$end" 'lost 0 unknown *' "kill -9 of dockerd: the call's end is true"
call without 'echo works'
end_of without
like "$end" 'not started 0 *' "kill -9 of dockerd: the next call says that there is no engine"
wait_for "the box to be empty" in_box_are 2
ok $? "kill -9 of dockerd: all in the box ends by itself"
start_engine
own_docker start box >/dev/null
call next 'echo works'
end_of next
like "$end" 'exited 0 * ?works? ;*' "dockerd is back: the next call works"
exec 7>&-
wait "$host"
host=
is "$(ls -d /sys/class/net/docker0 2>/dev/null)" "$bridge" "the other engine's bridge is as it was"
nothing_left "calls whose engine was killed"
tap_done
