#!/bin/bash
# The agent dies by SIGKILL in every state of an update, before and after the record says so: the next start
# has the old release or the new one, whole, and ends where it would have ended.
. "$TOP/tests/support/handset.sh"
start_organisation

# Which release would boot, by the monitor's own verification of every byte.
assert_boots_one_of() {
	local text
	: >boot.log
	"$bin/valise-agent" run --set "state_dir=$handset" "${handset_settings[@]}" \
		--set "proxy=http://127.0.0.1:9" >>boot.log 2>&1 &
	local pid=$!
	started+=("$pid")
	wait_for 30 "a healthy phone" grep -q 'health state=healthy' boot.log
	kill -TERM $pid
	wait_for 30 "the agent's end" is_gone $pid
	text=$(sed -n 's/.* vm.start slot=. release=\([^ ]*\) .*/\1/p' boot.log | tail -n 1)
	for wanted; do
		[ "$text" != "$wanted" ] || return 0
	done
	cat boot.log
	die "$text boots, wanted one of: $*"
}

phone 1.0 good
roll_out 1.0
enrol_handset
once 0

n=0
current=acme/1.0
for point in before-offered offered before-fetching fetching stage-50 stage-done before-staged staged \
	before-trial trial trial-booting before-confirmed confirmed; do
	n=$((n + 1))
	say "killed at $point"
	phone "2.$n" good 3000000
	roll_out "2.$n"
	once 137 --set "test.crash=$point"
	assert_boots_one_of "$current" "acme/2.$n"
	once 0
	[ "$(on_server .release.applied)" = "acme/2.$n" ] || die "the server shows $(on_server .release.applied)"
	current=acme/2.$n
done

for point in before-rolled_back rolled_back; do
	n=$((n + 1))
	say "killed at $point"
	phone "2.$n" panic
	roll_out "2.$n"
	once 137 --set "test.crash=$point"
	once 10
	assert_boots_one_of "$current"
	[ "$(on_server .release.applied)" = "$current" ] || die "the server shows $(on_server .release.applied)"
	[ "$(on_server "[.events[] | select(.state == \"rolled_back\" and .release == \"acme/2.$n\")] | length")" = 1 ] ||
		die "reported not once: $(on_server .events)"
done

for point in before-failed failed; do
	n=$((n + 1))
	say "killed at $point"
	phone "2.$n" good
	roll_out "2.$n"
	# Its object is gone from the server: 404 is final.
	find "$state/objects" -size +100k -delete
	once 137 --set "test.crash=$point"
	once 11
	assert_boots_one_of "$current"
	[ "$(on_server .update)" = failed ] || die "the server shows $(on_server .update)"
done
