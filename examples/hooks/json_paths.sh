#!/bin/sh
# SPDX-License-Identifier: MIT
# For hooks in sh: reads one valid JSON value on stdin and prints a line for each string, number,
# true, false and null in it. A line is the keys that lead there, then the value, with a tab behind
# each key; an element of an array has the key []. Keys (without their quotes) and values are as
# JSON writes them, so that neither can hold a tab or a newline; a quote inside is \u0022, a
# backslash \u005c.
#
#	{"request":{"Name":"sql","rows":[1,2]}}	gives	request	Name	"sql"
#							request	rows	[]	1
#							request	rows	[]	2
export LC_ALL=C
sed 's/\\\\/\\u005c/g; s/\\"/\\u0022/g' | awk '
BEGIN { RS = "\"" }

function emit(value,    i, line) {
	for (i = 1; i <= depth; i++)
		line = line key[i] "\t"
	print line value
}

# What stands between two strings: brackets, commas, colons, and words such as 1.5e3 or true.
function structure(text,    i, c) {
	if (pending) {
		if (text ~ /^[ \t\r\n]*:/)
			key[depth] = string
		else
			emit("\"" string "\"")
		pending = 0
	}
	for (i = 1; i <= length(text); i++) {
		c = substr(text, i, 1)
		if (c ~ /[-+.0-9A-Za-z]/) {
			word = word c
			continue
		}
		if (word != "")
			emit(word)
		word = ""
		if (c == "{" || c == "[")
			key[++depth] = "[]"
		else if (c == "}" || c == "]")
			depth--
	}
}

NR % 2 { structure($0) }
NR % 2 == 0 { string = $0; pending = 1 }
END { structure(" ") }'
