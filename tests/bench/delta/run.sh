#!/bin/bash
# Ours beside the rivals on real pairs: bytes, CPU seconds and peak memory of making and applying.
#   run.sh DIR [NAME...]     DIR/NAME/{old,new}, as pairs.sh makes them
# Every output is compared.  HDIFFZ and HPATCHZ name HDiffPatch's programs where they are.  A tool that cannot
# run has a row that says why: bsdiff wants 17 times the old image of memory, zstd both images within its
# window of 2 GiB and in memory.  A step may take LIMIT seconds (1200).
# TOOLS="..." chooses what is measured; what is not keeps its rows of the last run, in DIR/NAME/TOOL.row.
set -euo pipefail

top=$(cd "$(dirname "$0")/../../.." && pwd)
ours=${VALISE_DELTA:-$top/build/release/bin/valise-delta}
all='valise hdiffpatch xdelta3 bsdiff zstd casync'
dir=$1
shift
names=${*:-$(ls "$dir")}
work=$(mktemp -d)
limit=${LIMIT:-1200}
trap 'rm -rf "$work"' EXIT

# step COMMAND...: leaves CPU seconds and MiB in $cpu and $mib.
step() {
	local user sys kib status=0
	/usr/bin/time -q -o "$work/time" -f '%U %S %M' timeout "$limit" "$@" >"$work/log" 2>&1 || status=$?
	[ $status != 124 ] || echo "took longer than $limit s" >"$work/log"
	[ $status = 0 ] || return 1
	read -r user sys kib <"$work/time"
	cpu=$(awk "BEGIN { printf \"%.2f\", $user + $sys }")
	mib=$((kib / 1024))
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
			xargs -r stat -c %s | awk -v n="$(stat -c %s "$work/new.caibx")" '{ n += $1 } END { printf "%.0f\n", n }')
	else
		stat -c %s "$work/delta"
	fi
}

# fits NEED_MIB WHY: says that it does not.
fits() {
	local free
	free=$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
	[ "$1" -lt "$free" ] || echo "does not fit: $2, $1 MiB of $free"
}

# Why the tool cannot run on this pair; nothing if it can.
why_not() {
	local o n
	o=$(($(stat -c %s "$old") >> 20)) n=$(($(stat -c %s "$new") >> 20))
	case $1 in
	valise) ;;
	hdiffpatch) [ -n "${HDIFFZ:-}" ] && [ -n "${HPATCHZ:-}" ] || echo "HDIFFZ and HPATCHZ are not set" ;;
	*) command -v "$1" >/dev/null || echo "not installed" ;;
	esac
	case $1 in
	bsdiff) fits $((17 * o)) "17 times the old image" ;;
	zstd)
		if [ $o -ge 2048 ] || [ $n -ge 2048 ]; then
			echo "does not fit: a window of 2048 MiB"
		else
			fits $((o + n + 2048)) "both images and the window"
		fi ;;
	esac
}

# What there is to tell of a tool: a line "bytes|create s|MiB|apply s|MiB", or why there are no numbers.
measure() {
	local made reason
	reason=$(why_not "$1" | head -n 1)
	if [ -n "$reason" ]; then
		echo "$reason"
		return
	fi
	rm -rf "$work"/{store,out,delta}
	if ! step bash -c "create $1"; then
		tail -n 3 "$work/log" >&2
		echo "create: $(tail -n 1 "$work/log" | tr '|' ' ')"
		[ "$1" != valise ] # ours may not
		return
	fi
	made="$(size_of "$1")|$cpu|$mib"
	step bash -c "apply $1" || { tail -n 3 "$work/log" >&2; return 1; }
	cmp "$work/out" "$new" >&2
	echo "$made|$cpu|$mib"
}

# print TOOL OUR_BYTES: its row.
print() {
	awk -F'|' -v pair="$name" -v tool="$1" -v ours="$2" '
		function grouped(n) {
			while (match(n, /[0-9][0-9][0-9][0-9](,|$)/))
				n = substr(n, 1, RSTART) "," substr(n, RSTART + 1)
			return n
		}
		NF == 1 { printf "| %s | %s | %s | | | | | |\n", pair, tool, $1 }
		NF == 5 { printf "| %s | %s | %s | %s | %s | %s | %s | %s |\n", pair, tool, grouped($1),
			tool != "valise" && ours ? sprintf("%.3f", ours / $1) : "", $2, $3, $4, $5 }' \
		"$dir/$name/$1.row"
}

for tool in ${TOOLS:-}; do
	case " $all " in
	*" $tool "*) ;;
	*) echo "run.sh: TOOLS: no tool $tool; there are: $all" >&2; exit 2 ;;
	esac
done
export -f create apply
export old new work ours
printf '| pair | tool | bytes | ours to it | create CPU s | create MiB | apply CPU s | apply MiB |\n|---|---|---:|---:|---:|---:|---:|---:|\n'
for name in $names; do
	[ -e "$dir/$name/old" ] && [ -e "$dir/$name/new" ] || continue
	old=$(realpath "$dir/$name/old") new=$(realpath "$dir/$name/new")
	for tool in ${TOOLS:-$all}; do
		measure "$tool" >"$work/row"
		mv "$work/row" "$dir/$name/$tool.row"
	done
	mine=$(grep -s '|' "$dir/$name/valise.row" | cut -d'|' -f1 || true)
	for tool in $all; do
		[ ! -e "$dir/$name/$tool.row" ] || print "$tool" "$mine"
	done
done
