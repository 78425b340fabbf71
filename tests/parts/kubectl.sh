# SPDX-License-Identifier: MIT
# Sourced, after tap.sh: a kubectl, and a pod to enter with it. The pod is behind the API server of
# ours; or, where HOOKBOX_TEST_KUBECONFIG names a cluster, it is HOOKBOX_TEST_POD there, in the
# namespace HOOKBOX_TEST_NAMESPACE if that is set.
# shellcheck shell=sh disable=SC2034 # what it sets is the callers'

: "${top_srcdir:?}"
server_pid=
pod_containers=
pod_is_ours=yes

# ---- Which kubectl ----

# The one that this distribution packages, if it is installed.
kubectl_of_package()
{
	dpkg-query -L kubernetes-client 2>/dev/null | grep '/bin/kubectl$' || true
}

# need_kubectl DIR [debian]: sets $kubectl to the one that HOOKBOX_TEST_KUBECTL or PATH names; or to
# the one of Debian's package, which is unpacked into DIR unless it is installed.
need_kubectl()
{
	[ -n "${HOOKBOX_TEST_KUBECONFIG-}" ] || need_engine
	command -v openssl >/dev/null || skip_all "no openssl"
	packaged=$(kubectl_of_package)
	if [ "${2-}" = debian ]; then
		kubectl=$packaged
		[ -n "$kubectl" ] || kubectl_unpack "$1"
		return
	fi
	kubectl=$(command -v "${HOOKBOX_TEST_KUBECTL:-kubectl}") ||
		skip_rest "no kubectl is installed"
	if [ -z "${HOOKBOX_TEST_KUBECTL-}" ] && [ "$kubectl" = "$packaged" ]; then
		skip_rest "the kubectl here is the packaged one, which has a test of its own"
	fi
}

kubectl_unpack()
{
	command -v apt-get >/dev/null || skip_rest "no packages of Debian's here"
	if ! (cd "$1" && apt-get -q download kubernetes-client >/dev/null 2>&1 &&
		dpkg -x kubernetes-client_*.deb unpacked && rm kubernetes-client_*.deb); then
		skip_all "kubernetes-client cannot be downloaded"
	fi
	kubectl=$1/unpacked/usr/bin/kubectl
}

# ---- The pod ----

# pod_container: one more to stand for a pod.
pod_container()
{
	docker run -d --init --network none --log-driver none --label hookbox-test=1 "$pod_image" \
		sleep 86400
}

# pod_start DIR [POD...]: kubeconfig, namespace and pod are set, and pod_keys, the settings that say
# so; or it fails. More pods than the first are there only where pod_is_ours.
pod_start()
{
	pod_dir=$1 pod=web namespace=
	shift
	if [ -n "${HOOKBOX_TEST_KUBECONFIG-}" ]; then
		pod_is_ours=
		kubeconfig=$HOOKBOX_TEST_KUBECONFIG pod=${HOOKBOX_TEST_POD:?}
		namespace=${HOOKBOX_TEST_NAMESPACE-}
	else
		kubeconfig=$pod_dir/kubeconfig
		server_start "$@" || return 1
	fi
	pod_keys="kubeconfig = $kubeconfig${namespace:+
namespace = $namespace}"
}

server_start()
{
	# kubectl caches there what servers tell.
	HOME=$pod_dir
	export HOME
	pod_image=$("$top_srcdir/tests/parts/docker-image.sh" hookbox-test:busybox) || return 1
	pod_names=$*
	set --
	for pod_name in $pod $pod_names; do
		pod_new=$(pod_container) || return 1
		pod_containers="$pod_containers $pod_new"
		set -- "$@" "$pod_name=$pod_new,app=${pod_name%-*}"
	done
	python3 "$top_srcdir/tests/parts/api_server.py" "$pod_dir" "$@" >"$pod_dir/server.log" 2>&1 &
	server_pid=$!
	pod_tries=0
	until [ -e "$pod_dir/ready" ]; do
		pod_tries=$((pod_tries + 1))
		[ $pod_tries -lt 200 ] && kill -0 $server_pid || return 1
		sleep 0.1
	done
}

pod_stop()
{
	[ -z "$server_pid" ] || kill "$server_pid"
	# shellcheck disable=SC2086 # a list of words
	[ -z "$pod_containers" ] || docker rm -f $pod_containers
}

# kube ARG...: kubectl itself, towards the same cluster.
kube()
{
	"$kubectl" --kubeconfig="$kubeconfig" ${namespace:+"--namespace=$namespace"} "$@"
}

# pod_has PATTERN: is there a process in the pod whose command line matches? The pattern must not
# match itself: write '[s]leep'.
pod_has()
{
	# shellcheck disable=SC2016 # the $ is another shell's
	kube exec "$pod" -- sh -c 'for f in /proc/[0-9]*/cmdline; do
		tr "\0" " " <"$f" 2>/dev/null | grep -q -- "$1" && exit 0
	done; exit 1' sh "$1" 2>/dev/null
}

# kubeconfig_with WORDS: prints the name of a new one, whose user the server misbehaves towards.
kubeconfig_with()
{
	new_kubeconfig=$(mktemp "$pod_dir/kubeconfig.XXXXXX") || return 1
	sed "s/test-token/test-token.$1.${new_kubeconfig##*.}/" "$kubeconfig" >"$new_kubeconfig" &&
		echo "$new_kubeconfig"
}
