#!/bin/sh
# SPDX-License-Identifier: MIT
# kubectl_exec with a server, a kubeconfig or a pod that fails: one line for each fault, and no
# outcome may be wrong. With the argument "debian": with the kubectl that Debian packages.
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/program.sh"
. "$top_srcdir/tests/parts/kubectl.sh"

[ -z "${HOOKBOX_TEST_KUBECONFIG-}" ] || skip_rest "this takes a server that misbehaves"
tap_dir
trap 'pod_stop >/dev/null 2>&1; rm -rf "$dir"' EXIT
need_kubectl "$dir" "$@"
# Behind a server that refuses all, what a call left cannot be made sure: that is noted here.
XDG_RUNTIME_DIR=$dir
export XDG_RUNTIME_DIR
pod_start "$dir" gone-0 gone-1 || skip_all "no API server can be started"
mkdir "$dir/directory"
echo '{' >"$dir/broken"
: >"$dir/empty"
echo secret >"$dir/unreadable"
chmod 0 "$dir/unreadable"

# kubeconfig_for FAULT: prints the kubeconfig that has or brings it.
kubeconfig_for()
{
	case $1 in
	missing | broken | empty | directory | unreadable) echo "$dir/$1" && return ;;
	expired) edit=s/test-token/expired-token/ ;;
	unreachable) edit='s/127.0.0.1:[0-9]*/127.0.0.1:1/' ;;
	no-host) edit=s/127.0.0.1:/no-such-host.invalid:/ ;;
	no-ca) edit='s/"certificate-authority": "[^"]*"/"certificate-authority": "\/nowhere\/ca"/' ;;
	other-ca) edit='s/"certificate-authority": "[^"]*", *//; s/"certificate-authority": "[^"]*"//' ;;
	*) kubeconfig_with "$1" && return ;;
	esac
	sed "$edit" "$kubeconfig" >"$dir/kubeconfig.$1"
	echo "$dir/kubeconfig.$1"
}

# call N FAULT KEYS TIMEOUT SCRIPT: runs it; the exit code and the result are in $dir/N.code, N.json.
call()
{
	{
		printf '%s\n' '[sandbox pod]' 'mode = kubectl_exec' "kubectl_path = $kubectl" \
			'agent = off' \
			"kubeconfig = $(kubeconfig_for "$2")"
		echo "$3" | tr ';' '\n'
	} >"$dir/$1.ini"
	call_n=$1 call_timeout=$4
	case $5 in
	no-such-command) set -- "$5" ;;
	*) set -- sh -c "$5" "fault-$1" ;;
	esac
	head -c 300000 /dev/zero | hookbox exec --json --plugin-dir "$top_builddir/plugins/.libs" \
		-c "$dir/$call_n.ini" --sandbox pod --timeout "$call_timeout" -- "$@" >"$dir/$call_n.json"
	echo $? >"$dir/$call_n.code"
} 2>"$dir/$1.err"

few_run()
{
	[ $((n - $(find "$dir" -name '*.code' | wc -l))) -lt 8 ]
}

# field N NAME: the value in the result, as JSON has it.
field()
{
	sed -n "s/.*[{,]\"$2\":\(\"\(\([^\"\\\\]\|\\\\.\)*\)\"\|\([0-9]*\)\).*/\2\4/p" "$dir/$1.json"
}

