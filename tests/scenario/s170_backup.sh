#!/bin/bash
# Backup beside a running server, restore into a new place, and the handsets do not notice.
. "$TOP/tests/support/lib.sh"
init_valised
start_valised
init_organisation acme
make_release v1 acme 1.0.0
"$bin/valise" publish v1 -q >/dev/null 2>&1 || die publish
enrolled_handset a sales
wants 201 POST /v1/rollouts -d '{"product": "acme", "version": "1.0.0", "target": {"all": true}}'
handset a checkin >c1.json || die "check-in"
wants 200 GET /v1/releases/acme/1.0.0
sha=$(json .release.components.system.object.sha256)

say "a backup is made while it serves; objects are linked"
"$bin/valised" backup "$TMPDIR/copy" --keys "${server_settings[@]}" >backup.out || die "backup: $(cat backup.out)"
grep -q "objects" backup.out || die "$(cat backup.out)"
if "$bin/valised" backup "$TMPDIR/copy" "${server_settings[@]}" 2>err; then die "a backup over a backup"; fi
"$bin/valised" backup "$TMPDIR/nokeys" "${server_settings[@]}" >/dev/null || die "backup without keys"
[ ! -e "$TMPDIR/nokeys/keys" ] && [ ! -e "$TMPDIR/nokeys/tls" ] || die "keys in a backup without keys"
wants 200 GET /healthz
# What root made in the store does not lock the server out.
make_release v2 acme 1.1.0
"$bin/valise" publish v2 -q >publish.out 2>&1 || die "publish after a backup: $(cat publish.out)"

say "the server is lost with all it had"
kill_valised
rm -rf "$state"

say "one flipped bit in the backup is found"
cp -r copy damaged
object=$(find damaged/objects -type f | sed -n 1p)
chmod u+w "$object"
printf '\001' | dd of="$object" bs=1 seek=10 conv=notrunc status=none
if "$bin/valised" restore damaged "${server_settings[@]}" 2>err; then die "a damaged backup was restored"; fi
grep -qi "corrupt\|differ\|sha\|hash\|damaged" err || die "$(cat err)"
if "$bin/valised" run "${server_settings[@]}" 2>err; then die "half a restore was started"; fi
rm -rf "$state"

say "restored, it serves what it had: same pin, same token, same handset, versions go on rising"
"$bin/valised" restore copy "${server_settings[@]}" >restore.out || die "restore: $(cat restore.out)"
[ "$("$bin/valised" pin "${server_settings[@]}")" = "$pin" ] || die "another pin"
"$bin/valised" check --store "${server_settings[@]}" >/dev/null || die "check"
start_valised "listen.port=$port"
wants 200 GET /v1/releases
json '.items | length == 1 and .[0].version == "1.0.0"'
wants 200 GET "/objects/$sha"
sha256sum "$body" | has "^$sha " || die "another object"
handset a checkin >c2.json || die "check-in after the restore"
wants 201 POST /v1/rollouts -d "{\"product\": \"acme\", \"version\": \"1.0.0\", \"target\": {\"device\": \"$device\"}}"
handset a checkin >c3.json || die "check-in after a rollout"
v1=$(jq '.director.timestamp | fromjson | .signed.version' c1.json)
v3=$(jq '.director.timestamp | fromjson | .signed.version' c3.json)
[ "$v3" -gt "$v1" ] || die "version $v3 after $v1"
"$bin/valise" publish v2 -q >publish.out 2>&1 || die "publish after the restore: $(cat publish.out)"

say "without the counters of the keys process, numbers go on above those in the database"
stop_valised
wants_above=$(database "$state/valise.db" "SELECT max(timestamp_version) FROM director" 2>/dev/null || echo "$v3")
rm "$state/keys/counters"
start_valised "listen.port=$port"
wants 201 POST /v1/rollouts -d '{"product": "acme", "version": "1.1.0", "target": {"all": true}}'
handset a checkin >c4.json || die "check-in"
v4=$(jq '.director.timestamp | fromjson | .signed.version' c4.json)
[ "$v4" -gt "$wants_above" ] || die "version $v4 after $wants_above"

say "a backup without keys says what is missing"
stop_valised
"$bin/valised" restore nokeys --state "$TMPDIR/other" --set user= >restore.out || die "restore"
grep -q "copy keys/ back" restore.out || die "$(cat restore.out)"
if "$bin/valised" run --state "$TMPDIR/other" --set user= --set listen.port=0 --set listen.address=127.0.0.1 2>err; then die "it runs without keys"; fi

say "beside an older server a backup is made, and nothing else touches its database"
older=$TMPDIR/older
mkdir "$older"
old=$(ls "$TOP"/migrations/*.sql | sed '$d')
schema=$(echo "$old" | wc -l)
{
	echo "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 BLOB NOT NULL, applied_at INTEGER NOT NULL) STRICT;"
	n=0
	for m in $old; do
		n=$((n + 1))
		cat "$m"
		echo "INSERT INTO migrations VALUES ($n, '${m##*/}', x'$(sha256sum "$m" | cut -d' ' -f1)', 1);"
	done
	echo "PRAGMA user_version = $schema;"
} | sqlite3 "$older/valise.db" >/dev/null
beside=(--state "$older" --set user=)
"$bin/valised" backup "$TMPDIR/of-older" "${beside[@]}" >backup.out || die "$(cat backup.out)"
grep -q "^backup: schema $schema," backup.out || die "$(cat backup.out)"
for command in "token x --scope admin" "check --store" init; do
	got=0
	# shellcheck disable=SC2086
	"$bin/valised" $command "${beside[@]}" >out 2>err || got=$?
	[ $got = 75 ] && grep -q "has schema $schema" err && grep -q "restart the server" err || die "$command: $got $(cat err)"
done
[ "$(sqlite3 "$older/valise.db" "PRAGMA user_version")" = "$schema" ] || die "the schema was changed"
