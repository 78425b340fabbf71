#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on docker_run once more: calls find a container that waits for them.
. "${top_srcdir:?}/tests/parts/kit.sh"

need_engine
image=$("$top_srcdir/tests/parts/docker-image.sh" hookbox-test:busybox) || skip_all "no image can be made"
run_kit docker_run <<END
[sandbox checked]
mode = docker_run
image = $image
pool = 4
END
