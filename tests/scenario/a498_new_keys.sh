#!/bin/bash
# A handset's keys change by the word of both, the old one and the new: who has one of them, or neither, changes nothing;
# what was recorded is worth nothing later; a key that was replaced is refused with the reason.
. "$TOP/tests/support/lib.sh"
for t in jq curl; do
	command -v $t >/dev/null || skip "$t is missing: apt install $t"
done
init_valised
start_valised limit.device_rate=0 limit.client_rate=0
init_organisation acme

enrolled_handset victim
victim=$device
enrolled_handset other

# The public key of a handset's state folder is in no file of it, but in the database.
sql() { database -readonly "$state/valise.db" "$1"; }
key_of() { sql "SELECT hex(identity) FROM devices WHERE id = '$1'" | tr A-F a-f; }
key=$(key_of "$victim")
shows() { "$bin/valise" -o json device show "$victim" | jq -r "$1"; }
new() { echo "$TMPDIR/handset-$1"; }
print=$(shows .fingerprint)

# refused STATUS REASON HANDSET COMMAND...: and nothing has changed.
refused() {
	local status=$1 reason=$2
	shift 2
	if handset "$@" >out 2>err; then die "$*: $(cat out)"; fi
	grep -q "^status $status" err || die "$*: wanted $status: $(cat err)"
	grep -q "$reason" err || die "$*: no word of \"$reason\": $(cat err)"
	[ "$(shows .fingerprint)" = "$print" ] || die "$*: the keys changed"
	handset victim checkin by=identity "device=$victim" >/dev/null || die "$*: the victim is locked out"
}

say "who knows the old public key only, or has a new key only"
handset thief rekey "$(new thief2)" "device=$victim" 2>/dev/null && die "a stranger's key"
refused 401 "not by key" thief rekey "$(new thief2)" "device=$victim"
refused 401 "old key" thief rekey "$(new thief2)" "device=$victim" "old=$key"
say "another enrolled handset, in the victim's name"
refused 401 "not by key" other rekey "$(new thief2)" "device=$victim"
refused 401 "old key" other rekey "$(new thief2)" "device=$victim" "old=$key"
say "the old key alone: the new one has to sign too"
refused 401 "not by key" victim rekey "$(new thief2)" by=old
say "a key that is another handset's"
refused 409 "another one's" victim rekey "$(new other)"
say "a device that does not exist"
refused 401 "not by key" victim rekey "$(new v2)" device=00000000000000000000000000000000
say "a device that waits for approval, or was revoked"
wants 201 POST /v1/tickets -d '{"groups": [], "approval": "manual", "ttl_s": 600}'
handset waits enrol "$(json .token)" >/dev/null || die "enrol"
refused 403 "approval" waits rekey "$(new thief2)"
enrolled_handset gone
# Nothing that was signed in the server's first second counts, and what is recorded cannot ask for the time: skew=2.
handset gone rekey "$(new gone2)" raw=gone.request skew=2 || die "gone"
"$bin/valise" -q -y device revoke "$device" >/dev/null
refused 403 "revoked" gone rekey "$(new gone2)"
send_raw gone.request answer
grep -q '^HTTP/1.1 403' answer || die "recorded before it was revoked: $(head -n 1 answer)"

say "a wrong clock costs a round trip; what is recorded counts once"
handset victim rekey "$(new v2)" raw=first.request skew=-90000
send_raw first.request answer
grep -q '^HTTP/1.1 401' answer || die "a day late: $(head -n 1 answer)"
grep -q server_time answer || die "no time: $(cat answer)"
handset victim rekey "$(new v2)" raw=second.request skew=2
handset victim checkin >/dev/null || die "check-in" # its session is of the old key
handset victim sign 1 session.request >/dev/null || die "session"
handset victim rekey "$(new v2)" skew=-90000 >out || die "a clock that is a day late: $(cat out)"
jq -e .fingerprint out >/dev/null || die "$(cat out)"
[ "$(shows .fingerprint)" = "$(jq -r .fingerprint out)" ] || die "the server has other keys"
[ "$(shows .key_changes)" = 1 ] || die "$(shows .key_changes) changes"
[ "$(shows .id)" = "$victim" ] || die "another name"

