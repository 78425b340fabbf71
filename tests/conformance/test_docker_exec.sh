#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on docker_exec: a container that stays, with busybox, dash and bash as its sh,
# one-off; and through the agent.
. "${top_srcdir:?}/tests/parts/kit.sh"

need_engine
shell=${1:-busybox}
agent=${2:-off}
image=$("$top_srcdir/tests/parts/docker-image.sh" "hookbox-test:$shell") || skip_all "no image can be made"
container=$(docker run -d --init --network none --log-driver none --label hookbox-test=1 "$image" \
	sleep 86400) || skip_all "no container can be started"
at_end="docker rm -f $container"
run_kit docker_exec <<END
[sandbox checked]
mode = docker_exec
container = $container
agent = $agent
END
