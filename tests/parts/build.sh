# SPDX-License-Identifier: MIT
# Sourced: builds from whatever state the tree is in.
# shellcheck shell=sh

# build_tree DIR [CONFIGURE-ARG...]: generates and configures when needed, and builds.
build_tree()
{
	build_dir=$1
	shift
	if [ ! -x configure ] || [ ! -f build-aux/tap-driver.sh ] ||
		[ -n "$(find configure.ac -newer configure)" ]; then
		./autogen.sh || return 1
	fi
	mkdir -p "$build_dir" || return 1
	[ -f "$build_dir/Makefile" ] || (cd "$build_dir" && ../configure -q "$@") || return 1
	make -C "$build_dir" -j"$(nproc)" all
}
