#!/bin/sh
# SPDX-License-Identifier: MIT
# The program's commands: hooks good and bad, plugins, config, doctor, usage.
# shellcheck disable=SC2016 # the $ are other shells'
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/program.sh"

tap_dir
config=$dir/hookbox.ini
export HOOKBOX_CONFIG="$config"

# script NAME: an executable from stdin. hook NAME [LINE...]: one that runs it, in the config.
script()
{
	{
		echo '#!/bin/sh'
		cat
	} >"$dir/$1"
	chmod 755 "$dir/$1"
}

hook()
{
	name=$1
	shift
	printf '[hook %s]\ncommand = ./%s\nsandbox = here\n' "$name" "$name"
	printf '%s\n' "$@"
} >>"$config"

filter()
{
	hook "$1" "hook = tool" "phases = before_execution" "timeout_ms = 2000"
}

printf '[sandbox here]\nmode = direct\nenv = TOKEN=very-secret\n' >"$config"

script allow <<'END'
cat >"${0%/*}/request"
echo '{"allow": true, "reason": "fine"}'
echo "for the log" >&2
END
hook allow "hook = provider" "phases = before_call" "	after_call"
script deny <<'END'
printf '{"allow": false, "reason": "no \\"secrets\\"", "metadata": {"big": 12345678901234567890123,\n"list": []}}'
END
hook deny "hook = provider" "phases = before_call"
script enforce <<'END'
echo '{"allow": false, "enforced": true, "metadata": {"redacted": 2}}'
END
hook enforce "hook = provider" "phases = after_call"
script score <<'END'
exec cat
END
hook score "hook = eval"
script words <<'END'
printf 'no JSON\200'
END
hook words "hook = eval"
filter missing
echo 'exit 0' | script silent
filter silent
echo "printf '{\"allow\": tr'" | script half
filter half
echo "yes '{\"allow\": true}'" | script endless
filter endless
echo "echo '{\"allow\": true}{\"allow\": true}'" | script two
filter two
echo "echo '{\"allow\": true, \"metadata\": {\"n\": NaN}}'" | script nan
filter nan
echo "echo '{\"allow\": true}'; exit 1" | script lying
filter lying
echo "echo '{\"reason\": \"hm\"}'" | script vague
filter vague
echo "echo '{\"allow\": true}'; kill -9 \$\$" | script killed
filter killed
echo "setsid sleep 1000 & sleep 1000" | script slow
filter slow
printf 'END\n' >"$dir/plain"
filter plain
hook lenient "hook = session" "phases = session_start" "on_error = exit:allow"
echo "exit 3" | script lenient

# event TEXT: for the next ask; ask ARGUMENT...: run with it on stdin.
event()
{
	printf '%s' "$1" >"$dir/event"
}

ask()
{
	hookbox "$@" <"$dir/event" >"$dir/out" 2>"$dir/err"
	status=$?
	out=$(cat "$dir/out")
	err=$(cat "$dir/err")
}

# ---- Decisions ----

event '{"request":{"messages":[]}}'
ask run allow --phase before_call
like "$status/$out" \
	'0/{"allow":true,"enforced":false,"reason":"fine","hook":"allow","cause":"answer",*}' \
	"an allow: 0"
is "$err" "for the log" "a hook's stderr is passed on"
like "$(cat "$dir/request")" '{"hook":*"before_call"*"request":{"messages":\[\]}*}' \
	"the hook reads the event"
ask run deny
like "$status/$out" '1/{"allow":false,"enforced":false,"reason":"no \\"secrets\\"","metadata":{"big": 12345678901234567890123, "list": \[\]},"hook":"deny",*' \
	"a deny: 1, with its metadata as it is, on one line"
is "$(wc -l <"$dir/out")" 1 "a decision is one line"
ask run enforce
like "$status/$out" '0/{"allow":false,"enforced":true,"metadata":{"redacted": 2},*' "enforced: 0"
ask emit provider before_call
like "$status/$out" '1/{"allow":false,*"hook":"deny","cause":"answer",*' "emit: the deny decides"
ask emit provider before_call --verbose
like "$out" \
	'*"outcomes":\[{"allow":true,*"hook":"allow",*"call":{"end":"exited",*"hook":"deny"*\]}' \
	"emit --verbose: every outcome and its call"
ask emit tool after_execution
is "$status/$out" '0/{"allow":true,"enforced":false}' "an event that no hook listens to is allowed"
event '{"score":  1.50}
'
ask run score
like "$status/$out" \
	'0/{"allow":true,*"hook":"score","cause":"not_gating",*"output":{"score":  1.50}}' \
	"an eval hook: its object is the output"
ask run words
like "$status/$out" '0/{"allow":true,*"stdout":"bm8gSlNPToA=","stdout_encoding":"base64"}' \
	"an eval hook that prints no JSON: its bytes"
