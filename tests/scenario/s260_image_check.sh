#!/bin/bash
# `valise image check` on images that the real tools make.
. "$TOP/tests/support/lib.sh"
PATH=$PATH:/usr/sbin:/sbin
for tool in mkfs.ext4 debugfs mkfs.erofs mksquashfs jq; do
	command -v $tool >/dev/null || skip "$tool is missing: deploy/install-packages check"
done

uuid=11111111-2222-3333-4444-555555555555
mkdir -p tree/sub
for i in $(seq 40); do seq $((i * 50)) >"tree/sub/$i"; done
noise() { openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c "$1" || true; }

# ids FILE [OPTION...]: the findings' names on one line.
ids() { "$bin/valise" image check -o json "$@" | jq -r '[.findings[].id] | sort | join(" ")'; }
kind() { "$bin/valise" image check -o json "$1" | jq -r '.parts[0].kind'; }
expect() { [ "$1" = "$2" ] || die "$3: found \"$1\", not \"$2\""; }

ext4() { # FILE OPTION...: a fresh one over what the file holds
	local out=$1
	shift
	mkfs.ext4 -q -F -b 4096 -O ^has_journal -U $uuid -E "hash_seed=$uuid,lazy_itable_init=0$1" \
		-d tree "$out" 2>mkfs.err || die "mkfs.ext4: $(cat mkfs.err)"
}

say "ext4 as it should be"
truncate -s 16M good
E2FSPROGS_FAKE_TIME=1700000000 ext4 good ''
expect "$(kind good)" ext4 good
expect "$(ids good)" "" good
"$bin/valise" image check --strict good >/dev/null || die "a good image fails --strict"
"$bin/valise" image check good | has '^nothing to improve' || die "nothing said about a good image"

say "free blocks that hold old bytes: as many as mke2fs has left"
noise $((16 << 20)) >dirty
ext4 dirty ,nodiscard
expect "$(ids dirty)" free-blocks dirty
bytes=$("$bin/valise" image check -o json dirty | jq '.findings[0].bytes')
free=$(("$(debugfs -R 'show_super_stats -h' dirty 2>/dev/null | awk '/^Free blocks:/ { print $3 }')" * 4096))
# mke2fs wipes up to 64 KiB at each end.
[ "$bytes" -le $free ] && [ "$bytes" -ge $((free - 131072)) ] || die "$bytes bytes are old, $free are free"
code=0
"$bin/valise" image check --strict dirty >/dev/null 2>&1 || code=$?
expect $code 65 "exit status of --strict"

say "traces of use, a journal, groups without bitmaps"
cp good used
debugfs -w -R 'set_super_value mnt_count 3' used 2>/dev/null
debugfs -w -R 'set_super_value state 0' used 2>/dev/null
expect "$(ids used)" "mounted unclean" used
noise $((48 << 20)) >small-blocks
mkfs.ext4 -q -F -b 1024 -E nodiscard small-blocks
expect "$(ids small-blocks)" "free-blocks journal" small-blocks

say "two builds"
truncate -s 16M other
mkfs.ext4 -q -F -b 4096 -O ^has_journal -d tree other
expect "$(ids --previous good good)" "" "the same image"
expect "$(ids --previous good other)" "changing-seed changing-time changing-uuid" other
mkfs.erofs -T0 -U $uuid plain.erofs tree >/dev/null 2>&1
expect "$(ids --previous good plain.erofs)" changing-kind plain.erofs

say "erofs and squashfs, plain and packed"
expect "$(kind plain.erofs)" erofs plain.erofs
expect "$(ids plain.erofs)" "" plain.erofs
mkfs.erofs -zlz4hc -T0 -U $uuid packed.erofs tree >/dev/null 2>&1
expect "$(ids packed.erofs)" compressed-fs packed.erofs
for by in gzip xz zstd; do
	mksquashfs tree $by.sqfs -comp $by -quiet -no-progress >/dev/null
	expect "$(ids $by.sqfs)" compressed-fs $by.sqfs
	"$bin/valise" image check $by.sqfs | has "packed with $by" || die "$by is not named"
done
mksquashfs tree plain.sqfs -noI -noD -noF -noX -quiet -no-progress >/dev/null
expect "$(ids plain.sqfs)" "" plain.sqfs

say "files inside that deltas do not see through"
noise 20000 | xz >tree/module.ko.xz
mkfs.erofs -T0 -U $uuid modules.erofs tree >/dev/null 2>&1
expect "$(ids modules.erofs)" packed-files modules.erofs

say "what is no disk"
gzip -c good >good.gz
expect "$(ids good.gz)" packed good.gz

say "cut off"
head -c 8000000 good >cut
expect "$(ids cut)" damaged cut

say "errors say what to do"
code=0
"$bin/valise" image check nowhere 2>err || code=$?
[ $code -ne 0 ] && grep -q nowhere err || die "a missing file: $(cat err)"
