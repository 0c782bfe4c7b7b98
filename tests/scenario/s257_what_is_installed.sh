#!/bin/bash
# Roots, targets and publishers' roles that the server must not install, though an administrator's token brings them and
# most of them are well signed.  Each is refused with what is wrong, in the answer and in the log, and changes nothing.
. "$TOP/tests/support/handset.sh"
start_organisation
v=$bin/valise
org=$HOME/.config/valise/keys
evil=$BUILD/tests/tools/evil

# post PATH TEXT: new.json is refused with this text, by the log too.
post() {
	api POST "$1" --data-binary @new.json -H 'Content-Type: application/json'
	[ "$status" -ge 400 ] && grep -qF -- "$2" "$body" || die "$status, not \"$2\": $(cat "$body")"
	grep '\.refused' server.log | tail -n 1 | has -F -- "$2" || die "the log: $(grep '\.refused' server.log | tail -n 1)"
}
# changed FILTER KEY...: old.json changed so, signed by these keys, in new.json.
changed() {
	local filter=$1
	shift
	jq -c ".signed | $filter" old.json >changed.json
	"$evil" sign changed.json "$@" >new.json
}
"$evil" key mallory.key >mallory.json
mallory=$(jq -r .keyid mallory.json)
# .keys with mallory's added
with_mallory=".keys[\"$mallory\"] = $(jq -c .key mallory.json)"

for repo in image director; do
	say "$repo: roots that do not follow, that their people did not sign, or that give the online roles away"
	wants 200 GET "/tuf/$repo/1.root.json"
	cp "$body" old.json
	key=$org/$repo-root-1.key
	changed '.version += 2' "$key"
	post "/v1/tuf/$repo/root" "version 3: the newest is 1"
	changed '.expires = "2099-01-01T00:00:00Z"' "$key"
	post "/v1/tuf/$repo/root" "version 1: the newest is 1"
	changed ".version += 1 | $with_mallory | .roles.root.keyids = [\"$mallory\"]" mallory.key
	post "/v1/tuf/$repo/root" "by the previous root: "
	changed ".version += 1 | $with_mallory | .roles.root.keyids = [\"$mallory\"]" "$key"
	post "/v1/tuf/$repo/root" "signed by 0 of the 1 keys that are needed; missing is one of: ${mallory:0:8}"
	changed ".version += 1 | $with_mallory | .roles.timestamp.keyids = [\"$mallory\"]" "$key"
	post "/v1/tuf/$repo/root" "role timestamp: this server's key is not the one that signs it"
	changed ".version += 1 | $with_mallory | .roles.snapshot.keyids += [\"$mallory\"] | .roles.snapshot.threshold = 2" "$key"
	post "/v1/tuf/$repo/root" "role snapshot: this server's key is not the one that signs it"
	changed '.version += 1 | .expires = "2001-01-02T00:00:00Z"' "$key"
	post "/v1/tuf/$repo/root" "expired at 2001-01-02T00:00:00Z"
	wants 404 GET "/tuf/$repo/2.root.json"
done

say "targets that were signed by somebody else, that list something, or that delegate otherwise"
wants 200 GET /v1/tuf/image/targets
cp "$body" old.json
key=$org/image-targets.key
refused() {
	changed "$2" "${3:-$key}"
	post /v1/tuf/image/targets "$1"
}
refused "signed by 0 of the 1 keys" '.version += 1' mallory.key
refused "expired at" '.version += 1 | .expires = "2001-01-02T00:00:00Z"'
refused "this role delegates only" '.version += 1 | .targets["releases/acme/1.0/release.json"] = {"length": 1, "hashes": {"sha256": "'"$mallory"'"}}'
refused "must be terminating" '.version += 1 | .delegations.roles[0].terminating = false'
refused "must be terminating and have one path" '.version += 1 | .delegations.roles[0].paths += ["policies/*/*"]'
refused "its path must be" '.version += 1 | .delegations.roles[0].paths = ["*/*/*/*"]'
refused "neither releases.<product> nor policies" '.version += 1 | .delegations.roles[0].name = "all"'
refused "" '.expires = "2099-01-01T00:00:00Z"'
refused "" '.version -= 1'
wants 200 GET /v1/tuf/image/targets
cmp -s "$body" old.json || die "the targets have changed"
delegations=$(jq -c .signed.delegations "$body")

say "a publisher's list that says something else than the release that comes with it"
make_release phone acme 1.0 300000
{ echo good && seq 1 2000; } >phone/vmlinux
valise publish --partial partial.json phone >/dev/null 2>&1 || die "partial"
jq -r .file partial.json >old.json
# lie FIELD PATH KEY TEXT FILTER: partial.json's payload with its list changed so.
lie() {
	changed "$5" "$3"
	jq -cn --rawfile t new.json --slurpfile p partial.json "{$1: \$p[0].payload, targets: \$t}" >body.json
	mv body.json new.json
	post "$2" "$4"
}
release() {
	lie release /v1/releases "$org/publisher-acme.key" "$@"
}
at='.targets["releases/acme/1.0/release.json"]'
release "release.json: custom is not" "$at.custom.valise.security_version = 9"
release "release.json: custom is not" "del($at.custom)"
release "release.json: is not listed" "del($at)"
release "release.json: the signed role lists another length or hash" "$at.hashes.sha256 = \"$mallory\""
release "release.json: the signed role lists another length or hash" "$at.length += 1"
release "the signed role lists another length or hash" ".targets |= with_entries(if (.key | test(\"vmlinux|kernel|zst\")) then .value.hashes.sha256 = \"$mallory\" else . end)"
release "targets are listed, the manifest has" ".targets[\"releases/acme/1.0/more\"] = $at"
release "may not delegate further" ".delegations = $delegations"
wants 404 GET /v1/tuf/image/releases.acme
wants 404 GET /v1/releases/acme/1.0

say "and a list of policies"
echo '{"name": "base", "settings": {"vm.memory_max_mib": 512}}' >base.json
valise policy publish --partial partial.json base.json >/dev/null 2>&1 || die "partial policy"
jq -r .file partial.json >old.json
policy() {
	lie bundle /v1/policies "$org/policy.key" "$@"
}
at='.targets["policies/base/1.json"]'
policy "custom is not" "$at.custom.valise.version = 2"
policy "is not listed" "del($at)"
policy "another length or hash" "$at.hashes.sha256 = \"$mallory\""
wants 404 GET /v1/policies/base

say "what is true is installed, and a handset has it"
valise policy publish base.json >/dev/null || die "policy"
phone_dir=$TMPDIR/phone
"$v" -q publish "$phone_dir" >/dev/null || die "publish"
roll_out 1.0
enrol_handset
once 0
once 0
[ "$(on_server .release.applied)" = acme/1.0 ] || die "the handset has $(on_server .release.applied)"
