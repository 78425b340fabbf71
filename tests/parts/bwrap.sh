# SPDX-License-Identifier: MIT
# Sourced, after tap.sh: bubblewrap, and a kernel that lets it make sandboxes.
# shellcheck shell=sh

# Ends a test that needs them.
need_bwrap()
{
	command -v bwrap >/dev/null || skip_all "bubblewrap is not installed"
	bwrap --unshare-user --unshare-pid --ro-bind / / --proc /proc true 2>/dev/null ||
		skip_all "the kernel or this container does not allow user namespaces"
}
