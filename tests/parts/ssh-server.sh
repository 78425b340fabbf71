# SPDX-License-Identifier: MIT
# Sourced, after tap.sh: an ssh server that misbehaves. $dir is the test's directory.
# shellcheck shell=sh disable=SC2034 # what it sets is the callers'

: "${top_srcdir:?}" "${dir:=}"
server_pid=

# serve HOW...: a server; $port is set.
serve()
{
	rm -f "$dir/port"
	python3 "$top_srcdir/tests/parts/ssh_server.py" "$@" >"$dir/port" 2>"$dir/server.log" &
	server_pid=$!
	wait_for "a port" test -s "$dir/port"
	port=$(cat "$dir/port")
}

# Ends it, if there is one.
serve_no_more()
{
	[ -n "$server_pid" ] || return 0
	kill "$server_pid"
	wait "$server_pid" 2>/dev/null
	server_pid=
}