event '{"event":{}}'
ask run lenient
like "$status/$out" '0/{"allow":true,*"cause":"exit","loosened":true,*' "on_error loosens"

# ---- Hooks that do not answer ----

# denied NAME CAUSE
denied()
{
	ask run "$1"
	like "$status/$out" \
		"1/{\"allow\":false,*\"reason\":\"hook *\"hook\":\"$1\",\"cause\":\"$2\",*" \
		"a hook that is $1 denies: $2"
	nothing_left "a hook that is $1"
}

event '{"request":{}}'
denied missing not_started
denied silent bad_answer
denied half bad_answer
denied endless output_limit
denied two bad_answer
denied nan bad_answer
denied lying exit
denied vague bad_answer
denied killed signal
denied slow timeout
denied plain not_started

# ---- hookbox fails, the caller is denied ----

# fails WHAT ARGUMENT...
fails()
{
	what=$1
	shift
	ask "$@"
	like "$status/$out" '125/{"allow":false,"enforced":false,"reason":"?*","cause":"hookbox"}' \
		"$what: 125, a deny"
	like "$err" "hookbox: ?*" "$what is said"
}

fails "no such hook" run alow
like "$err" '*did you mean "allow"?' "a near name is suggested"
fails "a hook with several phases" run allow
fails "no such phase" run allow --phase before_cal
fails "no such type" emit providr before_call
fails "no config" run deny -c "$dir/none.ini"
event '{"request":'
fails "an event that is half a JSON" run deny
event ''
fails "no event" run deny
event '{"request":{}}'
ask run
like "$status/$out/$err" '2/{"allow":false,*/hookbox: *(see hookbox run --help)' \
	"bad usage of run denies, too"
hookbox run allow --phase before_call <"$dir/event" >/dev/full 2>"$dir/err"
is $? 125 "a decision that cannot be written: 125"

mkfifo "$dir/fifo"
env "$mark" "$top_builddir/core/hookbox" run deny <"$dir/fifo" >"$dir/out" 2>"$dir/err" &
pid=$!
exec 3>"$dir/fifo"
# It is reading once it catches the signal; before, this shell's child may be what catches it.
catches_term()
{
	grep -qx hookbox "/proc/$pid/comm" &&
		grep -q '^SigCgt:.*4[0-9a-f][0-9a-f][0-9a-f]$' "/proc/$pid/status"
}
wait_for "hookbox to read" catches_term
kill -TERM "$pid"
wait "$pid"
like "$?/$(cat "$dir/out")" '143/{"allow":false,*' "SIGTERM while the event is read: 143, a deny"
exec 3>&-
echo 'kill -TERM $PPID; sleep 1000' | script fatal
hook fatal "hook = tool" "phases = after_execution"
ask run fatal
like "$status/$out" '143/{"allow":false,*"cause":"cancelled",*' \
	"SIGTERM during the call: 143, a deny"
nothing_left "a hook that SIGTERM ended"

# ---- Plugins ----

plugins=$dir/plugins
mkdir "$plugins"
echo "no library" >"$plugins/broken.so"
cp "$plugins/broken.so" "$plugins/direct.so"
run plugins list --plugin-dir "$plugins"
like "$status/$out" "0/direct * built-in *broken - $plugins/broken.so broken: *" \
	"plugins list: broken ones have their error"
like "$out" "*direct - $plugins/direct.so (hidden) *" "plugins list: hidden ones are marked"
run plugins list --json --plugin-dir "$plugins"
like "$out" '\[{"name":"direct",*"flags":\["host_process"\],*{"name":"broken","error":"*' \
	"plugins list --json"
HOOKBOX_CONFIG='' run plugins info direct
like "$status/$out" "0/direct *the command is a process of the host*mode = direct*" "plugins info"
run plugins info direct --json
like "$out" '{"name":"direct",*"params":\[\]*' "plugins info --json"
run plugins info direct --format man
is "$status/$out" "0/None of its own." "plugins info --format"
run plugins info direct --format pdf
like "$status/$out/$err" '2//hookbox: --format is text, man or markdown, not "pdf"*' \
	"plugins info in no such format"
run plugins info direct --format man --json
is "$status" 2 "plugins info is printed in one way"
run plugins info dirct
like "$status/$err" '125/hookbox: *did you mean "direct"?' "plugins info of what is not there"
run plugins check "$plugins/broken.so"
like "$status/$out/$err" "1//hookbox: *broken.so*" "plugins check of what is broken: 1"
run plugins check "$plugins/broken.so" --json
like "$status/$out" '1/{"error":"*' "plugins check --json of what is broken"
run plugins check "$dir/none.so"
like "$status/$err" "1/hookbox: *none.so*" "plugins check of what is not there: 1"
run plugins check direct
like "$status/$out" "0/direct *" "plugins check direct"
run plugins check direct --tap
is "$status" 2 "plugins check --tap needs --sandbox"
run plugins check direct --sandbox direct --way sideways
like "$status/$err" '2/*--way is one-off, shared, *not "sideways"*' "plugins check knows no such way"
run plugins check direct --sandbox here --json
is "$status" 2 "plugins check --sandbox has no --json"
run plugins check direct --sandbox nowhere
is "$status" 125 "plugins check in no sandbox: 125"

