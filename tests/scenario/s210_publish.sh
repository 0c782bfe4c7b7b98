#!/bin/bash
# From a fresh server to a published release with the CLI: init, login, publish, list, show, withdraw.
. "$TOP/tests/support/lib.sh"
init_valised
start_valised
v=$bin/valise

# fails STATUS TEXT COMMAND...: wants this exit status and text on standard error.
fails() {
	local wanted=$1 text=$2 got=0
	shift 2
	"$@" >out 2>err </dev/null || got=$?
	[ $got = "$wanted" ] && grep -qF -- "$text" err || die "$*: status $got; $(cat out err)"
}

say "a server that is not the pinned one gets neither token nor question"
fails 76 "does not match pinned" "$v" login "$url" --pin "$(printf '%064d' 0)" --token-file admin.token
fails 76 "--ca-file" "$v" login "$url" --token-file admin.token
[ ! -e "$HOME/.config/valise" ] || die "a login that failed was kept"

say "a certificate is as good as a pin where its authority is known"
"$v" login "$url" --ca-file "$state/tls/cert.pem" --token-file admin.token -q || die "login with a CA file"
"$v" status >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other -keyout other.key -out other.pem 2>/dev/null
fails 76 "" "$v" status --ca-file other.pem

say "nothing works before init, and says so"
"$v" login "$url" --pin "$pin" --token-file admin.token -q
fails 66 "valise init" "$v" enrol new

say "init with keys under a passphrase, 2 of 3 for the roots; a second init changes nothing"
echo "correct horse" >pass
chmod 600 pass
export VALISE_PASSPHRASE_FILE=$TMPDIR/pass
"$v" init --product acme --root 2of3 --name alice 2>init.err || die "init: $(cat init.err)"
grep -q "made  key image-root-3" init.err || die "$(cat init.err)"
"$v" -o json status >status.json
jq -e '.token.name == "alice" and .image.root == 1 and .image.targets == 1 and .director.root == 1' status.json >/dev/null ||
	die "$(cat status.json)"
