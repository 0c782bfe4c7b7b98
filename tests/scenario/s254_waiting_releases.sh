#!/bin/bash
# A release, or a bundle, that needs two signatures waits on the server for the second one: nobody sees it,
# nobody can slip anything under it, and the last signature publishes it.
. "$TOP/tests/support/handset.sh"
start_organisation
v=$bin/valise

# fails STATUS TEXT COMMAND...: wants this exit status and text on standard error.
fails() {
	local wanted=$1 text=$2 got=0
	shift 2
	"$@" >out 2>err </dev/null || got=$?
	[ $got = "$wanted" ] && grep -qF -- "$text" err || die "$*: status $got; $(cat out err)"
}
# as PERSON COMMAND...: on a machine of their own, with a token of their own.
as() {
	local who=$1
	shift
	env -u HOME VALISE_HOME="$TMPDIR/home-$who" "$v" -q -y "$@"
}
# person NAME SCOPE...: a home, a login and a key "NAME" whose public half is NAME.pub.
person() {
	local who=$1 scopes=() s
	shift
	for s; do scopes+=(--scope "$s"); done
	mkdir -p -m 700 "home-$who"
	valise -o json token new "$who" "${scopes[@]}" | jq -r .token >"$who.token"
	chmod 600 "$who.token"
	as "$who" login "$url" --pin "$pin" --token-file "$who.token" >/dev/null || die "login $who"
	as "$who" key new "$who" --role publisher --no-passphrase >"$who.pub" || die "key of $who"
}
phone_of() {
	rm -rf "phone-$1"
	make_release "$TMPDIR/phone-$1" acme "$1" "${2:-300000}"
	{ echo good && seq 1 2000; } >"$TMPDIR/phone-$1/vmlinux"
}
# waits VERSION SIGNED MISSING: as `release show` has it.
waits() {
	valise -o json release show "acme/$1" >show.json || die "show $1"
	jq -e ".state == \"pending\" and (.signatures.signed | length) == $2 and (.signatures.missing | length) == $3" \
		show.json >/dev/null || die "$(cat show.json)"
}
# keyid_of NAME
keyid_of() {
	"$BUILD/tests/tools/evil" show "home-$1/keys/$1.key" | jq -r .keyid
}
# What handsets can see of the repository.
seen() {
	wants 200 GET /tuf/image/timestamp.json
	json .signed.version
	wants 200 GET /v1/tuf/image/releases.acme
	json .signed.version
}

person rita publish device:read
person sam publish device:read
person mallory publish device:read
person ci publish
valise -y publisher add acme ./ci.pub ./rita.pub ./sam.pub --threshold 2 2>/dev/null
phone_of 1.0
fails 75 "1 of the 2" as ci publish --key ci phone-1.0
as rita -o json release approve acme/1.0 >out 2>/dev/null || die "approve 1.0"
jq -es 'length == 1 and .[0] == {missing: 0, name: "acme/1.0", result: "published"}' out >/dev/null || die "$(cat out)"
roll_out 1.0
enrol_handset
once 0
phone_of 1.1
before=$(seen)

say "one signature is not enough: it waits, and says for what"
fails 75 "signed by 1 of the 2 keys that are needed" as ci publish --key ci phone-1.1
grep -qF "valise release approve" err || die "$(cat err)"
waits 1.1 1 2
[ "$(jq -r '.signatures.signed[0]' show.json)" = "$(keyid_of ci)" ] || die "who signed: $(cat show.json)"
valise release show acme/1.1 | has "signed by keys: *$(keyid_of ci)" || die "$(valise release show acme/1.1)"
valise release list --pending | has '^acme *1.1 *pending' || die "$(valise release list --pending)"
valise release list | has '1\.1' && die "it is listed"

say "and nothing of it is in the repository, nothing can be done with it"
[ "$(seen)" = "$before" ] || die "$before became $(seen)"
sum=$(jq -r .sha256 show.json)
wants 404 GET "/tuf/image/targets/releases/acme/1.1/$sum.release.json"
fails 66 "" "$v" -q -y rollout start acme/1.1 --all
once 0
[ "$(on_server .release.applied)" = acme/1.0 ] || die "the handset has $(on_server .release.applied)"

