#!/bin/bash
# Speed of what images go through, as ratios to what the system's own tools do on the same file in
# the same minutes: runs are interleaved, medians compared.  SIZE_MIB (256), ROUNDS (5).
set -eu
PATH=$PATH:/usr/sbin:/sbin
size_mib=${SIZE_MIB:-256}
rounds=${ROUNDS:-5}
tools=$BUILD/tests/tools
for t in veritysetup:cryptsetup-bin zstd:zstd; do
	command -v "${t%:*}" >/dev/null || { echo "bench images: skipped, ${t%:*} is missing: apt install ${t#*:}"; exit 0; }
done
load=$(cut -d' ' -f1 /proc/loadavg)
awk -v l="$load" -v n="$(nproc)" 'BEGIN { if (l > n / 2) print "bench images: the machine is busy (load " l "): trust ratios, not rates" }'
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
salt=00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef

# Programs and libraries, as an image holds them; whole blocks without holes.
find /usr/lib /usr/bin -type f -size +16k -print0 2>/dev/null | sort -z | xargs -0 cat 2>/dev/null |
	head -c $((size_mib * 1048576)) >"$dir/data" || true
size=$(stat -c %s "$dir/data")
size=$((size / 4096 * 4096))
truncate -s $size "$dir/data"

# ms COMMAND...: milliseconds.
ms()
{
	local from=$(date +%s%N)
	"$@" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
	echo $((($(date +%s%N) - from) / 1000000))
}

median() { sort -n "$1" | sed -n $(((rounds + 1) / 2))p; }

# report NAME OURS THEIRS OTHER: two files of milliseconds
report()
{
	awk -v name="$1" -v a="$(median "$2")" -v b="$(median "$3")" -v other="$4" -v mb=$((size / 1000000)) 'BEGIN {
		printf "%-34s %6.0f MB/s   %-22s %6.0f MB/s   ratio %.2f\n", name, mb * 1000 / a, other, mb * 1000 / b, b / a
	}'
}

theirs_tree()
{
	: >"$dir/area.theirs"
	veritysetup format --no-superblock --format=1 --hash=sha256 --data-block-size=4096 \
		--hash-block-size=4096 --salt=$salt "$dir/data" "$dir/area.theirs"
}
ours_tree() { "$tools/verity_tool" root "$dir/data" $salt "$dir/area.ours" "$1"; }

for _ in $(seq "$rounds"); do
	ms ours_tree 1 >>"$dir/tree1"
	ms theirs_tree >>"$dir/tree.theirs"
	ms ours_tree "$(nproc)" >>"$dir/tree.n"
done
cmp "$dir/area.ours" "$dir/area.theirs"
report "hash tree, 1 thread" "$dir/tree1" "$dir/tree.theirs" "veritysetup format"
report "hash tree, $(nproc) threads" "$dir/tree.n" "$dir/tree.theirs" "veritysetup format"

root=$("$tools/verity_tool" root "$dir/data" $salt)
"$tools/seekable_tool" encode "$dir/data" "$dir/object" 1048576 12 "$(nproc)"
# What the agent does, into an empty slot.  It syncs what it wrote; so does the other side.
ours_stage()
{
	rm -rf "$dir/slot"
	mkdir "$dir/slot"
	"$BUILD/tests/bench/stage" "$dir/object" $size $salt "$root" "$dir/area.ours" "$dir/slot" "$1"
}
theirs_stage() { rm -f "$dir/out.theirs" && zstd -dqf "$dir/object" -o "$dir/out.theirs" && sync "$dir/out.theirs"; }
ours_hash() { openssl dgst -sha256 "$dir/data"; }
for _ in $(seq "$rounds"); do
	ms ours_stage 1 >>"$dir/stage1"
	ms theirs_stage >>"$dir/stage.theirs"
	ms ours_stage "$(nproc)" >>"$dir/stage.n"
	ms ours_hash >>"$dir/hash"
done
cmp "$dir/slot/system" "$dir/data"
report "staging, 1 thread" "$dir/stage1" "$dir/stage.theirs" "zstd -d"
report "staging, $(nproc) threads" "$dir/stage.n" "$dir/stage.theirs" "zstd -d"
report "staging, $(nproc) threads" "$dir/stage.n" "$dir/hash" "openssl dgst -sha256"
