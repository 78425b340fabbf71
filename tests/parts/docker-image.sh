#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes an image for tests, unless there is one of that name, and prints the name.
#   hookbox-test:busybox  busybox and its applets; sh is busybox's (the default)
#   hookbox-test:dash     the same with this machine's dash as sh
#   hookbox-test:bash     the same with this machine's bash as sh
#   hookbox-test:nosh     a few applets, and no shell among them

here=$(dirname "$0")
# shellcheck source=tests/parts/packages.sh
. "$here/packages.sh"
# shellcheck source=tests/parts/docker-engine.sh
. "$here/docker-engine.sh"

name=${1:-hookbox-test:busybox}
root=
trap '[ -z "$root" ] || rm -rf "$root"' EXIT

fail()
{
	echo "docker-image.sh: $1" >&2
	exit 1
}

# Copies a program with the libraries that it is linked to.
copy_program()
{
	cp "$1" "$2" || return 1
	for library in $(ldd "$1" | grep -o '/[^ ]*'); do
		mkdir -p "$root$(dirname "$library")" && cp -L "$library" "$root$library" ||
			return 1
	done
}

# make_root APPLET...: a root directory with these applets of busybox.
make_root()
{
	root=$(mktemp -d "${TMPDIR:-/tmp}/hookbox-image.XXXXXX") || return 1
	mkdir "$root/bin" "$root/etc" "$root/tmp" "$root/proc" "$root/sys" "$root/dev" || return 1
	chmod 1777 "$root/tmp"
	echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	for applet; do
		ln "$root/bin/cat" "$root/bin/$applet" 2>/dev/null ||
			cp "$(command -v busybox)" "$root/bin/$applet" || return 1
	done
}

import_root()
{
	tar -C "$root" --owner 0 --group 0 -c . |
		docker import --change 'ENV PATH=/bin' - "$name" >/dev/null
}

# Applets are found by their names, so the shell is the only one that is taken away.
with_shell()
{
	shell=$(command -v "$1") || return 1
	# shellcheck disable=SC2046 # a list of words
	make_root cat $(busybox --list | grep -vxE 'cat|sh|ash') &&
		copy_program "$shell" "$root/bin/sh" && import_root
}

make_image()
{
	case $name in
	hookbox-test:dash | hookbox-test:bash) with_shell "${name#*:}" ;;
	hookbox-test:nosh) make_root cat echo env false id printf pwd sleep true && import_root ;;
	*) engine_image "$name" ;;
	esac
}

have busybox || fail "busybox is missing: install busybox-static"
docker image inspect "$name" >/dev/null 2>&1 || make_image || fail "$name could not be made"
echo "$name"
