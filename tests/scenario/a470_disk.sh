#!/bin/bash
# Somebody writes to the handset's disk: between staging and boot, while the phone runs, and puts a whole older state back.
. "$TOP/tests/support/attack.sh"
begin_attack 1.0
cp -r handset handset.old

say "the slot changed between staging and the first boot (RAUC's CVE-2020-25860)"
phone 1.1 good
roll_out 1.1
for part in kernel system; do
	rm -rf handset && cp -r handset.old handset
	agent once --set test.crash=staged >>agent.log 2>&1 || true
	[ -s handset/slots/b/$part ] || die "nothing is staged"
	printf X | dd of=handset/slots/b/$part bs=1 seek=5000 conv=notrunc status=none
	got=0
	agent once >changed.log 2>&1 || got=$?
	cat changed.log >>agent.log
	if grep -q 'vm.started' changed.log && ! grep -q 'slot=a' changed.log; then die "a changed $part ran"; fi
	grep -q "$part" changed.log || die "no error names $part: $(cat changed.log)"
done
rm -rf handset && cp -r handset.old handset
rules
roll_out 1.1
once 0
runs 1.1

say "the kernel changed while the phone runs: the next start notices, falls back and repairs"
start_agent
wait_for 30 "a healthy phone" status_is .vm.healthy true
printf X | dd of=handset/slots/b/kernel bs=1 seek=5000 conv=notrunc status=none
[ "$(status .vm.healthy)" = true ] || die "the running phone cares"
agent stop >/dev/null
wait_for 30 "the phone's end" status_is .vm.state stopped
agent start >/dev/null
wait_for 30 "the notice" grep -q 'vm.exited slot=b reason=error.*kernel' agent.log
wait_for 60 "the repair" status_is .vm.healthy true
stop_agent

say "a whole older state put back: the server's word brings it forward again, and floors hold"
rm -rf handset && cp -r handset.old handset
make_release "$TMPDIR/phone-1.2" acme 1.2
sed -i 's/"security_version": 1/"security_version": 5/' phone-1.2/release.in.json
{ echo good && seq 1 2000; } >phone-1.2/vmlinux
valise publish "$TMPDIR/phone-1.2" >/dev/null
roll_out 1.2
once 0
runs 1.2
rm -rf handset && cp -r handset.old handset
told=$(on_server '[.events[].seq] | max')
once 0
grep -o 'to=confirmed release="[^"]*"' agent.log | tail -n 1 | has acme/1.2 || die "not brought forward"
[ "$(on_server "[.events[] | select(.seq > $told) | .state] | index(\"confirmed\") != null")" = true ] ||
	die "what happened since was taken for what the server knew: $(on_server .events)"
if valise -y rollout start acme/1.1 --all >out 2>&1; then
	once 0 # below the floor: the director does not name it
	[ "$(on_server .release.applied)" = acme/1.2 ] || die "below the floor: $(on_server .release.applied)"
fi
make_release "$TMPDIR/phone-1.3" acme 1.3
sed -i 's/"security_version": 1/"security_version": 5/' phone-1.3/release.in.json
{ echo good && seq 1 2000; } >phone-1.3/vmlinux
valise publish "$TMPDIR/phone-1.3" >/dev/null
roll_out 1.3
once 0
runs 1.3
