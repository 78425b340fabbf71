# SPDX-License-Identifier: MIT
# Sourced, after packages.sh: a Docker engine to use, started only when none answers.
# shellcheck shell=sh disable=SC2034

engine_dir=		# where the engine that we started has its files; empty: none of ours
engine_problem=		# one sentence: why there is no engine

# Only root of the machine itself, or of a privileged container, can run an engine.
engine_may_run()
{
	# CAP_SYS_ADMIN is bit 21.
	caps=$(as_root sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status 2>/dev/null)
	[ -n "$caps" ] && [ $((0x$caps >> 21 & 1)) = 1 ]
}

engine_install()
{
	if have docker && have dockerd; then
		return 0
	fi
	packages_install docker.io iptables >"$1" 2>&1
}

# kill is a program of its own in procps only, which need not be there.
engine_signal()
{
	# shellcheck disable=SC2016 # for that sh
	as_root sh -c 'kill "$1" "$2"' sh "$1" "$2" 2>/dev/null
}

# Waits until the engine answers, or the process is gone.
engine_wait()
{
	tries=0
	while [ $tries -lt 150 ]; do
		docker info >/dev/null 2>&1 && return 0
		engine_signal -0 "$1" || return 1
		sleep 0.2
		tries=$((tries + 1))
	done
	return 1
}

# engine_start DIR: makes sure that an engine answers this user; its files, if it is ours, go into
# DIR. 0, or 1 with engine_problem set. 2: one answers, but only root (engine_reenter helps).
engine_start()
{
	have docker && docker info >/dev/null 2>&1 && return 0
	if have docker && [ "$(id -u)" != 0 ] && as_root docker info >/dev/null 2>&1; then
		engine_problem="the Docker engine does not answer user $(id -un): add that user to the group docker"
		return 2
	fi
	if ! engine_may_run; then
		engine_problem="no Docker engine answers, and none can be started here (that takes root outside of a container, or a privileged one)"
		return 1
	fi
	mkdir -p "$1" && rm -f "$1/dockerd.pid" || return 1
	if ! engine_install "$1/install.log"; then
		engine_problem="docker.io could not be installed: see $1/install.log"
		return 1
	fi
	# Where the package's service has started it already, that is the machine's engine from now
	# on.
	if as_root docker info >/dev/null 2>&1; then
		engine_start "$1"
		return
	fi
	# shellcheck disable=SC2016 # for that sh
	as_root sh -c 'setsid dockerd --group "$2" --pidfile "$1/dockerd.pid" >"$1/dockerd.log" 2>&1 </dev/null &' \
		sh "$1" "$(id -g)"
	tries=0
	until [ -s "$1/dockerd.pid" ] || [ $tries -ge 50 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	engine_dir=$1
	if ! engine_wait "$(cat "$1/dockerd.pid" 2>/dev/null)"; then
		engine_problem="dockerd did not come up: $(grep -v level=info "$1/dockerd.log" | tail -n 1)"
		engine_stop
		return 1
	fi
}

# Stops the engine if engine_start started it.
engine_stop()
{
	[ -n "$engine_dir" ] || return 0
	pid=$(cat "$engine_dir/dockerd.pid" 2>/dev/null)
	if [ -n "$pid" ]; then
		engine_signal -TERM "$pid"
		tries=0
		# Its last act is to remove the file; who then reaps it is not our affair.
		while [ -e "$engine_dir/dockerd.pid" ] && engine_signal -0 "$pid" &&
			[ $tries -lt 150 ]; do
			sleep 0.2
			tries=$((tries + 1))
		done
	fi
	engine_dir=
}

# engine_reenter CMD...: becomes CMD, run by the same user with the engine's group added.
engine_reenter()
{
	socket_group=$(as_root stat -c %g /var/run/docker.sock) || return 1
	set -- "$(id -u)" "$(id -g)" "$(id -G | tr ' ' ,),$socket_group" \
		env "HOME=$HOME" "PATH=$PATH" "HOOKBOX_REQUIRE=${HOOKBOX_REQUIRE-}" \
			HOOKBOX_REENTERED=1 "$@"
	reuid=$1 regid=$2 groups=$3
	shift 3
	exec sudo -n -- setpriv --reuid "$reuid" --regid "$regid" --groups "$groups" "$@"
}

# engine_image NAME [CLI]: an image with busybox and nothing else, unless there is one of that name.
engine_image()
{
	cli=${2:-docker}
	$cli image inspect "$1" >/dev/null 2>&1 && return 0
	busybox=$(command -v busybox) || return 1
	root=$(mktemp -d "${TMPDIR:-/tmp}/hookbox-image.XXXXXX") || return 1
	mkdir "$root/bin" "$root/etc" "$root/tmp" "$root/proc" "$root/sys" "$root/dev" &&
		chmod 1777 "$root/tmp" &&
		cp "$busybox" "$root/bin/busybox" &&
		for applet in $("$busybox" --list); do
			[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet" || break
		done &&
		echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd" &&
		echo 'root:x:0:' >"$root/etc/group" &&
		tar -C "$root" --owner 0 --group 0 -c . |
		$cli import --change 'ENV PATH=/bin' --change 'CMD ["sh"]' - "$1" >/dev/null
	status=$?
	rm -rf "$root"
	return $status
}
