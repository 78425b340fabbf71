#!/bin/sh
# SPDX-License-Identifier: MIT
# Boxes of a pool when all that they are made of is killed, stopped, filled up or lied to under a call:
# what is told of the call is true, the next one works, and nothing is left.
# shellcheck disable=SC2016 # the $ are other shells'
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/program.sh"

need_engine
command -v pgrep >/dev/null || skip_all "there is no pgrep here"
image=$("$top_srcdir/tests/parts/docker-image.sh" hookbox-test:busybox) || skip_all "no image can be made"

tap_dir
. "$top_srcdir/tests/parts/chorus.sh"
id=hookbox-test-$$
box=		# the container of the call that began last
n_victims=0

# shellcheck disable=SC2317 # called by the trap
remove_all()
{
	[ -z "$host" ] || kill -KILL "$host" 2>/dev/null
	boxes -a | xargs -r docker rm -f >/dev/null 2>&1
	rm -rf "$dir"
}
trap remove_all EXIT

# ---- Boxes ----

# boxes [-a]: of this test's sandbox, that run or in all states.
boxes()
{
	docker ps -q --no-trunc "$@" --filter "label=hookbox.sandbox=$id"
}

# Host pid, parent and command line of what runs in a box.
in_box()
{
	docker top "$1" -eo pid,ppid,args 2>/dev/null | tail -n +2
}

# Finds the box with two sleepers of so many seconds, and an agent: it was one of the pool.
victim_runs()
{
	for box in $(boxes); do
		in_box "$box" >"$dir/top"
		[ "$(grep -c " sleep $seconds\$" "$dir/top")" = 2 ] && grep -q hookbox-agent "$dir/top" &&
			return 0
	done
	return 1
}

# It is the first process there.
agent()
{
	docker inspect --format '{{.State.Pid}}' "$box"
}

agent_has_children()
{
	grep -q . "/proc/$(agent)/task/$(agent)/children"
}

agent_has_none()
{
	! agent_has_children
}

cli()
{
	name=$(docker inspect --format '{{.Name}}' "$box")
	pgrep -P "$host" -f "${name#/}"
}

# Has the agent in that list come in by the socket, and so greeted?
has_greeted()
{
	greeter=$(sed -n '/hookbox-agent/s/^ *\([0-9]*\).*/\1/p' "$1" | head -n 1)
	[ -n "$greeter" ] && find "/proc/$greeter/fd" -lname 'socket:*' 2>/dev/null | grep -q .
}

# Do two boxes wait?
full()
{
	n_ready=0
	for ready in $(boxes); do
		in_box "$ready" >"$dir/top"
		! has_greeted "$dir/top" || grep -q ' sleep ' "$dir/top" || n_ready=$((n_ready + 1))
	done
	[ $n_ready = 2 ]
}

wait_until_full()
{
	wait_for "the pool to be full" full
}

box_is_gone()
{
	! docker inspect "$box" >/dev/null 2>&1
}

none_is_left()
{
	[ -z "$(boxes -a)" ]
}

# ---- Calls ----

# begin_victim NAME [TIMEOUT-MS [SCRIPT]]: a call in a box of the pool that does not end. $s: seconds.
begin_victim()
{
	n_victims=$((n_victims + 1))
	seconds=$((1000 + n_victims))
	wait_until_full
	begin "$1" "${2:-60000}" "s=$seconds; ${3:-trap \"\" TERM; setsid sleep \$s & exec sleep \$s}"
	wait_for "the call to begin in a box of the pool" victim_runs
	echo "$box" >"$dir/box.$1"
}

# fault NAME WHAT PATTERN: the end of that call, and what comes then.
fault()
{
	end_of "$1"
	box=$(cat "$dir/box.$1")
	like "$end" "$3" "$2: the call's end is true"
	wait_for "the end of the box" box_is_gone
	ok $? "$2: the box is gone"
	next "$2"
}

# command SCRIPT PATTERN WHAT: what a call in a box of the pool comes to.
command_ends()
{
	wait_until_full
	call "$1"
	like "$end" "$2" "$3"
}

open_host()
{
	printf '%s\n' "[sandbox $id]" 'mode = docker_run' "image = $image" 'pool = 2' "$@" \
		>"$dir/hookbox.ini"
	chorus_open "$id"
	next "a new pool"
}

close_host()
{
	chorus_close
	wait_for "the end of all boxes" none_is_left
	ok $? "$1: no box is left"
	nothing_left "$1"
}

# ---- Kills ----

