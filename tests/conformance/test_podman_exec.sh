#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on docker_exec with podman as its CLI.
. "${top_srcdir:?}/tests/parts/podman.sh"

need_podman "$0"
. "$top_srcdir/tests/parts/kit.sh"
podman_start || skip_all "podman does not work here"
at_end=podman_stop
container=$(podman run -d --init --network none --log-driver none hookbox-test:busybox sleep 86400) ||
	skip_all "podman starts no container"
run_kit docker_exec <<END | podman_filter
[sandbox checked]
mode = docker_exec
docker_path = podman
container = $container
END
