#!/bin/bash
# Enrolment and check-ins as the server sees them: tickets, clocks, replays, limits, and idle polls that write
# nothing and are small.
. "$TOP/tests/support/lib.sh"
init_valised
start_valised limit.device_rate=2 limit.device_burst=200
init_organisation acme
make_release v1 acme 1.0.0
"$bin/valise" publish v1 -q >/dev/null 2>&1 || die publish

ticket() {
	wants 201 POST /v1/tickets -d "$1"
	token=$(json .token)
	id=$(json .id)
}

say "a ticket is for one handset; the same handset may ask again"
ticket '{"groups": ["sales"], "approval": "auto", "ttl_s": 600}'
handset a enrol "$token" >a.json || die "enrol"
jq -e '.state == "active" and (.fingerprint | test("^[A-Z2-7]{4}(-[A-Z2-7]{4}){3}$"))' a.json >/dev/null || die "$(cat a.json)"
device=$(jq -r .device a.json)
handset a enrol "$token" >again.json || die "enrol again"
[ "$(jq -r .device again.json)" = "$device" ] || die "another device"
if handset b enrol "$token" 2>err; then die "two handsets with one ticket"; fi
grep -q "status 410" err || die "$(cat err)"

say "two at once: one wins"
ticket '{"approval": "auto"}'
handset r1 enrol "$token" >r1.out 2>&1 &
one=$!
handset r2 enrol "$token" >r2.out 2>&1 &
two=$!
won=0
wait $one && won=$((won + 1))
wait $two && won=$((won + 1))
[ $won = 1 ] || die "$won of two: $(cat r1.out r2.out)"

say "revoked, unknown and foreign tickets"
ticket '{"approval": "auto"}'
wants 200 DELETE "/v1/tickets/$id"
json '.state == "revoked"'
if handset c enrol "$token" 2>err; then die "a revoked ticket was good"; fi
grep -qE "status (410|401|403)" err || die "$(cat err)"
if handset c enrol 00112233445566778899aabbccddeeff 2>err; then die "a guessed ticket was good"; fi
grep -q "status 401" err || die "$(cat err)"
ticket '{"approval": "auto", "serial": "SN1"}'
for _ in 1 2 3 4 5; do
	if handset c enrol "$token" compact SN2 2>err; then die "a ticket for another handset was good"; fi
done
if handset c enrol "$token" compact SN1 2>err; then die "a ticket was good after five tries"; fi

say "approval by hand: 202, then the administrator, then active"
ticket '{"approval": "manual"}'
handset m enrol "$token" >m.json || die "enrol"
jq -e '.state == "pending"' m.json >/dev/null || die "$(cat m.json)"
manual=$(jq -r .device m.json)
if handset m checkin 2>err; then die "a pending handset was served"; fi
grep -q "status 403" err || die "$(cat err)"
wants 200 GET "/v1/devices?state=pending"
json ".items | length == 1 and .[0].id == \"$manual\""
wants 200 POST "/v1/devices/$manual/approve"
handset m enrol "$token" | jq -e '.state == "active"' >/dev/null || die "still pending"
handset m checkin >/dev/null || die "not served"

say "a rollout reaches the handset with its next check-in"
handset a checkin >c1.json || die "check-in"
jq -e '.director.targets | fromjson | .signed | .valise.device == "'"$device"'" and (.targets | length) == 0' c1.json >/dev/null || die "$(cat c1.json)"
wants 201 POST /v1/rollouts -d '{"product": "acme", "version": "1.0.0", "target": {"group": "sales"}}'
handset a checkin >c2.json || die "check-in"
jq -e '.director.targets | fromjson | .signed.targets | keys == ["releases/acme/1.0.0/release.json"]' c2.json >/dev/null || die "$(cat c2.json)"
jq -e '.offers | keys == ["kernel", "system"]' c2.json >/dev/null || die "$(cat c2.json)"
handset m checkin >c3.json
jq -e 'has("director") | not or (.director.targets | fromjson | .signed.targets == {})' c3.json >/dev/null || die "$(cat c3.json)"
wants 200 GET "/v1/devices/$device"
json '.release.wanted == "acme/1.0.0"'

