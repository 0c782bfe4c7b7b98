#!/bin/bash
# A full disk on the handset: a clear error, nothing lost, and all goes on by itself when there is room.
. "$TOP/tests/support/handset.sh"
mkdir -p handset
mount -t tmpfs -o size=24m,mode=700 handset handset 2>/dev/null || skip "this test mounts a small file system: run as root"
trap 'end_all; umount -l "$TMPDIR/handset"' EXIT
start_organisation

phone 1.0 good 6000000
roll_out 1.0
enrol_handset
once 0 --set disk.reserve=1M

say "no room beside the reserve: refused before the first byte, with figures"
phone 1.1 good 6000000
roll_out 1.1
once 74 --set disk.reserve=16M
tail -n 4 agent.log | has 'acme/1.1: needs .* beside a reserve of .* are free' || die "no figures"
grep -q 'stage error=no_space' agent.log || die "no clear error"

say "the running phone does not notice, and the update goes on by itself when there is room"
head -c 12M /dev/zero >handset/ballast
start_agent --set disk.reserve=1M
wait_for 30 "a healthy phone" status_is .vm.healthy true
wait_for 30 "the refusal" grep -q 'stage error=no_space.*reserve of 1.0 MB' agent.log
[ "$(status .release)" = acme/1.0 ] || die "$(status .release) runs"
[ "$(status .update.state)" = fetching ] || die "state $(status .update.state)"
rm handset/ballast
wait_for 60 "the update" status_is .release acme/1.1
wait_for 30 "a healthy phone" status_is .vm.healthy true
stop_agent

say "full to the last byte, a bad release is rolled back and reported all the same"
phone 1.2 panic 100000
roll_out 1.2
once 137 --set disk.reserve=0 --set test.crash=staged
cat /dev/zero >handset/ballast 2>/dev/null || true
# 74: what the server answers to the report may find no room, which is said.
got=0
agent once --set disk.reserve=0 >>agent.log 2>&1 || got=$?
[ $got = 10 ] || [ $got = 74 ] || die "once: status $got"
grep -q 'event.lost' agent.log || die "there was room"
[ "$(on_server '.events[] | select(.state == "rolled_back" and .release == "acme/1.2") | .reason')" = \
	"the guest restarted 3 times before it was healthy" ] || die "the server shows $(on_server .events)"
rm handset/ballast
once 10
