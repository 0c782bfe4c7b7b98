#!/bin/bash
# The server signs the audit log's head once a day: what was cut off, changed or written anew is proved against it.
. "$TOP/tests/support/handset.sh"
v=$bin/valise
fails() {
	local wanted=$1 text=$2 got=0
	shift 2
	"$@" >out 2>err </dev/null || got=$?
	[ $got = "$wanted" ] && grep -qF -- "$text" err || die "$*: status $got; $(cat out err)"
}
heads() {
	valise -o json audit list --actor server | jq '.items | length'
}
# one_more N: the log has at least N signed heads.
one_more() {
	[ "$(heads)" -ge "$1" ]
}
sql() {
	database "$state/valise.db" "$1"
}
home=$HOME/.config/valise
init_valised
start_valised limit.client_rate=0 audit.sign_interval=1s
init_organisation acme

say "what was done is signed, and with nothing new nothing is signed again"
wait_for 30 "a signed head" one_more 1
n=$(heads)
phone 1.0 good
wait_for 30 "another one" one_more $((n + 1))
# The first may have come in the midst of it.
all_signed() {
	valise -o json audit verify | jq -e '.signed.n == .rows - 1 and .unsigned_from == null' >/dev/null
}
wait_for 30 "one for all of it" all_signed
valise audit verify >out || die "verify"
grep -Eq '^signed by the server up to row [0-9]+ at 20' out || die "$(cat out)"
n=$(heads)
valise audit export log.jsonl >/dev/null
got=0
valise audit export ./ 2>err || got=$?
[ $got = 64 ] && grep -q "name a file" err || die "a folder: $(cat err)"
got=0
valise token revoke bootstrap 2>err || got=$?
[ $got = 66 ] && grep -q "valise token list" err || die "a token by its name: $(cat err)"
sleep_until=$((SECONDS + 8)) # longer than the server looks away
quiet() {
	[ $SECONDS -ge $sleep_until ]
}
wait_for 30 "a while" quiet
[ "$(heads)" = "$n" ] || die "signed again for nothing"
grep -Eq '^[0-9]+ [0-9a-f]{64} [0-9]+ [0-9a-f]{64} [0-9a-f]{128}$' "$home/audit/signed" || die "$(cat "$home/audit/signed")"

say "the signature is what the format says, by the key that the root names"
row=$(grep '"verb":"audit.head"' log.jsonl | tail -n 1)
read -r at keyid sig <<<"$(jq -r .detail <<<"$row")"
before=$(grep "\"n\":$(jq -r .subject <<<"$row")," log.jsonl | jq -r .hash)
wants 200 GET /tuf/image/1.root.json
pub=$(jq -r ".signed.keys[\"$keyid\"].keyval.public" "$body")
[ "$(jq -r '.signed.roles.timestamp.keyids[0]' "$body")" = "$keyid" ] || die "key $keyid"
le64() {
	printf '%016x' "$1" | fold -w2 | tac | tr -d '\n'
}
{ printf 'valise-audit-head-1\0' && { le64 "$(jq -r .subject <<<"$row")" && le64 "$at" && printf %s "$before"; } | unhex; } >message
printf %s "$sig" | unhex >signature
{ printf '302a300506032b6570032100%s' "$pub" | unhex; } >pub.der
openssl pkeyutl -verify -pubin -inkey pub.der -keyform DER -rawin -in message -sigfile signature >/dev/null || die "openssl does not verify it"

say "new keys: what the old ones signed stays good"
"$bin/valised" keys rotate "${server_settings[@]}" >/dev/null
kill -HUP "$server_pid"
said() { grep -q mgr.reloaded server.log; }
wait_for 20 "the reload" said
valise root rotate image i.json >/dev/null 2>&1
valise -y root sign i.json 2>/dev/null
valise -y root publish i.json 2>/dev/null
# signed_by_new: the newest head is by another key.
signed_by_new() {
	[ "$(valise -o json audit verify | jq -r .signed.keyid)" != "$keyid" ]
}
wait_for 30 "a head by the new key" signed_by_new
valise audit verify log.jsonl >/dev/null || die "the export"

say "a forged signed head, one about another row, one that was moved"
valise audit export log.jsonl >/dev/null
stop_valised
cp "$state/valise.db" good.db
# rewrite FILTER: the log as the filter (jq, on the array of rows) makes it, chained anew, as somebody with the
# database can.
rewrite() {
	local row n=0 k t at previous
	previous=$(printf '%064d' 0)
	jq -sc "$1 | .[]" log.jsonl >rows
	{
		echo 'BEGIN; DROP TRIGGER audit_rows_stay; DELETE FROM audit;'
		while IFS= read -r row; do
			n=$((n + 1))
			at=$(date -d "$(jq -r .at <<<"$row")" +%s)
			previous=$({
				printf %s "$previous" && le64 $n && le64 "$at"
				for k in actor verb subject detail; do
					t=$(jq -r ".$k" <<<"$row")
					le64 ${#t} | cut -c 1-8
					printf %s "$t" | od -An -v -tx1 | tr -d ' \n'
				done
			} | unhex | sha256sum | cut -d' ' -f1)
			jq -r --arg n $n --arg at "$at" --arg h "$previous" --arg q "'" \
				'[$n, $at] + ([.actor, .verb, .subject, .detail] | map($q + gsub($q; $q + $q) + $q)) + ["x" + $q + $h + $q]
				| "INSERT INTO audit VALUES (" + join(",") + ");"' <<<"$row"
		done <rows
		echo "CREATE TRIGGER audit_rows_stay BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'audit rows are never removed'); END; COMMIT;"
	} | database -bail "$state/valise.db" || die "rewrite"
}
# shows STATUS TEXT FILTER: with the log written anew, somebody who never looked before is told.
shows() {
	rm -f "$state/valise.db-wal" "$state/valise.db-shm"
	cp good.db "$state/valise.db"
	rewrite "$3"
	start_valised limit.client_rate=0 "listen.port=$port" audit.sign_interval=30d
	rm -rf "$home/audit"
	fails "$1" "$2" "$v" audit verify
	stop_valised
}
shows 76 "is by no key that a root ever named" 'map(if .verb == "audit.head" then .detail |= (split(" ") | .[1] |= (if .[:1] == "0" then "1" else "0" end) + .[1:] | join(" ")) else . end)'
shows 76 "does not fit" 'map(if .verb == "audit.head" then .detail |= .[:-1] + (if .[-1:] == "0" then "1" else "0" end) else . end)'
shows 76 "does not fit" 'map(if .n == 2 then .subject = "evil" else . end)'
shows 65 "is no signed head of the row before it" 'map(select(.n != 2))'
shows 65 "is no signed head" 'map(if .verb == "audit.head" then .detail = "x" else . end)'

say "without the signed heads it is whole, and whoever looked before has the proof that it is another one"
cp good.db "$state/valise.db"
rewrite 'map(select(.verb != "audit.head")) | map(if .n == 2 then .subject = "evil" else . end)'
start_valised limit.client_rate=0 "listen.port=$port" audit.sign_interval=1s
rm -rf "$home/audit"
"$v" -q audit verify >/dev/null || die "a log without signed heads"
mkdir -p -m 700 "$home/audit"
row=$(grep '"verb":"audit.head"' log.jsonl | sed -n 1p)
n=$(jq -r .subject <<<"$row")
printf '%s %s %s\n' "$n" "$(grep "\"n\":$n," log.jsonl | jq -r .hash)" "$(jq -r .detail <<<"$row")" >"$home/audit/signed"
fails 65 "is another one than was found good earlier" "$v" audit verify
