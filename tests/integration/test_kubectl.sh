#!/bin/sh
# SPDX-License-Identifier: MIT
# kubectl_exec behind a server that misbehaves, and with bad settings: no outcome may be wrong.
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/program.sh"
. "$top_srcdir/tests/parts/kubectl.sh"

kubectl=${HOOKBOX_TEST_KUBECTL:-kubectl}
command -v "$kubectl" >/dev/null || skip_all "no kubectl"
command -v openssl >/dev/null || skip_all "no openssl"
need_engine
unset HOOKBOX_TEST_KUBECONFIG
tap_dir
trap 'pod_stop >/dev/null 2>&1; rm -rf "$dir"' EXIT
# Behind a server that refuses all, what a call left cannot be made sure: that is noted here.
XDG_RUNTIME_DIR=$dir
export XDG_RUNTIME_DIR
pod_start "$dir" || skip_all "no API server can be started"

# config LINE...: a sandbox with these keys.
config()
{
	printf '%s\n' '[sandbox pod]' 'mode = kubectl_exec' "kubectl_path = $kubectl" "$@" \
		>"$dir/hookbox.ini"
}

# call ARG...: runs it in the sandbox.
call()
{
	run exec --plugin-dir "$top_builddir/plugins/.libs" -c "$dir/hookbox.ini" --sandbox pod "$@"
}

# refused VALUE KEY...: opening the configuration must fail and name the key.
refused()
{
	config "kubeconfig = $kubeconfig" "$@"
	call -- true
	is "$status" 125 "refused: $*"
}

# trouble WORD PATTERN: 125, nothing on stdout, and a sentence.
trouble()
{
	echo "$1" >"$dir/trouble"
	call --timeout 20000ms -- sh -c 'echo out; sleep 1'
	is "$status" 125 "$1: the call did not end as a command does"
	# shellcheck disable=SC2154 # run sets it
	like "$err" "$2" "$1: the reason is given"
	rm "$dir/trouble"
}

config "kubeconfig = $kubeconfig" 'selector = app=web'
for code in 0 1 126 127 137 255; do
	call -- sh -c "exit $code"
	is "$status" "$code" "exit code $code is the command's own"
	is "$err" "" "... and kubectl's word on it is not in stderr"
done
# shellcheck disable=SC2016 # the $ are another shell's
call --env 'A=x y' --workdir /tmp -- sh -c 'echo "$A" "$PWD"'
is "$out" "x y /tmp" "environment and directory reach the command"

trouble 401 '*credentials*'
trouble 403 '*pods/exec*'
trouble 404 '*'
trouble 500 '*on demand*'
config "kubeconfig = $kubeconfig" "pod = $pod"
trouble 401 '*credentials*'
trouble 403 '*pods/exec*'
trouble 404 '*not found*'
trouble refuse-upgrade '*on demand*'
trouble cut '*'
trouble mute '*'

echo delay >"$dir/trouble"
call --timeout 1s -- true
is "$status" 124 "a server that does not answer is a timeout"
rm "$dir/trouble"
call --timeout 1s -- sh -c 'sleep 4321 & sleep 4321'
is "$status" 124 "a command that does not end is a timeout"
docker exec "$pod_container" sh -c 'ps | grep -q "[s]leep 4321"'
is $? 1 "nothing of it is left in the pod"

for value in -x 'a b' 'a;b' ../x A_B "$(printf '%0300d' 0)"; do
	refused "pod = $value"
	refused "pod = web" "namespace = $value"
	refused "pod = web" "container = $value"
done
refused "selector = \$(id)"
refused "pod = web" "selector = app=web"
refused "context = test"
refused "pod = web" "extra_args = --token=secret"
refused "pod = web" "extra_args = --v=9"
refused "pod = web" "container = other"
refused "pod = other"
refused "selector = app=other"
refused "pod = web" "context = other"

config "kubeconfig = $dir/missing" "pod = web"
call -- true
is "$status" 125 "a missing kubeconfig"
echo '{' >"$dir/broken"
config "kubeconfig = $dir/broken" "pod = web"
call -- true
is "$status" 125 "a broken kubeconfig"
config "kubeconfig = $kubeconfig" "pod = web" "kubectl_path = /nowhere/kubectl"
sed -i "/^kubectl_path = .*/{/nowhere/!d}" "$dir/hookbox.ini"
call -- true
is "$status" 125 "no kubectl"

config "kubeconfig = $kubeconfig" "pod = web" "shell = none" "env = A=b"
call -- true
like "$err" '*kubectl_exec needs a shell in the pod*' "env without a shell is refused"
config "kubeconfig = $kubeconfig" "pod = web" "shell = none"
call -- sh -c 'echo own >&2; exit 9'
like "$status/$err" "9/own*" "without a shell the code and stderr are the command's"

config "kubeconfig = $kubeconfig" "selector = app=web"
run doctor --plugin-dir "$top_builddir/plugins/.libs" -c "$dir/hookbox.ini"
is "$status" 0 "doctor finds all in order"
[ "$status" = 0 ] || tap_note "$out" "$err"

echo delete >"$dir/trouble"
config "kubeconfig = $kubeconfig" "pod = web"
call --timeout 20s -- sleep 30
is "$status" 125 "a pod that is deleted under the call is no clean end"
rm "$dir/trouble"
nothing_left "the calls"
tap_done
