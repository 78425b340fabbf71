#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An eval hook that turns an eval's result into metrics.

It writes a line for each number or truth value at the top of the object, in the text format of
Prometheus, to stdout, and appends them to the file that METRICS_FILE names, if any.

    {"eval_id":"tone","type":"llm_judge","score":0.8,"duration_ms":12}
gives
    eval_duration_ms{eval_id="tone",type="llm_judge"} 12
    eval_score{eval_id="tone",type="llm_judge"} 0.8

    [hook eval_metrics]
    command = hooks/eval_metrics.py
    hook = eval
"""
import json
import os
import re
import sys


class Number(str):
    """A number as it is written."""


def label(result, key):
    text = result.get(key)
    if not isinstance(text, str) or isinstance(text, Number):
        return ""
    text = re.sub(r"[^ -~]", "?", text)
    return text.replace("\\", r"\\").replace('"', r'\"')


def metrics_of(result):
    labels = f'eval_id="{label(result, "eval_id")}",type="{label(result, "type")}"'
    for name, value in sorted(result.items()):
        if not re.fullmatch("[a-z_]+", name):
            continue
        if isinstance(value, bool):
            value = Number(int(value))
        if isinstance(value, Number):
            yield f"eval_{name}{{{labels}}} {value}\n"


def main():
    result = json.load(sys.stdin.buffer, parse_int=Number, parse_float=Number)
    metrics = "".join(metrics_of(result))
    sys.stdout.write(metrics)
    path = os.environ.get("METRICS_FILE")
    if path and metrics:
        # One write to a file opened for appending: lines of several evals do not mix.
        with open(path, "ab", buffering=0) as file:
            file.write(metrics.encode())


main()
