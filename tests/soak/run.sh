#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh CALLS THREADS SEED: the soak, in a container of its own.
set -u
: "${top_srcdir:?}" "${top_builddir:?}"
name=hookbox-soak-$$
trap 'docker rm -f "$name" >/dev/null 2>&1' EXIT
trap 'exit 99' INT TERM HUP
image=$("$top_srcdir/tests/parts/docker-image.sh" hookbox-test:busybox) || exit 1
container=$(docker run -d --init --name "$name" --network none --log-driver none "$image" \
	sleep 86400) || exit 1
"$top_builddir/tests/soak/soak" "$top_builddir/plugins/.libs" "$container" "$1" "$2" \
	"${3:-$(date +%s)}"
