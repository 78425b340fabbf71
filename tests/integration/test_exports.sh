#!/bin/sh
# SPDX-License-Identifier: MIT
# What leaves the shared objects: the functions that hookbox.h declares, the one symbol of a plugin.
. "${top_srcdir:?}/tests/parts/tap.sh"

# Names that a shared object defines for others.
exports()
{
	nm -D --defined-only "$1" | awk '$2 ~ /^[A-Z]$/ { sub(/@.*/, "", $3); print $3 }' | sort
}

# Compares two lists; the differences go to stderr.
same()
{
	[ "$2" = "$3" ] && return 0
	printf '%s: expected\n%s\nbut it is\n%s\n' "$1" "$2" "$3" >&2
	return 1
}

declared=$(sed -n 's/^HOOKBOX_API .*[ *]\(hookbox_[a-z0-9_]*\)(.*/\1/p' "$top_srcdir/core/hookbox.h" | sort)
same libhookbox.so "$declared" "$(exports "${top_builddir:?}/core/.libs/libhookbox.so")"
ok $? "libhookbox exports exactly what hookbox.h declares"

for plugin in "$top_builddir"/plugins/.libs/*.so; do
	name=$(basename "$plugin" .so)
	same "$plugin" sandbox_plugin_v1 "$(exports "$plugin")"
	ok $? "$name exports its descriptor and nothing else"
	! nm -D --undefined-only "$plugin" | grep hookbox_ >&2
	ok $? "$name needs no symbol of the host"
done
tap_done
