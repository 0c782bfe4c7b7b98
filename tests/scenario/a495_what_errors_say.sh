#!/bin/bash
# Expired, wrong key, too few signatures, missing, cut, altered, older: for each role the handset says which repository and
# role, what was expected and what to do, tells the server in the same cycle, and goes on afterwards.
. "$TOP/tests/support/attack.sh"
begin_attack 1.0 1.1
steal_online_keys
roll_out 1.1
cp -r handset handset.before
past=2026-01-02T00:00:00Z
future=$(date -u -d '+1 day' +%Y-%m-%dT%H:%M:%SZ)
image=("$e/online/image-snapshot.key" "$e/online/image-timestamp.key")
say_all() {
	printf '%-46s %s\n' "$1" "$(grep -o 'refused error=.*' refused.log | tail -n 1)" >>"$TMPDIR/texts"
}

# says STATUS TEXT HINT: the handset refuses with this text and advice, and the server has both before it is asked again.
says() {
	local reason
	refused "$1" "$2"
	grep 'refused error=' refused.log | tail -n 1 | has -F -- "hint=\"$3" || die "the advice: $(grep 'refused error=' refused.log | tail -n 1)"
	say_all "$what"
	reason=$(on_server '[.events[] | select(.state == "refused")][0].reason')
	grep -Eq -- "$2" <<<"$reason" || die "the server was told: $reason"
	rules
	rm -rf handset && cp -r handset.before handset
}
online='the server signs it anew by itself'
altered='the data was damaged or altered'
unsigned='nothing was changed; whoever signs must check keys and files'

# director FILTER-TARGETS FILTER-SNAPSHOT FILTER-TIMESTAMP [KEYS]: the answer's metadata changed so, signed with the stolen keys.
cat >"$e/director" <<-'EOT'
	#!/bin/bash
	set -eu -o pipefail
	t=$(mktemp -d -p .)
	cat >$t/answer
	jq -e .director $t/answer >/dev/null || exec cat $t/answer
	i=0
	for r in targets snapshot timestamp; do
		i=$((i + 1))
		jq -r .director.$r $t/answer | jq ".signed | if .meta then .meta |= map_values({version}) else . end | ${!i}" >$t/new
		$EVIL sign $t/new ${KEYS:-online/director-$r.key} >$t/$r
	done
	jq -c --rawfile a $t/targets --rawfile b $t/snapshot --rawfile c $t/timestamp '.director = {targets: $a, snapshot: $b, timestamp: $c}' $t/answer
	rm -r $t
EOT
chmod +x "$e/director"
director() {
	what="director: $1 | $2 | $3"
	rules "POST,/v1/checkin filter EVIL=$evil KEYS=${4:-} ./director '$1' '$2' '$3'"
}
# image ROLE FILTER [KEY...]: the image repository's role changed so; what lists it is signed with the stolen keys.
image() {
	local role=$1 filter=$2 n file
	shift 2
	what="image $role: $filter"
	n=$(version_of "$role")
	file="$n.$role.json"
	image_file "$file" | jq ".signed | .version += 1 | $filter" | sign - "$@" >"$e/role.new"
	forge_image "$role" "$e/role.new"
	rules "${image_rules[@]}"
}
# snapshot FILTER TIMESTAMP-FILTER [KEY-SNAPSHOT KEY-TIMESTAMP]
snapshot() {
	local s t
	what="image snapshot: $1; timestamp: $2"
	s=$(version_of snapshot)
	image_file "$s.snapshot.json" | jq ".signed | .version += 1 | $1" | sign - "${3:-${image[0]}}" >"$e/s.new"
	t=$(jq .signed.version "$e/s.new")
	image_file timestamp.json | jq ".signed | .version += 1 | .meta[\"snapshot.json\"] = {version: $t} | $2" | sign - "${4:-${image[1]}}" >"$e/t.new"
	rules "GET,/tuf/image/timestamp.json file t.new" "GET,/tuf/image/$t.snapshot.json file s.new"
}
id_of() {
	"$evil" show "$1" | jq -r '.keyid[:8]'
}
"$evil" key "$TMPDIR/stranger.key" >/dev/null

