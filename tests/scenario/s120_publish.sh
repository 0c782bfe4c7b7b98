#!/bin/bash
# Publishing: whole or not at all, also with the server killed anywhere; races; lies are refused.
. "$TOP/tests/support/lib.sh"
init_valised
start_valised
init_organisation acme
versions() {
	wants 200 GET "/v1/releases"
	jq -r '[.items[].version] | join(" ")' "$body"
}
# The newest role lists exactly the releases that the API shows, and every target is an object.
consistent() {
	local n r shown listed h before after
	wants 200 GET /tuf/image/timestamp.json
	before=$(json .signed.version)
	n=$(json '.signed.meta["snapshot.json"].version')
	wants 200 GET "/tuf/image/$n.snapshot.json"
	r=$(jq -r '.signed.meta["releases.acme.json"].version // 0' "$body")
	shown=$(versions | tr ' ' '\n' | sort | tr '\n' ' ')
	listed=" "
	if [ "$r" != 0 ]; then
		wants 200 GET "/tuf/image/$r.releases.acme.json"
		listed=$(jq -r '.signed.targets | keys[] | select(endswith("/release.json")) | split("/")[2]' "$body" | sort | tr '\n' ' ')
		for h in $(jq -r '.signed.targets[].hashes.sha256' "$body" | sort -u); do
			wants 200 HEAD "/objects/$h"
		done
	fi
	# Somebody may have published meanwhile: that was no moment then.
	wants 200 GET /tuf/image/timestamp.json
	after=$(json .signed.version)
	if [ "$before" != "$after" ]; then
		consistent
		return
	fi
	[ "${shown# }" = "${listed# }" ] || die "shown: $shown; listed: $listed"
}

say "the server is killed while a release is published, again and again: old or new, whole"
big=3000000
for i in 1 2 3 4 5 6; do
	make_release "r$i" acme "1.0.$i" $big
	seen=$(wc -l <server.log)
	"$bin/valise" publish "r$i" -q >"publish$i.out" 2>&1 &
	publishing=$!
	# Later and later: in the upload, in the check, in the commit.
	case $i in
	1) mark='route=OBJECTS_MISSING' ;;
	2) mark='upload.created' ;;
	3) mark='upload.done' ;;
	4) mark='upload.done.*actor' ;;
	*) mark='route=UPLOAD_PATCH.*status=204' ;;
	esac
	marked() { awk -v n="$seen" -v mark="$mark" 'NR > n && $0 ~ mark { found = 1 } END { exit !found }' server.log; }
	wait_for 30 "$mark" marked
	kill_valised
	old_port=$port
	rm -f "$state/run/port"
	start_valised "listen.port=$old_port"
	consistent
	# The CLI goes on by itself, or is run again: the same command, and it succeeds.
	wait $publishing || "$bin/valise" publish "r$i" -q >"publish$i.out" 2>&1 || die "publish $i: $(cat "publish$i.out")"
	consistent
	versions | has -w "1.0.$i" || die "1.0.$i is not there"
done

say "the signing process is killed while it is wanted: the publish succeeds anyway, or again"
make_release r7 acme 1.0.7 $big
kill -KILL "$(children keys)"
"$bin/valise" publish r7 -q >publish.out 2>&1 || "$bin/valise" publish r7 -q >publish.out 2>&1 || die "$(cat publish.out)"
consistent

say "processes that check uploads are killed in the middle: another takes over"
# A good second of work, most of it zeros; a process may still have ended its job before it is met.
busy() {
	local p
	for p in $(children work); do
		[ "$(awk '{ print $14 + $15 }' "/proc/$p/stat" 2>/dev/null || echo 0)" -lt 10 ] || echo "$p"
	done
}
for n in 1 2 3 4 5; do
	make_release "r8$n" acme "1.0.8$n" 1000000
	truncate -s 600M "r8$n/system.img"
	"$bin/valise" publish "r8$n" -q >publish.out 2>&1 &
	publishing=$!
	while kill -0 $publishing 2>/dev/null; do
		p=$(busy | sed -n 1p)
		if [ -n "$p" ] && kill -KILL "$p" 2>/dev/null; then break; fi
		sleep 0.02
	done
	wait $publishing || die "publish with a killed worker: $(cat publish.out)"
	[ "$(metric jobs_lost_total)" = 0 ] || break
done
[ "$(metric jobs_lost_total)" -ge 1 ] || die "no job was ever lost"
consistent

say "two publishes of one version at once: one wins, the other is told why"
make_release a acme 2.0.0 200000
make_release b acme 2.0.0 200002
cp -r "$HOME" other
"$bin/valise" publish a -q >a.out 2>&1 &
one=$!
HOME=$TMPDIR/other "$bin/valise" publish b -q >b.out 2>&1 &
two=$!
won=0
wait $one && won=$((won + 1))
wait $two && won=$((won + 1))
[ $won = 1 ] || die "$won of two won: $(cat a.out b.out)"
cat a.out b.out | has -i "published with\|another content\|other contents" || die "$(cat a.out b.out)"
consistent

say "two publishes of different versions at once: both arrive"
make_release c acme 3.0.0 200000
make_release d acme 3.0.1 200000
"$bin/valise" publish c -q >c.out 2>&1 &
one=$!
HOME=$TMPDIR/other "$bin/valise" publish d -q >d.out 2>&1 &
two=$!
wait $one || die "$(cat c.out)"
wait $two || die "$(cat d.out)"
consistent

say "metadata of one who is no publisher is refused; so is a release that it does not list"
wants 200 GET /v1/releases/acme/3.0.1
jq -c .release "$body" >manifest.json
wants 200 GET /v1/tuf/image/releases.acme
cp "$body" role.json
# One bit of a signature.
jq -c '.signatures[0].sig |= (if startswith("0") then "1" + .[1:] else "0" + .[1:] end)' role.json >bad.json
jq -n --arg r "$(sed 's/3\.0\.1/3.0.2/g' manifest.json)" --rawfile t bad.json '{release: $r, targets: $t}' >post.json
wants 400 POST /v1/releases --data-binary @post.json
jq -n --arg r "$(jq -c '.security_version = 2' manifest.json)" --rawfile t bad.json '{release: $r, targets: $t}' >post.json
api POST /v1/releases --data-binary @post.json
[ "$status" = 409 ] || die "another 3.0.1: $status $(cat "$body")"
"$bin/valise" key new thief --role publisher --no-passphrase >/dev/null
make_release e acme 4.0.0 200000
if "$bin/valise" publish e -q --key thief >e.out 2>&1; then
	die "a thief published"
fi
grep -qi "signed by 0 of" e.out || die "$(cat e.out)"
versions | has -w 4.0.0 && die "a thief's release is shown"
consistent

