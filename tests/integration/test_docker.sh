#!/bin/sh
# SPDX-License-Identifier: MIT
# docker_run and docker_exec on a real engine: isolation, failures, and what is left of calls.
# shellcheck disable=SC2016 # the $ are other shells'
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/program.sh"

need_engine
make_image="$top_srcdir/tests/parts/docker-image.sh"
image=$("$make_image" hookbox-test:busybox) || skip_all "no image can be made"
nosh=$("$make_image" hookbox-test:nosh) || skip_all "no image can be made"

tap_dir
id=hookbox-test-$$
box=$id-box		# a container that runs
still=$id-still		# ... that does not
other=$id-other		# another one that does
inert=$id-inert		# an image whose entrypoint ignores the command
proxy_pid=

# shellcheck disable=SC2317 # called by the trap
remove_all()
{
	[ -z "$proxy_pid" ] || kill "$proxy_pid" 2>/dev/null
	docker rm -f "$box" "$still" "$other" >/dev/null 2>&1
	docker rmi "$inert" >/dev/null 2>&1
	rm -rf "$dir"
}
trap remove_all EXIT
# Notes of engines that nobody comes to again go with it.
export XDG_RUNTIME_DIR="$dir"

awkward='a,b "c" =d  e'
mkdir "$dir/hooks" "$dir/$awkward"
cp "$top_srcdir"/examples/hooks/*.sh "$dir/hooks"
echo "from the host" >"$dir/$awkward/file"
docker run -d --init --name "$box" --network none --log-driver none \
	--mount "type=bind,source=$dir/hooks,target=$dir/hooks,readonly" "$image" sleep 86400 \
		>/dev/null
docker create --name "$still" --network none "$image" sleep 86400 >/dev/null
docker commit --change 'ENTRYPOINT ["/bin/false"]' "$still" "$inert" >/dev/null

# The keys that only tests need go behind the example itself.
sed -e "s/= hookbox-demo\$/= $image/" -e "s/= hookbox-box\$/= $box/" \
	"$top_srcdir/examples/docker.ini" >"$dir/docker.ini"
cat >"$dir/hookbox.ini" <<END
[sandbox $id]
mode = docker_run
image = $image
[sandbox exec]
mode = docker_exec
container = $box
[sandbox loose]
mode = docker_run
image = $image
user = 65534:65534
read_only = no
tmpfs = none
mounts = $dir/hooks:/hooks
	$dir/more:/more:rw
memory = 64m
pids_limit = 20
cpus = 0.5
cap_add = CHOWN
labels = team=red
init = no
extra_args = --hostname=some-host
[sandbox awkward]
mode = docker_run
image = $image
mounts = ./$awkward:/m,n "o" =p:rw
[sandbox inert]
mode = docker_run
image = $inert
[sandbox plain]
mode = docker_run
image = $nosh
shell = none
END
mkdir "$dir/more"
chmod 777 "$dir/more"
export HOOKBOX_CONFIG="$dir/hookbox.ini" HOOKBOX_PLUGIN_PATH="$top_builddir/plugins/.libs"

# in_box SANDBOX CMD...: a call with an empty stdin.
in_box()
{
	sandbox=$1
	shift
	run exec --sandbox "$sandbox" -- "$@" </dev/null
}

# try MODE KEY=VALUE...: a call in a sandbox of these settings.
try()
{
	{
		printf '[sandbox tried]\nmode = %s\n' "$1"
		shift
		printf '%s\n' "$@"
	} >"$dir/tried.ini"
	run exec -c "$dir/tried.ini" --sandbox tried -- sh -c 'echo ran' </dev/null
}

# The containers of a sandbox.
containers()
{
	docker ps -aq --filter "label=hookbox.sandbox=$1"
}

no_containers()
{
	is "$(containers "$id")" "" "no container is left of $1"
}

# ---- The example, in its three modes ----

ask()
{
	printf '{"request":{"messages":[{"role":"user","content":"%s"}]}}' "$1" >"$dir/request"
	run run pii_redactor --phase before_call -c "$dir/docker.ini" <"$dir/request"
}

for mode in docker_run docker_exec direct; do
	sed "s/^mode = docker_run/mode = $mode/" "$dir/docker.ini" >"$dir/swapped"
	mv "$dir/swapped" "$dir/docker.ini"
	ask "my ssn is 123-45-6789"
	like "$status/$out" '1/*"allow":false*ssn*' "$mode: the hook denies a request"
	ask "what is the weather like"
	like "$status/$out" '0/*"allow":true*' "$mode: the hook allows another"
	sed "s/^mode = $mode/mode = docker_run/" "$dir/docker.ini" >"$dir/swapped"
	mv "$dir/swapped" "$dir/docker.ini"
done

# ---- What a container may do ----

in_box "$id" sh -c 'cat /proc/1/comm; ls /sys/class/net; grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status'
is "$status/$out" "0/docker-init
lo
CapEff:	0000000000000000
CapBnd:	0000000000000000
NoNewPrivs:	1" "closed: an init, no network, no capabilities, no new privileges"
in_box "$id" sh -c 'touch /x 2>/dev/null || echo read-only; touch /tmp/x && echo but not /tmp'
is "$status/$out" "0/read-only
but not /tmp" "closed: the root is read-only, /tmp is not"
in_box "$id" sh -c 'f=/sys/fs/cgroup; cat $f/memory.max $f/pids.max 2>/dev/null ||
	cat $f/memory/memory.limit_in_bytes $f/pids/pids.max'
is "$status/$out" "0/536870912
256" "closed: memory and processes are limited"
in_box loose sh -c 'id -u; hostname; cat /hooks/json_paths.sh >/dev/null && echo read
	touch /hooks/x 2>/dev/null || echo read-only; echo x >/more/x && echo written; cat /proc/1/comm'
is "$status/$out" "0/65534
some-host
read
read-only
written
sh" "loosened: user, mounts, init and extra_args"
is "$(cat "$dir/more/x")" x "loosened: what was written is on the host"
in_box inert echo ran
is "$status/$out" 0/ran "an image's entrypoint is not in the way"

in_box awkward sh -c 'cat /m,n*/file && echo there >"/m,n \"o\" =p/made"'
is "$status/$out" "0/from the host" "a mount's path may have commas, quotes and spaces"
is "$(cat "$dir/$awkward/made")" there "... and may be written with :rw"

