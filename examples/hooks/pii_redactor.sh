#!/bin/sh
# SPDX-License-Identifier: MIT
# A provider hook that keeps personal data from the model: it denies a request (or a response) in
# which any string holds a US social security number, a card number or an e-mail address, and says
# which kinds it found, never the values. POSIX sh, awk, grep, sed and tr; busybox will do.
#
#	[hook pii_redactor]
#	command = hooks/pii_redactor.sh
#	hook = provider
#	phases = before_call
export LC_ALL=C

# Each string of the JSON on a line of its own. With escaped quotes out of the way, every second
# piece between quotes is the inside of a string. JSON may write any character as \uXXXX: digits,
# space, dash, dot and @ become themselves, letters and %, +, _ an x, all else a question mark.
strings=$(tr '\n' ' ' | sed '
s/\\\\/?/g
s/\\"/?/g
s/\\u003\([0-9]\)/\1/g
s/\\u0020/ /g
s/\\u002[Dd]/-/g
s/\\u002[Ee]/./g
s/\\u0040/@/g
s/\\u00[46][1-9A-Fa-f]/x/g
s/\\u00[57][0-9Aa]/x/g
s/\\u002[5Bb]/x/g
s/\\u005[Ff]/x/g
s/\\u..../?/g
s/\\[bfnrt]/?/g' | tr '"' '\n' | awk 'NR % 2 == 0') || exit 1

# hookbox sends valid JSON with "hook" and "phase" in it. No answer is a deny.
if [ -z "$strings" ]; then
	echo "there is no string in the request" >&2
	exit 1
fi

email='[A-Za-z0-9._%+-]@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z][A-Za-z]'
printf '%s\n' "$strings" | grep -Eq "$email"
mail=$?

numbers=$(printf '%s\n' "$strings" | tr -c '0-9 \n-' '\n' | awk '
# The check that every card number passes and one number in ten.
function luhn(digits,    i, n, sum, digit) {
	n = length(digits)
	for (i = 0; i < n; i++) {
		digit = substr(digits, n - i, 1) * (1 + i % 2)
		sum += digit > 9 ? digit - 9 : digit
	}
	return sum % 10 == 0
}

function is_ssn(digits) {
	return digits !~ /^(000|666|9)/ && digits !~ /^...00/ && digits !~ /0000$/
}

# Numbers are written as groups of digits, one space or dash apart. A card number is some groups in
# a row, of four digits or more but for the last; a social security number is three groups, of three,
# two and four digits.
function look_at_groups(text,    groups, n, i, j, digits) {
	n = split(text, groups, /[ -]/)
	for (i = 1; i <= n; i++) {
		if (i + 2 <= n && length(groups[i]) == 3 && length(groups[i + 1]) == 2 &&
		    length(groups[i + 2]) == 4 && is_ssn(groups[i] groups[i + 1] groups[i + 2]))
			found["ssn"] = 1
		digits = ""
		for (j = i; j <= n && groups[j] != ""; j++) {
			digits = digits groups[j]
			if (length(digits) > 19)
				break
			if (length(digits) >= 13 && digits ~ /^[2-6]/ && luhn(digits))
				found["card"] = 1
			if (length(groups[j]) < 4)
				break
		}
	}
}

length($0) >= 11 { look_at_groups($0) }

END { print (found["card"] ? "card" : "") " " (found["ssn"] ? "ssn" : "") " done" }') || exit 1

case $numbers in *done) ;; *) exit 1 ;; esac
set --
case $numbers in *card*) set -- card ;; esac
case $mail in
0) set -- "$@" email ;;
1) ;;
*) exit 1 ;;
esac
case $numbers in *ssn*) set -- "$@" ssn ;; esac

if [ $# = 0 ]; then
	echo '{"allow":true}'
	exit
fi
words=$1
quoted=\"$1\"
shift
for kind; do
	words="$words, $kind"
	quoted="$quoted,\"$kind\""
done
printf '{"allow":false,"reason":"personal data found: %s","metadata":{"kinds":[%s]}}\n' \
	"$words" "$quoted"
