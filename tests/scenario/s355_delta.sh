#!/bin/bash
# Updates by delta: the server makes them for what the fleet runs, the handset applies them, and whatever goes
# wrong on the way costs bytes and nothing else.
. "$TOP/tests/support/deltas.sh"
start_organisation

say "no device, no delta; then the version that the fleet runs gets one"
phone 1.0 good 3000000
roll_out 1.0
enrol_handset
once 0
similar 1.1 1.0
wait_for 300 "the delta" delta_is 1.1 1.0 made
size=$(delta 1.1 1.0 .size)
full=$(delta 1.1 1.0 .full_size)
[ "$size" -lt 40000 ] && [ "$full" -gt 1000000 ] || die "the delta has $size bytes, the object $full"
[ "$(delta 1.1 1.0 .devices)" = 1 ] || die "devices: $(delta 1.1 1.0 .devices)"
valise release show acme/1.1 | has 'system .*1.0 .*made' || die "release show: $(valise release show acme/1.1)"
metric_is deltas 1 || die "metrics: $(curl -sk "$url/metrics" | grep delta)"

say "the handset takes it"
roll_out 1.1
once 0
fetched=$(staged fetched_bytes)
[ "$(staged delta_bytes)" = "$size" ] || die "fetched as delta: $(staged delta_bytes), it has $size"
[ "$fetched" -lt $((size + 200000)) ] || die "fetched $fetched bytes"
[ -z "$(ls handset/slots/b | grep = || true)" ] || die "the delta was left behind"
[ "$(on_server .release.applied)" = acme/1.1 ] || die "the server shows $(on_server .release.applied)"

say "the handset dies while a delta comes and while it is applied: it goes on from there, by delta"
similar 3.0 1.1
wait_for 300 "the delta" delta_is 3.0 1.1 made
roll_out 3.0
once 137 --set test.crash=delta-download
ls handset/slots/a | has '^=' || die "no part of the delta is kept"
once 137 --set test.crash=delta-half
once 0
[ "$(staged delta_bytes)" = 0 ] || die "the delta was fetched again: $(staged delta_bytes)"
[ "$(staged fetched_bytes)" -lt 100000 ] || die "fetched $(staged fetched_bytes) bytes"
[ "$(on_server .release.applied)" = acme/3.0 ] || die "the server shows $(on_server .release.applied)"

say "a damaged delta on the server: the full object is fetched, and the handset says why"
similar 3.1 3.0
wait_for 300 "the delta" delta_is 3.1 3.0 made
damage 3.1 3.0
roll_out 3.1
once 0
grep -q 'delta release=acme/3.1 .*system: delta: not the bytes that were offered' agent.log || die "no reason"
[ "$(on_server .release.applied)" = acme/3.1 ] || die "the server shows $(on_server .release.applied)"
[ "$(staged fetched_bytes)" -gt 1000000 ] || die "fetched $(staged fetched_bytes) bytes"

say "a damaged place in the old image: that place is fetched, all else is made"
similar 3.2 3.1
wait_for 300 "the delta" delta_is 3.2 3.1 made
slot=$(sed -n 's/.*to=confirmed release="acme\/3.1" active=\(.\).*/\1/p' agent.log | tail -n 1)
printf damaged | dd of="handset/slots/$slot/system" bs=1 seek=1000000 conv=notrunc status=none
roll_out 3.2
once 0
grep -q 'delta release=acme/3.2 .*system: delta: ' agent.log || die "no reason"
[ "$(staged delta_bytes)" -gt 10000 ] || die "no delta"

say "with image.delta_fallback unmetered, the full object waits for a network that costs nothing"
fallback() {
	echo "{ \"name\": \"base\", \"settings\": { \"image.update_mode\": \"auto\", \"image.network\": \"any\",
		\"image.delta_fallback\": \"$1\" } }" >policy.json
	valise policy publish policy.json >/dev/null && valise -y policy assign base --all >/dev/null
	once 0
}
fallback unmetered
similar 3.3 3.2
wait_for 300 "the delta" delta_is 3.3 3.2 made
damage 3.3 3.2
roll_out 3.3
once 75 --set network=metered
grep -q 'stage error=busy .*keeps it from the full download' agent.log || die "no reason"
[ "$(on_server .release.applied)" = acme/3.2 ] || die "the server shows $(on_server .release.applied)"
once 0
[ "$(on_server .release.applied)" = acme/3.3 ] || die "the server shows $(on_server .release.applied)"
[ "$(staged fetched_bytes)" -gt 1000000 ] || die "fetched $(staged fetched_bytes) bytes"

say "with never, the same ends the update"
fallback never
similar 3.4 3.3
wait_for 300 "the delta" delta_is 3.4 3.3 made
damage 3.4 3.3
roll_out 3.4
once 11
grep -q 'to=failed release="acme/3.4" .*keeps it from the full download' agent.log || die "no reason"
[ "$(on_server .release.applied)" = acme/3.3 ] || die "the server shows $(on_server .release.applied)"
