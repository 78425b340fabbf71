#!/bin/sh
# SPDX-License-Identifier: MIT
# A session hook that keeps a log: it appends a line of JSON for each event to the file that
# AUDIT_LOG names, else to stderr. POSIX sh; sessions that end at once share one log better with
# audit_logger.py, which writes each line in one go.
#
#	[hook audit_logger]
#	command = hooks/audit_logger.sh
#	env = AUDIT_LOG=/var/log/hookbox/audit.jsonl
#	hook = session
#	phases = session_start
#		session_end
#	mode = observe

# JSON has newlines between its words only, so that it is a line without them.
record=$(tr -d '\r\n') || exit 1
line=$(printf '{"time":"%s","record":%s}' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$record")
if [ -n "${AUDIT_LOG-}" ]; then
	printf '%s\n' "$line" >>"$AUDIT_LOG" || exit 1
else
	printf '%s\n' "$line" >&2
fi
echo '{"allow":true,"ack":true}'
