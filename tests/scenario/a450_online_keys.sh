#!/bin/bash
# The server's online keys are stolen, and the thief is between handset and server: it can choose among what publishers
# signed, not below the floor, and run versions ahead; new online keys by new roots end all that.
. "$TOP/tests/support/attack.sh"
begin_attack 1.0
phone 1.1 good
make_release "$TMPDIR/phone-1.2" acme 1.2
{ echo good && seq 1 2000; } >phone-1.2/vmlinux
sed -i 's/"security_version": 1/"security_version": 5/' phone-1.2/release.in.json
valise publish "$TMPDIR/phone-1.2" >/dev/null
roll_out 1.2
once 0
runs 1.2
steal_online_keys
roll_out 1.1 # the thief's answers grow from real ones

# release VERSION SECURITY: what publishers signed for it, as a director's target.
target_of() {
	image_file "$(version_of releases.acme).releases.acme.json" |
		jq -c ".signed.targets | with_entries(select(.key == \"releases/acme/$1/release.json\"))"
}
valid=".expires = \"$(date -u -d '+1 day' +%Y-%m-%dT%H:%M:%SZ)\""

say "what nobody signed, under any name"
forge_director '.targets = {"releases/acme/9.9/release.json": {custom: {valise: {kind: "release", product: "acme", security_version: 9, version: "9.9"}}, hashes: {sha256: "'"$(printf 'ab%.0s' $(seq 32))"'"}, length: 1299}} | .valise.security_version_floor = 1'
refused 76 'releases/acme/9.9/release.json: the image repository does not have it'
forge_director ".targets = $(target_of 1.2) | .targets[\"releases/acme/1.2/release.json\"].hashes.sha256 = \"$(printf 'ab%.0s' $(seq 32))\""
refused 76 'length or hashes differ'
forge_director ".targets = $(target_of 1.1) | .targets[\"releases/acme/1.1/release.json\"].custom.valise.security_version = 9"
refused 76 'custom fields differ'

say "what was signed and is below the floor that this handset confirmed"
forge_director ".targets = $(target_of 1.1) | .valise.security_version_floor = 0"
refused 76 'security version 1 is below 5'
says_what_to_do

say "a publisher's role with the thief's signature"
image_file "$(version_of releases.acme).releases.acme.json" | jq '.signed | .version += 1' |
	sign - "$e/online/image-snapshot.key" "$e/online/director-targets.key" >"$e/releases.new"
forge_image releases.acme "$e/releases.new"
cp -r handset handset.before
forge_director ".targets = $(target_of 1.2)" '' "${image_rules[@]}"
refused 76 'releases.acme: .*signed by 0 of the 1 keys that are needed; missing is one of'
says_what_to_do
rm -rf handset && mv handset.before handset

say "versions that run ahead are taken, and the real server is then refused"
phone 1.3 good
make_release "$TMPDIR/phone-1.4" acme 1.4
sed -i 's/"security_version": 1/"security_version": 6/' phone-1.4/release.in.json
{ echo good && seq 1 2000; } >phone-1.4/vmlinux
valise publish "$TMPDIR/phone-1.4" >/dev/null
forge_director ".targets = $(target_of 1.2) | $valid" 4000000000000
once 0
roll_out 1.4
rules
refused 76 'director: timestamp: version [0-9]+ after version 4000000000000 was accepted'
says_what_to_do

say "new online keys, in new roots that people signed: the server counts again"
"$bin/valised" keys rotate "${server_settings[@]}" >rotate.out 2>&1 || die "keys rotate: $(cat rotate.out)"
kill -HUP "$server_pid"
said() { grep -q mgr.reloaded server.log; }
wait_for 20 "the reload" said
for repo in image director; do
	valise root rotate $repo $repo.json >root.out 2>&1 || die "root rotate: $(cat root.out)"
	valise -y root sign $repo.json >root.out 2>&1 || die "root sign: $(cat root.out)"
	valise -y root publish $repo.json >root.out 2>&1 || die "root publish: $(cat root.out)"
done
once 0
runs 1.4

say "the stolen keys are worth nothing now"
roll_out 1.2
forge_director ".targets = $(target_of 1.4)" 4000000000001
refused 76 'director: timestamp: .*signed by 0 of the 1 keys that are needed'
make_release "$TMPDIR/phone-1.5" acme 1.5
sed -i 's/"security_version": 1/"security_version": 6/' phone-1.5/release.in.json
{ echo good && seq 1 2000; } >phone-1.5/vmlinux
valise publish "$TMPDIR/phone-1.5" >/dev/null
rules
roll_out 1.5
once 0
runs 1.5
only_ran 1.0 1.2 1.4 1.5
