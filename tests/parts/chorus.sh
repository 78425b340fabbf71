# SPDX-License-Identifier: MIT
# Sourced, after tap.sh and program.sh, when there is $dir: one host that stays, and is given calls.
# shellcheck shell=sh

: "${dir:?}"
host=		# its pid; "": there is none
end=		# how the call ended that was asked for last
n_calls=0

# chorus_open SANDBOX [FILES]: a host with the sandbox of hookbox.ini, which may open so many files.
# What it has to say is in $dir/host.
chorus_open()
{
	rm -rf "$dir/ends" "$dir/calls"
	mkdir "$dir/ends"
	mkfifo "$dir/calls"
	(
		# shellcheck disable=SC3045 # every shell that is in use has it
		ulimit -n "${2:-1024}"
		exec env "${mark:?}" "${top_builddir:?}/tests/fixtures/chorus" "$dir/hookbox.ini" "$1" \
			"$top_builddir/plugins/.libs" "$dir/ends"
	) <"$dir/calls" >"$dir/host" 2>&1 &
	host=$!
	exec 7>"$dir/calls"
}

# It ends when nobody has a call for it any more.
chorus_close()
{
	exec 7>&-
	wait "$host"
	host=
}

chorus_kill()
{
	kill -KILL "$host"
	wait "$host" 2>/dev/null
	host=
	exec 7>&-
}

# begin NAME TIMEOUT-MS SCRIPT
begin()
{
	printf '%s\n' "$*" >&7
}

has_ended()
{
	[ -f "$dir/ends/$1" ]
}

# end_of NAME: how that call ended, in $end. The name may be used again.
end_of()
{
	wait_for "the end of $1" has_ended "$1" || wait_for "the end of $1 still" has_ended "$1"
	end=$(cat "$dir/ends/$1" 2>&1)
	rm -f "$dir/ends/$1"
}

# call SCRIPT: begins one, and waits for its end.
call()
{
	n_calls=$((n_calls + 1))
	begin "call$n_calls" 20000 "$1"
	end_of "call$n_calls"
}

# next WHAT: the next call works, through an agent or in a box of its own.
next()
{
	call 'echo works'
	like "$end" 'exited 0 proven ?works? ;*' "$1: the next call works"
}

# What is there of an agent may be written to by whom it does not hide from.
# shellcheck disable=SC2016,SC2034 # the $ are another shell's; it is the callers'
chorus_forge='for p in /proc/[0-9]*; do case $(tr "\0" " " <$p/cmdline) in *hookbox-a[g]ent*)
	printf forged >$p/fd/1 && echo forged;; esac; done 2>/dev/null; echo done'
chorus_forge=$(echo "$chorus_forge" | tr '\n' ' ')
# shellcheck disable=SC2016,SC2034
chorus_kill_agents='for p in /proc/[0-9]*; do case $(tr "\0" " " <$p/cmdline) in *hookbox-a[g]ent*)
	kill -9 ${p#/proc/};; esac; done;'
chorus_kill_agents=$(echo "$chorus_kill_agents" | tr '\n' ' ')
