#!/bin/sh
# SPDX-License-Identifier: MIT
# make bench: makes an image and a container for the benchmark when an engine answers, and runs it.
# Arguments are the benchmark's (--runs N, --json).

: "${top_srcdir:?}" "${top_builddir:?}"
image=hookbox-bench
container=

clean_up()
{
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

cd "$top_builddir" || exit 1
HOOKBOX_AGENT_DIR=$top_builddir/core/agent
export HOOKBOX_AGENT_DIR
docker=$(command -v docker)
if [ -z "$docker" ]; then
	set -- --no-engine "there is no docker command; install docker.io" "$@"
elif ! docker info >/dev/null 2>&1; then
	set -- --no-engine "no Docker engine answers; start dockerd" "$@"
else
	trap clean_up EXIT
	trap 'exit 130' INT TERM
	if prepare; then
		set -- --docker "$docker" --image "$image" --container "$container" "$@"
	else
		set -- --no-engine "no image for the benchmark can be made" "$@"
	fi
fi
tests/bench/bench "$@"
