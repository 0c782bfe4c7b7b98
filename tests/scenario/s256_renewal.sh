#!/bin/bash
# A publisher's role, the security team's and the one that names publishers are signed anew: for the date, and when keys
# changed; nothing else can be slipped in with it.
. "$TOP/tests/support/handset.sh"
start_organisation
v=$bin/valise

fails() {
	local wanted=$1 text=$2 got=0
	shift 2
	"$@" >out 2>err </dev/null || got=$?
	[ $got = "$wanted" ] && grep -qF -- "$text" err || die "$*: status $got; $(cat out err)"
}
# role NAME: its newest metadata in role.json.
role() {
	wants 200 GET "/v1/tuf/image/$1"
	cp "$body" role.json
	version=$(jq .signed.version role.json)
	expires=$(date -d "$(jq -r .signed.expires role.json)" +%s)
}
days() {
	echo $(((expires - $(date +%s) + 3600) / 86400))
}
phone 1.0 good
roll_out 1.0
enrol_handset
once 0

say "the same releases, a new version, a new date; handsets follow"
role releases.acme
jq -S .signed.targets role.json >targets.before
before=$version
valise -y publisher renew acme 2>/dev/null || die "renew"
role releases.acme
[ "$version" = $((before + 1)) ] && [ "$(days)" = 90 ] || die "version $version, $(days) days"
jq -S .signed.targets role.json | cmp -s targets.before - || die "other targets"
role targets
before=$version
valise -y publisher renew --targets 2>/dev/null || die "renew targets"
role targets
[ "$version" = $((before + 1)) ] && [ "$(days)" = 365 ] || die "version $version, $(days) days"
echo '{"name": "base", "settings": {"vm.memory_max_mib": 512}}' >base.json
fails 66 "has signed nothing yet" "$v" -y publisher renew --policy
valise policy publish base.json >/dev/null
valise -y publisher renew --policy 2>/dev/null || die "renew policies"
role policies
[ "$version" = 2 ] && [ "$(days)" = 90 ] || die "version $version, $(days) days"
fails 64 "name a PRODUCT" "$v" publisher renew
fails 64 "name a PRODUCT" "$v" publisher renew acme --policy
fails 76 "given to nobody" "$v" publisher renew other
phone 1.1 good
roll_out 1.1
once 0
[ "$(on_server .release.applied)" = acme/1.1 ] || die "the handset has $(on_server .release.applied)"

say "other keys: nothing of the product counts until they have signed, and then everything does"
valise key new fresh --role publisher --no-passphrase >/dev/null
valise -y publisher add acme fresh 2>/dev/null
fails 76 "publish again" "$v" -q -y rollout start acme/1.1 --all
valise -y publisher renew acme 2>/dev/null || die "renew by the new key"
valise -o json release show acme/1.1 | jq -e '.signatures.signed | length == 1' >/dev/null || die "$(valise release show acme/1.1)"
roll_out 1.1
once 0

say "old key and new one together, through a file"
valise -y publisher add acme fresh publisher-acme --threshold 2 2>/dev/null
mkdir -p -m 700 home-ben/keys
mv "$HOME/.config/valise/keys/fresh.key" home-ben/keys/
fails 76 "signatures are missing" "$v" -y publisher renew acme
valise -y publisher renew acme --out anew.json 2>/dev/null || die "out"
fails 78 "not published" env -u HOME VALISE_HOME="$TMPDIR/home-ben" "$v" -q -y release approve anew.json
valise -y release approve anew.json 2>/dev/null || die "approve"
valise -o json release show acme/1.1 | jq -e '.signatures.signed | length == 2' >/dev/null || die "$(valise release show acme/1.1)"

say "a renewal that brings something along, forgets something, or is no publisher's is refused"
sign() {
	"$BUILD/tests/tools/evil" sign "$@"
}
keys=("$HOME/.config/valise/keys/publisher-acme.key" home-ben/keys/fresh.key)
role releases.acme
# post TEXT FILTER: the role changed so and signed by all is refused with this text, by the server's log too.
post() {
	jq ".signed | .version += 1 | $2" role.json | sign - "${keys[@]}" >new.json
	api POST /v1/tuf/image/releases.acme --data-binary @new.json
	[ "$status" != 200 ] && grep -qF -- "$1" "$body" || die "$status $(cat "$body")"
	grep 'tuf.refused' server.log | tail -n 1 | has -F -- "$1" || die "the log: $(grep tuf.refused server.log | tail -n 1)"
}
post "was not published so" '.targets["releases/acme/6.6/release.json"] = .targets["releases/acme/1.1/release.json"]'
post "was not published so" '.targets["releases/acme/1.1/release.json"].length += 1'
post "was published and is missing" 'del(.targets["releases/acme/1.1/release.json"])'
post "does not follow" '.version += 1'
post "does not follow" '.version -= 2'
post "expired at" '.expires = "2001-01-02T00:00:00Z"'
api GET /v1/tuf/image/targets
post "may not delegate further" ".delegations = $(jq -c .signed.delegations "$body")"
keys=("${keys[@]:0:1}")
post "signed by 1 of the 2 keys that are needed" .
for r in root snapshot timestamp releases.other; do
	api POST "/v1/tuf/image/$r" --data-binary @role.json
	[ "$status" -ge 400 ] || die "$r: $status"
done
role releases.acme
[ "$version" = "$(jq .signed.version role.json)" ] || die "it changed"
updates_needs() {
	phone_dir=$TMPDIR/phone-1.2
	make_release "$phone_dir" acme 1.2 300000
	{ echo good && seq 1 2000; } >"$phone_dir/vmlinux"
	"$v" -q publish "$phone_dir" >/dev/null 2>&1 || [ $? = 75 ] || die "publish"
	cp home-ben/keys/fresh.key "$HOME/.config/valise/keys/"
	valise -y release approve acme/1.2 2>/dev/null || die "approve"
}
updates_needs
roll_out 1.2
once 0
[ "$(on_server .release.applied)" = acme/1.2 ] || die "the handset has $(on_server .release.applied)"
