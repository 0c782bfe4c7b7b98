#!/bin/bash
# Ours beside the rivals on real pairs: bytes, CPU seconds and peak memory of making and applying.
#   run.sh DIR [NAME...]     DIR/NAME/{old,new}, as pairs.sh makes them
# Every output is compared.  HDIFFZ and HPATCHZ name HDiffPatch's programs where they are; bsdiff runs
# only where 17 times the old image fits into memory; RIVALS="..." chooses.
set -euo pipefail

top=$(cd "$(dirname "$0")/../../.." && pwd)
ours=${VALISE_DELTA:-$top/build/release/bin/valise-delta}
dir=$1
shift
names=${*:-$(ls "$dir")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# step COMMAND...: leaves CPU seconds and KiB in $cpu and $kib.
step() {
	/usr/bin/time -o "$work/time" -f '%U %S %M' "$@" >"$work/log" 2>&1 ||
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

can() {
	case $1 in
	hdiffpatch) [ -n "${HDIFFZ:-}" ] && [ -n "${HPATCHZ:-}" ] ;;
	bsdiff) command -v bsdiff >/dev/null &&
		[ $(($(stat -c %s "$old") * 17 / 1024)) -lt "$(awk '/MemAvailable/ { print $2 }' /proc/meminfo)" ] ;;
	valise) true ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

export -f create apply
export old new work ours
printf '| pair | tool | bytes | ours to it | create CPU s | create MiB | apply CPU s | apply MiB |\n|---|---|---:|---:|---:|---:|---:|---:|\n'
for name in $names; do
	[ -e "$dir/$name/old" ] && [ -e "$dir/$name/new" ] || continue
	old=$(realpath "$dir/$name/old") new=$(realpath "$dir/$name/new")
	mine=
	for tool in ${RIVALS:-valise hdiffpatch xdelta3 bsdiff zstd casync}; do
		can "$tool" || continue
		rm -rf "$work/store" "$work/out" "$work/delta"
		step bash -c "create $tool"
		made="$cpu | $((kib / 1024))"
		bytes=$(size_of "$tool")
		[ "$tool" = valise ] && mine=$bytes
		step bash -c "apply $tool"
		cmp "$work/out" "$new"
		ratio=$([ -n "$mine" ] && awk "BEGIN { printf \"%.3f\", $mine / $bytes }" || echo)
		printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$name" "$tool" "$bytes" "$ratio" \
			"$made" "$cpu" "$((kib / 1024))"
	done
done
