#!/bin/sh
# run.sh CFLAGS...: builds every fuzz_NAME.c beside it with libFuzzer, in ./fuzz, and runs each for
# FUZZ_SECONDS from the seeds in corpus/NAME. Inputs that fail are left in ./fuzz as NAME-crash-*.
# fuzz.am also sets FUZZ_CC (a clang) and FUZZ_LIBS.
set -eu
fuzz=$(cd "$(dirname "$0")" && pwd)
sanitize="-fsanitize=address,undefined -fno-sanitize-recover=all"

mkdir -p fuzz
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return 0; }' >fuzz/try.c
# shellcheck disable=SC2086 # options are words
if ! "$FUZZ_CC" -fsanitize=fuzzer $sanitize -o fuzz/try fuzz/try.c 2>fuzz/try.log; then
	echo "check-fuzz: skipped: $FUZZ_CC has no libFuzzer here (see fuzz/try.log)"
	exit 0
fi

objects=
for source in "$fuzz"/../../core/*.c; do
	object=fuzz/$(basename "$source" .c).o
	# shellcheck disable=SC2086
	"$FUZZ_CC" "$@" -fsanitize=fuzzer-no-link $sanitize -c -o "$object" "$source"
	objects="$objects $object"
done

for target in "$fuzz"/fuzz_*.c; do
	name=$(basename "$target" .c)
	name=${name#fuzz_}
	rm -rf "fuzz/$name-found"
	mkdir -p "fuzz/$name-found" "fuzz/$name-seeds"
	if [ -d "$fuzz/corpus/$name" ]; then
		cp "$fuzz/corpus/$name"/* "fuzz/$name-seeds"
	fi
	# shellcheck disable=SC2086
	"$FUZZ_CC" "$@" -fsanitize=fuzzer $sanitize -o "fuzz/fuzz_$name" "$target" $objects \
		$FUZZ_LIBS
	echo "check-fuzz: $name for $FUZZ_SECONDS s"
	if ! "fuzz/fuzz_$name" -max_total_time="$FUZZ_SECONDS" -timeout=10 -max_len=8192 \
		-print_final_stats=1 -artifact_prefix="fuzz/$name-" "fuzz/$name-found" \
		"fuzz/$name-seeds" >"fuzz/$name.log" 2>&1; then
		tail -n 60 "fuzz/$name.log"
		echo "check-fuzz: $name failed; the input is in $PWD/fuzz/$name-*"
		exit 1
	fi
	grep -E 'number_of_executed_units|new_units_added' "fuzz/$name.log"
done
