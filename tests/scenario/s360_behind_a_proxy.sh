#!/bin/bash
# The main job through nginx as deploy/nginx.conf sets it up: publish, enrol, check in, fetch by range, install.
# Signatures survive it, and its log tells what an idle check-in costs above TLS: at most 1 KiB each way.
. "$TOP/tests/support/handset.sh"
. "$TOP/tests/support/front.sh"
init_valised
start_behind poll.interval=1s limit.device_rate=0 limit.client_rate=0
start_front
init_organisation acme

phone 1.0 good 3000000
roll_out 1.0
enrol_handset
once 0
grep -q 'to=confirmed release="acme/1.0"' agent.log || die "not installed through the proxy"
awk '$2 ~ "^/objects/" && $3 == 206 { n++ } END { exit n < 2 }' front-access.txt || die "not fetched by ranges"
awk '$1 == "PATCH" && $2 ~ "^/v1/uploads/" && $3 == 204 { n++ } END { exit n < 1 }' front-access.txt || die "not uploaded through it"

say "a download that is cut goes on where it was"
phone 1.1 good 20000000
roll_out 1.1
once 137 --set test.crash=stage-50
: >agent.log
once 0
reused=$(sed -n "s/.* staged .* reused_bytes=\([0-9]*\) .*/\1/p" agent.log)
[ "$reused" -ge 10000000 ] || die "only $reused bytes were there"

say "an idle check-in"
: >front-access.txt
start_agent
idle() { awk '$2 == "/v1/checkin" && $3 == 204 { n++ } END { exit n < 6 }' front-access.txt; }
wait_for 30 "polls" idle
stop_agent
awk '$2 == "/v1/checkin" && $3 == 204 { up = $4; down = $5 }
	END { print "up " up " bytes, down " down " bytes"; exit up > 1024 || down > 1024 }' front-access.txt ||
	die "more than 1 KiB"
