#!/bin/bash
# Downloads that are cut: by the agent's death at each tenth, and by a server that goes away and comes back.
# What was verified is not fetched again, and nobody has to help.
. "$TOP/tests/support/handset.sh"
start_organisation
phone 1.0 good 1000000
roll_out 1.0
enrol_handset
once 0

say "killed at each tenth, the next start fetches what is missing and little more"
n=0
for percent in 10 20 30 40 50 60 70 80 90; do
	n=$((n + 1))
	phone "1.$n" good 20000000
	roll_out "1.$n"
	object=$(find "$state/objects" -size +5000k -newer "phone-1.$n/release.in.json" -printf '%s\n' | sort -n | tail -n 1)
	once 137 --set "test.crash=stage-$percent"
	: >agent.log
	once 0
	fetched=$(sed -n "s/.* staged release=acme\/1.$n fetched_bytes=\([0-9]*\) .*/\1/p" agent.log)
	# Half of the content compresses to nothing, so bytes and percents differ; what had been written must not
	# be asked for again, but for the pieces that were in the threads' hands.
	reused=$(sed -n "s/.* staged .* reused_bytes=\([0-9]*\) .*/\1/p" agent.log)
	[ "$reused" -ge $((20000000 * percent / 100)) ] || die "at $percent %: only $reused bytes were there"
	[ "$fetched" -le $((object - object * percent / 200 + 1100000)) ] || die "at $percent %: $fetched of $object bytes again"
done

say "the server goes away in the middle; the agent goes on by itself when it is back"
phone 2.0 good 20000000
roll_out 2.0
once 137 --set test.crash=stage-40
: >agent.log
stop_valised KILL
start_agent
wait_for 30 "a failed try" grep -q 'checkin error=network' agent.log
wait_for 30 "a healthy phone" status_is .vm.healthy true
[ "$(status .release)" = acme/1.9 ] || die "$(status .release) runs"
start_valised poll.interval=1s limit.device_rate=0 limit.client_rate=0 "listen.port=$port"
wait_for 90 "the update" status_is .release acme/2.0
stop_agent

say "an object that is gone is final: given up at once, and reported"
phone 2.1 good 3000000
roll_out 2.1
find "$state/objects" -size +1000k -newer agent.log -delete
once 11
grep -q 'to=failed release="acme/2.1"' agent.log || die "not given up"
[ "$(on_server .update)" = failed ] || die "the server shows $(on_server .update)"
