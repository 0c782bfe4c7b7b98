#!/bin/bash
# A proxy that keeps the news back: by old files for the new ones, and by leaving them out.  It is noticed when what the
# handset has expires, told, and over when the news comes through.
. "$TOP/tests/support/attack.sh"
start_organisation lease.duration=5m
phone 1.0 good
roll_out 1.0
start_evil
enrol_behind_evil
once 0
image_file timestamp.json >"$e/timestamp.old"
phone 1.1 good
roll_out 1.1

say "left out: nothing to do, until the lease is over"
change_answer 'del(.director, .image_ts)'
once 0
refused 76 'director: timestamp: version [0-9]+ expired at .* and no newer one was sent' --set test.later=301s
says_what_to_do

say "the running agent says it too, once per cause, and the phone goes on"
start_agent
wait_for 20 "the refusal" grep -q 'refused error=expired.*no newer one was sent' agent.log
wait_for 20 "the phone" status_is .vm.healthy true
shown() { status .refused | has 'no newer one'; }
wait_for 20 "the status" shown
told() { on_server '.events[].reason' | has 'no newer one was sent'; }
wait_for 20 "the server's knowledge" told
stop_agent

say "an old timestamp of the image repository"
stop_valised
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port" # with the usual lease
cp -r handset handset.before
rules 'GET,/tuf/image/timestamp.json file timestamp.old'
refused 76 'releases/acme/1.1/release.json: the image repository does not have it'
refused 76 'timestamp: version [0-9]+ expired at' --set test.later=25h
says_what_to_do
rm -rf handset && mv handset.before handset

say "the news comes through"
rules
once 0
grep -q 'to=confirmed release="acme/1.1"' agent.log || die "no update"
updates_still 1.2
only_ran 1.0 1.1 1.2
