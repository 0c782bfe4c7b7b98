#!/bin/bash
# Whoever took over the web process: it cannot read a key, what it must not have signed is refused, and whatever it writes
# into its database makes no handset run what publishers did not sign.
. "$TOP/tests/support/attack.sh"
begin_attack 1.0
[ "$(id -u)" = 0 ] || skip "only root can play the web process's user"
keys=$(children keys) web=$(children web)

# as_web COMMAND...: with the user, groups and capabilities that web has.
as_web() {
	setpriv --reuid "$(awk '/^Uid:/ { print $2 }' "/proc/$web/status")" --clear-groups --bounding-set -all \
		--inh-caps -all --no-new-privs "$@"
}

say "its user reads no key: not the files, not the memory, not the descriptors of keys and mgr"
for p in "$keys" "$server_pid"; do
	for what in mem maps environ fd/0 auxv; do
		if as_web dd if="/proc/$p/$what" bs=1 count=1 status=none >got 2>/dev/null && [ -s got ]; then die "/proc/$p/$what is read"; fi
	done
	if as_web ls "/proc/$p/fd" >/dev/null 2>&1; then die "/proc/$p/fd is read"; fi
	if as_web kill -STOP "$p" 2>/dev/null && [ "$p" = "$server_pid" ]; then die "mgr is stopped"; fi
	kill -CONT "$p"
done
for f in "$state"/keys/*; do
	if as_web cat "$f" >/dev/null 2>&1; then die "$f is read"; fi
done
if grep -rlaE "\"sealed\":\"[0-9a-f]{64}\"" "$state"/valise.db* >/dev/null; then die "a key in the database"; fi
for p in "$web" $(children work); do
	! "$evil" search "$p" "$state"/keys/*.key || die "a key in the memory of $p"
done
"$evil" search "$keys" "$state/keys/director-targets.key" || die "the search finds nothing at all"

say "what it must not ask keys for, asked through its own channel to the real keys process"
"$evil" ask "$web" >asked || {
	cat asked
	die "keys signed what it must not"
}
cat asked
[ "$(grep -c refused asked)" -ge 12 ] || die "$(grep -c refused asked) refusals"
[ "$(grep -c 'keys.refused' server.log)" -ge 10 ] || die "the log has $(grep -c keys.refused server.log) refusals"
grep 'keys.refused.*error=denied' server.log | has 'hint="web asked for what is never signed' || die "the log gives no advice"
curl -fsk -o /dev/null "$url/healthz" || die "the server does not answer"

say "its database names a release that nobody signed: keys signs that it is wanted, the handset refuses"
id=$(sql "SELECT id FROM devices")
trojan=$(jq -c '.version = "6.6"' "$handset/want/release.json")
for c in kernel system; do
	salt=$(printf 'valise-verity-1\0acme\0006.6\0%s\0' $c | sha256sum | cut -d' ' -f1)
	trojan=$(jq -cS ".components.$c.verity.salt = \"$salt\"" <<<"$trojan")
done
sql "INSERT INTO releases (product, version, security_version, data_schema, manifest, manifest_sha256, download_size, published_at, published_by)
	SELECT product, '6.6', security_version, data_schema, cast('$trojan' AS BLOB), randomblob(32), download_size, published_at, published_by FROM releases"
sql "INSERT INTO rollouts (release, kind, name, created_at, created_by) SELECT number, 0, '', 1, 'evil' FROM releases WHERE version = '6.6';
	UPDATE devices SET wanted = (SELECT number FROM releases WHERE version = '6.6'), rollout = (SELECT max(number) FROM rollouts), plan = plan + 1;"
refused 76 'releases/acme/6.6/release.json: the image repository does not have it'
says_what_to_do

say "under the name of a signed one: other bytes, other floor, other custom fields"
phone 1.1 good
sql "UPDATE releases SET manifest_sha256 = randomblob(32) WHERE version = '1.1';
	UPDATE devices SET wanted = (SELECT number FROM releases WHERE version = '1.1'), plan = plan + 1"
refused 76 'length or hashes differ between director and image repository'
on_server '.events[].reason' | has '6.6.*does not have it' || die "the server was not told"
grep -q "device.event.*device=$id.*state=refused.*reason=.*6.6.*does not have it" server.log || die "the server's log does not tell"
sql "UPDATE releases SET manifest_sha256 = (SELECT sha256 FROM targets WHERE dir = 'releases/acme/1.1' AND name = 'release.json'), security_version = 9 WHERE version = '1.1';
	UPDATE devices SET plan = plan + 1"
refused 76 'custom fields differ between director and image repository'
sql "UPDATE releases SET security_version = 1 WHERE version = '1.1'; UPDATE devices SET plan = plan + 1"

say "metadata in the database changed: refused, whatever it is"
phone 1.15 good
roll_out 1.15
t=$(version_of releases.acme)
sql "UPDATE tuf_files SET text = cast(replace(cast(text AS TEXT), '1.15', '6.66') AS BLOB) WHERE role = 'releases.acme' AND version = $t"
refused 76 'releases.acme: .*(signed by|missing)'
sql "UPDATE tuf_files SET text = cast(replace(cast(text AS TEXT), '6.66', '1.15') AS BLOB) WHERE role = 'releases.acme' AND version = $t"
sql "DELETE FROM rollouts WHERE release = (SELECT number FROM releases WHERE version = '6.6')" || true
updates_still 1.2
only_ran 1.0 1.1 1.2

say "asked without end, keys signs no more than sign.rate"
stop_valised
start_valised sign.rate=1 "listen.port=$port"
"$evil" ask "$(children web)" >asked || true
grep -q 'keys.refused.*more signatures than sign.rate allows' server.log || die "$(grep keys.refused server.log | tail -n 3)"
