#!/bin/bash
# A release that needs two publishers' signatures; the thief has one publisher's key and all online keys: one signature, the
# same twice, the same key under two ids, a key of nobody, the signature of another file.
. "$TOP/tests/support/attack.sh"
begin_attack 1.0 1.1
steal_online_keys
second=$("$evil" key "$TMPDIR/second.key")
image_file "$(version_of targets).targets.json" |
	jq --argjson k "$second" '.signed | .version += 1 | .delegations.keys[$k.keyid] = $k.key
		| .delegations.roles[0] |= (.keyids += [$k.keyid] | .threshold = 2)' |
	sign - "$org_keys/image-targets.key" >targets.new
publisher=$("$evil" show "$org_keys/publisher-acme.key" | jq -r .keyid)
n=$(version_of releases.acme)
image_file "$n.releases.acme.json" | jq ".signed | .version += 1" >release.signed
# What both signed is good.
sign release.signed "$org_keys/publisher-acme.key" second.key >good
roll_out 1.1
cp -r handset handset.before

# with FILE: the handset sees the new targets and FILE as the publishers' role.
with() {
	forge_image targets targets.new
	forge_image releases.acme "$1" ".meta[\"targets.json\"].version = $(jq .signed.version targets.new)"
	rules "${image_rules[@]}" "GET,/tuf/image/*.targets.json file $(jq .signed.version targets.new).targets.json.forged"
	rm -rf handset && cp -r handset.before handset
}
two='signed by 1 of the 2 keys that are needed; missing is one of'

say "one of two"
sign release.signed "$org_keys/publisher-acme.key" >bad && with bad
refused 76 "releases.acme: .*$two"
says_what_to_do
say "the same signature twice (CVE-2020-15163, CVE-2020-15093)"
sign release.signed "$org_keys/publisher-acme.key" "$org_keys/publisher-acme.key" >bad && with bad
refused '(65|76)' "releases.acme: "
say "the same key under the other's id, and under an id of nobody"
id=$(jq -r .keyid <<<"$second")
jq -c ".signatures += [.signatures[0] | .keyid = \"$id\"] | .signatures |= unique" bad >bad2 && with bad2
refused '(65|76)' "releases.acme: .*($two|twice)"
jq -c ".signatures = [.signatures[0], (.signatures[0] | .keyid = \"$(printf 'ab%.0s' $(seq 32))\")]" bad >bad2 && with bad2
refused 76 "releases.acme: .*$two"
say "a key of nobody beside it, and the second's signature over another file"
"$evil" key "$TMPDIR/nobody.key" >/dev/null
sign release.signed "$org_keys/publisher-acme.key" nobody.key >bad && with bad
refused 76 "releases.acme: .*$two"
jq '.expires = "2036-01-01T00:00:00Z"' release.signed | sign - second.key >other
jq -c --slurpfile o other '.signatures = [.signatures[0], $o[0].signatures[0]]' bad >bad2 && with bad2
refused 76 "releases.acme: .*$two"
say "a delegation that is content with one signature, signed by the publisher"
jq -c '.signed.delegations.roles[0].threshold = 1' targets.new | sign - "$org_keys/publisher-acme.key" >targets.bad
cp targets.new targets.good && cp targets.bad targets.new
sign release.signed "$org_keys/publisher-acme.key" >bad && with bad
refused 76 "image repository: targets: .*signed by 0 of the 1 keys"
cp targets.good targets.new

say "both: good"
with good
once 0
runs 1.1
# The online keys were used: what they said goes on counting until they are replaced (a450).
rm -rf handset && cp -r handset.before handset
updates_still 1.2
only_ran 1.0 1.1 1.2