# ---- What comes in and goes out ----

awk 'BEGIN { for (i = 0; i < 20000; i++) printf "\020\021\020\021%c%c\033[A", i % 256, 4 }' \
	>"$dir/keys"
for sandbox in "$id" exec; do
	hookbox exec --sandbox "$sandbox" -- cat <"$dir/keys" >"$dir/out"
	cmp "$dir/keys" "$dir/out"
	ok $? "$sandbox: bytes that detach terminals pass"
	LD_PRELOAD=/no/such.so hookbox exec --sandbox "$sandbox" --env LD_PRELOAD \
		--env DOCKER_HOST=nowhere --env HOME=/there -- \
		sh -c 'printf %s "$LD_PRELOAD/$DOCKER_HOST$HOME"' >"$dir/out" 2>"$dir/err" </dev/null
	is "$(cat "$dir/out")" "/no/such.so/nowhere/there" \
		"$sandbox: variables that mean something to the CLI reach the command only"
	for code in 1 125 126 127 255; do
		in_box "$sandbox" sh -c \
			"echo 'docker: Error response from daemon: no' >&2; exit $code"
		is "$status/$err" "$code/docker: Error response from daemon: no" \
			"$sandbox: $code with the engine's words is still the command's"
	done
done

in_box plain echo 'é  x'
is "$status/$out" "0/é  x" "no shell: arguments"
run exec --sandbox plain --env GREETING="hello  you" -- env </dev/null
like "$status/$out" "0/*GREETING=hello  you*" "no shell: variables"
run exec --sandbox plain --workdir /bin -- pwd </dev/null
is "$status/$out" 0//bin "no shell: directory"
run exec --sandbox plain --env LD_PRELOAD=x -- env </dev/null
like "$status/$err" '125/hookbox: *"LD_PRELOAD" would change*' \
	"no shell: variables of the CLI's are refused"
in_box plain false
is "$status/$err" 1/ "no shell: exit codes"
in_box plain no-such-command
like "$status/$err" "127/*hookbox: *no \"no-such-command\" in the image $nosh*" \
	"no shell: no such command"
in_box plain /etc/passwd
like "$status/$err" '126/*hookbox: *"/etc/passwd" in the image*not executable*' \
	"no shell: not executable"

# ---- What the engine fails at ----

