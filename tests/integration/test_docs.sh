#!/bin/sh
# SPDX-License-Identifier: MIT
# The pages say of each backend's keys what the backend says, and no backend is left out.
. "${top_srcdir:?}/tests/parts/tap.sh"

tap_dir
docs=$top_srcdir/docs
plugins=${top_builddir:?}/plugins/.libs

mkdir "$dir/docs"
cp "$docs"/*.7 "$docs/backends.md" "$dir/docs"
chmod u+w "$dir"/docs/*
made=$(sh "$docs/tables.sh" "$top_builddir/core/hookbox" "$plugins" "$dir/docs" "$docs"/*.7 2>&1)
is "$?/$made" 0/ "the tables can be made"
for page in "$dir"/docs/*; do
	difference=$(diff "$docs/${page##*/}" "$page")
	is "$difference" "" "${page##*/} is up to date (if not: make update-docs)"
done
for plugin in "$plugins"/*.so; do
	name=${plugin##*/}
	name=${name%.so}
	grep -qxF ".Nm hookbox-plugin-$name" "$docs/hookbox-plugin-$name.7" &&
		grep -q "^| \*\*$name\*\* |" "$docs/backends.md"
	ok $? "$name has a man page and stands in the table"
done

# Whatever an author writes comes out as it is, and not as markup.
info()
{
	"$top_builddir/core/hookbox" plugins info "$top_builddir/tests/fixtures/.libs/wordy.so" \
		--format "$1"
}
# shellcheck disable=SC2016 # it is Markdown
is "$(info markdown | sed -n 2p)" \
	'| `word` | string: `Ar "-x"\|\y` | `a\|"-b"` | .Ar \\fB \*a\_b\* \<c> \[d] (secret: never shown) |' \
	"a table with awkward words"
if command -v mandoc >/dev/null; then
	{
		printf '.Dd November 28, 2026\n.Dt WORDY 7\n.Os\n.Sh NAME\n.Nm wordy\n.Nd words\n.Sh PARAMETERS\n'
		info man
	} >"$dir/wordy.7"
	is "$(mandoc -T lint -W warning "$dir/wordy.7" 2>&1)" "" \
		"mandoc finds nothing wrong with a list of awkward words"
	like "$(mandoc -T ascii "$dir/wordy.7" | sed 's/.\x08//g')" '*word = Ar "-x"|\\y (string)
*.Ar \\fB \*a_b\* <c> \[d].  Secret: never shown.  Default: a|"-b".
*number = uint*' "and shows it as it was written"
else
	skip "mandoc shows awkward words" "no mandoc"
fi

# What is between the two lines is made anew, and a page without them is refused.
sed 's/^\.It Cm image/.It Cm imaeg/' "$docs/hookbox-plugin-docker_run.7" \
	>"$dir/docs/hookbox-plugin-docker_run.7"
sh "$docs/tables.sh" "$top_builddir/core/hookbox" "$plugins" "$dir/docs" "$docs"/*.7
cmp -s "$docs/hookbox-plugin-docker_run.7" "$dir/docs/hookbox-plugin-docker_run.7"
ok $? "what somebody wrote into a table is gone"
grep -v 'end of what is made' "$docs/backends.md" >"$dir/docs/backends.md"
cp "$dir/docs/backends.md" "$dir/before"
said=$(sh "$docs/tables.sh" "$top_builddir/core/hookbox" "$plugins" "$dir/docs" "$docs"/*.7 2>&1)
like "$?/$said" '1/tables.sh: *backends.md needs one line with: *' \
	"a page that lacks a line is refused"
cmp -s "$dir/docs/backends.md" "$dir/before"
ok $? "and stays as it was"
tap_done
