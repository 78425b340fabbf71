#!/bin/sh
# SPDX-License-Identifier: MIT
# kill -9 of dockerd under a call in a channel, and in a box of a pool: an engine of the test's own, beside
# the machine's.
# shellcheck disable=SC2016 # the $ are other shells'
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/program.sh"

need_engine
[ "$(id -u)" = 0 ] || skip_rest "only root can start an engine"
unshare --net true 2>/dev/null || skip_rest "no network namespace can be made here"
command -v dockerd >/dev/null || skip_rest "there is no dockerd here"
image=$("$top_srcdir/tests/parts/docker-image.sh" hookbox-test:busybox) || skip_all "no image can be made"

tap_dir
XDG_RUNTIME_DIR=$dir
export XDG_RUNTIME_DIR
. "$top_srcdir/tests/parts/chorus.sh"
engine=

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
	# A containerd of the killed one that nobody has reaped would be taken for one that runs.
	pkill -KILL -f -- "--config $dir/exec/containerd"
	rm -f "$dir/exec/containerd/containerd.pid"
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
	grep -o " $dir/[^ ]*" /proc/mounts | xargs -r umount -l 2>/dev/null
	rm -rf "$dir"
}
trap remove_all EXIT

# Of another engine.
bridge=$(ls -d /sys/class/net/docker0 2>/dev/null)
start_engine || skip_rest "no second engine can be started here: $(tail -n 1 "$dir/log")"
docker save "$image" | own_docker load >/dev/null
own_docker run -d --init --name box --network none --log-driver none "$image" sleep 86400 >/dev/null ||
	skip_rest "no container can be started in a second engine"
cat >"$dir/hookbox.ini" <<END
[sandbox box]
mode = docker_exec
container = box
docker_host = unix://$dir/sock
agent_idle = 10s
[sandbox pool]
mode = docker_run
image = $image
docker_host = unix://$dir/sock
pool = 1
END
namespace=$(readlink "/proc/$(own_docker inspect -f '{{.State.Pid}}' box)/ns/pid")

# How many processes there are in the box, by the namespace of its first one.
n_in_box()
{
	readlink /proc/[0-9]*/ns/pid 2>/dev/null | grep -cxF "$namespace"
}

in_box_are()
{
	[ "$(n_in_box)" = "$1" ]
}

# ---- A channel ----

kill_engine()
{
	kill -KILL "$engine"
	wait "$engine" 2>/dev/null
}

begin_victim()
{
	begin victim 60000 'trap "" TERM; setsid sleep 1000 & exec sleep 1000'
}

chorus_open box
call 'echo works'
like "$end" 'exited 0 proven ?works? ;*' "a channel through the second engine"
before=$(n_in_box)
begin_victim
wait_for "the call to begin" in_box_are $((before + 2))
kill_engine
end_of victim
like "$end" 'lost 0 unknown *' "kill -9 of dockerd: the call's end is true"
call 'echo works'
like "$end" 'not started 0 *' "kill -9 of dockerd: the next call says that there is no engine"
wait_for "the box to be empty" in_box_are 2
ok $? "kill -9 of dockerd: all in the box ends by itself"
start_engine
own_docker start box >/dev/null
call 'echo works'
like "$end" 'exited 0 * ?works? ;*' "dockerd is back: the next call works"
chorus_close

# ---- A pool ----

pool_boxes()
{
	own_docker ps -q --filter label=hookbox.sandbox=pool "$@"
}

one_waits()
{
	[ "$(pool_boxes | wc -l)" = 1 ] &&
		own_docker top "$(pool_boxes)" -eo pid,args | grep -q " /dev/hookbox-agent"
}

victim_runs()
{
	[ "$(own_docker top "$(pool_boxes | tail -n 1)" -eo pid,args 2>/dev/null | grep -c " sleep 1000$")" = 2 ]
}

no_pool_box()
{
	[ -z "$(pool_boxes -a)" ]
}

chorus_open pool
call 'echo works'
like "$end" 'exited 0 proven ?works? ;*' "a pool in the second engine"
wait_for "a box that waits" one_waits
begin_victim
wait_for "the call to begin" victim_runs
kill_engine
end_of victim
like "$end" 'lost 0 unknown *' "kill -9 of dockerd: the end of the call in a pool's box is true"
call 'echo works'
like "$end" 'not started 0 *' "kill -9 of dockerd: the next call says that there is no engine"
start_engine
call 'echo works'
like "$end" 'exited 0 proven ?works? ;*' "dockerd is back: the next call works"
chorus_close
# What could not be ended while there was no engine is the next host's to end.
chorus_open pool
call 'echo works'
wait_for "a box that waits" one_waits
chorus_close
wait_for "the end of all boxes" no_pool_box
ok $? "dockerd is back: no box of the pool is left"
is "$(ls -d /sys/class/net/docker0 2>/dev/null)" "$bridge" "the other engine's bridge is as it was"
nothing_left "calls whose engine was killed"
tap_done
