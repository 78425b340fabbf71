#!/bin/sh
# SPDX-License-Identifier: MIT
# For `make installcheck`: what is installed works, and others can build with it.
set -e

dir=$(mktemp -d "${TMPDIR:-/tmp}/hookbox-install.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP

# Under DESTDIR nothing is where it says it is.
PKG_CONFIG_PATH=${DESTDIR}${libdir:?}/pkgconfig
LD_LIBRARY_PATH=${DESTDIR}$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PKG_CONFIG_PATH LD_LIBRARY_PATH
[ -z "$DESTDIR" ] || export PKG_CONFIG_SYSROOT_DIR="$DESTDIR"
plugins=${DESTDIR}${plugindir:?}
hookbox=${DESTDIR}${bindir:?}/hookbox

fail()
{
	echo "installcheck: $*" >&2
	exit 1
}

cat >"$dir/hookbox.ini" <<'EOF'
[sandbox here]
mode = direct
EOF
said=$("$hookbox" exec --config "$dir/hookbox.ini" --sandbox here -- printf '%s' "it runs")
[ "$said" = "it runs" ] || fail "the installed hookbox does not run a command: $said"

# The built-in directory is enough, without DESTDIR.
[ -z "$DESTDIR" ] || export HOOKBOX_PLUGIN_PATH="$plugins"
for mode in direct docker_run docker_exec; do
	"$hookbox" plugins list | grep -q "^$mode " || fail "hookbox plugins list lacks $mode"
done

cat >"$dir/embed.c" <<'EOF'
#include <hookbox.h>
#include <stdio.h>

int main(void)
{
	return puts(hookbox_version()) < 0;
}
EOF
# shellcheck disable=SC2046,SC2086 # lists of words
${CC:-cc} "$dir/embed.c" -o "$dir/embed" $(pkg-config --cflags --libs hookbox)
[ "$("$dir/embed")" = "$(pkg-config --modversion hookbox)" ] ||
	fail "a program built with pkg-config hookbox does not see the library's version"

cat >"$dir/nothing.c" <<'EOF'
#include <hookbox/sandbox_plugin.h>

static int plan(const void *instance, const struct sandbox_plan_request *request,
		const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	for (const char *const *arg = request->argv; *arg; arg++)
		sink->arg(sink, *arg);
	return 0;
}

SANDBOX_PLUGIN_EXPORT const struct sandbox_plugin_v1 sandbox_plugin_v1 = {
	.magic = SANDBOX_PLUGIN_MAGIC,
	.struct_size = sizeof(struct sandbox_plugin_v1),
	.name = "nothing",
	.version = "1",
	.summary = "No sandbox: shows that the installed header is enough",
	.flags = SANDBOX_FRESH | SANDBOX_HOST_PROCESS,
	.param_size = sizeof(struct sandbox_param),
	.instance_size = 1,
	.plan = plan,
};
EOF
mkdir "$dir/plugins"
# shellcheck disable=SC2046 # a list of words
${CC:-cc} -shared -fPIC "$dir/nothing.c" -o "$dir/plugins/nothing.so" \
	$(pkg-config --cflags --libs hookbox-plugin)
[ "$(pkg-config --variable=plugindir hookbox-plugin)" = "$plugindir" ] ||
	[ "$(pkg-config --variable=plugindir hookbox-plugin)" = "$plugins" ] ||
	fail "pkg-config --variable=plugindir hookbox-plugin is not $plugindir"
printf '[sandbox outside]\nmode = nothing\n' >"$dir/outside.ini"
said=$("$hookbox" exec --plugin-dir "$dir/plugins" --config "$dir/outside.ini" --sandbox outside -- \
	printf '%s' "it runs")
[ "$said" = "it runs" ] || fail "a plugin built with pkg-config hookbox-plugin does not run: $said"
echo "installcheck: program, plugins, library and both pkg-config files work"