say "expired: each role of both repositories"
director . . ".expires = \"$past\""
says 76 "director: timestamp: version [0-9]+ expired at $past, it is 20.* now" "$online"
director . ".expires = \"$past\"" .
says 76 "director: snapshot: version [0-9]+ expired at $past, it is 20.* now" "$online"
director ".expires = \"$past\"" . .
says 76 "director: targets: version [0-9]+ expired at $past, it is 20.* now" "$online"
snapshot . ".expires = \"$past\""
says 76 "image repository: timestamp: version [0-9]+ expired at $past" "$online"
snapshot ".expires = \"$past\"" .
says 76 "image repository: snapshot: version [0-9]+ expired at $past" "$online"
image targets ".expires = \"$past\"" "$org_keys/image-targets.key"
says 76 "image repository: targets: version [0-9]+ expired at $past" 'who holds the targets key signs it anew: valise publisher renew --targets'
image releases.acme ".expires = \"$past\"" "$org_keys/publisher-acme.key"
says 76 "releases.acme: version [0-9]+ expired at $past" 'its publisher publishes something, or signs it anew: valise publisher renew'
for repo in image director; do
	what="$repo root"
	n=1
	[ $repo = director ] || image_file 1.root.json >root.now
	[ $repo = image ] || { wants 200 GET /tuf/director/1.root.json && cp "$body" root.now; }
	jq ".signed | .version += 1 | .expires = \"$past\"" root.now | sign - "$org_keys"/$repo-root*.key >"$e/root.new"
	rules "GET,/tuf/$repo/2.root.json file root.new"
	says 76 "$repo.*: root: version 2 expired at $past, it is 20.* now" 'who holds root keys signs the next one: valise root rotate, sign, publish'
	# The same from the command line and in the server's log, where people would try to put it in force.
	api POST "/v1/tuf/$repo/root" --data-binary "@$e/root.new"
	[ "$status" = 403 ] && jq -e '(.message | test("root: version 2 expired at")) and (.hint | startswith("who holds root keys"))' "$body" >/dev/null ||
		die "$status $(cat "$body")"
	grep 'tuf.refused' server.log | tail -n 1 | has -E "$repo.*root: version 2 expired at $past.*hint=\"who holds root keys" ||
		die "$(grep tuf.refused server.log | tail -n 1)"
done

say "signed by another key, by too few"
director . . . "$TMPDIR/stranger.key"
says 76 "director: timestamp: version [0-9]+ is signed by 0 of the 1 keys that are needed; missing is one of: $(id_of "$e/online/director-timestamp.key")" "$unsigned"
snapshot . . "" "$TMPDIR/stranger.key"
says 76 "image repository: timestamp: .*signed by 0 of the 1 keys that are needed; missing is one of: $(id_of "${image[1]}")" "$unsigned"
snapshot . . "$TMPDIR/stranger.key"
says 76 "image repository: snapshot: .*signed by 0 of the 1 keys that are needed; missing is one of: $(id_of "${image[0]}")" "$unsigned"
image targets . "$TMPDIR/stranger.key"
says 76 "image repository: targets: .*signed by 0 of the 1 keys .*: $(id_of "$org_keys/image-targets.key")" "$unsigned"
api POST /v1/tuf/image/targets --data-binary "@$e/role.new"
[ "$status" = 403 ] && grep -q "targets: version [0-9]* is signed by 0 of the 1 keys" "$body" || die "$status $(cat "$body")"
grep 'tuf.refused' server.log | tail -n 1 | has "image repository: targets: .*signed by 0 of the 1" || die "the log says nothing"
image releases.acme . "$TMPDIR/stranger.key"
says 76 "releases.acme: .*signed by 0 of the 1 keys .*: $(id_of "$org_keys/publisher-acme.key")" "$unsigned"
jq '.signed | .version = 2' root.now | sign - "$TMPDIR/stranger.key" >"$e/root.new"
what="director root by a stranger"
rules "GET,/tuf/director/2.root.json file root.new"
says 76 "director: root: by the keys of version 1: version 2 is signed by 0 of the 1 keys that are needed" "$unsigned"

say "missing, cut, longer, altered"
s=$(version_of snapshot)
what="a snapshot that is not there"
rules "GET,/tuf/image/$s.snapshot.json status 404"
says 66 "image repository: snapshot: /tuf/image/$s.snapshot.json is not there" 'the repository is not whole'
what="a role that is not there"
rules "GET,/tuf/image/*.releases.acme.json status 404"
says 65 "releases.acme: /tuf/image/[0-9]+.releases.acme.json is not there" 'the repository is not whole'
what="a manifest that is longer"
rules "GET,/objects/* longer 1"
says 65 "acme/1.1: .*bytes" ''
what="a manifest that is altered"
rules "GET,/objects/* flip 20"
says 65 "acme/1.1: its SHA-256 is not the announced one" "$altered"

say "older than what was accepted"
image_file timestamp.json >"$e/old.timestamp"
phone 1.2 good
roll_out 1.2
once 0
runs 1.2
phone 1.3 good
roll_out 1.3
rm -rf handset.before && cp -r handset handset.before
what="an older timestamp"
rules "GET,/tuf/image/timestamp.json file old.timestamp"
says 76 "image repository: timestamp: version [0-9]+ after version [0-9]+ was accepted" 'nothing was changed; look for replayed'

say "and on the command line: what came from a server or a colleague"
valise root rotate image next.json >/dev/null 2>&1
jq -c '.file |= (fromjson | .signed.version = 1 | tojson)' next.json >bad.json
"$bin/valise" -y root sign bad.json 2>err && die "signed"
grep -q 'image root: .*version 1 does not follow 1' err && grep -q 'hint:' err || die "$(cat err)"
jq -c '.roots[0] |= (fromjson | .signed.expires = "2030-01-01T00:00:00Z" | tojson)' next.json >bad.json
"$bin/valise" -y root sign bad.json 2>err && die "signed"
grep -q 'image root: root 1 of the chain: version 1 is signed by 0 of the [0-9]* keys that are needed; missing is one of: ' err || die "$(cat err)"
cat "$TMPDIR/texts"
updates_still 1.4
