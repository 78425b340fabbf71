#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on docker_run with podman as its CLI; with a number, out of a pool of so many;
# with a second word, one that shares a network.
. "${top_srcdir:?}/tests/parts/podman.sh"

need_podman "$0" "$@"
. "$top_srcdir/tests/parts/kit.sh"
podman_start || skip_all "podman does not work here"
at_end=podman_stop
run_kit docker_run <<END | podman_filter
[sandbox checked]
mode = docker_run
docker_path = podman
image = hookbox-test:busybox
pool = ${1:-0}
network_keeper = ${2:-no}
END
