#!/bin/bash
# Builds the real pairs for run.sh from Debian packages: DIR/NAME/{old,new}.
#   pairs.sh DIR [NAME...]      p1 p1-in-place p2 p2-inline major p5u p6j; all without names.  Needs root (mmdebstrap,
# and a loop mount for p1-in-place) and network; keeps what is there already.
set -euo pipefail

dir=$(mkdir -p "$1" && cd "$1" && pwd)
shift
top=$(cd "$(dirname "$0")/../../.." && pwd)
names=${*:-p1 p1-in-place p2 p2-inline major p5u p6j}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
. "$top/deploy/images/lib/archive.sh" # archive_sources: what this machine's own apt uses
uuid=11111111-2222-3333-4444-555555555555
packages=systemd,network-manager,evolution-data-server,geary,openvpn,strongswan,wireguard-tools,python3,perl
packages+=,man-db,less,openssh-client,curl,vim,ca-certificates,dbus,policykit-1,bluez,pulseaudio,gnome-keyring
few=systemd,network-manager,openssh-client,curl,vim,python3,perl,ca-certificates,dbus,polkitd,bluez,wireguard-tools
few+=,strongswan,gnupg

# sources old|new|next: the last point release, the same with all updates, or the next Debian, which is
# taken from where this machine has its Debian 12 from.
sources() {
	case $1 in
	old) archive_sources bookworm ;;
	new) archive_sources 'bookworm bookworm-updates bookworm-security' ;;
	next) archive_sources bookworm | sed 's/ bookworm / trixie /' ;;
	esac
}

# tree DEST VARIANT PACKAGES old|new|next
tree() {
	[ -d "$1" ] && return
	rm -rf "$1.tmp"
	sources "$4" >"$1.list"
	mmdebstrap --quiet --variant="$2" --include="$3" "$([ "$4" = next ] && echo trixie || echo bookworm)" \
		"$1.tmp" "$1.list"
	rm -rf "$1.tmp"/var/cache/apt/archives/*.deb "$1.tmp"/var/lib/apt/lists/* "$1.tmp"/dev/*
	find "$1.tmp" -newermt "$(date -d '-2 days' +%F)" -exec touch -h -d @1700000000 {} +
	mv "$1.tmp" "$1"
}

root_tree() {
	tree "$dir/root-$1" standard "$packages" "$1"
}

# erofs TREE OUT OPTION...
erofs() {
	local tree=$1 out=$2
	shift 2
	mkfs.erofs --quiet -T1700000000 -U $uuid -x-1 "$@" "$out.tmp" "$tree"
	mv "$out.tmp" "$out"
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
need() { command -v "$1" >/dev/null || die "$1 is missing: apt install ${2:-$1}"; } # kernel.sh calls it too
need mmdebstrap
need mkfs.erofs erofs-utils

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
		p2) root_tree $side; erofs "$dir/root-$side" "$out" -Enoinline_data ;;
		p2-inline) # what mkfs.erofs does by itself: ends of files lie between inodes
			root_tree $side; erofs "$dir/root-$side" "$out" ;;
		major) # Debian 12 with all updates, then Debian 13
			tree "$dir/major-$side" important "$few" "$([ $side = old ] && echo new || echo next)"
			erofs "$dir/major-$side" "$out" -Enoinline_data ;;
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
