#!/bin/bash
# tus uploads: refusals, cut and resumed, checksums, server killed in the middle, publish killed.
. "$TOP/tests/support/lib.sh"
init_valised
start_valised
init_organisation acme
admin=$auth
tus=(-H "Tus-Resumable: 1.0.0")
bytes=(-H "Content-Type: application/offset+octet-stream")

head -c 3000000 /dev/urandom >data
sha=$(sha256sum data | cut -d' ' -f1)
meta="sha256 $(printf %s "$sha" | base64 -w0)"

# new_upload FILE: sets $upload (path).
new_upload() {
	wants 201 POST /v1/uploads "${tus[@]}" -H "Upload-Length: $(stat -c %s "$1")" \
		-H "Upload-Metadata: sha256 $(sha256sum "$1" | cut -d' ' -f1 | tr -d '\n' | base64 -w0)"
	upload=$(header Location)
	[[ $upload =~ ^/v1/uploads/[0-9a-f]{32}$ ]] || die "Location: $upload"
}
offset() {
	wants 200 HEAD "$upload" "${tus[@]}"
	header Upload-Offset
}

say "what the protocol refuses"
wants 412 POST /v1/uploads -H "Upload-Length: 5" -H "Upload-Metadata: $meta"
wants 412 POST /v1/uploads -H "Tus-Resumable: 0.2.2" -H "Upload-Length: 5" -H "Upload-Metadata: $meta"
wants 400 POST /v1/uploads "${tus[@]}" -H "Upload-Metadata: $meta"
wants 400 POST /v1/uploads "${tus[@]}" -H "Upload-Length: 5"
wants 400 POST /v1/uploads "${tus[@]}" -H "Upload-Length: -5" -H "Upload-Metadata: $meta"
wants 413 POST /v1/uploads "${tus[@]}" -H "Upload-Length: 99999999999999" -H "Upload-Metadata: $meta"
wants 404 HEAD /v1/uploads/00000000000000000000000000000000 "${tus[@]}"
new_upload data
[ -n "$(header Upload-Expires)" ] || die "no Upload-Expires"
wants 415 PATCH "$upload" "${tus[@]}" -H "Upload-Offset: 0" -H "Content-Type: text/plain" --data-binary @data
wants 409 PATCH "$upload" "${tus[@]}" "${bytes[@]}" -H "Upload-Offset: 5" --data-binary @data
wants 400 PATCH "$upload" "${tus[@]}" "${bytes[@]}" --data-binary @data

say "another token does not see it"
wants 201 POST /v1/tokens -d '{"name": "other", "scopes": ["publish"], "ttl_s": 60}'
auth=$(json .token)
wants 404 HEAD "$upload" "${tus[@]}"
wants 404 DELETE "$upload" "${tus[@]}"
auth=$admin

say "cut at several places, it goes on where it was and sends nothing twice"
at=0
for n in 1 777 65536 1000000; do
	# The request announces more than is sent before the connection breaks; how long it takes
	# to send that depends on the machine.
	for seconds in 2 4 8 16; do
		part data $at $n |
			timeout $seconds curl -sk -X PATCH "${tus[@]}" "${bytes[@]}" -H "Authorization: Bearer $auth" -H "Upload-Offset: $at" \
				-H "Content-Length: $((3000000 - at))" -H "Transfer-Encoding:" -H "Expect:" -T - "$url$upload" \
				>/dev/null 2>&1 || true
		[ "$(offset)" = "$at" ] || break
	done
	grown() { [ "$(offset)" -gt "$at" ]; }
	wait_for 10 "bytes of the cut request" grown
	now=$(offset)
	[ "$now" -le $((at + n)) ] || die "offset $now after $at + $n"
	at=$now
done

say "a checksum of the piece is held against it; a damaged piece is dropped"
head -c 100000 /dev/zero >zeros
wrong=$(head -c 32 /dev/zero | base64 -w0)
wants 460 PATCH "$upload" "${tus[@]}" "${bytes[@]}" -H "Upload-Offset: $at" -H "Upload-Checksum: sha256 $wrong" --data-binary @zeros
wants 400 PATCH "$upload" "${tus[@]}" "${bytes[@]}" -H "Upload-Offset: $at" -H "Upload-Checksum: md5 $wrong" --data-binary @zeros
[ "$(offset)" = "$at" ] || die "a damaged piece was kept"

say "SIGKILL of the web process: what was acknowledged is there"
kill -KILL "$(children web)"
wait_for 20 "a new web process" curl -fsk -o /dev/null "$url/healthz"
[ "$(offset)" = "$at" ] || die "offset $(offset), was $at"

say "SIGKILL of everything in the middle of a request: goes on after a start"
part data $at 500000 >piece
(curl -sk --limit-rate 200k -X PATCH "${tus[@]}" "${bytes[@]}" -H "Authorization: Bearer $auth" -H "Upload-Offset: $at" \
	--data-binary @piece "$url$upload" >/dev/null 2>&1 || true) &
curl_pid=$!
grows() { [ "$(stat -c %s "$state/${upload#/v1/}")" -gt $((at + 50000)) ]; }
wait_for 20 "bytes in the file" grows
kill_valised
wait $curl_pid || true
start_valised
now=$(offset)
[ "$now" -ge "$at" ] && [ "$now" -le $((at + 500000)) ] || die "offset $now"
at=$now

say "the rest completes it; then it is an object, and asking again says so"
tail -c +$((at + 1)) data >piece
wants 204 PATCH "$upload" "${tus[@]}" "${bytes[@]}" -H "Upload-Offset: $at" \
	-H "Upload-Checksum: sha256 $(openssl dgst -sha256 -binary piece | base64 -w0)" --data-binary @piece
[ "$(header Upload-Offset)" = 3000000 ] || die "Upload-Offset $(header Upload-Offset)"
[ "$(offset)" = 3000000 ] || die "a finished upload is forgotten"
wants 200 GET "/objects/$sha"
cmp "$body" data || die "another object"
wants 409 POST /v1/uploads "${tus[@]}" -H "Upload-Length: 3000000" -H "Upload-Metadata: $meta"
json .code | has -x exists
wants 200 POST /v1/objects/missing -d "{\"sha256\": [\"$sha\", \"$(printf '0%.0s' {1..64})\"]}"
json '.missing == ["0000000000000000000000000000000000000000000000000000000000000000"]'

say "bytes that are not what was announced never become an object"
head -c 1000 /dev/urandom >liar
wants 201 POST /v1/uploads "${tus[@]}" -H "Upload-Length: 1000" \
	-H "Upload-Metadata: sha256 $(printf '1%.0s' {1..64} | base64 -w0)"
upload=$(header Location)
wants 422 PATCH "$upload" "${tus[@]}" "${bytes[@]}" -H "Upload-Offset: 0" --data-binary @liar
wants 404 HEAD "$upload" "${tus[@]}"
wants 404 GET "/objects/$(printf '1%.0s' {1..64})"

say "termination"
new_upload liar
wants 204 DELETE "$upload" "${tus[@]}"
wants 404 HEAD "$upload" "${tus[@]}"
[ -z "$(ls "$state/uploads" 2>/dev/null | grep -E '^[0-9a-f]{32}$')" ] || die "left: $(ls "$state/uploads")"