say "the answer was lost: the same again is quietly done, from the new key only"
handset victim rekey "$(new v2)" >again || die "again"
cmp out again
send_raw second.request answer
grep -q '^HTTP/1.1 200' answer || die "signed before, by the new key: $(head -n 1 answer)"
send_raw second.request answer
grep -q 'seen before' answer || die "a replay: $(cat answer)"
[ "$(shows .key_changes)" = 1 ] || die "$(shows .key_changes) changes"
[ "$("$bin/valise" -o json audit list | jq "[.items[] | select(.verb == \"device.rotate_key\" and .subject == \"$victim\")] | length")" = 1 ] ||
	die "the audit log: $("$bin/valise" audit list)"

say "the old key is refused for everything, with the reason; its session is over"
for what in "checkin by=identity" "checkin" "rekey $(new v3)"; do
	# shellcheck disable=SC2086
	if handset victim $what >out 2>err; then die "$what: $(cat out)"; fi
	grep -q "replaced by a newer one" err || die "$what: $(cat err)"
	grep -q "^status 403" err || die "$what: $(cat err)"
done
send_raw session.request answer
grep -q '^HTTP/1.1 401' answer || die "the old session: $(head -n 1 answer)"
grep -q 'device.old_key' "$TMPDIR/server.log" || die "nobody was told"
wants 201 POST /v1/tickets -d '{"groups": [], "approval": "auto", "ttl_s": 600}'
if handset victim enrol "$(json .token)" >out 2>err; then die "enrolled by the old key"; fi
grep -q "replaced" err || die "$(cat err)"

say "the new key is the device's; a second change makes the first one's record worth nothing"
handset v2 checkin "device=$victim" >/dev/null || die "the new key"
handset v2 checkin by=identity "device=$victim" >/dev/null || die "the new key signs"
handset victim rekey "$(new v2)" raw=third.request skew=2
handset v2 rekey "$(new v3)" "device=$victim" >/dev/null || die "the second change"
send_raw third.request answer
grep -q '^HTTP/1.1 40[13]' answer || die "the first change after the second: $(head -n 1 answer)"
handset v3 checkin by=identity "device=$victim" >/dev/null || die "the third key"
if handset v3 rekey "$(new victim)" "device=$victim" >out 2>err; then die "back to the first key"; fi
grep -q "^status 409" err || die "$(cat err)"

say "of two changes in a race one wins, and the other is told"
for n in 1 2 3 4; do
	handset v3 rekey "$(new "race$n")" "device=$victim" >"race$n.out" 2>&1 &
	racers[n]=$!
done
won=()
for n in 1 2 3 4; do
	if wait "${racers[n]}"; then won+=("$n"); else grep -q "^status 40[39]" "race$n.out" || die "$(cat "race$n.out")"; fi
done
[ ${#won[@]} = 1 ] || die "${#won[@]} won"
handset "race${won[0]}" checkin by=identity "device=$victim" >/dev/null || die "the winner"
[ "$(shows .key_changes)" = 3 ] || die "$(shows .key_changes) changes"

say "not more than 16 a day"
old=race${won[0]}
for n in $(seq 4 16); do
	handset "$old" rekey "$(new "k$n")" "device=$victim" >/dev/null 2>err || die "$n: $(cat err)"
	old=k$n
done
if handset "$old" rekey "$(new k17)" "device=$victim" >out 2>err; then die "a 17th"; fi
grep -q "^status 429" err || die "$(cat err)"
handset "$old" checkin by=identity "device=$victim" >/dev/null || die "and goes on"
