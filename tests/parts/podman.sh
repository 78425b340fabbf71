# SPDX-License-Identifier: MIT
# Sourced first by tests: a podman of the test's own. In a mount namespace that has its own /run,
# /var/lib and /dev/shm, podman finds nothing of this machine's and leaves nothing there.
# shellcheck shell=sh disable=SC2034 # what it sets is the callers'

. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/packages.sh"
. "$top_srcdir/tests/parts/docker-engine.sh"

# need_podman SCRIPT [ARG...]: ends a test that cannot run here; else SCRIPT goes on in such a namespace.
need_podman()
{
	[ "${HOOKBOX_TEST_PARTS-}" != none ] || skip_all "left out by HOOKBOX_TEST_PARTS=none"
	have podman || skip_all "podman is not installed"
	have catatonit || skip_all "catatonit, podman's init, is not installed"
	have busybox || skip_all "busybox is not installed"
	if [ "$(id -u)" != 0 ]; then
		# No part that could be there.
		echo "1..0 # SKIP podman is tested as root only"
		exit 0
	fi
	# This very process has been here before, and so is in the namespace.
	[ "${HOOKBOX_TEST_UNSHARED-}" != $$ ] || return 0
	unshare --mount true 2>/dev/null || skip_all "this container lets nobody mount anything"
	HOOKBOX_TEST_UNSHARED=$$ exec unshare --mount --propagation private sh "$@"
}

# podman_start: an image hookbox-test:busybox, or it fails and says why. podman_stop ends all.
podman_start()
{
	for podman_place in /run /var/lib /dev/shm; do
		mount -t tmpfs none $podman_place || return 1
	done
	mkdir -m 700 /run/hookbox || return 1
	# No systemd, no journald, the runtime that takes cgroups v1, v2 and both together, and limits that
	# a root without CAP_SYS_RESOURCE need not raise.
	cat >/run/hookbox/containers.conf <<-END
		[containers]
		default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
		log_driver = "k8s-file"
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		runtime = "runc"
	END
	CONTAINERS_CONF=/run/hookbox/containers.conf XDG_RUNTIME_DIR=/run/hookbox
	export CONTAINERS_CONF XDG_RUNTIME_DIR
	unset CONTAINERS_STORAGE_CONF
	engine_image hookbox-test:busybox podman
}

podman_stop()
{
	podman rm --all --force --time 0
}

# podman_filter: the kit's results, but for a fault of podman's. A command that ends with much of its
# stdin unread makes conmon reset the connection, and what it had written last is lost in some of a
# hundred calls. hookbox must tell that from an answer; where it has, that check could not be made.
podman_filter()
{
	awk '
		held && /got "lost" .* before the command.s end was reported/ {
			sub(/^not /, "", held)
			held = held " # SKIP podman lost what the command wrote, and hookbox said so"
		}
		held { print held; held = "" }
		/^not ok [0-9]+ - a command may exit without reading stdin$/ { held = $0; next }
		{ print }
		END { if (held) print held }'
}
