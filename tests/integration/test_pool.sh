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
{
	cat "$dir/two.ini"
	echo "network_keeper = yes"
} >"$dir/network.ini"
export HOOKBOX_PLUGIN_PATH="$top_builddir/plugins/.libs" XDG_RUNTIME_DIR="$dir"
mkfifo "$dir/to" "$dir/from"

# begin_host CONFIG: a program that stays; its pid in $host.
begin_host()
{
	env "$mark" "$top_builddir/tests/fixtures/pool_host" "$1" "$id" <"$dir/to" >"$dir/from" 2>"$dir/err" &
	host=$!
	exec 3>"$dir/to" 4<"$dir/from"
}

# end_host WHAT [LOGGED]: by the end of its input.
end_host()
{
	exec 3>&-
	wait "$host"
	is "$?/$(cat "$dir/err")" "0/${2-}" "$1: the host ends well"
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
	pgrep -P "$host" -f -- "--name=${name#/}"
}

no_containers()
{
	is "$(containers)" "" "no container is left of $1"
}

run exec -c "$dir/hookbox.ini" --sandbox "$id" -- true </dev/null
like "$status/$err" "125/*hookbox.ini:8: *sandbox none* pool: *" "a pool of boxes that stay is refused"

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
is "$answer" "exited 3 proven: 0 hookbox-agent lo" "a call finds one, as closed as any"
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

# ---- One network for all ----

# refuse_shared SETTING PATTERN: it does not go together with network_keeper.
refuse_shared()
{
	{
		cat "$dir/network.ini"
		echo "$1"
	} >"$dir/refused.ini"
	run exec -c "$dir/refused.ini" --sandbox "$id" -- true </dev/null
	like "$status/$err" "125/*$dir/refused.ini:5: *sandbox $id* network_keeper: docker_run: $2" \
		"no shared network with $1"
}
refuse_shared "extra_args = --hostname=x" 'extra_args: "--hostname=x" is for a container with *; remove it*'
refuse_shared "extra_args = --publish=80:80" 'extra_args: "--publish=80:80" is for *'
refuse_shared "network = host" "network = host is no network of the containers' own*"
refuse_shared "read_only = no" "a root that is not read-only would let a call write *"

# The containers that keep a network for others: those that have one of their own.
keepers()
{
	containers | xargs -r docker inspect --format '{{.HostConfig.NetworkMode}} {{.Id}}' 2>/dev/null |
		sed -n '/^container:/!s/^[^ ]* //p'
}

another_keeper()
{
	[ -n "$(keepers)" ] && [ "$(keepers)" != "$1" ]
}

# replaced KEEPER: another one has come for it, and all is well.
replaced()
{
	wait_for "another keeper" another_keeper "$1"
	ask full
	is "$(keepers | wc -l)/$(containers | wc -l)" 1/3 "one that is $2 is replaced"
}

begin_host "$dir/network.ini"
ask "call echo cold"
ask full
is "$answer/$(containers | wc -l)/$(keepers | wc -l)" full/3/1 "a pool of two containers, and one that keeps their network"
docker exec -d "$(keepers)" sh -c "echo common | nc -l -p 4242"
wait_for "the listener" docker exec "$(keepers)" sh -c 'grep -q ":1092 0*:0000 0A" /proc/net/tcp*'
ask 'call nc 127.0.0.1 4242'
is "$answer" "exited 0 proven: common" "they share a loopback"
ask full
ask 'call echo $(ls /sys/class/net) $(ip route) $(nc -w 1 192.0.2.1 80 2>&1)'
like "$answer" "exited 0 proven: lo nc: *nreachable*" "... and have no other network, as said"
ask full
ask 'call for f in hosts hostname resolv.conf; do echo x >>/etc/$f && exit 4; done 2>/dev/null; exit 3'
is "$answer" "exited 3 proven: " "... and cannot write what belongs to the network"
ask stats
like "$answer" "hits=3 misses=1 deaths=0 failures=0*" "all of these were hits"

