#!/bin/bash
# A component of more than 4 GiB, through hash, publish, serve by range, stage and boot.  It is sparse, so
# it costs time for zeros and hardly any disk.
. "$TOP/tests/support/handset.sh"
free=$(df --output=avail -B1 "$TMPDIR" | tail -n 1)
[ "$free" -gt 14000000000 ] || skip "needs 14 GB of room for what could be, not for what is"
start_organisation
make_release phone-1.0 acme 1.0
{ echo good && seq 1 2000; } >phone-1.0/vmlinux
size=$((4 * 1024 * 1024 * 1024 + 5 * 1024 * 1024 + 123))
truncate -s $size phone-1.0/system.img
for at in 0 123456789 $((4 * 1024 * 1024 * 1024 - 5)) $((4 * 1024 * 1024 * 1024 + 1234567)) $((size - 9)); do
	printf 'something' | dd of=phone-1.0/system.img bs=1 seek=$at conv=notrunc status=none
done

say "publish"
valise publish phone-1.0 >/dev/null || die "publish"
roll_out 1.0
enrol_handset

say "stage and boot"
once 0
grep -q 'to=confirmed release="acme/1.0"' agent.log || die "not confirmed"
for at in 0 123456789 $((4 * 1024 * 1024 * 1024 - 5)) $((4 * 1024 * 1024 * 1024 + 1234567)) $((size - 9)); do
	[ "$(dd if=handset/slots/a/system bs=1 skip=$at count=9 status=none)" = something ] || die "wrong bytes at $at"
done
[ "$(stat -c %s handset/slots/a/system)" = $(((size + 4095) / 4096 * 4096)) ] || die "wrong size"
[ "$(du -B1 handset/slots/a/system | cut -f1)" -lt 100000000 ] || die "the holes were filled"