open_host
begin_victim cli
kill -KILL "$(cli)"
fault cli "kill -9 of the CLI" 'lost 0 proven * (signal 9); '
begin_victim agent
kill -KILL "$(agent)"
fault agent "kill -9 of the agent" 'lost 0 proven *; '
begin_victim container
docker kill "$box" >/dev/null
fault container "docker kill" 'lost 0 proven *; '
begin_victim removed
docker rm -f "$box" >/dev/null
fault removed "the container is removed" 'lost 0 proven *; '

# ---- What nobody tells of: it takes the host 20 s to believe it ----

begin_victim shim
kill -KILL "$(ps -o ppid= -p "$(docker inspect -f '{{.State.Pid}}' "$box")" | tr -d ' ')"
begin_victim paused
docker pause "$box" >/dev/null
begin_victim stopped
kill -STOP "$(agent)"
begin_victim overdue 3000
docker pause "$box" >/dev/null
begin_victim goes-on 60000 'echo begun; setsid sleep $s & sleep $s & sleep 2; echo on; exit 5'
docker pause "$box" >/dev/null
sleep 2
docker unpause "$box" >/dev/null
fault goes-on "docker pause and unpause" 'exited 5 proven ?begun? ;*'
fault overdue "docker pause of a call whose time comes" 'timed out 0 proven *'
fault shim "kill -9 of the shim" 'lost 0 proven *; '
fault paused "docker pause of a call with time left" 'lost 0 proven * has not answered for *'
fault stopped "an agent that was stopped" 'lost 0 proven * has not answered for *'

# ---- Commands against the agent ----

# Orphans of a box that waits become the agent's.
wait_until_full
box=$(boxes | head -n 1)
docker exec "$box" sh -c '(sleep 3 >/dev/null 2>&1 </dev/null &)'
wait_for "the orphan" agent_has_children && wait_for "the end of the orphan" agent_has_none
ok $? "the agent of a box that waits takes care of its orphans"

# It runs the command itself, as the first process of the box, which no signal of theirs reaches.
command_ends "$chorus_kill_agents echo out; exit 3" 'exited 3 proven ?out? ;*' "a command cannot kill the agent"
command_ends 'kill -9 -1; echo out' 'exited 0 proven ?out? ;*' "a command kills all that it can"
command_ends 'kill -STOP $PPID; setsid sleep 1000 & echo out' 'exited 0 proven ?out? ;*' \
	"a command cannot stop the agent"
command_ends 'while :; do echo flood; done' 'output limit 0 proven ?flood? *' "a command floods its output"
command_ends 'exec <&- >&- 2>&-; sleep 0.1; exit 3' 'exited 3 proven * ;*' "a command closes its descriptors"
command_ends "$chorus_forge" 'exited 0 proven ?done? ;*' "a command cannot write into the agent's output"
next "commands against the agent"

wait_until_full
chorus_kill
wait_for "the end of all boxes" none_is_left
ok $? "kill -9 of the host: all boxes end"

# ---- Limits of the box ----

open_host 'memory = 32m' 'pids_limit = 40' 'tmpfs = /tmp:size=1m'
command_ends 'exec dd if=/dev/zero of=/dev/null bs=64M count=1' 'signaled 9 proven *' \
	"out of memory: the command is killed"
next "out of memory"
command_ends 'dd if=/dev/zero of=/tmp/full bs=64k 2>/dev/null; echo $?' 'exited 0 proven ?1? *' "a full disk"
next "a full disk"
wait_until_full
begin bomb 2000 'b() { b | b & }; b; sleep 1000'
end_of bomb
like "$end" 'timed out 0 proven *' "a fork bomb inside the limit of processes"
command_ends '(while :; do setsid sleep 1000 & done) 2>/dev/null; echo full' 'exited 0 proven *' \
	"all processes that there may be are left behind"
next "the limit of processes"
close_host "a pool of small boxes"

# ---- Other users, other machines ----

open_host 'user = 65534:65534' 'cap_add = SYS_PTRACE'
command_ends "$chorus_forge" 'exited 0 proven ?done? ;*' "another user cannot write into its agent's output"
next "another user"
close_host "a pool of another user's boxes"

# An agent for another machine, by the head of its file.
mkdir "$dir/agents"
cp "${HOOKBOX_AGENT_DIR:-$top_builddir/core/agent}/hookbox-agent" "$dir/agents"
printf '\267\000' | dd of="$dir/agents/hookbox-agent" bs=1 seek=18 conv=notrunc 2>/dev/null
HOOKBOX_AGENT_DIR=$dir/agents
export HOOKBOX_AGENT_DIR
open_host
wait_for "the failures" grep -q 'calls start cold .*exec format error' "$dir/host"
ok $? "an agent of another machine: it is said that calls start cold"
next "an agent of another machine"
close_host "a pool that cannot be"
is "$(grep -c 'may be left' "$dir/host")" 0 "... and nothing is thought to be left"

tap_done
