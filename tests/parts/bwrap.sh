# SPDX-License-Identifier: MIT
# Sourced, after kit.sh or tap.sh: bubblewrap, and a kernel that lets it make sandboxes.
# shellcheck shell=sh

# Ends a test that needs them.
need_bwrap()
{
	command -v bwrap >/dev/null || skip_all "bubblewrap is not installed"
	bwrap --unshare-user --unshare-pid --unshare-net --ro-bind / / --dev /dev --proc /proc true \
		2>/dev/null || skip_all "the kernel, or this container, lets bubblewrap make no sandbox"
}

# become_nobody DIR: ends a test unless it is root's; then prepares DIR, an absolute path that
# everybody can reach, as nobody's own place and sets as_nobody, to be put before a command.
become_nobody()
{
	[ "$(id -u)" = 0 ] || skip_all "this is an unprivileged user's run already"
	command -v setpriv >/dev/null || skip_all "there is no setpriv to become another user with"
	nobody="setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --"
	mkdir "$1/run" && chmod 700 "$1/run" && chown -R 65534:65534 "$1" || exit 1
	as_nobody="$nobody env HOME=$1 TMPDIR=$1 XDG_RUNTIME_DIR=$1/run"
	$as_nobody test -x "$top_builddir/core/.libs" || $as_nobody test -x "$top_builddir/core/hookbox" ||
		skip_all "the build lies where other users cannot reach it"
}
