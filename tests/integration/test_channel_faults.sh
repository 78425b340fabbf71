#!/bin/sh
# SPDX-License-Identifier: MIT
# The channel into a container when all that carries it is killed, stopped, filled up or lied to:
# what is told of the call is true, the next one works, and nothing is left.
# shellcheck disable=SC2016 # the $ are other shells'
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/program.sh"

need_engine
command -v pgrep >/dev/null || skip_all "there is no pgrep here"
make_image="$top_srcdir/tests/parts/docker-image.sh"
image=$("$make_image" hookbox-test:busybox) || skip_all "no image can be made"
nosh=$("$make_image" hookbox-test:nosh) || skip_all "no image can be made"

tap_dir
. "$top_srcdir/tests/parts/chorus.sh"
id=hookbox-test-$$
box=		# the container that the host's channel leads to

# shellcheck disable=SC2317 # called by the trap
remove_all()
{
	[ -z "$host" ] || kill -KILL "$host" 2>/dev/null
	docker ps -aq --filter "label=$id" | xargs -r docker rm -f >/dev/null 2>&1
	rm -rf "$dir"
}
trap remove_all EXIT

# make_box NAME [DOCKER-FLAG...]: a container that runs, and a sandbox of its name.
make_box()
{
	box=$id-$1
	shift
	docker run -d --init --name "$box" --label "$id" --network none --log-driver none "$@" \
		"$image" sleep 86400 >/dev/null || exit 99
	printf '[sandbox %s]\nmode = docker_exec\ncontainer = %s\n' "${box#"$id-"}" "$box" \
		>>"$dir/hookbox.ini"
}

export HOOKBOX_PLUGIN_PATH="$top_builddir/plugins/.libs"

# open_host [SETTING [FILES]]: one that keeps its channel to $box.
open_host()
{
	[ $# = 0 ] || echo "$1" >>"$dir/hookbox.ini"
	chorus_open "${box#"$id-"}" "${2:-1024}"
}

# ---- The box ----

# Host pid, parent and command line of what runs in it.
in_box()
{
	docker top "$box" -eo pid,ppid,args | tail -n +2
}

agents()
{
	in_box | awk '/\.hookbox-agent/ { of[$1] = $2 } END { for (p in of) if (!(of[p] in of)) print p }'
}

# The processes of calls: neither the container's own nor an agent with its keepers.
of_calls()
{
	in_box | grep -vE '\.hookbox-agent|[i]nit|sleep 86400$'
}

# sleepers N: do so many of them sleep?
sleepers()
{
	[ "$(in_box | grep -c ' sleep 1000$')" = "$1" ]
}

box_is_clean()
{
	[ -z "$(of_calls)" ] && [ "$(agents | wc -l)" -le 1 ]
}

box_is_empty()
{
	[ -z "$(of_calls)$(agents)" ]
}

no_cli()
{
	! pgrep -f "docker exec .*$box" >/dev/null
}

# Is there no room for one more?
crowded()
{
	[ "$(in_box | wc -l)" -ge 39 ]
}

host_is_clean()
{
	[ "$(pgrep -c -P "$host")" -le 1 ]
}

# clean WHAT: nothing is left in the box but one agent, and here but what carries the channel.
clean()
{
	wait_for "the box to be clean" box_is_clean && wait_for "the host to be clean" host_is_clean
	ok $? "$1: nothing is left"
	[ -z "$(of_calls)" ] || tap_note "$(in_box)"
}

# fault WHAT PATTERN: the end of the call "victim", which two processes were of, and what comes then.
fault()
{
	end_of victim
	like "$end" "$2" "$1: the call's end is true"
	next "$1"
	clean "$1"
}

# begin_victim [TIMEOUT-MS]: a call that does not end, and has a process that escaped.
begin_victim()
{
	begin victim "${1:-60000}" 'trap "" TERM; setsid sleep 1000 & exec sleep 1000'
	wait_for "the call to begin" sleepers 2
}

# ---- The shim: nobody says that it is gone, and it takes the host 20 s to believe it ----

make_box shim
mkdir "$dir/shim"
echo 'victim 60000 sleep 1000' | "$top_builddir/tests/fixtures/chorus" "$dir/hookbox.ini" shim \
	"$top_builddir/plugins/.libs" "$dir/shim" &
shim_host=$!
wait_for "the call to begin" sleepers 1
kill -KILL "$(ps -o ppid= -p "$(docker inspect -f '{{.State.Pid}}' "$box")" | tr -d ' ')"

# ---- Kills ----

make_box main
open_host
next "a new channel"
clean "a new channel"

begin_victim
kill -KILL "$(pgrep -P "$host")"
fault "kill -9 of the CLI" 'lost 0 swept * what carried the connection to the agent ended (signal 9); '

begin_victim
kill -KILL "$(agents)"
fault "kill -9 of the agent" 'lost 0 swept * (status 137); '

begin_victim
kill -STOP "$(agents)"
fault "an agent that was stopped" 'lost 0 * has not answered for *'

begin_victim
kill -KILL "$(in_box | awk '$3 == "sleep" && $4 == 1000 { print $2 }' | sort -n | grep -vx 1 |
	while read -r parent; do in_box | awk -v p="$parent" '$1 == p && /hookbox-agent/ { print p }'; done |
	head -n 1)"