say "director versions only rise, also over a restart"
v1=$(jq '.director.timestamp | fromjson | .signed.version' c2.json)
stop_valised
start_valised limit.device_rate=10 limit.device_burst=200
wants 200 POST /v1/releases/acme/1.0.0/withdraw
handset a checkin >c4.json || die "check-in"
v2=$(jq '.director.timestamp | fromjson | .signed.version' c4.json)
[ "$v2" -gt "$v1" ] || die "$v2 after $v1"
# Withdrawn: no longer granted.
jq -e '.director.targets | fromjson | .signed.targets == {}' c4.json >/dev/null || die "$(cat c4.json)"

say "idle check-ins write nothing, sign nothing, and are small"
n=10
counted() {
	echo "rows $(metric store_row_changes_total) commits $(metric store_commits_total)" \
		"pages $(metric store_wal_frames_total) signed $(metric checkins_director_total)"
}
# idle_checkins STATUS: those of idle.raw, with this answer to each.
idle_checkins() {
	local i idle
	idle=$(metric checkins_idle_total)
	for i in $(seq 0 $((n - 1))); do
		part idle.raw $((i * length)) "$length" >one.raw
		send_raw one.raw answer.$i
		grep -q "^HTTP/1.1 $1" answer.$i || die "$i: $(cat answer.$i)"
		[ "$(stat -c %s answer.$i)" -le 1024 ] || die "an idle answer of $(stat -c %s answer.$i) bytes"
	done
	[ "$(metric checkins_idle_total)" = $((idle + n)) ] || die "idle: $(metric checkins_idle_total), wanted $((idle + n))"
}
# write_nothing STATUS FIELD...: ten check-ins with these fields.
write_nothing() {
	local status=$1 round before after
	shift
	# The server's own timers write too, now and then: more often within a round that a loaded machine
	# makes long, but not in each of ten.
	for round in $(seq 10); do
		length=$(handset a sign $n idle.raw "$@") || die "sign"
		[ "$length" -le 1024 ] || die "an idle request of $length bytes"
		before=$(counted)
		idle_checkins "$status"
		after=$(counted)
		[ "$before" != "$after" ] || break
		[ "$round" != 10 ] || die "before $before; after $after"
	done
	echo "an idle request is $length bytes, an idle answer $(stat -c %s answer.0)"
}
# To agents that read no answer without a body, one with a body.
write_nothing 200 body=always
tail -n 1 answer.0 | jq -e 'keys == ["poll_s", "v"]' >/dev/null || die "$(cat answer.0)"
write_nothing 204
for i in $(seq 0 $((n - 1))); do
	grep -qE $'^Retry-After: [1-9][0-9]*\r$' answer.$i || die "$i: $(cat answer.$i)"
	[ "$(tail -c 4 answer.$i | od -An -tx1)" = " 0d 0a 0d 0a" ] || die "$i has a body: $(cat answer.$i)"
done

say "a replay is refused; an altered request too"
part idle.raw 0 "$length" >one.raw
send_raw one.raw answer
grep -q '^HTTP/1.1 401' answer || die "a replay: $(cat answer)"
grep -q 'seen before' answer || die "$(cat answer)"
handset a sign 1 fresh.raw >/dev/null
sed 's/"slot"/"slOt"/; s/"agent":"0.1.0"/"agent":"0.1.1"/' fresh.raw >altered.raw
send_raw altered.raw answer
grep -q '^HTTP/1.1 401' answer || die "an altered body: $(cat answer)"
sed 's#POST /v1/checkin#POST /v1/session#' fresh.raw >altered.raw
send_raw altered.raw answer
grep -q '^HTTP/1.1 401' answer || die "another path: $(cat answer)"

say "a session key gets no other session: who stole one has it until it is over"
handset a sign 1 again.raw path=/v1/session >/dev/null
send_raw again.raw answer
grep -q '^HTTP/1.1 401' answer && grep -q "the device's own key" answer || die "$(cat answer)"