# fails STATUS PATTERN WHAT: of the call just tried.
fails()
{
	like "$status/$out/$err" "$1//hookbox: *$2*" "said: $3"
}

try docker_run "image = $id:none"
fails 125 "No such image: $id:none; run *docker pull $id:none*" "the image is not there"
try docker_run "image = Bad_Name"
fails 125 "correct the name of the image" "the image's name is bad"
try docker_run "image = $nosh"
fails 127 "no \"sh\" in the image $nosh; *shell = none" "the image has no sh"
try docker_run "image = $image" "user = nobody-here"
fails 125 "unable to find user nobody-here*set user" "the user is not there"
try docker_run "image = $image" "mounts = /no/such/place"
fails 125 "/no/such/place*correct mounts" "the mount's source is not there"
try docker_run "image = $image" "network = $id-none"
fails 125 "network $id-none not found; correct network" "the network is not there"
try docker_run "image = $image" "runtime = no-such"
fails 125 "no-such; set runtime" "the runtime is not there"
try docker_run "image = $image" "cap_add = NO_SUCH"
fails 125 "correct cap_add" "the capability is none"
try docker_run "image = $image" "extra_args = --no-such-option"
fails 125 "unknown flag: --no-such-option; correct extra_args" "the option is none"
try docker_run "image = $image" "devices = /dev/no-such"
fails 125 "/dev/no-such*correct devices" "the device is not there"
for mode in docker_run docker_exec; do
	key=image name=$image
	[ $mode = docker_run ] || key=container name=$box
	try $mode "$key = $name" "docker_host = unix://$dir/none.sock"
	fails 125 "Cannot connect*start the Docker daemon*" "$mode: no engine answers"
	try $mode "$key = $name" "context = no-such"
	fails 125 "docker context ls" "$mode: the context is not there"
	try $mode "$key = $name" "docker_path = $dir/no-docker"
	fails 125 "no-docker" "$mode: the CLI is not there"
done
try docker_exec "container = $id-none"
fails 125 "o such container: $id-none; create and start it*" "the container is not there"
try docker_exec "container = $still"
fails 125 "is not running; run *docker start $still*" "the container does not run"
docker pause "$box" >/dev/null
try docker_exec "container = $box"
docker unpause "$box" >/dev/null
fails 125 "is paused*docker unpause $box*" "the container is paused"
try docker_exec "container = $box" "user = nobody-here"
fails 125 "unable to find user nobody-here*set user" "the user is not in the container"
is "$(containers tried)" "" "no container is left of what failed"
# Calls whose engine could not be asked have left a note, which a call that can ask crosses out.
try docker_run "image = $image"
is "$status/$out" 0/ran "with an engine that answers, the next call works"

# ---- What ends calls, and what is left ----

# begin SANDBOX: a call in the background that does not end; $pid is hookbox.
begin()
{
	rm -f "$dir/out"
	env "$mark" "$top_builddir/core/hookbox" exec --sandbox "$1" --json -- \
		sh -c 'trap "" TERM; sleep 1000 & exec sleep 1000' >"$dir/out" 2>"$dir/err" \
			</dev/null &
	pid=$!
}

box_sleepers()
{
	docker top "$box" -eo pid,args | grep -c ' sleep 1000$'
}

container_there()
{
	[ -n "$(docker ps -q --filter "label=hookbox.sandbox=$id")" ]
}

two_sleepers()
{
	[ "$(box_sleepers)" = 2 ]
}

run exec --sandbox "$id" --timeout 1s --json -- sh -c 'trap "" TERM; sleep 1000 & exec sleep 1000' \
	</dev/null
like "$status/$out" '124/{"end":"timed out"*"cleanup":"proven"*' "a timeout ends a container"
no_containers "a call that timed out"
run exec --sandbox exec --timeout 1s --json -- sh -c 'trap "" TERM; sleep 1000 & exec sleep 1000' \
	</dev/null
like "$status/$out" '124/{"end":"timed out"*"cleanup":"proven"*' \
	"a timeout ends what runs in a container"
is "$(box_sleepers)" 0 "nothing is left in the container of a call that timed out"

begin "$id"
wait_for "the container" container_there
kill -s TERM "$pid"
wait "$pid"
like "$(cat "$dir/out")" '{"end":"cancelled"*"cleanup":"proven"*' \
	"a signal to hookbox ends the container"
no_containers "a call that was cancelled"