fault "kill -9 of a keeper" 'lost 0 proven * killed the agent?s helper that ran it; '

begin_victim
docker kill "$box" >/dev/null
end_of victim
like "$end" 'lost 0 *' "docker kill: the call's end is true"
docker start "$box" >/dev/null
next "docker kill and start"
clean "docker kill and start"

begin_victim
docker rm -f "$box" >/dev/null
end_of victim
like "$end" 'lost 0 *' "the container is removed: the call's end is true"
docker run -d --init --name "$box" --label "$id" --network none --log-driver none "$image" \
	sleep 86400 >/dev/null
next "a new container of the same name"
clean "a new container of the same name"

# ---- Pauses ----

begin pause 20000 'sleep 0.3; echo paused'
docker pause "$box" >/dev/null
sleep 0.5
docker unpause "$box" >/dev/null
end_of pause
like "$end" 'exited 0 proven ?paused? ;*' "docker pause and unpause under a call: it goes on"
docker pause "$box" >/dev/null
docker unpause "$box" >/dev/null
next "docker pause and unpause between calls"
begin_victim 1000
begin beside 60000 'sleep 1000'
wait_for "the other call" sleepers 3
docker pause "$box" >/dev/null
end_of beside
like "$end" 'lost 0 unknown * did not end a call in time; *paused*' "docker pause: a call with time left is lost"
end_of victim
like "$end" 'timed out 0 unknown *; *paused*' "docker pause: a call whose time is up has timed out"
docker unpause "$box" >/dev/null
next "docker pause for long"
clean "docker pause for long"

# ---- Commands against the agent ----

call 'kill -9 $PPID; sleep 1000'
like "$end" 'lost 0 proven *helper*' "a command kills its keeper"
call "$chorus_kill_agents sleep 1000"
like "$end" 'lost 0 *' "a command kills all that is the agent"
next "an agent that was killed by a command"
clean "an agent that was killed by a command"

begin stop 1000 'kill -STOP $PPID; setsid sleep 1000 & echo out'
end_of stop
like "$end" 'timed out 0 proven ?out? *' "a command stops its keeper: its time ends it"
next "a keeper that was stopped"
call 'while :; do echo flood; done'
like "$end" 'output limit 0 proven ?flood? *' "a command floods its output"
call 'exec <&- >&- 2>&-; sleep 0.1; exit 3'
like "$end" 'exited 3 proven * ;*' "a command closes its descriptors"
call "$chorus_forge"
like "$end" 'exited 0 proven ?done? ;*' "a command cannot write into the agent's output"
next "commands against the agent"
clean "commands against the agent"

begin_victim
chorus_kill
wait_for "the box to be empty" box_is_empty
ok $? "kill -9 of the host: all in the box ends by itself"
wait_for "the CLI to end" no_cli
ok $? "kill -9 of the host: the CLI ends"

# ---- Descriptors ----

open_host 'timeout_ms = 20s' 24
names='1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24'
for name in $names; do
	begin "$name" 20000 "sleep 0.5; echo $name"
done
wrong=
for name in $names; do
	end_of "$name"
	case $end in
	"exited 0 proven [$name] ; "*) ;;
	*) wrong="$wrong$name: $end
" ;;
	esac
done
is "$wrong" "" "more calls than free descriptors: all end as they should"
next "more calls than free descriptors"
chorus_close

# ---- Limits of the box ----

