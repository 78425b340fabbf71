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

# For tests that work with a Docker engine.
need_engine()
{
	if [ "${HOOKBOX_TEST_PARTS-}" = none ]; then
		skip_all "left out by HOOKBOX_TEST_PARTS=none"
	fi
	docker info >/dev/null 2>&1 || skip_all "no Docker engine answers"
}