# Another host, of the same sandbox.
mkfifo "$dir/to2" "$dir/from2"
"$top_builddir/tests/fixtures/pool_host" "$dir/network.ini" "$id" <"$dir/to2" >"$dir/from2" 3>&- 4<&- &
other=$!
exec 5>"$dir/to2" 6<"$dir/from2"
echo "call true" >&5
read -r answer <&6
echo full >&5
read -r answer <&6
is "$answer/$(keepers | wc -l)" full/2 "two hosts have a network each"
exec 5>&- 6<&-
wait "$other"
ask full
is "$(keepers | wc -l)/$(containers | wc -l)" 1/3 "... and each takes its own away"

keeper=$(keepers)
docker kill "$keeper" >/dev/null
for i in 1 2 3 4; do
	ask "call echo $i"
	is "$answer" "exited 0 proven: $i" "the keeper is killed: call $i"
done
replaced "$keeper" "killed"
keeper=$(keepers)
kill -s KILL "$(cli_of "$keeper")"
replaced "$keeper" "without its CLI"
ask "call echo well"
is "$answer" "exited 0 proven: well" "the next call works"
said="hookbox: [sandbox $id] the box that keeps the pool's network ended; the boxes that wait are replaced"
end_host "a pool with one network" "$said
$said"
no_containers "the pool and its keeper"
nothing_left "the host"

# Where the network leads somewhere, it ends with the keeper.
if [ "$(docker network inspect --format '{{len .IPAM.Config}}' bridge 2>/dev/null)" ]; then
	{
		cat "$dir/network.ini"
		echo "network = bridge"
	} >"$dir/bridge.ini"
	address="call ip -o -4 addr show eth0 | awk '{ print \$4 }'"
	begin_host "$dir/bridge.ini"
	ask "call true"
	ask full
	ask "$address"
	first=$answer
	like "$first" "exited 0 proven: *.*.*.*/*" "a shared network that leads somewhere"
	ask full
	ask "$address"
	is "$answer" "$first" "... has one address"
	ask full
	keeper=$(keepers)
	docker kill "$keeper" >/dev/null
	replaced "$keeper" "killed, with its network,"
	ask "$address"
	like "$answer" "exited 0 proven: *.*.*.*/*" "... which leads somewhere as well"
	end_host "a pool with one bridged network" "$said"
	no_containers "the pool and its keeper"
else
	skip "a shared network that leads somewhere" "the engine has no bridge"
fi

begin_host "$dir/network.ini"
ask "call true"
ask full
kill_host
wait_for "the end of the containers" sh -c "[ -z \"\$(docker ps -aq --filter label=hookbox.sandbox=$id)\" ]"
no_containers "a killed host and its keeper"
begin_host "$dir/network.ini"
ask "call true"
ask full
docker ps -q --filter "label=hookbox.sandbox=$id" | xargs docker pause >/dev/null
kill_host
is "$(containers | wc -l)" 3 "a killed host leaves what is frozen"
run exec -c "$dir/network.ini" --sandbox "$id" -- echo next </dev/null
is "$status/$out" 0/next "the next host's call works"
no_containers "the killed host"

# ---- hookbox doctor ----

run doctor -c "$dir/two.ini"
like "$status/$out" "0/*an agent runs in the pool's boxes, and is spoken to over a socket: *" \
	"doctor makes a box for the pool"
{
	cat "$dir/two.ini"
	echo "agent = /nowhere/agent"
} >"$dir/nowhere.ini"
run doctor -c "$dir/nowhere.ini"
like "$out" "*warning sandbox $id: no box can be made for the pool: */nowhere/agent*remove pool*" \
	"... and says why when there is none"
HOOKBOX_AGENT_DIR=$dir/nowhere run doctor -c "$dir/two.ini"
like "$out" "*warning sandbox $id: hookbox-agent is not installed*HOOKBOX_AGENT_DIR*" \
	"... or why there is no pool"
no_containers doctor

tap_done
