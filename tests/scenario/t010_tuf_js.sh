#!/bin/bash
# Other people's TUF client reads our repositories, and ours reads theirs: tuf-js from npm, unmodified.
users_home=$HOME # where npm is told its registry
. "$TOP/tests/support/lib.sh"

command -v node >/dev/null || skip "node is not installed"
command -v npm >/dev/null || skip "npm is not installed"
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || skip "node is older than tuf-js wants (20)"
mkdir npm
HOME=$users_home timeout 120 npm install --prefix npm --cache "$TMPDIR/npm-cache" --no-audit --no-fund \
	--loglevel=error tuf-js@5 >npm.log 2>&1 || skip "npm cannot get the package tuf-js"
export NODE_PATH=$TMPDIR/npm/node_modules
js="node $TOP/tests/tools/tufjs.cjs"

# serve DIR: sets $base to its URL.
serve() {
	rm -f port
	$js serve "$1" port &
	started+=($!)
	wait_for 30 "the file server" test -s port
	base=http://127.0.0.1:$(cat port)
}

say "tuf-js starts from our root, follows its rotation, and downloads through delegations"
"$BUILD/tests/tools/tuf_repo" ours
serve ours
root=ours/metadata/1.root.json
$js client "$base/metadata" "$base/targets" $root releases/acme-phone/1.0.0/system.zst out
[ "$(cat out)" = "a system" ] || die "other bytes"
$js client "$base/metadata" "$base/targets" $root policies/base/3.json out2
if $js client "$base/metadata" "$base/targets" $root releases/acme-phone/2.0.0/system.zst out3 2>err; then
	die "it found what is not there"
fi
grep -q "no target" err || die "$(cat err)"

say "and it refuses what we refuse: one bit of a role, one bit of a target"
cp -r ours bad
sed -i 's/"length":9/"length":8/' bad/metadata/1.releases.acme-phone.json
serve bad
if $js client "$base/metadata" "$base/targets" $root releases/acme-phone/1.0.0/system.zst out3 2>err; then
	die "altered metadata was taken"
fi
cp ours/metadata/* bad/metadata/
printf 'A system\n' >"$(echo bad/targets/releases/acme-phone/1.0.0/*.system.zst)"
if $js client "$base/metadata" "$base/targets" $root releases/acme-phone/1.0.0/system.zst out3 2>err; then
	die "an altered target was taken"
fi

say "our client reads a repository that @tufjs/models made: RSA, ECDSA and Ed25519 keys"
$js make theirs
serve theirs
agent="$bin/valise-agent tuf --metadata-dir md"
$agent init theirs/metadata/1.root.json
$agent --metadata-url "$base/metadata" refresh
$agent --metadata-url "$base/metadata" --target-name files/it --target-dir td --target-base-url "$base/targets" download
[ "$(cat td/files%2Fit)" = "made by others" ] || die "other bytes"
cmp md/some%20role.json theirs/metadata/1.some%20role.json
rm -r md
$agent init theirs/metadata/1.root.json
sed -i 's/"version": 1/"version": 2/' theirs/metadata/1.targets.json
if $agent --metadata-url "$base/metadata" refresh 2>err; then
	die "altered metadata was taken"
fi
grep -q "targets: " err || die "$(cat err)"

say "tuf-js refreshes and downloads a component from a running valised"
init_valised
start_valised
init_organisation acme
make_release r1 acme 1.0.0
"$bin/valise" -q publish r1 || die "publish"
export NODE_TLS_REJECT_UNAUTHORIZED=0 # what is tested here trusts no server
curl -fsk "$url/tuf/image/1.root.json" -o root.json
$js client "$url/tuf/image" "$url/tuf/image/targets" root.json releases/acme/1.0.0/system.zst system.zst 2>err ||
	die "$(cat err)"
zstd -dqc system.zst | cmp - r1/system.img
$js client "$url/tuf/image" "$url/tuf/image/targets" root.json releases/acme/1.0.0/release.json release.json 2>err ||
	die "$(cat err)"
grep -q '"product":"acme"' release.json
