#!/bin/sh
# SPDX-License-Identifier: MIT
# Pools of real containers: hits, what dies while it waits, and what is left by hosts that end or are
# killed.
# shellcheck disable=SC2016 # the $ are another shell's
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/program.sh"

need_engine
image=$("$top_srcdir/tests/parts/docker-image.sh" hookbox-test:busybox) || skip_all "no image can be made"

tap_dir
id=hookbox-test-$$
host=

# shellcheck disable=SC2317 # called by the trap
remove_all()
{
	[ -z "$host" ] || kill -s KILL "$host" 2>/dev/null
	docker ps -aq --filter "label=hookbox.sandbox=$id" | xargs -r docker rm -f >/dev/null 2>&1
	rm -rf "$dir"
}
trap remove_all EXIT

cat >"$dir/hookbox.ini" <<END
[sandbox $id]
mode = docker_run
image = $image
pool = 2
[sandbox none]
mode = docker_exec
container = x
pool = 2
END
sed -e '/^.sandbox none/,$d' "$dir/hookbox.ini" >"$dir/two.ini"
sed -e 's/^pool = 2/pool = 4/' "$dir/two.ini" >"$dir/four.ini"
export HOOKBOX_PLUGIN_PATH="$top_builddir/plugins/.libs" XDG_RUNTIME_DIR="$dir"
mkfifo "$dir/to" "$dir/from"

# begin_host CONFIG: a program that stays; its pid in $host.
begin_host()
{
	env "$mark" "$top_builddir/tests/fixtures/pool_host" "$1" "$id" <"$dir/to" >"$dir/from" 2>"$dir/err" &
	host=$!
	exec 3>"$dir/to" 4<"$dir/from"
}

# end_host WHAT: by the end of its input.
end_host()
{
	exec 3>&-
	wait "$host"
	is "$?/$(cat "$dir/err")" 0/ "$1: the host ends well"
	exec 4<&-
	host=
}

# kill_host: it has no time for anything.
kill_host()
{
	kill -s KILL "$host"
	wait "$host" 2>/dev/null
	exec 3>&- 4<&-
	host=
}

# ask COMMAND: its line in $answer.
ask()
{
	echo "$1" >&3
	IFS= read -r answer <&4
}

# The containers of this test's sandbox, in all states.
containers()
{
	docker ps -aq --no-trunc --filter "label=hookbox.sandbox=$id"
}

# A container of the pool that waits.
waiting()
{
	docker ps -q --filter "label=hookbox.sandbox=$id" | head -n 1
}

# The docker CLI of a container, a child of the host.
cli_of()
{
	name=$(docker inspect --format '{{.Name}}' "$1")
	pgrep -P "$host" -f "${name#/}"
}

no_containers()
{
	is "$(containers)" "" "no container is left of $1"
}

run exec -c "$dir/hookbox.ini" --sandbox "$id" -- true </dev/null
like "$status/$err" "125/*hookbox.ini:5: *sandbox none* pool: *" "a pool of boxes that stay is refused"

# ---- Hits ----

begin_host "$dir/two.ini"
ask "call echo cold"
is "$answer" "exited 0 proven: cold" "the first call starts cold"
ask full
is "$answer/$(containers | wc -l)" full/2 "then two containers wait"
is "$(docker ps --filter "label=hookbox.sandbox=$id" --filter label=hookbox.owner --format '{{.Image}}')" \
	"$image
$image" "... with the labels of an owner"
first=$(containers)
ask 'call echo $(id -u) $(cat /proc/1/comm) $(ls /sys/class/net); touch /x 2>/dev/null || exit 3'
is "$answer" "exited 3 proven: 0 docker-init lo" "a call finds one, as closed as any"
ask stats
like "$answer" "hits=1 misses=1 deaths=0 failures=0*" "... which was a hit"
like "$answer" "* sockets=[2-9]*" "... over a socket"
ask full
is "$(find "$dir/hookbox" -name '*.sock')" "" "... of which nothing is left"
is "$(containers | wc -l)" 2 "another one takes its place"
[ "$(containers)" != "$first" ]
ok $? "a container serves one call"
ask "call sleep 1000 & trap '' TERM; while :; do sleep 1000; done"
is "$answer" "timed out 0 proven: " "a call that times out leaves nothing"
ask full

# ---- What dies while it waits ----

ended=$(waiting)
docker kill "$ended" >/dev/null
wait_for "the death" sh -c "! docker inspect $ended >/dev/null 2>&1"
ask full
ask stats
like "$answer" "* deaths=1 *waiting=2" "a container that is killed while it waits is replaced"
ended=$(waiting)
kill -s KILL "$(cli_of "$ended")"
wait_for "the death" sh -c "! docker inspect $ended >/dev/null 2>&1"
ask full
ask stats
like "$answer" "* deaths=2 *waiting=2" "one whose CLI is killed is removed and replaced"
ask "call echo well"
is "$answer" "exited 0 proven: well" "the next call works"
ask full

# A frozen container cannot be told from a waiting one; the call's time ends it.
docker ps -q --filter "label=hookbox.sandbox=$id" | xargs docker pause >/dev/null
ask "call echo never"
is "$answer" "timed out 0 proven: " "a container that is paused while it waits: the call ends with its time"
end_host "a pool with a paused container"
no_containers "the pool"
nothing_left "the host"

# ---- A host that ends early ----

begin_host "$dir/four.ini"
ask "call echo one"
ask "call echo two"
is "$answer" "exited 0 proven: two" "a host whose pool is being filled"
end_host "a pool that is being filled"
no_containers "a pool that was being filled"
nothing_left "the host"

# ---- A host that is killed ----

begin_host "$dir/four.ini"
ask "call true"
ask full
kill_host
wait_for "the end of the containers" sh -c "[ -z \"\$(docker ps -aq --filter label=hookbox.sandbox=$id)\" ]"
no_containers "a killed host"

# Frozen ones do not see that it is gone.
begin_host "$dir/four.ini"
ask "call true"
ask full
docker ps -q --filter "label=hookbox.sandbox=$id" | xargs docker pause >/dev/null
kill_host
is "$(containers | wc -l)" 4 "a killed host leaves what is frozen"
run exec -c "$dir/two.ini" --sandbox "$id" -- echo next </dev/null
is "$status/$out" 0/next "the next host's call works"
no_containers "the killed host"

tap_done
