# SPDX-License-Identifier: MIT
# Sourced by test scripts: TAP on stdout, and what a test does about parts that are missing.
# shellcheck shell=sh

tap_n=0

# ok STATUS WHAT: one result.
ok()
{
	tap_n=$((tap_n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tap_n - $2"
	else
		echo "not ok $tap_n - $2"
	fi
}

# Says how many results there were; the last line of a test.
tap_done()
{
	echo "1..$tap_n"
}

# Ends a test, before its first result, that cannot run here: a failure where all parts are required.
skip_all()
{
	if [ "${HOOKBOX_REQUIRE-}" = all ] && [ "${HOOKBOX_TEST_PARTS-}" != none ]; then
		echo "not ok 1 - required: $1"
		echo "1..1"
	else
		echo "1..0 # SKIP $1"
	fi
	exit 0
}

# Ends a test, before its first result, that there is no need for here, whatever is required.
skip_rest()
{
	echo "1..0 # SKIP $1"
	exit 0
}

# For tests that work with a Docker engine.
need_engine()
{
	if [ "${HOOKBOX_TEST_PARTS-}" = none ]; then
		skip_all "left out by HOOKBOX_TEST_PARTS=none"
	fi
	docker info >/dev/null 2>&1 || skip_all "no Docker engine answers"
}

# Lines of a comment in the output.
tap_note()
{
	printf '%s\n' "$@" | sed 's/^/#   /'
}

# is GOT EXPECTED WHAT: one result, of equal texts.
is()
{
	[ "$1" = "$2" ]
	ok $? "$3"
	[ "$1" = "$2" ] || tap_note "it is" "$1" "and not" "$2"
}

# like GOT PATTERN WHAT: one result, of a text and a pattern of the shell's.
like()
{
	# shellcheck disable=SC2254 # it is a pattern
	case $1 in
	$2) ok 0 "$3" ;;
	*)
		ok 1 "$3"
		tap_note "it is" "$1" "and not like" "$2"
		;;
	esac
}

# skip WHAT WHY: one result that is not to be had here.
skip()
{
	tap_n=$((tap_n + 1))
	echo "ok $tap_n - $1 # SKIP $2"
}

# Makes $dir, a directory that is gone when the test ends.
tap_dir()
{
	dir=$(mktemp -d "${TMPDIR:-/tmp}/hookbox-test.XXXXXX") || exit 99
	trap 'rm -rf "$dir"' EXIT
	trap 'exit 99' INT TERM HUP PIPE
}

# wait_for WHAT COMMAND...: until the command succeeds, for at most 30 s; says so when it does not.
wait_for()
{
	tap_what=$1
	tap_tries=0
	shift
	until "$@"; do
		tap_tries=$((tap_tries + 1))
		if [ $tap_tries -gt 600 ]; then
			tap_note "waited 30 s in vain for $tap_what"
			return 1
		fi
		sleep 0.05
	done
}
