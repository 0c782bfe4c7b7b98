#!/bin/bash
# Ours beside the rivals on real pairs: bytes, CPU seconds and peak memory of making and applying.
#   run.sh DIR [NAME...]     DIR/NAME/{old,new}, as pairs.sh makes them
# Every output is compared.  HDIFFZ and HPATCHZ name HDiffPatch's programs where they are; bsdiff runs
# only where 17 times the old image fits into memory; RIVALS="..." chooses.  A tool that cannot run has a
# row that says why.  A step may take LIMIT seconds (600).
set -euo pipefail

top=$(cd "$(dirname "$0")/../../.." && pwd)
ours=${VALISE_DELTA:-$top/build/release/bin/valise-delta}
dir=$1
shift
names=${*:-$(ls "$dir")}
work=$(mktemp -d)
limit=${LIMIT:-600}
trap 'rm -rf "$work"' EXIT

# step COMMAND...: leaves CPU seconds and KiB in $cpu and $kib.
step() {
	/usr/bin/time -q -o "$work/time" -f '%U %S %M' timeout "$limit" "$@" >"$work/log" 2>&1 ||
		{ cat "$work/log" >&2; return 1; }
	read -r user sys kib <"$work/time"
	cpu=$(awk "BEGIN { print $user + $sys }")
}

create() {
	case $1 in
	valise) "$ours" create --quiet --threads=1 "$old" "$new" "$work/delta" ;;
	hdiffpatch) "$HDIFFZ" -f -m -c-lzma2-9 "$old" "$new" "$work/delta" ;;
	xdelta3) xdelta3 -9 -f -e -s "$old" -B 2147483648 "$new" "$work/delta" ;;
	bsdiff) bsdiff "$old" "$new" "$work/delta" ;;
	zstd) zstd -q -f -19 --long=31 --patch-from="$old" "$new" -o "$work/delta" ;;
	casync) casync make --store="$work/store" "$work/old.caibx" "$old" &&
		(cd "$work/store" && find . -type f | sort) >"$work/before" &&
		casync make --store="$work/store" "$work/new.caibx" "$new" ;;
	esac
}

apply() {
	case $1 in
	valise) "$ours" apply --quiet "$old" "$work/delta" "$work/out" ;;
	hdiffpatch) "$HPATCHZ" -f -s "$old" "$work/delta" "$work/out" ;;
	xdelta3) xdelta3 -f -d -s "$old" -B 2147483648 "$work/delta" "$work/out" ;;
	bsdiff) bspatch "$old" "$work/out" "$work/delta" ;;
	zstd) zstd -q -f -d --long=31 --patch-from="$old" "$work/delta" -o "$work/out" ;;
	casync) casync extract --store="$work/store" --seed="$old" "$work/new.caibx" "$work/out" ;;
	esac
}

size_of() {
	if [ "$1" = casync ]; then # chunks that the old image lacks, and the index
		(cd "$work/store" && find . -type f | sort | comm -13 "$work/before" - |
			xargs -r stat -c %s | awk '{ n += $1 } END { print n + 0 }')
	else
		stat -c %s "$work/delta"
	fi
}

# Why the tool cannot run on this pair; nothing if it can.
why_not() {
	local need free
	case $1 in
	valise) ;;
	hdiffpatch) [ -n "${HDIFFZ:-}" ] && [ -n "${HPATCHZ:-}" ] || echo "HDIFFZ and HPATCHZ are not set" ;;
	bsdiff)
		need=$(($(stat -c %s "$old") * 17 >> 20))
		free=$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
		if ! command -v bsdiff >/dev/null; then
			echo "not installed"
		elif [ "$need" -ge "$free" ]; then
			echo "needs $need MiB of memory, $free are free"
		fi ;;
	*) command -v "$1" >/dev/null || echo "not installed" ;;
	esac
}

# row TOOL: measured and verified.
row() {
	local made bytes ratio=
	rm -rf "$work/store" "$work/out" "$work/delta"
	if ! step bash -c "create $1"; then
		echo "| $name | $1 | create failed or took longer than $limit s | | | | | |"
		[ "$1" != valise ] # ours may not
		return
	fi
	made="$cpu | $((kib / 1024))"
	bytes=$(size_of "$1")
	[ "$1" != valise ] || mine=$bytes
	step bash -c "apply $1"
	cmp "$work/out" "$new"
	[ -z "$mine" ] || ratio=$(awk "BEGIN { printf \"%.3f\", $mine / $bytes }")
	echo "| $name | $1 | $bytes | $ratio | $made | $cpu | $((kib / 1024)) |"
}

export -f create apply
export old new work ours
printf '| pair | tool | bytes | ours to it | create CPU s | create MiB | apply CPU s | apply MiB |\n|---|---|---:|---:|---:|---:|---:|---:|\n'
for name in $names; do
	[ -e "$dir/$name/old" ] && [ -e "$dir/$name/new" ] || continue
	old=$(realpath "$dir/$name/old") new=$(realpath "$dir/$name/new")
	mine=
	for tool in ${RIVALS:-valise hdiffpatch xdelta3 bsdiff zstd casync}; do
		reason=$(why_not "$tool")
		if [ -n "$reason" ]; then
			echo "| $name | $tool | $reason | | | | | |"
		else
			row "$tool"
		fi
	done
done
