#!/bin/bash
# The handset's disk is full to the last byte wherever something is to be stored: each is refused with the reason, what
# was there stays, and it goes on by itself when there is room.
. "$TOP/tests/support/handset.sh"
mkdir -p handset
mount -t tmpfs -o size=24m,mode=700 handset handset 2>/dev/null || skip "this test mounts a small file system: run as root"
trap 'end_all; umount -l "$TMPDIR/handset"' EXIT
handset_settings+=(--set disk.reserve=0)
fill() { cat /dev/zero >handset/ballast 2>/dev/null || true; }
no_room() { tail -n "$1" agent.log | has 'error=no_space\|No space left' || die "no clear error: $(tail -n "$1" agent.log)"; }

say "enrolment without room: neither side is half done, and the same ticket is good afterwards"
start_organisation
ticket=$(valise -o json enrol new --no-qr | jq -r .ticket)
fill
if agent enrol --model compact "$ticket" >out 2>err; then die "enrolled without room"; fi
grep -q "No space left" err || die "$(cat err)"
rm handset/ballast
agent enrol --model compact "$ticket" >out || die "with room"
device=$(sed -n 's/^device \([0-9a-f]*\) .*/\1/p' out)

phone 1.0 good
roll_out 1.0
once 0

say "new metadata: refused, the release stays, accepted when there is room"
phone 1.1 good
roll_out 1.1
fill
once 74
no_room 4
rm handset/ballast
[ "$(on_server .release.applied)" = acme/1.0 ] || die "$(on_server .release.applied) runs"
once 0
[ "$(on_server .release.applied)" = acme/1.1 ] || die "$(on_server .release.applied) runs"

say "a policy"
echo '{"name": "base", "settings": {"vm.memory_max_mib": 512}}' >base.json
valise policy publish base.json >/dev/null
valise policy assign base --all >/dev/null
fill
once 74
no_room 4
[ "$(on_server '.policies[0].applied')" = null ] || die "said to be applied: $(on_server .policies)"
rm handset/ballast
once 0
once 0
[ "$(on_server '.policies[0].applied')" = 1 ] || die "not applied: $(on_server .policies)"

say "the handset's own keys: the old pair is the pair until there is room for the next"
print=$(on_server .fingerprint)
touch -d 2020-01-01 handset/identity/signing.key
fill
once 0
no_room 6
[ "$(on_server .fingerprint)" = "$print" ] || die "other keys without room"
rm handset/ballast
once 0
[ "$(on_server .fingerprint)" != "$print" ] || die "the same keys with room"
once 0

say "a phone starts without any room; a release that cannot be staged does not disturb it"
phone 1.2 good 6000000
fill
start_agent
wait_for 60 "a healthy phone" status_is .vm.healthy true
roll_out 1.2
refused() { tail -n 5 agent.log | has 'error=no_space'; }
wait_for 60 "the refusal" refused
status_is .vm.healthy true || die "the phone was disturbed"
rm handset/ballast
wait_for 120 "the update" status_is .release acme/1.2
wait_for 60 "a healthy phone" status_is .vm.healthy true
stop_agent
