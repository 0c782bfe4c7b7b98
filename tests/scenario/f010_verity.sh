#!/bin/bash
# Our hash trees and veritysetup's are the same, for files of 1 byte to more than 4 GiB.
set -eu
PATH=$PATH:/usr/sbin:/sbin
command -v veritysetup >/dev/null || { echo "veritysetup is missing: apt install cryptsetup-bin"; exit 77; }
tool=$BUILD/tests/tools/verity_tool
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
salt=00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef

fail() { echo "$*"; exit 1; }

# setup format|verify FILE AREA [ROOT]: as a slot file and its hash area lie on a handset.
setup()
{
	veritysetup "$1" --no-superblock --format=1 --hash=sha256 --data-block-size=4096 \
		--hash-block-size=4096 --salt="$salt" --data-blocks=$(($(stat -c %s "$2") / 4096)) \
		"${@:2}"
}

# compare FILE THREADS: FILE has any length; its padded copy is what veritysetup can read.
compare()
{
	local size root wanted
	size=$(stat -c %s "$1")
	root=$("$tool" root "$1" $salt "$dir/ours" "$2")
	truncate -s $(((size + 4095) / 4096 * 4096)) "$1"
	: >"$dir/theirs"
	wanted=$(setup format "$1" "$dir/theirs" | sed -n 's/^Root hash:[[:space:]]*//p')
	[ "$root" = "$wanted" ] || fail "$size bytes: root $root, veritysetup has $wanted"
	cmp "$dir/ours" "$dir/theirs" || fail "$size bytes: another hash area"
	setup verify "$1" "$dir/ours" "$root" || fail "$size bytes: veritysetup refuses our tree"
	"$tool" check "$1" "$size" $salt "$root" "$dir/theirs" "$2" ||
		fail "$size bytes: we refuse veritysetup's tree"
}

# One block more and less than a block, a group (512 KiB), and a whole second level (64 MiB).
n=0
for size in 1 4095 4096 4097 8192 524287 524288 524289 528384 1048576 5000000 \
	67104768 67108864 67112960 70000001; do
	openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c $size >"$dir/data"
	compare "$dir/data" $((n++ % 4))
done

# Sparse, above 4 GiB, not whole blocks, with data at both ends and across the 4 GiB line.
big=$((4 * 1024 * 1024 * 1024 + 12345))
rm "$dir/data"
truncate -s $big "$dir/data"
for at in 0 $((4 * 1024 * 1024 * 1024 - 3)) $((big - 7)); do
	printf 'no hole' | dd of="$dir/data" bs=1 seek=$at conv=notrunc status=none
done
root=$("$tool" root "$dir/data" $salt "$dir/ours" 2)
truncate -s $(((big + 4095) / 4096 * 4096)) "$dir/data"
setup verify "$dir/data" "$dir/ours" "$root" || fail "veritysetup refuses our tree above 4 GiB"
"$tool" check "$dir/data" $big $salt "$root" "$dir/ours" 2 || fail "we refuse our own tree above 4 GiB"

# One bit beyond 4 GiB: found, by us and by them, and we say where.
printf 'No hole' | dd of="$dir/data" bs=1 seek=$((big - 7)) conv=notrunc status=none
if out=$("$tool" check "$dir/data" $big $salt "$root" "$dir/ours" 2 2>&1); then fail "a flipped bit was not seen"; fi
case $out in *"group 8192 (bytes from 4294967296)"*) ;; *) fail "unhelpful: $out" ;; esac
! setup verify "$dir/data" "$dir/ours" "$root" 2>/dev/null || fail "veritysetup does not see the bit"

# A file that lost its end.
truncate -s $((big - 1)) "$dir/data"
if out=$("$tool" check "$dir/data" $big $salt "$root" "$dir/ours" 2>&1); then fail "a cut file was accepted"; fi
case $out in *"4294979640 of 4294979641 bytes"*) ;; *) fail "unhelpful: $out" ;; esac
