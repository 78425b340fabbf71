#!/bin/sh
# SPDX-License-Identifier: MIT
# kubectl_exec with a kubectl and a pod that are well: what comes back, what is refused, what doctor
# finds. Runs on any cluster (see tests/parts/kubectl.sh). With the argument "debian": with the
# kubectl that Debian packages.
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/program.sh"
. "$top_srcdir/tests/parts/kubectl.sh"

tap_dir
trap 'pod_stop >/dev/null 2>&1; rm -rf "$dir"' EXIT
need_kubectl "$dir" "$@"
# What hosts note stays here.
XDG_RUNTIME_DIR=$dir
export XDG_RUNTIME_DIR
pod_start "$dir" old-0 old-1 old-2 || skip_all "no API server can be started"
plugins=$top_builddir/plugins/.libs

# ours WHAT: is it a cluster of ours, which may be treated so? Else WHAT is skipped.
ours()
{
	[ -n "$pod_is_ours" ] || skip "$1" "not on a cluster of others"
	[ -n "$pod_is_ours" ]
}

# config LINE...: a sandbox with these keys besides those that say which cluster.
config()
{
	printf '%s\n' '[sandbox pod]' 'mode = kubectl_exec' "kubectl_path = ${wrapper:-$kubectl}" \
		'agent = off' \
		"$pod_keys" "$@" >"$dir/hookbox.ini"
}

# call ARG...: runs it in the sandbox.
call()
{
	run exec --plugin-dir "$plugins" -c "$dir/hookbox.ini" --sandbox pod "$@"
}

# What the command wrote to stderr: without hookbox's word on what no shell can look for.
own_err()
{
	echo "$err" | sed 's/hookbox: warning: something of the call may still run.*//' |
		sed '$ { /^$/d }'
}

# ---- Exit codes, environment, stderr ----

config "pod = $pod"
# Some of each size, and all that mean something; the unit tests have them all.
for code in 0 1 2 3 10 63 64 100 124 125 126 127 128 129 130 137 143 200 254 255; do
	echo $code
done >"$dir/codes"
# shellcheck disable=SC2016 # the $ are another shell's
wrong=$(xargs -P 6 -I{} sh -c '"$1" exec --plugin-dir "$2" -c "$3" --sandbox pod -- \
	sh -c "exit $4" </dev/null; [ $? = "$4" ] || echo "$4"' sh "$top_builddir/core/hookbox" \
	"$plugins" "$dir/hookbox.ini" {} <"$dir/codes" 2>&1)
is "$wrong" "" "exit codes are the command's own, and nothing is said of them"
# shellcheck disable=SC2016 # the $ are another shell's
call --env 'A=x y' --workdir /tmp -- sh -c 'echo "$A" "$PWD"'
is "$out" "x y /tmp" "environment and directory reach the command"
for shell in sh none; do
	config "pod = $pod" "shell = $shell"
	for code in 1 9 126 127 255; do
		call -- sh -c 'printf own >&2; exit $0' $code
		is "$status/$(own_err)" "$code/own" \
			"shell = $shell: exit code $code, and stderr is the command's"
		call --json -- sh -c 'echo own >&2; exit $0' $code
		like "$out" '*"stderr":"own\\n"*' "shell = $shell: exit code $code, the same kept"
	done
	call -- sh -c 'echo command terminated with exit code 5 >&2; exit 5'
	is "$status/$(own_err)" "5/command terminated with exit code 5" \
		"shell = $shell: the command may say what kubectl says"
	call -- sh -c 'echo command terminated with exit code 5 >&2'
	is "$status/$(own_err)" "0/command terminated with exit code 5" "... and exit with 0"
done

