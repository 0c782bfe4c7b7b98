#!/bin/bash
# The guest's reader of user-data: what it takes, and what it refuses as a whole.
set -eu
top=${TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
command -v busybox >/dev/null || { echo "busybox is missing: apt install busybox-static"; exit 77; }

read_json() {
	rm -rf "$dir/s" && mkdir "$dir/s"
	printf '%s' "$1" | busybox awk -v dir="$dir/s" -v want=valise/apps/config \
		-f "$top/deploy/images/guest/json.awk" 2> "$dir/err"
}
config() { printf '{"valise":{"apps":{"config":%s}}}' "$1"; }
takes() { read_json "$1" || { echo "refused: $1: $(cat "$dir/err")"; exit 1; }; }
refuses() {
	if read_json "$1"; then echo "took: $1"; exit 1; fi
	[ -s "$dir/err" ] || { echo "no reason given: $1"; exit 1; }
}
is() { [ "$(cat "$dir/s/$1")" = "$2" ] || { echo "$1 is '$(cat "$dir/s/$1")', not '$2'"; exit 1; }; }
empty() { [ -z "$(ls -A "$dir/s")" ] || { echo "unexpected settings: $(ls -A "$dir/s")"; exit 1; }; }

takes '{"hostname":"x", "valise" : {"other":[1,{"a":"b\n"}],"apps":{"config":{"mail.server":"imap.\u00e4cme","e":"\ud83d\ude00","q":"\"\\\/","n":-12.5e3,"b":true,"z":null,"empty":""}}}}'
is mail.server 'imap.äcme'
is e '😀'
is q '"\/'
is n -12.5e3
is b true
is empty ''
[ ! -e "$dir/s/z" ]
takes ' { } '; empty
takes '[]'; empty
takes "$(config '{}')"; empty
takes "$(config '"text"')"; empty
# The right names in the wrong place are not settings.
takes '{"x":{"valise":{"apps":{"config":{"a":"1"}}}}}'; empty
takes '{"valise":{"config":{"a":"1"},"apps":[{"config":{"a":"1"}}]}}'; empty
takes '{"valise/apps/config":{"a":"1"},"valise/apps":{"config":{"a":"1"}}}'; empty

refuses ''
refuses '{'
refuses '{"a":1'
refuses '{"a":1}}'
refuses '{"a":01}'
refuses '{"a":+1}'
refuses '{"a":tru}'
refuses '{a:1}'
refuses "{'a':1}"
refuses '{"a":1,}'
refuses '[1 2]'
refuses '"\x"'
refuses '"\u12g4"'
refuses '"\ud800"'
refuses '"\udc00"'
refuses '"no end'
refuses "$(printf '"tab\there"')"
refuses "$(config '{"a":"line\nbreak"}')"
refuses "$(config '{"a":"\u0000"}')"
refuses "$(config '{"a":"\u001b[2J"}')"
refuses "$(config '{"a":{"b":1}}')"
refuses "$(config '{"a":[1]}')"
refuses "$(config '{"../../etc/passwd":"x"}')"
refuses "$(config '{".":"x"}')"
refuses "$(config '{"":"x"}')"
refuses "$(config '{"a\nb":"x"}')"
refuses "$(config '{"a":"1","a":"2"}')"
refuses "$(config "{\"$(printf 'a%.0s' $(seq 65))\":1}")"
refuses "$(printf '[%.0s' $(seq 40))$(printf ']%.0s' $(seq 40))"