say "the same publisher again changes nothing, and does not count twice"
fails 75 "signed by 1 of the 2" as ci publish --key ci phone-1.1
fails 73 "has signed this already" as ci release approve acme/1.1 --key ci
waits 1.1 1 2

say "a stranger's signature, one that does not fit, and a list that was changed are refused"
as mallory key list >/dev/null
fails 76 "may not sign" as mallory release approve acme/1.1 --key mallory
fails 66 "no key in" as mallory release approve acme/1.1
api GET /v1/releases/acme/1.1/proposal
cp "$body" proposal.json
jq -r .targets proposal.json >role.json
post() {
	jq -cn --rawfile t "$1" --slurpfile p proposal.json '{release: $p[0].release, targets: $t}' >body.json
	api POST /v1/releases --data-binary @body.json -H 'Content-Type: application/json'
}
# refused TEXT: the post was, and what waits is as it was.
refused() {
	[ "$status" = 403 ] && grep -qF -- "$1" "$body" || die "$status $(cat "$body")"
	api GET /v1/releases/acme/1.1/proposal
	cmp -s "$body" proposal.json || die "what waits has changed"
}
# once: the log names who proposed it once, however often the same bytes come again
posted() { valise -o json audit list --subject acme/1.1 | jq '[.items[] | select(.verb == "release.propose")] | length'; }
n=$(posted)
post role.json
[ "$status" = 202 ] || die "$status $(cat "$body")"
[ "$(posted)" = "$n" ] || die "the same again is in the log"
"$BUILD/tests/tools/evil" sign role.json home-mallory/keys/mallory.key >strange.json
jq -c --slurpfile s strange.json '.signatures += $s[0].signatures' role.json >both.json
post both.json
refused "of 2 signatures 1 are good"
post strange.json
refused "signed by 0 of the 2"
"$BUILD/tests/tools/evil" sign role.json home-rita/keys/rita.key |
	jq -c --slurpfile r role.json '.signatures[0].sig |= ("00" + .[2:]) | .signatures += $r[0].signatures' >unfit.json
post unfit.json
refused "of 2 signatures 1 are good"
jq -c '.signed.targets |= with_entries(.key |= sub("/1.1/"; "/6.6/"))' role.json >moved.json
post moved.json
refused ""
jq -c '.signatures = []' role.json >nobody.json
post nobody.json
refused "signed by 0 of the 2"

say "a token without the scope neither signs nor reads it"
reader=$(valise -o json token new reader --scope device:read | jq -r .token)
fails 77 "" env VALISE_TOKEN="$reader" "$v" -y release approve acme/1.1

say "the release manager signs what she was shown, and it is published"
env -u HOME VALISE_HOME="$TMPDIR/home-rita" "$v" -y release approve acme/1.1 >out 2>err || die "approve: $(cat err)"
grep -q '^+ releases/acme/1.1/release.json' err || die "not shown: $(cat err)"
grep -q 'published acme/1.1' err || die "$(cat err)"
valise -o json release show acme/1.1 >show.json
jq -e '.state == "published" and (.signatures.signed | length) == 2' show.json >/dev/null || die "$(cat show.json)"
[ "$(valise -o json release list --pending | jq '.items | length')" = 0 ] || die "it waits still"
fails 66 "waits for signatures" as rita release approve acme/1.1
roll_out 1.1
once 0
[ "$(on_server .release.applied)" = acme/1.1 ] || die "the handset has $(on_server .release.applied)"
valise -o json audit list --subject acme/1.1 | jq -e '[.items[].verb] == ["release.propose", "release.publish", "rollout.create"]
	or [.items[].verb][:2] == ["release.propose", "release.publish"]' >/dev/null || die "$(valise audit list --subject acme/1.1)"

