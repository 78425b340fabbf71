#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes what `hookbox plugins info` knows into pages, between the two lines of each that say so:
#
#   tables.sh HOOKBOX PLUGIN-DIR DIR PAGE...
#
# DIR/hookbox-plugin-NAME.7 gets the list of the keys of NAME; DIR/backends.md a table of those of
# all backends that have such a page among the PAGEs.

hookbox=$1 plugins=$2 dir=$3
shift 3

fail()
{
	echo "tables.sh: $1" >&2
	exit 1
}

# info FORMAT NAME...
info()
{
	format=$1
	shift
	[ "$format" != markdown ] ||
		printf '| %s |\n' 'key | type | default | what it is' '---|---|---|---'
	for name; do
		"$hookbox" plugins info "$plugins/$name.so" --format "$format" ||
			fail "no $format of $name"
	done
}

# fill PAGE FORMAT NAME...: the lines "made by" and "end of" stay, what is between them is made
# anew.
fill()
{
	page=$1
	shift
	made=$(info "$@") || exit 1
	filled=$(MADE=$made awk '
		/end of what is made/ { inside = 0; ends++ }
		!inside { print }
		/made by "make update-docs"/ { inside = 1; begins++; print ENVIRON["MADE"] }
		END { exit !(begins == 1 && ends == 1 && !inside) }' "$page") ||
		fail "$page needs one line with: made by \"make update-docs\", and one with: end of what is made"
	printf '%s\n' "$filled" | cmp -s - "$page" || printf '%s\n' "$filled" >"$page"
}

names=
for page; do
	page=${page##*/}
	case $page in
	hookbox-plugin-*.7)
		name=${page#hookbox-plugin-}
		name=${name%.7}
		names="$names $name"
		fill "$dir/$page" man "$name"
		;;
	esac
done
# shellcheck disable=SC2086 # a list of words
fill "$dir/backends.md" markdown $names