begin "$id"
wait_for "the container" container_there
containers "$id" | xargs docker rm -f >/dev/null
wait "$pid"
like "$(cat "$dir/out")" '{"end":"lost"*"cleanup":"proven"*' \
	"a container that is removed under a call: lost"

begin "$id"
wait_for "the container" container_there
kill -s KILL "$pid"
wait "$pid" 2>/dev/null
in_box "$id" true
is "$status" 0 "after a killed hookbox, the next call works"
no_containers "a killed hookbox"

begin exec
wait_for "the command to begin" two_sleepers
kill -s KILL "$pid"
wait "$pid" 2>/dev/null
in_box exec true
is "$status/$(box_sleepers)" 0/0 \
	"after a killed hookbox, the next call ends what it left in the container"

docker run -d --init --name "$other" --network none --log-driver none "$image" sleep 86400 >/dev/null
for place in "$box" "$other"; do
	printf '[sandbox exec]\nmode = docker_exec\nagent = off\ncontainer = %s\n' "$place" >"$dir/$place.ini"
done
HOOKBOX_CONFIG=$dir/$box.ini begin exec
wait_for "the command to begin" two_sleepers
kill -s KILL "$pid"
wait "$pid" 2>/dev/null
run exec -c "$dir/$other.ini" --sandbox exec -- true </dev/null
is "$status/$(box_sleepers)" 0/2 "... but not one whose sandbox of that name is another container"
run exec -c "$dir/$box.ini" --sandbox exec -- true </dev/null
is "$status/$(box_sleepers)" 0/0 "... which leaves the note for who comes to the right one"

# What was in the middle of execve() when the call's leftovers were looked for was missed at times.
leave_often()
{
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
		hookbox exec -c "$dir/$box.ini" --sandbox exec -- \
			sh -c 'sleep 1000 >/dev/null 2>&1 </dev/null &' </dev/null || echo failed
	done
}
leavers=
for i in 1 2 3 4 5 6; do
	leave_often >"$dir/leave.$i" 2>&1 &
	leavers="$leavers $!"
done
# shellcheck disable=SC2086 # a list of words
wait $leavers
is "$(cat "$dir"/leave.*)/$(box_sleepers)" /0 "what is just starting does not outlive its call"
nothing_left "calls that were ended"

# ---- An engine that goes away under a call ----

if command -v python3 >/dev/null; then
	cat >"$dir/proxy.py" <<'END'
import os, socket, sys, threading
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
def relay(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
while True:
    client = listener.accept()[0]
    engine = socket.socket(socket.AF_UNIX)
    engine.connect(sys.argv[2])
    threading.Thread(target=relay, args=(client, engine), daemon=True).start()
    threading.Thread(target=relay, args=(engine, client), daemon=True).start()
END
	socket=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null)
	python3 "$dir/proxy.py" "$dir/engine.sock" "${socket#unix://}" &
	proxy_pid=$!
	wait_for "the proxy" test -S "$dir/engine.sock"
	sed "s|^mode = docker_run\$|&\ndocker_host = unix://$dir/engine.sock|" "$dir/hookbox.ini" \
		>"$dir/proxied.ini"
	HOOKBOX_CONFIG=$dir/proxied.ini begin "$id"
	wait_for "the container" container_there
	kill "$proxy_pid"
	wait "$proxy_pid" 2>/dev/null
	proxy_pid=
	wait "$pid"
	like "$(cat "$dir/out")" '{"end":"lost"*"cleanup":"unknown"*' \
		"the engine goes away under a call: lost"
	in_box "$id" true
	is "$status" 0 "it is back, and the next call works"
	no_containers "a call that lost its engine"
else
	skip "the engine goes away under a call" "no python3"
fi

# ---- hookbox doctor ----

run doctor
like "$out" "*sandbox $id: the image $image is there*sandbox exec: commands start in the container $box*" \
	"doctor finds the image and the container"
printf '[sandbox a]\nmode = docker_run\nimage = %s:none\n[sandbox b]\nmode = docker_exec\ncontainer = %s\n' \
	"$id" "$still" >"$dir/sick.ini"
run doctor -c "$dir/sick.ini"
like "$out" "*failed sandbox a: [Nn]o such image*docker pull*failed sandbox b: *is not running*docker start*" \
	"doctor says what is missing and what to do"
is "$(docker ps -aq --filter name=hookbox-probe)" "" "no container is left of doctor"

tap_done
