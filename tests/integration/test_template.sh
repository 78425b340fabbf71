#!/bin/sh
# SPDX-License-Identifier: MIT
# A backend that is built outside of the tree and dropped into a directory works by naming it.
. "${top_srcdir:?}/tests/parts/tap.sh"

dir=$(mktemp -d "${TMPDIR:-/tmp}/hookbox-template.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cp "$top_srcdir"/sdk/template/* "$dir"
chmod 755 "$dir"
hookbox=${top_builddir:?}/core/hookbox

# The .pc file of the build, with the header where the source tree has it.
sed "s|^includedir=.*|includedir=$(cd "$top_srcdir" && pwd)/sdk/include|" \
	"$top_builddir/sdk/hookbox-plugin.pc" >"$dir/hookbox-plugin.pc"
PKG_CONFIG_PATH=$dir make -s -C "$dir" CFLAGS="-O2 -Wall -Wextra -Werror" >"$dir/log" 2>&1
ok $? "the template builds without a warning"

"$hookbox" plugins check "$dir/niced.so" >"$dir/out" 2>&1
ok $? "its descriptor is sane"

cat >"$dir/hookbox.ini" <<END
[hookbox]
plugin_path = $dir
[sandbox polite]
mode = niced
level = 7
END
unset HOOKBOX_CONFIG HOOKBOX_PLUGIN_PATH
level=$("$hookbox" exec -c "$dir/hookbox.ini" --sandbox polite -- nice)
[ "$level" = "$(($(nice) + 7))" ]
ok $? "a call runs through it"

"$hookbox" plugins check "$dir/niced.so" -c "$dir/hookbox.ini" --sandbox polite >"$dir/kit" 2>&1
status=$?
grep -A1 '^not ok' "$dir/kit" | sed 's/^/# /'
ok $status "it passes the conformance kit"

sed -i 's/^level = 7/level = 70/' "$dir/hookbox.ini"
"$hookbox" config check -c "$dir/hookbox.ini" 2>&1 |
	grep -q "hookbox.ini:3: .sandbox polite.: level = 70 is too large"
ok $? "its own check of a parameter names file, line and section"
tap_done
