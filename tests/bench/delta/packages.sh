#!/bin/bash
# Builds pairs for run.sh of single Debian 12 packages: DIR/NAME/{old,new}, the oldest version that the archives have and
# the newest.  A package that they have once gives a pair of the same bytes.
#   packages.sh DIR [PACKAGE[@FORM]...]     a FORM is what its files are packed in; without one, a tar
# Needs network, and the tools of the forms; keeps what is there already.
set -euo pipefail

dir=$(mkdir -p "$1" && cd "$1" && pwd)
shift
top=$(cd "$(dirname "$0")/../../.." && pwd)
default="bind9-libs chromium firefox-esr git libc6 libgs10 libpython3.11-stdlib libreoffice-core libruby3.1 libssl3
libwebkit2gtk-4.1-0 mariadb-server-core nodejs openjdk-17-jre-headless perl-modules-5.36 php8.2-cli postgresql-15
python3.11-minimal qemu-system-x86 samba systemd thunderbird tzdata wireshark-common"
for form in deb tar.gz cpio fat erofs erofs-lz4 btrfs ext4-1k squashfs-{gzip,lz4,xz,zstd}; do
	default+=" libpython3.11-stdlib@$form"
done
names=${*:-$default}

die() { echo "$*" >&2; exit 1; }
note() { echo "$*" >&2; }
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
. "$top/deploy/images/lib/archive.sh"
CACHE=$dir/.cache
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
uuid=11111111-2222-3333-4444-555555555555
seconds=1700000000

# pack TREE FORM OUT
pack() {
	local mib=$(($(du -sm "$1" | cut -f 1) * 3 / 2 + 64))
	case $2 in
	tar) tar --sort=name --owner=0 --group=0 --mtime=@$seconds -C "$1" -cf "$3" . ;;
	tar.gz) tar --sort=name --owner=0 --group=0 --mtime=@$seconds -C "$1" -c . | gzip -n9 >"$3" ;;
	cpio) (cd "$1" && find . | LC_ALL=C sort | cpio --quiet --reproducible -R 0:0 -o -H newc) >"$3" ;;
	squashfs-*) mksquashfs "$1" "$3" -quiet -no-progress -all-root -all-time $seconds -mkfs-time $seconds -comp "${2#*-}" ;;
	erofs) mkfs.erofs --quiet -T$seconds -U $uuid --all-root "$3" "$1" ;;
	erofs-lz4) mkfs.erofs --quiet -T$seconds -U $uuid --all-root -zlz4hc "$3" "$1" ;;
	ext4-1k)
		truncate -s "${mib}M" "$3"
		E2FSPROGS_FAKE_TIME=$seconds mke2fs -q -t ext4 -b 1024 -m0 -U $uuid -O ^has_journal \
			-E hash_seed=$uuid,lazy_itable_init=0,root_owner=0:0 -d "$1" "$3" ;;
	btrfs)
		truncate -s $((mib + 128))M "$3"
		mkfs.btrfs -q -U $uuid -r "$1" "$3" ;;
	fat) # has no symbolic links
		find "$1" -type l -delete
		truncate -s "${mib}M" "$3"
		mkfs.vfat -F 32 -i 12345678 "$3" >/dev/null
		SOURCE_DATE_EPOCH=$seconds mcopy -s -m -i "$3" "$1"/usr ::/ ;;
	*) die "no such form: $2" ;;
	esac
}

# version PACKAGE old|new
version() {
	apt-cache madison "$1" | awk -F '|' '{ gsub(/ /, "", $2); print $2 }' | sort -V |
		if [ "$2" = old ]; then head -n 1; else tail -n 1; fi
}

# build PACKAGE FORM old|new OUT
build() {
	local deb
	deb=$(archive_get "$1=$(version "$1" "$3")")
	rm -rf "$WORK/tree"
	dpkg-deb -x "$deb" "$WORK/tree"
	find "$WORK/tree" -exec touch -h -d @$seconds {} +
	if [ "$2" = deb ]; then cp "$deb" "$4"; else pack "$WORK/tree" "$2" "$4"; fi
}

archive_open 'bookworm bookworm-updates bookworm-security'

for name in $names; do
	form=${name#*@}
	[ "$form" != "$name" ] || form=tar
	mkdir -p "$dir/$name"
	for side in old new; do
		out=$dir/$name/$side
		[ -e "$out" ] && continue
		rm -rf "$out.tmp"
		build "${name%@*}" "$form" $side "$out.tmp"
		mv "$out.tmp" "$out"
	done
done
