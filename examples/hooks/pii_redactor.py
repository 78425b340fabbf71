#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A provider hook that keeps personal data from the model.

It denies a request (or a response) in which any string holds a US social security number, a card
number or an e-mail address, and says which kinds it found, never the values.

    [hook pii_redactor]
    command = hooks/pii_redactor.py
    hook = provider
    phases = before_call
"""
import json
import re
import sys

EMAIL = re.compile(r"[A-Za-z0-9._%+-]@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2}")
# Groups of digits, one space or dash apart.
NUMBER = re.compile(r"[0-9]+(?:[ -][0-9]+)*")


def strings(value):
    """All strings in a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from strings(member)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def luhn(digits):
    """The check that every card number passes, and one number in ten."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        digit = int(digit) * (1 + i % 2)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0


def is_ssn(groups):
    area, group, serial = groups
    return (area not in ("000", "666") and area[0] != "9" and group != "00"
            and serial != "0000")


def kinds_of_number(number):
    """A card number is some groups in a row, of four digits or more but for the last; a social
    security number is three groups, of three, two and four digits."""
    groups = re.split("[ -]", number)
    for i in range(len(groups)):
        three = groups[i:i + 3]
        if [len(group) for group in three] == [3, 2, 4] and is_ssn(three):
            yield "ssn"
        digits = ""
        for group in groups[i:]:
            digits += group
            if len(digits) > 19:
                break
            if len(digits) >= 13 and digits[0] in "23456" and luhn(digits):
                yield "card"
            if len(group) < 4:
                break


def kinds_of(text):
    if EMAIL.search(text):
        yield "email"
    for number in NUMBER.findall(text):
        if len(number) >= 11:
            yield from kinds_of_number(number)


def main():
    request = json.load(sys.stdin.buffer)
    kinds = sorted({kind for text in strings(request) for kind in kinds_of(text)})
    if kinds:
        answer = {"allow": False, "reason": "personal data found: " + ", ".join(kinds),
                  "metadata": {"kinds": kinds}}
    else:
        answer = {"allow": True}
    print(json.dumps(answer, separators=(",", ":")))


main()
