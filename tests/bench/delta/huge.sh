#!/bin/bash
# Images of many GiB: making a delta takes time linear in their size and at most 1 GiB of memory, with eight
# threads, and applying it 32 MiB.  Sparse ones (a phone's disk that is mostly empty), full ones, some that were
# edited all over, some that have nothing in common, some full of streams, and a quarter of each to compare times with.
#   huge.sh DIR [GIB]        8 GiB by default; DIR needs three times that, and for the unlike pair five times
# KINDS="full edited" chooses among them.
# Fails when a bound is broken.
set -euo pipefail

top=$(cd "$(dirname "$0")/../../.." && pwd)
ours=${VALISE_DELTA:-$top/build/release/bin/valise-delta}
dir=$1
gib=${2:-8}
mkdir -p "$dir"
trap 'rm -f "$dir"/huge.*' EXIT

noise() { # KEY
	openssl enc -aes-128-ctr -K "$1" -iv 00 -in /dev/zero 2>/dev/null || true
}

# piece FILE MIB_AT MIB KEY: fresh bytes somewhere.
piece() {
	noise "$4" | head -c $(($3 << 20)) | dd of="$1" bs=1M seek="$2" conv=notrunc iflag=fullblock status=none
}

# sparse GIB: 96 MiB of content for each GiB, at places all over it; in the new image every third
# piece has moved by 12345 bytes and a little is new.
sparse() {
	truncate -s "${1}G" "$dir/huge.old" "$dir/huge.new"
	for i in $(seq 0 $(($1 * 3 - 1))); do
		piece "$dir/huge.old" $((i * 341)) 32 "$(printf %04x "$i")"
		dd if="$dir/huge.old" of="$dir/huge.new" bs=1M iflag=skip_bytes,count_bytes oflag=seek_bytes \
			skip=$((i * 341 << 20)) count=$((32 << 20)) status=none conv=notrunc \
			seek=$(((i * 341 << 20) + (i % 3 == 0) * 12345))
	done
	piece "$dir/huge.new" 200 1 ffff
}

# full GIB: no two places alike; the new image begins 1 MiB later and has an edit in each 64 MiB.
full() {
	noise 01 | head -c $(($1 << 30)) >"$dir/huge.old"
	{
		noise 02 | head -c $((1 << 20))
		head -c $((($1 << 30) - (1 << 20))) "$dir/huge.old"
	} >"$dir/huge.new"
	for at in $(seq 64 64 $(($1 << 10))); do
		printf 'an edit' | dd of="$dir/huge.new" bs=1M seek=$((at - 1)) conv=notrunc status=none
	done
}

# edited GIB: a byte more behind each 256, so two commands for these.
edited() {
	noise 01 | head -c $(($1 << 30)) >"$dir/huge.old"
	perl -e 'print $_, "+" while read STDIN, $_, 256' <"$dir/huge.old" >"$dir/huge.new"
}

# unlike GIB: all of the new image is in the delta.
unlike() {
	noise 01 | head -c $(($1 << 30)) >"$dir/huge.old"
	noise 02 | head -c $(($1 << 30)) >"$dir/huge.new"
}

# packed GIB: streams of 16 MiB, one line of 50 edited in each.  Those beyond 1 GiB of plain bytes stay raw.
packed() {
	: >"$dir/huge.old"
	: >"$dir/huge.new"
	for i in $(seq $(($1 * 85))); do
		noise "$(printf %04x "$i")" | head -c $((12 << 20)) | openssl base64 >"$dir/huge.plain"
		gzip -1 <"$dir/huge.plain" >>"$dir/huge.old"
		sed '0~50s/^..../EDIT/' "$dir/huge.plain" | gzip -1 >>"$dir/huge.new"
	done
}

# step NAME LIMIT_KIB COMMAND...
step() {
	local name=$1 limit=$2
	shift 2
	/usr/bin/time -o "$dir/huge.time" -f '%U %S %e %M' "$@" >/dev/null
	read -r user sys wall kib <"$dir/huge.time"
	awk "BEGIN { printf \"%-22s %8.1f CPU s %8.1f s %8.0f MiB\n\", \"$name\", $user + $sys, $wall, $kib / 1024 }"
	[ "$kib" -le "$limit" ] || { echo "$name used $kib KiB of $limit"; exit 1; }
}

measure() { # KIND GIB
	"$1" "$2"
	step "$1 $2 GiB, create" 1048576 "$ours" create -q -t 8 "$dir/huge.old" "$dir/huge.new" "$dir/huge.delta"
	step "$1 $2 GiB, apply" 32768 "$ours" apply -q "$dir/huge.old" "$dir/huge.delta" "$dir/huge.out"
	cmp "$dir/huge.new" "$dir/huge.out" || { echo "another file comes out"; exit 1; }
	echo "$1 $2 GiB, delta of $(stat -c %s "$dir/huge.delta") bytes"
	rm -f "$dir"/huge.*
}

quarter=$(((gib + 3) / 4))
for kind in ${KINDS:-sparse full edited unlike packed}; do
	[ "$quarter" = "$gib" ] || measure "$kind" "$quarter"
	measure "$kind" "$gib"
done
