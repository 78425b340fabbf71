#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on docker_run: a fresh container for every call; with a number, out of a pool
# of so many; with a second word, one that shares a network.
. "${top_srcdir:?}/tests/parts/kit.sh"

need_engine
image=$("$top_srcdir/tests/parts/docker-image.sh" hookbox-test:busybox) || skip_all "no image can be made"
run_kit docker_run <<END
[sandbox checked]
mode = docker_run
image = $image
pool = ${1:-0}
network_keeper = ${2:-no}
END
