#!/bin/sh
# SPDX-License-Identifier: MIT
# make bench: prepares what the benchmark measures, and runs it. Arguments are the benchmark's: --runs
# N, --only SUBJECT,... (latency, pool, load, stream, memory, crowd), --json FILE. Of BENCH_PARTS,
# "bwrap engine pod sshd vm" unless it is set, what is there is measured; the rest is left out.

: "${top_srcdir:?}" "${top_builddir:?}"
. "$top_srcdir/tests/parts/packages.sh"
. "$top_srcdir/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/kubectl.sh"
. "$top_srcdir/tests/parts/vm.sh"
parts=${BENCH_PARTS-bwrap engine pod sshd vm}
image=hookbox-bench:$$
container=
bench_pid=

clean_up()
{
	[ -z "$bench_pid" ] || kill "$bench_pid" 2>/dev/null
	pod_stop >/dev/null 2>&1
	vm_stop
	[ ! -f "$scratch/sshd.pid" ] || kill "$(cat "$scratch/sshd.pid")"
	rm -rf "$scratch"
	[ -z "$container" ] || docker rm -f "$container" >/dev/null 2>&1
	docker image rm "$image" >/dev/null 2>&1
}

# wants PART: is it one of those?
wants()
{
	case " $parts " in
	*" $1 "*) ;;
	*) return 1 ;;
	esac
}

# Root's boxes are nobody's, who has to reach the hook.
prepare_bwrap()
{
	bwrap=$(command -v bwrap) && bwrap --unshare-all --ro-bind / / true || return 1
	[ "$(id -u)" != 0 ] || setpriv --reuid=65534 --clear-groups test -x "$hook"
}

prepare_engine()
{
	base=$("$top_srcdir/tests/parts/docker-image.sh" hookbox-test:busybox) &&
		container=$(docker run --detach --init --network none --log-driver none --pull never \
			--label hookbox-test=1 "$base" sleep 100000) &&
		docker cp "$hook" "$container:/hook" && docker commit "$container" "$image"
}

prepare_pod()
{
	kubectl=$(command -v kubectl) && command -v openssl && [ -n "$container" ] &&
		pod_start "$scratch" && docker cp "$hook" "${pod_containers# }:/hook"
}

# A server of our own for whoever runs this, whose shell reads no files at its start: their time is
# nobody's here. sshd wants its own path to be absolute.
prepare_sshd()
{
	sshd=$(command -v sshd || command -v /usr/sbin/sshd) || return 1
	[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
	ssh_port=$(vm_free_port)
	for key in host_key login_key; do
		ssh-keygen -q -t ed25519 -N '' -f "$scratch/$key" || return 1
	done
	cat >"$scratch/sshd_config" <<-END
		ListenAddress 127.0.0.1
		Port $ssh_port
		HostKey $scratch/host_key
		AuthorizedKeysFile $scratch/login_key.pub
		PidFile $scratch/sshd.pid
		PermitRootLogin prohibit-password
		StrictModes no
		UsePAM no
		SetEnv HOME=$scratch
	END
	"$sshd" -f "$scratch/sshd_config" && ssh_host_key=$(cut -d ' ' -f 1,2 "$scratch/host_key.pub")
}

prepare_vm()
{
	vm_files=$top_builddir/tests/vm
	mkdir -p "$vm_files" && vm_install "$scratch/vm.log" && vm_build "$vm_files" &&
		vm_start "$vm_files" "bench$$" &&
		vm_run ssh 'cat >/tmp/hook && chmod 755 /tmp/hook' <"$hook" &&
		vm_run ssh 'cat >/tmp/floor && chmod 755 /tmp/floor' <tests/bench/floor
}

# Where it was built it may be out of reach for others.
prepare_hook()
{
	hook=$scratch/hook
	chmod 711 "$scratch" && cp tests/bench/hook "$hook" && chmod 755 "$hook"
}

cd "$top_builddir" || exit 1
scratch=$(mktemp -d "${TMPDIR:-/tmp}/hookbox-bench.XXXXXX") || exit 1
trap clean_up EXIT
trap 'exit 130' INT TERM
prepare_hook || exit 1
HOOKBOX_AGENT_DIR=$top_builddir/core/agent
export HOOKBOX_AGENT_DIR
set -- --hook "$hook" "$@"
if wants bwrap && prepare_bwrap >/dev/null 2>&1; then
	set -- --bwrap "$bwrap" "$@"
fi
docker=$(command -v docker)
if ! wants engine; then
	set -- --no-engine "left out by BENCH_PARTS" "$@"
elif [ -z "$docker" ]; then
	set -- --no-engine "there is no docker command; install docker.io" "$@"
elif ! docker info >/dev/null 2>&1; then
	set -- --no-engine "no Docker engine answers; start dockerd" "$@"
elif prepare_engine >/dev/null; then
	set -- --docker "$docker" --image "$image" --container "$container" "$@"
else
	set -- --no-engine "no image for the benchmark can be made" "$@"
fi
if wants pod && prepare_pod >/dev/null 2>&1; then
	set -- --kubectl "$kubectl" --kubeconfig "$kubeconfig" --pod "$pod" "$@"
fi
if wants sshd && prepare_sshd >/dev/null 2>&1; then
	set -- --ssh-port "$ssh_port" --ssh-user "$(id -un)" --ssh-key "$scratch/login_key" \
		--ssh-host-key "$ssh_host_key" "$@"
fi
if wants vm && prepare_vm >/dev/null 2>&1; then
	set -- --vm-port "$vm_port" --vm-key "$vm_key" --vm-host-key "$vm_host_key" "$@"
fi
# In the background, so that a signal is seen at once and ends it as well.
tests/bench/bench "$@" &
bench_pid=$!
wait "$bench_pid"
status=$?
bench_pid=
exit $status
