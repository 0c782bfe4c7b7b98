#!/bin/bash
# The daemon: what its commands do, planned stops, one agent per folder, an idle poll's size, tickets with
# rivals, approval.
. "$TOP/tests/support/handset.sh"
start_organisation
phone 1.0 good
roll_out 1.0
enrol_handset

say "the sample settings are what the program has, and are read back without complaint"
tail -n +4 "$TOP/deploy/settings/agent.conf" >sample.conf
"$bin/valise-agent" settings | diff sample.conf - || die "deploy/settings/agent.conf: run valise-agent settings again"
"$bin/valise-agent" settings -c sample.conf >/dev/null
echo "state_dri = x" >wrong.conf
got=0
"$bin/valise-agent" settings -c wrong.conf >/dev/null 2>err || got=$?
[ $got = 78 ] && grep -q 'wrong.conf:1' err || die "$got: $(cat err)"

say "only one agent runs on a folder"
start_agent
once 73
got=0
agent enrol --again --model compact VALISE1:AA >/dev/null 2>&1 || got=$?
[ $got = 73 ] || die "enrol beside a running agent: $got"
wait_for 30 "a healthy phone" status_is .vm.healthy true

say "status is for people and for programs"
agent status | has '^active slot  a, acme/1.0$' || die "$(agent status)"
agent status -o json | jq -e '.enrolment == "active" and .slots.a.whole and (.slots.b.whole | not)' >/dev/null ||
	die "$(agent status -o json)"
[ "$(stat -c %a handset/control)" = 600 ] || die "the control socket is open to others"

say "stop and start"
agent stop
wait_for 30 "the stop" status_is .vm.state stopped
agent start
wait_for 30 "a healthy phone" status_is .vm.healthy true

say "SIGTERM shuts the phone down in order"
stop_agent
tail -n 2 agent.log | has 'vm.exited slot=a reason=stopped planned=yes' || die "not in order"
got=0
agent status >/dev/null 2>&1 || got=$?
[ $got = 69 ] || die "status without an agent: $got"

say "a planned restart in a trial is not a failed boot"
phone 1.1 broken
roll_out 1.1
for i in 1 2 3 4 5 6; do
	start_agent
	wait_for 30 "the trial's boot ($i)" status_is '.update.state + .vm.slot + .vm.state' trialbrunning
	stop_agent
done
once 10 --set test.health_deadline=1s
start_agent
wait_for 30 "a healthy phone" status_is .vm.healthy true
[ "$(status .release)" = acme/1.0 ] || die "$(status .release) runs"

say "a power cut in every boot of a trial uses up its tries"
stop_agent
phone 1.2 good
roll_out 1.2
for i in 1 2 3; do once 137 --set test.crash=trial-booting; done
once 10
grep -q 'reason="the trial boot was cut short every time"' agent.log || die "no reason"

say "a monitor that never starts the guest is given up in time"
phone 1.3 never-starts
roll_out 1.3
once 10 --set vm.start_limit=5s
grep -q 'reason="the guest was not started within 5 s"' agent.log || die "no reason"

say "a guest that switches itself off stays off until it is started"
phone 1.4 poweroff
roll_out 1.4
start_agent
wait_for 30 "the end" grep -q 'reason=poweroff' agent.log
wait_for 30 "the update" status_is .release acme/1.4
wait_for 30 "the stop" status_is .vm.state stopped
stop_agent

