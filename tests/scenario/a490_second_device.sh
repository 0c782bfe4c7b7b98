#!/bin/bash
# Another handset, enrolled or not: it replays the first one's requests and ticket, signs in its name, and answers meant for
# one are given to the other.
. "$TOP/tests/support/attack.sh"
begin_attack 1.0
victim=$device

say "recorded requests count once"
enrolled_handset other
other=$device device=$victim
handset other sign 2 requests >length
split -b "$(cat length)" -a 1 requests request.
send_raw request.a answer.1
grep -q '^HTTP/1.1 204' answer.1 || die "the first time: $(head -n 1 answer.1)"
send_raw request.a answer.2
grep -q '^HTTP/1.1 401' answer.2 || die "the second time: $(head -n 1 answer.2)"
grep -q 'seen before' answer.2 || die "no reason: $(cat answer.2)"
# Also not with another body, host, or after a restart of the server.
sed 's/"state":"idle"/"state":"icle"/' request.b >request.c
send_raw request.c answer.3
grep -q '^HTTP/1.1 4' answer.3 || die "another body: $(head -n 1 answer.3)"
sed 's/^Host: [^\r]*/Host: evil.example/' request.b >request.d
send_raw request.d answer.4
grep -q '^HTTP/1.1 401' answer.4 || die "another host: $(head -n 1 answer.4)"
stop_valised
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port"
send_raw request.b answer.5
grep -q '^HTTP/1.1 401' answer.5 || die "after a restart: $(head -n 1 answer.5)"

say "in the other's name: the key of one, the id of the other"
sed "s/keyid=\"[^\"]*\"/keyid=\"$victim\"/" request.b >request.e
send_raw request.e answer.6
grep -q '^HTTP/1.1 401' answer.6 || die "$(head -n 1 answer.6)"

say "a ticket that was used is used up, and what was guessed five times is blocked"
wants 201 POST /v1/tickets -d '{"groups": [], "approval": "auto", "ttl_s": 600}'
used=$(json .token)
handset third enrol "$used" >third.out || die "third"
if handset fourth enrol "$used" >fourth.out 2>&1; then die "a second handset with the same ticket"; fi
grep -q 'auth\|denied\|gone' fourth.out || die "no reason: $(cat fourth.out)"
sql "SELECT count(*) FROM devices" | has -x 3 || die "devices: $(sql 'SELECT id FROM devices')"

say "an answer meant for the other"
phone 1.1 good
roll_out 1.1
handset other checkin >"$e/others" || die "the other's check-in"
jq -e .director "$e/others" >/dev/null || die "no metadata for the other"
rules 'POST,/v1/checkin file others'
refused 76 "it is for device $other, this is $victim"
says_what_to_do

say "a revoked handset gets nothing, with the session that it has neither"
handset other sign 1 late >length
valise -y device revoke "$other" >/dev/null
send_raw late answer.7
grep -q '^HTTP/1.1 40[13]' answer.7 || die "$(head -n 1 answer.7)"
updates_still 1.2
only_ran 1.0 1.2
