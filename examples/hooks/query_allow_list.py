#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A tool hook that lets only listed tools run.

Each argument is TOOL, which may be asked anything, or TOOL:QUERY, which may be asked exactly that
(its argument "query").

    [hook query_allow_list]
    command = hooks/query_allow_list.py
    args = get_weather
        sql:SELECT name FROM products
    hook = tool
    phases = before_execution
"""
import json
import sys


def member(value, name):
    """The member of that name, in whatever case. None if it is missing, or there twice ("name" and
    "Name"), which is a trick: which one would the tool read?"""
    if not isinstance(value, dict):
        return None
    found = [member for key, member in value.items() if key.lower() == name]
    return found[0] if len(found) == 1 else None


def is_allowed(tool, query, allowed):
    # A name with a colon could pass for a tool and a query.
    if not isinstance(tool, str) or ":" in tool:
        return False
    return tool in allowed or isinstance(query, str) and f"{tool}:{query}" in allowed


def main():
    request = member(json.load(sys.stdin.buffer), "request")
    tool = member(request, "name")
    query = member(member(request, "args"), "query")
    if is_allowed(tool, query, set(sys.argv[1:])):
        answer = {"allow": True}
    else:
        answer = {"allow": False, "reason": "this tool or query is not on the allow list",
                  "metadata": {"tool": tool}}
    print(json.dumps(answer, separators=(",", ":")))


main()
