#!/bin/bash
# Jobs of the server that makes deltas: it is killed, its process is killed, the release is withdrawn.
. "$TOP/tests/support/deltas.sh"
start_organisation
phone 1.0 good 3000000
roll_out 1.0
enrol_handset
once 0

say "the server is killed while one is made: the next start makes it"
hold_makers
similar 1.1 1.0
wait_for 120 "the job" delta_is 1.1 1.0 making
stop_valised KILL
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port"
wait_for 300 "the delta" delta_is 1.1 1.0 made
sha=$(delta 1.1 1.0 .sha256)

say "what is made stays over a restart"
stop_valised
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port"
[ "$(delta 1.1 1.0 .sha256)" = "$sha" ] || die "$(valise release show acme/1.1)"
curl -fsk -o delta "$url/objects/$sha"
[ "$(stat -c %s delta)" = "$(delta 1.1 1.0 .size)" ] || die "the object has $(stat -c %s delta) bytes"
metric_is deltas_started_total 0 || die "metrics: $(curl -sk "$url/metrics" | grep delta)"

say "its process is killed in the middle: another one makes it"
wait_for 300 "the end of all jobs" metric_is deltas_making 0
one_process() {
	worker=$(children delta)
	[ -n "$worker" ] && ! is_gone "$worker"
}
wait_for 120 "a process" one_process
# Ticks of processor time, as its process sits and waits: with a job they rise.
ticks() {
	cut -d ' ' -f 14 "/proc/$worker/stat"
}
idle=$(ticks)
works() {
	[ "$(ticks)" -gt $((idle + 2)) ]
}
similar 1.2 1.0 1500000
wait_for 300 "work" works
kill -KILL "$worker"
wait_for 120 "the loss" metric_is deltas_lost_total 1
wait_for 300 "the delta" delta_is 1.2 1.0 made
metric_is deltas_started_total 2 || die "metrics: $(curl -sk "$url/metrics" | grep delta)"

say "a release is withdrawn while one is made: it is given up, and nothing of it is left"
hold_makers
held=$(children delta)
similar 1.3 1.0
wait_for 120 "the job" delta_is 1.3 1.0 making
valise -y release withdraw acme/1.3 >/dev/null
wait_for 120 "the end of it" metric_is deltas_cancelled_total 1
[ "$(valise -o json release show acme/1.3 | jq '.deltas | length')" = 0 ] || die "$(valise release show acme/1.3)"
release_makers
wait_for 120 "the end of its process" is_gone "$held"
similar 1.4 1.0
wait_for 300 "the delta" delta_is 1.4 1.0 made

