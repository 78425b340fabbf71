#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2181 # the status and what was printed are one result
# The C example that embeds the host, with an example hook.
. "${top_srcdir:?}/tests/parts/tap.sh"

embed=${top_builddir:?}/examples/embed/embed
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
umask 022
cp "$top_srcdir"/examples/hooks/*.sh "$scratch"
cat >"$scratch/hooks.ini" <<END
[hook pii]
command = ./pii_redactor.sh
hook = provider
phases = before_call
END

echo '{"request":{"messages":[{"role":"user","content":"my ssn is 123-45-6789"}]}}' |
	"$embed" "$scratch/hooks.ini" provider before_call >"$scratch/out"
[ $? = 1 ] && grep -q '^deny by pii: personal data found: ssn$' "$scratch/out"
ok $? "a hook denies"
echo '{"request":{"messages":[]}}' |
	"$embed" "$scratch/hooks.ini" provider before_call >"$scratch/out"
[ $? = 0 ] && grep -q '^allow$' "$scratch/out"
ok $? "a hook allows"
echo '{"request":' | "$embed" "$scratch/hooks.ini" provider before_call 2>"$scratch/err"
[ $? = 2 ] && grep -q "the event's JSON is refused" "$scratch/err"
ok $? "half an event is refused"
"$embed" "$scratch/none.ini" provider before_call </dev/null 2>"$scratch/err"
[ $? = 2 ] && grep -q none.ini "$scratch/err"
ok $? "a missing config is named"
tap_done
