# SPDX-License-Identifier: MIT
# Sourced: what needs the machine's package manager or its root rights.
# shellcheck shell=sh

# What a build needs, and what the tests need besides.
# shellcheck disable=SC2034 # for who sources this
build_packages='gcc make libc6-dev autoconf automake libtool pkg-config libjansson-dev libinih-dev libcmocka-dev'
# shellcheck disable=SC2034
fuzz_packages='clang libclang-rt-dev'
# shellcheck disable=SC2034
test_packages='binutils bubblewrap busybox-static catatonit gnuplot-nox mandoc musl-tools openssl podman procps python3 runc shellcheck valgrind xz-utils'

have()
{
	command -v "$1" >/dev/null 2>&1
}

# Debian keeps dockerd, iptables and mke2fs where the PATH of a plain user does not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Runs a command as root. It fails, and asks nothing, where that takes a password nobody can type.
as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif ! have sudo; then
		echo "not root, and there is no sudo: $*" >&2
		return 1
	elif [ -t 0 ]; then
		sudo -- "$@"
	else
		sudo -n -- "$@"
	fi
}

# The ones of the named packages that are not installed.
packages_missing()
{
	for package; do
		dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' ||
			printf '%s ' "$package"
	done
}

apt_get()
{
	# A clock that disagrees with the archive's is no obstacle to a signed index.
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Check-Date=false \
		-o Dpkg::Use-Pty=0 "$@" </dev/null
}

# Installs the ones of the named packages that are missing; says on stdout which.
packages_install()
{
	if ! have dpkg-query || ! have apt-get; then
		echo "no apt here: taken for installed: $*"
		return 0
	fi
	missing=$(packages_missing "$@")
	if [ -z "$missing" ]; then
		echo "nothing is missing"
		return 0
	fi
	echo "installing: $missing"
	apt_get update >&2 || return 1
	# shellcheck disable=SC2086 # a list of words
	apt_get install --no-install-recommends $missing >&2
}

# hookbox trusts configurations and plugins that root or the caller owns and nobody else can write.
# Is this path such a one?
path_is_trusted()
{
	[ -n "$(find "$1" -maxdepth 0 \( -user 0 -o -user "$(id -u)" \) ! -perm /022)" ]
}

# tree_copy DIR: copies the working directory, without what builds made, so that it is trusted.
tree_copy()
{
	mkdir -p "$1" &&
		tar --exclude=./.git --exclude=./build --exclude=./build-asan --exclude=./build-tsan \
			--exclude=./build-logs --exclude=./build-vm -c . |
		tar -C "$1" --no-same-owner -x && chmod -R go-w "$1"
}
