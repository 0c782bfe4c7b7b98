#!/bin/bash
# One flipped bit anywhere on the handset or on the way: a clear error, a phone that runs, and repair.
. "$TOP/tests/support/handset.sh"
start_organisation delta.processes=0 # making one would find and drop the objects that are damaged here

# flip FILE OFFSET: the lowest bit of that byte.
flip() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059
	printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

phone 1.0 good 3000000
roll_out 1.0
enrol_handset
once 0
phone 1.1 good 3000000
roll_out 1.1
once 0

say "a damaged active slot: an error that names it, the other slot runs, and the damaged one is repaired"
flip handset/slots/b/system 1000000
: >agent.log
start_agent
wait_for 60 "the fallback" grep -q 'vm.start slot=a release=acme/1.0 trial=no' agent.log
grep -q 'vm.exited slot=b reason=error.*system' agent.log || die "no reason"
wait_for 60 "the repair" grep -q 'update from=trial to=confirmed release="acme/1.1" active=b' agent.log
fetched=$(sed -n 's/.* staged release=acme\/1.1 fetched_bytes=\([0-9]*\) .*/\1/p' agent.log | tail -n 1)
[ "$fetched" -lt 1200000 ] || die "the repair fetched $fetched bytes, more than what was damaged"
wait_for 30 "a healthy phone" status_is .vm.healthy true
[ "$(status .release)" = acme/1.1 ] || die "$(status .release) runs"
wait_for 30 "the report" status_is .events_waiting 0
on_server '.events[].reason' | has 'slot b\|system' || die "the server was not told: $(on_server .events)"
stop_agent

say "both slots damaged: no phone, a clear error, and the repair of both parts brings it back"
flip handset/slots/a/kernel 4000
flip handset/slots/b/system 2000000
start_agent
wait_for 60 "the repair" status_is .vm.healthy true
[ "$(status .release)" = acme/1.1 ] || die "$(status .release) runs"
stop_agent

say "one copy of the state record damaged is nothing; two are a clear error"
cp -r handset handset.good
flip handset/commit.0 200
once 0
rm -rf handset && cp -r handset.good handset
flip handset/commit.1 700
once 0
rm -rf handset && cp -r handset.good handset
flip handset/commit.0 200
flip handset/commit.1 700
once 65
tail -n 3 agent.log | has 'no good state record' || die "no clear error"
rm -rf handset && cp -r handset.good handset

say "damaged metadata, manifest, keys: an error or repair, and the phone still runs what it ran"
for file in $(cd handset && echo tuf/*/*.json want/release.json enrolment.json identity/*); do
	size=$(stat -c %s "handset/$file")
	for part in 10 50 90; do
		flip "handset/$file" $((size * part / 100))
		got=0
		agent once >>agent.log 2>&1 || got=$?
		case $got in 0 | 65 | 66 | 69 | 70 | 76 | 77 | 75) ;; *) die "$file at $part %: status $got" ;; esac
		cmp -s handset/slots/b/release.json handset.good/slots/b/release.json || die "$file at $part %: the slot changed"
		rm -rf handset && cp -r handset.good handset
	done
done
once 0

say "a pipe in place of any file holds nobody up"
for file in $(cd handset && find . -type f -printf '%P\n'); do
	rm "handset/$file"
	mkfifo "handset/$file"
	got=0
	timeout 60 "$bin/valise-agent" once --set "state_dir=$handset" "${handset_settings[@]}" >>agent.log 2>&1 || got=$?
	case $got in 0 | 10 | 11 | 65 | 66 | 69 | 71 | 75 | 76 | 77) echo "$file: $got" ;; *) die "$file: status $got" ;; esac
	rm -rf handset && cp -r handset.good handset
done
once 0

say "an object damaged on the server: refused, tried K times, given up, reported; the old release runs"
phone 1.2 good 3000000
roll_out 1.2
for object in $(find "$state/objects" -size +1000k -newer handset.good -type f); do
	chmod u+w "$object"
	flip "$object" 700000
done
for i in 1 2; do once 65; done
once 11
grep -q 'to=failed release="acme/1.2" active=b reason="acme/1.2: system: ' agent.log || die "no reason"
[ "$(on_server .update)" = failed ] || die "the server shows $(on_server .update)"
start_agent
wait_for 30 "a healthy phone" status_is .vm.healthy true
[ "$(status .release)" = acme/1.1 ] || die "$(status .release) runs"
stop_agent

say "a ticket with one wrong letter is refused before anything is asked"
ticket=$(valise -o json enrol new --no-qr | jq -r .ticket)
for at in 20 60 100; do
	letter=${ticket:$at:1}
	bad=${ticket:0:at}$([ "$letter" = A ] && echo B || echo A)${ticket:at+1}
	got=0
	"$bin/valise-agent" enrol --set "state_dir=$TMPDIR/other" --model compact "$bad" >enrol2.out 2>&1 || got=$?
	[ $got = 65 ] || die "status $got: $(cat enrol2.out)"
	[ ! -e other/enrolment.json ] || die "enrolled"
done