fails 77 "" env VALISE_TOKEN="$token" "$v" status # the bootstrap token is no more
(cd "$HOME/.config/valise" && sha256sum keys/* roots/*) >before
"$v" init --product acme --root 2of3 --token-file "$HOME/.config/valise/token" -q || die "second init"
(cd "$HOME/.config/valise" && sha256sum --quiet -c "$TMPDIR/before") || die "a second init changed something"
grep -l '"cipher":"none"' "$HOME"/.config/valise/keys/*.key && die "a key is not sealed"
[ "$(stat -c %a "$HOME/.config/valise" "$HOME/.config/valise/token" "$HOME/.config/valise/keys/policy.key" | sort -u | tr '\n' ' ')" = "600 700 " ] ||
	die "modes"

say "init asks for the token that is not there, where there is a terminal, and keeps it"
kept=$HOME/.config/valise/token
mv "$kept" token.before
fails 78 "no API token is known" "$v" init --product acme --root 2of3
cat >ask.zsh <<'EOT'
zmodload zsh/zpty
zpty z "$1"
zpty -r -m z out '*API token: *'
zpty -w z "$2"
while zpty -r z out; do :; done
EOT
timeout 120 zsh -f ask.zsh "$v init --product acme --root 2of3" "$(cat token.before)"
[ "$(cat "$kept")" = "$(cat token.before)" ] || die "the token was not kept"

say "publish, list, show"
make_release r1 acme 1.0.0 3000000
"$v" publish r1 >publish.out 2>publish.err || die "publish: $(cat publish.err)"
grep -q "^published acme/1.0.0" publish.out || die "$(cat publish.out)"
grep -q "upload system.zst" publish.err || die "no progress: $(cat publish.err)"
"$v" -o json release list | jq -e '.items | length == 1 and .[0].version == "1.0.0"' >/dev/null
"$v" release list | has '^acme *1.0.0 .*published'
"$v" -o json release show acme/1.0.0 | jq -e '.release.components.system.size == 3000000' >/dev/null
fails 66 "acme" "$v" release show acme/9.9.9

say "what is served is what was published, to the byte"
sha=$("$v" -o json release show acme/1.0.0 | jq -r '.release.components.system.object.sha256')
curl -fsk "$url/objects/$sha" | zstd -dc | cmp - r1/system.img

say "the same publish again succeeds quietly and sends nothing"
"$v" -o json -q publish r1 >again.json 2>again.err
jq -e '.result == "unchanged" and .sent_bytes == 0' again.json >/dev/null || die "$(cat again.json)"
[ ! -s again.err ] || die "quiet is not quiet: $(cat again.err)"

say "the same version with other bytes is refused, with both hashes and a hint"
cp -r r1 r1b
printf x >>r1b/vmlinux
fails 73 "valise: release acme/1.0.0: published with other contents" "$v" -q publish r1b
grep -q "choose a new version" err || die "$(cat err)"

say "two that publish one version at once: one wins, the other is told why"
pids=()
for side in a b; do
	make_release "race-$side" acme 2.0.0 200000
	printf $side >>"race-$side/vmlinux"
	"$v" -q publish "race-$side" >"race-$side.out" 2>"race-$side.err" &
	pids+=($!)
done
won=0
for i in 0 1; do
	if wait "${pids[$i]}"; then won=$((won + 1)); else [ $? = 73 ] || die "$(cat race-*.err)"; fi
done
[ $won = 1 ] || die "$won won: $(cat race-*.err)"
cat race-?.err | has "published with .*other content\|with another content" || die "$(cat race-?.err)"
"$v" -o json release list | jq -e '[.items[] | select(.version == "2.0.0")] | length == 1' >/dev/null

say "two that publish two versions at once: both win"
pids=()
for n in 1 2; do
	make_release "pair-$n" acme "2.$n.0" 200000
	"$v" -q publish "pair-$n" >/dev/null 2>"pair-$n.err" &
	pids+=($!)
done
for i in 0 1; do
	wait "${pids[$i]}" || die "$(cat pair-?.err)"
done

say "a wrong publisher key is refused by the server"
"$v" key new stranger --role publisher -q >/dev/null
make_release r3 acme 3.0.0 200000
fails 76 "releases.acme" "$v" -q publish --key stranger r3
make_release beta beta 1.0.0 100000
fails 66 'no key "publisher-beta"' "$v" -q publish beta
fails 76 "" "$v" -q publish --key publisher-acme beta

say "a token without the scope is told so"
ci=$("$v" -o json token new ci --scope publish --ttl 1h -q | jq -r .token)
VALISE_TOKEN=$ci "$v" -q publish r3 >/dev/null || die "the CI token cannot publish"
fails 77 "lacks the scope for this: rollout" env VALISE_TOKEN="$ci" "$v" rollout start acme/3.0.0 --group sales
fails 77 "ask an administrator" env VALISE_TOKEN="$ci" "$v" device list

say "CI needs no home: all comes from its environment"
make_release r4 acme 4.0.0 200000
env -u HOME -u VALISE_HOME VALISE_SERVER="$url" VALISE_PIN="$pin" VALISE_TOKEN="$ci" \
	"$v" -q publish --key "$HOME/.config/valise/keys/publisher-acme.key" r4 >/dev/null || die "CI publish"

say "a release that is nowhere is not looked for among those that wait"
fails 66 "no release acme 9.9.9" "$v" release show acme/9.9.9
grep -q "waits for signatures" err && die "$(cat err)"
fails 65 "acme-phone/1.4.0" "$v" release show acme

say "withdraw asks, and is final for the version"
fails 64 "--yes" "$v" release withdraw acme/1.0.0
"$v" release withdraw acme/1.0.0 --yes --reason "does not boot" | has '^state: *withdrawn'
fails 66 "withdrawn" "$v" -q publish r1
grep -q "under a new version" err || die "no hint: $(cat err)"