say "a wrong clock costs one round trip, not the handset"
refused=$(metric auth_refused_clock_total)
handset a checkin skew=-86400 >/dev/null || die "a day late"
handset a checkin skew=31536000 >/dev/null || die "a year early"
[ "$(metric auth_refused_clock_total)" -gt "$refused" ] || die "nobody noticed"

say "a request signed before the server started is a wrong clock too: replays do not survive a restart"
handset a sign 1 before.raw >/dev/null
stop_valised
while [ "$(date +%s)" = "$(stat -c %Y before.raw)" ]; do sleep 0.1; done
start_valised limit.device_rate=1 limit.device_burst=10 "listen.port=$port"
send_raw before.raw answer
grep -q '^HTTP/1.1 401' answer || die "$(cat answer)"
grep -q server_time answer || die "$(cat answer)"
handset a checkin >/dev/null || die "after a restart"

say "events are stored once, acknowledged, and want the device's own key"
handset a checkin release=acme/1.0.0 event=1:rolled_back:'health: no report in 60 s' | jq -e '.ack == 1' >/dev/null || die "no ack"
handset a checkin release=acme/1.0.0 event=1:rolled_back:'health: no report in 60 s' | jq -e '.ack == 1' >/dev/null || die "no ack"
wants 200 GET "/v1/devices/$device"
json '.events | length == 1 and .[0].reason == "health: no report in 60 s" and .[0].state == "rolled_back"'

say "a device that asks too often is told to wait"
# All at once on one connection: a slow machine would be given back one each second.
handset a sign 100 many.raw >/dev/null
: >answer
{
	cat many.raw
	refused() { grep -q 'HTTP/1.1 429' answer; }
	wait_for 10 "a refusal" refused
} | openssl s_client -quiet -no_ign_eof -nocommands -connect "127.0.0.1:$port" >answer 2>/dev/null || true
# Idle answers have a Retry-After too: the refusal's own.
awk '/^HTTP\/1.1 / { status = $2 } tolower($1) == "retry-after:" && status == 429 && $2 + 0 > 0 { ok = 1 } END { exit !ok }' answer ||
	die "$(cat answer)"

say "a reload forgets no contact, not even the last one, and the time the server is up goes on"
stop_valised
start_valised limit.device_rate=0 seen.interval=1s stop.deadline=5s
last_seen() {
	wants 200 GET "/v1/devices/$device"
	json .last_seen_at
}
reloaded() { [ "$(grep -c mgr.reloaded server.log)" -gt "$reloads" ]; }
seconds_later() {
	wants 200 GET /v1/status
	[ "$(json .uptime_s)" -ge "$1" ]
}
handset a checkin >/dev/null || die "check-in"
first=$(last_seen)
# Or one shortly before: contacts that follow within 15 minutes are only written at the end.
written() { [ "$(database "$state/valise.db" "SELECT last_seen_at FROM devices WHERE id = '$device'")" -gt $(($(date -d "$first" +%s) - 800)) ]; }
wait_for 20 "the first contact on disk" written
wait_for 20 "some seconds" seconds_later 3
handset a checkin >/dev/null || die "check-in"
last=$(last_seen)
[ "$last" != "$first" ] || die "no second contact: $last"
web=$(children web) reloads=$(grep -c mgr.reloaded server.log || true)
kill -HUP "$server_pid"
wait_for 20 "the new generation" reloaded
wait_for 20 "the old web's end" is_gone "$web"
[ "$(last_seen)" = "$last" ] || die "last seen $(last_seen), it was $last"
seconds_later 3 || die "up for $(json .uptime_s) seconds only"

say "a revoked device is out at once"
wants 200 POST "/v1/devices/$device/revoke" -d '{"reason": "lost"}'
refused_now() { ! handset a checkin 2>err && grep -q "status 403" err; }
wait_for 40 "the refusal" refused_now
# The log is written after the answer has left.
no_session() { grep 'route=SESSION' server.log | tail -n 1 | has 'status=403'; }
wait_for 10 "the refusal of a session in the log" no_session
