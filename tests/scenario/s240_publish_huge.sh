#!/bin/bash
# A component beyond 4 GiB: hashed, packed, uploaded, verified by the server, served by range.
. "$TOP/tests/support/lib.sh"
size=$((4400 * 1048576 + 3))
init_valised
start_valised publish.wait=2s # shorter than the check takes: the CLI has to wait and ask again
init_organisation acme
v=$bin/valise
make_release r1 acme 1.0.0 1000
truncate -s $((size - 3)) r1/system.img
printf end >>r1/system.img

say "publish"
"$v" -q -o json publish --level 1 r1 >result.json || die "publish"
jq -e --argjson n $size '.components.system.size == $n' result.json >/dev/null || die "$(cat result.json)"

say "the object, read from the server by range from its middle on, ends with the last frame's bytes"
"$v" -o json release show acme/1.0.0 | jq .release.components.system >system.json
sha=$(jq -r .object.sha256 system.json)
n=$(jq .object.size system.json)
curl -fsk "$url/objects/$sha" >object
[ "$(stat -c %s object)" = "$n" ]
curl -fsk -r $((n / 2))- "$url/objects/$sha" | cmp - <(tail -c +$((n / 2 + 1)) object)
[ "$(zstd -dc object | tail -c 3)" = end ]
[ "$(zstd -dc object | wc -c)" = $size ]

say "veritysetup agrees about the root"
if command -v veritysetup >/dev/null; then
	salt=$(jq -r .verity.salt system.json) root=$(jq -r .verity.root system.json)
	truncate -s %4096 r1/system.img
	veritysetup format --no-superblock --salt "$salt" r1/system.img tree | has "^Root hash:[[:space:]]*$root$" ||
		die "another root than $root"
fi