say "signatures that come from two sides are put together"
phone_of 1.2
valise -y publisher add acme ./ci.pub ./rita.pub ./sam.pub --threshold 3 2>/dev/null
fails 75 "" as ci publish --key ci phone-1.2 # the role's two signatures are too few now, all three sign it anew
api GET /v1/releases/acme/1.2/proposal
cp "$body" proposal.json
jq -r .targets proposal.json >role.json
"$BUILD/tests/tools/evil" sign role.json home-rita/keys/rita.key >rita.json
"$BUILD/tests/tools/evil" sign role.json home-sam/keys/sam.key >sam.json
post rita.json
[ "$status" = 202 ] || die "$status $(cat "$body")"
waits 1.2 2 1
post sam.json
[ "$status" = 201 ] || die "$status $(cat "$body")"
jq -e '.signatures.signed | length == 3' "$body" >/dev/null || die "$(cat "$body")"
roll_out 1.2
once 0
[ "$(on_server .release.applied)" = acme/1.2 ] || die "the handset has $(on_server .release.applied)"
valise -y publisher add acme ./ci.pub ./rita.pub ./sam.pub --threshold 2 2>/dev/null

say "two wait; when one is published the other is too old, is told so, and can be proposed anew"
phone_of 1.3
phone_of 1.4
fails 75 "" as ci publish --key ci phone-1.3
fails 75 "" as ci publish --key ci phone-1.4
as sam release approve acme/1.4 2>/dev/null || die "approve 1.4"
fails 76 "" as sam release approve acme/1.3
fails 75 "signed by 1 of the 2" as ci publish --key ci phone-1.3
as sam release approve acme/1.3 2>/dev/null || die "approve 1.3"

say "a bundle that needs two signatures waits just so"
person paul policy
person petra policy
valise -y publisher add --policy ./paul.pub ./petra.pub --threshold 2 2>/dev/null
echo '{"name": "base", "settings": {"vm.memory_max_mib": 512}}' >base.json
fails 75 "signed by 1 of the 2 keys that are needed" as paul policy publish --key paul base.json
grep -qF "valise policy approve" err || die "$(cat err)"
# bundle VERSION SIGNED MISSING: as `policy show` has it.
bundle() {
	as petra -o json policy show "base/$1" >bundle.json || die "show base/$1"
	jq -e ".state == \"pending\" and .version == $1 and (.signatures.signed | length) == $2 and (.signatures.missing | length) == $3" \
		bundle.json >/dev/null || die "$(cat bundle.json)"
}
bundle 1 1 1
as petra policy show base/1 | has 'vm.memory_max_mib = 512' || die "$(as petra policy show base/1)"
as petra policy list --pending | has '^base *1 *pending' || die "$(as petra policy list --pending)"

say "nobody sees it, and nothing can be done with it"
[ "$(as petra -o json policy list | jq '.items | length')" = 0 ] || die "it is listed"
fails 66 "" as petra policy show base
fails 66 "" as petra policy show base/2
fails 66 "" as petra policy show base/0
fails 66 "" "$v" -q -y policy assign base --all
wants 404 GET "/tuf/image/targets/policies/base/$(jq -r .sha256 bundle.json).1.json"
wants 404 GET /v1/tuf/image/policies
fails 77 "" as rita policy approve base/1

say "the same again is the same bundle, with the dates that it had; a stranger's key is none of those"
sum=$(jq -r .sha256 bundle.json)
fails 75 "signed by 1 of the 2" as paul policy publish --key paul base.json
bundle 1 1 1
[ "$(jq -r .sha256 bundle.json)" = "$sum" ] || die "it was made anew"
fails 73 "has signed this already" as paul policy approve base/1 --key paul
fails 76 "may not sign" as paul policy approve base/1 --key "$TMPDIR/home-mallory/keys/mallory.key"

say "a list with more than the bundle is refused, also where the name only begins like the bundle's"
api GET /v1/policies/base/1/proposal
cp "$body" proposal.json
for more in policies/base/1.jsonx policies/base/2.json policies/other/1.json; do
	jq -r .targets proposal.json |
		jq -c --arg p "$more" '.signed.targets[$p] = .signed.targets["policies/base/1.json"] | .signatures = []' >more.json
	"$BUILD/tests/tools/evil" sign more.json home-paul/keys/paul.key >role.json
	jq -cn --rawfile t role.json --slurpfile p proposal.json '{bundle: $p[0].bundle, targets: $t}' >body.json
	api POST /v1/policies --data-binary @body.json -H 'Content-Type: application/json'
	[ "$status" = 403 ] && grep -qF "$more: is not part of this publication" "$body" || die "$more: $status $(cat "$body")"
