#!/bin/bash
# Builds the real pairs for run.sh from Debian packages: DIR/NAME/{old,new}.
#   pairs.sh DIR [NAME...]      p1 p1-in-place p2 p2-inline p5u p6j; all without names.  Needs root (mmdebstrap, and a
# loop mount for p1-in-place) and network; keeps what is there already.
set -euo pipefail

dir=$(mkdir -p "$1" && cd "$1" && pwd)
shift
top=$(cd "$(dirname "$0")/../../.." && pwd)
names=${*:-p1 p1-in-place p2 p2-inline p5u p6j}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
. "$top/deploy/images/lib/archive.sh" # archive_sources: what this machine's own apt uses
uuid=11111111-2222-3333-4444-555555555555
packages=systemd,network-manager,evolution-data-server,geary,openvpn,strongswan,wireguard-tools,python3,perl
packages+=,man-db,less,openssh-client,curl,vim,ca-certificates,dbus,policykit-1,bluez,pulseaudio,gnome-keyring

# tree DEST VARIANT PACKAGES old|new: packages as of the last point release, or with all updates.
tree() {
	[ -d "$1" ] && return
	local suites=bookworm
	[ "$4" = old ] || suites+=' bookworm-updates bookworm-security'
	archive_sources "$suites" >"$1.sources"
	mmdebstrap --quiet --variant="$2" --include="$3" bookworm "$1.tmp" "$1.sources"
	rm -rf "$1.tmp"/var/cache/apt/archives/*.deb "$1.tmp"/var/lib/apt/lists/* "$1.tmp"/dev/*
	find "$1.tmp" -newermt "$(date -d '-2 days' +%F)" -exec touch -h -d @1700000000 {} +
	mv "$1.tmp" "$1"
}

root_tree() {
	tree "$dir/root-$1" standard "$packages" "$1"
}

ext4() {
	truncate -s 1500M "$2.tmp"
	E2FSPROGS_FAKE_TIME=1700000000 mke2fs -q -t ext4 -m0 -U $uuid \
		-O ^has_journal,^metadata_csum,^resize_inode \
		-E hash_seed=$uuid,lazy_itable_init=0 -d "$1" "$2.tmp"
	mv "$2.tmp" "$2"
}

# The old image with every changed file replaced as dpkg does: written beside it, then renamed.
in_place() {
	local mount
	mount=$(mktemp -d)
	cp "$dir/p1/old" "$1.tmp"
	mount -o loop "$1.tmp" "$mount"
	(cd "$dir/root-new" && find . -type f) | while IFS= read -r f; do
		if ! cmp -s "$dir/root-new/$f" "$mount/$f"; then
			mkdir -p "$(dirname "$mount/$f")"
			cp -p "$dir/root-new/$f" "$mount/$f.dpkg-new"
			mv "$mount/$f.dpkg-new" "$mount/$f"
		fi
	done
	umount "$mount"
	rmdir "$mount"
	mv "$1.tmp" "$1"
}

die() { echo "$*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || die "$1 is missing"; }

for name in $names; do
	mkdir -p "$dir/$name"
	for side in old new; do
		out=$dir/$name/$side
		[ -e "$out" ] && continue
		case $name in
		p1) root_tree $side; ext4 "$dir/root-$side" "$out" ;;
		p1-in-place)
			root_tree $side
			if [ $side = old ]; then cp "$dir/p1/old" "$out"; else in_place "$out"; fi ;;
		p2)
			root_tree $side
			mkfs.erofs --quiet -T1700000000 -U $uuid -x-1 -Enoinline_data "$out" "$dir/root-$side" ;;
		p2-inline) # what mkfs.erofs does by itself: ends of files lie between inodes
			root_tree $side
			mkfs.erofs --quiet -T1700000000 -U $uuid -x-1 "$out" "$dir/root-$side" ;;
		p5u)
			tree "$dir/kernel-$side" extract linux-image-amd64 $side
			. "$top/deploy/images/lib/kernel.sh"
			kernel_vmlinux "$(ls "$dir/kernel-$side"/boot/vmlinuz-* | head -n1)" "$out" ;;
		p6j)
			tree "$dir/jdk-$side" extract openjdk-17-jdk-headless $side
			tar --sort=name --mtime=@1700000000 -C "$dir/jdk-$side" -cf "$out" \
				usr/lib/jvm/java-17-openjdk-amd64/jmods ;;
		*) die "no such pair: $name" ;;
		esac
	done
done
