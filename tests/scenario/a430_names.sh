#!/bin/bash
# Names that would be paths, in everything that carries names - signed by stolen keys where it has to be - reach no file
# beside the handset's own, and none of the server's.
. "$TOP/tests/support/attack.sh"
begin_attack 1.0
steal_online_keys
echo canary >"$TMPDIR/canary"
touch "$TMPDIR/before"
phone 1.1 good
roll_out 1.1
cp -r handset handset.before
long=$(printf 'a%.0s' $(seq 300))

# Nothing appeared where nothing belongs.
no_stray() {
	local stray
	stray=$(find "$TMPDIR" / -maxdepth 1 -newer "$TMPDIR/before" \( -name '*canary*' -o -name '*.json' -o -name 'x*' -o -name 'aaa*' \) | sed -n 1p)
	[ -z "$stray" ] || die "$stray appeared"
	[ "$(cat "$TMPDIR/canary")" = canary ] || die "the canary"
	stray=$(find handset -newer "$TMPDIR/before" -type f | sed 's/^handset.//' |
		grep -vE '^(lock|serial.log|commit\.[01]|want/(release|offers).json|enrolment.json|identity/[a-z]*.key|events/[0-9]*.json|data/1.img|policies/[a-z0-9.]*|tuf/(image|director)/(anchor|(root|timestamp|snapshot|targets|releases.acme)\.json)|slots/[ab]/(system|kernel|release)(\.hash|\.json)?)$' || true)
	[ -z "$stray" ] || die "strange files: $stray"
}

say "the director's: product, version, policy, path"
for name in ../canary /canary .. '%2e%2e%2fcanary' "$long"; do
	forge_director ".targets |= with_entries(.value.custom.valise.product = \"$name\" | .key = \"releases/$name/1.1/release.json\")"
	refused '(65|76)' 'error=(format|untrusted|too_big|corrupt)'
	forge_director ".targets |= with_entries(.value.custom.valise.version = \"$name\" | .key = \"releases/acme/$name/release.json\")"
	refused '(65|76)' 'error=(format|untrusted|too_big|corrupt)'
	forge_director ".targets += {\"policies/$name/1.json\": {length: 5, hashes: {sha256: \"$(printf '00%.0s' $(seq 32))\"}, custom: {valise: {kind: \"policy\", name: \"$name\", version: 1}}}}"
	refused '(65|76)' 'error=(format|untrusted|too_big|corrupt)'
	no_stray
done

say "the image repository's: files of the snapshot, delegated roles, targets"
for name in ../../canary /canary '%2e%2e' "$long"; do
	# What stolen keys signed goes on counting until they are replaced (a450): not what is tested here.
	rm -rf handset && cp -r handset.before handset
	image_file "$(version_of releases.acme).releases.acme.json" |
		jq ".signed | .version += 1 | .targets |= with_entries(if .key == \"releases/acme/1.1/release.json\" then .key = \"releases/acme/$name/release.json\" else . end)" |
		sign - "$org_keys/publisher-acme.key" >evil/new.json
	forge_image releases.acme evil/new.json ".meta[\"$name.json\"] = {version: 1}"
	rules "${image_rules[@]}"
	refused '(65|76)' 'error=(format|untrusted|too_big|corrupt)'
	image_file "$(version_of targets).targets.json" |
		jq ".signed | .version += 1 | .delegations.roles[0].name = \"releases.$name\"" |
		sign - "$org_keys/image-targets.key" >evil/new.json
	forge_image targets evil/new.json ".meta[\"releases.$name.json\"] = {version: 1}"
	rules "${image_rules[@]}" "GET,/tuf/image/1.* file new.json"
	refused '(65|76)' 'error=(format|untrusted|too_big|corrupt)'
	no_stray
done

say "addresses: the server gives what it has under its own names and nothing else"
auth=
for path in /objects/../../keys/session /objects/..%2f..%2fkeys%2fsession /objects/%2e%2e/%2e%2e/keys/session \
	/tuf/image/../../keys/session /tuf/image/..%2f..%2fkeys%2fsession /tuf/image/%2e%2e%2f1.root.json \
	/tuf/image/1.root.json%00.txt /tuf/image/targets/../../../../etc/passwd /tuf/image/targets/..%2f..%2fetc%2fpasswd \
	/tuf/director/..%2fimage%2f1.root.json "/tuf/image/1.$long.json" "/objects/$long" //etc/passwd /../../../etc/passwd; do
	api GET "$path" --path-as-is
	case $status in 400 | 404 | 414) ;; *) die "$path: $status $(head -c 200 "$body")" ;; esac
	if grep -Eq 'root:|PRIVATE' "$body"; then die "$path: a file"; fi
done

say "a release and an upload with such names are not taken"
auth=$(cat "$HOME/.config/valise/token")
for name in ../canary /etc/x "$long" '%2e%2e'; do
	make_release "$TMPDIR/bad" acme 2.0
	jq --arg n "$name" '.components.system.file = $n' bad/release.in.json >bad/new && mv bad/new bad/release.in.json
	if valise publish "$TMPDIR/bad" >out 2>&1; then die "published: $name"; fi
	jq --arg n "$name" '.version = $n | .components.system.file = "system.img"' bad/release.in.json >bad/new && mv bad/new bad/release.in.json
	if valise publish "$TMPDIR/bad" >out 2>&1; then die "published: $name"; fi
	wants '400' POST /v1/uploads -H 'Tus-Resumable: 1.0.0' -H 'Upload-Length: 5' -H "Upload-Metadata: sha256 $(printf %s "$name" | base64 -w0)"
done
no_stray
rm -rf handset && cp -r handset.before handset
updates_still 1.3
only_ran 1.0 1.3
