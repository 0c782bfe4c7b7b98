#!/bin/bash
# Answers without end, one byte a second, of the wrong length, cut, altered, missing: of each thing a handset asks for.
. "$TOP/tests/support/attack.sh"
begin_attack 1.0
cp -r handset handset.before
phone 1.1 good 3000000
roll_out 1.1
snapshot=$(version_of snapshot).snapshot.json

# fresh: as if it had not asked before.
fresh() {
	rm -rf handset && cp -r handset.before handset
}
limits=(--set test.stall=1s)

say "without end: no more is read than may be, and it says so"
for what in POST,/v1/checkin GET,/tuf/image/timestamp.json "GET,/tuf/image/$snapshot" GET,/tuf/director/2.root.json; do
	fresh
	rules "$what endless"
	refused '(65|75|69)' 'longer|too_big|too_large|exceed|more than|at most' "${limits[@]}"
	says_what_to_do
done

say "lengths that are not true: claimed too much, too little, far too much; and cut"
for how in 'claim 100000' 'claim 10' 'claim 9223372036854775807' 'longer 10' 'cut 20' drop; do
	for what in POST,/v1/checkin GET,/tuf/image/timestamp.json "GET,/tuf/image/$snapshot" "GET,/objects/*"; do
		fresh
		rules "$what $how"
		refused '(65|69|75|76)' 'error=' "${limits[@]}" --set update.max_failures=1
	done
done

say "altered: each thing"
fresh
change_answer '.director.targets |= sub("1.1"; "1.2")'
refused '(65|76)' 'director: targets: '
for what in GET,/tuf/image/timestamp.json "GET,/tuf/image/$snapshot" "GET,/tuf/image/*.releases.acme.json"; do
	fresh
	rules "$what flip 40"
	refused '(65|76)' 'error=' "${limits[@]}"
done

say "one byte a second: given up after the limit, and the phone runs meanwhile"
fresh
rules 'POST,/v1/checkin drip'
refused 75 'checkin error=timeout' "${limits[@]}"
says_what_to_do
fresh
manifest=$(image_file "$(version_of releases.acme).releases.acme.json" | jq -r '.signed.targets["releases/acme/1.1/release.json"].hashes.sha256')
rules "GET,/objects/$manifest through" 'GET,/objects/* drip'
start_agent "${limits[@]}"
wait_for 20 "the phone" status_is .vm.healthy true
wait_for 20 "the download" status_is .update.state fetching
[ "$(status .release)" = acme/1.0 ] || die "$(status .release) runs"

say "the attack is over: the same agent goes on by itself"
rules
wait_for 60 "the update" grep -q 'to=confirmed release="acme/1.1"' agent.log
stop_agent
updates_still 1.2
only_ran 1.0 1.1 1.2
