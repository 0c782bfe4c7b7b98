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

say "one in an earlier version of the coding is not offered any more, and made anew"
stop_valised
database "$state/valise.db" "UPDATE deltas SET coding = coding - 1"
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port"
wait_for 300 "a new delta" metric_is deltas_made_total 1
wait_for 300 "the delta" delta_is 1.1 1.0 made
[ "$(delta 1.1 1.0 .sha256)" = "$sha" ] || die "the same coding gives other bytes"

# in_the_middle SIGNAL VERSION: what makes VERSION.N gets the signal while it works.  It may be quicker than we
# are; then the next N has its turn.  Sets $made_of (VERSION.N).
one_process() {
	worker=$(children delta)
	[ -n "$worker" ] && ! is_gone "$worker"
}
# Ticks of processor time, as its process sits and waits: with a job they rise.
ticks() {
	cut -d ' ' -f 14 "/proc/$worker/stat" 2>/dev/null || echo 0
}
works_or_has_ended() {
	is_gone "$worker" || [ "$(ticks)" -gt $((idle + 2)) ]
}
lost_or_made() {
	[ "$(metric deltas_lost_total)" -gt "$lost" ] || delta_is "$made_of" 1.0 made
}
in_the_middle() {
	local n
	lost=$(metric deltas_lost_total)
	for n in 1 2 3 4 5; do
		made_of=$2.$n
		wait_for 300 "the end of all jobs" metric_is deltas_making 0
		wait_for 120 "a process" one_process
		idle=$(ticks)
		similar "$made_of" 1.0 1500000
		wait_for 300 "work" works_or_has_ended
		kill "-$1" "$worker" 2>/dev/null || true
		wait_for 300 "its loss" lost_or_made
		[ "$(metric deltas_lost_total)" = "$lost" ] || return 0
		kill -KILL "$worker" 2>/dev/null || true # stopped, when all was done
	done
	die "never in the middle"
}

say "its process is killed in the middle: another one makes it"
in_the_middle KILL 1.2
wait_for 300 "the delta" delta_is "$made_of" 1.0 made

say "it stops there for ever: it is ended, and another one makes it"
restart() {
	stop_valised
	start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port" "$@"
}
restart delta.silence=2s
in_the_middle STOP 1.3
wait_for 60 "its end" is_gone "$worker"
grep -q "child.stuck duty=delta" server.log || die "nobody ended it"
restart # a busy machine may leave a process no time within two seconds
wait_for 300 "the delta" delta_is "$made_of" 1.0 made

say "a release is withdrawn while one is made: it is given up, and nothing of it is left"
hold_makers
held=$(children delta)
similar 1.5 1.0
wait_for 120 "the job" delta_is 1.5 1.0 making
valise -y release withdraw acme/1.5 >/dev/null
wait_for 120 "the end of it" metric_is deltas_cancelled_total 1
[ "$(valise -o json release show acme/1.5 | jq '.deltas | length')" = 0 ] || die "$(valise release show acme/1.5)"
release_makers
wait_for 120 "the end of its process" is_gone "$held"
similar 1.6 1.0
wait_for 300 "the delta" delta_is 1.6 1.0 made

