#!/bin/sh
# SPDX-License-Identifier: MIT
# What leaves the shared objects: the functions that hookbox.h declares, the one symbol of a plugin.
echo "1..3"
n=0

ok()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

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

declared=$(sed -n 's/^HOOKBOX_API .*[ *]\(hookbox_[a-z0-9_]*\)(.*/\1/p' "${top_srcdir:?}/core/hookbox.h" | sort)
same libhookbox.so "$declared" "$(exports "${top_builddir:?}/core/.libs/libhookbox.so")"
ok $? "libhookbox exports exactly what hookbox.h declares"

for plugin in "$top_builddir"/plugins/.libs/*.so; do
	same "$plugin" sandbox_plugin_v1 "$(exports "$plugin")" || break
done
ok $? "each plugin exports its descriptor and nothing else"

for plugin in "$top_builddir"/plugins/.libs/*.so; do
	nm -D --undefined-only "$plugin" | grep hookbox_ >&2 && break
done
[ $? = 1 ]
ok $? "no plugin needs a symbol of the host"