# ---- Config ----

run config check
like "$status/$out" "0/$config is fine: * hooks, 1 sandbox" "config check"
run config check --json
like "$status/$out" '0/{"ok":true,*"sandboxes":1}' "config check --json"
cat >"$dir/ways.ini" <<-INI
	[sandbox here]
	mode = direct
	docker_rum.pool = 4
	direct.timeout_ms = 5s
INI
run config check -c "$dir/ways.ini"
like "$status/$out/$err" "0/*is fine*/hookbox: warning: $dir/ways.ini:3: *here*docker_rum.pool: *no backend \"docker_rum\"*" \
	"config check: a key for a mode that no backend has is a warning"
cat >>"$dir/ways.ini" <<-INI
	[sandbox fresh]
	mode = docker_run
	image = busybox
	pool = 4
	pool_max_age = 1m
INI
run config show --plugin-dir "$top_builddir/plugins/.libs" -c "$dir/ways.ini"
like "$out" "*[[]sandbox here]*agent = auto*pool = 4
pool_max_age = 60000
network_keeper = no
socket = auto
*" "config show: how calls reach a box"
run config check --json -c "$dir/ways.ini" --plugin-dir "$top_builddir/plugins/.libs"
like "$status/$out/$err" '0/{"ok":true,"warnings":\["*ways.ini:3: *"\],*}/' "... and with --json on stdout"
run config show
like "$status/$out" "0/*$config:1*mode = direct*env = TOKEN=(hidden)*shell = sh*command = $dir/allow*timeout_ms = 2000*" \
	"config show: effective values"
run config show --json
like "$out" '{"files":*"sandboxes":\[{"name":"here",*"hooks":\[{"name":"allow",*"on_error":\["deny"\]*}' "config show --json"
grep -q very-secret "$dir/out"
is $? 1 "config show: no secrets"
printf '[sandbox here]\nmode = nothing_like_it\n' >"$dir/wrong.ini"
run config check -c "$dir/wrong.ini"
like "$status/$out/$err" "1//hookbox: $dir/wrong.ini:1: *mode*" "config check of what is wrong: 1"
run config check --json -c "$dir/wrong.ini"
like "$status/$out" '1/{"ok":false,"error":"*' "config check --json of what is wrong"
run config show -c "$dir/wrong.ini"
is "$status" 125 "config show of what is wrong: 125"

# ---- Doctor ----

run doctor
like "$status/$out" "0/ok config: *warning sandbox here: *" "doctor"
run doctor --json
like "$status/$out" '0/{"findings":\[{"area":"config","status":"ok",*"ok":true}' "doctor --json"
run doctor --plugin-dir "$plugins"
like "$status/$out" "1/*failed plugin broken: *" "doctor: a broken plugin fails"
run doctor -c "$dir/wrong.ini"
like "$status/$out" "1/failed config: *" "doctor: a wrong config fails"

# ---- Usage ----

run --version
like "$status/$out" "0/hookbox [0-9]*" "--version"
run --help
like "$status/$out" "0/Usage: *run *emit *exec *plugins list*config show*doctor*" "--help"
for command in run emit exec "plugins list" "plugins info" "plugins check" "config check" \
	"config show" doctor; do
	# shellcheck disable=SC2086 # two words
	run $command --help
	like "$status/$out" "0/Usage: hookbox $command *--config*--plugin-dir*" "$command --help"
	# shellcheck disable=SC2086
	run $command --frobnicate
	like "$status/$err" "2/hookbox: *--frobnicate* (see hookbox $command --help)" \
		"$command refuses what it does not know"
done
run plugins --help
like "$status/$out" "0/*plugins list*plugins check*" "plugins --help"
run
is "$status" 2 "no command: 2"
run plugins
is "$status" 2 "half a command: 2"
run rnu
like "$status/$err" "2/hookbox: *rnu*" "no such command: 2"
run config show superfluous
is "$status" 2 "an argument too many: 2"
run -c "$config" --json config check
is "$status" 0 "options may stand in front of the command"
POSIXLY_CORRECT=1 run plugins info direct --json
like "$out" '{*' "options may stand behind operands, whatever the environment says"
run --version >/dev/null
hookbox --version >/dev/full 2>"$dir/err"
is $? 125 "output that cannot be written: 125"

nothing_left "all of it"
tap_done
