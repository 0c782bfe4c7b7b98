#!/bin/bash
# Which encoders' deflate streams are seen through, and what their recipes cost.
#   streams.sh [FILE...]     plain files; by default bash and 40 of Perl's modules
# Each encoder that is installed packs each file; one row of a table each.
set -euo pipefail

top=$(cd "$(dirname "$0")/../../.." && pwd)
streams=$top/build/release/tests/bench/streams
files=("$@")
if [ ${#files[@]} -eq 0 ]; then
	mapfile -t files < <(find /usr/share/perl/5.* -name '*.pm' -size -200k | sort | head -40)
	files+=(/bin/bash)
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

row() { # NAME FILE...
	local name=$1 found explained exact packed seen recipes coded
	shift
	read -r found explained exact packed seen recipes coded < <("$streams" "$@")
	printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$name" "$found" "$explained" "$exact" \
		"$packed" "$seen" "$recipes" "$coded"
}

filter() { # NAME COMMAND...: from standard input to standard output
	local name=$1 i=0
	shift
	command -v "$1" >/dev/null || return 0
	for f in "${files[@]}"; do
		"$@" <"$f" >"$work/$i"
		i=$((i + 1))
	done
	row "$name" "$work"/*
	rm -f "$work"/*
}

archive() { # NAME COMMAND...: before the archive's name
	local name=$1
	shift
	command -v "$1" >/dev/null || return 0
	zip -q -j "$work/a.zip" "${files[@]}"
	"$@" "$work/a.zip" >/dev/null
	row "$name" "$work/a.zip"
	rm -f "$work"/*
}

seven() { # the level
	local i=0
	command -v 7z >/dev/null || return 0
	for f in "${files[@]}"; do
		7z a -bd -tgzip "-mx=$1" "$work/$i.gz" "$f" >/dev/null
		i=$((i + 1))
	done
	row "7-Zip -mx=$1" "$work"/*
	rm -f "$work"/*
}

zopfli_all() {
	local i=0
	command -v zopfli >/dev/null || return 0
	for f in "${files[@]}"; do
		zopfli -c --i5 "$f" >"$work/$i"
		i=$((i + 1))
	done
	row "zopfli --i5" "$work"/*
	rm -f "$work"/*
}

echo "| encoder | found | explained | no corrections | packed | explained | recipes | coded |"
echo "|---|---:|---:|---:|---:|---:|---:|---:|"
for level in 1 6 9; do filter "gzip -$level" gzip -c "-$level"; done
for level in 1 6 9; do filter "pigz -$level" pigz -c "-$level"; done
filter "pigz -i -6" pigz -c -i -6
filter "pigz -11" pigz -c -11
for level in 1 3 6 9 12; do filter "libdeflate -$level" libdeflate-gzip -c "-$level"; done
for level in 1 5 9; do seven "$level"; done
for level in 1 2 3; do archive "advzip -$level" advzip -q -z "-$level"; done
zopfli_all
