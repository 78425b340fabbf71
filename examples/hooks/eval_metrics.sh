#!/bin/sh
# SPDX-License-Identifier: MIT
# An eval hook that turns an eval's result into metrics: a line for each number or truth value at
# the top of the object, in the text format of Prometheus. They go to stdout, and are appended to
# the file that METRICS_FILE names, if any. POSIX sh, sed and awk.
#
#	{"eval_id":"tone","type":"llm_judge","score":0.8,"duration_ms":12}
# gives
#	eval_duration_ms{eval_id="tone",type="llm_judge"} 12
#	eval_score{eval_id="tone",type="llm_judge"} 0.8
#
#	[hook eval_metrics]
#	command = hooks/eval_metrics.sh
#	hook = eval
export LC_ALL=C
metrics=$("${0%/*}/json_paths.sh" | awk -F '\t' '
function replace(text, pattern, by,    parts, n, i, all) {
	n = split(text, parts, pattern)
	all = parts[1]
	for (i = 2; i <= n; i++)
		all = all by parts[i]
	return all
}

# A label may hold \\ and \", and no other escapes.
function label(value) {
	value = substr(value, 2, length(value) - 2)
	value = replace(value, "\\\\u005c", "\001")
	value = replace(value, "\\\\u0022", "\002")
	value = replace(value, "\\\\/", "/")
	value = replace(value, "\\\\(u[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]|[bfnrt])", "?")
	value = replace(value, "\001", "\\\\")
	return replace(value, "\002", "\\\"")
}

NF != 2 { next }
$1 == "eval_id" && $2 ~ /^"/ { id = label($2) }
$1 == "type" && $2 ~ /^"/ { type = label($2) }
$1 ~ /^[a-z_]+$/ && $2 ~ /^(-?[0-9].*|true|false)$/ {
	values[$1] = $2 == "true" ? 1 : $2 == "false" ? 0 : $2
}

END {
	for (name in values)
		printf "eval_%s{eval_id=\"%s\",type=\"%s\"} %s\n", name, id, type, values[name]
}' | sort) || exit 1
[ -n "$metrics" ] || exit 0
printf '%s\n' "$metrics"
if [ -n "${METRICS_FILE-}" ]; then
	printf '%s\n' "$metrics" >>"$METRICS_FILE"
fi
