#!/bin/bash
# Objects: single and open-ended ranges, validators, a sparse one over 4 GiB, over TLS and without.
. "$TOP/tests/support/lib.sh"
init_valised

say "an object over 4 GiB, made beside the API: sparse, with marks at its ends"
size=$((5 * 1024 * 1024 * 1024 + 123))
truncate -s $size big
printf 'begin' | dd of=big conv=notrunc status=none
printf 'end' | dd of=big bs=1 seek=$((size - 3)) conv=notrunc status=none
printf 'middle' | dd of=big bs=65536 oflag=seek_bytes seek=$((4294967296 - 3)) conv=notrunc status=none
sha=$(printf '5%.0s' {1..64}) # serving does not hash: that was done when it was stored
dir=$state/objects/${sha:0:2}
mkdir -p "$dir"
mv big "$dir/${sha:2}"
chmod 444 "$dir/${sha:2}"
chown -R --reference="$state/objects" "$dir" 2>/dev/null || true
file=$dir/${sha:2}

# range SPEC STATUS OFFSET BYTES [CURL OPTION...]
range() {
	wants "$2" GET "/objects/$sha" -H "Range: $1" "${@:5}"
	[ "$(stat -c %s "$body")" = "$4" ] || die "$1: $(stat -c %s "$body") bytes, wanted $4"
	part "$file" "$3" "$4" | cmp - "$body" || die "$1: other bytes"
}

# whole CURL OPTION...: all of it would come; the head is enough to know.
whole() {
	curl -sk -D "$headers" -o "$body" --max-filesize 1 "$@" "$url/objects/$sha" && die "$*: not the whole"
	grep -q '^HTTP/1.1 200 ' "$headers" && [ "$(header Content-Length)" = $size ] || die "$*: $(cat "$headers")"
}

for tls in yes no; do
	say "ranges, TLS: $tls"
	start_valised listen.tls=$tls
	wants 200 HEAD "/objects/$sha"
	[ "$(header Content-Length)" = $size ] || die "Content-Length: $(header Content-Length)"
	[ "$(header ETag)" = "\"$sha\"" ] || die "ETag: $(header ETag)"
	[[ $(header Cache-Control) == *immutable* ]] || die "Cache-Control"
	[ "$(header Accept-Ranges)" = bytes ] || die "Accept-Ranges"
	range bytes=0-4 206 0 5
	[ "$(header Content-Range)" = "bytes 0-4/$size" ] || die "Content-Range: $(header Content-Range)"
	range bytes=4294967290-4294967305 206 4294967290 16
	range "bytes=$((size - 100))-" 206 $((size - 100)) 100
	range bytes=-3 206 $((size - 3)) 3
	range "bytes=$((size - 2))-99999999999999999999999" 206 $((size - 2)) 2
	range bytes=5000000000-5001048575 206 5000000000 1048576
	wants 416 GET "/objects/$sha" -H "Range: bytes=$size-"
	[ "$(header Content-Range)" = "bytes */$size" ] || die "Content-Range: $(header Content-Range)"
	# If-Range with our tag: the part.
	range bytes=0-4 206 0 5 -H "If-Range: \"$sha\""
	wants 304 GET "/objects/$sha" -H "If-None-Match: \"$sha\""
	# Caches take over what a 304 says of the object (RFC 9111 section 4.3.4): its length is not 0.
	[ "$(header Content-Length)" = $size ] || die "Content-Length of a 304: $(header Content-Length)"
	wants 304 GET "/objects/$sha" -H "If-None-Match: \"$sha\"" -H "Range: bytes=0-4"
	[ "$(header Content-Length)" = $size ] || die "Content-Length of a 304: $(header Content-Length)"
	wants 304 GET "/objects/$sha" -H "If-None-Match: \"x\", W/\"$sha\""
	wants 200 HEAD "/objects/$sha" -H 'If-None-Match: "x"'
	# A Range is for GET only (RFC 9110 section 14.2).
	for r in 0-4 "$size-"; do
		wants 200 HEAD "/objects/$sha" -H "Range: bytes=$r"
		[ "$(header Content-Length)" = $size ] || die "Content-Length: $(header Content-Length)"
		[ -z "$(header Content-Range)" ] || die "Content-Range: $(header Content-Range)"
	done
	[ "$(metric http_body_bytes_out_total)" -lt $size ] || die "bytes are counted that were not sent"
	# Several ranges are never sent, nor a part of another object.
	whole -H "Range: bytes=0-1,5-6"
	whole -H "Range: bytes=0-4" -H 'If-Range: "other"'
	wants 404 GET "/objects/${sha:0:63}"
	wants 404 GET "/objects/$(echo "$sha" | tr a-f A-F)x"
	wants 404 GET "/objects/$(printf '0%.0s' {1..64})"
	wants 400 GET "/objects/../valise.db" --path-as-is
	wants 404 GET "/objects/%2e%2e%2fvalise.db" --path-as-is
	wants 404 GET "/objects/..%2f..%2fkeys%2fsession" --path-as-is
	stop_valised
done

say "while it is being sent, a client that reads slowly holds nobody up"
start_valised
(curl -sk --limit-rate 50k "$url/objects/$sha" -o /dev/null --max-time 200 || true) &
slow=$!
for _ in 1 2 3 4 5 6 7 8; do
	wants 200 GET /healthz --max-time 60
done
kill $slow 2>/dev/null || true
