#!/bin/bash
# deploy/nginx.conf: valised on a Unix socket alone, nginx in front.  Who may connect, whose address counts, what
# nginx adds to the limits, uploads as they come, ranges, TLS.  (The main job: s360.  Smuggling: s140.)
. "$TOP/tests/support/lib.sh"
. "$TOP/tests/support/front.sh"
init_valised

say "the socket is for its group alone, in a folder that not everybody may write"
for bad in listen.unix_group=no-such-group "listen.unix=/tmp/valise-$$.sock"; do
	if timeout 20 "$bin/valised" run "${server_settings[@]}" --set "listen.unix=$socket" --set "$bad" 2>err; then die "taken: $bad"; fi
	grep -q "listen.unix" err || die "$bad: $(cat err)"
done
if "$bin/valised" check "${server_settings[@]}" --set listen.address= >/dev/null 2>err; then die "no listener at all"; fi
start_behind limit.client_rate=1 limit.client_burst=60 poll.interval=1s
[ "$(cat "$state/run/port")" = 0 ] || die "run/port: $(cat "$state/run/port")"
[ "$(stat -c %a:%G "$socket")" = "660:$front_group" ] || die "the socket: $(stat -c %a:%G "$socket")"
if [ "$(id -u)" = 0 ]; then
	ask() { setpriv --reuid nobody --clear-groups "$@" curl -fs -o /dev/null --unix-socket "$socket" http://a/healthz; }
	ask --regid nogroup || die "the group is not let in"
	if ask --regid daemon; then die "everybody is let in"; fi
fi

say "each client has its own limit, by the address that nginx saw, whatever the client says it is"
start_front
many() { # CURL OPTION...: how many of 300 requests were refused
	curl -skZ --no-progress-meter --parallel-max 10 -o /dev/null -w '%{http_code}\n' "$@" "$url/healthz?n=[1-300]" | grep -c 429 || true
}
[ "$(many -H "X-Real-IP: 192.0.2.1" -H "X-Forwarded-For: 192.0.2.1")" -ge 100 ] || die "300 requests at once were answered"
# On a slow machine some were given back meanwhile.
for _ in $(seq 20); do
	api GET /healthz -H "X-Real-IP: 192.0.2.77"
	[ "$status" = 200 ] || break
done
[ "$status" = 429 ] || die "another address was believed: $status"
[ "$(header Retry-After)" -ge 1 ] || die "Retry-After: $(header Retry-After)"
for _ in $(seq 20); do
	status=$(curl -s --unix-socket "$socket" -o /dev/null -w '%{http_code}' -H "X-Real-IP: 127.0.0.1" http://a/healthz)
	[ "$status" = 200 ] || break
done
[ "$status" = 429 ] || die "nginx hands on another address than the client's"
[ "$(curl -s --unix-socket "$socket" -o /dev/null -w '%{http_code}' -H "X-Real-IP: 192.0.2.2" http://a/healthz)" = 200 ] ||
	die "another client pays for it"
[ "$(curl -s --unix-socket "$socket" -o /dev/null -w '%{http_code}' -H "X-Real-IP: 192.0.2.2" -H "X-Real-IP: 192.0.2.3" http://a/healthz)" = 400 ] ||
	die "two addresses"
stop_valised
[ -S "$socket" ] || die "no socket is left for the next start to replace"

say "nobody is local behind it; an answer for when the server is away"
api GET /healthz
[ "$status" = 503 ] || die "without a server: $status"
json .code | has -x unavailable
[ "$(header Retry-After)" = 10 ] || die "Retry-After: $(header Retry-After)"
start_behind limit.client_rate=0 limit.device_rate=0 poll.interval=1s publish.wait=30s
wants 401 GET /metrics
wants 401 GET /metrics -H "X-Real-IP: 127.0.0.1" -H "Host: 127.0.0.1"
auth=$token
wants 200 GET /metrics
auth=

say "TLS 1.2 and 1.3 and nothing older, with valised's key; sessions are resumed"
for v in tls1_2 tls1_3; do
	openssl s_client -connect "127.0.0.1:$port" -$v </dev/null >tls.out 2>&1 || die "$v: $(cat tls.out)"
done
if openssl s_client -connect "127.0.0.1:$port" -tls1_1 -cipher ALL:@SECLEVEL=0 </dev/null >tls.out 2>&1; then die "TLS 1.1"; fi
if openssl s_client -connect "127.0.0.1:$port" -tls1_2 -cipher AES128-SHA:AES128-GCM-SHA256 </dev/null >tls.out 2>&1; then
	die "a cipher without forward secrecy"
fi
openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null | openssl x509 -pubkey -noout |
	openssl pkey -pubin -outform DER | sha256sum | has "^$pin " || die "another key than the pin's"
for v in tls1_2 tls1_3; do
	resumed $v || die "$v: the session was not resumed"
done

say "publish, enrol, check in"
init_organisation acme
make_release v1 acme 1.0.0 3000000
"$bin/valise" publish v1 -q >publish.out 2>&1 || die "publish: $(cat publish.out)"
"$bin/valise" -y rollout start acme/1.0.0 --all -q >rollout.out 2>&1 || die "$(cat rollout.out)"
enrolled_handset a
handset a checkin >answer || die "check-in: $(cat answer)"
jq -e '.targets != null or .director != null' answer >/dev/null || die "nothing new: $(cat answer)"

say "an object, whole and by ranges"
wants 200 GET /v1/releases/acme/1.0.0
sha=$(json .release.components.system.object.sha256)
object=$state/objects/${sha:0:2}/${sha:2} size=$(stat -c %s "$state/objects/${sha:0:2}/${sha:2}")
wants 200 GET "/objects/$sha"
cmp "$body" "$object" || die "another object"
for r in 0-0 0-99999 1000-2000 "$((size - 5))-"; do
	wants 206 GET "/objects/$sha" -H "Range: bytes=$r"
	to=${r#*-}
	part "$object" "${r%-*}" $((${to:-$((size - 1))} - ${r%-*} + 1)) | cmp - "$body" || die "$r: other bytes"
done
[ "$(header ETag)" = "\"$sha\"" ] || die "ETag: $(header ETag)"
wants 416 GET "/objects/$sha" -H "Range: bytes=$size-"
wants 206 GET "/objects/$sha" -H "Range: bytes=5-9" -H "If-Range: \"$sha\""
wants 200 HEAD "/objects/$sha" -H "Range: bytes=5-9" -H 'If-Range: "other"'
wants 304 GET "/objects/$sha" -H "If-None-Match: \"$sha\""

say "an upload goes on as it comes: what had arrived before a cut is kept"
head -c 2000000 /dev/urandom >data
tus=(-H "Tus-Resumable: 1.0.0")
wants 201 POST /v1/uploads "${tus[@]}" -H "Upload-Length: 2000000" \
	-H "Upload-Metadata: sha256 $(sha256sum data | cut -d' ' -f1 | tr -d '\n' | base64 -w0)"
upload=$(header Location)
{
	part data 0 700000
	for _ in $(seq 200); do
		[ ! -e cut ] || break
		sleep 0.05
	done
} | curl -sk -X PATCH "${tus[@]}" -H "Content-Type: application/offset+octet-stream" -H "Authorization: Bearer $auth" \
	-H "Upload-Offset: 0" -H "Content-Length: 2000000" -H "Transfer-Encoding:" -H "Expect:" -T - "$url$upload" >/dev/null 2>&1 &
uploading=$!
arrived() {
	local files=("$state"/uploads/*)
	[ "$(stat -c %s "${files[0]}")" -ge 500000 ]
}
wait_for 20 "bytes of an upload that is still under way" arrived
touch cut
kill "$uploading"
# nginx may not have told it of the cut yet (503: written by another request).
rest() {
	api HEAD "$upload" "${tus[@]}"
	at=$(header Upload-Offset)
	part data "$at" $((2000000 - at)) >rest
	api PATCH "$upload" "${tus[@]}" -H "Content-Type: application/offset+octet-stream" -H "Upload-Offset: $at" \
		-H "Expect:" --data-binary @rest
	[ "$status" = 204 ]
}
wait_for 20 "the rest of the upload" rest
[ "$at" -ge 500000 ] || die "it began again at $at"
wants 200 GET "/objects/$(sha256sum data | cut -d' ' -f1)"
cmp data "$body" || die "other bytes"

say "bodies longer than any route takes are refused"
truncate -s 13000000 big
wants 413 POST /v1/releases -H "Expect:" --data-binary @big
truncate -s 1000000 big
wants 413 POST /v1/tickets -H "Expect:" --data-binary @big
json .code | has -x too_big

say "a request that was signed is sent once: the replay is refused"
handset a sign 1 request >/dev/null
send_raw request first
head -n 1 first | has '^HTTP/1.1 204' || die "the first: $(cat first)"
send_raw request second
head -n 1 second | has '^HTTP/1.1 401' || die "the second: $(cat second)"
