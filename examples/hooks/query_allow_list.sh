#!/bin/sh
# SPDX-License-Identifier: MIT
# A tool hook that lets only listed tools run. Each argument is TOOL, which may be asked anything,
# or TOOL:QUERY, which may be asked exactly that (its argument "query"). POSIX sh, sed and awk.
#
#	[hook query_allow_list]
#	command = hooks/query_allow_list.sh
#	args = get_weather
#		sql:SELECT name FROM products
#	hook = tool
#	phases = before_execution
export LC_ALL=C
"${0%/*}/json_paths.sh" | awk -F '\t' '
BEGIN {
	for (i = 1; i < ARGC; i++)
		allowed[ARGV[i]] = 1
	ARGC = 1
}

function hex(digit) {
	return index("0123456789abcdef", tolower(digit)) - 1
}

# The text inside a JSON string. What is no ASCII stays escaped, and so matches nothing.
function plain(inside,    parts, n, i, code, text) {
	gsub(/\\\//, "/", inside)
	gsub(/\\t/, "\t", inside)
	gsub(/\\n/, "\n", inside)
	n = split(inside, parts, /\\u00/)
	text = parts[1]
	for (i = 2; i <= n; i++) {
		code = hex(substr(parts[i], 1, 1)) * 16 + hex(substr(parts[i], 2, 1))
		if (code >= 32 && code < 127)
			text = text sprintf("%c", code) substr(parts[i], 3)
		else
			text = text "\\u00" parts[i]
	}
	return text
}

function key(i) {
	return tolower(plain($i))
}

function is_string(value) {
	return value ~ /^"/
}

function text_of(value) {
	return plain(substr(value, 2, length(value) - 2))
}

# A field that is there twice ("name" and "Name") is a trick: which one would the tool read?
key(1) == "request" && NF == 3 && key(2) == "name" {
	name = $3
	names++
}
key(1) == "request" && NF == 4 && key(2) == "args" && key(3) == "query" {
	query = $4
	queries++
}

END {
	if (names == 1 && is_string(name)) {
		tool = text_of(name)
		if (tool in allowed)
			allow = 1
		if (queries == 1 && is_string(query) && (tool ":" text_of(query)) in allowed)
			allow = 1
	}
	# Else it could pass for a tool and a query.
	if (tool ~ /:/)
		allow = 0
	if (allow)
		print "{\"allow\":true}"
	else
		print "{\"allow\":false,\"reason\":\"this tool or query is not on the allow list\"," \
			"\"metadata\":{\"tool\":" (names == 1 ? name : "null") "}}"
}' "$@"
