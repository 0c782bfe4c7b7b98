#!/bin/bash
# Tiny images under emulation: what a good, a broken and a failing guest tell the host, and what
# becomes of the user's disk.
set -eu
top=${TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

for t in mkfs.erofs:erofs-utils cpio:cpio lz4:lz4 qemu-system-x86_64:qemu-system-x86 xorriso:xorriso; do
	PATH=$PATH:/usr/sbin command -v "${t%:*}" >/dev/null || { echo "${t%:*} is missing: apt install ${t#*:}"; exit 77; }
done
apt-get indextargets --format '$(RELEASE)' 'Created-By: Packages' 2>/dev/null | grep -qx bookworm ||
	{ echo "apt has no Debian 12 sources on this machine"; exit 77; }

for name in tiny tiny-broken tiny-failing tiny-panic; do
	"$top/deploy/images/build" $name "$dir/$name"
done

# boot NAME WANT_EXIT OPTIONS...: leaves what the guest said in $out.
boot() {
	local name=$1 want=$2 rc=0
	shift 2
	out=$("$top/deploy/images/try" "$dir/$name" --wait 120 --log "$dir/console" "$@" 2>&1) || rc=$?
	[ $rc = "$want" ] || bad "$name: exit status $rc, not $want"
}
bad() { echo "$1"; echo "$out"; tail -n 20 "$dir/console" 2>/dev/null; exit 1; }
says() { case $out in *"$1"*) ;; *) bad "expected: $1" ;; esac }
says_not() { case $out in *"$1"*) bad "not expected: $1" ;; esac }
label() { dd if="$1" bs=1 skip=1144 count=16 status=none | tr -d '\0'; }

# `try` counts a report only if it echoes the nonce of this boot.
boot tiny 0 --data "$dir/data"
says '"state":"starting"'
says '"state":"healthy","checks":{"data":"mounted","settings":"applied","system":"running"}'
[ "$(label "$dir/data")" = userdata ] || bad "the user's disk is not labelled"

# The same disk again: mounted, not formatted anew.  The other model, the other way to stop.
uuid=$(dd if="$dir/data" bs=1 skip=1128 count=16 status=none | od -An -tx1)
boot tiny 0 --data "$dir/data" --model large --stop acpi
[ "$uuid" = "$(dd if="$dir/data" bs=1 skip=1128 count=16 status=none | od -An -tx1)" ] || bad "formatted twice"

# A format cut short by a power failure is done again.
printf 'formatting\0' | dd of="$dir/data" bs=1 seek=1144 conv=notrunc status=none
boot tiny 0 --data "$dir/data"
[ "$(label "$dir/data")" = userdata ] || bad "the cut format was not repeated"

# What is not ours is never formatted.
truncate -s 64M "$dir/foreign"
printf 'precious' | dd of="$dir/foreign" conv=notrunc status=none
boot tiny 1 --data "$dir/foreign" --settle 3
says '"state":"failing"'
says 'neither blank nor a good ext4'
[ "$(head -c 8 "$dir/foreign")" = precious ] || bad "overwrote a foreign disk"

# Settings that are not understood are not half applied.
printf '#cloud-config\n{"valise":{"apps":{"config":{"mail.server":"imap.acme.example"}' > "$dir/cut"
boot tiny 1 --config "$dir/cut" --settle 3
says '"state":"failing"'
says 'user-data: '
says_not '"state":"healthy"'

boot tiny-broken 1 --settle 5
says '"state":"starting"'
says_not '"state":"healthy"'

boot tiny-failing 1 --settle 3
says '"detail":"mail: mail store has a newer schema"'
says_not '"state":"healthy"'

boot tiny-panic 1
says 'the guest ended'
says_not '"state"'