done
api GET /v1/policies/base/1/proposal
cmp -s "$body" proposal.json || die "what waits has changed"

say "the second one signs the settings that are shown, and it is published"
env -u HOME VALISE_HOME="$TMPDIR/home-petra" "$v" -y policy approve base/1 >out 2>err || die "approve: $(cat err)"
grep -A1 '^+ policies/base/1.json' err | has '^  vm.memory_max_mib = 512' || die "not shown: $(cat err)"
as petra -o json policy show base | jq -e '.state == "published" and (.signatures.signed | length) == 2' >/dev/null ||
	die "$(as petra policy show base)"
[ "$(as petra -o json policy list --pending | jq '.items | length')" = 0 ] || die "it waits still"
fails 66 "waits for signatures" as petra policy approve base/1
as paul policy publish --key paul base.json | has unchanged || die "the same settings again"
valise -o json audit list --subject base/1 | jq -e '[.items[].verb] == ["policy.propose", "policy.publish"]' >/dev/null ||
	die "$(valise audit list --subject base/1)"
"$v" -q -y policy assign base --all >/dev/null || die "assign"
once 0
once 0 # tells what it has
[ "$(on_server '.policies[0].applied')" = 1 ] || die "the handset has $(on_server .policies)"

say "other settings take the place of what waits, with no signature but their own"
echo '{"name": "base", "settings": {"vm.memory_max_mib": 256}}' >base.json
fails 75 "signed by 1 of the 2" as paul policy publish --key paul base.json
echo '{"name": "base", "settings": {"vm.memory_max_mib": 128}}' >base.json
fails 75 "signed by 1 of the 2" as petra policy publish --key petra base.json
bundle 2 1 1
[ "$(jq -r '.signatures.signed[0]' bundle.json)" = "$(keyid_of petra)" ] || die "who signed: $(cat bundle.json)"

say "a version that is taken, or below the newest, does not wait"
echo '{"name": "base", "version": 1, "settings": {"vm.memory_max_mib": 64}}' >taken.json
fails 73 "other content" as paul policy publish --key paul taken.json
echo '{"name": "base", "version": 5, "settings": {"vm.memory_max_mib": 64}}' >five.json
fails 75 "" as paul policy publish --key paul five.json
as petra policy approve base/5 2>/dev/null || die "approve 5"
fails 76 "" as paul policy approve base/2 # begun before 5 was published
echo '{"name": "base", "version": 4, "settings": {"vm.memory_max_mib": 64}}' >four.json
fails 76 "below 5" as paul policy publish --key paul four.json
echo '{"name": "base", "settings": {"vm.memory_max_mib": 96}}' >base.json
fails 75 "" as paul policy publish --key paul base.json
bundle 6 1 1

say "another content takes the place of what waits, with no signature but its own"
phone_of 1.5
fails 75 "" as ci publish --key ci phone-1.5
first=$(valise -o json release show acme/1.5 | jq -r .sha256)
phone_of 1.5 400000
fails 75 "" as ci publish --key ci phone-1.5
waits 1.5 1 2
[ "$(jq -r .sha256 show.json)" != "$first" ] || die "the old one waits still"

say "a publisher that was removed leaves nothing that counts"
valise -y publisher add acme ./rita.pub ./sam.pub --threshold 2 2>/dev/null
fails 76 "does not fit" as rita release approve acme/1.5
waits 1.5 0 2

say "after seven days it is gone"
command -v faketime >/dev/null || skip "faketime is missing: apt install faketime"
preload=$(faketime -f +0 env | sed -n 's/^LD_PRELOAD=//p')
stop_valised
rm -f "$state/run/port"
FAKETIME=+8d LD_PRELOAD=$preload "$bin/valised" run "${server_settings[@]}" --set limit.client_rate=0 >>server.log 2>&1 &
server_pid=$!
started+=("$server_pid")
wait_for 30 "the server's port" port_is_there
port=$(cat "$state/run/port")
url=https://127.0.0.1:$port
wait_for 30 "the server" curl -fsk -o /dev/null "$url/healthz"
wants 404 GET /v1/releases/acme/1.5
wants 404 GET /v1/releases/acme/1.5/proposal
wants 404 GET /v1/policies/base/6
wants 404 GET /v1/policies/base/6/proposal
