#!/bin/sh
# SPDX-License-Identifier: MIT
# The example hooks say the same in sh, in busybox with nothing but busybox's tools, and in Python.
. "${top_srcdir:?}/tests/parts/tap.sh"

hooks=$top_srcdir/examples/hooks
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

runners="sh"
command -v python3 >/dev/null 2>&1 && runners="$runners python"
if command -v busybox >/dev/null 2>&1; then
	runners="$runners busybox"
	mkdir "$scratch/bin"
	for tool in sh awk date grep sed sort tr; do
		ln -s "$(command -v busybox)" "$scratch/bin/$tool"
	done
fi

# run RUNNER HOOK ARG...: the hook with this stdin.
run()
{
	runner=$1
	hook=$hooks/$2
	shift 2
	case $runner in
	sh) sh "$hook.sh" "$@" ;;
	python) python3 "$hook.py" "$@" ;;
	busybox) PATH=$scratch/bin sh "$hook.sh" "$@" ;;
	esac
}

# expect WHAT EXPECTED INPUT HOOK ARG...: every runner prints what is expected.
expect()
{
	what=$1
	expected=$2
	input=$3
	shift 3
	for r in $runners; do
		got=$(printf '%s' "$input" | run "$r" "$@")
		[ "$got" = "$expected" ]
		ok $? "$1, $r: $what"
		[ "$got" = "$expected" ] || echo "# got $got"
	done
}

# content STRING: a request with one message of that content, which is written as JSON has it.
content()
{
	printf '{"hook":"provider","request":{"messages":[{"role":"user","content":"%s"}]}}' "$1"
}

found()
{
	words=$(echo "$1" | sed 's/ /, /g')
	quoted=$(echo "$1" | sed 's/ /","/g')
	echo "{\"allow\":false,\"reason\":\"personal data found: $words\",\"metadata\":{\"kinds\":[\"$quoted\"]}}"
}

allow='{"allow":true}'
pii_n=0

# pii KINDS CONTENT
pii()
{
	if [ -n "$1" ]; then answer=$(found "$1"); else answer=$allow; fi
	pii_n=$((pii_n + 1))
	expect "text $pii_n: ${1:-nothing}" "$answer" "$(content "$2")" pii_redactor
}

pii ssn 'my ssn is 123-45-6789'
pii ssn '123 45 6789'
pii ssn 'a\n123-45-6789.'
pii ssn '\u0031\u00323-45\u002d6789'
pii ssn '12 - 34 123-45-6789'
pii '' '123-45-67890 1123-45-6789 000-12-3456 666-12-3456 912-12-3456 123-00-4567 123-45-0000'
pii '' '123--45-6789 123-456-789'
pii card '4111 1111 1111 1111'
pii card 'paid with 5500000000000004 today'
pii card '3782-822463-10005'
pii card 'no 12 4111111111111111 2027'
pii '' '4111 1111 1111 1112 and 1700000000006'
pii email 'mail bob.o+x@mail.example.org, please'
pii email 'x\u0040example.org'
pii email '\u005f@\u0065x\u0041mple\u002eo\u0072g'
pii '' '@example me@localhost a@b.c \\\"'
pii 'card email ssn' 'a@b.org 123-45-6789 \"4111111111111111\"'
pii '' 'nothing'
expect "no number outside strings is a card" "$allow" '{"request":{"at":4111111111111111,"e":""}}' \
	pii_redactor
expect "sees every string, also in a pretty one" "$(found email)" '{
	"request": { "SystemPrompt": "x \" ",
		"Messages": [ [ "ok", "me@example.org" ] ] }
}' pii_redactor

refused='{"allow":false,"reason":"this tool or query is not on the allow list","metadata":{"tool":'
tool()
{
	expect "$1" "$2" "$3" query_allow_list weather 'sql:SELECT "a" FROM b' 'x:y'
}

tool "a listed tool" "$allow" '{"hook":"tool","request":{"Name":"weather","Args":{"query":"any"}}}'
tool "names in lower case" "$allow" '{"request":{"args":{},"name":"we\u0061ther"}}'
tool "a listed query" "$allow" \
	'{"request":{"Name":"sql","Args":{"n":[1,{"query":"x"}],"query":"SELECT \"a\" FROM\u0020b"}}}'
tool "another query" "$refused"'"sql"}}' \
	'{"request":{"Name":"sql","Args":{"query":"DROP TABLE b"}}}'
tool "no query" "$refused"'"sql"}}' '{"request":{"Name":"sql","Args":{}}}'
tool "another tool" "$refused"'"rm"}}' '{"request":{"Name":"rm","Args":{"Name":"weather"}}}'
tool "a tool and query in the name" "$refused"'"x:y"}}' '{"request":{"Name":"x:y"}}'
tool "no name" "$refused"'null}}' '{"request":{"Args":{"name":"weather"}},"name":"weather"}'
tool "two names" "$refused"'null}}' '{"request":{"name":"weather","N\u0061me":"rm"}}'
tool "two queries" "$refused"'"sql"}}' \
	'{"request":{"name":"sql","args":{"query":"SELECT \"a\" FROM b","Query":"DROP TABLE b"}}}'
tool "an array" "$refused"'null}}' '{"request":[{"name":"weather"}]}'

expect "numbers and truth values" \
	'eval_n{eval_id="to\"n\\e",type="a b"} -1e5
eval_passed{eval_id="to\"n\\e",type="a b"} 1
eval_score{eval_id="to\"n\\e",type="a b"} 0.80' \
	'{"eval_id":"to\"n\\e", "type":"a b","score":0.80,"passed":true,"n":-1e5,"x":{"y":1},"s":"1"}' \
	eval_metrics
expect "nothing to say" "" '{"eval_id":"a","Score":null}' eval_metrics

for r in $runners; do
	log=$scratch/audit.$r
	for event in '{"phase":"session_start",' '{"phase":"session_end",'; do
		printf '%s\n"s":"a\\nb"}\n' "$event" |
			AUDIT_LOG=$log run "$r" audit_logger >"$scratch/out"
	done
	[ "$(cat "$scratch/out")" = '{"allow":true,"ack":true}' ]
	ok $? "audit_logger, $r: acknowledges"
	sed 's/"time":"2[0-9]*-[0-9]*-[0-9]*T[0-9]*:[0-9]*:[0-9]*Z"/"time":""/' "$log" \
		>"$scratch/log"
	[ "$(cat "$scratch/log")" = '{"time":"","record":{"phase":"session_start","s":"a\nb"}}
{"time":"","record":{"phase":"session_end","s":"a\nb"}}' ]
	ok $? "audit_logger, $r: appends a line for each event"
	! echo '{}' |
		AUDIT_LOG=$scratch/no/such/log run "$r" audit_logger >"$scratch/out" 2>/dev/null
	ok $? "audit_logger, $r: fails when it cannot write"
done
tap_done