# What a wrapper prints is what a kubectl may print: log lines at the start, between and at the end.
cat >"$dir/wrapper" <<END
#!/bin/sh
log() { printf 'E1128 13:18:09.%06d %7d v2.go:104] "Unhandled Error"\n' "\$1" \$\$ >&2; }
log 1
(while sleep 0.05; do log 2; done) &
$kubectl "\$@"
code=\$?
kill \$!
wait \$! 2>/dev/null
log 3
exit \$code
END
chmod 755 "$dir/wrapper"
wrapper=$dir/wrapper
for shell in sh none; do
	config "pod = $pod" "shell = $shell"
	call -- sh -c 'for i in 1 2 3 4 5 6; do printf "a$i" >&2; sleep 0.1; echo >&2; done; exit 3'
	is "$status/$(own_err | tr '\n' ' ')" "3/a1 a2 a3 a4 a5 a6 " \
		"shell = $shell: log lines at the start, between and at the end are kept out"
	call -- sh -c 'echo "E1128 13:18:09.000000       1 own.go:1] mine" >&2; exit 3'
	is "$status/$(own_err)" "3/E1128 13:18:09.000000       1 own.go:1] mine" \
		"shell = $shell: ... and the command's own stay"
done
wrapper=

# ---- Ends ----

config "pod = $pod"
call --timeout 1500ms -- sh -c 'trap "" TERM HUP PIPE; sleep 4321 & setsid sleep 4321 & sleep 4321'
is "$status" 124 "a command that does not end is a timeout"
pod_has '[s]leep 4321'
is $? 1 "nothing of it is left in the pod"

# What a host that was killed left is ended by the next one.
hookbox exec --plugin-dir "$plugins" -c "$dir/hookbox.ini" --sandbox pod -- sleep 5432 2>/dev/null &
host=$!
wait_for "the command to run" pod_has '[s]leep 5432'
kill -9 "$(pgrep -P $host -x hookbox || echo $host)" 2>/dev/null
wait $host 2>/dev/null
call -- true
is "$status" 0 "a call after a host was killed"
pod_has '[s]leep 5432'
is $? 1 "... ends what that had left in the pod"

# ---- A pod that goes ----

# The lines that a host which runs several calls has printed so far.
said()
{
	[ "$(wc -l <"$dir/said")" -ge "$1" ]
}

if ours "pods that go"; then
	config 'selector = app=old'
	: >"$dir/said"
	mkfifo "$dir/lines"
	env "$mark" "$top_builddir/tests/fixtures/caller" "$dir/hookbox.ini" pod "$plugins" \
		<"$dir/lines" >"$dir/said" &
	exec 8>"$dir/lines"
	echo 'echo well' >&8
	wait_for "the first call" said 1
	kube wait --for=condition=Ready pod/old-0 --timeout=10s >/dev/null
	is $? 0 "kubectl waits for a pod"
	kube delete pod old-0 --wait=true --timeout=20s >/dev/null
	is $? 0 "a pod is deleted"
	echo 'echo well' >&8
	wait_for "the second call" said 2
	pod=old-1
	echo 'sleep 6543' >&8
	wait_for "the third call" pod_has '[s]leep 6543'
	kube delete pod old-1 --wait=false >/dev/null
	wait_for "the third call's end" said 3
	echo 'echo well' >&8
	wait_for "the fourth call" said 4
	exec 8>&-
	wait_for "the host's end" nothing_marked
	pod=web
	is "$(sed 's/^\(lost\) .*/\1/' "$dir/said" | sed '/^$/d' | tr '\n' ',')" \
		"exited 0 well,exited 0 well,lost,exited 0 well," \
		"a pod that went between calls is replaced; a call in it when it goes is lost"
	is "$(cut -d ' ' -f 1 "$dir/log" | grep old | uniq | tr '\n' ' ')" "old-0 old-1 old-2 " \
		"... each by the next"
fi

# ---- Bad settings ----

# Each key comes once.
all_keys=$pod_keys pod_keys="kubeconfig = $kubeconfig"

# refused PATTERN KEY...: opening the configuration fails with such a sentence, and nothing starts.
refused()
{
	pattern=$1
	shift
	config "$@"
	call -- true
	like "$status/$err" "125/$pattern" "refused: $(printf '%.60s' "$*" | tr '\n' ' ')"
}

# Longer than a line of the file may be.
LONG=$(printf '%0300d' 0)
export LONG
# shellcheck disable=SC2016 # hookbox expands it
long='${LONG}'
newline='x
  y'
