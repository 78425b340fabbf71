#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A session hook that keeps a log.

It appends a line of JSON for each event to the file that AUDIT_LOG names, else to stderr.

    [hook audit_logger]
    command = hooks/audit_logger.py
    env = AUDIT_LOG=/var/log/hookbox/audit.jsonl
    hook = session
    phases = session_start
        session_end
    mode = observe
"""
import json
import os
import sys
from datetime import datetime, timezone


def main():
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    record = {"time": now, "record": json.load(sys.stdin.buffer)}
    line = json.dumps(record, separators=(",", ":")) + "\n"
    path = os.environ.get("AUDIT_LOG")
    if path:
        # One write to a file opened for appending: lines of several sessions do not mix.
        with open(path, "ab", buffering=0) as log:
            log.write(line.encode())
    else:
        sys.stderr.write(line)
    print('{"allow":true,"ack":true}')


main()
