#!/bin/bash
# Nobody signs again by hand what runs out: the server does, before it has run out; also after a long sleep.
. "$TOP/tests/support/handset.sh"
command -v faketime >/dev/null || skip "faketime is missing: apt install faketime"
# The command itself would stand between us and the server: its library is enough.
preload=$(faketime -f +0 env | sed -n 's/^LD_PRELOAD=//p')

# start_at OFFSET: the server with its clock moved ("+0", "+13h", ...).
start_at() {
	rm -f "$state/run/port"
	FAKETIME=$1 LD_PRELOAD=$preload "$bin/valised" run "${server_settings[@]}" --set limit.client_rate=0 >>server.log 2>&1 &
	server_pid=$!
	started+=("$server_pid")
	wait_for 30 "the server's port" port_is_there
	port=$(cat "$state/run/port")
	url=https://127.0.0.1:$port
	wait_for 30 "the server" curl -fsk -o /dev/null "$url/healthz"
}
# Versions of timestamp and snapshot, and how long the timestamp lives from $1 on (hours).
look() {
	wants 200 GET /tuf/image/timestamp.json
	timestamp=$(json .signed.version)
	snapshot=$(json '.signed.meta["snapshot.json"].version')
	timestamp_until=$(date -d "$(json .signed.expires)" +%s)
	wants 200 GET "/tuf/image/$snapshot.snapshot.json"
	snapshot_until=$(date -d "$(json .signed.expires)" +%s)
}
renewed() {
	look
	[ "$timestamp" != "$1" ]
}
test_not_ready() {
	api GET /readyz
	[ "$status" = 503 ]
}
now=$(date +%s)
hour=3600

init_valised
start_at +0
init_organisation acme
look
first=$timestamp
[ $(((timestamp_until - now) / hour)) -ge 23 ] && [ $(((snapshot_until - now) / hour)) -ge 167 ] || die "lives"

say "before half of its life nothing is signed anew"
stop_valised
start_at +11h
wants 200 GET /readyz
look
[ "$timestamp" = "$first" ] || die "signed too early"

say "after half of the timestamp's life it is, with the snapshot as it was"
stop_valised
before=$snapshot
start_at +13h
wait_for 30 "a new timestamp" renewed "$first"
[ "$snapshot" = "$before" ] && [ $(((timestamp_until - now) / hour)) -ge 36 ] || die "until $timestamp_until"

say "after half of the snapshot's life both are"
stop_valised
second=$timestamp
start_at +4d
wait_for 30 "a new timestamp" renewed "$second"
[ "$snapshot" != "$before" ] && [ $(((snapshot_until - now) / hour)) -ge 263 ] || die "until $snapshot_until"

say "asleep for a month, all has run out: the server makes it good again by itself"
stop_valised
third=$timestamp
start_at +30d
wait_for 30 "a new timestamp" renewed "$third"
wants 200 GET /readyz

say "a clock that goes back does not make older metadata: versions rise"
stop_valised
start_at +1h
look
[ "$timestamp" -gt "$third" ] || die "version $timestamp"

say "what people have to sign is told before it has run out, and /readyz says when it has"
stop_valised
start_at +400d
wait_for 10 "readyz to complain" test_not_ready
grep -q "expired" "$body" || die "$(cat "$body")"
