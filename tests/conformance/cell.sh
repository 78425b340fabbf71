#!/bin/sh
# SPDX-License-Identifier: MIT
# One cell of the matrix in matrix.am: the conformance kit in one kind of box, with calls that go
# one way to it, and must. The argument is BOX.WAY, with anything before a slash and behind a second
# dot.
: "${top_srcdir:?}" "${top_builddir:?}"
cell=${1##*/} cell=${cell%.cell}
box=${cell%.*} way=${cell##*.}

case $box in
*-podman)
	# First of all: it makes this script go on in namespaces of its own.
	. "$top_srcdir/tests/parts/podman.sh"
	need_podman "$0" "$1"
	;;
esac
. "$top_srcdir/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/packages.sh"

# box_NAME: what takes this kind of box. Sets $mode and $keys, lines of the sandbox's section; and,
# if need be, $at_end, which ends it, $as_user and $filter, which the kit runs as and goes through.
keys='' at_end=: as_user='' filter=cat
kit_dir=$(mktemp -d "${TMPDIR:-/tmp}/hookbox-kit.XXXXXX") || exit 1
trap '$at_end >/dev/null 2>&1; rm -rf "$kit_dir"' EXIT
trap 'exit 1' HUP INT TERM

box_direct()
{
	mode=direct
}

box_bwrap_run()
{
	. "$top_srcdir/tests/parts/bwrap.sh"
	need_bwrap
	mode=bwrap_run
}

# Unprivileged, and with limits set.
box_bwrap_run_nobody()
{
	box_bwrap_run
	become_nobody "$kit_dir"
	as_user=$as_nobody
	keys='memory = 2g
pids_limit = 200'
}

# container_start CLI [IMAGE]: one that stays.
container_start()
{
	container=$("$1" run -d --init --network none --log-driver none --label hookbox-test=1 \
		"$2" sleep 86400) || skip_all "$1 starts no container"
	at_end="$1 rm -f $container"
}

# test_image NAME: sets $image.
test_image()
{
	need_engine
	image=$("$top_srcdir/tests/parts/docker-image.sh" "hookbox-test:$1") ||
		skip_all "no image can be made"
}

box_docker_exec()
{
	test_image "$1"
	container_start docker "$image"
	mode=docker_exec keys="container = $container"
}

box_docker_run()
{
	test_image busybox
	mode=docker_run keys="image = $image"
}

use_podman()
{
	at_end=podman_stop filter=podman_filter
	podman_start || skip_all "podman does not work here"
}

box_docker_exec_podman()
{
	use_podman
	container_start podman hookbox-test:busybox
	at_end=podman_stop
	mode=docker_exec keys="docker_path = podman
container = $container"
}

box_docker_run_podman()
{
	use_podman
	mode=docker_run keys='docker_path = podman
image = hookbox-test:busybox'
}

# box_kubectl_exec [debian]: as need_kubectl has it.
box_kubectl_exec()
{
	. "$top_srcdir/tests/parts/kubectl.sh"
	need_kubectl "$kit_dir" "$@"
	at_end=pod_stop
	pod_start "$kit_dir" || skip_all "no API server can be started"
	mode=kubectl_exec keys="kubectl_path = $kubectl
$pod_keys
pod = $pod"
}

# In a VM that runs already.
box_smolbsd_ssh()
{
	. "$top_srcdir/tests/parts/vm.sh"
	at_end=vm_stop
	need_vm
	mode=smolbsd_ssh keys="host = 127.0.0.1
port = $vm_port
identity_file = $vm_key
host_key = $vm_host_key
connect_timeout = 60s"
}

# In one that hookbox boots with startnb.sh.
box_smolbsd_ssh_managed()
{
	. "$top_srcdir/tests/parts/vm.sh"
	at_end="vm_smolbsd_end $kit_dir/smol"
	need_vm_files
	vm_smolbsd_dir "$kit_dir/smol" || skip_all "no directory can be laid out"
	mode=smolbsd_ssh keys="smolbsd_dir = smol
service = sshd
identity_file = $vm_dir/id
boot_timeout = 120s
connect_timeout = 60s"
}

# The sandbox "checked" of the configuration, with calls that go $way.
run_kit()
{
	bin=$top_builddir/core plugins=$top_builddir/plugins/.libs
	[ -z "$as_user" ] || bin=$kit_dir plugins=$kit_dir
	file=$mode
	[ "$mode" = direct ] || file=$plugins/$mode.so
	# shellcheck disable=SC2086 # a list of words
	$as_user "$bin/hookbox" plugins check "$file" --plugin-dir "$plugins" \
		--config "$kit_dir/hookbox.ini" --sandbox checked --way "$way" --tap
}

case $box in
docker_exec-podman) box_docker_exec_podman ;;
docker_exec-*) box_docker_exec "${box#*-}" ;;
kubectl_exec-*) box_kubectl_exec "${box#*-}" ;;
*) "box_$(echo "$box" | tr - _)" ;;
esac
case $box in
docker_*|kubectl_*|smolbsd_*)
	boxed=$top_builddir/core/agent/boxed
	[ ! -d "$boxed" ] || export HOOKBOX_AGENT_DIR="$boxed"
	;;
esac
# What makes calls go that way.
case $way in
one-off) way_keys='agent = off
multiplex = no' ;;
shared) way_keys='agent = off
multiplex = yes' ;;
agent) way_keys='agent = auto' ;;
portable)
	way=agent way_keys='agent = auto'
	HOOKBOX_AGENT_DIR=$kit_dir
	export HOOKBOX_AGENT_DIR
	cp "$top_builddir/core/agent/portable-agent" "$kit_dir/hookbox-agent" || exit 1
	;;
pool) way_keys='pool = 4
socket = off' ;;
socket) way_keys='pool = 4
socket = auto' ;;
network)
	way=socket way_keys='pool = 4
network_keeper = yes'
	;;
esac
printf '%s\n' '[sandbox checked]' "mode = $mode" "$way_keys" "$keys" >"$kit_dir/hookbox.ini"
run_kit | $filter
