# SPDX-License-Identifier: MIT
# Sourced: a pod to enter with kubectl, behind the API server of ours; or, where
# HOOKBOX_TEST_KUBECONFIG names a cluster, HOOKBOX_TEST_POD there.
# shellcheck shell=sh disable=SC2034 # what it sets is the callers'

: "${top_srcdir:?}"
server_pid=
pod_container=

# pod_start DIR: kubeconfig and pod are set, or it fails.
pod_start()
{
	if [ -n "${HOOKBOX_TEST_KUBECONFIG-}" ] && [ -n "${HOOKBOX_TEST_POD-}" ]; then
		kubeconfig=$HOOKBOX_TEST_KUBECONFIG pod=$HOOKBOX_TEST_POD
		return 0
	fi
	pod=web kubeconfig=$1/kubeconfig
	pod_image=$("$top_srcdir/tests/parts/docker-image.sh" hookbox-test:busybox) || return 1
	pod_container=$(docker run -d --init --network none --log-driver none \
		--label hookbox-test=1 "$pod_image" sleep 86400) || return 1
	python3 "$top_srcdir/tests/parts/api_server.py" "$1" "web=$pod_container,app=web" \
		>"$1/server.log" 2>&1 &
	server_pid=$!
	pod_tries=0
	until [ -e "$1/ready" ]; do
		pod_tries=$((pod_tries + 1))
		[ $pod_tries -lt 200 ] && kill -0 $server_pid || return 1
		sleep 0.1
	done
}

pod_stop()
{
	[ -z "$server_pid" ] || kill "$server_pid"
	[ -z "$pod_container" ] || docker rm -f "$pod_container"
}
