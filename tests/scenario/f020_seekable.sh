#!/bin/bash
# Our objects are what `zstd -d` reads, and any part of them can be read by itself.
set -eu
command -v zstd >/dev/null || { echo "zstd is missing: apt install zstd"; exit 77; }
tool=$BUILD/tests/tools/seekable_tool
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() { echo "$*"; exit 1; }

# part SIZE FRAME OFFSET BYTES: read by itself it is the same as cut out of the file.
part()
{
	"$tool" read "$dir/object" "$1" "$2" "$3" "$4" |
		cmp - <(tail -c +$(($3 + 1)) "$dir/data" | head -c "$4") ||
		fail "$1 bytes in frames of $2: $4 bytes at $3 differ"
}

for frame in 4096 65536 1048576; do
	for size in 0 1 4095 4096 4097 1048575 1048576 3000000; do
		openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null |
			head -c $((size / 2)) >"$dir/data"
		truncate -s $size "$dir/data"
		"$tool" encode "$dir/data" "$dir/object" $frame 3 $((size % 3))
		zstd -dcq <"$dir/object" | cmp - "$dir/data" || fail "$size bytes: zstd reads something else"
		part $size $frame 0 $size
		[ $size -lt 4096 ] || part $size $frame $((size / 3)) $((size / 2))
		[ $size = 0 ] || part $size $frame $((size - 1)) 1
	done
done

# The number of threads does not show.
"$tool" encode "$dir/data" "$dir/object2" 1048576 3 4
cmp "$dir/object" "$dir/object2" || fail "four threads write other bytes than none"

# Beyond 4 GiB.
big=$((4 * 1024 * 1024 * 1024 + 12345))
rm "$dir/data"
truncate -s $big "$dir/data"
printf 'the end' | dd of="$dir/data" bs=1 seek=$((big - 7)) conv=notrunc status=none
"$tool" encode "$dir/data" "$dir/object" 1048576 1 2
[ "$(zstd -dcq <"$dir/object" | wc -c)" = $big ] || fail "zstd does not read $big bytes"
[ "$("$tool" read "$dir/object" $big 1048576 $((big - 7)) 7)" = "the end" ] || fail "the end is not there"

# A flipped bit in the table is an error.  What is in the frames is for the hash tree to see.
size=$(stat -c %s "$dir/object")
for at in $((size - 1)) $((size - 9)) $((size - 100)) 1; do
	cp "$dir/object" "$dir/bad"
	byte=$(od -An -tu1 -j $at -N 1 "$dir/bad")
	printf "\\$(printf %o $((byte ^ 1)))" | dd of="$dir/bad" bs=1 seek=$at conv=notrunc status=none
	! "$tool" read "$dir/bad" $big 1048576 0 1 >"$dir/out" 2>&1 || fail "a flipped bit at $at was not seen"
done