make_box small --pids-limit 40 --memory 32m --read-only --tmpfs /tmp:exec,size=1m
open_host
next "a small box"
begin bomb 2000 'b() { b | b & }; b; sleep 1000'
end_of bomb
like "$end" 'timed out 0 proven *' "a fork bomb inside the limit of processes"
next "a fork bomb"
begin crowd 3000 '(while :; do sleep 1000 & done) 2>/dev/null; exec sleep 1000'
wait_for "a crowd" crowded
call 'echo works'
like "$end" 'not started 0 proven * Resource temporarily unavailable*' "no process is left: the call says so"
end_of crowd
like "$end" '* proven *' "a crowd of processes ends"
next "a crowd of processes"
call 'exec dd if=/dev/zero of=/dev/null bs=64M count=1'
like "$end" 'signaled 9 proven *' "out of memory: the command is killed"
next "out of memory"
call 'dd if=/dev/zero of=/tmp/full bs=64k 2>/dev/null; echo $?'
like "$end" 'exited 0 proven ?1? *' "a full disk"
next "a full disk, and an agent that is there"
clean "the limits of a box"
kill -KILL "$(agents)"
# Its file was removed, and took room until now.
docker exec "$box" dd if=/dev/zero of=/tmp/more bs=4k 2>/dev/null
call 'echo works'
like "$end" 'exited 0 swept ?works? ;*' "a full disk, and no agent: calls go without"
is "$(docker exec "$box" ls -A /tmp)" "full
more" "no part of an agent is left on a full disk"
chorus_close

# ---- Boxes without an agent, and other users ----

# without NAME REASON [DOCKER-FLAG...]: a call without an agent works, and doctor knows the reason.
without()
{
	without=$1 reason=$2
	shift 2
	rm "$dir/hookbox.ini"
	make_box "$without" "$@"
	run exec -c "$dir/hookbox.ini" --sandbox "$without" --json -- sh -c 'echo works' </dev/null
	like "$out" '{"end":"exited","status":0,*"cleanup":"swept"*works*' "$without: a call works without an agent"
	run doctor -c "$dir/hookbox.ini"
	like "$out$err" "$reason" "$without: doctor says why"
	[ -z "$(of_calls)$(agents)" ]
	ok $? "$without: nothing is left"
}

mkdir "$dir/bin"
printf '#!/bin/sh\n[ "$1" = -m ] && echo pdp11 || echo Linux\n' >"$dir/bin/uname"
chmod 755 "$dir" "$dir/bin" "$dir/bin/uname"
without readonly '*no agent runs there: the box has no directory where a file can be made and exec*' --read-only --tmpfs /tmp
# busybox would take its own.
image=$("$make_image" hookbox-test:dash) || skip_all "no image can be made"
without foreign '*no agent runs there: there is no agent for that kind of box:*-Linux-pdp11*' \
	--volume "$dir/bin:/other:ro" --env PATH=/other:/bin

# An agent's file that is for another machine, by its head, though the name says that it is for this one.
agents=${HOOKBOX_AGENT_DIR:-$top_builddir/core/agent}
mkdir "$dir/agents"
cp "$agents/hookbox-agent" "$dir/agents"
printf '\267\000' | dd of="$dir/agents/hookbox-agent" bs=1 seek=18 conv=notrunc 2>/dev/null
export HOOKBOX_AGENT_DIR="$dir/agents"
without otherfile '*no agent runs there: *ended (status 126)*'
HOOKBOX_AGENT_DIR=$agents
is "$(docker exec "$id-otherfile" ls -A /tmp)" "" "... nor of that agent"

make_box user
open_host 'user = 65534:65534'
next "another user"
begin_victim
kill -KILL "$(agents)"
fault "kill -9 of another user's agent" 'lost 0 swept *'
call "$chorus_forge"
like "$end" 'exited 0 proven ?done? ;*' "another user cannot write into its agent's output"
chorus_close

make_box tracer --cap-add SYS_PTRACE
open_host
call "$chorus_forge; sleep 1000"
like "$end" 'lost 0 * the agent broke the protocol*' "who may trace all writes into the agent's output: nothing is believed"
next "forged frames"
clean "forged frames"
chorus_close

image=$nosh
make_box nosh
echo 'shell = none' >>"$dir/hookbox.ini"
run exec -c "$dir/hookbox.ini" --sandbox nosh -- echo works </dev/null
is "$status/$out" 0/works "no shell: a call works without an agent"

# ---- What the shim's end came to ----

box=$id-shim
wait "$shim_host"
end=$(cat "$dir/shim/victim")
like "$end" 'lost 0 *' "kill -9 of the shim: the call's end is true"
docker rm -f "$box" >/dev/null 2>&1
image=hookbox-test:busybox
make_box shim
open_host
next "kill -9 of the shim, and a new container"
chorus_close
nothing_left "all these calls"

tap_done
