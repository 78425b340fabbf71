#!/bin/sh
# SPDX-License-Identifier: MIT
# make bench: makes an image and a container for the benchmark when an engine answers, and runs it.
# Arguments are the benchmark's (--runs N, --json).

: "${top_srcdir:?}" "${top_builddir:?}"
image=hookbox-bench
container=

clean_up()
{
	pod_stop >/dev/null 2>&1
	vm_stop
	rm -rf "$scratch"
	[ -z "$container" ] || docker rm -f "$container" >/dev/null 2>&1
	docker image rm "$image" >/dev/null 2>&1
}

prepare()
{
	base=$("$top_srcdir/tests/parts/docker-image.sh" hookbox-test:busybox) || return 1
	container=$(docker run --detach --init --network none --log-driver none --pull never \
		"$base" sleep 100000) || return 1
	docker cp "$top_builddir/tests/bench/hook" "$container:/hook" >/dev/null &&
		docker commit "$container" "$image" >/dev/null
}

prepare_pod()
{
	kubectl=$(command -v kubectl) && command -v openssl && [ -n "$container" ] &&
		pod_start "$scratch" && docker cp tests/bench/hook "${pod_containers# }:/hook"
}

prepare_vm()
{
	mkdir -p "$vm_files" && vm_install "$scratch/vm.log" && vm_build "$vm_files" &&
		vm_start "$vm_files" bench &&
		vm_run ssh 'cat >/tmp/hook && chmod 755 /tmp/hook' <tests/bench/hook &&
		vm_run ssh 'cat >/tmp/floor && chmod 755 /tmp/floor' <tests/bench/floor &&
		vm_floor=$(vm_run ssh '/tmp/floor --runs 200 /tmp/hook' </dev/null)
}

cd "$top_builddir" || exit 1
. "$top_srcdir/tests/parts/packages.sh"
. "$top_srcdir/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/kubectl.sh"
. "$top_srcdir/tests/parts/vm.sh"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/hookbox-bench.XXXXXX") || exit 1
vm_files=$top_builddir/tests/vm
trap clean_up EXIT
trap 'exit 130' INT TERM
HOOKBOX_AGENT_DIR=$top_builddir/core/agent
export HOOKBOX_AGENT_DIR
docker=$(command -v docker)
if [ -z "$docker" ]; then
	set -- --no-engine "there is no docker command; install docker.io" "$@"
elif ! docker info >/dev/null 2>&1; then
	set -- --no-engine "no Docker engine answers; start dockerd" "$@"
else
	if prepare; then
		set -- --docker "$docker" --image "$image" --container "$container" "$@"
	else
		set -- --no-engine "no image for the benchmark can be made" "$@"
	fi
fi
if bwrap --unshare-all --ro-bind / / true 2>/dev/null; then
	set -- --bwrap "$@"
fi
if prepare_pod >/dev/null 2>&1; then
	set -- --kubectl "$kubectl" --kubeconfig "--kubeconfig=$kubeconfig" --pod "$pod" "$@"
fi
if prepare_vm >/dev/null 2>&1; then
	set -- --vm-port "$vm_port" --vm-key "$vm_key" --vm-host-key "$vm_host_key" \
		--vm-floor "${vm_floor% us*}" "$@"
fi
tests/bench/bench "$@"