say "an idle poll writes nothing on the handset"
marks() {
	stat -c '%n %Y %Z %s' handset/commit.? handset/tuf/*/* handset/want/* handset/events | sha256sum
}
polls() { grep -c ' checkin up=' agent.log; }
polled() { [ "$(polls)" -ge "$1" ]; }
: >agent.log
start_agent
wait_for 30 "the phone's end" grep -q 'reason=poweroff' agent.log
wait_for 30 "the last report" status_is '.vm.state + (.events_waiting | tostring)' stopped0
wait_for 30 "three polls" polled $(($(polls) + 3))
before=$(marks)
wait_for 30 "more polls" polled $(($(polls) + 3))
[ "$before" = "$(marks)" ] || die "an idle poll wrote"
stop_agent

say "two agents race for one ticket: one wins, the other is told why"
ticket=$(valise -o json enrol new --no-qr | jq -r .ticket)
for who in one two; do
	("$bin/valise-agent" enrol --set "state_dir=$TMPDIR/$who" --model compact "$ticket" >$who.out 2>&1 && echo won >$who.rc ||
		echo "lost $?" >$who.rc) &
done
wait %?enrol 2>/dev/null || true
wait_for 30 "both" test -s one.rc -a -s two.rc
[ "$(cat one.rc two.rc | grep -c won)" = 1 ] || die "$(cat one.rc two.rc one.out two.out)"
grep -l won one.rc two.rc >winner
winner=$(cut -d. -f1 winner)
"$bin/valise-agent" enrol --set "state_dir=$TMPDIR/$winner" --model compact "$ticket" >again.out ||
	die "the winner asking again: $(cat again.out)"

say "approval by hand: the same fingerprint on both sides, and nothing before it"
ticket=$(valise -o json enrol new --no-qr --approve | jq -r .ticket)
handset=$TMPDIR/third
agent enrol --model compact "$ticket" >third.out || die "enrol"
grep -q 'has to approve' third.out || die "$(cat third.out)"
third=$(sed -n 's/^device \([0-9a-f]*\) .*/\1/p' third.out)
fingerprint=$(sed -n 's/^fingerprint //p' third.out)
agent enrol -o json --model compact "$ticket" >third.json || die "enrol again"
jq -e --arg d "$third" --arg f "$fingerprint" --arg u "$url" \
	'. == {device: $d, server: $u, fingerprint: $f, pending: true}' third.json >/dev/null || die "$(cat third.json)"
if agent status -o json 2>status.err; then die "nothing runs there"; fi
jq -e '.code == "unavailable" and (.hint | length) > 0' status.err >/dev/null || die "$(cat status.err)"
once 75
[ "$(valise -o json device show "$third" | jq -r .fingerprint)" = "$fingerprint" ] || die "fingerprints differ"
valise -y device approve "$third" >/dev/null
once 0
[ "$(valise -o json device show "$third" | jq -r .release.applied)" = acme/1.4 ] || die "not installed"
grep -q token third/enrolment.json && die "the token is still there"

say "what cannot be done now says what can"
start_agent
for c in install console; do
	if agent $c -o json 2>refused.json; then die "$c"; fi
	jq -e '.hint | test("valise-agent status")' refused.json >/dev/null || die "$c: $(cat refused.json)"
done
stop_agent
got=0
"$bin/valise-agent" status --set "state_dir=$TMPDIR/nowhere" 2>nowhere.err || got=$?
[ $got = 66 ] && grep -q 'hint: .*not enrolled' nowhere.err || die "$got: $(cat nowhere.err)"

say "a revoked handset is told so and keeps its phone"
valise -y device revoke "$third" >/dev/null
got=0
agent once >>agent.log 2>&1 || got=$?
[ $got = 77 ] || die "revoked: status $got"
start_agent
wait_for 30 "the server's word in the status" status_is .enrolment refused
agent status -o json | jq -e '.check_in | (.error | test("revoked")) and (.hint | test("new ticket"))' >/dev/null ||
	die "$(agent status -o json)"
agent status >third.status
grep -q "^device *$third (refused)$" third.status && grep -q '^ *check-in: .*this device was revoked$' third.status &&
	grep -q '^ *hint: enrol it again' third.status || die "$(cat third.status)"
[ "$(status .release)" = acme/1.4 ] || die "its phone is gone"
stop_agent

say "another company: not by accident, and then nothing of the first one is left"
mkdir company2
(
	state=$TMPDIR/company2/state HOME=$TMPDIR/company2
	server_settings[1]=$state
	rm -f admin.token
	init_valised
	start_valised poll.interval=1s
	init_organisation acme
	valise -o json enrol new --no-qr | jq -r .ticket >company2/ticket
	handset=$TMPDIR/handset
	got=0
	agent enrol --model compact "$(cat company2/ticket)" >enrol3.out 2>&1 || got=$?
	[ $got = 73 ] || die "$got: $(cat enrol3.out)"
	grep -q -- --again enrol3.out || die "no hint: $(cat enrol3.out)"
	agent enrol --again --model compact "$(cat company2/ticket)" >enrol3.out 2>&1 || die "$(cat enrol3.out)"
	once 0
	for d in slots/a slots/b data policies; do
		[ -z "$(find "handset/$d" -type f ! -name index.json)" ] || die "$d: $(find "handset/$d")"
	done
	end_all
)
