#!/bin/bash
# valised from nothing: init, TLS, health, metrics, scopes, an organisation, a release.
. "$TOP/tests/support/lib.sh"

say "an init makes keys, certificate and one token, and can be repeated without harm"
init_valised
[[ $token =~ ^vt_[A-Za-z0-9_-]{43}$ ]] || die "token: $token"
[[ $pin =~ ^[0-9a-f]{64}$ ]] || die "pin: $pin"
if "$bin/valised" init "${server_settings[@]}" 2>err; then
	die "a second init succeeded"
fi
grep -q "is set up already" err || die "$(cat err)"
[ "$("$bin/valised" pin "${server_settings[@]}")" = "$pin" ] || die "the pin changed"
"$bin/valised" check "${server_settings[@]}" --store | has "store: fine"
"$bin/valised" check -o json "${server_settings[@]}" --store >check.json
jq -e '.settings == "fine" and .store == "fine" and .objects == 0 and .audit_rows > 0' check.json >/dev/null || die "$(cat check.json)"
if "$bin/valised" check -o json --set poll.interval=never 2>check.json; then die "a bad setting"; fi
jq -e '.code == "config" and (.hint | length) > 0' check.json >/dev/null || die "$(cat check.json)"

say "the server listens with TLS 1.2 and 1.3, with the key of the pin"
start_valised
for v in tls1_2 tls1_3; do
	openssl s_client -connect "127.0.0.1:$port" -$v </dev/null >tls.out 2>&1 || die "$v: $(cat tls.out)"
done
if openssl s_client -connect "127.0.0.1:$port" -tls1_1 -cipher ALL:@SECLEVEL=0 </dev/null >tls.out 2>&1; then
	die "TLS 1.1 was accepted"
fi
openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null | openssl x509 -pubkey -noout |
	openssl pkey -pubin -outform DER | sha256sum | has "^$pin " || die "another key than the pin's"

say "sessions are resumed by ticket"
for v in tls1_2 tls1_3; do
	resumed $v || die "$v: the session was not resumed"
done

say "health, readiness and metrics"
wants 200 GET /healthz
wants 200 GET /readyz
wants 200 HEAD /healthz
wants 200 GET /metrics
grep -q '^valise_http_requests_total{route="HEALTHZ",status="2xx"}' "$body" || die "no counter"
# Through a proxy nobody is local.
wants 401 GET /metrics -H "X-Forwarded-For: 192.0.2.1"

say "what is not there, and what is not for this method"
wants 404 GET /nothing
json .code | has -x not_found
wants 405 DELETE /healthz
[[ $(header Allow) == *GET* ]] || die "Allow: $(header Allow)"
wants 501 TRACE /healthz
wants 204 OPTIONS /v1/uploads
[ "$(header Tus-Version)" = 1.0.0 ] || die "no Tus-Version"

say "nobody gets in without a token, or with a wrong one"
for path in /v1/status /v1/releases /v1/devices /v1/tokens; do
	wants 401 GET $path
done
auth=vt_0000000000000000000000000000000000000000000
wants 401 GET /v1/status
json .code | has -x auth

say "an organisation is set up with the CLI; the bootstrap token is gone afterwards"
old=$token
init_organisation acme
wants 200 GET /v1/status
json '.token.scopes == ["admin"] and .image.root == 1 and .image.snapshot >= 1 and .director.root == 1'
(auth=$old && wants 401 GET /v1/status)
wants 200 GET /readyz

say "scopes: a token does what it is for and nothing else"
wants 201 POST /v1/tokens -d '{"name": "ci", "scopes": ["publish"], "ttl_s": 3600}'
ci=$(json .token) ci_id=$(json .id)
wants 201 POST /v1/tokens -d '{"name": "desk", "scopes": ["device:read"], "ttl_s": 0}'
desk=$(json .token)
for try in "$ci 200 /v1/status" "$ci 403 /v1/devices" "$ci 403 /v1/tokens" "$ci 403 /v1/rollouts" \
	"$ci 403 /v1/keys/online" "$ci 200 /v1/tuf/image/releases.acme" "$desk 200 /v1/devices" \
	"$desk 200 /v1/releases" "$desk 403 /v1/tickets" "$desk 403 /v1/tuf/image/targets"; do
	set -- $try
	auth=$1
	# The role has no metadata before the first publish.
	api GET "$3"
	[ "$status" = "$2" ] || [ "$status/$3" = 404//v1/tuf/image/releases.acme ] || die "$3: $status, wanted $2"
done
auth=$(cat "$HOME/.config/valise/token")
wants 200 DELETE "/v1/tokens/$ci_id"
(auth=$ci && wants 401 GET /v1/status)
wants 404 DELETE /v1/tokens/k999
wants 400 POST /v1/tokens -d '{"name": "x", "scopes": ["root"]}'
wants 400 POST /v1/tokens -d '{"name": "x", "scopes": ["publish"], "more": 1}'

say "a release: published, the same again quietly, listed, fetched"
make_release v1 acme 1.0.0
"$bin/valise" publish v1 -q >publish.out 2>&1 || die "publish: $(cat publish.out)"
"$bin/valise" publish v1 -q >publish.out 2>&1 || die "publish again: $(cat publish.out)"
wants 200 GET /v1/releases
json '.items | length == 1 and .[0].version == "1.0.0" and .[0].state == "published"'
wants 200 GET /v1/releases/acme/1.0.0
sha=$(json .release.components.system.object.sha256)
auth=
wants 200 GET "/objects/$sha"
sha256sum "$body" | has "^$sha " || die "another object"
zstd -dqc "$body" | cmp - v1/system.img

say "metadata is served as files, byte-identical, targets under their consistent names too"
wants 200 GET /tuf/image/1.root.json
wants 200 GET /tuf/image/timestamp.json
n=$(json '.signed.meta["snapshot.json"].version')
wants 200 GET "/tuf/image/$n.snapshot.json"
[[ $(header Cache-Control) == *immutable* ]] || die "Cache-Control: $(header Cache-Control)"
r=$(json '.signed.meta["releases.acme.json"].version')
wants 200 GET "/tuf/image/$r.releases.acme.json"
for t in release.json system.zst system.tree; do
	h=$(jq -r ".signed.targets[\"releases/acme/1.0.0/$t\"].hashes.sha256 // empty" "$body")
	[ -n "$h" ] || continue
	curl -fsk "$url/tuf/image/targets/releases/acme/1.0.0/$h.$t" | sha256sum | has "^$h " || die "$t"
	curl -fsk "$url/objects/$h" | sha256sum | has "^$h " || die "$t as object"
done
wants 404 GET "/tuf/image/targets/releases/acme/1.0.0/$sha.kernel.zst"
wants 404 GET /tuf/image/root.json
wants 404 GET /tuf/image/99.snapshot.json
wants 200 GET /tuf/director/1.root.json
wants 404 GET /tuf/director/timestamp.json

say "a version is published once: other contents are refused, whoever signs them"
make_release v1 acme 1.0.0 400000
if "$bin/valise" publish v1 -q >publish.out 2>&1; then
	die "another 1.0.0 was published"
fi
grep -q "published" publish.out || die "$(cat publish.out)"

say "withdrawn: listed as such; the metadata stays"
auth=$(cat "$HOME/.config/valise/token")
wants 200 POST /v1/releases/acme/1.0.0/withdraw -d '{"reason": "test"}'
json '.state == "withdrawn"'
wants 404 POST /v1/releases/acme/9.9/withdraw