# The slowest comes first, and waits while the others run. What each row of the table is: its name, the fault, settings, the timeout, the command; then the
# exit code, end and cleanup, or several of them; and the message.
table()
{
	cat <<'END'
a server that does not answer|delay-60|pod = web|1s|sleep 300|124 timed out unknown|*had not ended after 1000 ms*
wrong token|401|pod = web|60s|true|125 not started proven|*You must be logged in to the server*; renew the credentials*
wrong token, a selector|401|selector = app=web|60s|true|125 not started proven|*You must be logged in to the server*; renew the credentials*
expired token|expired|pod = web|60s|true|125 not started proven|*You must be logged in to the server*; renew the credentials*
forbidden|403|pod = web|60s|true|125 not started proven|*(Forbidden): pods * is forbidden*; grant the account the rights*
forbidden, a selector|403|selector = app=web|60s|true|125 not started proven|*(Forbidden): pods is forbidden*; grant the account the rights*
no such pod|none|pod = other|60s|true|125 not started proven|*(NotFound): pods *other* not found; create it, or correct pod and namespace
the server knows no pod|404|pod = web|60s|true|125 not started proven|*(NotFound): pods *web* not found; create it, or correct pod and namespace
... and lists it by a selector|404|selector = app=web|60s|true|125 not started proven|*(NotFound): pods *web* not found; create it, or correct pod and namespace
no pod has the labels|none|selector = app=other|60s|true|125 not started proven|*there are 0 pods with selector app=other; create one*
no such namespace|none|pod = web;namespace = other|60s|true|125 not started proven|*(NotFound): * not found; create it*
no such container|none|pod = web;container = other|60s|true|125 not started proven|*container other *; correct container
no such context|none|pod = web;context = other|60s|true|125 not started proven|*context*other*; correct context, or the kubeconfig
internal error|500|pod = web|60s|true|125 not started proven|*(InternalError): *on demand; look into what the API server says
internal error, a selector|500|selector = app=web|60s|true|125 not started proven|*(InternalError): *on demand; look into what the API server says
exec is refused|refuse-exec|pod = web|60s|true|125 not started proven|*upgrade is refused on demand; *
no WebSocket: SPDY does it|no-websocket|pod = web|60s|cat; echo err >&2; exit 7|7 exited swept|
a slow server|delay-0.2|selector = app=web|60s|cat; echo err >&2; exit 7|7 exited swept|
a server that is too slow|delay-1|pod = web|500ms|sleep 300|124 timed out swept|*had not ended after 500 ms*
a server that does not answer, a selector|delay-60|selector = app=web;request_timeout = 1s|60s|true|125 not started proven|*see that *API server can be reached*
nothing listens|unreachable|pod = web|60s|true|125 not started proven|*refused*; start the cluster, or correct the server in the kubeconfig
nothing listens, a selector|unreachable|selector = app=web|60s|true|125 not started proven|*refused*; start the cluster, or correct the server in the kubeconfig
no such host|no-host|pod = web|60s|true|125 not started proven|*no-such-host.invalid*; correct the server in the kubeconfig
an unknown authority|other-ca|pod = web|60s|true|125 not started proven|*x509*; correct the certificates in the kubeconfig
a certificate's file is missing|no-ca|pod = web|60s|true|125 not started proven|*/nowhere/ca*; correct the *kubeconfig
kubeconfig is missing|missing|pod = web|60s|true|125 not started proven|*/missing*; correct *kubeconfig*
kubeconfig is missing, a selector|missing|selector = app=web|60s|true|125 not started proven|*/missing*; correct *kubeconfig*
kubeconfig is broken|broken|pod = web|60s|true|125 not started proven|*; correct the kubeconfig
kubeconfig is a directory|directory|pod = web|60s|true|125 not started proven|*; correct the kubeconfig
kubeconfig is empty|empty|pod = web|60s|true|125 not started proven|*; *kubeconfig
dropped before an answer|drop|pod = web|60s|cat; echo err >&2; exit 7|125 lost swept, 7 exited swept|*
cut before the command|cut-start|pod = web|60s|sleep 300|125 lost swept|*
silenced before the command|mute-start|pod = web|60s|sleep 300|125 lost swept|*
cut within the prologue's mark|cut-out-1|pod = web|60s|cat; sleep 300|125 lost swept|*
silenced within the prologue's mark|mute-out-1|pod = web|60s|cat; sleep 300|125 lost swept|*
cut within stdout|cut-out-100000|pod = web|60s|cat; sleep 300|125 lost swept|*
silenced within stdout|mute-out-100000|pod = web|60s|cat; sleep 300|125 lost swept|*
cut within stdout, a selector|cut-out-100000|selector = app=web|60s|cat; sleep 300|125 lost swept|*
cut within the prologue's input|cut-in-20|pod = web|60s|cat; sleep 300|125 lost swept|*
silenced within the prologue's input|mute-in-20|pod = web|60s|cat; sleep 300|125 lost swept|*
cut within stdin|cut-in-100000|pod = web|60s|cat >/dev/null; sleep 300|125 lost swept|*
silenced within stdin|mute-in-100000|pod = web|60s|cat >/dev/null; sleep 300|125 lost swept|*
cut after the output, before the status|cut-end|pod = web|60s|cat; echo err >&2; exit 7|7 exited swept|
silenced after the output|mute-end|pod = web|60s|cat; echo err >&2; exit 7|7 exited swept|
the pod is deleted under the call|delete|pod = gone-1|60s|echo delete me; sleep 300|125 lost unknown|*
... and a selector|delete|selector = app=gone|60s|echo delete me; sleep 300|125 lost unknown|*
the command is missing|none|pod = web;shell = none|60s|no-such-command|127 not started proven|*no-such-command*; check the command's name and PATH there
... and dockershim|dockershim|pod = web;shell = none|60s|no-such-command|127 not started proven|*no-such-command*; check the command's name and PATH there
END
}

# judge N NAME EXPECTED MESSAGE: one result.
judge()
{
	got="$(cat "$dir/$1.code") $(field "$1" end) $(field "$1" cleanup)"
	message=$(field "$1" message)
	why=
	case ", $3, " in
	*", $got, "*) ;;
	*) why="it is $got and not $3" ;;
	esac
	# shellcheck disable=SC2254 # it is a pattern
	case $message in
	$4) ;;
	*) why="$why; the message is not like $4" ;;
	esac
	# A command that ended has all its output, and any has nothing of kubectl's in it.
	case $got in
	*" exited "*)
		[ "$(field "$1" stdout_total) $(field "$1" stderr)" = '300000 err\n' ] ||
			why="$why; its output is not whole, or more than its own"
		;;
	*) [ -z "$(field "$1" stderr)" ] || why="$why; stderr has what is not the command's" ;;
	esac
	[ -z "$why" ]
	ok $? "$2"
	[ -z "$why" ] || tap_note "$why" "$message" "$(field "$1" stderr)" "$(cat "$dir/$1.err")"
}

n=0 pids=
table >"$dir/table"
while IFS='|' read -r name fault keys timeout script expected pattern; do
	n=$((n + 1))
	call $n "$fault" "$keys" "$timeout" "$script" </dev/null &
	pids="$pids $!"
	wait_for "calls to end" few_run
done <"$dir/table"
# shellcheck disable=SC2086 # a list of words
wait $pids
n=0
while IFS='|' read -r name fault keys timeout script expected pattern; do
	n=$((n + 1))
	judge $n "$name" "$expected" "$pattern"
done <"$dir/table"

ways=$(cut -d ' ' -f 2 "$dir/log" | sort -u | tr '\n' ' ')
case $("$kubectl" version --client --output=json 2>/dev/null) in
*'"minor": "2'[0-9]*) is "$ways" "spdy " "this kubectl speaks SPDY" ;;
*) is "$ways" "spdy websocket " "this kubectl speaks WebSocket, and SPDY where that is refused" ;;
esac
pod_has '[f]ault-'
is $? 1 "nothing is left in the pod"
nothing_left "the calls"
tap_done
