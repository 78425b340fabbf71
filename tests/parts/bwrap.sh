# SPDX-License-Identifier: MIT
# Sourced, after tap.sh: bubblewrap, and a kernel that lets it make sandboxes.
# shellcheck shell=sh

# Ends a test that needs them.
need_bwrap()
{
	command -v bwrap >/dev/null || skip_all "bubblewrap is not installed"
	bwrap --unshare-user --unshare-pid --unshare-net --ro-bind / / --dev /dev --proc /proc \
		true 2>/dev/null ||
		skip_all "the kernel, or this container, lets bubblewrap make no sandbox"
}

# become_nobody DIR: prepares DIR, which everybody can reach, for runs as an unprivileged user: with
# a hookbox, its agent and the backend in it, and as_nobody set, to be put before a command. Who is
# not root already stays who it is.
become_nobody()
{
	# A box with a limit of memory has no room for an agent with a sanitizer.
	nobody_agent=${top_builddir:?}/core/agent/boxed/hookbox-agent
	[ -f "$nobody_agent" ] || nobody_agent=$top_builddir/core/agent/hookbox-agent
	cp "$top_builddir/core/hookbox" "$nobody_agent" "$top_builddir/plugins/.libs/bwrap_run.so" "$1/" &&
		chmod 755 "$1" "$1/hookbox" "$1/hookbox-agent" "$1/bwrap_run.so" &&
		mkdir -m 700 "$1/home" "$1/run" || exit 1
	as_nobody="env HOME=$1/home TMPDIR=$1/home XDG_RUNTIME_DIR=$1/run HOOKBOX_AGENT_DIR=$1"
	[ "$(id -u)" = 0 ] || return 0
	chown 65534:65534 "$1/home" "$1/run" || exit 1
	as_nobody="setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs -- $as_nobody"
	$as_nobody test -x "$1/hookbox" ||
		skip_all "$1 cannot be reached by other users; set TMPDIR"
}