# shellcheck disable=SC2016 # that is what is tried
for value in 'a b' 'a;b' '$(id)' '`id`' ../x A_B a/b "a'b" "$long" "$newline"; do
	refused '*pod = * is no name that Kubernetes has*' "pod = $value"
	refused '*namespace = * is no name that Kubernetes has*' "pod = $pod" "namespace = $value"
	refused '*container = * is no name that Kubernetes has*' "pod = $pod" "container = $value"
done
for key in pod namespace container context selector; do
	case $key in
	pod | selector) refused "*$key*dash*" "$key = -x" ;;
	*) refused "*$key*dash*" "pod = $pod" "$key = -x" ;;
	esac
done
# A context may have any name: it is one word, and no other's.
# shellcheck disable=SC2016 # that is what is tried
for value in 'a b' '$(id)' ../x "a'b" "$long" "$newline"; do
	refused '*context*correct context*' "pod = $pod" "context = $value"
done
# shellcheck disable=SC2016 # that is what is tried
for value in '$(id)' '`id`' 'a;b' '../x' "a=b
  c"; do
	refused '*selector*' "selector = $value"
done
refused '*selector = * is longer *' "selector = app=$long$long$long$long$long"
refused '*pod and selector both name a pod*' "pod = $pod" "selector = app=web"
refused '*set pod = NAME, or selector = *' "container = main"
refused '*shows the secret*' "pod = $pod" "extra_args = --token=secret"
refused '*would break how hookbox runs*' "pod = $pod" "extra_args = --v=9"
refused '*has a key of its own*' "pod = $pod" "extra_args = --context=x"
refused '*needs a shell in the pod*' "pod = $pod" "shell = none" "env = A=b"
wrapper=/nowhere/kubectl
refused '*/nowhere/kubectl*' "pod = $pod"
wrapper=

# ---- doctor ----

# doctor PATTERN WHAT: finds something like it, and the exit code says whether all is well.
doctor()
{
	run doctor --plugin-dir "$plugins" -c "$dir/hookbox.ini"
	like "$status $(echo "$out" | tr '\n' ' ')" "$1" "doctor: $2"
	[ -z "$err" ] || tap_note "$err"
}

pod_keys=$all_keys
version=$(kube version --client --output=json 2>/dev/null |
	sed -n 's/.*"gitVersion": "\([^"]*\)".*/\1/p')
config "pod = $pod"
doctor "0 *kubectl $version is there*the cluster answers*the pod $pod, and it has sh*" "all is well"
config "pod = no-such-pod"
doctor '1 *the cluster answers*"no-such-pod" not found*create it*' "no such pod"
config "pod = $pod" "container = no-such"
doctor '1 *the cluster answers*container no-such *correct container*' "no such container"
wrapper=/nowhere/kubectl
config "pod = $pod"
doctor '1 */nowhere/kubectl*install kubectl, or set kubectl_path*' "no kubectl"
wrapper=
if ours "doctor at a cluster with troubles"; then
	for fault in 401 403 unreachable delay-20 nosh; do
		case $fault in
		unreachable) sed 's/127.0.0.1:[0-9]*/127.0.0.1:1/' "$kubeconfig" >"$dir/other" ;;
		*) cp "$(kubeconfig_with $fault)" "$dir/other" ;;
		esac
		pod_keys="kubeconfig = $dir/other"
		config "pod = $pod" "request_timeout = 2s"
		case $fault in
		401) doctor '1 *is there*You must be logged in*renew the credentials*' "401" ;;
		403) doctor '1 *is there*may not exec into pods*grant it the right*' "403" ;;
		unreachable) doctor '1 *is there*refused*start the cluster*' "the cluster is unreachable" ;;
		delay-20) doctor '1 *is there*API server can be reached*' "the cluster does not answer" ;;
		nosh) doctor '1 *the cluster answers*exec: "sh"*POSIX sh, or set shell = none*' "no sh" ;;
		esac
	done
fi
nothing_left "the calls"
tap_done
